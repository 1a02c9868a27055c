//! What systemd is told: a socket of the test's own stands for it.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::secrets_manager::SecretsManager;

/// The daemon's messages, each a set of assignments.
struct Systemd {
    socket: UnixDatagram,
}

impl Systemd {
    fn of(home: &mut Home) -> Self {
        let path = home.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        home.set_env("NOTIFY_SOCKET", path.to_str().unwrap());
        Self { socket }
    }

    /// The next message within that time.
    fn next(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// Waits for a message with this in it; returns those before it, too.
    fn wait(&self, wanted: &str) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < end {
            seen.extend(self.next(Duration::from_millis(200)));
            if seen.last().is_some_and(|last| last.contains(wanted)) {
                return seen;
            }
        }
        panic!("no {wanted} among {seen:?}");
    }
}

fn entry(home: &Home, store: &str) -> String {
    format!(
        "[secrets.{store}]
store = \"{store}\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"a\" }} }}]
[[secrets.{store}.file]]
path = {path}
key = \"value\"
",
        path = home.quoted(&format!("targets/{store}")),
    )
}

#[test]
fn ready_comes_with_a_dead_store_and_a_dead_cluster_and_reloads_and_stops_are_told() {
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    let systemd = Systemd::of(&mut home);
    home.set_env("WATCHDOG_USEC", "2000000");
    aws.put("a", "one");
    home.write("ca.pem", "no certificate");
    home.write("token", "no token");
    let dead = "[stores.dead.aws_secrets_manager]\nregion = \"eu-central-1\"\nendpoint_url = \"http://127.0.0.1:9\"\n";
    let cluster = format!(
        "[clusters.gone]\nserver = \"https://127.0.0.1:9\"\ncertificate_authority = {}\ntoken_file = {}\n",
        home.quoted("ca.pem"),
        home.quoted("token"),
    );
    let secret =
        "[[secrets.prod.kubernetes]]\ncluster = \"gone\"\nnamespace = \"app\"\nname = \"db\"\n";
    let tables = aws.store("prod")
        + dead
        + &cluster
        + &entry(&home, "prod")
        + secret
        + &entry(&home, "dead");
    home.configure(&tables);
    let daemon = home.start();
    let before = systemd.wait("READY=1");
    assert!(
        before.iter().any(|it| it.contains("EXTEND_TIMEOUT_USEC=")),
        "the first pass may take its time: {before:?}"
    );
    assert_eq!(home.read_text("targets/prod").unwrap(), "one");
    let mut since = systemd.wait("WATCHDOG=1");
    since.extend(systemd.wait("WATCHDOG=1"));
    // How they stand may have been told already.
    let stand = |it: &String| it.contains("STATUS=2 entries: 2 failing");
    if !before.iter().chain(&since).any(stand) {
        systemd.wait("STATUS=2 entries: 2 failing");
    }
    daemon.signal(Signal::HUP);
    let reloading = systemd.wait("RELOADING=1").pop().unwrap();
    let stamp = reloading
        .lines()
        .find_map(|it| it.strip_prefix("MONOTONIC_USEC="));
    assert!(
        stamp.is_some_and(|it| it.parse::<u64>().is_ok()),
        "{reloading}"
    );
    systemd.wait("READY=1");
    stop(daemon, &systemd);
}

fn stop(daemon: Daemon<'_>, systemd: &Systemd) {
    daemon.signal(Signal::TERM);
    systemd.wait("STOPPING=1");
    assert_eq!(daemon.stop(), Some(0));
}

/// A process that cannot go on at all says nothing; the scheduler alone is stopped in the library's own test.
#[test]
fn a_daemon_that_does_not_run_feeds_no_watchdog() {
    let mut home = Home::new();
    let systemd = Systemd::of(&mut home);
    home.set_env("WATCHDOG_USEC", "1000000");
    home.write("secrets.toml", "a = \"x\"\n");
    home.configure(&format!(
        "[stores.prod.file]\npath = {}\n{}",
        home.quoted("secrets.toml"),
        entry(&home, "prod")
    ));
    let daemon = home.start_ready();
    systemd.wait("WATCHDOG=1");
    daemon.signal(Signal::STOP);
    while systemd.next(Duration::from_millis(300)).is_some() {}
    assert_eq!(systemd.next(Duration::from_secs(2)), None);
    daemon.signal(Signal::CONT);
    systemd.wait("WATCHDOG=1");
}

/// Bug: a reload during the first pass said that everything was tried.
#[test]
fn a_reload_before_it_is_ready_does_not_make_it_ready() {
    let mut home = Home::new();
    let systemd = Systemd::of(&mut home);
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let store = format!(
        "[stores.silent.aws_secrets_manager]\nregion = \"eu-central-1\"\nendpoint_url = \"http://{}\"\n",
        silent.local_addr().unwrap()
    );
    home.configure(&(store + &entry(&home, "silent")));
    let daemon = home.start();
    systemd.wait("EXTEND_TIMEOUT_USEC=");
    daemon.signal(Signal::HUP);
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        let message = systemd.next(Duration::from_millis(100)).unwrap_or_default();
        assert!(!message.contains("READY=1"), "{message}");
    }
    assert!(daemon.output().contains("the configuration was reloaded"));
}
