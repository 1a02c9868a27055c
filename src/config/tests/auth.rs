//! As whom a store is read: the base, the roles on top of it, and who needs whom first.

use super::super::{AwsAuth, AwsBase, AwsRole, Store, ValueSource};
use super::{Room, config, messages, report, with, wrong};
use crate::names::RoleArn;

fn auth(line: &str) -> AwsAuth {
    match config(&with("auth", line)).stores.remove("prod") {
        Some(Store::SecretsManager(store)) => store.auth,
        other => panic!("{other:?}"),
    }
}

const ROLE: &str = "role_arn = \"arn:aws:iam::210987654321:role/read\"";

#[test]
fn roles_are_lowered_in_order_and_the_last_gets_what_goes_with_it() {
    let whole = auth(&format!(
        "profile = \"sync\"
role_chain = [\"arn:aws:iam::123456789012:role/a\", \"arn:aws:iam::123456789012:role/b\"]
{ROLE}
external_id = \"id:1/2\"
session_name = \"bastion@prod\"
session_tags = {{ team = \"platform\", empty = \"\" }}
transitive_tag_keys = [\"team\", \"from-before\"]
sts_endpoint_url = \"https://vpce.example.com\"",
    ));
    assert_eq!(whole.account().unwrap().as_str(), "210987654321");
    assert_eq!(whole.base, AwsBase::Profile("sync".into()));
    let chain: Vec<_> = whole.role_chain.iter().map(RoleArn::as_str).collect();
    assert_eq!(
        chain,
        [
            "arn:aws:iam::123456789012:role/a",
            "arn:aws:iam::123456789012:role/b"
        ]
    );
    let AwsRole {
        arn,
        external_id,
        session_name,
        session_tags,
        transitive_tag_keys,
    } = whole.role.unwrap();
    assert_eq!(arn.as_str(), "arn:aws:iam::210987654321:role/read");
    assert_eq!(external_id.as_deref(), Some("id:1/2"));
    assert_eq!(session_name.as_deref(), Some("bastion@prod"));
    assert_eq!(session_tags["team"], "platform");
    assert_eq!(session_tags["empty"], "");
    assert_eq!(transitive_tag_keys, ["team", "from-before"]);
    assert_eq!(
        whole.sts_endpoint_url.as_deref(),
        Some("https://vpce.example.com")
    );

    assert_eq!(auth(""), AwsAuth::DEFAULT);
    let bare = auth(ROLE).role.unwrap();
    assert_eq!((bare.session_name, bare.external_id), (None, None));
    let chain = auth("role_chain = [\"arn:aws:iam::123456789012:role/a\"]");
    assert_eq!(chain.account().unwrap().as_str(), "123456789012");
}

#[test]
fn bases_are_lowered() {
    let text = with(
        "auth",
        "web_identity = { role_arn = \"arn:aws:iam::123456789012:role/base\", token_file = \"token\" }",
    );
    let room = Room::new(&[("main.toml", &text), ("token", "")]);
    let config = room.load().unwrap().config;
    assert!(matches!(&config.stores["prod"],
        Store::SecretsManager(prod) if matches!(&prod.auth.base,
            AwsBase::WebIdentity { role_arn, token_file }
                if role_arn.account().as_str() == "123456789012" && *token_file == room.path("token"))));
    room.mode("token", 0o644);
    assert!(
        room.messages()
            .contains(&"others may read this file, which holds a credential".to_owned())
    );

    let AwsBase::Static {
        access_key_id: ValueSource::Kubernetes(id),
        session_token: Some(ValueSource::Env(_)),
        ..
    } = auth(
        "access_key_id = { kubernetes = { cluster = \"k\", namespace = \"ops\", name = \"aws.keys\", key = \"id\" } }
secret_access_key = { kubernetes = { cluster = \"k\", namespace = \"ops\", name = \"aws.keys\", key = \"key\" } }
session_token = { env = \"TOKEN\" }",
    )
    .base
    else {
        panic!("keys from a cluster");
    };
    assert_eq!(
        (
            id.cluster.as_str(),
            id.namespace.as_str(),
            id.name.as_str(),
            id.key.as_str()
        ),
        ("k", "ops", "aws.keys", "id")
    );
}

/// Whether the last role is there, a line beside it, and what is said of that.
const SINGLE_VALUES: &[(bool, &str, &str)] = &[
    (
        false,
        "role_arn = \"read\"",
        "`role_arn` must be a role's ARN: arn:aws:iam::ACCOUNT:role/NAME",
    ),
    (
        false,
        "role_chain = [\"read\"]",
        "each of `role_chain` must be a role's ARN: arn:aws:iam::ACCOUNT:role/NAME",
    ),
    (
        false,
        "external_id = \"id\"",
        "`external_id` has no meaning without `role_arn`",
    ),
    (
        false,
        "session_name = \"me\"",
        "`session_name` has no meaning without `role_arn`",
    ),
    (
        false,
        "session_tags = { a = \"b\" }",
        "`session_tags` has no meaning without `role_arn`",
    ),
    (
        false,
        "session_tags = { a = \"b\" }\ntransitive_tag_keys = [\"a\"]",
        "`transitive_tag_keys` has no meaning without `role_arn`",
    ),
    (
        true,
        "external_id = \"x\"",
        "`external_id` must have 2 to 1224 characters: letters, digits and `_+=,.@:/-`",
    ),
    (
        true,
        "external_id = \"a b\"",
        "`external_id` must have 2 to 1224 characters: letters, digits and `_+=,.@:/-`",
    ),
    (
        true,
        "session_name = \"a:b\"",
        "`session_name` must have 2 to 64 characters: letters, digits and `_+=,.@-`",
    ),
    (
        true,
        "session_tags = { \"\" = \"a\" }",
        "a key of `session_tags` must have 1 to 128 characters, none of them a control character",
    ),
    (
        true,
        "session_tags = { a = \"\\n\" }",
        "a value of `session_tags` must have at most 256 characters, none of them a control character",
    ),
    (
        true,
        "transitive_tag_keys = [\"\"]",
        "each of `transitive_tag_keys` must have 1 to 128 characters, none of them a control character",
    ),
    (
        true,
        "transitive_tag_keys = [\"a\"]",
        "no tag of `session_tags` has this key",
    ),
    (
        true,
        "web_identity = { token_file = \"/nowhere/t\" }",
        "`role_arn` is missing",
    ),
    (
        true,
        "web_identity = { role_arn = \"arn:aws:iam::123456789012:role/b\", token_file = \"/nowhere/t\" }\nprofile = \"p\"",
        "`auth` takes only one base",
    ),
    (
        true,
        "sts_endpoint_url = \"http://10.0.0.1\"",
        "`sts_endpoint_url` must be https, plain http only on loopback",
    ),
    (
        false,
        "access_key_id = { kubernetes = { cluster = \"nope\", namespace = \"n\", name = \"x\", key = \"y\" } }\nsecret_access_key = { env = \"K\" }",
        "there is no cluster of this name",
    ),
    (
        false,
        "access_key_id = { kubernetes = { namespace = \"n\", name = \"x\", key = \"y\" } }\nsecret_access_key = { env = \"K\" }",
        "`cluster` is missing",
    ),
];

#[test]
fn single_values_are_judged_where_they_stand() {
    for (with_role, line, expected) in SINGLE_VALUES {
        let role = if *with_role { ROLE } else { "" };
        let found = wrong("auth", &format!("{role}\n{line}"));
        assert!(found.iter().any(|m| m == expected), "{line}: {found:?}");
    }
    let many: Vec<_> = (0..51).map(|n| format!("t{n} = \"\"")).collect();
    assert_eq!(
        wrong(
            "auth",
            &format!("{ROLE}\nsession_tags = {{ {} }}", many.join(", "))
        ),
        ["`session_tags` may have at most 50 tags"]
    );
    let none = Vec::<String>::new();
    for allowed in [
        "role_chain = []",
        "role_chain = [\"arn:aws-cn:iam::123456789012:role/a\"]",
        "role_chain = [\"arn:aws:iam::123456789012:role/a\"]\nrole_arn = \"arn:aws:iam::123456789012:role/b\"\ntransitive_tag_keys = [\"from-a\"]",
    ] {
        assert_eq!(wrong("auth", allowed), none, "{allowed}");
    }
}

#[test]
fn one_mistake_hides_no_other() {
    insta::assert_snapshot!(report(r#"
[stores.s.aws_secrets_manager]
allow_plain_http = "no"
[stores.s.aws_secrets_manager.auth]
profile = "a"
access_key_id = { kubernetes = { cluster = "k", namespace = "N", name = "x", kye = "y" } }
role_chain = ["x", 5]
external_id = "x"
session_tags = { a = 1, "" = "b" }
transitive_tag_keys = ["a", ""]
"#), @r#"
    error: `allow_plain_http` must be `true` or `false`
     --> main.toml:3:20
      |
    3 | allow_plain_http = …
      |                    ^ this is a string

    error: `secret_access_key` is missing
    --> main.toml:4:1

    error: `auth` takes only one base
    --> main.toml:4:1
     = help: one of `profile`, `access_key_id` with `secret_access_key`, `web_identity`

    error: `key` is missing
    --> main.toml:6:32

    error: there is no cluster of this name
    --> main.toml:6:44
     = help: define it as [clusters.NAME]

    error: `namespace` must be an RFC 1123 label: lower-case letters, digits and `-`, at most 63, beginning and ending with a letter or digit
    --> main.toml:6:61

    error: unknown key
    --> main.toml:6:78
     = help: did you mean `key`?

    error: each of `role_chain` must be a role's ARN: arn:aws:iam::ACCOUNT:role/NAME
    --> main.toml:7:15

    error: `role_chain` must be a string
    --> main.toml:7:20

    error: `external_id` has no meaning without `role_arn`
    --> main.toml:8:1
     = help: it goes with the last role: name that one in `role_arn`, not in `role_chain`

    error: `external_id` must have 2 to 1224 characters: letters, digits and `_+=,.@:/-`
    --> main.toml:8:15

    error: `session_tags` has no meaning without `role_arn`
    --> main.toml:9:1
     = help: it goes with the last role: name that one in `role_arn`, not in `role_chain`

    error: `session_tags` must be a string
    --> main.toml:9:22

    error: a key of `session_tags` must have 1 to 128 characters, none of them a control character
    --> main.toml:9:25

    error: `transitive_tag_keys` has no meaning without `role_arn`
    --> main.toml:10:1
     = help: it goes with the last role: name that one in `role_arn`, not in `role_chain`

    error: each of `transitive_tag_keys` must have 1 to 128 characters, none of them a control character
    --> main.toml:10:29
    "#);
}

/// A store whose keys are in a cluster.
fn store(name: &str, cluster: &str) -> String {
    let key = format!(
        "{{ kubernetes = {{ cluster = \"{cluster}\", namespace = \"n\", name = \"x\", key = \"y\" }} }}"
    );
    format!(
        "[stores.{name}.aws_secrets_manager.auth]\naccess_key_id = {key}\nsecret_access_key = {key}\nrole_chain = [\"arn:aws:iam::123456789012:role/a\"]\n{ROLE}\n"
    )
}

/// A cluster whose tokens are signed as a store.
fn cluster(name: &str, store: &str) -> String {
    format!(
        "[clusters.{name}]\nserver = \"https://h\"\ncertificate_authority = \"/nowhere/ca\"\neks = {{ cluster_name = \"c\", region = \"us-east-1\", credentials = \"{store}\" }}\n"
    )
}

#[test]
fn keys_that_wait_for_themselves_are_a_circle() {
    let circles = |parts: &[String]| {
        let mut found = messages(&parts.concat());
        found.retain(|message| message.contains("first"));
        found
    };
    assert_eq!(
        circles(&[store("a", "k"), cluster("k", "a")]),
        ["store `a` needs cluster `k` first, which needs store `a` first"]
    );
    assert_eq!(
        circles(&[
            store("a", "k"),
            cluster("k", "b"),
            store("b", "l"),
            cluster("l", "a"),
            store("c", "k"),
        ]),
        [
            "store `a` needs cluster `k` first, which needs store `b` first, which needs cluster `l` first, which needs store `a` first"
        ]
    );
    // Two circles are two mistakes; a chain that ends is none.
    assert_eq!(
        circles(&[
            store("a", "k"),
            cluster("k", "a"),
            store("b", "l"),
            cluster("l", "b"),
        ])
        .len(),
        2
    );
    assert_eq!(
        circles(&[
            store("a", "k"),
            cluster("k", "b"),
            "[stores.b.aws_secrets_manager]\n".to_owned(),
        ]),
        Vec::<String>::new()
    );
}

#[test]
fn a_circle_is_shown_from_both_ends() {
    insta::assert_snapshot!(report(&(store("a", "k") + &cluster("k", "a"))), @r#"
    error: store `a` needs cluster `k` first, which needs store `a` first
     --> main.toml:2:44
      = help: take the keys from a file or the environment, or let another store sign for the cluster
    note: the circle closes here
     --> main.toml:9:65
      |
    9 | ...                   credentials = …
      |                                     ^

    warning: there is no such file yet
     --> main.toml:8:25
      |
    8 | certificate_authority = …
      |                         ^
    "#);
}
