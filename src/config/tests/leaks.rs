use proptest::prelude::*;

use super::{Room, messages, report, with};

const MARKER: &str = "hunter2-5b1e9c";

/// Values where they do not belong. `M` stands for the marker.
const PASTED: &[(&str, &str)] = &[
    ("auth", "secret_access_key = \"M\""),
    ("auth", "access_key_id = 'M'"),
    ("auth", "access_key_id = { value = \"M\" }"),
    ("auth", "access_key_id = { env = \"M!\" }"),
    ("auth", "access_key_id = { file = \"/M\" }"),
    ("auth", "M = 1"),
    ("auth", "profile = [\"M\"]"),
    ("auth", "role_arn = \"M\""),
    ("auth", "\"M\" = \"M\""),
    ("auth", "role_arn = \"arn:aws:iam::123456789012:role/M M\""),
    ("auth", "role_chain = [\"M\"]"),
    ("auth", "role_chain = \"M\""),
    ("auth", "external_id = \"M M\""),
    ("auth", "session_name = \"M\""),
    ("auth", "session_tags = { \"M\" = 1 }"),
    ("auth", "session_tags = { \"M\\u0000\" = \"M\" }"),
    ("auth", "session_tags = { a = \"M\\u0000\" }"),
    ("auth", "transitive_tag_keys = [\"M\"]"),
    (
        "auth",
        "role_arn = \"arn:aws:iam::123456789012:role/r\"\ntransitive_tag_keys = [\"M\", \"M\\u0000\"]",
    ),
    ("auth", "sts_endpoint_url = \"https://user:M@host\""),
    ("auth", "sts_endpoint_url = \"http://M.example.com\""),
    ("auth", "web_identity = \"M\""),
    (
        "auth",
        "web_identity = { role_arn = \"M\", token_file = \"/M\", token = \"M\" }",
    ),
    ("auth", "access_key_id = { kubernetes = \"M\" }"),
    (
        "auth",
        "access_key_id = { kubernetes = { cluster = \"M\", namespace = \"M!\", name = \"M!\", key = \"M!\", value = \"M\" } }",
    ),
    ("prod", "prefix = \"M M\""),
    ("prod", "account = \"M\""),
    ("prod", "requests_per_second = { get = \"M\" }"),
    ("prod", "secret_access_key = \"M\""),
    ("prod", "region = \"M M\""),
    ("prod", "endpoint_url = \"https://user:M@host\""),
    ("prod", "endpoint_url = \"https://M@host\""),
    ("prod", "endpoint_url = \"http://M.example.com\""),
    ("prod", "fetch = \"M\""),
    ("prod", "auth2 = { secret_access_key = \"M\" }"),
    ("local", "password = \"M\""),
    ("daemon", "secret_access_key = \"M\""),
    ("daemon", "listen = \"M\""),
    ("daemon", "instance = \"M!\""),
    ("defaults", "store = \"M\""),
    ("cluster", "token = \"M\""),
    (
        "cluster",
        "[clusters.t]\nserver = \"https://u:M@h\"\ntoken_file = \"M\"",
    ),
    ("entry", "password = \"M\""),
    ("entry", "refresh_interval = \"M\""),
    ("entry", "data = \"M\""),
    ("entry", "on_missing = \"M\""),
    ("entry", "template = { data = \"M\" }"),
    ("entry", "data_from = [{ extract = \"M\" }]"),
    (
        "entry",
        "data_from = [{ extract = { M = \"M\", key = \"x\" } }]",
    ),
    ("entry", "data_from = [{ find = \"M\" }]"),
    (
        "entry",
        "data_from = [{ store = \"prod\", find = { path = \"M M\", name = { regexp = \"(M\", M = 1 }, tags = { M = 1 }, M = 1 } }]",
    ),
    (
        "entry",
        "data_from = [{ store = \"prod\", find = { tags = { \"M\\u0000\" = \"M\" } } }]",
    ),
    ("item", "value = \"M\""),
    ("item", "store = \"M\""),
    ("ref", "M = \"x\""),
    ("ref", "value = \"M\""),
    ("ref", "property = \"#(M\""),
    ("ref", "property = \"M|@M\""),
    ("ref", "property = \"[M]M\""),
    ("ref", "property = \"#(M!M)\""),
    ("ref", "property = \"!{M}\""),
    ("ref", "property = \"@pretty:M\""),
    ("ref", "version = \"M\""),
    ("ref", "decoding_strategy = \"M\""),
    ("ref", "metadata = \"M\""),
    ("ref", "metadata = true\nversion = \"M\""),
    (
        "file",
        "[secrets.p]\nstore = \"prod\"\ndata = [{ secret_key = \"a\", remote_ref = { key = \"M M\" } }, { secret_key = \"b\", remote_ref = { key = \"arn:M\" } }]",
    ),
    ("kubernetes", "name = \"M!\""),
    ("kubernetes", "labels = { a = \"M M\" }"),
    ("kubernetes", "labels = { \"M M\" = \"a\" }"),
    ("kubernetes", "annotations = [\"M\"]"),
    (
        "kubernetes",
        "[[secrets.e.kubernetes]]\ncluster = \"M\"\nnamespace = \"M!\"",
    ),
    ("file", "mode = \"M\""),
    ("file", "password = { inline = \"M\" }"),
    ("file", "key = \"M\""),
    ("file", "check = [\"M\"]"),
    (
        "file",
        "[[secrets.e.file]]\npath = \"/nowhere/file/M\"\nkey = \"M\"",
    ),
    ("root", "password = \"M\""),
    ("root", "\"M M\" = 1"),
    ("root", "include = [\"M\"]\n"),
    ("root", "include = [[[[\"M\""),
    ("root", "stores = \"M\""),
    // The text itself is broken.
    ("auth", "secret_access_key = \"M"),
    ("auth", "secret_access_key = \"\"\"M"),
    ("auth", "secret_access_key = M"),
    ("auth", "secret_access_key M"),
    ("auth", "M"),
    ("auth", "secret_access_key = { file = \"M\""),
    ("auth", "secret_access_key = \"M\" \"M\""),
    ("auth", "secret_access_key = \"\\M\""),
    ("auth", "profile = \"M\"\nprofile = \"M\""),
    ("auth", "[M"),
    ("ref", "property = \"M\\q\""),
    ("file", "mode = [M]"),
    ("file", "mode = 'M"),
    ("file", "mode.M = 1\nmode = 2"),
];

#[test]
fn a_pasted_value_is_never_repeated() {
    for (place, line) in PASTED {
        let text = with(place, &line.replace('M', MARKER));
        let room = Room::new(&[("main.toml", &text)]);
        let diagnostics = match room.load() {
            Ok(loaded) => loaded.warnings,
            Err(diagnostics) => diagnostics,
        };
        assert!(!diagnostics.is_empty(), "{line}");
        for shown in [diagnostics.render(false), format!("{diagnostics:?}")] {
            assert!(!shown.contains("5b1e9c"), "{line}\n{shown}");
        }
    }
}

#[test]
fn nothing_of_credentials_and_sources_is_shown_but_the_place() {
    insta::assert_snapshot!(report(r#"
[stores.s.aws_secrets_manager.auth]
secret_access_key = "hunter2"
sesion_token = { env = "T" }

[secrets.e]
data = [{ secret_key = "a", store = "s", remote_ref = { key = 5, propety = "hunter2" } }]
[[secrets.e.file]]
path = "x"
key = "a"
"#), @r#"
    error: `access_key_id` is missing
    --> main.toml:2:1

    error: `secret_access_key` must be where it is: { file = "..." }, { env = "..." } or { kubernetes = { ... } }, not the value itself
    --> main.toml:3:21

    error: unknown key
    --> main.toml:4:1
     = help: did you mean `session_token`?

    error: `key` must be a string
    --> main.toml:7:63

    error: unknown key
    --> main.toml:7:66
     = help: did you mean `property`?
    "#);
}

/// The name of one of ours is nearly there, and still not repeated.
#[test]
fn a_cluster_that_keys_are_not_in_is_not_named() {
    let text = with(
        "auth",
        "access_key_id = { kubernetes = { cluster = \"edgy\", namespace = \"n\", name = \"x\", key = \"y\" } }\nsecret_access_key = { env = \"K\" }\n[clusters.edge]\nkubeconfig = \"/nowhere/edge\"",
    );
    let report = report(&text);
    assert!(
        report.contains("there is no cluster of this name"),
        "{report}"
    );
    assert!(report.contains("did you mean `edge`?"), "{report}");
    assert!(!report.contains("edgy"), "{report}");
}

/// What a configuration is made of, and what it may hold by mistake.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'",
    "\"\"\"",
    "\n",
    " ",
    "#",
    "\\",
    "ä",
    "\u{feff}",
    "[secrets.e]\n",
    "[[secrets.e.file]]\n",
    "[[secrets.e.kubernetes]]\n",
    "[stores.s.file]\n",
    "[stores.s.aws_secrets_manager.auth]\n",
    "[clusters.k]\n",
    "[daemon]\n",
    "[defaults.file]\n",
    "data",
    "remote_ref",
    "key",
    "path",
    "store",
    "mode",
    "include",
    "refresh_interval",
    "secret_key",
    "template",
    "data_from",
    "labels",
    "server",
    "endpoint_url",
    "property",
    "\"s\"",
    "\"*\"",
    "5",
    "-1",
    "1e999",
    "0xffffffffffffffffffff",
    "true",
    "1979-05-27",
    "\"30s\"",
    "\"0640\"",
    "\"https://[::1\"",
    "\"uuid/\"",
    "[stores.s.aws_parameter_store]\n",
    "prefix",
    "find",
    "regexp",
    "tags",
    "role_chain",
    "\"(\"",
    "\"\\u00e9\"",
    "\"..\"",
    "\"/\"",
];

fn toml_like() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_text_makes_it_panic(text in ".*", like in toml_like(), at in any::<prop::sample::Index>()) {
        messages(&text);
        messages(&like);
        let whole = with("entry", &like);
        let mut cut = at.index(whole.len());
        while !whole.is_char_boundary(cut) {
            cut -= 1;
        }
        report(&whole[..cut]);
    }
}
