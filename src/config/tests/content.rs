//! What becomes of what is read: decoding, `extract`, `rewrite`, `template`, and what is missing.

use super::super::{BulkSource, Entry, OnMissing, Source};
use super::{Room, report};
use crate::assemble::MergePolicy;
use crate::assemble::convert::Conversion;
use crate::assemble::decode::Decoding;
use crate::assemble::rewrite::Step;

const SOURCE: &str = "data = [{ secret_key = \"user\", remote_ref = { key = \"db\" } }]";

fn text(entry: &str, target: &str) -> String {
    format!(
        "[stores.prod.aws_secrets_manager]\nregion = \"eu-west-1\"\n[secrets.e]\nstore = \"prod\"\n{entry}\n[[secrets.e.file]]\npath = \"/nowhere/out\"\n{target}\n"
    )
}

fn entry(body: &str) -> Entry {
    let room = Room::new(&[("main.toml", &text(body, "format = \"json\""))]);
    match room.load() {
        Ok(loaded) => loaded.config.entries.into_values().next().unwrap(),
        Err(diagnostics) => panic!("{body}\n{}", diagnostics.render(false)),
    }
}

fn told(body: &str, target: &str) -> String {
    report(&text(body, target))
}

#[test]
fn what_becomes_of_a_value_is_lowered() {
    let entry = entry(
        "on_missing = \"drop\"\ndata = [
          { secret_key = \"a\", remote_ref = { key = \"x\", property = \"a.#(b==1).c\", decoding_strategy = \"base64\" } },
          { secret_key = \"b\", remote_ref = { key = \"y\" }, on_missing = \"keep_last\" }]
        data_from = [{ extract = { key = \"z\", version = \"AWSPREVIOUS\", keys = [\"k-1\"], on_missing = \"fail\" }, conversion_strategy = \"unicode\" },
          { find = { path = \"p/\", keys = [\"p/a\"], decoding_strategy = \"base64url\" }, rewrite = [
            { regexp = { source = '^p/(.*)$', target = '$1' } }, { transform = { template = \"{{ value | upper }}\" } },
            { merge = { priority = [\"A\"], conflict_policy = \"ignore\" } }] }]",
    );
    let [a, b] = entry.data.as_slice() else {
        panic!("{entry:?}")
    };
    assert_eq!(
        (a.decoding, a.on_missing),
        (Decoding::Base64, OnMissing::Drop)
    );
    assert_eq!(
        (b.decoding, b.on_missing),
        (Decoding::None, OnMissing::KeepLast)
    );
    let [extract, find] = entry.data_from.as_slice() else {
        panic!("{entry:?}")
    };
    assert!(matches!(
        &extract.bulk,
        BulkSource::Extract {
            source: Source::Value { .. },
            property: None
        }
    ));
    assert_eq!(extract.on_missing, OnMissing::Fail);
    assert_eq!(extract.shape.conversion, Conversion::Unicode);
    assert_eq!(extract.shape.all_keys().unwrap().len(), 1);
    assert!(matches!(&find.bulk, BulkSource::Find(find) if find.keys.is_some()));
    assert_eq!(find.on_missing, OnMissing::Drop);
    assert!(matches!(
        find.shape.rewrite.as_slice(),
        [Step::Regexp(_), Step::Transform(_), Step::Merge(_)]
    ));
}

#[test]
fn templates_are_lowered_from_text_and_files() {
    let room = Room::new(&[
        (
            "main.toml",
            &text(
                &format!(
                    "{SOURCE}\n[secrets.e.template]\nmerge_policy = \"merge\"\ndata = {{ \"tls.crt\" = \"{{{{ user }}}}\" }}\nlabels = {{ team = \"pay\" }}\nannotations = {{ note = \"x\" }}\nfrom = [{{ file = \"app.ini.j2\", key = \"app.ini\" }}]"
                ),
                "format = \"json\"",
            ),
        ),
        ("app.ini.j2", "user = {{ user }}\n"),
    ]);
    let entry = room
        .load()
        .unwrap()
        .config
        .entries
        .into_values()
        .next()
        .unwrap();
    let templates = entry.templates.unwrap();
    assert_eq!(templates.merge_policy, MergePolicy::Merge);
    let keys: Vec<_> = templates.data.keys().map(ToString::to_string).collect();
    assert_eq!(keys, ["app.ini", "tls.crt"]);
    assert_eq!(
        (templates.labels.len(), templates.annotations.len()),
        (1, 1)
    );
    assert!(entry.template_files[0].ends_with("app.ini.j2"));
}

/// What stands in the entry, what in its target, and what is said of it.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "data = [{ secret_key = \"a\", remote_ref = { key = \"x\", decoding_strategy = \"auto\" } }]",
        "format = \"json\"",
        "`auto` decodes whatever can be base64",
    ),
    (
        "data = [{ secret_key = \"a\", remote_ref = { key = \"x\" }, on_missing = \"keep_last\" }]",
        "format = \"dotenv\"",
        "`keep_last` cannot take a value out of a `dotenv` file again",
    ),
    (
        "on_missing = \"keep_last\"\ndata = [{ secret_key = \"a\", remote_ref = { key = \"x\" } }]\ntemplate = { data = { b = \"{{ a }}\" } }",
        "format = \"json\"",
        "`keep_last` cannot take a value out of what a template made of it",
    ),
    (
        "data_from = [{ extract = { key = \"x\", on_missing = \"keep_last\" } }]",
        "format = \"json\"",
        "`keep_last` cannot know which keys came from a secret that is gone",
    ),
    (
        "data_from = [{ find = { path = \"x\", on_missing = \"keep_last\" }, rewrite = [{ merge = {} }] }]",
        "format = \"json\"",
        "`keep_last` cannot know which keys came from a secret that is gone",
    ),
    (
        "data_from = [{ extract = { key = \"x\", keys = [] } }]",
        "format = \"json\"",
        "`keys` must not be empty",
    ),
    (
        "data_from = [{ extract = { key = \"x\", keys = [\"user\"] } }]",
        "key = \"usr\"",
        "the entry has no such key",
    ),
    (
        "data_from = [{ find = { path = \"x\" }, rewrite = [{ regexp = { source = '(', target = 'b' } }] }]",
        "format = \"json\"",
        "`source` must be a regular expression",
    ),
    (
        "data_from = [{ find = { path = \"x\" }, rewrite = [{ regexp = { source = '(a)', target = '$1_x' } }] }]",
        "format = \"json\"",
        "write `${1}_x`",
    ),
    (
        "data_from = [{ find = { path = \"x\" }, rewrite = [{ merge = { strategy = \"json\" } }] }]",
        "format = \"json\"",
        "strategy `json` needs `into`",
    ),
    (
        "data_from = [{ find = { path = \"x\" }, rewrite = [{ transform = { template = \"{{ value\" } }] }]",
        "format = \"json\"",
        "`rewrite.transform`, line 1",
    ),
    (
        "data_from = [{ find = { path = \"x\" }, conversion_strategy = \"unicode\", rewrite = [{ regexp = { source = 'a', target = 'b' } }] }]",
        "format = \"json\"",
        "`conversion_strategy` has no meaning beside `rewrite`",
    ),
    (
        "data = [{ secret_key = \"user\", remote_ref = { key = \"x\" } }]\ntemplate = { data = { url = \"a\\n{{ usr }}\" } }",
        "format = \"json\"",
        "asks for the key `usr`, which no source has",
    ),
    (
        "data = [{ secret_key = \"user\", remote_ref = { key = \"x\" } }]\ntemplate = { data = { url = \"a\\n{{ user | uper }}\" } }",
        "format = \"json\"",
        "template `data.url`, line 2",
    ),
    (
        "data = [{ secret_key = \"user\", remote_ref = { key = \"x\" } }]\ntemplate = { labels = { team = \"{{ user }}\" } }",
        "format = \"json\"",
        "these labels carry values of the secret",
    ),
    (
        "data = [{ secret_key = \"user\", remote_ref = { key = \"x\" } }]\ntemplate = { data = { url = \"x\" } }",
        "key = \"user\"",
        "the entry has no such key",
    ),
    (
        "data = [{ secret_key = \"user\", remote_ref = { key = \"x\" } }]\ntemplate = { data = { a = \"x\" }, from = [{ file = \"nowhere.j2\", key = \"a\" }] }",
        "format = \"json\"",
        "two templates make this key",
    ),
    (
        "data = [{ secret_key = \"user\", remote_ref = { key = \"x\" } }]\ntemplate = { from = [{ file = \"nowhere.j2\", key = \"a\" }] }",
        "format = \"json\"",
        "there is no such file",
    ),
];

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    for (body, target, expected) in WRONG {
        let told = told(body, target);
        assert!(told.contains(expected), "{body}\n{told}");
    }
}
