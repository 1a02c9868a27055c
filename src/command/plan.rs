//! `plan`: what would be done to each target, and nothing is written.

pub(super) mod against;
pub(super) mod list;

use std::path::Path;
use std::process::ExitCode;

use super::progress::ProgressLine;
use super::table::Paint;
use super::{FAILED, WOULD_CHANGE, load_with, print, show};
use crate::daemon;
use crate::names::EntryName;
use crate::sync::plan::View;

/// Beside another Secret, where that is wished for.
pub(super) async fn run(
    path: &Path,
    names: &[EntryName],
    against: Option<against::Wish>,
    detailed: bool,
) -> ExitCode {
    match against {
        Some(wish) => against::run(path, names, &wish, detailed).await,
        None => in_place(path, names, detailed).await,
    }
}

async fn in_place(path: &Path, names: &[EntryName], detailed: bool) -> ExitCode {
    let config = match load_with(path, names) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let mut line = ProgressLine::new();
    let view = (names, View::Run);
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
        show(&format!(
            "warning: {unknown}\n  help: {}\n  note: without it, files and Secrets that differ from their source count as \
             somebody else's here",
            unknown.help()
        ));
    }
    let rows = list::rows(&plan.entries);
    let code = exit_code(&rows, detailed);
    print(&list::text(&rows, Paint::for_stdout()), code)
}

fn exit_code(rows: &[list::Row], detailed: bool) -> u8 {
    if rows.iter().any(list::Row::is_bad) {
        FAILED
    } else if detailed && rows.iter().any(list::Row::is_change) {
        WOULD_CHANGE
    } else {
        0
    }
}
