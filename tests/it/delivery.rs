//! From Secrets Manager to files: every form a value may have, and every way it may change.

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use crate::support::daemon::{Home, wait_content};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

const INTERVAL: Duration = Duration::from_secs(10);

/// One entry `db`: the secret `prod/db` as it is, in `targets/db`.
fn one_file(aws: &SecretsManager, home: &Home, more: &str) -> String {
    format!(
        "{store}[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"prod/db\" }} }}]
[[secrets.db.file]]
path = {path}
key = \"value\"
{more}
",
        store = aws.store("prod"),
        path = home.quoted("targets/db"),
    )
}

const APP: &str = r#"{"user":"app","n":1.0,"e":1e3,"big":12345678901234567890,"a.b":"literal","a":{"b":"path"},"list":[{"k":"deep"}],"obj": { "x": 1 },"quoted":"it's $HOME \"x\" \\ y"}"#;

/// Properties of [`APP`] and what each is: the literal key before the path, numbers and objects as written.
const PROPERTIES: [(&str, &str); 8] = [
    ("user", "app"),
    ("n", "1.0"),
    ("e", "1e3"),
    ("big", "12345678901234567890"),
    ("a.b", "literal"),
    ("list.0.k", "deep"),
    ("obj", r#"{ "x": 1 }"#),
    ("quoted", r#"it's $HOME "x" \ y"#),
];

#[test]
fn every_form_of_a_property_is_delivered() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", APP);
    let items = PROPERTIES.map(|(property, _)| {
        let key = property.replace('.', "_");
        format!("  {{ secret_key = \"{key}\", remote_ref = {{ key = \"prod/app\", property = \"{property}\" }} }},\n")
    });
    home.configure(&format!(
        "{store}[secrets.app]
store = \"prod\"
data = [
{items}]
file = [
  {{ path = {env}, format = \"dotenv\" }},
  {{ path = {json}, format = \"json\" }},
  {{ path = {raw}, key = \"user\", mode = \"0640\" }},
]
",
        store = aws.store("prod"),
        items = items.concat(),
        env = home.quoted("targets/app.env"),
        json = home.quoted("targets/app.json"),
        raw = home.quoted("targets/user"),
    ));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.stdout.lines().count(), 1, "one line per entry");
    assert_eq!(home.read_text("targets/user").unwrap(), "app");
    let text = home.read_text("targets/app.json").unwrap();
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (property, value) in PROPERTIES {
        let key = property.replace('.', "_");
        assert_eq!(object[&key], value, "{key} in JSON");
        assert_eq!(
            sourced(&home, "targets/app.env", &key),
            value,
            "{key} in dotenv"
        );
    }
    assert_eq!(mode(&home, "targets/user"), 0o640);
    assert_eq!(mode(&home, "targets/app.env"), 0o600);
}

#[test]
fn whole_values_are_delivered_byte_for_byte() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&one_file(&aws, &home, ""));
    let binary = [0, 1, 2, 255, 254, b'\n'];
    aws.put_binary("prod/db", &binary);
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(home.read("targets/db").unwrap(), binary);
    for text in [APP, " spaces and a line end \n", "é\u{0}"] {
        aws.put("prod/db", text);
        assert_eq!(home.once(&[]).code, Some(0));
        assert_eq!(home.read_text("targets/db").unwrap(), text);
    }
}

#[test]
fn a_nested_path_is_followed_where_no_literal_key_is() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", r#"{"a":{"b":"path"}}"#);
    let config = one_file(&aws, &home, "");
    home.configure(&config.replace("key = \"prod/db\"", "key = \"prod/db\", property = \"a.b\""));
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(home.read_text("targets/db").unwrap(), "path");
}

#[test]
fn an_absent_property_writes_nothing() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", r#"{"a":"1"}"#);
    let config = one_file(&aws, &home, "");
    home.configure(&config.replace("key = \"prod/db\"", "key = \"prod/db\", property = \"b\""));
    assert_eq!(home.once(&[]).code, Some(1));
    assert!(home.read("targets/db").is_none());
}

#[test]
fn rotation_and_rollback_are_followed() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    home.configure(&one_file(&aws, &home, ""));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    aws.put("prod/db", "second");
    wait_content(&home, "targets/db", "second");
    let metrics = daemon.metrics();
    let propagation = "secretsyncd_propagation_seconds_count";
    assert!((metrics.value(propagation, &[]) - 1.0).abs() < f64::EPSILON);

    let reads_before = aws.log().read_count("prod/db");
    aws.rollback("prod/db");
    wait_content(&home, "targets/db", "first");
    let log = aws.log();
    let after: Vec<_> = log.reads("prod/db").skip(reads_before).collect();
    assert!(after.len() >= 2, "a rollback is read twice");
    let confirmed = after[after.len() - 1].at - after[0].at;
    assert!(
        confirmed >= Duration::from_secs(5),
        "confirmed after {confirmed:?}"
    );
    let metrics = daemon.metrics();
    assert!((metrics.value(propagation, &[]) - 1.0).abs() < f64::EPSILON);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn versions_are_read_by_stage_and_by_id() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let first = aws.put("prod/db", "first");
    aws.put("prod/db", "second");
    aws.put("prod/db", "third");
    let entry = |name: &str, version: &str| {
        format!(
            "[secrets.{name}]
store = \"prod\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\", version = \"{version}\" }} }}]
[[secrets.{name}.file]]
path = {path}
key = \"v\"
",
            path = home.quoted(&format!("targets/{name}")),
        )
    };
    home.configure(
        &[
            aws.store("prod"),
            "fetch = \"single\"\n".to_owned(),
            entry("previous", "AWSPREVIOUS"),
            entry("id", &format!("uuid/{first}")),
            entry("bare", &first),
            entry("current", "AWSCURRENT"),
        ]
        .concat(),
    );
    assert_eq!(home.once(&[]).code, Some(0));
    for (name, value) in [
        ("previous", "second"),
        ("id", "first"),
        ("bare", "first"),
        ("current", "third"),
    ] {
        assert_eq!(
            home.read_text(&format!("targets/{name}")).unwrap(),
            value,
            "{name}"
        );
    }
    let log = aws.log();
    let stages = |stage: &str| {
        log.0
            .iter()
            .any(|r| r.version_stage.as_deref() == Some(stage))
    };
    assert!(stages("AWSCURRENT"), "the stage is always named");
    assert!(stages("AWSPREVIOUS"));
}

#[test]
fn a_foreign_file_is_refused_and_adopted_only_when_asked() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "ours");
    home.configure(&one_file(&aws, &home, ""));
    home.write("targets/db", "theirs");
    assert_eq!(home.once(&[]).code, Some(1));
    assert_eq!(home.read_text("targets/db").unwrap(), "theirs");
    home.configure(&one_file(&aws, &home, "adopt = true"));
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(home.read_text("targets/db").unwrap(), "ours");
}

#[test]
fn a_file_made_while_its_entry_was_away_is_refused_when_it_returns() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "ours");
    let with = one_file(&aws, &home, "");
    let renamed = with.replace("secrets.db", "secrets.other");
    let without = renamed.replace("targets/db", "targets/other");
    let (_, other) = without.split_once("\n\n").unwrap();
    home.configure(&format!("{with}{other}"));
    assert_eq!(home.once(&[]).code, Some(0));
    // A run for one entry does not take the other's file from it.
    assert_eq!(home.once(&["other"]).code, Some(0));
    home.write("targets/db", "drifted");
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(home.read_text("targets/db").unwrap(), "ours");

    home.configure(&without);
    assert_eq!(home.once(&[]).code, Some(0));
    home.write("targets/db", "theirs");
    home.configure(&with);
    assert_eq!(home.once(&[]).code, Some(1));
    assert_eq!(home.read_text("targets/db").unwrap(), "theirs");
}

#[test]
fn a_foreign_file_with_our_bytes_is_taken() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "same");
    home.configure(&one_file(&aws, &home, ""));
    home.write("targets/db", "same");
    assert_eq!(home.once(&[]).code, Some(0));
    aws.put("prod/db", "next");
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(home.read_text("targets/db").unwrap(), "next");
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.configure(&one_file(&aws, &home, ""));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "value");
    let before = identity(&home, "targets/db");
    wait_until(INTERVAL * 5, "three more reads", || {
        aws.log().read_count("prod/db") >= 4
    });
    assert_eq!(daemon.stop(), Some(0));
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(identity(&home, "targets/db"), before);
}

#[test]
fn a_file_that_was_removed_or_changed_comes_back() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.configure(&one_file(&aws, &home, ""));
    let _daemon = home.start_ready();
    wait_content(&home, "targets/db", "value");
    std::fs::remove_file(home.path("targets/db")).unwrap();
    wait_content(&home, "targets/db", "value");
    home.write("targets/db", "somebody else's");
    wait_content(&home, "targets/db", "value");
}

#[test]
fn entries_that_share_a_secret_share_its_reads() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    let mut config = aws.store("prod");
    for name in ["a", "b", "c", "d", "e"] {
        let entry = one_file(&aws, &home, "").replace("secrets.db", &format!("secrets.{name}"));
        let (_, entry) = entry.split_once("\n\n").unwrap();
        config += &entry.replace("targets/db", &format!("targets/{name}"));
    }
    home.configure(&config);
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(aws.log().read_count("prod/db"), 1);
}

/// What a shell makes of a variable of the file.
fn sourced(home: &Home, file: &str, name: &str) -> String {
    let script = format!(". \"$1\"; printf %s \"${name}\"");
    let output = Command::new("/bin/sh")
        .args(["-c", &script, "sh"])
        .arg(home.path(file))
        .env_clear()
        .env("HOME", "/expanded")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn mode(home: &Home, file: &str) -> u32 {
    std::fs::metadata(home.path(file)).unwrap().mode() & 0o7777
}

/// What changes when a file is written again, even with the same bytes.
fn identity(home: &Home, file: &str) -> (u64, i64, i64) {
    let metadata = std::fs::metadata(home.path(file)).unwrap();
    (metadata.ino(), metadata.mtime(), metadata.ctime_nsec())
}
