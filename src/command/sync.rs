//! `sync`: the daemon reads and delivers now, and this waits for it.

use std::path::Path;
use std::process::ExitCode;

use super::progress::ProgressLine;
use super::table::{self, Columns, Sheet};
use super::{FAILED, UNAVAILABLE, USAGE, find_daemon, print, show};
use crate::clock;
use crate::control::{self, NotAsked, Which};
use crate::report::Condition;
use crate::status::EntryStatus;

/// What was not done, though it was asked for.
fn remark(entries: &[EntryStatus]) {
    if entries.is_empty() {
        show("nothing was to be done: no entry is like that");
    }
    for entry in entries.iter().filter(|entry| is_suspended(entry)) {
        show(&format!(
            "entry `{}` is suspended: nothing was done\n  help: take `suspend = true` out of its table first",
            entry.name
        ));
    }
}

fn is_suspended(entry: &EntryStatus) -> bool {
    entry.state == Condition::Suspended
}

/// What was asked for by name and left alone did not happen; among all, what is suspended is as it is meant to be.
fn is_done(by_name: bool, entries: &[EntryStatus]) -> bool {
    table::is_well(entries) && !(by_name && entries.iter().any(is_suspended))
}

pub(super) async fn run(path: &Path, which: Which) -> ExitCode {
    let socket = match find_daemon(path) {
        Ok(socket) => socket,
        Err(code) => return code,
    };
    let by_name = matches!(which, Which::Names(_));
    let mut line = ProgressLine::new();
    let synced = control::sync(&socket, which, |now| line.show(now)).await;
    drop(line);
    match synced {
        Ok(mut entries) => {
            table::worst_first(&mut entries);
            let columns = Columns::Standing(clock::now());
            remark(&entries);
            let list = table::table(&entries, columns, Sheet::for_stdout());
            print(
                &list,
                if is_done(by_name, &entries) {
                    0
                } else {
                    FAILED
                },
            )
        }
        Err(why) => {
            show(&format!("error: {why}"));
            ExitCode::from(match why {
                NotAsked::Unknown { .. } => USAGE,
                NotAsked::NoDaemon(_)
                | NotAsked::Denied(_)
                | NotAsked::OtherRelease(_)
                | NotAsked::Busy
                | NotAsked::BrokenOff
                | NotAsked::TooLong
                | NotAsked::NotAnswered(_) => UNAVAILABLE,
            })
        }
    }
}
