//! A restart costs nothing: what is not due is not read, and what changed meanwhile is noticed.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::wait::wait_until;

/// An entry `name` that reads `prod/name` into `targets/name`.
fn entry(home: &Home, name: &str, more: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"prod\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"prod/{name}\" }} }}]
{more}
[[secrets.{name}.file]]
path = {path}
key = \"value\"
",
        path = home.quoted(&format!("targets/{name}")),
    )
}

fn entries(aws: &SecretsManager, home: &Home, count: usize, more: &str) -> String {
    let tables = (0..count).map(|n| {
        aws.put(&format!("prod/e{n}"), &format!("value {n}"));
        entry(home, &format!("e{n}"), more)
    });
    aws.store("prod") + &tables.collect::<String>()
}

#[test]
fn twenty_restarts_make_no_call() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&entries(&aws, &home, 30, ""));
    home.start_ready().stop();
    let first = aws.log().0.len();
    let written = fs::metadata(home.path("targets/e7")).unwrap().modified();
    for n in 0..20 {
        let mut daemon = home.start_ready();
        assert_eq!(daemon.status().states(), ["fresh"; 30], "restart {n}");
        daemon.signal(if n % 2 == 0 {
            Signal::TERM
        } else {
            Signal::KILL
        });
        daemon.wait_exit(PATIENCE);
    }
    assert_eq!(aws.log().0.len(), first, "calls after the first start");
    let now = fs::metadata(home.path("targets/e7")).unwrap().modified();
    assert_eq!(now.unwrap(), written.unwrap(), "nothing was written");
}

#[test]
fn a_success_of_an_earlier_life_counts() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&entries(&aws, &home, 1, ""));
    let daemon = home.start_ready();
    let status = daemon.status();
    let before = status.entry("e0");
    let (success, next) = (
        before.last_success().map(str::to_owned),
        before.next_sync().map(str::to_owned),
    );
    daemon.stop();
    let daemon = home.start_ready();
    let status = daemon.status();
    assert_eq!(
        status.entry("e0").last_success().map(str::to_owned),
        success
    );
    let close = |text: Option<&str>| text.map(|it| it[..19].to_owned());
    assert_eq!(
        close(status.entry("e0").next_sync()),
        close(next.as_deref())
    );
    let metric = "secretsyncd_last_success_timestamp_seconds";
    assert!(daemon.metrics().value(metric, &[("secret", "e0")]) > 1e9);
}

#[test]
fn a_file_that_went_or_was_altered_meanwhile_is_put_back() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&entries(&aws, &home, 4, ""));
    home.start_ready().stop();
    let before = aws.log();
    fs::remove_file(home.path("targets/e1")).unwrap();
    fs::write(home.path("targets/e2"), "somebody else's").unwrap();
    let daemon = home.start_ready();
    // Before it is ready: after a reboot what lay in memory is gone.
    assert_eq!(home.read_text("targets/e1").unwrap(), "value 1");
    assert_eq!(daemon.status().states(), ["fresh"; 4]);
    assert_eq!(home.read_text("targets/e2").unwrap(), "value 2");
    let after = aws.log();
    let read = |name: &str| after.read_count(name) - before.read_count(name);
    assert_eq!(
        ["prod/e0", "prod/e1", "prod/e2", "prod/e3"].map(read),
        [0, 1, 1, 0]
    );
}

#[test]
fn what_changed_in_the_configuration_meanwhile_runs_and_nothing_else() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let tables = entries(&aws, &home, 3, "");
    let template = home.write("t.j2", "one {{ value }}");
    let templated = entry(
        &home,
        "t",
        &format!("[secrets.t.template]\nfrom = [{{ file = {template:?}, key = \"value\" }}]"),
    );
    aws.put("prod/t", "v");
    home.configure(&(tables.clone() + &templated));
    home.start_ready().stop();
    assert_eq!(home.read_text("targets/t").unwrap(), "one v");
    let before = aws.log();
    home.write("t.j2", "two {{ value }}");
    let tables = tables.replace("key = \"prod/e1\"", "key = \"prod/e2\"");
    home.configure(&(tables + &templated));
    let daemon = home.start_ready();
    assert_eq!(daemon.status().states(), ["fresh"; 4]);
    assert_eq!(home.read_text("targets/t").unwrap(), "two v");
    assert_eq!(home.read_text("targets/e1").unwrap(), "value 2");
    let after = aws.log();
    let read = |name: &str| after.read_count(name) - before.read_count(name);
    assert_eq!(
        ["prod/e0", "prod/e1", "prod/e2", "prod/t"].map(read),
        [0, 0, 1, 1]
    );
}

#[test]
fn what_came_due_meanwhile_is_read_at_once() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&entries(&aws, &home, 3, "refresh_interval = \"10s\""));
    let daemon = home.start_ready();
    // Every place of the grid has come round once.
    wait_until(PATIENCE, "a routine read of each", || {
        (0..3).all(|n| aws.log().read_count(&format!("prod/e{n}")) >= 2)
    });
    daemon.stop();
    aws.put("prod/e0", "new");
    let last = aws.log().last_read("prod/e0").unwrap();
    while last.elapsed() < Duration::from_secs(12) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let started = Instant::now();
    let _daemon = home.start_ready();
    wait_content(&home, "targets/e0", "new");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "it waited for its next time: {:?}",
        started.elapsed()
    );
}

#[test]
fn a_failure_is_remembered_and_not_asked_for_again() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&entries(&aws, &home, 2, ""));
    aws.fail("prod/e0", Fault::AccessDenied);
    let daemon = home.start_ready();
    let status = daemon.wait_state("e0", "failing");
    let trouble = status.entry("e0").trouble().unwrap().message;
    daemon.stop();
    let before = aws.log().0.len();
    for _ in 0..3 {
        let daemon = home.start_ready();
        let status = daemon.status();
        assert_eq!(status.entry("e0").state(), "failing");
        assert_eq!(status.entry("e0").trouble().unwrap().message, trouble);
        assert_eq!(status.entry("e1").state(), "fresh");
        daemon.stop();
    }
    assert_eq!(aws.log().0.len(), before);
}

#[test]
fn what_once_delivered_the_daemon_knows() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&entries(&aws, &home, 25, ""));
    assert_eq!(home.once(&[]).code, Some(0));
    let before = aws.log().0.len();
    let daemon = home.start_ready();
    assert_eq!(daemon.status().states(), ["fresh"; 25]);
    daemon.stop();
    assert_eq!(aws.log().0.len(), before);
    // And the other way round it reads, whatever is known.
    aws.put("prod/e3", "new");
    assert_eq!(home.once(&["e3"]).code, Some(0));
    assert_eq!(home.read_text("targets/e3").unwrap(), "new");
    let daemon = home.start_ready();
    assert_eq!(daemon.status().states(), ["fresh"; 25]);
    assert_eq!(aws.log().0.len(), before + 1);
}

#[test]
fn what_is_delivered_once_is_neither_read_nor_compared_again() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let policy =
        "refresh_policy = \"created_once\"\nrefresh_interval = \"10s\"\nmax_stale = \"10s\"";
    let tables = entries(&aws, &home, 1, policy);
    home.configure(&tables);
    let daemon = home.start_ready();
    assert_eq!(home.read_text("targets/e0").unwrap(), "value 0");
    aws.put("prod/e0", "new");
    fs::write(home.path("targets/e0"), "altered").unwrap();
    std::thread::sleep(Duration::from_secs(13));
    let status = daemon.status();
    assert_eq!(
        status.entry("e0").state(),
        "fresh",
        "it never becomes stale"
    );
    assert_eq!(status.entry("e0").next_sync(), None);
    daemon.stop();
    home.start_ready().stop();
    assert_eq!(home.read_text("targets/e0").unwrap(), "altered");
    assert_eq!(aws.log().read_count("prod/e0"), 1);
    // Until its configuration changes.
    home.configure(&tables.replace("\nkey = \"value\"", "\nkey = \"value\"\nmode = \"0640\""));
    let daemon = home.start_ready();
    assert_eq!(aws.log().read_count("prod/e0"), 2);
    daemon.stop();
}

#[test]
fn nothing_happens_to_what_is_suspended() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let tables = entries(&aws, &home, 2, "refresh_interval = \"10s\"");
    let suspended = tables.replacen(
        "store = \"prod\"\n",
        "store = \"prod\"\nsuspend = true\n",
        1,
    );
    home.configure(&suspended);
    assert_eq!(home.once(&[]).code, Some(0), "suspended counts as well");
    let daemon = home.start_ready();
    assert_eq!(daemon.status().entry("e0").state(), "suspended");
    assert_eq!(aws.log().read_count("prod/e0"), 0);
    assert!(home.read("targets/e0").is_none());
    let metrics = daemon.metrics();
    let state = |state| {
        metrics.value(
            "secretsyncd_secret_state",
            &[("secret", "e0"), ("state", state)],
        )
    };
    assert!((state("suspended") - 1.0).abs() < f64::EPSILON);
    home.configure(&tables);
    daemon.signal(Signal::HUP);
    wait_content(&home, "targets/e0", "value 0");
    daemon.wait_state("e0", "fresh");
    home.configure(&suspended);
    daemon.signal(Signal::HUP);
    daemon.wait_state("e0", "suspended");
    fs::remove_file(home.path("targets/e0")).unwrap();
    let before = aws.log().read_count("prod/e0");
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(aws.log().read_count("prod/e0"), before);
    assert!(home.read("targets/e0").is_none());
}
