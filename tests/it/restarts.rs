//! `restart`: workloads whose pods read a Secret begin anew when its data changed, once, whatever happens in between.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Fault, Grant, Grants, Kubernetes, Rule, Shape, Verb};
use crate::support::wait::{stays_true, wait_for, wait_until};

/// Longer than Secrets that change are waited for, and than an interval of the entries here.
const CALM: Duration = Duration::from_secs(4);
const LOCKS: &str = "locks";

/// Secrets in a file that is read every second, and a cluster.
struct Scene {
    kubernetes: Kubernetes,
    home: Home,
    source: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self {
            kubernetes: Kubernetes::start(),
            home: Home::new(),
            source: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
        }
    }

    /// What the sources hold.
    fn set(&self, values: &[(&str, &str)]) {
        let lines = values
            .iter()
            .map(|(key, value)| format!("{key} = \"{value}\"\n"));
        let next = self.source.path().join("next");
        fs::write(&next, lines.collect::<String>()).unwrap();
        fs::rename(&next, self.source.path().join("secrets.toml")).unwrap();
    }

    /// Entries by name, each with more keys of its target.
    fn entries(&self, entries: &[(&str, &str)]) -> String {
        let path = self.source.path().join("secrets.toml");
        let store = format!(
            "[stores.local.file]\npath = {:?}\n\n",
            path.display().to_string()
        );
        let tables = entries.iter().map(|(name, more)| {
            format!(
                "[secrets.{name}]
store = \"local\"
refresh_interval = \"1s\"
data = [{{ secret_key = \"{name}\", remote_ref = {{ key = \"{name}\" }} }}]
[[secrets.{name}.kubernetes]]
cluster = \"main\"
namespace = \"app\"
{more}

"
            )
        });
        store + &tables.collect::<String>()
    }

    fn configure(&self, entries: &[(&str, &str)]) {
        let cluster = self.kubernetes.cluster("main");
        self.home.configure(&(cluster + &self.entries(entries)));
    }

    fn value(&self, name: &str) -> Option<String> {
        let data = self.kubernetes.data("app", name)?;
        Some(String::from_utf8(data[name].clone()).unwrap())
    }

    fn wait_value(&self, name: &str, value: &str) {
        wait_until(PATIENCE, &format!("{name} to be {value}"), || {
            self.value(name).as_deref() == Some(value)
        });
    }

    /// The records of restarts on a Secret.
    fn records(&self, name: &str) -> BTreeMap<String, String> {
        let object = self.kubernetes.object("app", name).unwrap();
        let annotations = object["metadata"]["annotations"].as_object();
        let all = annotations.into_iter().flatten();
        let records = all.filter(|(key, _)| key.starts_with("secretsyncd/restart"));
        records
            .map(|(key, text)| (key.clone(), text.as_str().unwrap().to_owned()))
            .collect()
    }

    fn wait_record(&self, name: &str) -> String {
        wait_for(PATIENCE, "a record", || {
            self.records(name).into_values().next()
        })
    }

    /// Waits until nothing is left to be restarted for that Secret.
    fn wait_done(&self, name: &str) {
        wait_until(PATIENCE, "the record to be taken off", || {
            self.records(name).is_empty()
        });
    }

    fn rollouts(&self, workload: &str) -> usize {
        self.kubernetes.rollouts_of(workload)
    }

    fn wait_rollouts(&self, workload: &str, count: usize) {
        wait_until(PATIENCE, &format!("{count} rollouts of {workload}"), || {
            self.rollouts(workload) == count
        });
    }
}

fn succeeded(daemon: &Daemon<'_>) -> f64 {
    let labels = [("kind", "restart"), ("result", "succeeded")];
    daemon.metrics().value("secretsyncd_actions_total", &labels)
}

#[test]
fn changed_data_restarts_every_workload_once_and_nothing_else_does() {
    let scene = Scene::new();
    let all = ["deployments/api", "statefulsets/db", "daemonsets/agent"];
    for it in all {
        scene.kubernetes.deploy("app", it);
    }
    scene.set(&[("db", "1")]);
    let restart = "restart = [\"deployment/api\", \"statefulset/db\", \"daemonset/agent\"]";
    scene.configure(&[("db", restart)]);
    let daemon = scene.home.start_ready();
    assert_eq!(scene.records("db"), BTreeMap::new());
    scene.set(&[("db", "2")]);
    let change = scene.wait_record("db");
    assert_eq!(scene.value("db").as_deref(), Some("2"));
    for it in all {
        scene.wait_rollouts(it, 1);
    }
    scene.wait_done("db");
    let marks = BTreeMap::from([("secretsyncd/restart.db".to_owned(), change)]);
    for rollout in scene.kubernetes.rollouts() {
        assert_eq!(rollout.marks, marks, "{}", rollout.workload);
    }
    wait_until(PATIENCE, "three restarts to be counted", || {
        (succeeded(&daemon) - 3.0).abs() < 0.5
    });
    daemon.wait_state("db", "fresh");
    let before = scene.kubernetes.log().0.len();
    stays_true(CALM, "nobody is restarted again", || {
        scene.kubernetes.rollouts().len() == 3
    });
    let log = scene.kubernetes.log();
    let since = &log.0[before..];
    assert!(since.len() >= 2, "{since:?}");
    for request in since {
        let looks = request.verb == Verb::Get && request.shape == Shape::Metadata;
        assert!(looks, "{request:?}");
    }
    let metrics = daemon.metrics();
    assert!(metrics.value("secretsyncd_drift_repairs_total", &[]) < 0.5);
    assert!(metrics.value("secretsyncd_actions_pending", &[("kind", "restart")]) < 0.5);
    let output = daemon.output();
    assert_eq!(output.matches("audit: restarted").count(), 3, "{output}");
    daemon.stop();
    let daemon = scene.home.start_ready();
    stays_true(CALM, "a restart of the daemon restarts nothing", || {
        scene.kubernetes.rollouts().len() == 3
    });
    // Labels are no data.
    scene.configure(&[("db", &format!("{restart}\nlabels = {{ team = \"a\" }}"))]);
    daemon.signal(Signal::HUP);
    wait_until(PATIENCE, "the label", || {
        let object = scene.kubernetes.object("app", "db").unwrap();
        object["metadata"]["labels"]["team"] == "a"
    });
    assert_eq!(scene.records("db"), BTreeMap::new());
}

#[test]
fn secrets_that_change_together_restart_their_workload_once() {
    let scene = Scene::new();
    scene.kubernetes.deploy("app", "deployments/api");
    let restart = "restart = [\"deployment/api\"]";
    let shared = format!("{restart}\nname = \"shared\"\ncreation_policy = \"create_or_merge\"");
    let values = |value| [("a", value), ("b", value), ("c", value), ("d", value)];
    scene.set(&values("1"));
    scene.configure(&[
        ("a", restart),
        ("b", restart),
        ("c", &shared),
        ("d", &shared),
    ]);
    let daemon = scene.home.start_ready();
    // Whoever came second has changed what the first one made.
    scene.wait_done("shared");
    let before = scene.rollouts("deployments/api");
    assert!(before <= 1);
    scene.set(&values("2"));
    scene.wait_rollouts("deployments/api", before + 1);
    for name in ["a", "b", "shared"] {
        scene.wait_done(name);
    }
    for name in ["a", "b", "c", "d"] {
        daemon.wait_state(name, "fresh");
    }
    let rollouts = scene.kubernetes.rollouts();
    assert_eq!(rollouts.len(), before + 1);
    let now: Vec<&String> = rollouts[before].marks.values().collect();
    assert_eq!(now.len(), 4);
    let changed = |it: &&&String| before == 0 || !rollouts[0].marks.values().any(|old| old == **it);
    assert_eq!(now.iter().filter(changed).count(), 4);
}

#[test]
fn a_restart_outlives_a_kill_between_the_write_and_it() {
    let scene = Scene::new();
    scene.kubernetes.deploy("app", "deployments/api");
    scene.set(&[("db", "1")]);
    scene.configure(&[("db", "restart = [\"deployment/api\"]")]);
    let mut daemon = scene.home.start_ready();
    for round in 1..=4 {
        let lost = round % 2 == 0;
        if lost {
            // Written, and nobody hears of it: not even the ledger.
            let rule = Rule::namespace("app").name("db").verb(Verb::Apply);
            scene.kubernetes.fail(rule, Fault::Truncated);
        }
        scene.set(&[("db", &format!("{}", round + 1))]);
        let change = scene.wait_record("db");
        daemon.signal(Signal::KILL);
        daemon.wait_exit(PATIENCE);
        assert_eq!(scene.rollouts("deployments/api"), round - 1);
        scene.kubernetes.heal();
        daemon = scene.home.start_ready();
        scene.wait_rollouts("deployments/api", round);
        scene.wait_done("db");
        let rollouts = scene.kubernetes.rollouts();
        assert_eq!(rollouts[round - 1].marks["secretsyncd/restart.db"], change);
    }
    daemon.wait_state("db", "fresh");
    stays_true(CALM, "each restart is made once", || {
        scene.rollouts("deployments/api") == 4
    });
}

#[test]
fn a_successor_finishes_what_the_leader_began() {
    let scene = Scene::new();
    scene.kubernetes.create_namespace(LOCKS);
    scene.kubernetes.deploy("app", "deployments/api");
    scene.set(&[("db", "1")]);
    let homes = ["a", "b"].map(|who| {
        let home = Home::new();
        let lease = format!(
            "[daemon.leader]\ncluster = \"main\"\nnamespace = \"{LOCKS}\"\nidentity = \"{who}\"\n\
             lease_duration = \"2s\"\nrenew_deadline = \"1600ms\"\nretry_period = \"200ms\"\n\n"
        );
        let cluster = scene.kubernetes.cluster_for("main", who);
        let entries = scene.entries(&[("db", "restart = [\"deployment/api\"]")]);
        home.configure(&[lease, cluster, entries].concat());
        home
    });
    let mut leader = homes[0].start_ready();
    scene.wait_value("db", "1");
    let _successor = homes[1].start_ready();
    scene.set(&[("db", "2")]);
    let change = scene.wait_record("db");
    leader.signal(Signal::KILL);
    leader.wait_exit(PATIENCE);
    assert_eq!(scene.rollouts("deployments/api"), 0);
    scene.wait_rollouts("deployments/api", 1);
    scene.wait_done("db");
    let log = scene.kubernetes.log();
    let patched = log.0.iter().find(|it| it.name == "api").unwrap();
    assert_eq!(patched.who.as_deref(), Some("b"));
    let rollouts = scene.kubernetes.rollouts();
    assert_eq!(rollouts[0].marks["secretsyncd/restart.db"], change);
    // The first one comes back and has nothing to do.
    let _leader = homes[0].start_ready();
    stays_true(CALM, "it is restarted once", || {
        scene.rollouts("deployments/api") == 1
    });
}

#[test]
fn a_workload_that_does_not_exist_is_a_warning() {
    let scene = Scene::new();
    scene.kubernetes.deploy("app", "deployments/api");
    scene.set(&[("db", "1")]);
    scene.configure(&[("db", "restart = [\"deployment/none\", \"deployment/api\"]")]);
    let daemon = scene.home.start_ready();
    scene.set(&[("db", "2")]);
    scene.wait_rollouts("deployments/api", 1);
    scene.wait_value("db", "2");
    scene.wait_done("db");
    daemon.wait_state("db", "fresh");
    let output = daemon.output();
    let said = "`deployment/none` in namespace `app` of cluster `main` does not exist";
    assert_eq!(output.matches(said).count(), 1, "{output}");
}

fn shows_what_fails(daemon: &Daemon<'_>) {
    for (name, workload) in [("a", "denied"), ("b", "broken")] {
        let status = daemon.wait_state(name, "failing");
        let trouble = status.entry(name).trouble().unwrap();
        assert_eq!(trouble.reason, "action");
        let said = format!(
            "`deployment/{workload}` in namespace `app` of cluster `main` was not restarted"
        );
        assert!(trouble.message.contains(&said), "{trouble:?}");
    }
    let trouble = daemon.status().entry("a").trouble().unwrap();
    assert!(
        trouble.help.contains("grant `patch` on `deployments`"),
        "{trouble:?}"
    );
}

fn counts_what_fails(daemon: &Daemon<'_>) {
    let metrics = daemon.metrics();
    assert!(
        metrics
            .sum(
                "secretsyncd_undelivered_version_created_timestamp_seconds",
                &[]
            )
            .is_none()
    );
    assert!(metrics.value("secretsyncd_actions_total", &[("result", "failed")]) > 1.5);
    assert!(metrics.value("secretsyncd_actions_pending", &[]) > 1.5);
    assert!(metrics.value("secretsyncd_actions_oldest_pending_timestamp_seconds", &[]) > 1.0);
}

#[test]
fn a_restart_that_fails_is_its_targets_trouble_alone_and_is_made_in_the_end() {
    let scene = Scene::new();
    let all = ["denied", "broken", "stuck", "api"];
    for it in all {
        scene.kubernetes.deploy("app", &format!("deployments/{it}"));
    }
    let restart = all.map(|it| format!("restart = [\"deployment/{it}\"]"));
    let names = ["a", "b", "c", "d"];
    let entries: Vec<(&str, &str)> = names
        .into_iter()
        .zip(restart.iter().map(|it| &**it))
        .collect();
    let values = |value| names.map(|name| (name, value));
    scene.set(&values("1"));
    scene.configure(&entries);
    let daemon = scene.home.start_ready();
    let faults = [Fault::Forbidden, Fault::InternalError, Fault::Hang];
    for (name, fault) in all.into_iter().zip(faults) {
        scene
            .kubernetes
            .fail(Rule::namespace("app").name(name), fault);
    }
    scene.set(&values("2"));
    scene.wait_rollouts("deployments/api", 1);
    for name in names {
        scene.wait_value(name, "2");
    }
    scene.wait_done("d");
    shows_what_fails(&daemon);
    daemon.wait_state("d", "fresh");
    // What hangs and fails delays no delivery, and no other restart.
    scene.set(&values("3"));
    for name in names {
        scene.wait_value(name, "3");
    }
    scene.wait_rollouts("deployments/api", 2);
    counts_what_fails(&daemon);
    scene.kubernetes.heal();
    scene.home.finish(&["sync", "--failing"]);
    for name in names {
        scene.wait_done(name);
        daemon.wait_state(name, "fresh");
    }
    for workload in ["denied", "broken", "stuck"] {
        assert_eq!(
            scene.rollouts(&format!("deployments/{workload}")),
            1,
            "{workload}"
        );
    }
}

#[test]
fn a_sync_waits_for_the_restart_that_it_hastens_and_says_how_that_ended() {
    let scene = Scene::new();
    scene.kubernetes.deploy("app", "deployments/api");
    scene.set(&[("db", "1")]);
    scene.configure(&[("db", "restart = [\"deployment/api\"]")]);
    let daemon = scene.home.start_ready();
    let rule = || Rule::namespace("app").name("api");
    scene.kubernetes.fail(rule(), Fault::Forbidden);
    scene.set(&[("db", "2")]);
    daemon.wait_state("db", "failing");
    let tries = || {
        let log = scene.kubernetes.log();
        log.0.iter().filter(|it| it.name == "api").count()
    };
    // By itself it is tried again minutes later.
    let before = tries();
    let done = scene.home.finish(&["sync", "db"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("was not restarted"), "{done:?}");
    assert_eq!(tries(), before + 1, "it was tried before the answer");
    // An answer that takes a while is waited for.
    scene.kubernetes.heal();
    let late = Fault::Slow(Duration::from_secs(2));
    scene.kubernetes.fail(rule(), late);
    let done = scene.home.finish(&["sync", "db"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(scene.rollouts("deployments/api"), 1);
    scene.wait_done("db");
    daemon.wait_state("db", "fresh");
}

#[test]
fn what_is_restarted_no_more_is_recorded_no_more() {
    let scene = Scene::new();
    scene.kubernetes.deploy("app", "deployments/denied");
    scene.set(&[("db", "1")]);
    scene.configure(&[("db", "restart = [\"deployment/denied\"]")]);
    let daemon = scene.home.start_ready();
    let rule = Rule::namespace("app").name("denied");
    scene.kubernetes.fail(rule, Fault::Forbidden);
    scene.set(&[("db", "2")]);
    daemon.wait_state("db", "failing");
    scene.configure(&[("db", "")]);
    daemon.signal(Signal::HUP);
    scene.wait_done("db");
    daemon.wait_state("db", "fresh");
    assert!(
        daemon
            .metrics()
            .value("secretsyncd_drift_repairs_total", &[])
            < 0.5
    );
    assert_eq!(scene.kubernetes.rollouts().len(), 0);
}

#[test]
fn once_restarts_before_it_ends_and_plan_says_that_it_would() {
    let scene = Scene::new();
    scene.kubernetes.deploy("app", "deployments/api");
    scene.set(&[("db", "1")]);
    scene.configure(&[("db", "restart = [\"deployment/api\"]")]);
    let plan = scene.home.finish(&["plan"]);
    assert!(!plan.stdout.contains("restarts"), "{plan:?}");
    assert_eq!(scene.home.once(&[]).code, Some(0));
    scene.set(&[("db", "2")]);
    let plan = scene.home.finish(&["plan"]);
    assert!(
        plan.stdout.contains("keys ~db; restarts deployment/api"),
        "{plan:?}"
    );
    let once = scene.home.once(&[]);
    assert_eq!(once.code, Some(0), "{once:?}");
    assert_eq!(scene.rollouts("deployments/api"), 1);
    assert_eq!(scene.records("db"), BTreeMap::new());
    let rule = Rule::namespace("app").name("api");
    scene.kubernetes.fail(rule, Fault::Forbidden);
    scene.set(&[("db", "3")]);
    let once = scene.home.once(&[]);
    assert_eq!(once.code, Some(1), "{once:?}");
    assert!(once.stdout.contains("was not restarted"), "{once:?}");
    scene.kubernetes.heal();
    // The next one finishes it, without a change.
    assert_eq!(scene.home.once(&[]).code, Some(0));
    assert_eq!(scene.rollouts("deployments/api"), 2);
}

#[test]
fn rbac_lets_exactly_these_workloads_be_patched() {
    let scene = Scene::new();
    scene.kubernetes.deploy("app", "deployments/api");
    scene.set(&[("db", "1")]);
    scene.configure(&[("db", "restart = [\"deployment/api\"]")]);
    let printed = scene.home.finish(&["rbac", "--user", "sync"]);
    let grants = Grants::read(&printed.stdout);
    let patch = Grant {
        namespace: Some("app".to_owned()),
        group: "apps".to_owned(),
        resource: "deployments".to_owned(),
        name: Some("api".to_owned()),
        verb: "patch".to_owned(),
    };
    let of_workloads: Vec<_> = grants.0.iter().filter(|it| it.group == "apps").collect();
    assert_eq!(of_workloads, [&patch]);
    scene.kubernetes.grant(&grants);
    assert_eq!(scene.home.once(&[]).code, Some(0));
    scene.set(&[("db", "2")]);
    assert_eq!(scene.home.once(&[]).code, Some(0));
    assert_eq!(scene.rollouts("deployments/api"), 1);
    scene.kubernetes.grant(&grants.without(&patch));
    scene.set(&[("db", "3")]);
    assert_eq!(scene.home.once(&[]).code, Some(1));
}
