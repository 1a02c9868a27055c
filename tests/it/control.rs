//! The control socket: what the commands learn and set off through it, and who cannot disturb it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getgid, getuid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Home, PATIENCE, wait_content};
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::status::Status;
use crate::support::wait::{stays_true, wait_until};

const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// An entry that is due once an hour.
fn entry(home: &Home, name: &str, key: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"prod\"
refresh_interval = \"1h\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"{key}\" }} }}]
[[secrets.{name}.file]]
path = {path}
key = \"v\"
",
        path = home.quoted(&format!("targets/{name}")),
    )
}

/// Two entries, `db` and `web`, that are delivered.
fn two_entries() -> (SecretsManager, Home) {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    aws.put("prod/web", "first");
    let entries = entry(&home, "db", "prod/db") + &entry(&home, "web", "prod/web");
    home.configure(&(aws.store("prod") + &entries));
    (aws, home)
}

fn connect(home: &Home) -> UnixStream {
    let stream = UnixStream::connect(home.path("c.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything that is said until the other end closes, whether it has heard all or not.
fn heard(mut stream: UnixStream) -> String {
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    String::from_utf8(said).unwrap()
}

/// What the daemon says to a line, and that it then closes.
fn reply(home: &Home, line: &str) -> Value {
    let mut stream = connect(home);
    // It may refuse before it has heard everything.
    let _ = stream.write_all(line.as_bytes());
    let said = heard(stream);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("not one line of JSON: {said:?}"))
}

fn assert_answers(home: &Home) {
    let done = home.finish(&["status"]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn status_says_how_everything_stands_the_worst_first() {
    let (aws, home) = two_entries();
    aws.fail("prod/web", Fault::AccessDenied);
    let daemon = home.start_ready();
    daemon.wait_state("web", "failing");
    let done = home.finish(&["status"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(lines[0].starts_with("web  failing") && lines[0].contains("never synced"));
    assert!(lines[1].contains("failing") && lines[1].ends_with("targets/web"));
    assert!(lines[2].ends_with("(access_denied)"), "{lines:#?}");
    assert!(lines[3].starts_with("    help: "), "{lines:#?}");
    assert!(lines[4].starts_with("db   fresh"), "{lines:#?}");
    assert!(lines[4].contains("1 target") && lines[4].contains("ago"));
    assert!(lines[4].contains("next in "), "{lines:#?}");
    assert_eq!(lines[5], "2 entries: 1 failing, 1 fresh");
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(!done.stdout.contains('\x1b') && done.stderr.is_empty());

    let done = home.finish(&["status", "--json"]);
    assert_eq!((done.code, done.stdout.lines().count()), (Some(1), 1));
    let (mut asked, mut page) = (Status::parse(&done.stdout), daemon.status());
    // Each says when it was made.
    assert!(asked.0["at"].is_string() && asked.0["at"].take() != page.0["at"].take());
    assert_eq!(asked.0, page.0, "the same as /status");

    aws.heal();
    assert_eq!(home.finish(&["sync", "--all"]).code, Some(0));
    assert_answers(&home);
    let done = home.finish(&["status", "--json"]);
    assert_eq!(Status::parse(&done.stdout).states(), ["fresh", "fresh"]);
}

#[test]
fn without_a_daemon_commands_say_where_they_looked_and_what_to_do() {
    let (_aws, home) = two_entries();
    for arguments in [&["status"][..], &["status", "--json"], &["sync", "--all"]] {
        let done = home.finish(arguments);
        assert_eq!(done.code, Some(69), "{arguments:?} {done:?}");
        assert_eq!(done.stdout, "");
        let socket = home.path("c.sock").display().to_string();
        for said in [socket.as_str(), "help: ", "secretsyncd run"] {
            assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
        }
    }
}

/// A mistake that the daemon has not met yet keeps nobody from asking how it stands.
#[test]
fn status_needs_no_more_of_the_configuration_than_where_the_daemon_is() {
    let (_aws, home) = two_entries();
    let _daemon = home.start_ready();
    home.configure("[secrets.broken]\nstore = \"none\"\n");
    assert_eq!(home.check().code, Some(78));
    assert_answers(&home);
    // Nor what is broken off, as long as it says where the daemon is.
    home.configure("[daemon]\n");
    assert_answers(&home);
    home.configure("[secrets.broken\nstore = 5 = 6\n\"\"\"\n");
    assert_eq!(home.check().code, Some(78));
    assert_answers(&home);
    let sound = home.read_text("secretsyncd.toml").unwrap();
    for lost in ["control_socket = 7 #", "control_socket : "] {
        home.configure_whole(&sound.replacen("control_socket = ", lost, 1));
        let done = home.finish(&["status"]);
        assert_eq!(done.code, Some(78), "{lost}: {done:?}");
        let said = "error: where the daemon is asked cannot be told";
        assert!(done.stderr.contains(said), "{lost}: {}", done.stderr);
        assert!(done.stderr.contains("`control_socket`"), "{}", done.stderr);
    }
}

/// Where a mistake may hide where the daemon is asked, another one is not asked in its place.
#[test]
fn a_mistake_in_where_the_daemon_is_asked_is_named() {
    let (_aws, home) = two_entries();
    let _daemon = home.start_ready();
    let sound = home.read_text("secretsyncd.toml").unwrap();
    let asked = |(from, to): (&str, &str), arguments: &[&str]| {
        assert!(sound.contains(from), "{from}: {sound}");
        home.configure_whole(&sound.replacen(from, to, 1));
        home.finish(arguments)
    };
    for (from, to, named) in [
        ("[daemon]", "[[daemon]]", "`daemon` must be a table"),
        (
            "[daemon]",
            "[deamon]",
            "`control_socket` counts in the table [daemon] only",
        ),
        (
            "[daemon]",
            "[defaults]",
            "`control_socket` counts in the table [daemon] only",
        ),
        (
            "control_socket",
            "control_sockte",
            "did you mean `control_socket`?",
        ),
        ("control_socket", "socket", "unknown key `socket`"),
    ] {
        for arguments in [&["status"][..], &["sync", "--all"]] {
            let done = asked((from, to), arguments);
            assert_eq!(done.code, Some(78), "{arguments:?} {to}: {done:?}");
            assert!(done.stderr.contains(named), "{to}: {}", done.stderr);
            let said = "error: where the daemon is asked cannot be told";
            assert!(done.stderr.contains(said), "{to}: {}", done.stderr);
        }
    }
    // What is meant to say something else hides nothing: the default is asked, where nobody answers.
    let done = asked(("control_socket", "prune_aftr"), &["status"]);
    assert_eq!(done.code, Some(69), "{done:?}");
}

/// Bug: a line of a template was taken for a key that stands in the wrong table.
#[test]
fn what_a_template_says_of_a_socket_is_its_own_business() {
    let (_aws, home) = two_entries();
    let _daemon = home.start_ready();
    let sound = home.read_text("secretsyncd.toml").unwrap();
    let template = "[secrets.more.template.data]\nstate_dir = \"a\"\nconf = \"\"\"\ncontrol_socket = x\n\"\"\"\n";
    assert!(sound.contains("state_dir"), "{sound}");
    let without: Vec<&str> = sound
        .lines()
        .filter(|line| !line.starts_with("state_dir"))
        .collect();
    home.configure_whole(&format!("{}\n{template}", without.join("\n")));
    let done = home.finish(&["status"]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn sync_reads_once_and_delivers_at_once_whatever_the_interval() {
    let (aws, home) = two_entries();
    let _daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    let reads = (
        aws.log().read_count("prod/db"),
        aws.log().read_count("prod/web"),
    );
    aws.put("prod/db", "second");
    aws.put("prod/web", "second");
    let done = home.finish(&["sync", "db"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    // It was waited for: there is nothing to wait for now.
    assert_eq!(home.read_text("targets/db").unwrap(), "second");
    assert!(done.stdout.starts_with("db  fresh"), "{}", done.stdout);
    assert_eq!((done.stdout.lines().count(), done.stderr.as_str()), (1, ""));
    let after = (
        aws.log().read_count("prod/db"),
        aws.log().read_count("prod/web"),
    );
    assert_eq!(
        after,
        (reads.0 + 1, reads.1),
        "one read, of that entry alone"
    );
    assert_eq!(home.read_text("targets/web").unwrap(), "first");
}

#[test]
fn sync_repairs_what_others_changed() {
    let (_aws, home) = two_entries();
    let _daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    fs::write(home.path("targets/db"), "tampered").unwrap();
    assert_eq!(home.finish(&["sync", "db"]).code, Some(0));
    assert_eq!(home.read_text("targets/db").unwrap(), "first");
}

#[test]
fn sync_of_what_fails_breaks_through_its_backoff() {
    let (aws, home) = two_entries();
    aws.fail("prod/web", Fault::AccessDenied);
    let daemon = home.start_ready();
    daemon.wait_state("web", "failing");
    let reads = aws.log().read_count("prod/db");
    let still = home.finish(&["sync", "--failing"]);
    assert_eq!(still.code, Some(1), "{still:?}");
    assert!(still.stdout.contains("(access_denied)"), "{}", still.stdout);
    // The next try by itself is an hour away.
    aws.heal();
    let done = home.finish(&["sync", "--failing"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with("web  fresh") && done.stdout.lines().count() == 1);
    assert_eq!(home.read_text("targets/web").unwrap(), "first");
    assert_eq!(
        aws.log().read_count("prod/db"),
        reads,
        "what is well is left alone"
    );
    // Nothing fails any more: there is nothing to do.
    let done = home.finish(&["sync", "--failing"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""));
}

#[test]
fn sync_does_not_break_through_what_is_paused_for_all() {
    let (aws, home) = two_entries();
    aws.fail_all(Fault::ExpiredToken);
    let daemon = home.start_ready();
    daemon.wait_state("db", "failing");
    let start = Instant::now();
    let before = aws.log().0.len();
    for _ in 0..5 {
        let done = home.finish(&["sync", "--all"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stdout.contains("(credentials)"), "{}", done.stdout);
    }
    let (calls, took) = (aws.log().0.len() - before, start.elapsed());
    // The probes that are due anyhow, with the second login of each, and no read for each of the ten wishes.
    assert!(calls <= 6, "{calls} calls in {took:?}");
}

/// A rollback is believed at the second read: `sync` waits for that, and does not say `fresh` of the old content.
#[test]
fn sync_waits_until_a_rollback_is_confirmed() {
    let (aws, home) = two_entries();
    aws.put("prod/db", "second");
    let _daemon = home.start_ready();
    wait_content(&home, "targets/db", "second");
    aws.rollback("prod/db");
    assert_eq!(home.finish(&["sync", "db"]).code, Some(0));
    assert_eq!(home.read_text("targets/db").unwrap(), "first");
}

/// The read under way may have been answered before the change: another one follows it.
#[test]
fn sync_during_a_run_is_followed_by_another_run() {
    let (aws, home) = two_entries();
    let daemon = home.start_ready();
    aws.fail("prod/db", Fault::Hang);
    let mut first = connect(&home);
    let ask = json!({"version": 1, "release": RELEASE, "ask": {"sync": {"names": ["db"]}}});
    let reads = aws.log().read_count("prod/db");
    first.write_all(format!("{ask}\n").as_bytes()).unwrap();
    wait_until(PATIENCE, "the read under way", || {
        aws.log().read_count("prod/db") > reads
    });
    // Whoever asked may go away; the run goes on and harms nobody.
    drop(first);
    aws.heal();
    aws.put("prod/db", "second");
    let done = home.finish(&["sync", "db"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(home.read_text("targets/db").unwrap(), "second");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn sync_needs_to_know_what() {
    let (aws, home) = two_entries();
    for arguments in [
        &["sync"][..],
        &["sync", "db", "--all"],
        &["sync", "--all", "--failing"],
    ] {
        assert_eq!(home.finish(arguments).code, Some(64), "{arguments:?}");
    }
    let _daemon = home.start_ready();
    let calls = aws.log().0.len();
    let done = home.finish(&["sync", "db", "webb"]);
    assert_eq!(done.code, Some(64), "{done:?}");
    assert!(
        done.stderr.contains("did you mean `web`"),
        "{}",
        done.stderr
    );
    assert_eq!(
        aws.log().0.len(),
        calls,
        "nothing is synced when one is unknown"
    );
}

#[test]
fn sync_says_what_it_left_alone() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("a", "value");
    let suspended = entry(&home, "a", "a").replacen("store", "suspend = true\nstore", 1);
    home.configure(&(aws.store("prod") + &suspended));
    let daemon = home.start_ready();
    for (which, code) in [("a", 1), ("--all", 0)] {
        let done = home.finish(&["sync", which]);
        assert_eq!(done.code, Some(code), "{done:?}");
        let said = "entry `a` is suspended: nothing was done\n  help: take `suspend = true` out";
        assert!(done.stderr.contains(said), "{done:?}");
    }
    let done = home.finish(&["sync", "--failing"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("nothing was to be done"), "{done:?}");
    assert!(aws.log().0.is_empty());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn whoever_asks_for_a_sync_is_written_down() {
    let (_aws, mut home) = two_entries();
    home.log_level = Some("error");
    let daemon = home.start_ready();
    assert_answers(&home);
    assert!(
        !daemon.output().contains("caller.uid"),
        "a question changes nothing"
    );
    assert_eq!(home.finish(&["sync", "web", "db"]).code, Some(0));
    let output = daemon.output();
    let lines: Vec<&str> = output
        .lines()
        .filter(|it| it.contains("caller.uid"))
        .collect();
    assert_eq!(lines.len(), 1, "{output}");
    let uid = format!("caller.uid={}", getuid().as_raw());
    for said in [
        uid.as_str(),
        "caller.pid=",
        "action=\"sync\"",
        "entries=\"web, db\"",
    ] {
        assert!(lines[0].contains(said), "{said}: {}", lines[0]);
    }
}

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_daemon() {
    let (_aws, home) = two_entries();
    let daemon = home.start_ready();
    let found = fs::symlink_metadata(home.path("c.sock")).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    assert_eq!(daemon.stop(), Some(0));
    assert!(fs::symlink_metadata(home.path("c.sock")).is_err());
    let left = fs::read_dir(home.path("")).unwrap();
    let sockets = left.filter(|it| it.as_ref().unwrap().file_type().unwrap().is_socket());
    assert_eq!(sockets.count(), 0, "nothing temporary is left either");
}

#[test]
fn a_group_may_be_let_in() {
    let (aws, home) = two_entries();
    let configure = |group: &str| {
        let text = home.read_text("secretsyncd.toml").unwrap();
        let line = format!("[daemon]\ncontrol_group = \"{group}\"\n");
        home.configure_whole(&text.replacen("[daemon]\n", &line, 1));
    };
    configure(&getgid().as_raw().to_string());
    let daemon = home.start_ready();
    let found = fs::symlink_metadata(home.path("c.sock")).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o660);
    assert_eq!(found.gid(), getgid().as_raw());
    assert_answers(&home);
    assert_eq!(daemon.stop(), Some(0));

    let entries = aws.store("prod") + &entry(&home, "db", "prod/db");
    home.configure(&entries);
    configure("no-such-group-here");
    let done = home.finish(&["run"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    for said in ["`no-such-group-here`", "control_group", "help: "] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
}

#[test]
fn the_socket_of_a_killed_daemon_is_replaced() {
    let (_aws, home) = two_entries();
    let mut daemon = home.start_ready();
    daemon.signal(Signal::KILL);
    daemon.wait_exit(PATIENCE);
    let stale = fs::symlink_metadata(home.path("c.sock")).unwrap();
    assert!(stale.file_type().is_socket(), "nobody took it away");
    assert_eq!(home.finish(&["status"]).code, Some(69));
    let daemon = home.start_ready();
    assert_answers(&home);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_is_not_a_dead_socket_of_ours_is_refused_and_kept() {
    let (_aws, home) = two_entries();
    let refused = |why: &str| {
        let done = home.finish(&["run"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        let path = home.path("c.sock").display().to_string();
        for said in [path.as_str(), why, "help: ", "control_socket"] {
            assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
        }
    };
    home.write("c.sock", "precious");
    refused("is no socket");
    assert_eq!(home.read_text("c.sock").unwrap(), "precious");
    fs::remove_file(home.path("c.sock")).unwrap();

    std::os::unix::fs::symlink(home.path("elsewhere"), home.path("c.sock")).unwrap();
    refused("is no socket");
    assert!(fs::read_link(home.path("c.sock")).is_ok());
    fs::remove_file(home.path("c.sock")).unwrap();

    let other = UnixListener::bind(home.path("c.sock")).unwrap();
    refused("another process listens");
    assert!(UnixStream::connect(home.path("c.sock")).is_ok());
    drop(other);
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let (_aws, home) = two_entries();
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let done = home.finish(&["run"]);
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("may be written by others"),
        "{}",
        done.stderr
    );
    assert!(!home.path("c.sock").exists());
}

#[test]
fn another_release_is_told_so_on_both_sides() {
    let (_aws, home) = two_entries();
    let daemon = home.start_ready();
    let said = reply(
        &home,
        "{\"version\":2,\"release\":\"9.9.9\",\"ask\":{\"new\":1}}\n",
    );
    assert_eq!(said["version"], 1);
    assert_eq!(said["release"], RELEASE);
    assert_eq!(said["answer"]["refused"]["why"], "other_version");
    let message = said["answer"]["refused"]["message"].as_str().unwrap();
    assert!(
        message.contains(RELEASE) && message.contains("version 1"),
        "{message}"
    );
    assert_eq!(daemon.stop(), Some(0));

    // A daemon of the future.
    let listener = UnixListener::bind(home.path("c.sock")).unwrap();
    for command in [&["status"][..], &["sync", "--all"], &["prune"]] {
        let answer = || {
            let (stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            BufReader::new(&stream).read_line(&mut asked).unwrap();
            let reply = json!({"version": 2, "release": "9.9.9", "what": {"ever": 1}});
            (&stream)
                .write_all(format!("{reply}\n").as_bytes())
                .unwrap();
        };
        let done = std::thread::scope(|scope| {
            scope.spawn(answer);
            home.finish(command)
        });
        let code = if command == ["prune"] { 1 } else { 69 };
        assert_eq!(done.code, Some(code), "{command:?} {done:?}");
        assert_eq!(done.stdout, "");
        for said in ["9.9.9", RELEASE, "help: restart the daemon"] {
            assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
        }
    }
}

/// Asks until it is let in, as the commands do.
fn assert_unhurt(home: &Home, daemon: &Daemon<'_>, what: &str) {
    let done = home.finish(&["status"]);
    assert_eq!(done.code, Some(0), "after {what}: {done:?}");
    assert_eq!(daemon.status().states(), ["fresh", "fresh"], "after {what}");
}

#[test]
fn hostile_requests_disturb_nobody() {
    let (aws, home) = two_entries();
    let daemon = home.start_ready();
    daemon.wait_state("web", "fresh");
    let why = |line: &str| reply(&home, line)["answer"]["refused"]["why"].clone();
    assert_eq!(why(&"x".repeat(1 << 20)), "too_long");
    let long = format!("{{\"version\":1,\"names\":\"{}\"}}\n", "x".repeat(1 << 17));
    assert_eq!(why(&long), "too_long");
    for garbage in [
        "\n",
        "GET / HTTP/1.1\r\n\r\n",
        "\0\u{1}\u{2}\n",
        "null\n",
        "{\"version\":1,\"release\":\"x\",\"ask\":\"reboot\"}\n",
        "{\"version\":1,\"release\":\"x\",\"ask\":{\"sync\":{\"names\":[\"../../etc\\n\"]}}}\n",
    ] {
        assert_eq!(why(garbage), "not_understood", "{garbage:?}");
    }
    let deep = "[".repeat(60_000) + "\n";
    assert_eq!(why(&deep), "not_understood");
    assert_unhurt(&home, &daemon, "nonsense");

    let silent: Vec<UnixStream> = (0..100).map(|_| connect(&home)).collect();
    aws.put("prod/db", "second");
    let done = home.finish(&["sync", "db"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_unhurt(&home, &daemon, "a hundred silent ones");
    // Each was sent away, at the latest when its time was over.
    let heard: Vec<String> = silent.into_iter().map(heard).collect();
    let busy = heard
        .iter()
        .filter(|said| said.contains("\"busy\""))
        .count();
    let unheard = heard.iter().filter(|said| said.is_empty()).count();
    assert!(busy >= 100 - 16 && busy + unheard == 100, "{heard:?}");

    // One byte at a time does not lengthen the time.
    let (mut slow, start) = (connect(&home), Instant::now());
    wait_until(
        Duration::from_secs(10),
        "the slow one to be cut off",
        || slow.write_all(b" ").is_err(),
    );
    assert!(start.elapsed() >= Duration::from_secs(4));
    assert_unhurt(&home, &daemon, "a slow one");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_stop_ends_the_wait_of_whoever_asked() {
    let (aws, home) = two_entries();
    let daemon = home.start_ready();
    aws.fail("prod/db", Fault::Hang);
    let reads = aws.log().read_count("prod/db");
    let done = std::thread::scope(|scope| {
        let asking = scope.spawn(|| home.finish(&["sync", "db"]));
        wait_until(PATIENCE, "the read under way", || {
            aws.log().read_count("prod/db") > reads
        });
        assert_eq!(daemon.stop(), Some(0));
        asking.join().unwrap()
    });
    assert_eq!(done.code, Some(69), "{done:?}");
    assert!(
        done.stderr.contains("stopped before it answered"),
        "{}",
        done.stderr
    );
}

#[test]
fn prune_lists_with_and_without_a_daemon() {
    let (_aws, home) = two_entries();
    let done = home.finish(&["prune", "db"]);
    assert_eq!(done.code, Some(1), "nothing is left of it: {done:?}");
    let without = home.finish(&["prune"]);
    assert_eq!(without.code, Some(0), "{without:?}");
    let daemon = home.start_ready();
    let with = home.finish(&["prune"]);
    assert_eq!((with.code, &with.stdout), (Some(0), &without.stdout));
    assert_eq!(with.stdout, "0 orphaned targets\n");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn the_schema_is_data() {
    let home = Home::new();
    let done = home.finish(&["schema"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let schema: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
}

/// What a command writes to a terminal that is its stderr.
fn on_a_terminal(home: &Home, arguments: &[&str], term: &str) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let name = name.to_str().unwrap();
    let stderr = File::options().read(true).write(true).open(name).unwrap();
    let mut command = home.command(&[&["--log-level", "error"], arguments].concat());
    command
        .env("TERM", term)
        .stdout(Stdio::null())
        .stderr(stderr);
    let mut child = command.spawn().unwrap();
    // The last one that holds the other end is the child.
    drop(command);
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = rustix::io::read(&terminal, &mut piece) {
        said.extend_from_slice(&piece[..read]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(said).unwrap()
}

#[test]
fn on_a_terminal_long_work_shows_how_far_it_is() {
    let (_aws, home) = two_entries();
    let said = on_a_terminal(&home, &["once"], "xterm");
    assert!(said.starts_with("\r\x1b[K0/2 entries\r"), "{said:?}");
    assert!(said.ends_with("\r\x1b[K"), "{said:?}");
    assert_eq!(on_a_terminal(&home, &["once"], "dumb"), "");
}

/// Where stderr is no terminal there is no progress.
#[test]
fn piped_commands_are_plain() {
    let (_aws, home) = two_entries();
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let is_plain = |text: &str| !text.contains(['\x1b', '\r']);
    assert!(is_plain(&done.stdout) && is_plain(&done.stderr), "{done:?}");
    assert!(!done.stderr.contains(" entries\n"), "{done:?}");
    let daemon = home.start_ready();
    let done = home.finish(&["sync", "--all"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    stays_true(Duration::from_millis(200), "it runs", || {
        !daemon.page("/healthz").is_empty()
    });
}
