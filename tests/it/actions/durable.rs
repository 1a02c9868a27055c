//! A change that was made is told, whatever happens to the process.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::{counting, entry, runs, script, wait_runs};
use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

#[test]
fn what_was_killed_between_the_swap_and_the_action_runs_after_the_restart() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "0");
    // Long enough that no run can begin before the kill.
    let slow = counting(&home, "").replace("200ms", "30s");
    let quick = counting(&home, "");
    let configure = |more: &str| {
        home.configure(&(aws.store("prod") + &entry(&home, "app", more)));
    };
    configure(&quick);
    let daemon = home.start_ready();
    wait_runs(&home, 1);
    daemon.stop();
    for kill in 1..4 {
        configure(&slow);
        let mut daemon = home.start_ready();
        aws.put("prod/app", &kill.to_string());
        let synced = home.finish(&["sync", "app"]);
        assert_eq!(synced.code, Some(0), "{}", synced.stderr);
        wait_content(&home, "targets/app", &kill.to_string());
        daemon.signal(Signal::KILL);
        daemon.wait_exit(PATIENCE);
        assert_eq!(runs(&home), kill);
        configure(&quick);
        let daemon = home.start_ready();
        wait_runs(&home, kill + 1);
        daemon.stop();
        let daemon = home.start_ready();
        stays_true(Duration::from_secs(1), "none on a plain restart", || {
            runs(&home) == kill + 1
        });
        daemon.stop();
    }
}

/// Killed at any moment of a change, its action runs at least once, and at most once more for each kill.
#[test]
fn kills_at_any_moment_lose_no_action_and_repeat_each_at_most_once() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "0");
    let ran = home.path("ran").display().to_string();
    let target = home.path("targets/app").display().to_string();
    let argv = script(
        &home,
        "note.sh",
        &format!("cat {target} >> {ran}; echo >> {ran}\n"),
    );
    let more = format!("on_change = {{ command = {argv}, debounce = \"1ms\" }}");
    home.configure(&(aws.store("prod") + &entry(&home, "app", &more)).replace("\"10s\"", "\"1h\""));
    let mut daemon = home.start_ready();
    // From then on it acts at once, and so does each life that has finished what the one before left.
    wait_runs(&home, 1);
    let mut random = fastrand::Rng::with_seed(5);
    for change in 1..=25_usize {
        let before = runs(&home);
        aws.put("prod/app", &change.to_string());
        let mut sync = home.command(&["sync", "app"]);
        sync.stdout(Stdio::null()).stderr(Stdio::null());
        let mut sync = sync.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(..250)));
        daemon.signal(Signal::KILL);
        daemon.wait_exit(PATIENCE);
        let _ = sync.wait();
        let changed = home.read_text("targets/app").unwrap() == change.to_string();
        daemon = home.start_ready();
        if !changed {
            // As long as nothing is in place, nothing is told.
            stays_true(Duration::from_secs(1), "nothing ran", || {
                let told = runs(&home) != before;
                !told || home.read_text("targets/app").unwrap() == change.to_string()
            });
            assert_eq!(home.finish(&["sync", "app"]).code, Some(0));
        }
        let told = || {
            let text = home.read_text("ran").unwrap();
            text.lines()
                .filter(|line| *line == change.to_string())
                .count()
        };
        wait_until(PATIENCE, "the action", || told() >= 1);
        wait_until(PATIENCE, "nothing to be pending", || {
            daemon.status().entry("app").action().is_null()
        });
        assert!(told() <= 2, "change {change} ran {} times", told());
    }
    daemon.stop();
}

#[test]
fn what_a_stop_leaves_over_is_shown_and_done_by_the_next() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "one");
    let slow = counting(&home, "").replace("200ms", "1h");
    home.configure(&(aws.store("prod") + &entry(&home, "app", &slow)));
    let daemon = home.start_ready();
    let shown = || daemon.status().entry("app").action().clone();
    wait_until(PATIENCE, "the action", || !shown().is_null());
    assert_eq!(shown()["kind"], "command");
    assert_eq!(shown()["action"], "command /bin/sh", "without arguments");
    assert!(shown()["error"].is_null() && shown()["pending_since"].is_string());
    assert_eq!(daemon.status().entry("app").state(), "fresh");
    let pending = [("kind", "command")];
    wait_until(PATIENCE, "the gauge", || {
        daemon
            .metrics()
            .sum("secretsyncd_actions_pending", &pending)
            == Some(1.0)
    });
    let oldest = "secretsyncd_actions_oldest_pending_timestamp_seconds";
    assert!(daemon.metrics().value(oldest, &pending) > 1e9);
    let listed = home.finish(&["status"]);
    assert!(listed.stdout.contains("pending for"), "{}", listed.stdout);
    daemon.stop();
    home.configure(&(aws.store("prod") + &entry(&home, "app", &counting(&home, ""))));
    let daemon = home.start_ready();
    wait_runs(&home, 1);
    wait_until(PATIENCE, "nothing to be pending", || {
        daemon.metrics().sum(oldest, &pending).is_none()
    });
    daemon.stop();
}
