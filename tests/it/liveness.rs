//! One read's trouble stays its own, whatever shares a store, a rate, an entry or a find with it; and nothing spins.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::secrets_manager::{Fault, Operation, SecretsManager};
use crate::support::wait::stays_true;

const BATCH: Operation = Operation::BatchGetSecretValue;
const LIST: Operation = Operation::ListSecrets;

fn of(home: &Home, name: &str, store: &str, interval: &str, items: &str) -> String {
    format!(
        "[secrets.{name}]\nstore = \"{store}\"\nrefresh_interval = \"{interval}\"\n{items}\n[[secrets.{name}.file]]\npath = {}\nformat = \"json\"\n\n",
        home.quoted(&format!("targets/{name}"))
    )
}

fn data(keys: &[String]) -> String {
    let mut text = "data = [\n".to_owned();
    for (i, key) in keys.iter().enumerate() {
        writeln!(
            text,
            "  {{ secret_key = \"k{i}\", remote_ref = {{ key = \"{key}\" }} }},"
        )
        .unwrap();
    }
    text + "]"
}

fn secrets(aws: &SecretsManager, prefix: &str, count: usize) -> Vec<String> {
    let put = |i| {
        let name = format!("{prefix}{i}");
        aws.put(&name, &format!("value {i}"));
        name
    };
    (0..count).map(put).collect()
}

fn sleep(span: Duration) {
    stays_true(span, "time passes", || true);
}

/// Bug: a find that gained a match which was failing for another entry ran again and again, and was shown as fresh.
#[test]
fn two_finds_that_share_a_denied_match_do_not_spin() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    for name in ["app/a", "app/b"] {
        aws.put(name, "x");
    }
    aws.tag("app/a", "team", "x");
    aws.fail("app/b", Fault::AccessDenied);
    home.configure(
        &(aws.store("prod")
            + &of(
                &home,
                "one",
                "prod",
                "10m",
                "data_from = [{ find = { path = \"app/\" } }]",
            )
            + &of(
                &home,
                "two",
                "prod",
                "10s",
                "data_from = [{ find = { tags = { team = \"x\" } } }]",
            )),
    );
    let daemon = home.start_ready();
    daemon.wait_state("one", "failing");
    daemon.wait_state("two", "fresh");
    aws.tag("app/b", "team", "x");
    sleep(Duration::from_secs(12));
    let start = Instant::now();
    sleep(Duration::from_secs(10));
    let log = aws.log();
    let end = Instant::now();
    let lists = log.calls_between(LIST, start, end);
    let batches = log.calls_between(BATCH, start, end);
    assert!(
        lists <= 4 && batches <= 6,
        "{lists} lists and {batches} batches in an interval"
    );
    daemon.wait_state("two", "failing");
}

/// Bug: the same under `once`: the second entry ended without a reason.
#[test]
fn once_names_the_failure_of_a_match_that_another_find_met_first() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    for i in 0..250 {
        aws.put(&format!("fill/{i:03}"), "x");
    }
    aws.put("app/b", "x");
    aws.fail("app/b", Fault::AccessDenied);
    home.configure(
        &(aws
            .store("prod")
            .replace("\n\n", "\nrequests_per_second = { list = 2 }\n\n")
            + &of(
                &home,
                "one",
                "prod",
                "10m",
                "data_from = [{ find = { path = \"app/\" } }]",
            )
            + &of(
                &home,
                "two",
                "prod",
                "10m",
                "data_from = [{ find = { name = { regexp = 'app/b' } } }]",
            )),
    );
    let done = home.once(&[]);
    assert!(
        done.stdout.matches("access_denied").count() >= 2
            || done.stdout.matches("not allowed").count() >= 2
    );
}

/// Bug: while one read of an entry failed at first sight, every answer of another one started a run, which read them all.
#[test]
fn one_denied_read_does_not_make_the_others_be_read_again_and_again() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let keys = secrets(&aws, "s", 200);
    aws.fail("s7", Fault::AccessDenied);
    home.configure(&(aws.store("prod") + &of(&home, "all", "prod", "20s", &data(&keys))));
    let daemon = home.start_ready();
    daemon.wait_state("all", "failing");
    sleep(Duration::from_secs(21));
    let start = Instant::now();
    sleep(Duration::from_secs(40));
    let log = aws.log();
    let end = Instant::now();
    let batches = log.calls_between(BATCH, start, end);
    assert!(batches <= 26, "{batches} batches in two intervals of 10");
}

/// Bug: of stores that share a rate, the one whose name comes first took every turn.
#[test]
fn a_small_store_does_not_wait_for_the_cold_start_of_a_big_one() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let keys = secrets(&aws, "s", 600);
    aws.put("small", "x");
    let rate = |text: String| text.replace("\n\n", "\nrequests_per_second = { batch = 2 }\n\n");
    let mut config = rate(aws.store("a")) + &rate(aws.store("b"));
    for (i, keys) in keys.chunks(20).enumerate() {
        config += &of(&home, &format!("e{i}"), "a", "10m", &data(keys));
    }
    config += &of(&home, "small", "b", "10m", &data(&["small".to_owned()]));
    home.configure(&config);
    let daemon = home.start();
    wait_content(&home, "targets/small", "{\"k0\":\"x\"}\n");
    let log = aws.log();
    let at = log.reads("small").next().unwrap().at;
    let before = log.0.iter().filter(|r| r.at < at).count();
    drop(daemon);
    assert!(before <= 6, "{before} calls of the other store went before");
}

/// Bug: one secret that was answered 500 was its own probe, and paused everything for as long as its interval allowed.
#[test]
fn one_bad_secret_does_not_pause_the_good_one() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("good", "0");
    aws.put("bad", "x");
    aws.fail("bad", Fault::InternalServiceError);
    home.configure(
        &(aws.store("prod")
            + &of(&home, "good", "prod", "10s", &data(&["good".to_owned()]))
            + &of(&home, "bad", "prod", "1h", &data(&["bad".to_owned()]))),
    );
    let daemon = home.start_ready();
    wait_content(&home, "targets/good", "{\"k0\":\"0\"}\n");
    let start = Instant::now();
    let (mut worst, mut failing) = (Duration::ZERO, 0);
    let mut rotated = 0;
    while start.elapsed() < Duration::from_secs(80) {
        rotated += 1;
        aws.put("good", &rotated.to_string());
        let put = Instant::now();
        let wanted = format!("{{\"k0\":\"{rotated}\"}}\n");
        while home.read("targets/good").as_deref() != Some(wanted.as_bytes())
            && put.elapsed() < PATIENCE
        {
            failing += usize::from(daemon.status().entry("good").state() == "failing");
            sleep(Duration::from_millis(200));
        }
        worst = worst.max(put.elapsed());
    }
    assert_eq!(failing, 0, "polls that saw the good one failing");
    assert!(worst < Duration::from_secs(13), "{worst:?}");
    let pauses = daemon.output().matches("paused: ").count();
    assert!(pauses <= 2, "told {pauses} times");
}

/// Bug: what waited in a line at a stop was never answered, so that every stop took the whole grace.
#[test]
fn a_stop_does_not_wait_for_reads_that_will_never_leave() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let keys = secrets(&aws, "s", 600);
    let mut config = aws
        .store("a")
        .replace("\n\n", "\nrequests_per_second = { batch = 2 }\n\n");
    for (i, keys) in keys.chunks(20).enumerate() {
        config += &of(&home, &format!("e{i}"), "a", "10m", &data(keys));
    }
    home.configure(&config);
    let daemon = home.start();
    sleep(Duration::from_secs(3));
    let start = Instant::now();
    assert!(aws.log().calls(BATCH) > 0);
    assert_eq!(daemon.stop(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Bug: the engine looked at every read of an entry whenever one of them answered: 4,000 matches took a minute.
#[test]
fn thousands_of_matches_are_delivered_as_fast_as_they_are_read() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    secrets(&aws, "app/s", 4000);
    let rates = "\nrequests_per_second = { batch = 1000, list = 1000 }\n\n";
    let store = aws.store("prod").replace("\n\n", rates);
    let find = "data_from = [{ find = { path = \"app/\" } }]";
    home.configure(&(store + &of(&home, "big", "prod", "10m", find)));
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE);
    daemon.wait_state("big", "fresh");
}
