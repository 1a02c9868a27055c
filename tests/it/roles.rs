//! Roles, web identity, keys in clusters, and proxies: whose credentials are used, and how often they are asked for.

use std::time::Duration;

use crate::support::certificates::Certificates;
use crate::support::daemon::{Home, PATIENCE, SECRET_ACCESS_KEY, wait_content};
use crate::support::kubernetes::Kubernetes;
use crate::support::leak::Markers;
use crate::support::proxy::Proxy;
use crate::support::secrets_manager::{REGION, SecretsManager};
use crate::support::sts::{Fault, Request, Sts};
use crate::support::wait::{stays_true, wait_until};

const BASE_KEY: &str = "AKIAINTEGRATIONTESTS";
const HOP: &str = "arn:aws:iam::123456789012:role/hop";
const ROLE: &str = "arn:aws:iam::123456789012:role/read";

fn entry(home: &Home, name: &str, store: &str) -> String {
    format!(
        "[secrets.{name}]\nstore = \"{store}\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\" }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n\n",
        home.quoted(&format!("targets/{name}"))
    )
}

fn auth(store: &str, sts: &Sts, keys: &str) -> String {
    format!(
        "[stores.{store}.aws_secrets_manager.auth]\nsts_endpoint_url = \"{}\"\n{keys}\n\n",
        sts.endpoint()
    )
}

/// A home whose entry `db` is read as [`ROLE`].
fn home_with_role(aws: &SecretsManager, sts: &Sts) -> Home {
    let home = Home::new();
    aws.put("prod/db", "first");
    let role = auth("prod", sts, &format!("role_arn = \"{ROLE}\""));
    home.configure(&[aws.store("prod"), role, entry(&home, "db", "prod")].concat());
    home
}

fn assumed(sts: &Sts) -> Vec<Request> {
    let log = sts.log().into_iter();
    log.filter(|request| request.action.starts_with("AssumeRole"))
        .collect()
}

/// The access keys that the store was asked with, without repetitions.
fn keys_used(aws: &SecretsManager) -> Vec<String> {
    let log = aws.log();
    let mut keys: Vec<_> = log
        .0
        .iter()
        .filter_map(|r| r.access_key_id.clone())
        .collect();
    keys.dedup();
    keys
}

#[test]
fn a_thousand_entries_behind_one_role_assume_it_once() {
    let (aws, sts, home) = (SecretsManager::start(), Sts::start(), Home::new());
    aws.put("prod/db", "first");
    let role = auth("prod", &sts, &format!("role_arn = \"{ROLE}\""));
    let mut config = aws.store("prod") + &role;
    for i in 0..1000 {
        let name = format!("prod/s{i}");
        aws.put(&name, "first");
        config += &entry(&home, &format!("e{i}"), "prod").replace("prod/db", &name);
    }
    home.configure(&config);
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE * 2);
    stays_true(Duration::from_secs(12), "it runs", || {
        !daemon.page("/healthz").is_empty()
    });
    assert!(
        daemon
            .status()
            .states()
            .iter()
            .all(|state| *state == "fresh")
    );
    let calls = assumed(&sts);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].role_arn.as_deref(), Some(ROLE));
    assert_eq!(keys_used(&aws), [calls[0].issued.clone().unwrap()]);
}

#[test]
fn a_chain_is_walked_and_the_last_role_alone_gets_what_goes_with_it() {
    let (aws, sts, home) = (SecretsManager::start(), Sts::start(), Home::new());
    aws.put("prod/db", "first");
    let chain = format!(
        "role_chain = [\"{HOP}\"]\nrole_arn = \"{ROLE}\"\nexternal_id = \"ext-1\"\nsession_name = \"bastion\"\nsession_tags = {{ team = \"platform\" }}\ntransitive_tag_keys = [\"team\"]"
    );
    let stores = ["one", "two"].map(|name| aws.store(name) + &auth(name, &sts, &chain));
    // A third identity shares only the hop.
    let third = aws.store("three") + &auth("three", &sts, &format!("role_chain = [\"{HOP}\"]"));
    let entries = ["one", "two", "three"].map(|name| entry(&home, name, name));
    home.configure(&[stores.concat(), third, entries.concat()].concat());
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let calls = assumed(&sts);
    let [hop, last] = &calls[..] else {
        panic!("{calls:?}")
    };
    assert_eq!(
        (hop.role_arn.as_deref(), last.role_arn.as_deref()),
        (Some(HOP), Some(ROLE))
    );
    assert_eq!(hop.access_key_id.as_deref(), Some(BASE_KEY));
    assert_eq!(last.access_key_id, hop.issued);
    assert_eq!(
        (hop.external_id.as_deref(), last.external_id.as_deref()),
        (None, Some("ext-1"))
    );
    let names = (hop.session_name.as_deref(), last.session_name.as_deref());
    assert_eq!(names, (Some("secretsyncd"), Some("bastion")));
    assert!(hop.tags.is_empty() && hop.transitive_tag_keys.is_empty());
    assert_eq!(last.tags.get("team").map(String::as_str), Some("platform"));
    assert_eq!(last.transitive_tag_keys, ["team"]);
}

#[test]
fn a_session_is_renewed_before_it_ends_and_nobody_waits_for_it() {
    let (aws, sts) = (SecretsManager::start(), Sts::start());
    sts.lifetime(Duration::from_secs(75));
    let home = home_with_role(&aws, &sts);
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    let first = assumed(&sts)[0].issued.clone().unwrap();
    wait_until(Duration::from_secs(70), "the session to be renewed", || {
        assumed(&sts).len() == 2
    });
    // The old one was good for a while yet.
    aws.refuse_key(&first);
    aws.put("prod/db", "second");
    wait_content(&home, "targets/db", "second");
    assert_eq!(daemon.status().entry("db").state(), "fresh");
    assert_eq!(assumed(&sts).len(), 2);
}

#[test]
fn a_session_that_aws_refuses_is_replaced_once() {
    let (aws, sts) = (SecretsManager::start(), Sts::start());
    let home = home_with_role(&aws, &sts);
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    let first = assumed(&sts)[0].issued.clone().unwrap();
    aws.refuse_key(&first);
    aws.put("prod/db", "second");
    wait_content(&home, "targets/db", "second");
    assert_eq!(assumed(&sts).len(), 2);
    // The one read that met the refusal was made again at once: nothing failed.
    let failed = [("reason", "credentials")];
    let errors = daemon
        .metrics()
        .sum("secretsyncd_sync_errors_total", &failed);
    assert_eq!(errors, Some(0.0));
}

#[test]
fn a_role_that_may_not_be_assumed_is_named_and_tried_by_one_probe() {
    let (aws, sts) = (SecretsManager::start(), Sts::start());
    sts.deny(ROLE);
    let home = home_with_role(&aws, &sts);
    home.write("targets/db", "delivered before");
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE);
    let status = daemon.wait_state("db", "failing");
    let trouble = status.entry("db").trouble().unwrap();
    assert_eq!(trouble.reason, "credentials");
    let text = format!("{} {}", trouble.message, trouble.help);
    assert!(
        text.contains(ROLE) && text.contains("sts:AssumeRole"),
        "{trouble:?}"
    );
    assert!(
        aws.log().0.is_empty(),
        "nothing is asked without credentials"
    );
    assert_eq!(home.read_text("targets/db").unwrap(), "delivered before");
    sts.heal();
    std::fs::remove_file(home.path("targets/db")).unwrap();
    wait_content(&home, "targets/db", "first");
}

#[test]
fn every_fault_of_sts_is_named_and_leaks_nothing() {
    std::thread::scope(|scope| {
        for fault in Fault::ALL {
            scope.spawn(move || {
                let (aws, sts) = (SecretsManager::start(), Sts::start());
                sts.fail_all(fault);
                let mut home = home_with_role(&aws, &sts);
                home.log_level = Some("trace");
                let mut daemon = home.start();
                daemon.wait_ready(PATIENCE * 2);
                let status = daemon.wait_state("db", "failing");
                let trouble = status.entry("db").trouble().unwrap();
                let right: &[&str] = match fault {
                    Fault::Throttling => &["throttled"],
                    Fault::UnavailableHtml | Fault::Close => &["network"],
                    Fault::Hang => &["timeout", "credentials"],
                    Fault::Unparsable | Fault::Empty => &["malformed", "credentials"],
                    Fault::ExpiredToken
                    | Fault::InvalidClientTokenId
                    | Fault::InvalidIdentityToken
                    | Fault::SignatureDoesNotMatch => &["credentials", "clock"],
                };
                assert!(
                    right.contains(&trouble.reason.as_str()),
                    "{fault:?}: {trouble:?}"
                );
                assert!(!trouble.help.is_empty());
                let text = daemon.output() + &daemon.page("/status") + &daemon.page("/metrics");
                let leaks = Markers::new([SECRET_ACCESS_KEY]).find("output", text);
                assert!(leaks.is_empty(), "{fault:?}: {leaks:?}");
            });
        }
    });
}

#[test]
fn a_web_identity_token_is_exchanged_and_read_again_when_it_changes() {
    let (aws, sts, mut home) = (SecretsManager::start(), Sts::start(), Home::new());
    home.unset_env("AWS_ACCESS_KEY_ID");
    home.unset_env("AWS_SECRET_ACCESS_KEY");
    aws.put("prod/db", "first");
    home.write("token", "MARKER-web-token-one\n");
    let keys = format!("web_identity = {{ role_arn = \"{ROLE}\", token_file = \"token\" }}");
    let store = aws.store("prod") + &auth("prod", &sts, &keys);
    home.configure(&(store + &entry(&home, "db", "prod")));
    home.log_level = Some("trace");
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    home.write("token", "MARKER-web-token-two\n");
    aws.refuse_key(&assumed(&sts)[0].issued.clone().unwrap());
    aws.put("prod/db", "second");
    wait_content(&home, "targets/db", "second");
    let tokens: Vec<_> = assumed(&sts)
        .into_iter()
        .filter_map(|r| r.web_identity_token)
        .collect();
    assert_eq!(tokens, ["MARKER-web-token-one", "MARKER-web-token-two"]);
    let leaks = Markers::new(tokens.iter().map(String::as_str)).find("output", daemon.output());
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn keys_may_be_in_a_secret_of_a_cluster() {
    let (aws, kubernetes, mut home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    home.unset_env("AWS_ACCESS_KEY_ID");
    home.unset_env("AWS_SECRET_ACCESS_KEY");
    aws.put("prod/db", "first");
    kubernetes.create_namespace("ops");
    let keys = |id: &str| {
        [
            ("id".to_owned(), id.to_owned()),
            ("key".to_owned(), "MARKER-key".to_owned()),
        ]
    };
    let put = |id: &str| {
        let keys = keys(id);
        let data: Vec<_> = keys
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        kubernetes.put_data("somebody", "ops", "aws", &data);
    };
    put("AKIAFIRST");
    let source = |key: &str| {
        format!(
            "{{ kubernetes = {{ cluster = \"main\", namespace = \"ops\", name = \"aws\", key = \"{key}\" }} }}"
        )
    };
    let auth = format!(
        "[stores.prod.aws_secrets_manager.auth]\naccess_key_id = {}\nsecret_access_key = {}\n\n",
        source("id"),
        source("key")
    );
    home.configure(
        &[
            aws.store("prod"),
            auth,
            kubernetes.cluster("main"),
            entry(&home, "db", "prod"),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    assert_eq!(keys_used(&aws), ["AKIAFIRST"]);
    put("AKIASECOND");
    aws.refuse_key("AKIAFIRST");
    aws.put("prod/db", "second");
    wait_content(&home, "targets/db", "second");
    daemon.wait_state("db", "fresh");
    assert_eq!(
        keys_used(&aws).last().map(String::as_str),
        Some("AKIASECOND")
    );
}

/// Behind AWS's own names, over TLS, through a proxy that sees no more than the names.
#[test]
fn proxies_are_asked_to_connect_and_nothing_else() {
    let hosts = [
        format!("secretsmanager.{REGION}.amazonaws.com"),
        format!("sts.{REGION}.amazonaws.com"),
    ];
    let names = hosts.each_ref().map(String::as_str);
    let certificates = Certificates::for_hosts(&names);
    let (aws, sts) = (
        SecretsManager::start_tls(&certificates),
        Sts::start_tls(&certificates),
    );
    let proxy = Proxy::start(aws.address());
    proxy.route(names[1], sts.address());
    let mut home = Home::new();
    aws.put("prod/db", "first");
    let ca = home.write("ca.pem", &certificates.authority);
    home.set_env("SSL_CERT_FILE", ca.to_str().unwrap());
    home.set_env("HTTPS_PROXY", &proxy.url());
    let store = format!(
        "[stores.prod.aws_secrets_manager]\nregion = \"{REGION}\"\n\n[stores.prod.aws_secrets_manager.auth]\nrole_arn = \"{ROLE}\"\n\n"
    );
    home.configure(&(store + &entry(&home, "db", "prod")));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(home.read_text("targets/db").unwrap(), "first");
    let mut asked = proxy.connects();
    asked.sort();
    asked.dedup();
    assert_eq!(asked, names.map(|name| format!("{name}:443")));
    assert!(proxy.refused().is_empty());

    // What is exempt goes its own way, which leads nowhere here.
    home.set_env("NO_PROXY", "amazonaws.com");
    let before = proxy.connects().len();
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(proxy.connects().len(), before);
    assert_eq!(home.read_text("targets/db").unwrap(), "first");
}

/// A value must not be readable on the way: what is not encrypted never goes through a proxy.
#[test]
fn plain_http_goes_through_no_proxy() {
    let (aws, sts) = (SecretsManager::start(), Sts::start());
    let mut home = home_with_role(&aws, &sts);
    let proxy = Proxy::start(aws.address());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        home.set_env(name, &proxy.url());
    }
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(proxy.connects().is_empty() && proxy.refused().is_empty());
}

#[test]
fn a_token_typed_into_token_file_is_not_shown() {
    let (aws, sts, mut home) = (SecretsManager::start(), Sts::start(), Home::new());
    home.unset_env("AWS_ACCESS_KEY_ID");
    home.unset_env("AWS_SECRET_ACCESS_KEY");
    aws.put("prod/db", "first");
    let keys =
        format!("web_identity = {{ role_arn = \"{ROLE}\", token_file = \"MARKER-web-token\" }}");
    let store = aws.store("prod") + &auth("prod", &sts, &keys);
    home.configure(&(store + &entry(&home, "db", "prod")));
    let checked = home.check();
    let done = home.once(&[]);
    assert!(
        !format!("{checked:?}").contains("MARKER-web-token"),
        "{checked:?}"
    );
    assert!(
        !format!("{done:?}").contains("MARKER-web-token"),
        "{done:?}"
    );
}
