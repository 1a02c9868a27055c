//! What is read: keys behind a prefix, versions, tags, and everything that matches.

use std::collections::BTreeMap;

use super::super::{Config, Entry, Find, NamePattern, Source, Version};
use super::{Room, messages, report};

/// A store of one kind with `keys`, and an entry with `sources`.
fn text(kind: &str, keys: &str, sources: &str) -> String {
    format!(
        "[stores.s.{kind}]\n{keys}\n[stores.local.file]\npath = \"/nowhere/local\"\n[secrets.e]\nstore = \"s\"\n{sources}\n[[secrets.e.file]]\npath = \"/nowhere/out\"\nformat = \"json\"\n"
    )
}

fn load(kind: &str, keys: &str, sources: &str) -> Config {
    let room = Room::new(&[("main.toml", &text(kind, keys, sources))]);
    match room.load() {
        Ok(loaded) => loaded.config,
        Err(diagnostics) => panic!("{sources}\n{}", diagnostics.render(false)),
    }
}

fn wrong(kind: &str, keys: &str, sources: &str) -> Vec<String> {
    let mut messages = messages(&text(kind, keys, sources));
    messages.retain(|message| !message.starts_with("there is no such file yet"));
    messages
}

fn entry(kind: &str, keys: &str, sources: &str) -> Entry {
    load(kind, keys, sources).entries.remove("e").unwrap()
}

fn data(remote_ref: &str) -> String {
    format!("data = [{{ secret_key = \"a\", remote_ref = {{ {remote_ref} }} }}]")
}

fn source(kind: &str, keys: &str, remote_ref: &str) -> Source {
    entry(kind, keys, &data(remote_ref)).data.remove(0).source
}

fn key(kind: &str, prefix: &str, key: &str) -> String {
    let keys = format!("prefix = \"{prefix}\"");
    match source(kind, &keys, &format!("key = \"{key}\"")) {
        Source::Value { key, .. } => key.to_string(),
        other @ (Source::Metadata { .. } | Source::Find(_)) => panic!("{other}"),
    }
}

const MANAGER: &str = "aws_secrets_manager";
const PARAMETERS: &str = "aws_parameter_store";
const SECRET_ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf";
const PARAMETER_ARN: &str = "arn:aws:ssm:us-east-1:123456789012:parameter/prod/db";

#[test]
fn a_prefix_stands_before_names_and_not_before_arns() {
    assert_eq!(key(MANAGER, "", "db"), "db");
    assert_eq!(key(MANAGER, "prod/", "db"), "prod/db");
    assert_eq!(key(MANAGER, "prod/", SECRET_ARN), SECRET_ARN);
    assert_eq!(key(PARAMETERS, "", "/prod/db"), "/prod/db");
    assert_eq!(key(PARAMETERS, "/prod/", "app/db"), "/prod/app/db");
    assert_eq!(key(PARAMETERS, "/prod", "/db"), "/prod/db");
    assert_eq!(key(PARAMETERS, "/prod/", PARAMETER_ARN), PARAMETER_ARN);
}

#[test]
fn whole_names_are_judged() {
    let behind = "`key` behind the store's `prefix` must be a legal name";
    let parameter = "`key` must be a parameter's name or its ARN";
    let secret = "`key` must be a secret's name or its complete ARN";
    let long = "a".repeat(1010);
    for (kind, prefix, key, expected) in [
        (MANAGER, "", "a b", secret),
        (
            MANAGER,
            "",
            "",
            "`key` must be 1 to 2048 characters without control characters",
        ),
        (MANAGER, "", &long[..513], secret),
        (MANAGER, "p", &long[..512], behind),
        (MANAGER, "p", "a b", secret),
        (MANAGER, "p", PARAMETER_ARN, secret),
        (PARAMETERS, "", "prod/db", parameter),
        (PARAMETERS, "", "a+b", parameter),
        (PARAMETERS, "/prod/", "/db", behind),
        (PARAMETERS, "/prod/", "a+b", parameter),
        (PARAMETERS, "/prod/", &long, behind),
        (PARAMETERS, "app.", "x/y", behind),
        (PARAMETERS, "", SECRET_ARN, parameter),
    ] {
        let keys = format!("prefix = \"{prefix}\"");
        let found = wrong(kind, &keys, &data(&format!("key = \"{key}\"")));
        assert_eq!(found, [expected], "{prefix} {key}");
    }
    // A prefix that is refused says nothing about the keys behind it, which are still judged alone.
    assert_eq!(
        wrong(PARAMETERS, "prefix = \"a b\"", &data("key = \"x/y\"")),
        ["`prefix` must be what names can begin with"]
    );
    assert_eq!(
        wrong(PARAMETERS, "prefix = \"a b\"", &data("key = \"x y\"")),
        ["`prefix` must be what names can begin with", parameter]
    );
}

#[test]
fn an_arn_is_of_the_account_and_region_of_its_store() {
    for (kind, arn) in [(MANAGER, SECRET_ARN), (PARAMETERS, PARAMETER_ARN)] {
        let of = |keys| wrong(kind, keys, &data(&format!("key = \"{arn}\"")));
        let account = "this ARN is of another account than the store";
        let region = "this ARN is of another region than the store";
        let none: [&str; 0] = [];
        assert_eq!(of(""), none);
        assert_eq!(
            of("account = \"123456789012\"\nregion = \"us-east-1\""),
            none
        );
        assert_eq!(of("account = \"210987654321\""), [account]);
        assert_eq!(of("region = \"us-east-2\""), [region]);
        assert_eq!(
            of("account = \"210987654321\"\nregion = \"us-east-2\""),
            [account, region]
        );
    }
}

#[test]
fn versions_of_parameters_are_numbers_or_labels() {
    let version = |version: &str| {
        let remote_ref = format!("key = \"/db\", version = \"{version}\"");
        match source(PARAMETERS, "", &remote_ref) {
            Source::Value { version, .. } => version,
            other @ (Source::Metadata { .. } | Source::Find(_)) => panic!("{other}"),
        }
    };
    assert_eq!(version("3"), Version::Id("3".into()));
    assert_eq!(version("stable"), Version::Stage("stable".into()));
    for bad in ["uuid/01234567-89ab-cdef-0123-456789abcdef", "AWSPREVIOUS"] {
        let remote_ref = format!("key = \"/db\", version = \"{bad}\"");
        assert_eq!(
            wrong(PARAMETERS, "", &data(&remote_ref)),
            ["`version` must be a parameter's version number or label"]
        );
    }
}

#[test]
fn metadata_reads_the_tags_of_the_whole_secret() {
    for kind in [MANAGER, PARAMETERS] {
        let source = source(kind, "prefix = \"p\"", "key = \"db\", metadata = true");
        assert!(matches!(source, Source::Metadata { key } if key.as_str() == "pdb"));
    }
    assert_eq!(
        wrong(
            MANAGER,
            "",
            &data("key = \"db\", metadata = true, version = \"AWSPREVIOUS\"")
        ),
        ["`version` has no meaning with `metadata = true`"]
    );
    assert_eq!(
        wrong(
            "file",
            "path = \"/nowhere/s\"",
            &data("key = \"db\", metadata = true")
        ),
        ["`metadata`: a file store has no tags"]
    );
}

fn find(kind: &str, prefix: &str, find: &str) -> Find {
    let sources = format!("data_from = [{{ find = {{ {find} }} }}]");
    let mut entry = entry(kind, &format!("prefix = \"{prefix}\""), &sources);
    assert!(entry.data.is_empty());
    match entry.data_from.remove(0).bulk {
        crate::config::BulkSource::Find(find) => find,
        crate::config::BulkSource::Extract { .. } => panic!("an extract"),
    }
}

#[test]
fn find_is_lowered_with_the_prefix_in_its_path() {
    assert_eq!(
        find(
            MANAGER,
            "",
            "path = \"prod/a\", name = { regexp = \"^p\" }, tags = { team = \"x\", none = \"\" }"
        ),
        Find {
            path: Some("prod/a".into()),
            name: NamePattern::new("^p"),
            keys: None,
            tags: BTreeMap::from([("team".into(), "x".into()), ("none".into(), String::new())]),
        }
    );
    let path = |kind, prefix, written: &str| find(kind, prefix, written).path;
    let by_name = "name = { regexp = \"x\" }";
    assert_eq!(path(MANAGER, "", by_name), None);
    assert_eq!(path(MANAGER, "prod/", by_name).as_deref(), Some("prod/"));
    assert_eq!(
        path(MANAGER, "prod/", "path = \"app\"").as_deref(),
        Some("prod/app")
    );
    assert_eq!(path(PARAMETERS, "", by_name).as_deref(), Some("/"));
    assert_eq!(path(PARAMETERS, "", "path = \"/\"").as_deref(), Some("/"));
    assert_eq!(
        path(PARAMETERS, "", "path = \"/prod/\"").as_deref(),
        Some("/prod")
    );
    assert_eq!(
        path(PARAMETERS, "/prod/", by_name).as_deref(),
        Some("/prod")
    );
    assert_eq!(
        path(PARAMETERS, "/prod/", "path = \"app\"").as_deref(),
        Some("/prod/app")
    );
}

/// Kind, keys of the store, an item of `data_from`, and all that is said of it.
const FINDS: &[(&str, &str, &str, &[&str])] = &[
    (
        MANAGER,
        "",
        "find = {}",
        &["`find` needs at least one of `path`, `name`, `tags`"],
    ),
    (
        MANAGER,
        "prefix = \"prod/\"",
        "find = { tags = {} }",
        &["`find` needs at least one of `path`, `name`, `tags`"],
    ),
    (
        MANAGER,
        "",
        "find = { path = \"\" }",
        &["`path` must not be empty"],
    ),
    (
        MANAGER,
        "",
        "find = { path = \"a b\", name = { regexp = \"(\" }, tags = { \"\" = \"\" } }",
        &[
            "`path` must be what names can begin with",
            "`regexp` must be a regular expression",
            "a key of `tags` must have 1 to 128 characters, none of them a control character",
        ],
    ),
    (
        MANAGER,
        "",
        "find = { name = { regexp = \"\" } }",
        &["`regexp` must be a regular expression"],
    ),
    (
        MANAGER,
        "",
        "find = { name = {} }",
        &["`regexp` is missing"],
    ),
    (
        MANAGER,
        "",
        "find = { name = 1 }",
        &["`name` must be a table"],
    ),
    (
        PARAMETERS,
        "",
        "find = { path = \"prod\" }",
        &["`path` must be a level of the hierarchy, which begins with `/`"],
    ),
    (
        PARAMETERS,
        "prefix = \"/prod/\"",
        "find = { path = \"/app\" }",
        &["`path` behind the store's `prefix` must be a level of the hierarchy"],
    ),
    (
        PARAMETERS,
        "prefix = \"app.\"",
        "find = { tags = { a = \"b\" } }",
        &["`find` searches below the store's `prefix`, which is no level of the hierarchy"],
    ),
    (
        "file",
        "path = \"/nowhere/s\"",
        "find = { name = { regexp = \"x\" } }",
        &["`find`: a file store cannot be searched"],
    ),
    (
        MANAGER,
        "",
        "store = \"local\", find = { name = { regexp = \"x\" } }",
        &["`find`: a file store cannot be searched"],
    ),
    (
        MANAGER,
        "",
        "",
        &["an item of `data_from` needs either `extract` or `find`"],
    ),
    (
        MANAGER,
        "",
        "store = \"nope\", find = { path = \"x\" }",
        &["there is no store of this name, which entry `e` names"],
    ),
];

#[test]
fn every_mistake_of_a_find_is_named() {
    for (kind, keys, item, expected) in FINDS {
        let found = wrong(kind, keys, &format!("data_from = [{{ {item} }}]"));
        assert_eq!(found, *expected, "{item}");
    }
    assert_eq!(
        wrong(MANAGER, "", "data_from = []"),
        ["`data_from` must not be empty"]
    );
}

#[test]
fn an_entry_is_of_the_store_of_its_first_source_unless_it_says() {
    let sources = "data_from = [{ store = \"s\", find = { path = \"x\" } }]\ndata = [{ secret_key = \"a\", store = \"local\", remote_ref = { key = \"x\" } }]";
    let bare = text(MANAGER, "", sources).replace("store = \"s\"\ndata", "data");
    let config = super::config(&bare);
    assert_eq!(config.entries["e"].store.as_str(), "s");
    let local = bare.replace("[secrets.e]", "[secrets.e]\nstore = \"local\"");
    assert_eq!(super::config(&local).entries["e"].store.as_str(), "local");
}

#[test]
fn found_and_parameters_are_not_read_more_often_than_every_ten_seconds() {
    let shortest = "`refresh_interval` must be at least 10 s";
    let quick =
        |kind, sources: &str| wrong(kind, "", &format!("refresh_interval = \"9s\"\n{sources}"));
    assert_eq!(quick(PARAMETERS, &data("key = \"/x\"")), [shortest]);
    assert_eq!(quick(MANAGER, &data("key = \"x\"")), [shortest]);
    let found = "data_from = [{ find = { path = \"x\" } }]";
    assert_eq!(quick(MANAGER, found), [shortest]);
}

/// Which keys are found shows when the entry runs.
#[test]
fn a_raw_file_may_hold_a_key_that_is_found() {
    let text = text(MANAGER, "", "data_from = [{ find = { path = \"x\" } }]")
        .replace("format = \"json\"", "key = \"tls.crt\"");
    let room = Room::new(&[("main.toml", &text)]);
    assert!(room.load().is_ok(), "{}", room.report());
}

#[test]
fn sources_show_the_place_and_what_to_do() {
    insta::assert_snapshot!(report(r#"
[stores.s.aws_parameter_store]
prefix = "/prod/"
region = "us-east-1"

[secrets.e]
store = "s"
data = [{ secret_key = "a", remote_ref = { key = "/db" } }]
data_from = [{ find = { name = { regexp = "hunter2(" } } }]
[[secrets.e.file]]
path = "e"
format = "json"

[secrets.f]
store = "s"
data = [
  { secret_key = "b", remote_ref = { key = "arn:aws:ssm:us-east-2:123456789012:parameter/x" } },
  { secret_key = "c", remote_ref = { key = "x", version = "uuid/1" } },
]
[[secrets.f.file]]
path = "out"
format = "json"
"#), @r#"
    error: `key` behind the store's `prefix` must be a legal name
    --> main.toml:8:50
     = help: names: letters, digits and `.-_/`, at most 1011, `/` before each of at most 15 levels or nowhere

    error: `regexp` must be a regular expression
    --> main.toml:9:43
     = help: not empty, not huge, without look-around and back-references; it may match anywhere in a name

    error: this ARN is of another region than the store
    --> main.toml:17:44
     = help: read it from a store of that region

    error: `version` must be a parameter's version number or label
    --> main.toml:18:59
     = help: labels: at most 100 letters, digits and `.-_`, not beginning with a digit, `aws` or `ssm`; without `version` the latest is read
    "#);
}
