//! Parameter Store: in tens, with versions and labels, and no name lost.

use std::time::Duration;

use crate::support::daemon::{Home, wait_content};
use crate::support::parameter_store::{Fault, Operation, ParameterStore};

fn item(key: &str, remote: &str) -> String {
    format!("  {{ secret_key = \"{key}\", remote_ref = {{ {remote} }} }},\n")
}

fn entry(home: &Home, name: &str, sources: &str) -> String {
    format!(
        "[secrets.{name}]\nstore = \"ps\"\nrefresh_interval = \"10s\"\n{sources}\n[[secrets.{name}.file]]\npath = {}\nformat = \"json\"\n\n",
        home.quoted(&format!("targets/{name}"))
    )
}

fn data(items: &[String]) -> String {
    format!("data = [\n{}]\n", items.concat())
}

#[test]
fn values_versions_labels_and_tags_arrive() {
    let (aws, home) = (ParameterStore::start(), Home::new());
    aws.put("/prod/db", "first");
    let second = aws.put("/prod/db", "second");
    aws.label("/prod/db", "stable", second - 1);
    aws.put_secure("/prod/key", "secure");
    aws.put("plain", "plain");
    aws.tag("/prod/db", "team", "payments");
    let arn = aws.arn("/prod/key");
    let sources = data(&[
        item("current", "key = \"/prod/db\""),
        item("number", "key = \"/prod/db\", version = \"1\""),
        item("label", "key = \"/prod/db\", version = \"stable\""),
        item("secure", "key = \"/prod/key\""),
        item("arn", &format!("key = \"{arn}\"")),
        item("plain", "key = \"plain\""),
        item(
            "tags",
            "key = \"/prod/db\", metadata = true, property = \"team\"",
        ),
    ]);
    home.configure(&(aws.store("ps") + &entry(&home, "app", &sources)));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        home.read_text("targets/app").unwrap(),
        "{\"arn\":\"secure\",\"current\":\"second\",\"label\":\"first\",\"number\":\"first\",\"plain\":\"plain\",\"secure\":\"secure\",\"tags\":\"payments\"}\n"
    );
}

#[test]
fn a_hundred_parameters_are_ten_calls_and_a_change_arrives() {
    let (aws, home) = (ParameterStore::start(), Home::new());
    let names: Vec<String> = (0..100).map(|i| format!("/app/p{i:02}")).collect();
    for name in &names {
        aws.put(name, "first");
    }
    let items: Vec<_> = names
        .iter()
        .map(|name| item(&name[5..], &format!("key = \"{name}\"")))
        .collect();
    let polled = aws.store("ps") + &entry(&home, "app", &data(&items));
    // Ten routine reads in ten seconds: the first of them comes round within one of the start.
    home.configure(&polled.replace("= \"10s\"", "= \"1h\""));
    let daemon = home.start_ready();
    daemon.wait_state("app", "fresh");
    let log = aws.log();
    assert_eq!(
        (
            log.calls(Operation::GetParameters),
            log.calls(Operation::GetParameter)
        ),
        (10, 0)
    );
    home.configure(&polled);
    aws.put("/app/p42", "second");
    let wanted = items_json(&names, "p42", "second");
    wait_content(&home, "targets/app", &wanted);
    // The change woke the entry, which read the rest again, in tens.
    assert_eq!(aws.log().calls(Operation::GetParameter), 0);
    drop(daemon);
}

fn items_json(names: &[String], changed: &str, value: &str) -> String {
    let of = |name: &String| {
        let key = &name[5..];
        let value = if key == changed { value } else { "first" };
        format!("\"{key}\":\"{value}\"")
    };
    let items: Vec<_> = names.iter().map(of).collect();
    format!("{{{}}}\n", items.join(","))
}

#[test]
fn one_denied_name_of_ten_loses_no_other() {
    let (aws, home) = (ParameterStore::start(), Home::new());
    let names: Vec<String> = (0..10).map(|i| format!("/app/p{i:02}")).collect();
    let mut config = aws.store("ps");
    for name in &names {
        aws.put(name, "first");
        let sources = data(&[item("v", &format!("key = \"{name}\""))]);
        config += &entry(&home, &name[5..], &sources);
    }
    aws.fail("/app/p03", Fault::AccessDenied);
    home.configure(&config);
    let daemon = home.start_ready();
    let status = daemon.wait_state("p03", "failing");
    let trouble = status.entry("p03").trouble().unwrap();
    assert_eq!(trouble.reason, "access_denied");
    assert!(trouble.message.contains("ssm:GetParameter"), "{trouble:?}");
    for name in names.iter().filter(|name| *name != "/app/p03") {
        daemon.wait_state(&name[5..], "fresh");
        aws.put(name, "second");
    }
    for name in names.iter().filter(|name| *name != "/app/p03") {
        wait_content(
            &home,
            &format!("targets/{}", &name[5..]),
            "{\"v\":\"second\"}\n",
        );
    }
    // The nine are together again: far fewer single reads than nine an interval.
    let log = aws.log();
    let singles = log.calls(Operation::GetParameter);
    assert!(singles <= 10 + 2 * 6, "{singles} single reads");
}

type Breaks = fn(&ParameterStore);

const WRONG: [(&str, Breaks, &str); 8] = [
    ("gone", |aws| aws.delete("/app/db"), "not_found"),
    (
        "denied",
        |aws| aws.fail("/app/db", Fault::AccessDenied),
        "access_denied",
    ),
    (
        "throttled",
        |aws| aws.fail("/app/db", Fault::Throttling),
        "throttled",
    ),
    (
        "another name",
        |aws| aws.fail("/app/db", Fault::OtherName),
        "malformed",
    ),
    (
        ANOTHER_VERSION,
        |aws| aws.fail("/app/db", Fault::OtherVersion),
        "malformed",
    ),
    (
        "another account",
        |aws| aws.fail("/app/db", Fault::OtherAccount),
        "malformed",
    ),
    (
        "twice",
        |aws| aws.fail("/app/db", Fault::Twice),
        "malformed",
    ),
    (
        "left out",
        |aws| aws.fail("/app/db", Fault::LeftOut),
        "malformed",
    ),
];

/// It shows only where a number is asked for.
const ANOTHER_VERSION: &str = "another version";

#[test]
fn what_is_wrong_is_named_and_nothing_is_written() {
    std::thread::scope(|scope| {
        for case in WRONG {
            scope.spawn(move || is_named(case));
        }
    });
}

fn is_named((name, breaks, reason): (&str, Breaks, &str)) {
    let (aws, home) = (ParameterStore::start(), Home::new());
    aws.put("/app/db", "first");
    let number = aws.put("/app/db", "second");
    let by_number = name == ANOTHER_VERSION;
    let version = if by_number {
        format!(", version = \"{number}\"")
    } else {
        String::new()
    };
    let sources = data(&[item("v", &format!("key = \"/app/db\"{version}"))]);
    home.configure(&(aws.store("ps") + &entry(&home, "db", &sources)));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "{\"v\":\"second\"}\n");
    if !by_number {
        aws.put("/app/db", "third");
    }
    breaks(&aws);
    let status = daemon.wait_state("db", "failing");
    assert_eq!(
        status.entry("db").reason().as_deref(),
        Some(reason),
        "{name}"
    );
    let content = home.read_text("targets/db");
    assert_eq!(content.as_deref(), Some("{\"v\":\"second\"}\n"), "{name}");
}

#[test]
fn finds_walk_the_hierarchy_and_match_tags() {
    let (aws, home) = (ParameterStore::start(), Home::new());
    aws.empty_pages();
    for i in 0..25 {
        aws.put(&format!("/app/deep/p{i:02}"), "x");
    }
    aws.put("/app/a", "a");
    aws.put_secure("/app/b", "b");
    aws.put("/apple", "no");
    aws.tag("/app/a", "team", "payments");
    aws.tag("/app/b", "team", "payments-dashboard");
    let config = [
        aws.store("ps"),
        entry(
            &home,
            "path",
            "data_from = [{ find = { path = \"/app\", name = { regexp = \"/[ab]$\" } } }]",
        ),
        entry(
            &home,
            "tags",
            "data_from = [{ find = { tags = { team = \"payments\" } } }]",
        ),
    ];
    home.configure(&config.concat());
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        home.read_text("targets/path").unwrap(),
        "{\"_app_a\":\"a\",\"_app_b\":\"b\"}\n"
    );
    assert_eq!(
        home.read_text("targets/tags").unwrap(),
        "{\"_app_a\":\"a\"}\n"
    );
    // A list brings values that nobody asked to decrypt.
    let log = aws.log();
    let listed = log
        .0
        .iter()
        .filter(|r| r.operation == Operation::GetParametersByPath);
    assert!(listed.clone().count() >= 3);
    assert!(listed.clone().all(|r| !r.with_decryption));
}

#[test]
fn a_store_that_is_throttled_slows_down_and_recovers() {
    let (aws, home) = (ParameterStore::start(), Home::new());
    aws.put("/app/db", "first");
    let sources = data(&[item("v", "key = \"/app/db\"")]);
    home.configure(&(aws.store("ps") + &entry(&home, "db", &sources)));
    let daemon = home.start_ready();
    aws.fail_all(Fault::Throttling);
    let status = daemon.wait_state("db", "failing");
    assert_eq!(status.entry("db").reason().as_deref(), Some("throttled"));
    aws.put("/app/db", "second");
    std::thread::sleep(Duration::from_secs(2));
    aws.heal();
    wait_content(&home, "targets/db", "{\"v\":\"second\"}\n");
    daemon.wait_state("db", "fresh");
}

#[test]
fn tags_of_another_account_are_not_believed() {
    let (aws, home) = (ParameterStore::start(), Home::new());
    aws.put("/prod/db", "value");
    aws.tag("/prod/db", "team", "of-the-wrong-account");
    let store = aws
        .store("ps")
        .replace("region =", "account = \"999999999999\"\nregion =");
    let arn = aws.arn("/prod/db").replace("123456789012", "999999999999");
    let entries = [
        ("value", "key = \"/prod/db\"".to_owned()),
        (
            "tags",
            "key = \"/prod/db\", metadata = true, property = \"team\"".to_owned(),
        ),
        (
            "arntags",
            format!("key = \"{arn}\", metadata = true, property = \"team\""),
        ),
    ]
    .map(|(name, remote)| entry(&home, name, &data(&[item("v", &remote)])));
    home.configure(&(store + &entries.concat()));
    let done = home.once(&[]);
    let got = ["value", "tags", "arntags"].map(|name| home.read_text(&format!("targets/{name}")));
    assert_eq!(got, [None, None, None], "{done:?}");
}
