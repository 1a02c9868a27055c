//! `adopt`: what others wrote where entries are to deliver, and taking it over.
//!
//! A look reads sources and targets as `plan` does, and writes nothing. Taking over is the daemon's, where one runs: it
//! looks for itself, records what it found, and delivers.

use std::path::Path;
use std::process::ExitCode;

use super::plan::list;
use super::progress::ProgressLine;
use super::table::{self, Columns, Paint, Sheet};
use super::{FAILED, USAGE, load, print, show};
use crate::config::{Config, Target};
use crate::control::{self, NotAsked, Which};
use crate::daemon;
use crate::names::EntryName;
use crate::status::{AdoptEnd, AdoptedTarget, Adoption, EntryStatus, Trouble};
use crate::sync::adopt::not_yet;
use crate::sync::plan::View;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Look,
    Apply,
}

pub(super) async fn run(path: &Path, names: Vec<String>, wish: Wish) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match wish {
        Wish::Look => look(config, &names).await,
        Wish::Apply => apply(config, names).await,
    }
}

/// What would be taken over.
async fn look(config: Config, names: &[String]) -> ExitCode {
    let Chosen {
        config,
        secrets,
        unknown,
    } = Chosen::of(config, names);
    if !unknown.is_empty() {
        show(&unknown_names(&unknown));
        return ExitCode::from(USAGE);
    }
    let mut line = ProgressLine::new();
    let view = (&[][..], View::Adoption);
    let planned = Box::pin(daemon::plan(config, view, |now| line.show(now))).await;
    drop(line);
    let plan = match planned {
        Ok(plan) => plan,
        Err(stopped) => {
            show(&format!("error: {stopped}"));
            return ExitCode::from(FAILED);
        }
    };
    if let Some(unknown) = &plan.unknown {
        show(&format!("warning: {unknown}\n  help: {}", unknown.help()));
    }
    let trouble = Trouble::from(&not_yet());
    let refused: String = secrets
        .iter()
        .map(|(target, entry)| refusal((target, entry.as_str()), &trouble))
        .collect();
    show(&refused);
    let mut rows = list::rows(&plan.entries);
    rows.retain(list::Row::is_of_note);
    // What is suspended is not taken over: whoever named it is told so.
    let left = |row: &list::Row| row.is_bad() || (!names.is_empty() && row.is_suspended());
    let bad = rows.iter().any(left) || !refused.is_empty();
    print(
        &list::text(&rows, Paint::for_stdout()),
        if bad { FAILED } else { 0 },
    )
}

/// Takes it over and delivers.
async fn apply(config: Config, names: Vec<String>) -> ExitCode {
    let socket = config.daemon.control_socket.clone();
    let asked = control::adopt(&socket, names.clone()).await;
    let (adoption, runs) = match asked {
        Err(NotAsked::NoDaemon(_)) => {
            let alone = daemon::adopt(&config, names).await;
            (alone.map_err(|stopped| stopped.to_string()), false)
        }
        asked => (asked.map_err(|why| why.to_string()), true),
    };
    let adoption = match adoption {
        Ok(adoption) => adoption,
        Err(why) => return failed(&why),
    };
    if !adoption.unknown.is_empty() {
        show(&unknown_names(&adoption.unknown));
        return ExitCode::from(USAGE);
    }
    let (said, errors) = told(&adoption);
    show(&errors);
    let taken = entries_taken(&adoption);
    if taken.is_empty() {
        return print(&said, if errors.is_empty() { 0 } else { FAILED });
    }
    let delivered = if runs {
        let which = Which::Names(taken.iter().map(ToString::to_string).collect());
        let synced = control::sync(&socket, which, |_| {}).await;
        synced.map_err(|why| why.to_string())
    } else {
        let done = Box::pin(daemon::once(config, &taken, |_| {})).await;
        done.map(|done| done.entries)
            .map_err(|stopped| stopped.to_string())
    };
    match delivered {
        Ok(entries) => {
            let well = errors.is_empty() && table::is_well(&entries);
            print(&(said + &outcome(entries)), if well { 0 } else { FAILED })
        }
        Err(why) => {
            // What was taken over stays so, and that is said first.
            let _ = print(&said, FAILED);
            failed(&why)
        }
    }
}

fn failed(why: &str) -> ExitCode {
    show(&format!("error: {why}"));
    ExitCode::from(FAILED)
}

fn outcome(mut entries: Vec<EntryStatus>) -> String {
    table::worst_first(&mut entries);
    table::table(&entries, Columns::Outcome, Sheet::for_stdout())
}

/// What a look is at.
struct Chosen {
    /// With the files that can be taken over, and nothing else.
    config: Config,
    /// Secrets that were named: target and entry.
    secrets: Vec<(String, EntryName)>,
    unknown: Vec<String>,
}

impl Chosen {
    fn of(config: Config, names: &[String]) -> Self {
        let mut config = config;
        let mut unknown = names.to_vec();
        let mut secrets = Vec::new();
        for (entry, spec) in &mut config.entries {
            let is_named = names.iter().any(|name| name == entry.as_str());
            unknown.retain(|name| name != entry.as_str());
            spec.selections = Box::default();
            spec.targets.retain(|target| {
                let shown = shown(target);
                let chosen = is_named || names.contains(&shown);
                unknown.retain(|name| *name != shown);
                match target {
                    Target::File(_) => chosen || names.is_empty(),
                    Target::Kubernetes(_) => {
                        if chosen {
                            secrets.push((shown, entry.clone()));
                        }
                        false
                    }
                }
            });
        }
        config.entries.retain(|_, spec| !spec.targets.is_empty());
        Self {
            config,
            secrets,
            unknown,
        }
    }
}

/// As a target is shown everywhere.
fn shown(target: &Target) -> String {
    match target {
        Target::File(spec) => spec.path.display().to_string(),
        Target::Kubernetes(spec) => {
            format!("{}/{}/{}", spec.cluster, spec.namespace, spec.name)
        }
    }
}

fn unknown_names(names: &[String]) -> String {
    let lines = names.iter().map(|name| {
        format!(
            "error: there is no entry and no target `{name}`\n  help: `secretsyncd plan` lists both, each target as \
             it is named here\n"
        )
    });
    lines.collect()
}

fn refusal((target, entry): (&str, &str), trouble: &Trouble) -> String {
    format!(
        "error: {target}, for {entry}: {}\n  help: {}\n",
        trouble.message, trouble.help
    )
}

/// What was done, for stdout; and what was not, for stderr.
fn told(adoption: &Adoption) -> (String, String) {
    let mut said = Vec::new();
    let mut errors = Vec::new();
    for AdoptedTarget { target, entry, end } in &adoption.targets {
        match end {
            AdoptEnd::Taken => said.push(format!("taken over: {target}, for {entry}\n")),
            AdoptEnd::Ours | AdoptEnd::Absent => {}
            AdoptEnd::Refused(trouble) => errors.push(refusal((target, entry), trouble)),
        }
    }
    if said.is_empty() && errors.is_empty() {
        said.push("nothing is to be taken over\n".to_owned());
    }
    (said.concat(), errors.concat())
}

fn entries_taken(adoption: &Adoption) -> Vec<EntryName> {
    let taken = adoption.targets.iter();
    let taken = taken.filter(|target| target.end == AdoptEnd::Taken);
    let taken = taken.filter_map(|target| EntryName::new(target.entry.as_str()).ok());
    let mut taken: Vec<EntryName> = taken.collect();
    taken.dedup();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_over_is_told_apart_from_what_is_refused_and_what_is_ours() {
        let target = |target: &str, end| AdoptedTarget {
            target: target.to_owned(),
            entry: "db".to_owned(),
            end,
        };
        let refused = AdoptEnd::Refused(Trouble::from(&not_yet()));
        let adoption = Adoption {
            targets: vec![
                target("/a", AdoptEnd::Taken),
                target("/b", AdoptEnd::Ours),
                target("/c", AdoptEnd::Taken),
                target("main/app/db", refused),
            ],
            unknown: Vec::new(),
        };
        let (said, errors) = told(&adoption);
        assert_eq!(said, "taken over: /a, for db\ntaken over: /c, for db\n");
        assert!(
            errors.starts_with("error: main/app/db, for db: "),
            "{errors}"
        );
        assert_eq!(entries_taken(&adoption), [EntryName::new("db").unwrap()]);
        let (said, errors) = told(&Adoption::default());
        assert_eq!(
            (said.as_str(), errors.as_str()),
            ("nothing is to be taken over\n", "")
        );
    }
}
