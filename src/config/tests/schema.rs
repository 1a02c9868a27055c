//! The JSON Schema says what the lowering accepts: the same keys, the same words.

mod validator;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::validator::Schema;
use super::shipped::shipped;
use super::{Room, with, wrong};

/// A mistake at a place of the configuration, and the part of the schema for the table it is made in.
const TABLES: &[(&str, &str, &str)] = &[
    ("root", "zz9 = 1", ""),
    ("daemon", "zz9 = 1", "daemon"),
    ("daemon", "leader = { zz9 = 1 }", "leader"),
    ("defaults", "zz9 = 1", "defaults"),
    ("defaults.file", "zz9 = 1", "file_defaults"),
    ("defaults.kubernetes", "zz9 = 1", "kubernetes_defaults"),
    ("local", "[stores.z]\nzz9 = 1", "store"),
    ("local", "zz9 = 1", "file_store"),
    ("prod", "zz9 = 1", "aws_store"),
    ("prod", "requests_per_second = { zz9 = 1 }", "rates"),
    ("auth", "zz9 = 1", "auth"),
    ("auth", "web_identity = { zz9 = 1 }", "web_identity"),
    ("auth", "access_key_id = { zz9 = 1 }", "value_source"),
    (
        "auth",
        "access_key_id = { kubernetes = { zz9 = 1 } }",
        "secret_key_ref",
    ),
    ("cluster", "zz9 = 1", "cluster"),
    ("cluster", "eks = { zz9 = 1 }", "eks"),
    ("entry", "zz9 = 1", "entry"),
    ("item", "zz9 = 1", "data_item"),
    ("ref", "zz9 = 1", "remote_ref"),
    ("entry", "data_from = [{ zz9 = 1 }]", "data_from"),
    (
        "entry",
        "data_from = [{ extract = { zz9 = 1 } }]",
        "extract",
    ),
    ("entry", "data_from = [{ find = { zz9 = 1 } }]", "find"),
    (
        "entry",
        "data_from = [{ find = { name = { zz9 = 1 } } }]",
        "find_name",
    ),
    (
        "entry",
        "data_from = [{ rewrite = [{ zz9 = 1 }] }]",
        "rewrite_step",
    ),
    (
        "entry",
        "data_from = [{ rewrite = [{ regexp = { zz9 = 1 } }] }]",
        "rewrite_regexp",
    ),
    (
        "entry",
        "data_from = [{ rewrite = [{ transform = { zz9 = 1 } }] }]",
        "rewrite_transform",
    ),
    (
        "entry",
        "data_from = [{ rewrite = [{ merge = { zz9 = 1 } }] }]",
        "rewrite_merge",
    ),
    ("entry", "template = { zz9 = 1 }", "template"),
    (
        "entry",
        "template = { from = [{ zz9 = 1 }] }",
        "template_from",
    ),
    ("kubernetes", "zz9 = 1", "kubernetes_target"),
    ("file", "zz9 = 1", "file_target"),
    ("file", "on_change = { zz9 = 1 }", "on_change"),
    ("file", "on_change = { signal = { zz9 = 1 } }", "signal"),
];

/// A place of the configuration, what stands there with a word of its own, and the schema's list of the words.
const WORDS: &[(&str, &str, &str)] = &[
    ("defaults", "on_missing = WORD", "defaults/on_missing"),
    ("prod", "fetch = WORD", "aws_store/fetch"),
    ("entry", "refresh_policy = WORD", "entry/refresh_policy"),
    ("entry", "json_format = WORD", "entry/json_format"),
    (
        "ref",
        "decoding_strategy = WORD",
        "remote_ref/decoding_strategy",
    ),
    (
        "entry",
        "data_from = [{ conversion_strategy = WORD }]",
        "data_from/conversion_strategy",
    ),
    (
        "entry",
        "data_from = [{ rewrite = [{ merge = { strategy = WORD } }] }]",
        "rewrite_merge/strategy",
    ),
    (
        "entry",
        "data_from = [{ rewrite = [{ merge = { conflict_policy = WORD } }] }]",
        "rewrite_merge/conflict_policy",
    ),
    (
        "entry",
        "data_from = [{ rewrite = [{ merge = { priority_policy = WORD } }] }]",
        "rewrite_merge/priority_policy",
    ),
    (
        "entry",
        "template = { merge_policy = WORD }",
        "template/merge_policy",
    ),
    (
        "kubernetes",
        "creation_policy = WORD",
        "kubernetes_target/creation_policy",
    ),
    (
        "kubernetes",
        "deletion_policy = WORD",
        "kubernetes_target/deletion_policy",
    ),
    ("kubernetes", "drift = WORD", "kubernetes_target/drift"),
    ("defaults.file", "format = WORD", "file_target/format"),
    ("file", "dialect = WORD", "file_target/dialect"),
    (
        "file",
        "deletion_policy = WORD",
        "file_target/deletion_policy",
    ),
];

fn schema() -> Schema {
    Schema(serde_json::from_str(include_str!("../../../config/schema.json")).unwrap())
}

fn json(toml: &str) -> Value {
    toml::from_str(toml).unwrap()
}

fn pointer(table: &str) -> String {
    if table.is_empty() {
        String::new()
    } else {
        format!("/$defs/{table}")
    }
}

/// The keys that the lowering knows in the table of this mistake.
fn known_keys(place: &str, line: &str) -> BTreeSet<String> {
    let room = Room::new(&[("main.toml", &with(place, line))]);
    let diagnostics = room.load().unwrap_err();
    let helps = diagnostics.iter().filter_map(|it| it.help.as_deref());
    let known: Vec<&str> = helps
        .filter_map(|help| help.strip_prefix("known here: "))
        .collect();
    let [known] = known[..] else {
        panic!("{line}: {known:?}");
    };
    let keys = known.split(", ");
    keys.map(|key| key.trim_matches('`').to_owned()).collect()
}

#[test]
fn the_schema_has_every_key_and_no_other() {
    let schema = schema();
    let mut seen = BTreeSet::new();
    for (place, line, table) in TABLES {
        let part = schema.at(&pointer(table));
        assert_eq!(part["additionalProperties"], false, "{table}");
        let properties = part["properties"].as_object().unwrap();
        let keys: BTreeSet<String> = properties.keys().cloned().collect();
        // Stores, clusters and entries are known by name; what is asked for is the rest.
        assert_eq!(keys, known_keys(place, line), "{table}");
        seen.insert(*table);
    }
    let defs = schema.at("/$defs").as_object().unwrap().iter();
    let tables = defs.filter(|(_, part)| part.get("properties").is_some());
    let unseen: Vec<_> = tables
        .map(|(name, _)| name)
        .filter(|name| !seen.contains(name.as_str()))
        .collect();
    assert_eq!(unseen, Vec::<&String>::new(), "held to no table");
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    for (_, _, table) in TABLES {
        let properties = &schema.at(&pointer(table))["properties"];
        for (key, part) in properties.as_object().unwrap() {
            let mut steps = std::iter::successors(Some(part), |part| schema.referred(part));
            let text = steps.find_map(|part| part["description"].as_str());
            assert!(text.is_some_and(|text| text.len() > 3), "{table}.{key}");
        }
    }
}

/// The words that the lowering takes today: those it lists, without those it does not support yet.
fn words(place: &str, line: &str) -> BTreeSet<String> {
    let refused = wrong(place, &line.replace("WORD", "\"zz9\""));
    let listed = refused
        .iter()
        .find_map(|it| it.split_once("must be one of "));
    let (_, listed) = listed.unwrap_or_else(|| panic!("{line}: {refused:?}"));
    let all = listed.split(", ").map(|word| word.trim_matches('"'));
    all.map(str::to_owned).collect()
}

#[test]
fn the_schema_has_every_word_and_no_other() {
    let schema = schema();
    let mut seen = BTreeMap::new();
    for (place, line, at) in WORDS {
        let (table, key) = at.split_once('/').unwrap();
        let part = schema.at(&format!("/$defs/{table}/properties/{key}"));
        let list = &schema.resolved(part)["enum"];
        let list: BTreeSet<String> = serde_json::from_value(list.clone()).unwrap();
        assert_eq!(list, words(place, line), "{at}");
        seen.insert(list, at);
    }
    let text = schema.0.to_string();
    let mut rest = &text[..];
    while let Some((_, after)) = rest.split_once("\"enum\":") {
        let end = after.find(']').unwrap() + 1;
        let list: BTreeSet<String> = serde_json::from_str(&after[..end]).unwrap();
        assert!(seen.contains_key(&list), "{list:?} is held to no key");
        rest = &after[end..];
    }
}

#[test]
fn the_shipped_configurations_fit_the_schema() {
    let schema = schema();
    for name in [
        "quickstart.toml",
        "reference.toml",
        "kubernetes.toml",
        "vm-files.toml",
    ] {
        let text = std::fs::read_to_string(shipped(name)).unwrap();
        assert_eq!(
            schema.problems(&json(&text)),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn what_the_schema_refuses_is_wrong() {
    let schema = schema();
    let right = with("root", "");
    assert_eq!(schema.problems(&json(&right)), Vec::<String>::new());
    for (place, line) in [
        ("root", "zz9 = 1"),
        ("root", "include = 'a.toml'"),
        ("daemon", "prune = 'no'"),
        ("daemon", "instance = 'Prod'"),
        ("daemon", "shutdown_grace = 20"),
        ("daemon", "shutdown_grace = '20'"),
        ("daemon", "shutdown_grace = '1d'"),
        ("daemon", "listen = 'localhost'"),
        ("defaults", "on_missing = 'keep'"),
        ("defaults.file", "mode = 640"),
        ("defaults.file", "mode = '0999'"),
        ("defaults.file", "mode = '1777'"),
        ("defaults.file", "format = 'toml'"),
        ("prod", "account = '12'"),
        ("prod", "requests_per_second = { get = 0 }"),
        ("prod", "endpoint_url = 'ftp://x'"),
        (
            "auth",
            "access_key_id = 'AKIA'\nsecret_access_key = { env = 'X' }",
        ),
        ("auth", "role_arn = 'read'"),
        (
            "local",
            "[stores.two]\nfile = { path = 'x' }\naws_secrets_manager = {}",
        ),
        ("local", "[stores.Big]\nfile = { path = 'x' }"),
        ("local", "[stores.none.file]"),
        ("cluster", "[clusters.none]"),
        ("cluster", "requests_per_second = 0"),
        ("entry", "data_from = []"),
        (
            "entry",
            "data_from = [{ extract = { key = 'a' }, find = { path = 'a' } }]",
        ),
        ("entry", "data_from = [{ find = {} }]"),
        (
            "entry",
            "data_from = [{ extract = { key = 'a' }, rewrite = [{}] }]",
        ),
        ("entry", "template = { data = { a = 1 } }"),
        ("ref", "metadata = 'yes'"),
        ("kubernetes", "name = 'Upper'"),
        ("kubernetes", "labels = { a = 1 }"),
        ("file", "key = '..'"),
        ("file", "on_change = { timeout = '1s' }"),
    ] {
        let text = with(place, line);
        assert!(!schema.problems(&json(&text)).is_empty(), "fits: {line}");
        assert!(!wrong(place, line).is_empty(), "is taken: {line}");
    }
}
