use std::os::unix::net::UnixDatagram;

use super::*;

const PID: u32 = 4711;

fn environment(socket: &str) -> Environment {
    Environment {
        notify_socket: Some(socket.into()),
        ..Environment::default()
    }
}

/// A manager at a path, and who speaks to it.
fn manager(dir: &tempfile::TempDir) -> (UnixDatagram, Notifier) {
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let notifier = Notifier::new(&environment(path.to_str().unwrap()), PID);
    (manager, notifier)
}

fn received(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = manager.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn watched(usec: &str, pid: Option<&str>) -> Option<Duration> {
    let environment = Environment {
        notify_socket: Some("@nobody-listens-here".into()),
        watchdog_usec: Some(usec.into()),
        watchdog_pid: pid.map(Into::into),
    };
    Notifier::new(&environment, PID).watchdog_interval()
}

#[test]
fn every_message_is_as_the_protocol_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, notifier) = manager(&dir);
    notifier.extend_timeout(Duration::from_secs(30));
    assert_eq!(received(&manager), "EXTEND_TIMEOUT_USEC=30000000");
    notifier.ready("3 entries fresh");
    assert_eq!(received(&manager), "READY=1\nSTATUS=3 entries fresh");
    notifier.watchdog();
    assert_eq!(received(&manager), "WATCHDOG=1");
    notifier.status("1 of 3 failing");
    assert_eq!(received(&manager), "STATUS=1 of 3 failing");
    notifier.stopping();
    assert_eq!(received(&manager), "STOPPING=1");
}

#[test]
fn a_reload_has_the_time_of_the_monotonic_clock() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, notifier) = manager(&dir);
    let now = || {
        let now = Duration::try_from(clock_gettime(ClockId::Monotonic));
        now.unwrap().as_micros()
    };
    let before = now();
    notifier.reloading();
    let message = received(&manager);
    let time: u128 = message
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .and_then(|time| time.parse().ok())
        .unwrap();
    assert!((before..=now()).contains(&time), "{message}");
}

#[test]
fn an_abstract_address_begins_with_an_at_sign() {
    let name = format!(
        "secretsyncd-test-{}-{}",
        std::process::id(),
        fastrand::u64(..)
    );
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    let notifier = Notifier::new(&environment(&format!("@{name}")), PID);
    notifier.stopping();
    manager.set_nonblocking(true).unwrap();
    assert_eq!(received(&manager), "STOPPING=1");
}

#[test]
fn without_a_manager_nothing_happens() {
    let notifier = |socket: Option<&str>| {
        let environment = Environment {
            notify_socket: socket.map(Into::into),
            watchdog_usec: Some("60000000".into()),
            watchdog_pid: None,
        };
        Notifier::new(&environment, PID)
    };
    for socket in [None, Some(""), Some("vsock:2:1"), Some("relative")] {
        let notifier = notifier(socket);
        notifier.ready("x");
        notifier.watchdog();
        assert_eq!(notifier.watchdog_interval(), None, "{socket:?}");
    }
    // One that is gone may come back.
    let gone = notifier(Some("/nowhere/notify"));
    gone.stopping();
    assert!(gone.watchdog_interval().is_some());
}

#[test]
fn a_status_is_one_line_of_bounded_length() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, notifier) = manager(&dir);
    notifier.status("one\nREADY=1\r\n\0two");
    assert_eq!(received(&manager), "STATUS=one READY=1   two");
    // 199 bytes, then a character of two.
    notifier.status(&("a".repeat(199) + "\u{e9}b"));
    assert_eq!(received(&manager), format!("STATUS={}", "a".repeat(199)));
    notifier.ready(&"b".repeat(1_000_000));
    let wanted = format!("READY=1\nSTATUS={}", "b".repeat(200));
    assert_eq!(received(&manager), wanted);
}

#[test]
fn a_manager_that_does_not_read_delays_nobody_and_misses_no_change() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, notifier) = manager(&dir);
    // More than any queue between the two takes; one that waited would wait here for ever.
    for _ in 0..20_000 {
        notifier.watchdog();
    }
    notifier.reloading();
    notifier.ready("lost at first");
    let mut buffer = [0; 4096];
    while manager.recv(&mut buffer).is_ok() {}
    notifier.watchdog();
    assert_eq!(received(&manager), "READY=1\nSTATUS=lost at first");
    assert_eq!(received(&manager), "WATCHDOG=1");
    assert!(
        manager.recv(&mut buffer).is_err(),
        "only the latest change counts"
    );
}

#[test]
fn a_manager_that_starts_anew_is_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let (first, notifier) = manager(&dir);
    drop(first);
    notifier.ready("nobody is there");
    std::fs::remove_file(dir.path().join("notify")).unwrap();
    let (second, _) = manager(&dir);
    notifier.watchdog();
    assert_eq!(received(&second), "READY=1\nSTATUS=nobody is there");
}

#[test]
fn the_watchdog_is_fed_three_times_as_often_as_it_bites() {
    assert_eq!(watched("60000000", None), Some(Duration::from_secs(20)));
    assert_eq!(
        watched("60000000", Some("4711")),
        Some(Duration::from_secs(20))
    );
}

#[test]
fn the_watchdog_of_another_process_or_none_is_not_fed() {
    assert_eq!(watched("60000000", Some("4712")), None);
    assert_eq!(watched("60000000", Some("me")), None);
    assert_eq!(watched("0", None), None);
    assert_eq!(watched("soon", None), None);
}
