//! What concerns more than one entry: a configuration that is not in use, pauses, removals that are held, who leads.

use jiff::Timestamp;

use crate::command::table::{Sheet, age};
use crate::status::{
    Held, LeaderStatus, PausedCluster, PausedStore, ReloadStatus, Status, Trouble,
};

/// That a configuration was refused: what is below is by the one from before.
pub(super) fn refused(status: &Status, sheet: Sheet) -> Vec<String> {
    let last = status.reload.as_ref().filter(|last| !last.successful);
    let notice = last.map(|last| reload_failed(last, status.at));
    notice.map_or_else(Vec::new, |notice| notice.lines(sheet))
}

pub(super) fn lines(status: &Status, sheet: Sheet) -> Vec<String> {
    let at = status.at;
    let stores = status.paused_stores.iter().map(|paused| {
        let PausedStore {
            store,
            since,
            next_probe,
            error,
        } = paused;
        pause(
            &format!("store `{store}`"),
            (*since, *next_probe, error),
            at,
        )
    });
    let clusters = status.paused_clusters.iter().map(|paused| {
        let PausedCluster {
            cluster,
            since,
            next_probe,
            error,
        } = paused;
        pause(
            &format!("cluster `{cluster}`"),
            (*since, *next_probe, error),
            at,
        )
    });
    let held = status.held.iter().map(held);
    let leader = status.leader.iter().map(leader);
    let all = stores.chain(clusters).chain(held).chain(leader);
    all.flat_map(|notice| notice.lines(sheet)).collect()
}

struct Notice {
    fact: String,
    help: Option<String>,
}

impl Notice {
    fn lines(self, sheet: Sheet) -> Vec<String> {
        let help = self.help.map(|help| format!("help: {help}"));
        let help = help.iter().flat_map(|help| sheet.lines(2, help));
        sheet.lines(0, &self.fact).into_iter().chain(help).collect()
    }
}

/// Why everything there waits for one probe.
fn pause(
    what: &str,
    (since, next_probe, error): (Timestamp, Timestamp, &Trouble),
    now: Timestamp,
) -> Notice {
    let since = age(now.duration_since(since).as_secs());
    let next = if next_probe > now {
        format!("in {}", age(next_probe.duration_since(now).as_secs()))
    } else {
        "now".to_owned()
    };
    Notice {
        fact: format!(
            "{what} is paused for {since} and is next asked {next}: {} ({})",
            error.message, error.reason
        ),
        help: Some(error.help.clone()),
    }
}

/// What the brake keeps from being removed.
fn held(Held { entry, targets }: &Held) -> Notice {
    let count = targets.len();
    let plural = if count == 1 { "removal" } else { "removals" };
    Notice {
        fact: format!(
            "{count} {plural} of entry `{entry}` held, because more than three targets and a fifth of all would go within \
             an hour"
        ),
        help: Some(format!(
            "`secretsyncd prune` lists them; `secretsyncd prune --apply {entry}` lets them go"
        )),
    }
}

/// Who writes to Kubernetes, where several machines could.
fn leader(leader: &LeaderStatus) -> Notice {
    let standing = match (leader.leads, &leader.holder) {
        (true, _) => "this machine leads".to_owned(),
        (false, Some(holder)) => format!("standby; `{holder}` holds the Lease"),
        (false, None) => "standby; nobody is known to hold the Lease".to_owned(),
    };
    let error = leader.error.as_ref();
    let why = error.map_or_else(String::new, |error| format!(": {}", error.message));
    Notice {
        fact: format!("{standing} ({}){why}", leader.lease),
        help: error.map(|error| error.help.clone()),
    }
}

/// That the configuration on disk is not the one in use.
fn reload_failed(last: &ReloadStatus, now: Timestamp) -> Notice {
    let why = last.error.as_deref().unwrap_or("the log says why");
    let help = last.help.as_deref();
    let since = age(now.duration_since(last.at).as_secs());
    Notice {
        fact: format!(
            "the configuration was not reloaded ({since} ago), the one from before goes on: {why}"
        ),
        help: Some(
            help.unwrap_or("`secretsyncd check` names every mistake in it, the log says more")
                .to_owned(),
        ),
    }
}
