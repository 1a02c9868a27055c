//! An action that fails, hangs, floods or forks is its target's trouble and nobody else's.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Strays, counted, counting, entry, runs, script, wait_runs};
use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

#[test]
fn what_fails_is_shown_counted_and_tried_again_until_it_succeeds() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    for name in ["app", "other"] {
        aws.put(&format!("prod/{name}"), "one");
    }
    let (ran, good) = (home.path("ran"), home.path("good"));
    let argv = script(
        &home,
        "fail.sh",
        &format!(
            "echo run >> {}; echo MARKER-output >&2; test -e {}\n",
            ran.display(),
            good.display()
        ),
    );
    let more = format!("on_change = {{ command = {argv}, debounce = \"1ms\" }}");
    home.configure(&(aws.store("prod") + &entry(&home, "app", &more) + &entry(&home, "other", "")));
    let daemon = home.start_ready();
    let status = daemon.wait_state("app", "failing");
    let trouble = status.entry("app").trouble().unwrap();
    assert_eq!(trouble.reason, "action");
    assert_eq!(trouble.message, "command /bin/sh ended with exit code 1");
    assert!(trouble.help.contains("`log_output = true`"), "{trouble:?}");
    assert_eq!(status.entry("other").state(), "fresh");
    assert_eq!(
        home.read_text("targets/app").unwrap(),
        "one",
        "it is delivered"
    );
    let success = status.entry("app").last_success().map(str::to_owned);
    wait_until(PATIENCE, "another try", || runs(&home) >= 3);
    let metrics = daemon.metrics();
    assert!(counted(&metrics, "secretsyncd_actions_total", "failed") >= 2.0);
    let errors = [("stage", "action"), ("reason", "action")];
    assert!(metrics.value("secretsyncd_sync_errors_total", &errors) >= 2.0);
    assert_eq!(
        daemon.status().entry("app").last_success(),
        success.as_deref()
    );
    fs::write(&good, "").unwrap();
    daemon.wait_state("app", "fresh");
    assert!(counted(&daemon.metrics(), "secretsyncd_actions_total", "succeeded") >= 1.0);
    let count = runs(&home);
    stays_true(Duration::from_secs(1), "it is done", || {
        runs(&home) == count
    });
    assert!(
        !daemon.output().contains("MARKER-output"),
        "{}",
        daemon.output()
    );
    daemon.stop();
}

/// One entry for each way to be a trouble, one whose action is none, and one without.
fn troubles(aws: &SecretsManager, home: &Home) -> String {
    let pids = home.path("pids").display().to_string();
    let hangs = script(
        home,
        "hang.sh",
        &format!("sleep 600 & echo $$ $! >> {pids}; wait\n"),
    );
    let floods = script(home, "flood.sh", "exec cat /dev/zero\n");
    let heard = script(home, "heard.sh", "yes MARKER-flood\n");
    let forked = home.path("forked").display().to_string();
    // What it leaves running holds its output open.
    let forks = script(
        home,
        "fork.sh",
        &format!("echo started; sleep 600 & echo $! > {forked}\n"),
    );
    let change = |argv: &str, more: &str| {
        format!("on_change = {{ command = {argv}, debounce = \"1ms\", timeout = \"2s\"{more} }}")
    };
    let mut text = aws.store("prod");
    for (name, more) in [
        ("hangs", change(&hangs, "")),
        ("floods", change(&floods, "")),
        ("heard", change(&heard, ", log_output = true")),
        ("forks", change(&forks, ", log_output = true")),
        ("good", counting(home, "")),
        ("plain", String::new()),
    ] {
        aws.put(&format!("prod/{name}"), "one");
        text += &entry(home, name, &more);
    }
    text
}

#[test]
fn hanging_flooding_and_forking_actions_hold_up_nobody() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&troubles(&aws, &home));
    let daemon = home.start_ready();
    wait_runs(&home, 1);
    let status = daemon.wait_state("hangs", "failing");
    let message = status.entry("hangs").trouble().unwrap().message;
    assert_eq!(
        message,
        "command /bin/sh ran longer than 2s and was stopped"
    );
    daemon.wait_state("floods", "failing");
    let status = daemon.wait_state("heard", "failing");
    let message = status.entry("heard").trouble().unwrap().message;
    assert!(message.contains(" wrote more than "), "{message}");
    daemon.wait_state("forks", "fresh");
    wait_until(PATIENCE, "the forking one to be done", || {
        daemon.status().entry("forks").action().is_null()
    });
    // Everything of the group is gone, not only what was started first.
    let ids = home.read_text("pids").unwrap();
    let first: Vec<&str> = ids.lines().next().unwrap().split(' ').collect();
    wait_until(PATIENCE, "the group to be gone", || {
        !first.iter().any(|id| alive(id))
    });
    let began = Instant::now();
    aws.put("prod/plain", "two");
    assert_eq!(home.finish(&["sync", "plain"]).code, Some(0));
    wait_content(&home, "targets/plain", "two");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let output = daemon.output();
    let started = output.lines().find(|it| it.contains("line=\"started\""));
    let started = started.expect("what it says is wanted");
    let target = home.path("targets/forks").display().to_string();
    for part in ["entry=\"forks\"", &target, "command /bin/sh"] {
        assert!(started.contains(part), "{part}: {started}");
    }
    assert!(output.len() < 2 << 20, "{} bytes", output.len());
    assert!(output.contains("(more is left out)"));
    let forked = home.read_text("forked").unwrap();
    assert!(alive(forked.trim()), "what it left running is its own");
    daemon.stop();
    let pid = rustix::process::Pid::from_raw(forked.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn alive(id: &str) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().unwrap().trim_start();
        !state.starts_with('Z')
    })
}

/// More of them than may run at a time, and none of them ends while the test runs.
#[test]
fn commands_that_hang_keep_no_other_waiting() {
    const MANY: usize = 24;
    let (aws, home) = (SecretsManager::start(), Home::new());
    let _strays = Strays(&home, "pids");
    let pids = home.path("pids").display().to_string();
    let argv = script(
        &home,
        "hang.sh",
        &format!("echo $$ >> {pids}; exec sleep 600\n"),
    );
    let mut text = aws.store("prod");
    for n in 0..MANY {
        aws.put(&format!("prod/hangs{n}"), "one");
        let argv = argv.replace(']', &format!(", \"{n}\"]"));
        let more =
            format!("on_change = {{ command = {argv}, debounce = \"1ms\", timeout = \"1h\" }}");
        text += &entry(&home, &format!("hangs{n}"), &more);
    }
    aws.put("prod/good", "one");
    let last = counting(&home, "").replace("200ms", "1500ms");
    home.configure(&(text + &entry(&home, "good", &last)));
    let daemon = home.start_ready();
    wait_runs(&home, 1);
    let begun = || home.read_text("pids").unwrap().lines().count() == MANY;
    wait_until(PATIENCE, "all of them", begun);
    drop(daemon);
}

#[test]
fn what_a_unit_needs_is_told_where_there_is_no_systemd_or_it_says_no() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "one");
    let more = "on_change = { reload_unit = \"no-such-unit-of-ours\", debounce = \"1ms\" }";
    home.configure(&(aws.store("prod") + &entry(&home, "app", more)));
    let booted = Path::new("/run/systemd/system").is_dir();
    let checked = home.check();
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let said = "warning: entry app: `on_change` names a unit, and this machine was not started by";
    assert_eq!(checked.stderr.contains(said), !booted, "{checked:?}");
    let daemon = home.start_ready();
    let status = daemon.wait_state("app", "failing");
    let trouble = status.entry("app").trouble().unwrap();
    assert_eq!(trouble.reason, "action");
    assert_eq!(
        trouble
            .help
            .contains("units are systemd's; without it, use `command`"),
        !booted,
        "{trouble:?}"
    );
    assert!(
        trouble.message.contains("no-such-unit-of-ours.service"),
        "{trouble:?}"
    );
    // There is no systemd, it knows no such unit, we may not ask, or it cannot say.
    let needs = [
        "units are systemd's; without it, use `command`",
        "`systemctl list-unit-files` has them all",
        "a polkit rule has to allow",
        "see why with `systemctl status no-such-unit-of-ours.service`",
    ];
    let is_told = |it: &&str| trouble.help.contains(*it);
    assert!(needs.iter().any(is_told), "{trouble:?}");
    daemon.stop();
}

/// Actions of units that wait for us would wait for each other.
#[test]
fn no_action_begins_before_ready_and_ready_waits_for_none() {
    use std::os::unix::net::UnixDatagram;
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    let path = home.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    home.set_env("NOTIFY_SOCKET", path.to_str().unwrap());
    aws.put("prod/app", "one");
    let argv = script(
        &home,
        "hang.sh",
        &format!(
            "echo $$ > {}; exec sleep 600\n",
            home.path("began").display()
        ),
    );
    let more = format!("on_change = {{ command = {argv}, debounce = \"1ms\" }}");
    home.configure(&(aws.store("prod") + &entry(&home, "app", &more)));
    let _strays = Strays(&home, "began");
    let mut daemon = home.start();
    let said_ready = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer)?;
        std::io::Result::Ok(buffer[..length].starts_with(b"READY=1"))
    };
    let mut ready = false;
    while !ready && home.read("began").is_none() {
        ready = said_ready().unwrap();
    }
    if !ready {
        // Whatever was said before it began has arrived.
        socket.set_nonblocking(true).unwrap();
        let mut said = std::iter::from_fn(|| said_ready().ok());
        assert!(said.any(|ready| ready), "it began before we were ready");
    }
    wait_until(PATIENCE, "the action", || home.read("began").is_some());
    daemon.wait_ready(PATIENCE);
    drop(daemon);
}

#[test]
fn a_sync_waits_for_the_action_that_it_hastens_and_says_how_that_ended() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "one");
    let (ran, broken) = (home.path("ran"), home.write("broken", ""));
    let argv = script(
        &home,
        "fails.sh",
        &format!(
            "sleep 0.3; echo run >> {}; test ! -e {}\n",
            ran.display(),
            broken.display()
        ),
    );
    let more = format!("on_change = {{ command = {argv}, debounce = \"10ms\" }}");
    let text = aws.store("prod") + &entry(&home, "app", &more);
    // Its backoff is longer than all of this.
    home.configure(&text.replace("\"10s\"", "\"1h\""));
    let daemon = home.start_ready();
    let failures = || {
        let metrics = daemon.metrics();
        counted(&metrics, "secretsyncd_actions_total", "failed")
    };
    wait_until(PATIENCE, "a few failures", || failures() > 2.5);
    // Bug: it was to be looked at in an hour, while it was tried every few minutes at the least.
    wait_until(PATIENCE, "the time of the next try", || {
        let next = daemon.status().entry("app").next_sync().map(str::to_owned);
        let next = next.map(|at| at.parse::<Timestamp>().unwrap());
        let soon = Timestamp::now() + Duration::from_mins(5);
        next.is_some_and(|next| next < soon)
    });
    let before = runs(&home);
    let done = home.finish(&["sync", "app"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("exit code 1"), "{done:?}");
    assert!(runs(&home) > before, "it ran before the answer");
    fs::remove_file(broken).unwrap();
    let done = home.finish(&["sync", "app"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(daemon.status().entry("app").state(), "fresh");
    daemon.stop();
}
