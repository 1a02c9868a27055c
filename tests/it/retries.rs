//! What goes on while something is broken: what still arrives, how often is asked, and what the pages say meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{CWD, FileType, Mode, mknodat, renameat};

use crate::support::daemon::{Daemon, Home, PATIENCE, wait_content};
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::wait::{stays_true, wait_until};

const INTERVAL: Duration = Duration::from_secs(10);

/// Somewhat more than three intervals.
const WATCH: Duration = Duration::from_secs(35);

/// The first pass, one read per interval, and one to spare.
const ROUTINE_READS: usize = 1 + 3 + 1;

const PROPAGATIONS: &str = "secretsyncd_propagation_seconds_count";
const UNDELIVERED: &str = "secretsyncd_undelivered_version_created_timestamp_seconds";

/// An entry that delivers `prod/db` as it is to files at these paths.
fn entry(home: &Home, name: &str, paths: &[&str]) -> String {
    let targets = paths.iter().map(|path| {
        let path = home.quoted(path);
        format!("[[secrets.{name}.file]]\npath = {path}\nkey = \"v\"\n")
    });
    format!(
        "[secrets.{name}]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\" }} }}]
{}",
        targets.collect::<String>()
    )
}

fn target_state(daemon: &Daemon<'_>, home: &Home, entry: &str, path: &str) -> String {
    let path = home.path(path).display().to_string();
    daemon.status().entry(entry).target_state(&path).to_owned()
}

/// Bug: while one target was retried, the routine answers that carry a new version were not handed to the others.
#[test]
fn a_broken_target_does_not_hold_back_a_rotation() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    home.write("a-file", "not a directory");
    let targets = ["a-file/x", "targets/good"];
    home.configure(&(aws.store("prod") + &entry(&home, "db", &targets)));
    let daemon = home.start_ready();
    wait_content(&home, "targets/good", "first");
    for value in ["second", "third"] {
        aws.put("prod/db", value);
        wait_until(INTERVAL * 2, "the healthy target to follow", || {
            home.read_text("targets/good").as_deref() == Some(value)
        });
    }
    daemon.wait_state("db", "failing");
    assert_eq!(target_state(&daemon, &home, "db", "targets/good"), "fresh");
    assert_eq!(target_state(&daemon, &home, "db", "a-file/x"), "failing");
    assert_eq!(home.read_text("a-file").unwrap(), "not a directory");
}

/// Bug: a store file that is a FIFO was opened with a blocking call that never came back.
#[test]
fn a_store_file_that_becomes_a_fifo_and_a_file_again() {
    let home = Home::new();
    home.write("secrets.toml", "token = 'first'\n");
    home.configure(&format!(
        "[stores.local.file]
path = \"secrets.toml\"
[secrets.db]
store = \"local\"
refresh_interval = \"2s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"token\" }} }}]
[[secrets.db.file]]
path = {}
key = \"v\"
",
        home.quoted("targets/db")
    ));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    let owner_only = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, home.path("fifo"), FileType::Fifo, owner_only, 0).unwrap();
    renameat(CWD, home.path("fifo"), CWD, home.path("secrets.toml")).unwrap();
    wait_until(Duration::from_secs(10), "the entry to fail", || {
        daemon.status().entry("db").state() == "failing"
    });
    assert_eq!(daemon.status().entry("db").reason().as_deref(), Some("io"));
    stays_true(Duration::from_secs(6), "failing, the copy kept", || {
        daemon.status().entry("db").state() == "failing"
            && home.read_text("targets/db").as_deref() == Some("first")
    });
    home.write("next.toml", "token = 'second'\n");
    renameat(CWD, home.path("next.toml"), CWD, home.path("secrets.toml")).unwrap();
    wait_until(Duration::from_secs(10), "the target to follow", || {
        home.read_text("targets/db").as_deref() == Some("second")
    });
    daemon.wait_state("db", "fresh");
}

/// Watches a daemon on `config` for more than three intervals.
fn reads_stay_routine(aws: &SecretsManager, home: &Home, config: &str, failing: &[&str]) {
    home.configure(config);
    let daemon = home.start_ready();
    for entry in failing {
        daemon.wait_state(entry, "failing");
    }
    stays_true(WATCH, "the daemon answers", || {
        daemon.status().states().len() == failing.len()
    });
    let reads = aws.log().read_count("prod/db");
    assert!(reads <= ROUTINE_READS, "{reads} reads in {WATCH:?}");
    // An entry that has given up reading would be no better.
    assert!(reads >= 3, "only {reads} reads in {WATCH:?}");
    for entry in failing {
        daemon.wait_state(entry, "failing");
    }
}

/// Bug: every retry of the conflict and of the unreachable target read the source again.
#[test]
fn broken_targets_cost_no_reads() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "ours");
    home.write("a-file", "not a directory");
    home.write("targets/theirs", "theirs");
    let config = aws.store("prod") + &entry(&home, "db", &["targets/theirs", "a-file/x"]);
    reads_stay_routine(&aws, &home, &config, &["db"]);
    assert_eq!(home.read_text("targets/theirs").unwrap(), "theirs");
}

/// Bug: each entry whose content could not be made read the shared source again, at its own times.
#[test]
fn entries_that_cannot_be_assembled_share_the_routine_reads() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", r#"{"present":"1"}"#);
    let names = ["a", "b", "c", "d", "e"];
    let entries = names.iter().zip(10..).map(|(name, seconds)| {
        entry(&home, name, &[&format!("targets/{name}")])
            .replace("\"10s\"", &format!("\"{seconds}s\""))
            .replace(
                "key = \"prod/db\"",
                "key = \"prod/db\", property = \"absent\"",
            )
    });
    let config = aws.store("prod") + &entries.collect::<String>();
    reads_stay_routine(&aws, &home, &config, &names);
}

/// Bug: of several failing targets only the first was named in the log.
#[test]
fn every_failing_target_is_named_in_the_log() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "ours");
    home.write("a-file", "not a directory");
    home.write("b-file", "not a directory");
    home.write("targets/theirs", "theirs");
    let targets = [
        ("a-file/x", "target_missing"),
        ("b-file/y", "target_missing"),
        ("targets/theirs", "conflict"),
    ];
    let paths = targets.map(|(path, _)| path);
    home.configure(&(aws.store("prod") + &entry(&home, "db", &paths)));
    let daemon = home.start_ready();
    daemon.wait_state("db", "failing");
    let log = daemon.output();
    for (path, reason) in targets {
        let name = format!("target.name={}", home.path(path).display());
        let told = log.lines().any(|line| {
            line.contains(&name)
                && line.contains(&format!("reason={reason}"))
                && line.contains("help=")
        });
        assert!(told, "{path} with {reason} is not in the log:\n{log}");
    }
}

/// Bug: the older version that a single answer of a stale replica held was shown as one that waits to be delivered.
#[test]
fn a_stale_replica_leaves_no_trace() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    home.configure(&(aws.store("prod") + &entry(&home, "db", &["targets/db"])));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    aws.put("prod/db", "second");
    wait_content(&home, "targets/db", "second");
    daemon.wait_state("db", "fresh");
    let count = || daemon.metrics().value(PROPAGATIONS, &[]).to_bits();
    let propagations = count();
    assert_eq!(propagations, 1.0_f64.to_bits());

    let before = aws.log().read_count("prod/db");
    aws.rollback("prod/db");
    wait_until(PATIENCE, "a read of the older version", || {
        aws.log().read_count("prod/db") > before
    });
    aws.rollback("prod/db");
    let stale = aws.log().read_count("prod/db");
    stays_true(Duration::from_secs(18), "the newer version stays", || {
        home.read_text("targets/db").as_deref() == Some("second")
            && daemon.metrics().sum(UNDELIVERED, &[]).is_none()
    });
    assert!(aws.log().read_count("prod/db") >= stale + 2, "read again");
    assert_eq!(count(), propagations);
    assert_eq!(daemon.status().entry("db").state(), "fresh");
}

/// Bug: while its read failed, an entry's next time stayed where it was and fell behind the clock.
#[test]
fn the_next_time_lies_ahead_while_a_read_is_tried_again_soon() {
    next_time_lies_ahead(Fault::ExpiredToken);
}

#[test]
fn the_next_time_lies_ahead_while_a_read_is_refused() {
    next_time_lies_ahead(Fault::AccessDenied);
}

#[test]
fn the_next_time_lies_ahead_while_a_read_hangs() {
    next_time_lies_ahead(Fault::Hang);
}

fn next_time_lies_ahead(fault: Fault) {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.configure(&(aws.store("prod") + &entry(&home, "db", &["targets/db"])));
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    aws.fail_all(fault);
    daemon.wait_state("db", "failing");
    let start = Timestamp::now();
    while Timestamp::now().duration_since(start).unsigned_abs() < WATCH {
        let gauge = "secretsyncd_next_sync_timestamp_seconds";
        let shown = [
            next_sync(&daemon),
            daemon.metrics().value(gauge, &[("secret", "db")]),
        ];
        let now = seconds(Timestamp::now());
        let ahead = shown.map(|shown| shown - now);
        assert!(
            ahead.iter().all(|ahead| *ahead > -2.0),
            "ahead by {ahead:?} s"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn next_sync(daemon: &Daemon<'_>) -> f64 {
    let status = daemon.status();
    seconds(status.entry("db").next_sync().unwrap().parse().unwrap())
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// Bug: with a service clock ahead of ours, the time a version took came out negative, or as its huge remainder.
#[test]
fn a_version_from_the_future_takes_no_absurd_time() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    home.configure(&(aws.store("prod") + &entry(&home, "db", &["targets/db"])));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    aws.put_ahead("prod/db", "second", Duration::from_hours(1));
    wait_content(&home, "targets/db", "second");
    let metrics = wait_propagated(&daemon);
    let sum = metrics.value("secretsyncd_propagation_seconds_sum", &[]);
    assert!((0.0..30.0).contains(&sum), "{sum} s");
    daemon.wait_state("db", "fresh");
    // Made after it by our clock and before it by theirs: it arrives all the same.
    aws.put("prod/db", "third");
    wait_content(&home, "targets/db", "third");
}

fn wait_propagated(daemon: &Daemon<'_>) -> crate::support::prometheus::Metrics {
    wait_until(PATIENCE, "the propagation to be counted", || {
        daemon.metrics().value(PROPAGATIONS, &[]) > 0.5
    });
    daemon.metrics()
}
