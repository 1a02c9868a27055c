//! Thousands of watched Secrets: what they cost while nothing happens.
//!
//! What is promised of ten thousand is measured by name, with an optimised daemon, as `.ci/run` does from the top of the
//! repository: `cargo build --release && SECRETSYNCD_TEST_DAEMON=$PWD/target/release/secretsyncd cargo test --test it --
//! --ignored --nocapture many::`. A thousand are weighed with every run of the tests: each may add so much and no more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Kubernetes, Shape, Verb};
use crate::support::machine::Alone;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

/// Bytes that one more Secret may take in a daemon without optimisations, gaps between what is in use included.
const EACH_AT_MOST: u64 = 20_000;

/// As many Secrets, each with an entry and a source of its own.
struct Many {
    aws: SecretsManager,
    kubernetes: Kubernetes,
    home: Home,
    count: usize,
    interval: Duration,
}

impl Many {
    fn new(count: usize, interval: Duration) -> Self {
        Self {
            aws: SecretsManager::start(),
            kubernetes: Kubernetes::start(),
            home: Home::new(),
            count,
            interval,
        }
    }

    fn configure(&self, daemon: &str) {
        // How long the start takes is not what this is about.
        let cluster = self.kubernetes.cluster("main");
        let cluster = cluster.replace("kubeconfig =", "requests_per_second = 2000\nkubeconfig =");
        let tables = self.aws.store("prod") + &cluster;
        let home = &self.home;
        home.configure_whole(&format!(
            "include = [\"parts/*.toml\"]\n[daemon]\nlisten = \"127.0.0.1:{}\"\nstate_dir = {}\ncontrol_socket = {}\n{daemon}\n{tables}",
            home.port(),
            home.quoted("state"),
            home.quoted("c.sock"),
        ));
        // A file of a configuration is not larger than 1 MiB.
        let numbers: Vec<usize> = (0..self.count).collect();
        for (part, numbers) in numbers.chunks(2000).enumerate() {
            let entries: String = numbers.iter().map(|number| self.entry(*number)).collect();
            home.write(&format!("parts/{part}.toml"), entries);
        }
    }

    fn entry(&self, number: usize) -> String {
        self.aws
            .put(&format!("s{number}"), &format!("value {number}"));
        let seconds = self.interval.as_secs();
        format!(
            "[secrets.e{number}]
store = \"prod\"
refresh_interval = \"{seconds}s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"s{number}\" }} }}]
[[secrets.e{number}.kubernetes]]
cluster = \"main\"
namespace = \"app\"
drift = \"watch\"
"
        )
    }

    /// Everything is delivered and watched, and its first interval is over.
    fn start(&self) -> Daemon<'_> {
        let mut daemon = self.home.start();
        daemon.wait_ready(PATIENCE * 20);
        wait_until(PATIENCE, "one watch", || self.kubernetes.watches() == 1);
        wait_until(PATIENCE * 2, "everything fresh", || {
            let status = daemon.status();
            status.states().iter().all(|state| *state == "fresh")
        });
        // Of some, the watch told before their run had ended; they are looked at once.
        let mut seen = (0, Instant::now());
        wait_until(PATIENCE, "quiet", || {
            let requests = self.kubernetes.log().0.len();
            if requests != seen.0 {
                seen = (requests, Instant::now());
            }
            seen.1.elapsed() > self.interval / 5
        });
        daemon
    }

    /// Waits for so many intervals, in which nobody asks the cluster for anything.
    fn idle(&self, daemon: &Daemon<'_>, intervals: u32) {
        let requests = || self.kubernetes.log().0.len();
        let (before, reads) = (requests(), self.aws.log().reads("s0").count());
        stays_true(self.interval * intervals, "no request", || {
            requests() == before && self.kubernetes.watches() == 1
        });
        // The intervals did pass.
        let rounds = self.aws.log().reads("s0").count() - reads;
        assert!(rounds + 1 >= intervals as usize, "{rounds} rounds");
        let log = self.kubernetes.log().0;
        let looks = log.iter().filter(|it| it.shape == Shape::Metadata);
        let looks = looks.filter(|it| it.verb == Verb::Get).count();
        let used: BTreeSet<u64> = log.iter().map(|request| request.connection).collect();
        let watching = log.iter().filter(|request| request.verb == Verb::Watch);
        eprintln!(
            "{} Secrets: {before} requests at the start, {} of them watches, {looks} looks, over {} connections",
            self.count,
            watching.count(),
            used.len()
        );
        assert!(used.len() <= 4, "a handful of connections: {used:?}");
        let status = daemon.status();
        assert!(status.states().iter().all(|state| *state == "fresh"));
    }
}

/// What a daemon takes once it is idle with so many Secrets, without what is mapped from files.
fn weight_of(count: usize, intervals: u32) -> u64 {
    let many = Many::new(count, Duration::from_secs(10));
    many.configure("per_secret_metrics = false\n");
    let daemon = many.start();
    many.idle(&daemon, intervals);
    daemon.memory().anonymous
}

#[test]
fn a_thousand_watched_secrets_cost_a_handful_of_connections_no_request_and_little_memory() {
    let (few, many) = (weight_of(10, 0), weight_of(1010, 2));
    let each = many.saturating_sub(few) / 1000;
    eprintln!("{few} bytes with 10 Secrets, {each} for each of 1000 more");
    assert!(each < EACH_AT_MOST, "{each} bytes for each Secret");
}

#[test]
#[ignore = "a measurement of some minutes, for an optimised build"]
fn ten_thousand_watched_secrets_fit_into_sixty_mebibytes() {
    let _alone = Alone::wait();
    let many = Many::new(10_000, Duration::from_mins(1));
    let measured = ["per_secret_metrics = false\n", ""].map(|daemon| {
        many.configure(daemon);
        let daemon = many.start();
        // Each scrape makes a page of its own.
        let page = daemon.page("/metrics").len();
        many.idle(&daemon, 2);
        let memory = daemon.memory();
        let mebibytes = |bytes: u64| bytes >> 20;
        eprintln!(
            "{} MiB, {} of them anonymous, {} at most; a page of metrics has {page} bytes",
            mebibytes(memory.resident),
            mebibytes(memory.anonymous),
            mebibytes(memory.peak)
        );
        memory.resident
    });
    let [without, with] = measured;
    assert!(without < 60 << 20, "{without}");
    assert!(with < without + (40 << 20), "{with} and {without}");
}
