//! How many calls are made, and when: as few as can be, and never in a heap.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Home, PATIENCE, wait_content};
use crate::support::machine::Alone;
use crate::support::secrets_manager::{Fault, Log, Operation, SecretsManager};
use crate::support::wait::{stays_true, wait_until};

const BATCH: Operation = Operation::BatchGetSecretValue;
const GET: Operation = Operation::GetSecretValue;

/// An entry that delivers these secrets to one file.
fn entry(home: &Home, name: &str, interval: Duration, keys: &[String]) -> String {
    let mut text = format!(
        "[secrets.{name}]\nstore = \"prod\"\nrefresh_interval = \"{}s\"\ndata = [\n",
        interval.as_secs()
    );
    for (i, key) in keys.iter().enumerate() {
        let item = format!("  {{ secret_key = \"k{i}\", remote_ref = {{ key = \"{key}\" }} }},\n");
        text.push_str(&item);
    }
    let path = home.quoted(&format!("targets/{name}"));
    write!(
        text,
        "]\n[[secrets.{name}.file]]\npath = {path}\nformat = \"json\"\n"
    )
    .unwrap();
    text
}

fn secrets(aws: &SecretsManager, count: usize) -> Vec<String> {
    let put = |i| {
        let name = format!("s{i}");
        aws.put(&name, &format!("value {i}"));
        name
    };
    (0..count).map(put).collect()
}

/// Watches a daemon, whose first pass is over, from its second interval on for that many more.
fn watch(
    aws: &SecretsManager,
    daemon: &Daemon<'_>,
    interval: Duration,
    times: u32,
) -> (Log, Instant) {
    let answers = || !daemon.page("/healthz").is_empty();
    stays_true(interval + Duration::from_secs(1), "it runs", answers);
    let start = Instant::now();
    stays_true(interval * times, "it runs", answers);
    (aws.log(), start)
}

fn between(count: usize, wanted: std::ops::RangeInclusive<usize>, what: &str) {
    assert!(
        wanted.contains(&count),
        "{what}: {count} calls, wanted {wanted:?}"
    );
}

#[test]
fn a_thousand_entries_over_fifty_secrets_cost_three_batches_an_interval() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let interval = Duration::from_secs(10);
    let keys = secrets(&aws, 50);
    let mut config = aws.store("prod");
    for i in 0..1000 {
        config += &entry(&home, &format!("e{i}"), interval, &[keys[i % 50].clone()]);
    }
    home.configure(&config);
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE * 2);
    let (log, start) = watch(&aws, &daemon, interval, 3);
    let calls = log.calls_between(BATCH, start, start + interval * 3);
    // Jitter may carry one cohort over either end.
    between(calls, 8..=10, "three intervals");
    assert_eq!(log.calls(GET), 0);
    let states = daemon.status();
    assert!(states.states().iter().all(|state| *state == "fresh"));
}

#[test]
fn twenty_entries_on_one_secret_are_one_read() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let keys = secrets(&aws, 1);
    let entries = (0..20).map(|i| entry(&home, &format!("e{i}"), Duration::from_mins(10), &keys));
    home.configure(&(aws.store("prod") + &entries.collect::<String>()));
    let daemon = home.start_ready();
    for i in 0..20 {
        wait_content(&home, &format!("targets/e{i}"), "{\"k0\":\"value 0\"}\n");
    }
    assert_eq!((aws.log().calls(BATCH), aws.log().calls(GET)), (1, 0));
    drop(daemon);
}

#[test]
fn a_secret_that_two_thousand_entries_share_is_read_once_an_interval() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let interval = Duration::from_secs(20);
    let keys = secrets(&aws, 2000);
    aws.put("shared", "shared");
    let mut config = aws.store("prod");
    for (i, key) in keys.iter().enumerate() {
        let both = [key.clone(), "shared".to_owned()];
        config += &entry(&home, &format!("e{i}"), interval, &both);
    }
    home.configure(&config);
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE * 4);
    let (log, start) = watch(&aws, &daemon, interval, 2);
    let end = start + interval * 2;
    let calls = log.calls_between(BATCH, start, end);
    between(calls, 197..=207, "two intervals of 101 calls");
    assert_eq!(log.calls_between(GET, start, end), 0);
    let of = |name: &str| {
        log.reads(name)
            .filter(|r| (start..end).contains(&r.at))
            .count()
    };
    between(of("shared"), 1..=3, "the shared secret in two intervals");
    let reads: usize = keys.iter().map(|key| of(key)).sum();
    // 2,000 in each of two intervals; jitter carries cohorts over the ends.
    between(
        reads,
        3900..=4100,
        "the secrets of their own in two intervals",
    );
}

#[test]
fn ten_thousand_secrets_start_at_the_rate_and_go_on_evenly() {
    let alone = Alone::wait();
    let (aws, home) = (SecretsManager::start(), Home::new());
    let interval = Duration::from_secs(30);
    aws.limit_batch(100);
    let keys = secrets(&aws, 10_000);
    let mut config = aws.store("prod");
    for (i, keys) in keys.chunks(50).enumerate() {
        config += &entry(&home, &format!("e{i}"), interval, keys);
    }
    home.configure(&config);
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE * 4);
    let _share = alone.let_others_in();
    let cold = aws.log();
    let times: Vec<Instant> = cold.0.iter().map(|request| request.at).collect();
    assert_eq!(cold.calls(BATCH), times.len(), "nothing but batches");
    let took = *times.last().unwrap() - times[0];
    let allowed = Duration::from_secs(500 / 50);
    eprintln!(
        "cold start: {} calls in {took:?}; 50/s allows 500 in {allowed:?}",
        times.len()
    );
    between(times.len(), 500..=525, "the first pass");
    assert!(took <= allowed.mul_f64(1.2), "{took:?}");
    assert_eq!(aws.throttled(), 0);

    let (log, start) = watch(&aws, &daemon, interval, 2);
    let end = start + interval * 2;
    let calls = log.calls_between(BATCH, start, end);
    between(calls, 950..=1050, "two intervals of 500 calls");
    assert_eq!(
        (log.calls_between(GET, start, end), aws.throttled()),
        (0, 0)
    );
    let routine = Log(log.0.iter().filter(|r| r.at >= start).cloned().collect());
    let most = routine.most_in_a_second(BATCH);
    // The mean is 16.7. What left evenly may arrive a little less so.
    assert!(most <= 2 * 500 / 30 + 2, "{most} in one second");
}

#[test]
fn what_is_refused_for_good_costs_one_call_an_interval() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let interval = Duration::from_secs(10);
    let keys = secrets(&aws, 20);
    aws.fail("s7", Fault::AccessDenied);
    let entries = keys
        .iter()
        .map(|key| entry(&home, key, interval, std::slice::from_ref(key)));
    home.configure(&(aws.store("prod") + &entries.collect::<String>()));
    let daemon = home.start_ready();
    let status = daemon.wait_state("s7", "failing");
    assert_eq!(
        status.entry("s7").reason().as_deref(),
        Some("access_denied")
    );
    let (log, start) = watch(&aws, &daemon, interval, 3);
    let refused = log.reads("s7").filter(|r| r.at >= start).count();
    between(refused, 2..=4, "the refused secret in three intervals");
    // The others travel together, without it.
    let calls = log.calls_between(BATCH, start, start + interval * 3);
    between(calls, 2..=4, "batches in three intervals");
    for key in keys.iter().filter(|key| *key != "s7") {
        assert_eq!(daemon.status().entry(key).state(), "fresh", "{key}");
    }
}

#[test]
fn a_refused_batch_loses_no_key_and_deletes_nothing() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let interval = Duration::from_secs(10);
    let keys = secrets(&aws, 20);
    let entries = keys
        .iter()
        .map(|key| entry(&home, key, interval, std::slice::from_ref(key)));
    home.configure(&(aws.store("prod") + &entries.collect::<String>()));
    let daemon = home.start_ready();
    let content =
        |i: usize, value: &str| (format!("targets/s{i}"), format!("{{\"k0\":\"{value}\"}}\n"));
    let all_are = |value: &dyn Fn(usize) -> String| {
        for i in 0..20 {
            let (path, wanted) = content(i, &value(i));
            wait_content(&home, &path, &wanted);
        }
    };
    all_are(&|i| format!("value {i}"));
    for key in &keys {
        aws.fail(key, Fault::AccessDenied);
        aws.put(key, "rotated");
    }
    for key in &keys {
        let status = daemon.wait_state(key, "failing");
        assert_eq!(
            status.entry(key).reason().as_deref(),
            Some("access_denied"),
            "{key}"
        );
    }
    all_are(&|i| format!("value {i}"));
    // Allowed alone but not in a batch, as under a condition on the stage.
    aws.heal();
    for key in &keys {
        aws.fail(key, Fault::BatchOnlyDenied);
    }
    all_are(&|_| "rotated".to_owned());
    for key in &keys {
        daemon.wait_state(key, "fresh");
    }
}

#[test]
fn without_the_permission_for_batches_secrets_are_read_one_by_one() {
    let alone = Alone::wait();
    let (aws, home) = (SecretsManager::start(), Home::new());
    let interval = Duration::from_secs(10);
    let keys = secrets(&aws, 40);
    aws.deny_batch();
    let entries = keys
        .iter()
        .map(|key| entry(&home, key, interval, std::slice::from_ref(key)));
    home.configure(&(aws.store("prod") + &entries.collect::<String>()));
    let daemon = home.start_ready();
    for i in 0..40 {
        wait_content(
            &home,
            &format!("targets/s{i}"),
            &format!("{{\"k0\":\"value {i}\"}}\n"),
        );
    }
    let _share = alone.let_others_in();
    let tried = aws.log().calls(BATCH);
    assert!(
        (1..=2).contains(&tried),
        "{tried} batches before it was known"
    );
    let (log, start) = watch(&aws, &daemon, interval, 2);
    assert_eq!(log.calls(BATCH), tried, "not tried again within the hour");
    between(
        log.calls_between(GET, start, start + interval * 2),
        60..=100,
        "two intervals",
    );
    let told = daemon
        .output()
        .matches("BatchGetSecretValue is not allowed")
        .count();
    assert!((1..=2).contains(&told), "{told}");
}

#[test]
fn a_store_that_is_down_gets_one_probe_and_everything_when_it_is_back() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let interval = Duration::from_secs(10);
    let keys = secrets(&aws, 200);
    let entries = keys
        .iter()
        .map(|key| entry(&home, key, interval, std::slice::from_ref(key)));
    home.configure(&(aws.store("prod") + &entries.collect::<String>()));
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE);
    aws.fail_all(Fault::ExpiredToken);
    for key in &keys {
        let status = daemon.wait_state(key, "failing");
        assert_eq!(
            status.entry(key).reason().as_deref(),
            Some("credentials"),
            "{key}"
        );
    }
    let paused = [("store", "prod"), ("reason", "credentials")];
    assert!(daemon.metrics().value("secretsyncd_store_paused", &paused) > 0.0);
    let start = Instant::now();
    stays_true(interval * 2, "all are failing", || {
        daemon
            .status()
            .states()
            .iter()
            .all(|state| *state == "failing")
    });
    let log = aws.log();
    let probes = log.0.iter().filter(|r| r.at >= start).count();
    // One at a time, at most every second, and each may be tried again with new credentials.
    between(probes, 1..=40, "probes in two intervals");
    let most = log.reads("s0").filter(|r| r.at >= start).count();
    assert!(most <= 10, "the probes go round: {most}");
    for key in &keys {
        aws.put(key, "rotated");
    }
    aws.heal();
    wait_until(PATIENCE * 2, "all to be fresh", || {
        daemon
            .status()
            .states()
            .iter()
            .all(|state| *state == "fresh")
    });
    for key in &keys {
        wait_content(&home, &format!("targets/{key}"), "{\"k0\":\"rotated\"}\n");
    }
    assert!(daemon.metrics().value("secretsyncd_store_paused", &paused) < 0.5);
    let log = daemon.output();
    let lines = log
        .lines()
        .filter(|line| line.contains("reason=credentials"))
        .count();
    assert!(lines <= 10, "said once, not by every entry: {lines} lines");
}

/// Others in the account use up the quota: the rate gives way, and everything arrives all the same.
#[test]
fn a_store_that_throttles_is_asked_more_slowly() {
    let _alone = Alone::wait();
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.limit_batch(10);
    let keys = secrets(&aws, 2000);
    let entries = keys.chunks(20).enumerate();
    let entries =
        entries.map(|(i, keys)| entry(&home, &format!("e{i}"), Duration::from_mins(10), keys));
    home.configure(&(aws.store("prod") + &entries.collect::<String>()));
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE * 2);
    wait_until(PATIENCE * 4, "everything to be fresh", || {
        let status = daemon.status();
        status.states().iter().all(|state| *state == "fresh")
    });
    let (calls, throttled) = (aws.log().calls(BATCH), aws.throttled());
    eprintln!("{calls} calls, {throttled} throttled");
    assert!(
        throttled < 100,
        "{throttled} of {calls} calls were throttled"
    );
}
