//! What is read: keys behind a prefix, and versions.

use super::super::{Config, Entry, Source, Version};
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
    messages.retain(|message| message != "there is no such file yet");
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
        (PARAMETERS, "", "/aws/x", parameter),
        (PARAMETERS, "", "a+b", parameter),
        (PARAMETERS, "/", "aws/x", behind),
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
fn parameters_are_not_read_more_often_than_every_ten_seconds() {
    let shortest = "`refresh_interval` must be at least 10 s";
    let quick =
        |kind, sources: &str| wrong(kind, "", &format!("refresh_interval = \"9s\"\n{sources}"));
    assert_eq!(quick(PARAMETERS, &data("key = \"/x\"")), [shortest]);
    assert_eq!(quick(MANAGER, &data("key = \"x\"")), [shortest]);
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
     = help: names: letters, digits and `.-_/`, at most 1011, `/` before each of at most 15 levels or nowhere; what begins with `aws` or `ssm` is AWS's own

    error: this ARN is of another region than the store
    --> main.toml:16:44
     = help: read it from a store of that region

    error: `version` must be a parameter's version number or label
    --> main.toml:17:59
     = help: labels: at most 100 letters, digits and `.-_`, not beginning with a digit, `aws` or `ssm`; without `version` the latest is read
    "#);
}
