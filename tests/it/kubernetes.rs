//! From Secrets Manager to Kubernetes Secrets.
//!
//! The scenarios take any cluster: here they run against the stand-in, in `kubernetes_real` against a real one.
//! Tests that look into the stand-in (requests, field owners, logins) are at the end and only here.

mod idle;
mod limits;
mod ownership;
mod policies;
mod races;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::cluster::Cluster;
use crate::support::daemon::{Home, PATIENCE};
use crate::support::kubernetes::{Fault, How, Kubernetes, Login, Rule, TOKEN, Verb};
use crate::support::secrets_manager::SecretsManager;
use crate::support::suite::Scenario;
use crate::support::wait::{stays_true, wait_for, wait_until};
use crate::tls_pair::halves_wait_for_each_other;

pub use races::SCENARIOS as WITH_HOOKS;

pub const SCENARIOS: [Scenario<dyn Cluster>; 20] = [
    ("create, rotate, roll back", create_rotate_roll_back),
    ("unchanged is not written", unchanged_is_not_written),
    (
        "merge entries keep each other's keys",
        merge_entries_keep_each_others_keys,
    ),
    ("a deleted Secret comes back", a_deleted_secret_comes_back),
    (
        "a watched Secret comes back at once",
        a_watched_secret_comes_back_at_once,
    ),
    ("a foreign Secret is refused", a_foreign_secret_is_refused),
    (
        "the halves of a TLS pair wait for each other",
        halves_wait_for_each_other,
    ),
    (
        "each policy does what it says",
        policies::each_policy_does_what_it_says,
    ),
    (
        "two that make and merge share one Secret",
        policies::two_that_make_and_merge_share_one_secret,
    ),
    (
        "what is dropped goes and what is foreign stays",
        ownership::what_is_dropped_goes_and_what_is_foreign_stays,
    ),
    (
        "what was adopted is dropped, too",
        ownership::what_was_adopted_is_dropped_too,
    ),
    (
        "wiped managers do not bring keys back",
        ownership::wiped_managers_hold_no_key_back,
    ),
    (
        "a renamed merge entry takes its keys with it",
        ownership::a_renamed_merge_entry_takes_its_keys_with_it,
    ),
    (
        "an entry changes its policy and its instance",
        ownership::an_entry_changes_its_policy_and_its_instance,
    ),
    ("immutable", limits::immutable),
    ("wrong type", limits::wrong_type),
    ("1 MiB and no more", limits::one_mebibyte_and_no_more),
    (
        "a key that no Secret can have",
        limits::a_key_that_no_secret_can_have,
    ),
    (
        "a namespace goes and comes back",
        limits::a_namespace_goes_and_comes_back,
    ),
    (
        "foreign owners and managers keep what they have",
        limits::foreign_owners_and_managers_keep_what_they_have,
    ),
];

/// One entry of one key, `value`, from the secret of the same name, into the Secret `target`.
fn entry(name: &str, namespace: &str, target: &str, more: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"{name}\", remote_ref = {{ key = \"{name}\" }} }}]
[[secrets.{name}.kubernetes]]
cluster = \"main\"
namespace = \"{namespace}\"
name = \"{target}\"
{more}
"
    )
}

/// One entry of several keys, each from the secret of its name.
fn entry_of(name: &str, (namespace, target): (&str, &str), keys: &[&str], more: &str) -> String {
    let items: Vec<_> = keys
        .iter()
        .map(|key| format!("{{ secret_key = \"{key}\", remote_ref = {{ key = \"{key}\" }} }}"))
        .collect();
    entry(name, namespace, target, more).replace(
        &format!("data = [{{ secret_key = \"{name}\", remote_ref = {{ key = \"{name}\" }} }}]"),
        &format!("data = [{}]", items.join(", ")),
    )
}

/// A home with its stores and clusters, for what is run to its end again and again.
struct Site<'a> {
    cluster: &'a dyn Cluster,
    aws: SecretsManager,
    home: Home,
    namespace: String,
}

impl<'a> Site<'a> {
    fn new(cluster: &'a dyn Cluster) -> Self {
        Self {
            cluster,
            aws: SecretsManager::start(),
            home: Home::new(),
            namespace: cluster.namespace(),
        }
    }

    fn configure(&self, entries: &str) {
        let tables = [self.aws.store("prod"), self.cluster.table("main")];
        self.home.configure(&(tables.concat() + entries));
    }

    /// One run of that configuration, where all is well.
    fn delivers(&self, entries: &str) {
        self.configure(entries);
        let done = self.home.once(&[]);
        assert_eq!(done.code, Some(0), "{entries}\n{done:?}");
    }

    /// One run of that configuration, which fails for that reason, with that in its error.
    fn refuses(&self, entries: &str, reason: &str, words: &str) {
        self.configure(entries);
        let daemon = self.home.start_ready();
        // What was delivered just before is looked at again when it is due.
        let trouble = wait_for(PATIENCE, "its trouble", || {
            let status = daemon.status();
            let found = status.0["entries"][0]["name"].as_str().unwrap();
            status.entry(found).trouble()
        });
        assert_eq!(trouble.reason, reason, "{trouble:?}");
        let said = format!("{} {}", trouble.message, trouble.help);
        assert!(said.contains(words), "{trouble:?}");
    }

    fn data(&self, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        self.cluster.data(&self.namespace, name)
    }

    fn object(&self, name: &str) -> serde_json::Value {
        let object = self.cluster.object(&self.namespace, name);
        object.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Who owns a data key, with `=` before those who apply.
    fn owners(&self, name: &str, key: &str) -> Vec<String> {
        let object = self.object(name);
        let managers = object["metadata"]["managedFields"].as_array();
        let field = format!("f:{key}");
        let holders = managers
            .into_iter()
            .flatten()
            .filter(|it| it["fieldsV1"]["f:data"][&field].is_object());
        let shown = holders.map(|it| {
            let name = it["manager"].as_str().unwrap();
            let applies = it["operation"] == "Apply";
            format!("{}{name}", if applies { "=" } else { "" })
        });
        shown.collect()
    }
}

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

fn wait_data(cluster: &dyn Cluster, namespace: &str, name: &str, pairs: &[(&str, &str)]) {
    wait_until(
        PATIENCE * 2,
        &format!("Secret {name} with {pairs:?}"),
        || cluster.data(namespace, name) == Some(data(pairs)),
    );
}

fn create_rotate_roll_back(cluster: &dyn Cluster) {
    let (aws, home, namespace) = (SecretsManager::start(), Home::new(), cluster.namespace());
    aws.put("db", "first");
    home.configure(
        &[
            aws.store("prod"),
            cluster.table("main"),
            entry("db", &namespace, "db", ""),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_data(cluster, &namespace, "db", &[("db", "first")]);
    aws.put("db", "second");
    wait_data(cluster, &namespace, "db", &[("db", "second")]);
    aws.rollback("db");
    wait_data(cluster, &namespace, "db", &[("db", "first")]);
    daemon.wait_state("db", "fresh");
    assert_eq!(daemon.stop(), Some(0));
}

fn unchanged_is_not_written(cluster: &dyn Cluster) {
    let (aws, home, namespace) = (SecretsManager::start(), Home::new(), cluster.namespace());
    aws.put("db", "value");
    home.configure(
        &[
            aws.store("prod"),
            cluster.table("main"),
            entry("db", &namespace, "db", ""),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_data(cluster, &namespace, "db", &[("db", "value")]);
    let version = cluster.resource_version(&namespace, "db");
    wait_until(PATIENCE * 2, "three more reads", || {
        aws.log().read_count("db") >= 4
    });
    assert_eq!(daemon.stop(), Some(0));
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(cluster.resource_version(&namespace, "db"), version);
}

fn merge_entries_keep_each_others_keys(cluster: &dyn Cluster) {
    let (aws, home, namespace) = (SecretsManager::start(), Home::new(), cluster.namespace());
    aws.put("a", "1");
    aws.put("b", "2");
    cluster.put_foreign(&namespace, "shared", &[("own", "0")]);
    let merge = "creation_policy = \"merge\"";
    home.configure(
        &[
            aws.store("prod"),
            cluster.table("main"),
            entry("a", &namespace, "shared", merge),
            entry("b", &namespace, "shared", merge),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_data(
        cluster,
        &namespace,
        "shared",
        &[("a", "1"), ("b", "2"), ("own", "0")],
    );
    aws.put("a", "3");
    wait_data(
        cluster,
        &namespace,
        "shared",
        &[("a", "3"), ("b", "2"), ("own", "0")],
    );
    daemon.wait_state("b", "fresh");
}

fn a_deleted_secret_comes_back(cluster: &dyn Cluster) {
    let (aws, home, namespace) = (SecretsManager::start(), Home::new(), cluster.namespace());
    aws.put("db", "value");
    home.configure(
        &[
            aws.store("prod"),
            cluster.table("main"),
            entry("db", &namespace, "db", ""),
        ]
        .concat(),
    );
    let _daemon = home.start_ready();
    wait_data(cluster, &namespace, "db", &[("db", "value")]);
    cluster.delete(&namespace, "db");
    wait_data(cluster, &namespace, "db", &[("db", "value")]);
}

fn a_watched_secret_comes_back_at_once(cluster: &dyn Cluster) {
    let (aws, home, namespace) = (SecretsManager::start(), Home::new(), cluster.namespace());
    aws.put("db", "value");
    let slow = entry("db", &namespace, "db", "drift = \"watch\"").replace("10s", "1h");
    home.configure(&[aws.store("prod"), cluster.table("main"), slow].concat());
    let daemon = home.start_ready();
    wait_data(cluster, &namespace, "db", &[("db", "value")]);
    let watches = "verb=\"watch\"";
    wait_until(PATIENCE, "a watch", || {
        daemon.page("/metrics").contains(watches)
    });
    cluster.delete(&namespace, "db");
    wait_data(cluster, &namespace, "db", &[("db", "value")]);
}

fn a_foreign_secret_is_refused(cluster: &dyn Cluster) {
    let (aws, home, namespace) = (SecretsManager::start(), Home::new(), cluster.namespace());
    aws.put("db", "ours");
    aws.put("key", "ours");
    cluster.put_foreign(&namespace, "db", &[("db", "theirs"), ("key", "theirs")]);
    let version = cluster.resource_version(&namespace, "db");
    let merge = "creation_policy = \"merge\"";
    for entry in [
        entry("db", &namespace, "db", ""),
        entry("key", &namespace, "db", merge),
    ] {
        home.configure(&[aws.store("prod"), cluster.table("main"), entry].concat());
        let daemon = home.start_ready();
        let status = daemon.status();
        let found = status.0["entries"][0]["name"].as_str().unwrap();
        assert_eq!(
            status.entry(found).reason().as_deref(),
            Some("conflict"),
            "{found}"
        );
    }
    assert_eq!(cluster.resource_version(&namespace, "db"), version);
    let theirs = data(&[("db", "theirs"), ("key", "theirs")]);
    assert_eq!(cluster.data(&namespace, "db"), Some(theirs));
}

#[test]
fn the_stand_in_create_rotate_roll_back() {
    create_rotate_roll_back(&Kubernetes::start());
}

#[test]
fn the_stand_in_unchanged_is_not_written() {
    let kubernetes = Kubernetes::start();
    unchanged_is_not_written(&kubernetes);
    // The Secret, and whose it is.
    assert_eq!(kubernetes.log().write_count(), 2);
}

#[test]
fn the_stand_in_merge_entries_keep_each_others_keys() {
    merge_entries_keep_each_others_keys(&Kubernetes::start());
}

#[test]
fn the_stand_in_a_deleted_secret_comes_back() {
    a_deleted_secret_comes_back(&Kubernetes::start());
}

#[test]
fn the_stand_in_a_watched_secret_comes_back_at_once() {
    a_watched_secret_comes_back_at_once(&Kubernetes::start());
}

#[test]
fn the_stand_in_a_foreign_secret_is_refused() {
    a_foreign_secret_is_refused(&Kubernetes::start());
}

#[test]
fn the_stand_in_scenarios_of_policies_ownership_and_limits() {
    // Those before have tests of their own.
    let rest = &SCENARIOS[6..];
    crate::support::suite::run::<dyn Cluster>("stand-in suite", rest, &Kubernetes::start());
}

#[test]
fn an_owned_secret_says_whose_it_is() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    let more =
        "type = \"example.com/db\"\nlabels = { team = \"a\" }\nannotations = { note = \"b c\" }";
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            entry("db", "app", "db", more),
        ]
        .concat(),
    );
    assert_eq!(home.once(&[]).code, Some(0));
    let object = kubernetes.object("app", "db").unwrap();
    let metadata = &object["metadata"];
    assert_eq!(object["type"], "example.com/db");
    assert_eq!(metadata["labels"]["team"], "a");
    assert_eq!(metadata["labels"]["secretsyncd/managed"], "true");
    assert_eq!(
        metadata["labels"]["app.kubernetes.io/managed-by"],
        "secretsyncd"
    );
    assert_eq!(metadata["annotations"]["note"], "b c");
    assert_eq!(metadata["annotations"]["secretsyncd/instance"], "default");
    assert_eq!(metadata["annotations"]["secretsyncd/entry"], "db");
    assert!(metadata["ownerReferences"].is_null());
    let owner = ("secretsyncd".to_owned(), How::Apply);
    assert_eq!(kubernetes.owners("app", "db", "db"), [owner]);
}

#[test]
fn a_merged_secret_gets_its_keys_and_no_claims() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    kubernetes.put_data("helm", "app", "db", &[("own", "0")]);
    let merge = entry("db", "app", "db", "creation_policy = \"merge\"");
    home.configure(&[aws.store("prod"), kubernetes.cluster("main"), merge].concat());
    assert_eq!(home.once(&[]).code, Some(0));
    let metadata = &kubernetes.object("app", "db").unwrap()["metadata"];
    assert_eq!(metadata["labels"]["secretsyncd/managed"], "true");
    assert!(metadata["labels"]["app.kubernetes.io/managed-by"].is_null());
    assert!(metadata["annotations"].is_null());
    let owner = ("secretsyncd:default:db".to_owned(), How::Apply);
    assert_eq!(kubernetes.owners("app", "db", "db"), [owner]);
    let log = kubernetes.log();
    let write = log.writes().last().unwrap();
    assert_eq!(write.preconditions, ["uid", "resourceVersion"]);
    assert!(!write.force);
}

/// Two processes that know nothing of each other, as `once` on two bastions: whoever is first, what is there stays.
#[test]
fn two_that_create_at_the_same_moment_lose_nothing() {
    const ROUNDS: usize = 4;
    let names: Vec<String> = (0..8).map(|n| format!("db{n}")).collect();
    for round in 0..ROUNDS {
        let (aws, kubernetes) = (SecretsManager::start(), Kubernetes::start());
        let homes = [Home::new(), Home::new()];
        for name in &names {
            aws.put(name, "value");
        }
        for home in &homes {
            let entries: Vec<_> = names.iter().map(|n| entry(n, "app", n, "")).collect();
            let tables = [aws.store("prod"), kubernetes.cluster("main")];
            home.configure(&(tables.concat() + &entries.concat()));
        }
        let watched = AtomicBool::new(true);
        let codes = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut made = BTreeSet::new();
                while watched.load(Ordering::Relaxed) {
                    for name in &names {
                        let data = kubernetes.data("app", name);
                        if data.as_ref().is_some_and(|data| !data.is_empty()) {
                            made.insert(name);
                        } else {
                            assert!(data.is_none(), "{name} lost its data in round {round}");
                            assert!(!made.contains(name), "{name} was deleted");
                        }
                    }
                }
            });
            let runs = homes.each_ref().map(|home| scope.spawn(|| home.once(&[])));
            let codes = runs.map(|run| run.join().unwrap().code);
            watched.store(false, Ordering::Relaxed);
            watch.join().unwrap();
            codes
        });
        // Who loses a race for a Secret may say `conflict` (1); nothing is lost, and the next run finds it done.
        assert!(
            codes.iter().all(|code| matches!(code, Some(0 | 1))),
            "{codes:?}"
        );
        for home in &homes {
            assert_eq!(
                home.once(&[]).code,
                Some(0),
                "both write the same instance's Secrets"
            );
        }
        for name in &names {
            let wanted = data(&[(name, "value")]);
            assert_eq!(kubernetes.data("app", name), Some(wanted), "round {round}");
            let owner = ("secretsyncd".to_owned(), How::Apply);
            assert_eq!(kubernetes.owners("app", name, name), [owner]);
        }
    }
}

#[test]
fn a_create_that_breaks_off_is_finished_by_the_next_run() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            entry("db", "app", "db", ""),
        ]
        .concat(),
    );
    // The attempt lands, and nobody hears of it.
    kubernetes.fail(Rule::any().verb(Verb::Create), Fault::Truncated);
    assert_eq!(home.once(&[]).code, Some(1));
    let owners = || kubernetes.owners("app", "db", "db");
    assert!(owners()[0].0.starts_with("secretsyncd:create:"));
    kubernetes.heal();
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(kubernetes.data("app", "db"), Some(data(&[("db", "value")])));
    assert_eq!(owners(), [("secretsyncd".to_owned(), How::Apply)]);
}

#[test]
fn merging_once_gives_no_right_to_the_whole_secret() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    kubernetes.put_data("helm", "app", "db", &[("own", "0")]);
    let tables = [aws.store("prod"), kubernetes.cluster("main")].concat();
    let merge = entry("db", "app", "db", "creation_policy = \"merge\"");
    home.configure(&(tables.clone() + &merge));
    assert_eq!(home.once(&[]).code, Some(0));
    let version = kubernetes.resource_version("app", "db");
    home.configure(&(tables + &entry("db", "app", "db", "")));
    assert_eq!(home.once(&[]).code, Some(1));
    assert_eq!(kubernetes.resource_version("app", "db"), version);
}

#[test]
fn a_key_joined_by_merging_stays_its_first_owners() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "same");
    kubernetes.put_data("helm", "app", "db", &[("db", "same")]);
    let merge = entry("db", "app", "db", "creation_policy = \"merge\"");
    home.configure(&[aws.store("prod"), kubernetes.cluster("main"), merge].concat());
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(kubernetes.owners("app", "db", "db").len(), 2);
    aws.put("db", "rotated");
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1));
    assert_eq!(kubernetes.data("app", "db"), Some(data(&[("db", "same")])));
}

#[test]
fn drift_of_one_merged_key_is_seen_beside_another_entry() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("a", "1");
    aws.put("b", "2");
    kubernetes.put_data("helm", "app", "shared", &[("own", "0")]);
    let merge = "creation_policy = \"merge\"";
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            entry("a", "app", "shared", merge),
            entry("b", "app", "shared", merge),
        ]
        .concat(),
    );
    let _daemon = home.start_ready();
    let whole = [("a", "1"), ("b", "2"), ("own", "0")];
    wait_data(&kubernetes, "app", "shared", &whole);
    for key in ["a", "b"] {
        kubernetes.edit("app", "shared", key, "by hand");
        wait_data(&kubernetes, "app", "shared", &whole);
    }
}

#[test]
fn a_renamed_instance_keeps_its_secrets() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    let tables = [
        aws.store("prod"),
        kubernetes.cluster("main"),
        entry("db", "app", "db", ""),
    ]
    .concat();
    home.configure(&tables);
    assert_eq!(home.once(&[]).code, Some(0));
    let config = home.read_text("secretsyncd.toml").unwrap();
    home.configure_whole(&config.replace("[daemon]\n", "[daemon]\ninstance = \"renamed\"\n"));
    assert_eq!(home.once(&[]).code, Some(0));
    let object = kubernetes.object("app", "db").unwrap();
    let annotations = &object["metadata"]["annotations"];
    assert_eq!(annotations["secretsyncd/instance"], "renamed");
}

/// Two that know nothing of each other and both left `daemon.instance` as it is: the second has no right to the first's
/// Secret, and its apply would remove the first's keys.
#[test]
fn another_bastion_of_the_same_instance_keeps_its_secret() {
    let (aws, kubernetes) = (SecretsManager::start(), Kubernetes::start());
    let (first, second) = (Home::new(), Home::new());
    aws.put("db", "value");
    aws.put("database", "other");
    let tables = [aws.store("prod"), kubernetes.cluster("main")].concat();
    first.configure(&(tables.clone() + &entry("db", "app", "db", "")));
    assert_eq!(first.once(&[]).code, Some(0));
    let version = kubernetes.resource_version("app", "db");
    second.configure(&(tables.clone() + &entry("database", "app", "db", "")));
    let refused = second.once(&[]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(kubernetes.resource_version("app", "db"), version);
    assert_eq!(kubernetes.data("app", "db"), Some(data(&[("db", "value")])));
    // Two that share a configuration do share the Secret.
    second.configure(&(tables + &entry("db", "app", "db", "")));
    assert_eq!(second.once(&[]).code, Some(0));
}

#[test]
fn an_entry_renamed_on_the_same_machine_keeps_its_secret() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    aws.put("database", "renamed");
    let tables = [aws.store("prod"), kubernetes.cluster("main")].concat();
    for name in ["db", "database", "db"] {
        home.configure(&(tables.clone() + &entry(name, "app", "db", "")));
        assert_eq!(home.once(&[]).code, Some(0), "{name}");
        let object = kubernetes.object("app", "db").unwrap();
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations["secretsyncd/entry"], name);
        let keys: Vec<_> = kubernetes.data("app", "db").unwrap().into_keys().collect();
        assert_eq!(keys, [name], "the old name's key goes");
    }
}

#[test]
fn an_entry_that_returns_does_not_overwrite_an_edit_made_without_it() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    aws.put("other", "value");
    let by_hand = || kubernetes.edit("app", "db", "db", "by hand");
    let db = || kubernetes.data("app", "db").unwrap();
    let without = [
        aws.store("prod"),
        kubernetes.cluster("main"),
        entry("other", "app", "other", ""),
    ]
    .concat();
    let with = without.clone() + &entry("db", "app", "db", "");
    home.configure(&with);
    assert_eq!(home.once(&[]).code, Some(0));
    // Not being named once is not being gone.
    assert_eq!(home.once(&["other"]).code, Some(0));
    by_hand();
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(db(), data(&[("db", "value")]));

    home.configure(&without);
    assert_eq!(home.once(&[]).code, Some(0));
    aws.put("db", "rotated");
    home.configure(&with);
    assert_eq!(home.once(&[]).code, Some(0), "nobody wrote since");
    assert_eq!(db(), data(&[("db", "rotated")]));

    home.configure(&without);
    assert_eq!(home.once(&[]).code, Some(0));
    by_hand();
    home.configure(&with);
    for _ in 0..2 {
        assert_eq!(home.once(&[]).code, Some(1));
        assert_eq!(db(), data(&[("db", "by hand")]));
    }
}

#[test]
fn merge_never_creates() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    let merge = entry("db", "app", "db", "creation_policy = \"merge\"");
    home.configure(&[aws.store("prod"), kubernetes.cluster("main"), merge].concat());
    let daemon = home.start_ready();
    assert_eq!(
        daemon.status().entry("db").reason().as_deref(),
        Some("target_missing")
    );
    assert!(kubernetes.data("app", "db").is_none());
}

#[test]
fn adopt_takes_an_uncontrolled_secret_and_no_other() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("free", "ours");
    aws.put("owned", "ours");
    kubernetes.put_data(
        "helm",
        "app",
        "free",
        &[("free", "theirs"), ("foreign", "kept")],
    );
    kubernetes.put(
        "helm",
        "app",
        "owned",
        serde_json::json!({
            "metadata": {"ownerReferences": [{
                "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
                "name": "owned", "uid": "1-2-3", "controller": true,
            }]},
            "data": {"owned": "dGhlaXJz"},
        }),
    );
    let adopt = "adopt = true";
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            entry("free", "app", "free", adopt),
            entry("owned", "app", "owned", adopt),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    let status = daemon.status();
    assert_eq!(status.entry("free").state(), "fresh");
    assert_eq!(status.entry("owned").reason().as_deref(), Some("conflict"));
    let wanted = data(&[("free", "ours"), ("foreign", "kept")]);
    assert_eq!(kubernetes.data("app", "free"), Some(wanted));
    assert_eq!(
        kubernetes.data("app", "owned"),
        Some(data(&[("owned", "theirs")]))
    );
}

#[test]
fn every_login_of_a_kubeconfig_works() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    let logins = [
        Login::Token,
        Login::TokenFile,
        Login::CertificateInline,
        Login::CertificateFiles,
    ];
    for (i, login) in logins.into_iter().enumerate() {
        let path = kubernetes.kubeconfig(login).display().to_string();
        let target = format!("db{i}");
        let table = format!("[clusters.main]\nkubeconfig = {path:?}\ncontext = \"test\"\n\n");
        home.configure(&[aws.store("prod"), table, entry("db", "app", &target, "")].concat());
        let done = home.once(&[]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(
            kubernetes.data("app", &target),
            Some(data(&[("db", "value")]))
        );
    }
    let token = home.write("token", TOKEN);
    let authority = home.write("ca.crt", kubernetes.authority());
    let table = format!(
        "[clusters.main]\nserver = \"{}\"\ncertificate_authority = {:?}\ntoken_file = {:?}\n\n",
        kubernetes.url(),
        authority.display().to_string(),
        token.display().to_string()
    );
    home.configure(
        &[
            aws.store("prod"),
            table,
            entry("db", "app", "by-server", ""),
        ]
        .concat(),
    );
    assert_eq!(home.once(&[]).code, Some(0));
    assert!(kubernetes.data("app", "by-server").is_some());
}

#[test]
fn a_wrong_login_or_authority_writes_nothing_and_says_so() {
    let (aws, kubernetes) = (SecretsManager::start(), Kubernetes::start());
    aws.put("db", "value");
    for (login, reasons) in [
        (Login::WrongToken, &["credentials"][..]),
        (Login::OtherAuthority, &["network", "credentials"]),
    ] {
        let home = Home::new();
        let path = kubernetes.kubeconfig(login).display().to_string();
        let table = format!("[clusters.main]\nkubeconfig = {path:?}\n\n");
        home.configure(&[aws.store("prod"), table, entry("db", "app", "db", "")].concat());
        let daemon = home.start_ready();
        let reason = daemon.status().entry("db").reason().unwrap();
        assert!(reasons.contains(&reason.as_str()), "{reason}");
    }
    assert!(kubernetes.data("app", "db").is_none());
}

#[test]
fn an_edit_by_hand_is_put_back() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", "value");
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            entry("db", "app", "db", ""),
        ]
        .concat(),
    );
    let _daemon = home.start_ready();
    wait_data(&kubernetes, "app", "db", &[("db", "value")]);
    kubernetes.edit("app", "db", "db", "by hand");
    wait_data(&kubernetes, "app", "db", &[("db", "value")]);
    // One drift, one repair: putting it back is not fought over with itself.
    let writes = || kubernetes.log().count(Verb::Apply, "db");
    let repaired = writes();
    stays_true(Duration::from_secs(12), "no further write", || {
        writes() == repaired
    });
}
