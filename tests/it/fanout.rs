//! One read, many Secrets: lists of clusters and namespaces, and namespaces by their labels.

mod policies;

use std::collections::BTreeMap;

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Fault, Kubernetes, Rule, Verb};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

/// One entry, `db`, read once an hour, into what `targets` says.
fn entry(targets: &str) -> String {
    format!(
        "[secrets.db]
store = \"prod\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"db\" }} }}]
{targets}
"
    )
}

fn selected(cluster: &str, more: &str) -> String {
    format!(
        "[[secrets.db.kubernetes]]\ncluster = \"{cluster}\"\nnamespace_selector = \"team=payments\"\n{more}\n"
    )
}

/// A source, a cluster, and the daemon's home.
struct Scene {
    aws: SecretsManager,
    cluster: Kubernetes,
    home: Home,
}

impl Scene {
    fn new() -> Self {
        let aws = SecretsManager::start();
        aws.put("db", "secret");
        let (cluster, home) = (Kubernetes::start(), Home::new());
        Self { aws, cluster, home }
    }

    fn configure(&self, targets: &str) {
        let tables = [
            self.aws.store("prod"),
            self.cluster.cluster("main"),
            entry(targets),
        ];
        self.home.configure(&tables.concat());
    }

    fn team(&self, name: &str) {
        self.cluster.create_namespace(name);
        self.cluster.label_namespace(name, "team", Some("payments"));
    }

    fn holds(&self, namespace: &str) -> bool {
        let data = self.cluster.data(namespace, "db");
        data == Some(BTreeMap::from([("value".to_owned(), b"secret".to_vec())]))
    }

    fn wait_for(&self, namespace: &str) {
        wait_until(PATIENCE, &format!("the Secret in {namespace}"), || {
            self.holds(namespace)
        });
    }

    fn reads(&self) -> usize {
        self.aws.log().read_count("db")
    }

    fn prune(&self) -> String {
        let pruned = self.home.finish(&["prune"]);
        assert_eq!(pruned.code, Some(0), "{}", pruned.stderr);
        pruned.stdout
    }
}

/// How many Secrets were made: that takes more requests than one.
fn made(cluster: &Kubernetes) -> usize {
    let log = cluster.log();
    let made = log.writes().filter(|it| it.status == 201 && !it.dry_run);
    made.count()
}

/// What the gauge says.
#[expect(clippy::cast_possible_truncation, reason = "a gauge of whole numbers")]
fn counted(daemon: &Daemon<'_>, cluster: &str, state: &str) -> i64 {
    let labels = [
        ("target_kind", "kubernetes"),
        ("cluster", cluster),
        ("state", state),
    ];
    daemon.metrics().value("secretsyncd_targets", &labels) as i64
}

/// The states of all targets, by name.
fn targets(daemon: &Daemon<'_>) -> BTreeMap<String, String> {
    let status = daemon.status();
    let targets = status.0["entries"][0]["targets"].as_array().unwrap();
    let text = |target: &serde_json::Value, key: &str| target[key].as_str().unwrap().to_owned();
    targets
        .iter()
        .map(|target| (text(target, "target"), text(target, "state")))
        .collect()
}

fn wait_targets(daemon: &Daemon<'_>, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
        .collect();
    let mut last = BTreeMap::new();
    wait_until(PATIENCE, &format!("{expected:?}"), || {
        last = targets(daemon);
        last == expected
    });
}

#[test]
fn every_cluster_with_every_namespace_gets_the_secret_from_one_read() {
    let (scene, other) = (Scene::new(), Kubernetes::start());
    for cluster in [&scene.cluster, &other] {
        cluster.create_namespace("reporting");
    }
    let tables = [
        scene.aws.store("prod"),
        scene.cluster.cluster("main"),
        other.cluster("edge"),
        entry(
            "[[secrets.db.kubernetes]]\nclusters = [\"main\", \"edge\"]\nnamespace = \"app\"\nnamespaces = [\"reporting\", \"app\"]\n",
        ),
    ];
    scene.home.configure(&tables.concat());
    let daemon = scene.home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(targets(&daemon).len(), 4);
    for cluster in [&scene.cluster, &other] {
        assert_eq!(made(cluster), 2);
        assert!(cluster.data("reporting", "db").is_some());
    }
    assert_eq!(scene.reads(), 1);
    assert_eq!(counted(&daemon, "edge", "fresh"), 2);
}

#[test]
fn a_namespace_that_comes_gets_the_secret_for_one_read_and_the_others_are_left_alone() {
    let scene = Scene::new();
    scene.team("one");
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    scene.wait_for("one");
    daemon.wait_state("db", "fresh");
    assert_eq!(scene.reads(), 1);
    let (asked, last) = (scene.cluster.log().0.len(), daemon.status());
    let last = last.entry("db").last_success().map(str::to_owned);
    scene.team("two");
    scene.wait_for("two");
    wait_targets(
        &daemon,
        &[("main/one/db", "fresh"), ("main/two/db", "fresh")],
    );
    assert!(scene.reads() <= 2, "{} reads", scene.reads());
    let log = scene.cluster.log();
    let since = &log.0[asked..];
    assert!(since.iter().all(|it| it.namespace != "one"), "{since:?}");
    let status = daemon.status();
    assert!(status.entry("db").last_success() >= last.as_deref());
    assert!(!daemon.output().contains("reloaded"));
}

#[test]
fn a_namespace_whose_labels_no_longer_match_leaves_an_orphan_that_is_taken_over_again() {
    let scene = Scene::new();
    scene.team("one");
    scene.team("two");
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    // To make one takes more than one write.
    wait_targets(
        &daemon,
        &[("main/one/db", "fresh"), ("main/two/db", "fresh")],
    );
    assert!(!scene.prune().contains("main/"), "{}", scene.prune());
    let writes = scene.cluster.log().write_count();
    scene.cluster.label_namespace("two", "team", Some("other"));
    wait_targets(&daemon, &[("main/one/db", "fresh")]);
    assert!(scene.prune().contains("main/two/db"), "{}", scene.prune());
    assert!(scene.holds("two"), "it stays as it is");
    assert_eq!(counted(&daemon, "main", "fresh"), 1);
    assert_eq!(counted(&daemon, "main", "pending"), 0);
    scene
        .cluster
        .label_namespace("two", "team", Some("payments"));
    wait_targets(
        &daemon,
        &[("main/one/db", "fresh"), ("main/two/db", "fresh")],
    );
    assert!(!scene.prune().contains("main/"), "{}", scene.prune());
    assert_eq!(scene.cluster.log().write_count(), writes);
}

#[test]
fn a_namespace_that_is_deleted_goes_without_noise() {
    let scene = Scene::new();
    scene.team("one");
    scene.team("two");
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    scene.wait_for("two");
    daemon.wait_state("db", "fresh");
    scene.cluster.delete_namespace("two");
    wait_targets(&daemon, &[("main/one/db", "fresh")]);
    assert!(!scene.prune().contains("main/"), "{}", scene.prune());
    assert!(!daemon.output().contains("WARN"), "{}", daemon.output());
    // And comes back as another one.
    scene.team("two");
    scene.wait_for("two");
    daemon.wait_state("db", "fresh");
    assert!(!daemon.output().contains("WARN"), "{}", daemon.output());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn where_namespaces_cannot_be_listed_those_that_are_named_are_fresh() {
    let scene = Scene::new();
    scene.team("one");
    scene.cluster.fail(Rule::cluster_wide(), Fault::Forbidden);
    scene.configure(&selected("main", "namespace = \"app\""));
    let daemon = scene.home.start_ready();
    scene.wait_for("app");
    let status = daemon.wait_state("db", "failing");
    let trouble = status.entry("db").trouble().unwrap();
    assert_eq!(trouble.reason, "target_denied");
    assert!(
        trouble.help.contains("`list` and `watch` on `namespaces`"),
        "{}",
        trouble.help
    );
    wait_targets(
        &daemon,
        &[
            ("main/app/db", "fresh"),
            ("main/{team=payments}/db", "failing"),
        ],
    );
    assert_eq!(status.entry("db").last_success(), None);
    let once = {
        drop(daemon);
        scene.home.once(&[])
    };
    assert_eq!(once.code, Some(1), "{}", once.stdout);
    scene.cluster.heal();
    let once = scene.home.once(&[]);
    assert_eq!(once.code, Some(0), "{}{}", once.stdout, once.stderr);
    assert!(scene.holds("one"));
}

#[test]
fn a_selector_that_finds_nothing_waits_and_reads_nothing() {
    let scene = Scene::new();
    scene.configure(&selected("main", ""));
    let once = scene.home.once(&[]);
    assert_eq!(once.code, Some(0), "{}{}", once.stdout, once.stderr);
    let daemon = scene.home.start_ready();
    wait_targets(&daemon, &[("main/{team=payments}/db", "pending")]);
    assert_eq!(daemon.status().entry("db").state(), "pending");
    assert_eq!(scene.home.finish(&["status"]).code, Some(0));
    assert_eq!(scene.home.finish(&["sync", "db"]).code, Some(0));
    assert_eq!(daemon.status().entry("db").last_success(), None);
    assert_eq!(scene.reads(), 0);
    scene.team("one");
    scene.wait_for("one");
    wait_targets(&daemon, &[("main/one/db", "fresh")]);
    assert_eq!(scene.reads(), 1);
}

#[test]
fn two_hundred_namespaces_cost_one_read_and_a_restart_none() {
    let scene = Scene::new();
    scene.cluster.create_namespace("other");
    for n in 0..200 {
        scene.team(&format!("ns-{n:03}"));
    }
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(targets(&daemon).len(), 200);
    assert_eq!(scene.reads(), 1);
    assert_eq!(made(&scene.cluster), 200);
    let writes = scene.cluster.log().write_count();
    assert_eq!(daemon.stop(), Some(0));
    let daemon = scene.home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(targets(&daemon).len(), 200);
    assert!(!scene.prune().contains("main/"));
    assert_eq!(scene.reads(), 1);
    assert_eq!(scene.cluster.log().write_count(), writes);
    let unlabelled = scene.cluster.data("other", "db");
    assert_eq!(unlabelled, None);
}

#[test]
fn before_the_first_list_after_a_restart_nothing_is_an_orphan_and_nothing_is_written() {
    let scene = Scene::new();
    scene.team("one");
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    scene.wait_for("one");
    daemon.wait_state("db", "fresh");
    assert_eq!(daemon.stop(), Some(0));
    assert!(!scene.prune().contains("main/"), "{}", scene.prune());
    scene
        .cluster
        .fail(Rule::cluster_wide().verb(Verb::List), Fault::InternalError);
    let daemon = scene.home.start_ready();
    daemon.wait_state("db", "failing");
    wait_targets(&daemon, &[("main/{team=payments}/db", "failing")]);
    assert!(!scene.prune().contains("main/"), "{}", scene.prune());
    // What changed meanwhile is noticed when it is known where it belongs.
    scene.aws.put("db", "changed");
    scene.cluster.label_namespace("one", "team", None);
    scene.team("two");
    scene.cluster.heal();
    let changed = |namespace: &str| {
        let data = scene.cluster.data(namespace, "db");
        data.is_some_and(|data| data["value"] == b"changed")
    };
    wait_until(PATIENCE * 3, "the Secret in two", || changed("two"));
    wait_targets(&daemon, &[("main/two/db", "fresh")]);
    assert!(scene.prune().contains("main/one/db"), "{}", scene.prune());
    assert!(scene.holds("one"), "an orphan is not written");
}

#[test]
fn a_namespace_that_refuses_is_tried_again_alone() {
    let scene = Scene::new();
    for name in ["one", "two", "three"] {
        scene.team(name);
    }
    let rule = Rule::namespace("two").verb(Verb::Apply);
    scene.cluster.fail(rule.clone(), Fault::Forbidden);
    let rule = Rule::namespace("two").verb(Verb::Create);
    scene.cluster.fail(rule, Fault::Forbidden);
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    daemon.wait_state("db", "failing");
    wait_targets(
        &daemon,
        &[
            ("main/one/db", "fresh"),
            ("main/three/db", "fresh"),
            ("main/two/db", "failing"),
        ],
    );
    let asked = scene.cluster.log().0.len();
    scene.cluster.heal();
    assert_eq!(scene.home.finish(&["sync", "--failing"]).code, Some(0));
    daemon.wait_state("db", "fresh");
    assert!(scene.holds("two"));
    let log = scene.cluster.log();
    let writes = log.0[asked..].iter().filter(|it| {
        let reads = matches!(it.verb, Verb::Get | Verb::List | Verb::Watch);
        !reads && it.namespace != "two"
    });
    assert_eq!(writes.count(), 0);
}

#[test]
fn what_a_list_names_and_a_selector_finds_is_written_once_as_the_list_says() {
    let scene = Scene::new();
    scene.team("one");
    scene.team("two");
    let listed = "[[secrets.db.kubernetes]]\ncluster = \"main\"\nnamespace = \"one\"\nlabels = { a = \"listed\" }\n";
    scene.configure(&(listed.to_owned() + &selected("main", "labels = { a = \"selected\" }")));
    let daemon = scene.home.start_ready();
    wait_targets(
        &daemon,
        &[("main/one/db", "fresh"), ("main/two/db", "fresh")],
    );
    let label = |namespace: &str| {
        let object = scene.cluster.object(namespace, "db").unwrap();
        object["metadata"]["labels"]["a"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (label("one"), label("two")),
        ("listed".into(), "selected".into())
    );
    assert_eq!(made(&scene.cluster), 2);
}

#[test]
fn a_reload_that_changes_the_selector_writes_what_it_finds_now() {
    let scene = Scene::new();
    scene.team("one");
    scene.cluster.create_namespace("two");
    scene.cluster.label_namespace("two", "tier", Some("web"));
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    scene.wait_for("one");
    scene.configure(&selected("main", "").replace("team=payments", "tier in (web)"));
    daemon.signal(rustix::process::Signal::HUP);
    scene.wait_for("two");
    wait_targets(&daemon, &[("main/two/db", "fresh")]);
    assert!(scene.prune().contains("main/one/db"), "{}", scene.prune());
}

#[test]
fn what_is_delivered_once_is_delivered_once_to_each_namespace() {
    let scene = Scene::new();
    scene.team("one");
    let once =
        entry(&selected("main", "")).replace("data =", "refresh_policy = \"created_once\"\ndata =");
    let tables = [scene.aws.store("prod"), scene.cluster.cluster("main"), once];
    scene.home.configure(&tables.concat());
    let daemon = scene.home.start_ready();
    scene.wait_for("one");
    daemon.wait_state("db", "fresh");
    scene.aws.put("db", "changed");
    let asked = scene.cluster.log().0.len();
    scene.team("two");
    wait_targets(
        &daemon,
        &[("main/one/db", "fresh"), ("main/two/db", "fresh")],
    );
    assert!(scene.holds("one"), "it was delivered, once");
    assert_eq!(daemon.stop(), Some(0));
    let reads = scene.reads();
    let daemon = scene.home.start_ready();
    wait_targets(
        &daemon,
        &[("main/one/db", "fresh"), ("main/two/db", "fresh")],
    );
    assert_eq!(scene.reads(), reads);
    let log = scene.cluster.log();
    assert!(log.0[asked..].iter().all(|it| it.namespace != "one"));
}

#[test]
fn a_watch_that_breaks_is_taken_up_again_in_silence() {
    let scene = Scene::new();
    scene.team("one");
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    scene.wait_for("one");
    scene.cluster.cut_watches();
    scene.team("two");
    scene.wait_for("two");
    wait_targets(
        &daemon,
        &[("main/one/db", "fresh"), ("main/two/db", "fresh")],
    );
    assert!(!daemon.output().contains("WARN"), "{}", daemon.output());
}
