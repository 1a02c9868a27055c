//! `status`: how everything stands, as the daemon says it.

use std::path::Path;
use std::process::ExitCode;

use super::table::{self, Columns, Paint};
use super::{FAILED, UNAVAILABLE, find_daemon, print, show};
use crate::status::{LeaderStatus, PausedCluster, ReloadStatus};
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
    let text = if json {
        let text = serde_json::to_string(&status)
            .expect("a status has string keys and no floats, so JSON can hold it");
        text + "\n"
    } else {
        table::worst_first(&mut status.entries);
        let columns = Columns::Standing(clock::now());
        let list = table::table(&status.entries, columns, Paint::for_stdout());
        let summary = table::summary(&status.entries);
        let paused: String = status.paused_clusters.iter().map(paused).collect();
        list + &summary
            + &paused
            + &leader(status.leader.as_ref())
            + &reload(status.reload.as_ref())
    };
    let well = table::is_well(&status.entries);
    print(&text, if well { 0 } else { FAILED })
}

/// Why everything there waits for one probe.
fn paused(paused: &PausedCluster) -> String {
    let PausedCluster {
        cluster,
        since,
        next_probe,
        error,
    } = paused;
    format!(
        "cluster `{cluster}` is paused since {since:.0}, it is next asked at {next_probe:.0}: {}: {}\n  help: {}\n",
        error.reason, error.message, error.help
    )
}

/// Who writes to Kubernetes, where several machines could.
fn leader(leader: Option<&LeaderStatus>) -> String {
    let Some(leader) = leader else {
        return String::new();
    };
    let standing = match (leader.leads, &leader.holder) {
        (true, _) => "this machine leads".to_owned(),
        (false, Some(holder)) => format!("standby; `{holder}` holds the Lease"),
        (false, None) => "standby; nobody is known to hold the Lease".to_owned(),
    };
    let error = leader.error.as_ref();
    let error = error.map(|error| format!(": {}\n  help: {}", error.message, error.help));
    format!(
        "{standing} ({}){}\n",
        leader.lease,
        error.unwrap_or_default()
    )
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
