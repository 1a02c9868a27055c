use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::dotenv::shell::not_for_all_readers;
use super::*;
use crate::config::Dialect;

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
            &FileFormat::Dotenv(Dialect::Shell),
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
        let failure = refused(
            &FileFormat::Dotenv(Dialect::Shell),
            &[(key, value.as_bytes())],
        );
        assert_eq!(failure.reason, Reason::Invalid);
        assert!(failure.fact.contains(&format!("`{key}`")), "{failure}");
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
    let failure = refused(&FileFormat::Dotenv(Dialect::Shell), &[("BYTES", b"\xff")]);
    assert!(failure.fact.contains("`BYTES`"));
}

#[test]
fn docker_takes_every_value_as_it_is_or_not_at_all() {
    let format = FileFormat::Dotenv(Dialect::Docker);
    assert_eq!(
        rendered(
            &format,
            &[
                ("spring.name", b" \"a\" #b "),
                ("EMPTY", b""),
                ("ODD", b"a\rb'$X`y`\\"),
                ("IFS", b"\xef\xbb\xbf"),
            ]
        ),
        "EMPTY=\nIFS=\u{feff}\nODD=a\rb'$X`y`\\\nspring.name= \"a\" #b \n"
    );
    let fits = vec![b'x'; 65_533];
    assert!(render(&format, &payload(&[("A", &fits)])).is_ok());
    let long = [b"hunter2", &fits[..65_527]].concat();
    for value in [
        &b"hunter2\n"[..],
        b"hunter2\r",
        b"\0hunter2",
        &long,
        b"\xffhunter2",
    ] {
        let failure = refused(&format, &[("GOOD", b"x"), ("KEY", value)]);
        assert_eq!(failure.reason, Reason::Invalid);
        assert!(failure.fact.contains("`KEY`"), "{failure}");
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
}

#[test]
fn yaml_is_quoted_whatever_it_says() {
    assert_eq!(
        rendered(
            &FileFormat::Yaml,
            &[
                ("yes", b"no"),
                ("1.5", b"~"),
                (
                    "odd",
                    "\"\\\t\r\n\0\u{7f}\u{85}é\u{2028}\u{feff}\u{ffff}🔑".as_bytes()
                ),
            ]
        ),
        "\"1.5\": \"~\"\n\"odd\": \"\\\"\\\\\\t\\r\\n\\u0000\\u007F\\u0085\\u00E9\\u2028\\uFEFF\\uFFFF\\U0001F511\"\n\"yes\": \"no\"\n"
    );
}

#[test]
fn properties_are_ascii_as_java_writes_them() {
    assert_eq!(
        rendered(
            &FileFormat::Properties,
            &[
                ("b", b"  a b  "),
                ("a", "=:#!\\\t\n\u{c}\r\0\u{7f}é\u{2028}🔑".as_bytes()),
                ("blank", b" "),
            ]
        ),
        "a=\\=\\:\\#\\!\\\\\\t\\n\\f\\r\\u0000\\u007F\\u00E9\\u2028\\uD83D\\uDD11\n\
         b=\\u0020\\u0020a b\\u0020\\u0020\nblank=\\u0020\n"
    );
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_key() {
    for format in [FileFormat::Yaml, FileFormat::Properties] {
        let failure = refused(&format, &[("good", b"x"), ("bad", b"\xffhunter2")]);
        assert!(failure.fact.contains("`bad`"), "{failure}");
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
}

/// A name that nobody wrote must not say what a program loads; written ones are data as all others.
#[test]
fn loader_variables_are_refused_in_every_dialect_when_they_were_found() {
    for dialect in [Dialect::Shell, Dialect::Docker] {
        for name in ["LD_PRELOAD", "BASH_ENV", "PATH"] {
            let format = FileFormat::Dotenv(dialect);
            let mut found = Payload::default();
            found.insert_found(
                SecretKey::new(name).unwrap(),
                SecretBytes::new(b"/x".to_vec()),
            );
            let failure = render(&format, &found).unwrap_err();
            assert!(failure.fact.contains(name), "{failure}");
            assert!(render(&format, &payload(&[(name, b"/x")])).is_ok());
        }
    }
}

#[test]
fn nothing_is_written_empty_or_huge() {
    for format in [
        raw_of("a"),
        FileFormat::Dotenv(Dialect::Shell),
        FileFormat::Dotenv(Dialect::Docker),
        FileFormat::Json,
        FileFormat::Yaml,
        FileFormat::Properties,
    ] {
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

/// Docker's rule as its documentation and source have it, for what is in our files.
fn read_as_docker(file: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    for line in file.split(|byte| *byte == b'\n') {
        assert!(line.len() < 64 << 10, "docker stops reading");
        let line = str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).unwrap();
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').expect("a value for every key");
        assert!(!key.is_empty() && !key.contains([' ', '\t']));
        found.insert(key.to_owned(), value.to_owned());
    }
    found
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

/// All keys and all text, what only the dotenv dialects refuse too.
fn everything() -> impl Strategy<Value = BTreeMap<String, String>> {
    let value = prop_oneof![
        value(),
        any::<String>(),
        prop::sample::select(vec![
            "yes",
            "0x1",
            "1_000",
            "~",
            "2024-01-01",
            "\0",
            "\u{2028}\u{feff}",
            "\u{ffff}"
        ])
        .prop_map(str::to_owned),
    ];
    let key = prop_oneof![
        "[A-Za-z0-9_-][A-Za-z0-9_.-]{0,6}",
        prop::sample::select(vec!["yes", "null", "1e3", "-", "---", "0x1"]).prop_map(str::to_owned),
    ];
    prop::collection::btree_map(key, value, 1..12)
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
    fn docker_reads_back_what_it_is_given(map in variables()) {
        let rendered = render(&FileFormat::Dotenv(Dialect::Docker), &payload_of(&map));
        let fits = |value: &String| !value.contains(['\n', '\0']) && !value.ends_with('\r');
        prop_assert_eq!(rendered.is_ok(), map.values().all(fits));
        if let Ok(bytes) = rendered {
            prop_assert_eq!(read_as_docker(bytes.expose()), map);
        }
    }

    #[test]
    fn yaml_and_properties_read_back_and_are_ascii(map in everything()) {
        for format in [FileFormat::Yaml, FileFormat::Properties] {
            let bytes = render(&format, &payload_of(&map)).unwrap();
            let plain = |byte: &u8| *byte == b'\n' || (b' '..=b'~').contains(byte);
            prop_assert!(bytes.expose().iter().all(plain));
            prop_assert_eq!(bytes.expose().split(|byte| *byte == b'\n').count(), map.len() + 1);
            let values = read::read(&format, &bytes).unwrap().values;
            prop_assert_eq!(values, Some(payload_of(&map)));
        }
    }

    #[test]
    fn dotenv_reads_back_as_systemd_documents(map in variables()) {
        let bytes = render(&FileFormat::Dotenv(Dialect::Shell), &payload_of(&map)).unwrap();
        prop_assert_eq!(read_as_systemd(str::from_utf8(bytes.expose()).unwrap()), map);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dotenv_reads_back_in_shells(map in variables()) {
        let bytes = render(&FileFormat::Dotenv(Dialect::Shell), &payload_of(&map)).unwrap();
        let keys: Vec<_> = map.keys().collect();
        let values: Vec<_> = map.values().cloned().collect();
        for shell in ["/bin/sh", "/bin/bash"] {
            if let Some(read) = read_as_shell(shell, bytes.expose(), &keys) {
                prop_assert_eq!(&read, &values, "{}", shell);
            }
        }
    }
}
