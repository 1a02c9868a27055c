//! The pages under clients that mean no good, or nothing at all.

use std::net::TcpStream;
use std::time::Duration;

use crate::support::daemon::{Daemon, Home, wait_content};
use crate::support::http;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

const SILENT: usize = 100;

/// Descriptors beyond those of an idle daemon; of connections it lets in 64 at a time.
const ROOM: u64 = 84;

/// How long a client may take over the head of its request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

fn silent_clients(home: &Home) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(("127.0.0.1", home.port())).unwrap();
    (0..SILENT).map(connect).collect()
}

fn wait_healthy(daemon: &Daemon<'_>, deadline: Duration, what: &str) {
    let url = daemon.url("/healthz");
    wait_until(deadline, what, || {
        http::get(&url).is_some_and(|page| page.status == 200)
    });
}

/// Bug: connections were neither counted nor limited in time, so that silent ones used up the descriptors that
/// deliveries need and kept the pages away.
#[test]
fn silent_clients_stop_nothing() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    home.configure(&format!(
        "{store}[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\" }} }}]
[[secrets.db.file]]
path = {path}
key = \"v\"
",
        store = aws.store("prod"),
        path = home.quoted("targets/db"),
    ));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");

    // The descriptors of a small machine: enough for the clients that are let in, not for all.
    daemon.limit_descriptors(ROOM);
    let clients = silent_clients(&home);
    aws.put("prod/db", "second");
    wait_content(&home, "targets/db", "second");
    // Two rounds of clients that never speak, and ours behind them.
    wait_healthy(&daemon, HEAD_LIMIT * 2 + Duration::from_secs(6), "its turn");
    drop(clients);

    let clients = silent_clients(&home);
    drop(clients);
    wait_healthy(&daemon, HEAD_LIMIT / 2, "an answer once they are gone");
    assert_eq!(daemon.stop(), Some(0));
}
