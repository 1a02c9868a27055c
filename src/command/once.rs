//! `once`: everything once, then one line per entry.

use std::path::Path;
use std::process::ExitCode;

use super::progress::ProgressLine;
use super::table::{Columns, Sheet, table};
use super::{FAILED, PARTIAL, TEMPORARY, load_with, print, show};
use crate::cli::call;
use crate::daemon::{self, Done, Stopped};
use crate::names::EntryName;
use crate::report::Condition;
use crate::status::{EntryStatus, LeaderStatus};

pub(super) async fn run(path: &Path, names: &[EntryName]) -> ExitCode {
    let config = match load_with(path, names) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let mut line = ProgressLine::new();
    let ended = daemon::once(config, names, |now| line.show(now)).await;
    drop(line);
    match ended {
        Ok(Done { entries, leader }) => {
            if let Some(leader) = leader.filter(|leader| !leader.leads) {
                show(&standby(&leader));
            }
            let list = table(&entries, Columns::Outcome, Sheet::for_stdout());
            print(&list, exit_code(&entries))
        }
        Err(held @ Stopped::StateHeld(..)) => {
            let sync = call("sync --all", path);
            show(&format!(
                "error: {held}\n  help: or let that one do it: `{sync}`"
            ));
            ExitCode::from(TEMPORARY)
        }
        Err(stopped) => {
            show(&format!("error: {stopped}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Why no Secret was written.
fn standby(leader: &LeaderStatus) -> String {
    let LeaderStatus {
        lease,
        holder,
        error,
        ..
    } = leader;
    let why = match (error, holder) {
        (Some(error), _) => format!("{}\n  help: {}", error.message, error.help),
        (None, Some(holder)) => format!("`{holder}` holds the Lease `{lease}`"),
        (None, None) => format!("the Lease `{lease}` is not ours"),
    };
    format!("warning: nothing was written to Kubernetes: {why}")
}

fn exit_code(entries: &[EntryStatus]) -> u8 {
    let worst = entries.iter().filter_map(EntryStatus::counted).min();
    match worst {
        None | Some(Condition::Fresh | Condition::Suspended) => 0,
        Some(Condition::Partial) => PARTIAL,
        Some(Condition::Contested | Condition::Stale | Condition::Failing | Condition::Pending) => {
            FAILED
        }
    }
}
