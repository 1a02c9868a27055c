use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn payload(pairs: &[(&str, &[u8])]) -> Payload {
    let mut payload = Payload::default();
    for (key, value) in pairs {
        payload.insert(
            SecretKey::new(*key).unwrap(),
            SecretBytes::new(value.to_vec()),
        );
    }
    payload
}

fn rendered(format: &FileFormat, pairs: &[(&str, &[u8])]) -> String {
    let bytes = render(format, &payload(pairs)).unwrap();
    String::from_utf8(bytes.expose().to_vec()).unwrap()
}

fn refused(format: &FileFormat, pairs: &[(&str, &[u8])]) -> Failure {
    render(format, &payload(pairs)).unwrap_err()
}

fn raw_of(key: &str) -> FileFormat {
    FileFormat::Raw {
        key: SecretKey::new(key).unwrap(),
    }
}

#[test]
fn raw_is_exactly_the_bytes_of_its_key() {
    let pairs: &[(&str, &[u8])] = &[("a", b"\0\xff no newline"), ("b", b"other")];
    let bytes = render(&raw_of("a"), &payload(pairs)).unwrap();
    assert_eq!(bytes.expose(), b"\0\xff no newline");
    let failure = refused(&raw_of("c"), pairs);
    assert_eq!(failure.reason, Reason::Invalid);
    assert!(failure.fact.contains("`c`"));
}

#[test]
fn json_is_one_sorted_line() {
    assert_eq!(
        rendered(&FileFormat::Json, &[("b", b"2\n\"\0"), ("a", b"")]),
        "{\"a\":\"\",\"b\":\"2\\n\\\"\\u0000\"}\n"
    );
    let failure = refused(
        &FileFormat::Json,
        &[("good", b"x"), ("bad", b"\xffhunter2")],
    );
    assert!(failure.fact.contains("`bad`"), "{failure}");
    assert!(!format!("{failure:?}").contains("hunter2"));
}

#[test]
fn dotenv_quotes_by_the_rule() {
    assert_eq!(
        rendered(
            &FileFormat::Dotenv,
            &[
                ("PLAIN", b"a b#c"),
                ("EMPTY", b""),
                ("BOTH", b"it's \"$HOME\" `x` \\n"),
                ("LINES", b"one\ntwo\\"),
            ]
        ),
        "BOTH=\"it's \\\"\\$HOME\\\" \\`x\\` \\\\n\"\nEMPTY=''\nLINES='one\ntwo\\'\nPLAIN='a b#c'\n"
    );
}

#[test]
fn dotenv_refuses_what_not_every_reader_takes() {
    for (key, value) in [
        ("tls.crt", "x"),
        ("1ST", "x"),
        ("A-B", "x"),
        ("UID", "x"),
        ("NUL", "hunter2\0"),
        ("MARK", "\u{feff}hunter2"),
        ("NONCHARACTER", "hunter2\u{ffff}"),
        ("LONG", &"hunter2".repeat(20_000)),
    ] {
        let failure = refused(&FileFormat::Dotenv, &[(key, value.as_bytes())]);
        assert_eq!(failure.reason, Reason::Invalid);
        assert!(failure.fact.contains(&format!("`{key}`")), "{failure}");
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
    let failure = refused(&FileFormat::Dotenv, &[("BYTES", b"\xff")]);
    assert!(failure.fact.contains("`BYTES`"));
}

#[test]
fn nothing_is_written_empty_or_huge() {
    for format in [raw_of("a"), FileFormat::Dotenv, FileFormat::Json] {
        for pairs in [&[][..], &[("a", &b""[..])]] {
            let failure = refused(&format, pairs);
            assert_eq!(failure.reason, Reason::Invalid);
            assert!(failure.fact.contains("would be written empty"));
        }
    }
    assert!(
        refused(&raw_of("a"), &[("a", b""), ("b", b"x")])
            .fact
            .contains("would be written empty")
    );
    let huge = vec![b'x'; MAX_FILE_BYTES + 1];
    assert_eq!(
        refused(&raw_of("a"), &[("a", &huge)]).reason,
        Reason::TooLarge
    );
}

/// systemd's rule for the files we write: one pair of quotes per value, and what its man page says of either kind.
fn read_as_systemd(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut chars = text.chars();
    loop {
        let key: String = chars.by_ref().take_while(|c| *c != '=').collect();
        if key.is_empty() {
            return found;
        }
        let mut value = String::new();
        match chars.next() {
            Some('\'') => value.extend(chars.by_ref().take_while(|c| *c != '\'')),
            Some('"') => loop {
                match chars.next().unwrap() {
                    '"' => break,
                    '\\' => match chars.next().unwrap() {
                        c @ ('"' | '\\' | '`' | '$') => value.push(c),
                        '\n' => {}
                        c => value.extend(['\\', c]),
                    },
                    c => value.push(c),
                }
            },
            other => panic!("unquoted: {other:?}"),
        }
        assert_eq!(chars.next(), Some('\n'), "nothing after the quotes");
        found.insert(key, value);
    }
}

/// What `shell` has in the variables after `.`, or nothing where it is not installed.
fn read_as_shell(shell: &str, file: &[u8], keys: &[&String]) -> Option<Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("env");
    std::fs::write(&path, file).unwrap();
    let mut script = String::from("unset PATH; . \"$1\" || exit 9\n");
    for key in keys {
        writeln!(script, "printf '%s\\0' \"${{{key}}}\"").unwrap();
    }
    let run = Command::new(shell)
        .args(["-c", &script, shell])
        .arg(&path)
        .env_clear()
        .stderr(Stdio::inherit())
        .output();
    let output = run.ok()?;
    assert!(output.status.success(), "{shell} cannot read it");
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

/// Mostly what quoting is about.
fn value() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(
        "'\"\\$`!#;=&|<>(){}[]*?~%@^+-,.:/ \t\n\r\u{1}\u{7f}\u{80}\u{81}\u{88}naxé字🔑"
            .chars()
            .collect::<Vec<_>>(),
    );
    let any =
        any::<char>().prop_filter("refused", |c| not_for_all_readers(&c.to_string()).is_none());
    prop::collection::vec(prop_oneof![8 => nasty, 1 => any], 0..24)
        .prop_map(|chars| chars.into_iter().collect())
}

fn variables() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("X[A-Za-z0-9_]{0,6}", value(), 1..12)
        .prop_filter("blank", |map| map.values().any(|value| !value.is_empty()))
}

fn payload_of(map: &BTreeMap<String, String>) -> Payload {
    let pairs: Vec<_> = map
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_bytes()))
        .collect();
    payload(&pairs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_reads_back(map in variables()) {
        let bytes = render(&FileFormat::Json, &payload_of(&map)).unwrap();
        prop_assert_eq!(bytes.expose().last(), Some(&b'\n'));
        let read: BTreeMap<String, String> = serde_json::from_slice(bytes.expose()).unwrap();
        prop_assert_eq!(read, map);
    }

    #[test]
    fn dotenv_reads_back_as_systemd_documents(map in variables()) {
        let bytes = render(&FileFormat::Dotenv, &payload_of(&map)).unwrap();
        prop_assert_eq!(read_as_systemd(str::from_utf8(bytes.expose()).unwrap()), map);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dotenv_reads_back_in_shells(map in variables()) {
        let bytes = render(&FileFormat::Dotenv, &payload_of(&map)).unwrap();
        let keys: Vec<_> = map.keys().collect();
        let values: Vec<_> = map.values().cloned().collect();
        for shell in ["/bin/sh", "/bin/bash"] {
            if let Some(read) = read_as_shell(shell, bytes.expose(), &keys) {
                prop_assert_eq!(&read, &values, "{}", shell);
            }
        }
    }
}
