//! `status`: how everything stands, as the daemon says it.

mod notices;

use std::path::Path;
use std::process::ExitCode;

use super::table::{self, Columns, Sheet};
use super::{FAILED, UNAVAILABLE, find_daemon, print, show};
use crate::control;
use crate::status::Status;

/// 1 says that something is not fresh; whatever keeps that from being known is 69.
pub(super) async fn run(path: &Path, json: bool) -> ExitCode {
    let socket = match find_daemon(path) {
        Ok(socket) => socket,
        Err(code) => return code,
    };
    let status = match control::status(&socket).await {
        Ok(status) => status,
        Err(why) => {
            show(&format!("error: {why}"));
            return ExitCode::from(UNAVAILABLE);
        }
    };
    let well = table::is_well(&status.entries);
    let text = if json {
        let text = serde_json::to_string(&status)
            .expect("a status has string keys and no floats, so JSON can hold it");
        text + "\n"
    } else {
        text(status, Sheet::for_stdout())
    };
    print(&text, if well { 0 } else { FAILED })
}

/// That all of it is by an old configuration, where it is; the entries, the worst first; and what concerns more than one of
/// them at the end, which is what a terminal shows.
fn text(mut status: Status, sheet: Sheet) -> String {
    table::worst_first(&mut status.entries);
    // Spans are seen from when it was said.
    let list = table::table(&status.entries, Columns::Standing(status.at), sheet);
    let summary = sheet.lines(0, &table::summary(&status.entries));
    let notices = notices::lines(&status, sheet);
    let end = summary.into_iter().chain(notices);
    let end: String = end.map(|line| line + "\n").collect();
    let begin = notices::refused(&status, sheet).into_iter();
    let begin: String = begin.map(|line| line + "\n").collect();
    begin + &list + &end
}
