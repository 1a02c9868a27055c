//! `data_from.find` and `metadata`: what matches is delivered under its name, and what leaves the list is missed.

use std::time::Duration;

use crate::support::daemon::{Daemon, Home, PATIENCE, wait_content};
use crate::support::kubernetes::{Fault as KubeFault, Kubernetes, Rule, Verb};
use crate::support::secrets_manager::{Fault, Operation, SecretsManager};
use crate::support::wait::{stays_true, wait_until};

/// An entry that delivers what `find` matches to one file.
fn entry(home: &Home, name: &str, find: &str) -> String {
    format!(
        "[secrets.{name}]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata_from = [{{ find = {{ {find} }} }}]\n[[secrets.{name}.file]]\npath = {}\nformat = \"json\"\n\n",
        home.quoted(&format!("targets/{name}"))
    )
}

fn put_all(aws: &SecretsManager, names: &[&str]) {
    for name in names {
        aws.put(name, &format!("value of {name}"));
    }
}

fn lists(aws: &SecretsManager) -> usize {
    aws.log().calls(Operation::ListSecrets)
}

/// Waits for an answer of the list that began after now.
fn wait_list(aws: &SecretsManager) {
    let before = lists(aws);
    wait_until(PATIENCE, "two more lists", || lists(aws) > before + 1);
}

fn delivered_once(aws: &SecretsManager, find: &str) -> String {
    let home = Home::new();
    home.configure(&(aws.store("prod") + &entry(&home, "app", find)));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    home.read_text("targets/app").unwrap()
}

/// A tag's key and value may be those of two different tags in AWS's own filter, and both are prefixes there.
#[test]
fn tags_are_matched_as_pairs_and_exactly() {
    let aws = SecretsManager::start();
    put_all(&aws, &["right", "pair", "prefix", "other-key", "case"]);
    aws.tag("right", "team", "payments");
    aws.tag("right", "cluster", "auth");
    aws.tag("pair", "team", "auth");
    aws.tag("pair", "cluster", "payments");
    aws.tag("prefix", "team", "payments-dashboard");
    aws.tag("other-key", "team-lead", "payments");
    aws.tag("case", "team", "Payments");
    assert_eq!(
        delivered_once(&aws, "tags = { team = \"payments\" }"),
        "{\"right\":\"value of right\"}\n"
    );
    assert_eq!(
        delivered_once(&aws, "tags = { team = \"auth\", cluster = \"payments\" }"),
        "{\"pair\":\"value of pair\"}\n"
    );
}

#[test]
fn path_and_name_are_matched_and_pages_are_read_to_the_end() {
    let aws = SecretsManager::start();
    aws.empty_pages();
    for i in 0..250 {
        aws.put(&format!("fill/{i:03}"), "x");
    }
    put_all(
        &aws,
        &["prod/app/a", "prod/app/b", "prod/apple", "zz/prod/app/c"],
    );
    assert_eq!(
        delivered_once(&aws, "path = \"prod/app/\""),
        "{\"prod_app_a\":\"value of prod/app/a\",\"prod_app_b\":\"value of prod/app/b\"}\n"
    );
    // A regular expression narrows nothing upstream: every page is read.
    let before = lists(&aws);
    assert_eq!(
        delivered_once(&aws, "name = { regexp = 'app/[bc]$' }"),
        "{\"prod_app_b\":\"value of prod/app/b\",\"zz_prod_app_c\":\"value of zz/prod/app/c\"}\n"
    );
    assert!(lists(&aws) - before >= 3);
    assert!(
        aws.log().calls(Operation::BatchGetSecretValue) >= 2,
        "matches are read together"
    );
}

fn home_with_app(aws: &SecretsManager) -> Home {
    let home = Home::new();
    put_all(aws, &["app/a", "app/b"]);
    home.configure(&(aws.store("prod") + &entry(&home, "app", "path = \"app/\"")));
    home
}

const BOTH: &str = "{\"app_a\":\"value of app/a\",\"app_b\":\"value of app/b\"}\n";

fn fails_with_lost_b(daemon: &Daemon<'_>) {
    let status = daemon.wait_state("app", "failing");
    let trouble = status.entry("app").trouble().unwrap();
    assert_eq!(trouble.reason, "not_found");
    assert!(
        trouble.message.contains("no longer lists `app/b`"),
        "{trouble:?}"
    );
}

#[test]
fn a_new_match_and_a_rotated_one_arrive() {
    let aws = SecretsManager::start();
    let home = home_with_app(&aws);
    let daemon = home.start_ready();
    wait_content(&home, "targets/app", BOTH);
    aws.put("app/b", "rotated");
    wait_content(
        &home,
        "targets/app",
        &BOTH.replace("value of app/b", "rotated"),
    );
    aws.put("app/c", "third");
    wait_content(
        &home,
        "targets/app",
        "{\"app_a\":\"value of app/a\",\"app_b\":\"rotated\",\"app_c\":\"third\"}\n",
    );
    daemon.wait_state("app", "fresh");
}

#[test]
fn a_name_that_leaves_the_list_deletes_nothing_and_recovers() {
    let aws = SecretsManager::start();
    let home = home_with_app(&aws);
    let daemon = home.start_ready();
    wait_content(&home, "targets/app", BOTH);
    aws.list_hides("app/b");
    fails_with_lost_b(&daemon);
    // A rotation of what is left is no reason to write without the other.
    aws.put("app/a", "rotated");
    wait_list(&aws);
    fails_with_lost_b(&daemon);
    assert_eq!(home.read_text("targets/app").unwrap(), BOTH);
    aws.list_shows("app/b");
    wait_content(
        &home,
        "targets/app",
        &BOTH.replace("value of app/a", "rotated"),
    );
    daemon.wait_state("app", "fresh");
}

#[test]
fn a_name_that_left_the_list_before_a_restart_is_missed_after_it() {
    let aws = SecretsManager::start();
    let home = home_with_app(&aws);
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(home.read_text("targets/app").unwrap(), BOTH);
    aws.list_hides("app/b");
    let daemon = home.start_ready();
    fails_with_lost_b(&daemon);
    assert_eq!(home.read_text("targets/app").unwrap(), BOTH);
    drop(daemon);
    // Another question is another answer.
    home.configure(&(aws.store("prod") + &entry(&home, "app", "path = \"app/a\"")));
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(
        home.read_text("targets/app").unwrap(),
        "{\"app_a\":\"value of app/a\"}\n"
    );
}

#[test]
fn a_list_that_is_empty_is_never_written() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    put_all(&aws, &["app/a"]);
    let target = "[[secrets.app.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n";
    home.configure(
        &[
            &aws.store("prod"),
            &kubernetes.cluster("main"),
            &entry(&home, "app", "path = \"app/\""),
            target,
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_content(&home, "targets/app", "{\"app_a\":\"value of app/a\"}\n");
    let before = kubernetes.data("app", "app").unwrap();
    aws.delete("app/a");
    let status = daemon.wait_state("app", "failing");
    assert_eq!(status.entry("app").reason().as_deref(), Some("not_found"));
    wait_list(&aws);
    assert_eq!(kubernetes.data("app", "app").unwrap(), before);
    assert_eq!(
        home.read_text("targets/app").unwrap(),
        "{\"app_a\":\"value of app/a\"}\n"
    );
    // Made anew under its name: another ARN, and it is found again.
    aws.put("app/a", "anew");
    wait_content(&home, "targets/app", "{\"app_a\":\"anew\"}\n");
    daemon.wait_state("app", "fresh");
}

#[test]
fn a_match_that_cannot_be_read_fails_the_entry_and_no_other() {
    let aws = SecretsManager::start();
    let home = home_with_app(&aws);
    let alone = entry(&home, "alone", "path = \"app/a\"");
    home.configure(&(aws.store("prod") + &entry(&home, "app", "path = \"app/\"") + &alone));
    let daemon = home.start_ready();
    wait_content(&home, "targets/app", BOTH);
    aws.fail("app/b", Fault::AccessDenied);
    let status = daemon.wait_state("app", "failing");
    assert_eq!(
        status.entry("app").reason().as_deref(),
        Some("access_denied")
    );
    assert_eq!(daemon.status().entry("alone").state(), "fresh");
    assert_eq!(home.read_text("targets/app").unwrap(), BOTH);
}

#[test]
fn two_names_on_one_key_are_an_error_that_names_both() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    put_all(&aws, &["app/a", "app@a"]);
    home.configure(&(aws.store("prod") + &entry(&home, "app", "path = \"app\"")));
    let daemon = home.start_ready();
    let status = daemon.wait_state("app", "failing");
    let trouble = status.entry("app").trouble().unwrap();
    assert_eq!(trouble.reason, "invalid");
    assert!(
        trouble.message.contains("`app/a` and `app@a`"),
        "{trouble:?}"
    );
    assert!(home.read("targets/app").is_none());
}

#[test]
fn one_find_of_many_entries_is_one_list_and_shares_its_reads() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    put_all(&aws, &["app/a", "app/b", "app/c"]);
    let entries = (0..20).map(|i| entry(&home, &format!("e{i}"), "path = \"app/\""));
    home.configure(&(aws.store("prod") + &entries.collect::<String>()));
    let daemon = home.start_ready();
    for i in 0..20 {
        daemon.wait_state(&format!("e{i}"), "fresh");
    }
    let log = aws.log();
    let calls = (
        log.calls(Operation::ListSecrets),
        log.calls(Operation::BatchGetSecretValue),
    );
    assert_eq!(calls, (1, 1), "the first pass");
    let start = std::time::Instant::now();
    stays_true(Duration::from_secs(20), "it runs", || {
        !daemon.page("/healthz").is_empty()
    });
    let log = aws.log();
    let now = std::time::Instant::now();
    for operation in [Operation::ListSecrets, Operation::BatchGetSecretValue] {
        let calls = log.calls_between(operation, start, now);
        assert!(
            (1..=3).contains(&calls),
            "{operation:?} in two intervals: {calls}"
        );
    }
}

#[test]
fn a_prefix_stands_before_keys_and_paths() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    put_all(&aws, &["team/db", "team/app/a", "other/app/a"]);
    let store = aws
        .store("prod")
        .replace("region =", "prefix = \"team/\"\nregion =");
    let db = format!(
        "[secrets.db]\nstore = \"prod\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"db\" }} }}]\n[[secrets.db.file]]\npath = {}\nkey = \"v\"\n",
        home.quoted("targets/db")
    );
    let all = entry(&home, "all", "name = { regexp = \"a$\" }");
    home.configure(&[store, db, entry(&home, "app", "path = \"app/\""), all].concat());
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(home.read_text("targets/db").unwrap(), "value of team/db");
    let found = "{\"team_app_a\":\"value of team/app/a\"}\n";
    assert_eq!(home.read_text("targets/app").unwrap(), found);
    assert_eq!(home.read_text("targets/all").unwrap(), found);
}

#[test]
fn tags_are_delivered_as_json_and_followed() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    put_all(&aws, &["db"]);
    aws.tag("db", "team", "payments");
    aws.tag("db", "env", "prod");
    let entry = |name: &str, property: &str| {
        format!(
            "[secrets.{name}]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"db\", metadata = true{property} }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted(&format!("targets/{name}"))
        )
    };
    let entries = entry("all", "") + &entry("one", ", property = \"team\"");
    home.configure(&(aws.store("prod") + &entries));
    let daemon = home.start_ready();
    wait_content(
        &home,
        "targets/all",
        "{\"env\":\"prod\",\"team\":\"payments\"}",
    );
    wait_content(&home, "targets/one", "payments");
    aws.tag("db", "team", "auth");
    wait_content(&home, "targets/one", "auth");
    let log = aws.log();
    assert_eq!(
        log.calls(Operation::BatchGetSecretValue) + log.calls(Operation::GetSecretValue),
        0
    );
    drop(daemon);
}

#[test]
fn a_blank_answer_is_no_empty_list() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    put_all(&aws, &["app/a", "app/b", "db"]);
    let app = entry(&home, "app", "path = \"app/\"").replace(
        "data_from",
        "data = [{ secret_key = \"db\", remote_ref = { key = \"db\" } }]\ndata_from",
    );
    home.configure(&(aws.store("prod") + &app));
    aws.blank_lists(false);
    let done = home.once(&[]);
    assert_ne!(
        done.code,
        Some(0),
        "told as fresh; written: {:?}",
        home.read_text("targets/app")
    );
}

#[test]
fn a_blank_second_page_is_no_end_of_the_list() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let names: Vec<String> = (0..150).map(|i| format!("app/{i:03}")).collect();
    for name in &names {
        aws.put(name, "x");
    }
    home.configure(&(aws.store("prod") + &entry(&home, "app", "path = \"app/\"")));
    aws.blank_lists(true);
    let done = home.once(&[]);
    let written = home.read_text("targets/app").unwrap_or_default();
    assert_ne!(
        done.code,
        Some(0),
        "told as fresh with {} of 150 keys",
        written.matches("app_").count()
    );
}

#[test]
fn a_changed_find_with_a_blank_list_takes_away_what_is_there() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    put_all(&aws, &["app/a", "app/b", "db"]);
    let config = |find: &str| {
        format!(
            "{}{}[secrets.app]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"db\", remote_ref = {{ key = \"db\" }} }}]\ndata_from = [{{ find = {{ {find} }} }}]\n[[secrets.app.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n",
            aws.store("prod"),
            kubernetes.cluster("main"),
        )
    };
    home.configure(&config("path = \"app/\""));
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(kubernetes.data("app", "app").unwrap().len(), 3);
    // A wider one, which matches all that the first did.
    home.configure(&config("path = \"app\""));
    aws.blank_lists(false);
    let done = home.once(&[]);
    let keys: Vec<String> = kubernetes.data("app", "app").unwrap().into_keys().collect();
    assert_eq!(keys.len(), 3, "exit {:?}, left: {keys:?}", done.code);
}

#[test]
fn what_an_unseen_write_delivered_is_missed_too() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    put_all(&aws, &["app/a", "app/b"]);
    home.configure(&format!(
        "{}{}[secrets.app]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata_from = [{{ find = {{ path = \"app/\" }} }}]\n[[secrets.app.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n",
        aws.store("prod"),
        kubernetes.cluster("main"),
    ));
    // The write is done, its answer is lost; then the cluster is out of reach for a while.
    kubernetes.fail(Rule::any().verb(Verb::Apply), KubeFault::Truncated);
    kubernetes.fail(Rule::any().verb(Verb::Create), KubeFault::Truncated);
    let daemon = home.start();
    wait_until(PATIENCE, "the write", || {
        kubernetes.data("app", "app").is_some()
    });
    kubernetes.heal();
    kubernetes.fail(Rule::any(), KubeFault::Page(503));
    daemon.wait_state("app", "failing");
    assert_eq!(kubernetes.data("app", "app").unwrap().len(), 2);
    aws.list_hides("app/b");
    wait_list(&aws);
    kubernetes.heal();
    stays_true(Duration::from_secs(20), "both keys are there", || {
        kubernetes.data("app", "app").unwrap().len() == 2
    });
}

fn kube_config(aws: &SecretsManager, kubernetes: &Kubernetes) -> String {
    format!(
        "{}{}[secrets.app]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata_from = [{{ find = {{ path = \"app/\" }} }}]\n[[secrets.app.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n",
        aws.store("prod"),
        kubernetes.cluster("main"),
    )
}

#[test]
fn a_lost_state_loses_no_key() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    put_all(&aws, &["app/a", "app/b"]);
    home.configure(&kube_config(&aws, &kubernetes));
    assert_eq!(home.once(&[]).code, Some(0));
    std::fs::remove_dir_all(home.path("state")).unwrap();
    aws.list_hides("app/b");
    let done = home.once(&[]);
    let keys: Vec<String> = kubernetes.data("app", "app").unwrap().into_keys().collect();
    assert_eq!(keys.len(), 2, "exit {:?}, left: {keys:?}", done.code);
}

#[test]
fn an_entry_that_was_away_loses_no_key() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    put_all(&aws, &["app/a", "app/b", "db"]);
    home.configure(&kube_config(&aws, &kubernetes));
    assert_eq!(home.once(&[]).code, Some(0));
    let other = entry(&home, "x", "path = \"db\"");
    home.configure(&(aws.store("prod") + &kubernetes.cluster("main") + &other));
    assert_eq!(home.once(&[]).code, Some(0));
    home.configure(&kube_config(&aws, &kubernetes));
    aws.list_hides("app/b");
    let done = home.once(&[]);
    let keys: Vec<String> = kubernetes.data("app", "app").unwrap().into_keys().collect();
    assert_eq!(keys.len(), 2, "exit {:?}, left: {keys:?}", done.code);
}

#[test]
fn a_found_loader_variable_is_an_error_in_dotenv() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    put_all(&aws, &["GOOD", "LD/PRELOAD"]);
    aws.tag("GOOD", "team", "a");
    aws.tag("LD/PRELOAD", "team", "a");
    let app = entry(&home, "app", "tags = { team = \"a\" }").replace("\"json\"", "\"dotenv\"");
    home.configure(&(aws.store("prod") + &app));
    let done = home.once(&[]);
    assert_eq!(home.read_text("targets/app"), None, "{:?}", done.code);
}

#[test]
fn a_secret_by_name_and_by_arn_is_delivered() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    put_all(&aws, &["app/a"]);
    let arn = aws.arn("app/a");
    let one = |name: &str, key: &str| {
        format!(
            "[secrets.{name}]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"{key}\" }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted(&format!("targets/{name}"))
        )
    };
    home.configure(&[aws.store("prod"), one("name", "app/a"), one("arn", &arn)].concat());
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn a_found_secret_that_is_also_named_stays_fresh() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    put_all(&aws, &["app/a", "app/b"]);
    let named = format!(
        "[secrets.named]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"app/a\" }} }}]\n[[secrets.named.file]]\npath = {}\nkey = \"v\"\n",
        home.quoted("targets/named")
    );
    home.configure(
        &[
            aws.store("prod"),
            named,
            entry(&home, "app", "path = \"app/\""),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    daemon.wait_state("app", "fresh");
    daemon.wait_state("named", "fresh");
    stays_true(Duration::from_secs(35), "both are fresh", || {
        let status = daemon.status();
        status.entry("app").state() == "fresh" && status.entry("named").state() == "fresh"
    });
}

/// What is renamed goes to one Secret from two entries: each keeps to its own keys, whatever comes and goes in the other.
#[test]
fn two_entries_share_a_secret_by_what_they_find_and_rename() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let cluster = Kubernetes::start();
    put_all(&aws, &["a/user", "a/password", "b/token"]);
    let entry = |path: &str| {
        format!(
            "[secrets.{path}]
store = \"prod\"
refresh_interval = \"10s\"
[[secrets.{path}.data_from]]
find = {{ path = \"{path}/\" }}
rewrite = [{{ regexp = {{ source = '^{path}/(.*)$', target = '$1' }} }}]
[[secrets.{path}.kubernetes]]
cluster = \"main\"
namespace = \"app\"
name = \"shared\"
creation_policy = \"create_or_merge\"

"
        )
    };
    home.configure(
        &[
            aws.store("prod"),
            cluster.cluster("main"),
            entry("a"),
            entry("b"),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    let holds = |keys: &[(&str, &str)]| {
        let wanted = keys.iter().map(|(key, name)| {
            let value = format!("value of {name}").into_bytes();
            ((*key).to_owned(), value)
        });
        cluster.data("app", "shared") == Some(wanted.collect())
    };
    let three = [
        ("password", "a/password"),
        ("token", "b/token"),
        ("user", "a/user"),
    ];
    wait_until(PATIENCE, "the keys of both", || holds(&three));
    for name in ["a", "b"] {
        daemon.wait_state(name, "fresh");
    }
    // Renamed, it is a key of the other one's.
    put_all(&aws, &["b/user"]);
    let status = daemon.wait_state("b", "failing");
    assert_eq!(status.entry("b").reason().as_deref(), Some("conflict"));
    assert!(holds(&three), "nobody takes a key from the other");
    daemon.stop();
}
