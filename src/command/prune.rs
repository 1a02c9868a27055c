//! `prune`: what was delivered and is no longer configured.

use std::path::Path;
use std::process::ExitCode;

use super::{FAILED, USAGE, load, print, show};
use crate::control::{self, NotAsked};
use crate::daemon;
use crate::status::Orphan;

pub(super) async fn run(path: &Path, apply: bool) -> ExitCode {
    if apply {
        show(
            "error: this release does not remove anything: `prune --apply` is not supported yet\n  \
             help: `prune` lists what is left; remove it by hand",
        );
        return ExitCode::from(USAGE);
    }
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    // Where a daemon runs, it holds the state.
    let found = match control::orphans(&config.daemon.control_socket).await {
        Ok(orphans) => Ok(orphans),
        Err(NotAsked::NoDaemon(_)) => {
            daemon::list_orphans(&config).map_err(|stopped| stopped.to_string())
        }
        Err(why) => Err(why.to_string()),
    };
    match found {
        Ok(orphans) => {
            print(&list(&orphans));
            ExitCode::SUCCESS
        }
        Err(why) => {
            show(&format!("error: {why}"));
            ExitCode::from(FAILED)
        }
    }
}

fn list(orphans: &[Orphan]) -> String {
    let width = |text: fn(&Orphan) -> &str| {
        let lengths = orphans.iter().map(|orphan| text(orphan).len());
        lengths.max().unwrap_or(0)
    };
    let (targets, entries) = (width(|it| &it.target), width(|it| &it.entry));
    let lines = orphans.iter().map(|orphan| {
        let since = match orphan.since {
            Some(at) => format!("since {at:.0}"),
            None => "since when is not known".to_owned(),
        };
        format!(
            "{:10}  {:targets$}  {:entries$}  {since}\n",
            orphan.kind, orphan.target, orphan.entry
        )
    });
    let lines: String = lines.collect();
    let count = orphans.len();
    let noun = if count == 1 { "target" } else { "targets" };
    format!("{lines}{count} orphaned {noun}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TargetKind;

    #[test]
    fn each_orphan_is_listed_with_who_wrote_it_and_since_when() {
        let orphan = |kind, target: &str, since: Option<&str>| Orphan {
            kind,
            target: target.to_owned(),
            entry: "db".to_owned(),
            since: since.map(|at| at.parse().unwrap()),
        };
        let orphans = [
            orphan(TargetKind::File, "/run/x", Some("2026-01-02T03:04:05.6Z")),
            orphan(TargetKind::Kubernetes, "prod/app/db", None),
        ];
        assert_eq!(
            list(&orphans),
            "file        /run/x       db  since 2026-01-02T03:04:05Z\n\
             kubernetes  prod/app/db  db  since when is not known\n\
             2 orphaned targets\n"
        );
        assert_eq!(list(&[]), "0 orphaned targets\n");
    }
}
