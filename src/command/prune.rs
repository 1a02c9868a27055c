//! `prune`: what was delivered and is no longer configured, and what the brake holds.

use std::path::Path;
use std::process::ExitCode;

use super::{FAILED, load, print, show};
use crate::control::{self, NotAsked, Prune};
use crate::daemon;
use crate::status::{Held, Leftovers, Orphan, OrphanFate, PruneEnd, PrunedOrphan, Trouble};

/// What is listed is listed under these names, or where there are none, all of it.
pub(super) async fn run(path: &Path, what: Prune, names: &[String]) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let lists = what == Prune::List;
    // Where a daemon runs, it holds the state.
    let found = match control::prune(&config.daemon.control_socket, what.clone()).await {
        Err(NotAsked::NoDaemon(_)) => {
            let what = match what {
                Prune::List => daemon::Prune::List,
                Prune::All => daemon::Prune::All,
                Prune::Named(names) => daemon::Prune::Named(names),
            };
            let alone = daemon::prune(&config, what).await;
            alone.map_err(|stopped| stopped.to_string())
        }
        asked => asked.map_err(|why| why.to_string()),
    };
    match found {
        Ok(mut leftovers) => {
            if lists {
                leftovers = under(names, leftovers);
            }
            let (failures, ok) = failures(&leftovers);
            show(&failures);
            print(&told(&leftovers), if ok { 0 } else { FAILED })
        }
        Err(why) => {
            show(&format!("error: {why}"));
            ExitCode::from(FAILED)
        }
    }
}

/// What of a list goes by these names, as it would be removed by them; all of it where there are none.
fn under(names: &[String], all: Leftovers) -> Leftovers {
    if names.is_empty() {
        return all;
    }
    let is_left = |it: &Orphan, name: &String| it.entry == *name || it.target == *name;
    let (mut unknown, mut listed) = (Vec::new(), all);
    for name in names {
        let left = listed.orphans.iter().any(|it| is_left(it, name));
        if !left && !listed.held.iter().any(|it| it.entry == *name) {
            unknown.push(name.clone());
        }
    }
    let is_any = |it: &Orphan| names.iter().any(|name| is_left(it, name));
    listed.orphans.retain(is_any);
    listed.held.retain(|it| names.contains(&it.entry));
    Leftovers { unknown, ..listed }
}

/// What was done, and what is left.
fn told(leftovers: &Leftovers) -> String {
    let done = leftovers.pruned.iter().filter_map(|pruned| {
        let (what, but) = match &pruned.end {
            PruneEnd::Deleted if pruned.set => ("our files deleted", "; the directory stays"),
            PruneEnd::Deleted => ("deleted", ""),
            PruneEnd::GivenBack => ("our keys removed", ""),
            PruneEnd::Released => ("left to others", ""),
            PruneEnd::AlreadyGone => ("was gone", ""),
            PruneEnd::Held | PruneEnd::Failed(_) => return None,
        };
        let PrunedOrphan { target, entry, .. } = pruned;
        Some(format!("{what}: {target}, of entry {entry}{but}\n"))
    });
    let released = leftovers.released.iter();
    let released = released.map(|name| format!("released: {name}, whose next run removes it\n"));
    let lines: String = done.chain(released).collect();
    lines + &list(&leftovers.orphans) + &held(&leftovers.held)
}

/// What was asked for and not done, for stderr, and whether all was.
fn failures(leftovers: &Leftovers) -> (String, bool) {
    let failed = leftovers.pruned.iter().filter_map(|pruned| {
        let PrunedOrphan {
            target, entry, end, ..
        } = pruned;
        match end {
            PruneEnd::Failed(trouble) => Some(format!(
                "error: {target}, of entry {entry}: {}\n  help: {}\n",
                trouble.message, trouble.help
            )),
            PruneEnd::Held => Some(format!(
                "error: {target}, of entry {entry}: held, because more than three targets and a fifth of all would go \
                 within an hour\n  help: `prune --apply {target}` removes it\n"
            )),
            PruneEnd::Deleted
            | PruneEnd::GivenBack
            | PruneEnd::Released
            | PruneEnd::AlreadyGone => None,
        }
    });
    let unknown = leftovers.unknown.iter().map(|name| {
        format!("error: nothing is left or held under `{name}`\n  help: `prune` lists what is\n")
    });
    let standby = leftovers.standby.iter().map(|trouble| {
        let Trouble { message, help, .. } = trouble;
        format!("error: nothing was removed from clusters: {message}\n  help: {help}\n")
    });
    let lines: String = standby.chain(failed).chain(unknown).collect();
    let ok = lines.is_empty();
    (lines, ok)
}

fn fate(orphan: &Orphan) -> &'static str {
    match orphan.fate {
        OrphanFate::Delete if orphan.set => "delete our files",
        OrphanFate::Delete => "delete",
        OrphanFate::GiveBack => "remove our keys",
        OrphanFate::Release => "leave to others",
        OrphanFate::NoCluster => "stays: no such cluster",
    }
}

fn list(orphans: &[Orphan]) -> String {
    let width = |text: fn(&Orphan) -> &str| {
        let lengths = orphans.iter().map(|orphan| text(orphan).len());
        lengths.max().unwrap_or(0)
    };
    let (targets, entries) = (width(|it| &it.target), width(|it| &it.entry));
    let fates = width(|it| fate(it));
    let lines = orphans.iter().map(|orphan| {
        let since = match orphan.since {
            Some(at) => format!("since {at:.0}"),
            None => "since when is not known".to_owned(),
        };
        format!(
            "{:10}  {:targets$}  {:entries$}  {:fates$}  {since}\n",
            orphan.kind,
            orphan.target,
            orphan.entry,
            fate(orphan)
        )
    });
    let lines: String = lines.collect();
    let count = orphans.len();
    let noun = if count == 1 { "target" } else { "targets" };
    format!("{lines}{count} orphaned {noun}\n")
}

fn held(held: &[Held]) -> String {
    let lines = held.iter().map(|Held { entry, targets }| {
        format!(
            "held: {entry} ({}); `prune --apply {entry}` lets it go\n",
            targets.join(", ")
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, Reason};
    use crate::report::TargetKind;

    fn orphan(kind: TargetKind, target: &str, since: Option<&str>, fate: OrphanFate) -> Orphan {
        Orphan {
            kind,
            target: target.to_owned(),
            entry: "db".to_owned(),
            since: since.map(|at| at.parse().unwrap()),
            set: false,
            fate,
        }
    }

    #[test]
    fn each_orphan_is_listed_with_who_wrote_it_since_when_and_what_becomes_of_it() {
        let since = Some("2026-01-02T03:04:05.6Z");
        let orphans = [
            orphan(TargetKind::File, "/run/x", since, OrphanFate::Delete),
            orphan(
                TargetKind::Kubernetes,
                "prod/app/db",
                None,
                OrphanFate::Delete,
            ),
        ];
        assert_eq!(
            list(&orphans),
            "file        /run/x       db  delete  since 2026-01-02T03:04:05Z\n\
             kubernetes  prod/app/db  db  delete  since when is not known\n\
             2 orphaned targets\n"
        );
        assert_eq!(list(&[]), "0 orphaned targets\n");
    }

    #[test]
    fn a_list_is_of_what_goes_by_the_names_that_are_given() {
        let of = |entry: &str, target: &str| Orphan {
            entry: entry.to_owned(),
            ..orphan(TargetKind::File, target, None, OrphanFate::Delete)
        };
        let held = |entry: &str| Held {
            entry: entry.to_owned(),
            targets: vec!["/run/h".to_owned()],
        };
        let all = || Leftovers {
            orphans: vec![of("a", "/run/1"), of("a", "/run/2"), of("b", "/run/3")],
            held: vec![held("c"), held("d")],
            ..Leftovers::default()
        };
        let listed = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let Leftovers {
                orphans,
                held,
                unknown,
                ..
            } = under(&names, all());
            let orphans = orphans.into_iter().map(|it| it.target);
            let held = held.into_iter().map(|it| it.entry);
            (orphans.chain(held).collect::<Vec<_>>().join(" "), unknown)
        };
        let none = Vec::<String>::new();
        assert_eq!(
            listed(&[]),
            ("/run/1 /run/2 /run/3 c d".into(), none.clone())
        );
        assert_eq!(listed(&["a"]), ("/run/1 /run/2".into(), none.clone()));
        assert_eq!(listed(&["/run/2", "d"]), ("/run/2 d".into(), none));
        assert_eq!(listed(&["b", "x"]), ("/run/3".into(), vec!["x".to_owned()]));
    }

    #[test]
    fn what_is_held_or_fails_is_an_error_and_what_is_done_is_none() {
        let pruned = |end| Leftovers {
            pruned: vec![PrunedOrphan {
                target: "prod/app/db".to_owned(),
                entry: "db".to_owned(),
                set: false,
                end,
            }],
            ..Leftovers::default()
        };
        let done = pruned(PruneEnd::Deleted);
        assert_eq!(failures(&done), (String::new(), true));
        assert_eq!(
            told(&done),
            "deleted: prod/app/db, of entry db\n0 orphaned targets\n"
        );
        let failure = Failure::new(Reason::Conflict, "no");
        for end in [PruneEnd::Held, PruneEnd::Failed(Trouble::from(&failure))] {
            let (said, ok) = failures(&pruned(end));
            assert!(
                !ok && said.starts_with("error: prod/app/db, of entry db: "),
                "{said}"
            );
        }
        let unknown = Leftovers {
            unknown: vec!["x".to_owned()],
            ..Leftovers::default()
        };
        assert!(!failures(&unknown).1);
    }

    #[test]
    fn what_is_held_is_listed_with_the_way_to_let_it_go() {
        let one = Held {
            entry: "db".to_owned(),
            targets: vec!["prod/a/db".to_owned(), "prod/b/db".to_owned()],
        };
        assert_eq!(
            held(&[one]),
            "held: db (prod/a/db, prod/b/db); `prune --apply db` lets it go\n"
        );
    }
}
