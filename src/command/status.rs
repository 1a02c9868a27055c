//! `status`: how everything stands, as the daemon says it.

use std::path::Path;
use std::process::ExitCode;

use super::table::{self, Columns, Paint};
use super::{FAILED, UNAVAILABLE, find_daemon, print, show};
use crate::status::ReloadStatus;
use crate::{clock, control};

/// 1 says that something is not fresh; whatever keeps that from being known is 69.
pub(super) async fn run(path: &Path, json: bool) -> ExitCode {
    let daemon = match find_daemon(path) {
        Ok(daemon) => daemon,
        Err(code) => return code,
    };
    let mut status = match control::status(&daemon.control_socket).await {
        Ok(status) => status,
        Err(why) => {
            show(&format!("error: {why}"));
            return ExitCode::from(UNAVAILABLE);
        }
    };
    if json {
        let text = serde_json::to_string(&status)
            .expect("a status has string keys and no floats, so JSON can hold it");
        print(&(text + "\n"));
    } else {
        table::worst_first(&mut status.entries);
        let columns = Columns::Standing(clock::now());
        let list = table::table(&status.entries, columns, Paint::for_stdout());
        print(&(list + &table::summary(&status.entries) + &reload(status.reload.as_ref())));
    }
    if table::is_well(&status.entries) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

/// That the configuration on disk is not the one in use.
fn reload(last: Option<&ReloadStatus>) -> String {
    let Some(last) = last.filter(|last| !last.successful) else {
        return String::new();
    };
    let why = last.error.as_deref().unwrap_or("the log says why");
    format!(
        "the configuration was not reloaded at {:.0}, the one from before goes on: {why}\n",
        last.at
    )
}
