//! What is logged, where to, and in which form.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::{Finished, Home, PATIENCE, wait_content};
use crate::support::kubernetes::{Fault, Kubernetes, Rule, Verb};
use crate::support::pipe::Pipe;
use crate::support::secrets_manager::SecretsManager;
use crate::support::suite;
use crate::support::wait::{wait_for, wait_until};

const SUITE: &str = "journal suite";

/// The entry `db`: the secret `prod/db` in a file.
fn one_file(aws: &SecretsManager, home: &Home) -> String {
    format!(
        "{store}[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"prod/db\" }} }}]
[[secrets.db.file]]
path = {path}
key = \"value\"
",
        store = aws.store("prod"),
        path = home.quoted("targets/db"),
    )
}

/// The entry `app`: of two secrets, in a Secret.
fn one_secret(kubernetes: &Kubernetes) -> String {
    format!(
        "{cluster}[secrets.app]
store = \"prod\"
refresh_interval = \"10s\"
data = [
  {{ secret_key = \"a\", remote_ref = {{ key = \"prod/a\" }} }},
  {{ secret_key = \"b\", remote_ref = {{ key = \"prod/b\" }} }},
]
[[secrets.app.kubernetes]]
cluster = \"main\"
namespace = \"app\"
",
        cluster = kubernetes.cluster("main"),
    )
}

/// What the audit says of an entry, in order: what was done, to what, with which version of how many, and why.
fn audit(output: &str, entry: &str) -> Vec<[String; 6]> {
    let lines = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let events = lines.filter(|line: &Value| line["target"] == "audit" && line["entry"] == entry);
    let fields = [
        "message",
        "target.kind",
        "target.name",
        "version",
        "reads",
        "cause",
    ];
    let event = |event: Value| {
        assert_eq!(event["level"], "INFO");
        fields.map(|field| match &event[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    events.map(event).collect()
}

#[test]
fn every_write_is_an_audit_event_whatever_the_level() {
    let (aws, kubernetes, mut home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    home.log_level = Some("error");
    home.log_format = Some("json");
    let first = aws.put("prod/db", "one");
    aws.put("prod/a", "a");
    let newest = aws.put_ahead("prod/b", "b", Duration::from_secs(1));
    home.configure(&(one_file(&aws, &home) + &one_secret(&kubernetes)));
    let creates = Rule::any().verb(Verb::Create);
    kubernetes.fail(creates, Fault::InternalError);
    let daemon = home.start_ready();
    kubernetes.heal();
    let second = aws.put("prod/db", "two");
    wait_content(&home, "targets/db", "two");
    home.write("targets/db", "somebody else's");
    wait_content(&home, "targets/db", "two");
    let path = home.path("targets/db").display().to_string();
    let event = |what: &str, version: &str, cause: &str| {
        [what, "file", &path, version, "1", cause].map(str::to_owned)
    };
    let expected = [
        event("created", &first, "first_sight"),
        event("updated", &second, "new_version"),
        event("put back", &second, "drift"),
    ];
    wait_for(PATIENCE, "three events", || {
        (audit(&daemon.output(), "db").len() == expected.len()).then_some(())
    });
    assert_eq!(audit(&daemon.output(), "db"), expected);
    let expected = [
        "created",
        "kubernetes",
        "main/app/app",
        &newest,
        "2",
        "retry",
    ];
    let events = wait_for(PATIENCE, "the Secret", || {
        Some(audit(&daemon.output(), "app")).filter(|events| !events.is_empty())
    });
    assert_eq!(events, [expected.map(str::to_owned)]);
    // Nothing else was worth an error.
    let lines = daemon.output().lines().count();
    assert_eq!(lines, 4, "{}", daemon.output());
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let home = Home::new();
    let put = |value: &str| {
        let new = home.write("local.new", format!("v = \"{value}\"\n"));
        std::fs::rename(new, home.path("local.toml")).unwrap();
    };
    put("one");
    home.configure(&format!(
        "[stores.local.file]
path = \"local.toml\"
[secrets.db]
store = \"local\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"v\" }} }}]
[[secrets.db.file]]
path = {}
key = \"value\"
",
        home.quoted("targets/db"),
    ));
    let log = Pipe::in_home(&home);
    let daemon = log.start(&home);
    log.stop_up();
    for value in ["two", "three"] {
        put(value);
        wait_content(&home, "targets/db", value);
    }
    // All of it waits.
    let mut text = String::new();
    wait_until(PATIENCE, "two lines of the audit", || {
        text += &log.clear();
        text.matches(" audit: updated entry=db ").count() == 2
    });
    log.stop_up();
    put("four");
    wait_content(&home, "targets/db", "four");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_text_line_of_the_audit_names_its_target() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let version = aws.put("prod/db", "one");
    home.configure(&one_file(&aws, &home));
    let done = home.finish(&["once"]);
    let path = home.path("targets/db").display().to_string();
    let line = format!(
        " INFO audit: created entry=db target.kind=file target.name={path} version=\"{version}\" reads=1 cause=\"first_sight\"\n"
    );
    assert!(done.stderr.contains(&line), "{}", done.stderr);
}

/// A fingerprint is no version: whoever has the key could try values against it.
#[test]
fn a_file_store_has_no_versions_to_tell() {
    let mut home = Home::new();
    home.log_format = Some("json");
    home.write("s.toml", "a = \"x\"\n");
    let path = home.quoted("targets/a");
    home.configure(&format!("[stores.s.file]\npath = \"s.toml\"\n[secrets.a]\nstore = \"s\"\ndata = [{{ secret_key = \"a\", remote_ref = {{ key = \"a\" }} }}]\n[[secrets.a.file]]\npath = {path}\nkey = \"a\"\n"));
    let done = home.finish(&["once"]);
    let events = audit(&done.stderr, "a");
    assert_eq!(events.len(), 1, "{}", done.stderr);
    assert_eq!(events[0][3..], ["null", "1", "first_sight"]);
}

/// Stands where journald does, for whoever sees this directory at its place.
struct Journal {
    socket: UnixDatagram,
    place: tempfile::TempDir,
}

/// What the command is told of its stderr.
const SAME_STREAM: &str = "$(stat -L -c %d:%i /proc/self/fd/2)";

impl Journal {
    fn start() -> Self {
        // A socket's path must be short.
        let place = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(place.path().join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, place }
    }

    /// `once`, where the directory is journald's.
    fn once(home: &Home, place: &Path, stream: &str) -> Finished {
        let script = format!(
            "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind {} /run/systemd/journal && export JOURNAL_STREAM={stream} && exec \"$@\"",
            place.display()
        );
        let mut wrapper = unshare().to_vec();
        wrapper.extend(["sh", "-c", &script, "sh"]);
        home.finish_through(&wrapper, &["once"])
    }

    /// The messages so far, each as its fields.
    fn messages(&self) -> Vec<Vec<(String, String)>> {
        let mut messages = Vec::new();
        let mut bytes = vec![0; 1 << 16];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(0) => {}
                Ok(length) => messages.push(fields(&bytes[..length])),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    return messages;
                }
            }
        }
    }
}

/// The journal's export format: `NAME=text`, or a name, a length and that many bytes.
fn fields(mut bytes: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = Vec::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        if let Some(at) = line.iter().position(|byte| *byte == b'=') {
            fields.push((text(&line[..at]), text(&line[at + 1..])));
            bytes = rest;
        } else {
            let (length, rest) = rest.split_first_chunk().unwrap();
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
            fields.push((text(line), text(&rest[..length])));
            bytes = &rest[length + 1..];
        }
    }
    fields
}

/// Gives a command mounts of its own.
fn unshare() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--mount", "--map-root-user"]
    }
}

fn can_unshare() -> bool {
    let [program, arguments @ ..] = unshare() else {
        return false;
    };
    let mut command = std::process::Command::new(program);
    let done = command.args(arguments).arg("true").output();
    done.is_ok_and(|done| done.status.success())
}

#[test]
fn where_stderr_is_the_journal_it_gets_fields() {
    if !can_unshare() {
        let why = "mounts of one's own are not allowed here";
        suite::not_run(SUITE, 4, why);
        assert!(!suite::in_ci(), "{SUITE} must run under CI=true: {why}");
        return;
    }
    let (aws, mut home, journal) = (SecretsManager::start(), Home::new(), Journal::start());
    aws.put("prod/db", "one");
    home.configure(&one_file(&aws, &home));
    let done = Journal::once(&home, journal.place.path(), SAME_STREAM);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let messages = journal.messages();
    let is = |(name, text): &(String, String), field: (&str, &str)| (&**name, &**text) == field;
    let audit = messages.iter().find(|message| {
        let mut fields = message.iter();
        fields.any(|field| is(field, ("TARGET", "audit")))
    });
    let audit = audit.unwrap();
    for field in [
        ("MESSAGE", "created"),
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "secretsyncd"),
        ("SECRETSYNCD_ENTRY", "db"),
        ("SECRETSYNCD_TARGET_KIND", "file"),
        ("SECRETSYNCD_CAUSE", "first_sight"),
    ] {
        assert!(audit.iter().any(|it| is(it, field)), "{field:?}: {audit:?}");
    }
    // Another stderr than the one that the variable is about, a journal that is not there, and a format that was asked for.
    let elsewhere = Journal::once(&home, journal.place.path(), "1:1");
    let nothing = tempfile::tempdir().unwrap();
    let absent = Journal::once(&home, nothing.path(), SAME_STREAM);
    home.log_format = Some("json");
    let asked = Journal::once(&home, journal.place.path(), SAME_STREAM);
    for done in [elsewhere, absent] {
        assert!(done.stderr.contains(" INFO "), "{done:?}");
    }
    assert!(asked.stderr.starts_with('{'), "{asked:?}");
    assert!(journal.messages().is_empty());
}
