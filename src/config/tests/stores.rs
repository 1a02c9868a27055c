//! Stores of AWS: their own keys, and what a prefix does to the names in them.

use super::super::{AwsStore, Fetch, Rates, Store};
use super::{Room, config, report, with, wrong};

fn manager(line: &str) -> AwsStore {
    match config(&with("prod", line)).stores.remove("prod") {
        Some(Store::SecretsManager(store)) => store,
        other => panic!("{other:?}"),
    }
}

fn parameters(line: &str) -> AwsStore {
    let text = format!("[stores.ps.aws_parameter_store]\n{line}");
    match config(&with("local", &text)).stores.remove("ps") {
        Some(Store::ParameterStore(store)) => store,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_kinds_have_the_same_keys_and_rates_of_their_own() {
    let text = "account = \"123456789012\"\nfetch = \"single\"\nrequests_per_second = { get = 7 }\nendpoint_url = \"https://vpce.example.com\"";
    let store = manager(text);
    assert_eq!(store.account.unwrap().as_str(), "123456789012");
    assert_eq!(store.fetch, Fetch::Single);
    let usual = Rates::SECRETS_MANAGER;
    assert_eq!(store.requests_per_second, Rates { get: 7, ..usual });

    let store = parameters(&format!("region = \"eu-west-1\"\n{text}"));
    assert_eq!(store.region.as_deref(), Some("eu-west-1"));
    assert_eq!(store.account.unwrap().as_str(), "123456789012");
    let usual = Rates::PARAMETER_STORE;
    assert_eq!(store.requests_per_second, Rates { get: 7, ..usual });
    assert_eq!(
        store.endpoint_url.as_deref(),
        Some("https://vpce.example.com")
    );

    assert_eq!(manager("").requests_per_second, Rates::SECRETS_MANAGER);
    assert_eq!(parameters("").requests_per_second, Rates::PARAMETER_STORE);
    assert_eq!(parameters("").fetch, Fetch::Auto);
}

/// What is said of a line in a store of each kind.
const SINGLE_VALUES: &[(&str, &str, &str)] = &[
    ("both", "account = 1", "`account` must be a string"),
    (
        "both",
        "account = \"12345678901\"",
        "`account` must be an account's 12 digits",
    ),
    (
        "both",
        "requests_per_second = { get = 0 }",
        "`get` must be a whole number above 0",
    ),
    (
        "both",
        "prefix = \"a b\"",
        "`prefix` must be what names can begin with",
    ),
    (
        "both",
        "prefix = \"arn:aws\"",
        "`prefix` must be what names can begin with",
    ),
    (
        "ps",
        "prefix = \"prod/\"",
        "`prefix` must be what names can begin with",
    ),
    (
        "prod",
        "requests_per_second = { batch = 101 }",
        "`batch`: AWS allows 100 of these calls per second",
    ),
    (
        "prod",
        "requests_per_second = { list = 101 }",
        "`list`: AWS allows 100 of these calls per second",
    ),
    (
        "prod",
        "requests_per_second = { get = 10001 }",
        "`get`: AWS allows 10000 of these calls per second",
    ),
    (
        "ps",
        "requests_per_second = { get = 21 }",
        "41 calls per second altogether; Parameter Store allows 40",
    ),
];

#[test]
fn single_values_are_judged_where_they_stand() {
    for (place, line, expected) in SINGLE_VALUES {
        if *place != "ps" {
            assert_eq!(wrong("prod", line), [*expected], "{line}");
        }
        if *place != "prod" {
            let line = format!("[stores.ps.aws_parameter_store]\n{line}");
            assert_eq!(wrong("local", &line), [*expected], "{line}");
        }
    }
    for allowed in [
        "prefix = \"\"",
        "prefix = \"prod/\"",
        "requests_per_second = { batch = 100, get = 10000, list = 100 }",
    ] {
        assert_eq!(wrong("prod", allowed), Vec::<String>::new(), "{allowed}");
    }
    for allowed in [
        "prefix = \"/prod/\"",
        "prefix = \"app.\"",
        "requests_per_second = { batch = 20, get = 15, list = 5 }",
    ] {
        let line = format!("[stores.ps.aws_parameter_store]\n{allowed}");
        assert_eq!(wrong("local", &line), Vec::<String>::new(), "{allowed}");
    }
}

#[test]
fn plain_http_is_allowed_for_both_endpoints_together() {
    let of = |allow| {
        let line = format!(
            "[stores.a.aws_secrets_manager]\n{allow}\nauth = {{ sts_endpoint_url = \"http://10.0.0.1\" }}"
        );
        super::messages(&with("local", &line))
    };
    let refused = "`sts_endpoint_url` must be https, plain http only on loopback".to_owned();
    assert!(of("").contains(&refused));
    assert!(!of("allow_plain_http = true").contains(&refused));
}

#[test]
fn a_warning_of_rates_says_what_makes_it_right() {
    insta::assert_snapshot!(report(r#"
[stores.ps.aws_parameter_store]
requests_per_second = { batch = 100 }
[stores.sm.aws_secrets_manager]
requests_per_second = { batch = 200 }
prefix = "prod db"
"#), @r#"
    warning: 115 calls per second altogether; Parameter Store allows 40
     --> main.toml:3:1
      |
    3 | requests_per_second
      | ^^^^^^^^^^^^^^^^^^^
      |
      = help: right only where the account's higher throughput is turned on

    warning: `batch`: AWS allows 100 of these calls per second
     --> main.toml:5:33
      |
    5 |                         batch = …
      |                                 ^
      |
      = help: what is beyond is throttled, for all others in the account, too

    error: `prefix` must be what names can begin with
     --> main.toml:6:10
      |
    6 | prefix = …
      |          ^
      |
      = help: names: letters, digits and `/_+=.@-`, at most 512
    "#);
}

/// Nor is the path repeated: it may be anything that was typed there.
#[test]
fn a_file_that_is_not_there_is_told_by_whose_it_is_and_what_to_do() {
    let told = |place: &str, line: &str| {
        let room = Room::new(&[("main.toml", &with(place, line))]);
        let all = room.load().unwrap().warnings;
        let all = all.iter().filter(|it| it.message.contains("`new`"));
        let all: Vec<_> = all
            .map(|it| (it.message.clone(), it.help.clone().unwrap_or_default()))
            .collect();
        all
    };
    assert_eq!(
        told("local", "[stores.new.file]\npath = \"/nowhere/at/all\""),
        [(
            "there is no such file yet: the file of store `new`".to_owned(),
            "create it, or correct `path`".to_owned()
        )]
    );
    assert_eq!(
        told(
            "cluster",
            "[clusters.new]\nkubeconfig = \"/nowhere/at/all\""
        ),
        [(
            "there is no such file yet: the kubeconfig of cluster `new`".to_owned(),
            "create it, or correct `kubeconfig`".to_owned()
        )]
    );
}
