//! The text that fingerprints of entries are made of: another one for whatever delivers something else, and the same one in
//! every release.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Room;

const SAMPLE: &str = r#"
[stores.local.file]
path = "/nowhere/secrets"
[stores.prod.aws_secrets_manager]
#prod
[stores.prod.aws_secrets_manager.auth]
#auth
[clusters.k]
kubeconfig = "/nowhere/kubeconfig"
#cluster
[clusters.other]
kubeconfig = "/nowhere/other"
[secrets.e]
store = "prod"
#entry
[[secrets.e.data]]
secret_key = "a"
#item
[secrets.e.data.remote_ref]
key = "x"
#ref
[[secrets.e.data_from]]
extract = { key = "y" }
#bulk
[[secrets.e.kubernetes]]
cluster = "k"
namespace = "n"
#kubernetes
[[secrets.e.file]]
path = "/nowhere/file"
format = "json"
#file
"#;

/// What stands in the sample, and what is put there in its place. Each delivers something else, or to somewhere else, or
/// from somewhere else, or does something else beside it.
const CHANGES: &[(&str, &str)] = &[
    ("[clusters.k]", "[daemon]\ninstance = 'i'\n[clusters.k]"),
    // Stores.
    ("#item", "store = 'local'"),
    ("store = \"prod\"", "store = 'local'"),
    ("aws_secrets_manager", "aws_parameter_store"),
    ("#prod", "region = 'us-east-1'"),
    ("#prod", "account = '123456789012'"),
    ("#prod", "prefix = 'p/'"),
    ("#prod", "endpoint_url = 'https://there.example'"),
    (
        "#prod",
        "endpoint_url = 'http://there.example'\nallow_plain_http = true",
    ),
    ("#auth", "profile = 'p'"),
    (
        "#auth",
        "access_key_id = { env = 'A' }\nsecret_access_key = { file = '/nowhere/b' }",
    ),
    (
        "#auth",
        "access_key_id = { env = 'B' }\nsecret_access_key = { file = '/nowhere/b' }",
    ),
    (
        "#auth",
        "access_key_id = { env = 'A' }\nsecret_access_key = { file = '/nowhere/c' }",
    ),
    (
        "#auth",
        "access_key_id = { env = 'A' }\nsecret_access_key = { file = '/nowhere/b' }\nsession_token = { env = 'C' }",
    ),
    (
        "#auth",
        "access_key_id = { env = 'A' }\nsecret_access_key = { kubernetes = { cluster = 'k', namespace = 'n', name = 's', key = 'd' } }",
    ),
    (
        "#auth",
        "access_key_id = { env = 'A' }\nsecret_access_key = { kubernetes = { cluster = 'other', namespace = 'n', name = 's', key = 'd' } }",
    ),
    (
        "#auth",
        "access_key_id = { env = 'A' }\nsecret_access_key = { kubernetes = { cluster = 'k', namespace = 'o', name = 's', key = 'd' } }",
    ),
    (
        "#auth",
        "access_key_id = { env = 'A' }\nsecret_access_key = { kubernetes = { cluster = 'k', namespace = 'n', name = 't', key = 'd' } }",
    ),
    (
        "#auth",
        "access_key_id = { env = 'A' }\nsecret_access_key = { kubernetes = { cluster = 'k', namespace = 'n', name = 's', key = 'e' } }",
    ),
    (
        "#auth",
        "web_identity = { role_arn = 'arn:aws:iam::123456789012:role/a', token_file = '/nowhere/t' }",
    ),
    (
        "#auth",
        "web_identity = { role_arn = 'arn:aws:iam::123456789012:role/b', token_file = '/nowhere/t' }",
    ),
    (
        "#auth",
        "web_identity = { role_arn = 'arn:aws:iam::123456789012:role/a', token_file = '/nowhere/u' }",
    ),
    ("#auth", "role_arn = 'arn:aws:iam::123456789012:role/a'"),
    (
        "#auth",
        "role_arn = 'arn:aws:iam::123456789012:role/a'\nrole_chain = ['arn:aws:iam::123456789012:role/b']",
    ),
    (
        "#auth",
        "role_arn = 'arn:aws:iam::123456789012:role/a'\nexternal_id = 'ex'",
    ),
    (
        "#auth",
        "role_arn = 'arn:aws:iam::123456789012:role/a'\nsession_name = 'se'",
    ),
    (
        "#auth",
        "role_arn = 'arn:aws:iam::123456789012:role/a'\nsession_tags = { a = 'b' }",
    ),
    (
        "#auth",
        "role_arn = 'arn:aws:iam::123456789012:role/a'\nsession_tags = { a = 'b' }\ntransitive_tag_keys = ['a']",
    ),
    (
        "#auth",
        "role_arn = 'arn:aws:iam::123456789012:role/a'\nsts_endpoint_url = 'https://sts.example'",
    ),
    // Clusters.
    ("cluster = \"k\"", "cluster = 'other'"),
    ("cluster = \"k\"", "clusters = ['k', 'other']"),
    ("/nowhere/kubeconfig", "/nowhere/another"),
    ("#cluster", "context = 'c'"),
    ("#cluster", "allow_insecure_tls = true"),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\ntoken_file = '/nowhere/t'",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://b.example'\ntoken_file = '/nowhere/t'",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\ntoken_file = '/nowhere/u'",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\ntoken_file = '/nowhere/t'\ncertificate_authority = '/nowhere/ca'",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\nclient_certificate = '/nowhere/c'\nclient_key = '/nowhere/d'",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\nclient_certificate = '/nowhere/e'\nclient_key = '/nowhere/d'",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\nclient_certificate = '/nowhere/c'\nclient_key = '/nowhere/f'",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\ncertificate_authority = '/nowhere/ca'\neks = { cluster_name = 'a', region = 'us-east-1', credentials = 'prod' }",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\ncertificate_authority = '/nowhere/ca'\neks = { cluster_name = 'b', region = 'us-east-1', credentials = 'prod' }",
    ),
    (
        "kubeconfig = \"/nowhere/kubeconfig\"",
        "server = 'https://a.example'\ncertificate_authority = '/nowhere/ca'\neks = { cluster_name = 'a', region = 'us-east-2', credentials = 'prod' }",
    ),
    ("kubeconfig = \"/nowhere/kubeconfig\"", "in_cluster = true"),
    // What is read.
    ("#entry", "on_missing = 'drop'"),
    ("#entry", "json_format = 'kes'"),
    ("#entry", "json_format = 'eso'"),
    ("secret_key = \"a\"", "secret_key = 'b'"),
    ("#item", "on_missing = 'drop'"),
    ("#item", "on_missing = 'keep_last'"),
    ("key = \"x\"", "key = 'z'"),
    ("#ref", "property = 'p'"),
    ("#ref", "version = 'AWSPREVIOUS'"),
    ("#ref", "version = 'uuid/0123456789abcdef0123456789abcdef'"),
    ("#ref", "decoding_strategy = 'base64'"),
    ("#ref", "decoding_strategy = 'base64url'"),
    ("#ref", "decoding_strategy = 'auto'"),
    ("#ref", "metadata = true"),
    ("#bulk", "store = 'local'"),
    ("key = \"y\"", "key = 'z'"),
    ("key = \"y\"", "key = 'y', property = 'p'"),
    ("key = \"y\"", "key = 'y', version = 'AWSPREVIOUS'"),
    ("key = \"y\"", "key = 'y', decoding_strategy = 'base64'"),
    ("key = \"y\"", "key = 'y', metadata = true"),
    ("key = \"y\"", "key = 'y', on_missing = 'drop'"),
    ("key = \"y\"", "key = 'y', keys = ['b']"),
    ("key = \"y\"", "key = 'y', keys = ['b', 'c']"),
    ("extract = { key = \"y\" }", "find = { path = 'p' }"),
    (
        "extract = { key = \"y\" }",
        "find = { name = { regexp = 'p' } }",
    ),
    ("extract = { key = \"y\" }", "find = { tags = { p = 'q' } }"),
    (
        "extract = { key = \"y\" }",
        "find = { path = 'p', keys = ['p'] }",
    ),
    (
        "extract = { key = \"y\" }",
        "find = { path = 'p', decoding_strategy = 'base64' }",
    ),
    (
        "extract = { key = \"y\" }",
        "find = { path = 'p', on_missing = 'drop' }",
    ),
    // What is made of it.
    ("#bulk", "conversion_strategy = 'unicode'"),
    (
        "#bulk",
        "rewrite = [{ regexp = { source = 'a', target = 'b' } }]",
    ),
    (
        "#bulk",
        "rewrite = [{ regexp = { source = 'c', target = 'b' } }]",
    ),
    (
        "#bulk",
        "rewrite = [{ regexp = { source = 'a', target = 'd' } }]",
    ),
    (
        "#bulk",
        "rewrite = [{ transform = { template = 'a{{ value }}' } }]",
    ),
    (
        "#bulk",
        "rewrite = [{ transform = { template = 'b{{ value }}' } }]",
    ),
    ("#bulk", "rewrite = [{ merge = {} }]"),
    ("#bulk", "rewrite = [{ merge = {} }, { merge = {} }]"),
    (
        "#bulk",
        "rewrite = [{ merge = { strategy = 'json', into = 'i' } }]",
    ),
    (
        "#bulk",
        "rewrite = [{ merge = { strategy = 'json', into = 'j' } }]",
    ),
    (
        "#bulk",
        "rewrite = [{ merge = { conflict_policy = 'ignore' } }]",
    ),
    ("#bulk", "rewrite = [{ merge = { priority = ['a'] } }]"),
    (
        "#bulk",
        "rewrite = [{ merge = { priority = ['a'], priority_policy = 'ignore_not_found' } }]",
    ),
    ("#entry", "template = { data = { b = '{{ a }}' } }"),
    ("#entry", "template = { data = { c = '{{ a }}' } }"),
    ("#entry", "template = { data = { b = '{{ a }}!' } }"),
    (
        "#entry",
        "template = { data = { b = '{{ a }}' }, merge_policy = 'merge' }",
    ),
    ("#entry", "template = { labels = { l = 'm' } }"),
    ("#entry", "template = { annotations = { l = 'm' } }"),
    (
        "#entry",
        "template = { from = [{ file = 't.j2', key = 'b' }] }",
    ),
    (
        "#entry",
        "template = { from = [{ file = 'u.j2', key = 'b' }] }",
    ),
    // Secrets.
    ("namespace = \"n\"", "namespace = 'o'"),
    ("namespace = \"n\"", "namespaces = ['n', 'o']"),
    ("namespace = \"n\"", "namespace_selector = 'n'"),
    ("namespace = \"n\"", "namespace_selector = '!n'"),
    ("#kubernetes", "name = 's'"),
    ("#kubernetes", "type = 'example.com/t'"),
    ("#kubernetes", "labels = { a = 'b' }"),
    ("#kubernetes", "annotations = { a = 'b' }"),
    ("#kubernetes", "creation_policy = 'orphan'"),
    ("#kubernetes", "creation_policy = 'merge'"),
    ("#kubernetes", "creation_policy = 'create_or_merge'"),
    ("#kubernetes", "deletion_policy = 'merge'"),
    ("#kubernetes", "deletion_policy = 'delete'"),
    ("#kubernetes", "immutable = true"),
    ("#kubernetes", "adopt = true"),
    ("#kubernetes", "drift = 'watch'"),
    ("#kubernetes", "restart = ['deployment/d']"),
    // Files.
    ("/nowhere/file", "/nowhere/another"),
    ("format = \"json\"", "format = 'yaml'"),
    ("format = \"json\"", "format = 'properties'"),
    ("format = \"json\"", "format = 'directory'"),
    ("format = \"json\"", "key = 'a'"),
    ("format = \"json\"", "key = 'b'"),
    ("format = \"json\"", "format = 'dotenv'"),
    ("format = \"json\"", "format = 'dotenv'\ndialect = 'docker'"),
    ("#file", "mode = '0640'"),
    ("#file", "dir_mode = '0750'"),
    ("#file", "owner = '7'"),
    ("#file", "owner = 'seven'"),
    ("#file", "group = '7'"),
    ("#file", "adopt = true"),
    ("#file", "deletion_policy = 'delete'"),
    ("#file", "check = ['/bin/true', '{path}']"),
    ("#file", "check = ['/bin/true', '{path}', 'b']"),
    (
        "#file",
        "check = ['/bin/true', '{path}']\ncheck_log_output = true",
    ),
    ("#file", "on_change = { reload_unit = 'a.service' }"),
    ("#file", "on_change = { restart_unit = 'a.service' }"),
    (
        "#file",
        "on_change = { signal = { unit = 'a.service', signal = 'HUP' } }",
    ),
    (
        "#file",
        "on_change = { signal = { pid_file = '/nowhere/pid', signal = 'HUP' } }",
    ),
    (
        "#file",
        "on_change = { signal = { pid_file = '/nowhere/pid', signal = 'USR1' } }",
    ),
    ("#file", "on_change = { command = ['/bin/true', 'a b'] }"),
    ("#file", "on_change = { command = ['/bin/true', 'a', 'b'] }"),
    (
        "#file",
        "on_change = { command = ['/bin/true', 'a', 'b'], timeout = '31s' }",
    ),
    (
        "#file",
        "on_change = { command = ['/bin/true', 'a', 'b'], debounce = '3s' }",
    ),
    (
        "#file",
        "on_change = { command = ['/bin/true', 'a', 'b'], log_output = true }",
    ),
];

/// What is so already, and what says only when something is done, and how fast.
const SAME: &[(&str, &str)] = &[
    ("#prod", "prefix = ''"),
    ("#prod", "fetch = 'single'"),
    (
        "#prod",
        "requests_per_second = { batch = 1, get = 2, list = 3 }",
    ),
    ("#prod", "allow_plain_http = false"),
    ("#cluster", "allow_insecure_tls = false"),
    ("#cluster", "requests_per_second = 7"),
    ("[clusters.other]", "[clusters.more]"),
    ("#entry", "refresh_interval = '7m'"),
    ("#entry", "max_stale = '7h'"),
    ("#entry", "refresh_policy = 'created_once'"),
    ("#entry", "suspend = true"),
    ("#entry", "on_missing = 'fail'"),
    ("#entry", "json_format = 'raw'"),
    ("#item", "store = 'prod'"),
    ("#item", "on_missing = 'fail'"),
    ("#ref", "version = 'AWSCURRENT'"),
    ("#ref", "decoding_strategy = 'none'"),
    ("#ref", "metadata = false"),
    ("#bulk", "rewrite = []"),
    ("#bulk", "conversion_strategy = 'default'"),
    ("#kubernetes", "name = 'e'"),
    ("#kubernetes", "type = 'Opaque'"),
    ("#kubernetes", "labels = {}"),
    ("#kubernetes", "annotations = {}"),
    ("#kubernetes", "creation_policy = 'owner'"),
    ("#kubernetes", "deletion_policy = 'retain'"),
    ("#kubernetes", "immutable = false"),
    ("#kubernetes", "adopt = false"),
    ("#kubernetes", "drift = 'refresh'"),
    ("#kubernetes", "restart = []"),
    ("#file", "mode = '0600'"),
    ("#file", "dir_mode = '0700'"),
    ("#file", "adopt = false"),
    ("#file", "deletion_policy = 'retain'"),
    ("#file", "check_log_output = false"),
];

fn changed((from, to): &(&str, &str)) -> String {
    assert!(SAMPLE.contains(from), "{from}");
    SAMPLE.replace(from, to)
}

fn essence(text: &str) -> String {
    let files = [
        ("main.toml", text),
        ("t.j2", "{{ a }}"),
        ("u.j2", "{{ a }} and more"),
    ];
    let config = match Room::new(&files).load() {
        Ok(loaded) => loaded.config,
        Err(diagnostics) => panic!("{text}\n{}", diagnostics.render(false)),
    };
    config.essence(&config.entries["e"], &config.daemon.instance)
}

/// What stands in one text and not in the other between what they begin and end with.
fn difference(one: &str, other: &str) -> String {
    let start = one.bytes().zip(other.bytes());
    let start = start.take_while(|(a, b)| a == b).count();
    let start = one[..start].rfind([' ', '{', '[']).map_or(0, |at| at + 1);
    let end = one[start..].bytes().rev().zip(other[start..].bytes().rev());
    let end = end.take_while(|(a, b)| a == b).count();
    other[start..other.len() - end].to_owned()
}

/// Where this changes, every entry that has the setting looks anew after the upgrade, and what is delivered once is
/// delivered again. A new setting adds lines, and changes none.
#[test]
fn the_text_of_a_configuration_is_the_same_in_every_release() {
    let base = essence(SAMPLE);
    let told = CHANGES.iter().map(|change| {
        let difference = difference(&base, &essence(&changed(change)));
        format!("\n{}\n    {difference}\n", change.1)
    });
    let told: String = told.collect();
    insta::assert_snapshot!(format!("{base}\n{told}"));
}

#[test]
fn whatever_delivers_something_else_has_another_text() {
    let mut seen = BTreeMap::from([(essence(SAMPLE), "the sample")]);
    for change in CHANGES {
        let before = seen.insert(essence(&changed(change)), change.1);
        assert_eq!(before, None, "{}", change.1);
    }
}

#[test]
fn what_is_at_its_default_is_left_out_and_so_is_what_says_only_when() {
    let base = essence(SAMPLE);
    for same in SAME {
        assert_eq!(essence(&changed(same)), base, "{}", same.1);
    }
    for action in ["timeout = '30s'", "debounce = '2s'", "log_output = false"] {
        let with = |more| format!("on_change = {{ reload_unit = 'a.service'{more} }}");
        let [plain, written] =
            ["", &format!(", {action}")[..]].map(|more| essence(&changed(&("#file", &with(more)))));
        assert_eq!(plain, written, "{action}");
    }
}

/// A new key belongs into one of the lists above.
#[test]
fn every_key_of_the_schema_is_among_those_that_were_tried() {
    const ELSEWHERE: &[&str] = &["daemon", "leader", "defaults"];
    let lines = CHANGES.iter().chain(SAME).map(|(_, to)| *to);
    let all: String = lines.chain([SAMPLE]).collect::<Vec<_>>().join("\n");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let tried: BTreeSet<&str> = all.split(|c| !is_word(c)).collect();
    let schema: Value = serde_json::from_str(include_str!("../../../config/schema.json")).unwrap();
    for (table, part) in schema["$defs"].as_object().unwrap() {
        let keys = part["properties"].as_object().into_iter().flatten();
        for (key, _) in keys.filter(|_| !ELSEWHERE.contains(&table.as_str())) {
            assert!(tried.contains(key.as_str()), "{table}.{key}");
        }
    }
}
