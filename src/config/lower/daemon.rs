//! `[daemon]`.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::Lowering;
use super::scalar::duration;
use crate::config::Daemon;
use crate::config::problems::{Place, Problem};
use crate::config::tree::{Table, closest};
use crate::names::Instance;

/// What a Unix socket's address has room for.
const LONGEST_SOCKET_PATH: usize = 107;

/// The keys that do not say where the daemon is asked.
const OTHERS: [&str; 8] = [
    "instance",
    "listen",
    "control_group",
    "shutdown_grace",
    "prune",
    "prune_after",
    "per_secret_metrics",
    "leader",
];

/// Lowers the table; without one, everything has its default. The second is what it says of a leader, which has names
/// in it that are known later.
pub(super) fn lower<'t>(
    cx: &Lowering<'_>,
    table: Option<Table<'t>>,
    main: Place,
) -> (Option<Daemon>, Option<Table<'t>>) {
    let Some(mut table) = table else {
        return (defaults(cx, main), None);
    };
    let leader = table.table("leader");
    (whole(cx, table), leader)
}

/// Where the daemon is asked. `None` where that is said and not understood.
pub(super) fn find_socket(
    cx: &Lowering<'_>,
    table: Option<Table<'_>>,
    main: Place,
) -> Option<PathBuf> {
    let mut table = table;
    let (socket, state_dir) = match &mut table {
        Some(table) => (table.take("control_socket"), table.take("state_dir")),
        None => (None, None),
    };
    if let Some(socket) = socket {
        return cx.path(socket).map(|path| path.value);
    }
    if table.is_some_and(may_mean_the_socket) {
        return None;
    }
    let daemon = match state_dir {
        Some(dir) => with_state_dir(cx, cx.path(dir)?.value),
        None => defaults(cx, main)?,
    };
    Some(daemon.control_socket)
}

/// Whether a key that there is not may be a misspelling of what says it; all that there are not are named then.
fn may_mean_the_socket(mut table: Table<'_>) -> bool {
    let says_else = |key: &str| {
        let known = OTHERS.into_iter().chain(["control_socket", "state_dir"]);
        let meant = closest(key, known);
        key == "state_dir" || meant.is_some_and(|meant| OTHERS.contains(&meant))
    };
    let keys = table.all("key");
    if keys.iter().all(|(key, _)| says_else(key.value)) {
        return false;
    }
    table.also_known(&OTHERS);
    table.finish();
    true
}

fn whole(cx: &Lowering<'_>, mut table: Table<'_>) -> Option<Daemon> {
    let is_given = table.has("state_dir");
    let state_dir = table.take("state_dir").and_then(|v| cx.path(v));
    let base = match state_dir {
        Some(dir) => Some(with_state_dir(cx, dir.value)),
        None if is_given => None,
        None => defaults(cx, table.at),
    };
    let instance = table
        .string("instance")
        .and_then(|text| cx.name("`instance`", text, Instance::new));
    let listen = table.take("listen").and_then(|v| cx.address(v));
    let control_socket = table.take("control_socket").and_then(|v| cx.path(v));
    let control_group = table
        .take("control_group")
        .and_then(|v| cx.plain_text(v, 64))
        .map(|group| group.value.to_owned());
    let shutdown_grace = table.take("shutdown_grace").and_then(duration);
    let prune_after = table.take("prune_after").and_then(duration);
    let per_secret_metrics = table.boolean("per_secret_metrics");
    let prune = table.boolean("prune");
    table.finish();

    if let Some(socket) = &control_socket
        && socket.value.as_os_str().as_bytes().len() > LONGEST_SOCKET_PATH
    {
        cx.problems.push(Problem::warning(
            socket.at,
            "this path is longer than the 107 bytes a socket's address has room for",
        ));
    }
    let mut daemon = base?;
    if let Some(instance) = instance {
        daemon.instance = instance.value;
    }
    if let Some(listen) = listen {
        daemon.listen = listen.value;
    }
    if let Some(socket) = control_socket {
        daemon.control_socket = socket.value;
    }
    daemon.control_group = control_group;
    daemon.shutdown_grace = shutdown_grace.map_or(daemon.shutdown_grace, |d| d.value);
    daemon.prune = prune.is_some_and(|b| b.value);
    daemon.prune_after = prune_after.map_or(daemon.prune_after, |d| d.value);
    daemon.per_secret_metrics = per_secret_metrics.is_none_or(|b| b.value);
    Some(daemon)
}

fn defaults(cx: &Lowering<'_>, at: Place) -> Option<Daemon> {
    let state_dir = cx.surroundings.state_dir();
    if state_dir.is_none() {
        cx.problems.push(
            Problem::error(
                at,
                "there is no place for the state: this user has no $HOME",
            )
            .help("set `state_dir` under [daemon]"),
        );
    }
    Some(with_state_dir(cx, state_dir?))
}

fn with_state_dir(cx: &Lowering<'_>, state_dir: PathBuf) -> Daemon {
    Daemon {
        instance: Instance::new("default").expect("`default` is a legal instance"),
        listen: SocketAddr::from(([127, 0, 0, 1], 9785)),
        control_socket: cx.surroundings.control_socket(&state_dir),
        state_dir,
        control_group: None,
        shutdown_grace: Duration::from_secs(20),
        prune: false,
        prune_after: Duration::from_hours(24),
        per_secret_metrics: true,
        leader: None,
    }
}
