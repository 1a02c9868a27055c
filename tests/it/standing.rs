//! What `status` shows, on a terminal and in a pipe, of what a daemon says, be it of this release or another; and what the
//! real one says beyond its entries.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

use crate::support::daemon::{Finished, Home, PATIENCE, wait_content};
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::wait::wait_until;

/// The daemon said it then.
const AT: &str = "2026-01-02T12:00:00Z";

fn at(before: &str) -> String {
    format!("2026-01-02T{before}Z")
}

fn trouble(reason: &str, message: &str, help: &str) -> Value {
    json!({"reason": reason, "message": message, "help": help})
}

fn target(name: &str, state: &str, error: &Value) -> Value {
    json!({
        "kind": "file", "target": name, "state": state, "removed_since": null, "waits": false, "action": null,
        "error": error,
    })
}

fn entry(name: &str, state: &str, targets: &Value) -> Value {
    json!({
        "name": name, "store": "prod", "state": state, "refresh_interval_seconds": 3600,
        "version_created": at("09:30:00"), "undelivered_version_created": null, "last_success": at("11:58:00"),
        "next_sync": at("12:45:00"), "error": null, "waits": false, "targets": targets,
    })
}

fn document(entries: &Value) -> Value {
    json!({
        "version": 1, "at": AT, "release": "9.9.9", "instance": "default", "reload": null, "leader": null,
        "paused_clusters": [], "paused_stores": [], "held": [], "entries": entries,
    })
}

/// Everything that can be wrong.
fn troubled() -> Value {
    let denied = trouble(
        "access_denied",
        "reading `prod/api` is not allowed: the identity lacks secretsmanager:GetSecretValue",
        "`secretsyncd iam-policy` prints what it needs",
    );
    let down = trouble(
        "network",
        "cluster `edge` cannot be reached: connection refused",
        "check the server's address, and that it runs",
    );
    let mut api = entry(
        "api",
        "failing",
        &json!([target("/run/app/api", "failing", &denied)]),
    );
    api["error"] = denied;
    api["last_success"] = Value::Null;
    api["version_created"] = Value::Null;
    let mut database = entry(
        "database",
        "stale",
        &json!([
            target("/run/app/database", "fresh", &Value::Null),
            target("edge/app/database", "stale", &down),
        ]),
    );
    database["last_success"] = at("02:00:00").into();
    database["undelivered_version_created"] = at("11:48:00").into();
    let mut tls = entry(
        "tls",
        "fresh",
        &json!([target("/run/app/tls", "fresh", &Value::Null)]),
    );
    tls["targets"][0]["action"] = json!({
        "kind": "reload_unit", "action": "reload_unit nginx.service", "pending_since": at("11:59:30"), "error": null,
    });
    let mut all = document(&json!([
        api,
        database,
        entry("off", "suspended", &json!([])),
        tls
    ]));
    all["paused_stores"] = json!([{
        "store": "prod", "since": at("11:55:00"), "next_probe": at("12:00:20"),
        "error": trouble("credentials", "the login has expired", "renew it"),
    }]);
    all["paused_clusters"] = json!([{
        "cluster": "edge", "since": at("09:00:00"), "next_probe": at("12:01:00"), "error": down,
    }]);
    all["held"] = json!([{"entry": "old", "targets": ["edge/a/old", "edge/b/old"]}]);
    all["leader"] = json!({
        "leads": false, "identity": "b", "lease": "edge/kube-system/secretsyncd", "holder": "a", "error": null,
    });
    all["reload"] = json!({"at": at("11:00:00"), "successful": false, "error": "a line is wrong"});
    all
}

/// Stands in for a daemon of another release, for as long as that takes.
fn answering<T>(home: &Home, status: &Value, ask: impl FnOnce() -> T) -> T {
    let path = home.path("c.sock");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(path).unwrap();
    let answer = || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        BufReader::new(&stream).read_line(&mut asked).unwrap();
        let reply =
            json!({"version": 1, "release": "9.9.9", "answer": {"status": status}, "news": 1});
        stream.write_all(format!("{reply}\n").as_bytes()).unwrap();
    };
    std::thread::scope(|scope| {
        scope.spawn(answer);
        ask()
    })
}

fn home() -> Home {
    let home = Home::new();
    home.configure("");
    home
}

fn piped(home: &Home, status: &Value) -> Finished {
    answering(home, status, || home.finish(&["status"]))
}

/// What a terminal of that width shows.
fn shown(home: &Home, status: &Value, width: u16) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize {
        ws_row: 40,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
    };
    let mut command = home.command(&["status"]);
    command.stdout(open().unwrap()).stderr(Stdio::null());
    answering(home, status, || {
        let mut child = command.spawn().unwrap();
        // The last one that holds the other end is the child.
        drop(command);
        let mut said = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = rustix::io::read(&terminal, &mut piece) {
            said.extend_from_slice(&piece[..read]);
        }
        assert_eq!(child.wait().unwrap().code(), Some(1));
        String::from_utf8(said).unwrap().replace("\r\n", "\n")
    })
}

#[test]
fn everything_that_is_wrong_is_shown_with_what_to_do_the_worst_first() {
    let home = home();
    let done = piped(&home, &troubled());
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!("piped", done.stdout);
}

#[test]
fn a_terminal_gets_colours_and_no_longer_lines_than_it_has_room_for() {
    let home = home();
    let said = shown(&home, &troubled(), 60);
    insta::assert_snapshot!("terminal", said.replace('\x1b', "ESC"));
    for line in said.lines() {
        let codes = line.matches("\x1b[0m").count() * "\x1b[31m\x1b[0m".len();
        assert!(line.chars().count() - codes <= 60, "{line:?}");
    }
    assert!(shown(&home, &troubled(), 200).contains("synced 10h ago  next in 45m"));
}

#[test]
fn thousands_of_entries_stay_readable_on_a_terminal_and_whole_in_a_pipe() {
    let home = home();
    let well = json!([target("/run/x", "fresh", &Value::Null)]);
    let mut entries: Vec<Value> = (0..5000)
        .map(|number| entry(&format!("entry-{number:04}"), "fresh", &well))
        .collect();
    let gone = trouble("not_found", "it is not there", "make it");
    entries.push(entry(
        "zebra",
        "failing",
        &json!([target("/run/z", "failing", &gone)]),
    ));
    let all = document(&json!(entries));
    let said = shown(&home, &all, 100);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() < 40, "{} lines", lines.len());
    assert!(lines[0].starts_with("zebra"), "{said}");
    let [.., more, summary] = lines[..] else {
        panic!("{said}")
    };
    assert!(more.starts_with("4980 more entries are well"), "{more}");
    assert_eq!(summary, "5001 entries: 1 failing, 5000 fresh");
    let done = piped(&home, &all);
    assert_eq!(done.stdout.lines().count(), 5000 + 4 + 1);
}

/// After an upgrade of the package and before the restart of the daemon, and the other way round.
#[test]
fn a_daemon_of_another_release_may_say_more_or_less() {
    let home = home();
    let mut later = troubled();
    later["added"] = json!({"later": true});
    later["entries"][0]["added"] = json!([1]);
    later["entries"][0]["targets"][0]["added"] = json!("x");
    later["entries"][0]["error"]["added"] = json!(null);
    later["paused_stores"][0]["added"] = json!(1.5);
    later["leader"]["added"] = json!(1);
    later["held"][0]["added"] = json!(1);
    let same = piped(&home, &troubled()).stdout;
    let done = piped(&home, &later);
    assert_eq!(done.stdout, same, "{}", done.stderr);

    // The first release.
    let earlier = json!({
        "version": 1, "instance": "default", "reload": null,
        "entries": [{
            "name": "db", "store": "prod", "state": "fresh", "last_success": at("11:58:00"), "next_sync": null,
            "error": null, "targets": [{"kind": "file", "target": "/run/x", "state": "fresh", "error": null}],
        }],
    });
    let done = piped(&home, &earlier);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with("db  fresh"), "{}", done.stdout);
}

fn configured(aws: &SecretsManager, home: &Home) {
    let entry = format!(
        "[secrets.db]\nstore = \"prod\"\nrefresh_interval = \"1h\"\n\
         data = [{{ secret_key = \"v\", remote_ref = {{ key = \"db\" }} }}]\n\
         [[secrets.db.file]]\npath = {}\nkey = \"v\"\n",
        home.quoted("targets/db")
    );
    home.configure(&(aws.store("prod") + &entry));
    let text = home.read_text("secretsyncd.toml").unwrap();
    home.configure_whole(&text.replacen("c.sock", "run/c.sock", 1));
}

#[test]
fn the_age_of_what_is_delivered_and_paused_stores_are_said() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("db", "first");
    configured(&aws, &home);
    let daemon = home.start_ready();
    let status = daemon.wait_state("db", "fresh").0;
    assert_eq!(status["release"], env!("CARGO_PKG_VERSION"));
    let entry = &status["entries"][0];
    assert_eq!(entry["refresh_interval_seconds"], 3600);
    assert_eq!(entry["undelivered_version_created"], Value::Null);
    let (made, said) = (entry["version_created"].as_str(), status["at"].as_str());
    assert!(made.is_some() && made < said, "{made:?} {said:?}");
    assert_eq!(status["paused_stores"], json!([]));
    let done = home.finish(&["status"]);
    assert!(done.stdout.contains(" old  synced "), "{}", done.stdout);

    aws.fail_all(Fault::ExpiredToken);
    assert_eq!(home.finish(&["sync", "--all"]).code, Some(1));
    let paused = || daemon.status().0["paused_stores"][0].clone();
    let first = paused();
    assert_eq!(first["store"], "prod");
    assert_eq!(first["error"]["reason"], "credentials");
    let mut later = Value::Null;
    wait_until(PATIENCE, "a probe that fails", || {
        later = paused();
        later["next_probe"] != first["next_probe"]
    });
    assert_eq!(later["since"], first["since"], "it is the same pause");
    let done = home.finish(&["status"]);
    let said = "store `prod` is paused for ";
    assert!(done.stdout.contains(said), "{}", done.stdout);
    aws.heal();
    wait_until(PATIENCE, "the end of the pause", || paused() == Value::Null);
}

#[test]
fn what_is_taken_away_under_a_running_daemon_is_made_again_or_named() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("db", "first");
    configured(&aws, &home);
    let daemon = home.start_ready();
    let socket = home.path("run/c.sock");
    fs::remove_dir_all(home.path("run")).unwrap();
    fs::remove_dir_all(home.path("state")).unwrap();
    assert_eq!(home.finish(&["status"]).code, Some(69));
    wait_until(PATIENCE, "the socket", || socket.exists());
    assert_eq!(home.finish(&["status"]).code, Some(0));
    let named = "the state directory ";
    wait_until(PATIENCE, "the loss of the state to be named", || {
        daemon.output().contains(named)
    });
    // It goes on with what it knows.
    aws.put("db", "second");
    assert_eq!(home.finish(&["sync", "db"]).code, Some(0));
    wait_content(&home, "targets/db", "second");

    // What somebody else puts there stays.
    fs::remove_file(&socket).unwrap();
    home.write("run/c.sock", "precious");
    let told = || {
        daemon
            .output()
            .matches("its control socket is gone")
            .count()
    };
    wait_until(PATIENCE, "that to be named", || told() == 1);
    fs::remove_file(&socket).unwrap();
    wait_until(Duration::from_secs(20), "the socket", || {
        home.finish(&["status"]).code == Some(0)
    });
    let output = daemon.output();
    assert_eq!((told(), output.matches(named).count()), (1, 1), "{output}");
    assert_eq!(daemon.stop(), Some(0));
    assert!(!socket.exists());
}
