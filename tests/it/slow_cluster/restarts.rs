//! Workloads that are restarted by an entry of which one cluster hangs just then: all others go on, and no restart is lost.

use std::time::{Duration, Instant};

use super::{INTERVAL, STORE, rotate};
use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Fault, Kubernetes, Rule, Verb};
use crate::support::wait::wait_until;

const NAMESPACES: [&str; 2] = ["app", "other"];
const DEPLOYMENT: &str = "deployments/api";

/// One entry, two clusters, two namespaces in each, and in each of those what is restarted.
struct Scene {
    home: Home,
    quick: Kubernetes,
    slow: Kubernetes,
}

impl Scene {
    fn new() -> Self {
        let (quick, slow) = (Kubernetes::start(), Kubernetes::start());
        let home = Home::new();
        for cluster in [&quick, &slow] {
            cluster.create_namespace("other");
            for namespace in NAMESPACES {
                cluster.deploy(namespace, DEPLOYMENT);
            }
        }
        rotate(&home, 1);
        let entry = format!(
            "[secrets.db]
store = \"local\"
refresh_interval = \"{}s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"db\" }} }}]
[[secrets.db.kubernetes]]
clusters = [\"quick\", \"slow\"]
namespaces = [\"app\", \"other\"]
restart = [\"deployment/api\"]
",
            INTERVAL.as_secs()
        );
        let tables = [
            STORE.to_owned(),
            quick.cluster("quick"),
            slow.cluster("slow"),
            entry,
        ];
        home.configure(&tables.concat());
        Self { home, quick, slow }
    }

    fn places(&self) -> impl Iterator<Item = (&Kubernetes, &'static str)> {
        let clusters = [&self.quick, &self.slow].into_iter();
        clusters.flat_map(|cluster| NAMESPACES.map(|namespace| (cluster, namespace)))
    }

    /// All but the one that hangs.
    fn others(&self) -> impl Iterator<Item = (&Kubernetes, &'static str)> {
        let hangs = move |cluster: &Kubernetes, namespace: &str| {
            std::ptr::eq(cluster, &raw const self.slow) && namespace == "app"
        };
        self.places()
            .filter(move |(cluster, it)| !hangs(cluster, it))
    }

    fn wait_everywhere(&self, version: u32) {
        wait_until(PATIENCE * 4, "the version everywhere", || {
            self.places().all(|place| holds(place, version))
        });
    }

    /// The source changes; all but the one that hangs have that in time, an answer that does not come taking 15 s.
    fn the_others_follow(&self, version: u32) {
        rotate(&self.home, version);
        let start = Instant::now();
        wait_until(PATIENCE, "the others to follow", || {
            self.others().all(|place| holds(place, version))
        });
        let took = start.elapsed();
        eprintln!("version {version}: {took:?}");
        assert!(took < INTERVAL * 2 + Duration::from_secs(6), "{took:?}");
    }
}

fn holds((cluster, namespace): (&Kubernetes, &str), version: u32) -> bool {
    let data = cluster.data(namespace, "db");
    data.is_some_and(|data| data["value"] == version.to_string().as_bytes())
}

fn has_record((cluster, namespace): (&Kubernetes, &str)) -> bool {
    let object = cluster.object(namespace, "db").unwrap();
    let annotations = object["metadata"]["annotations"].as_object();
    let mut keys = annotations.into_iter().flatten().map(|(key, _)| key);
    keys.any(|key| key.starts_with("secretsyncd/restart"))
}

fn failed_runs(daemon: &Daemon<'_>) -> f64 {
    let labels = [("outcome", "failed")];
    daemon.metrics().value("secretsyncd_syncs_total", &labels)
}

#[test]
fn a_record_that_cannot_be_taken_off_for_long_keeps_no_other_target_waiting() {
    let scene = Scene::new();
    let daemon = scene.home.start_ready();
    scene.wait_everywhere(1);
    let rule = Rule::namespace("app").name("db").verb(Verb::Patch);
    scene.slow.fail(rule, Fault::Hang);
    rotate(&scene.home, 2);
    wait_until(PATIENCE, "every workload to be restarted", || {
        [&scene.quick, &scene.slow].map(|it| it.rollouts_of(DEPLOYMENT)) == [2, 2]
    });
    wait_until(PATIENCE, "the other records to be taken off", || {
        !scene.others().any(has_record)
    });
    scene.the_others_follow(3);
    let hangs = (&scene.slow, "app");
    assert!(has_record(hangs) && holds(hangs, 2));
    assert!(failed_runs(&daemon) < 0.5, "nothing has failed yet");
    wait_until(PATIENCE, "the others to be restarted", || {
        scene.quick.rollouts_of(DEPLOYMENT) == 4 && scene.slow.rollouts_of(DEPLOYMENT) == 3
    });
    scene.slow.heal();
    scene.wait_everywhere(3);
    wait_until(
        PATIENCE * 2,
        "every restart to be made and every record to be taken off",
        || scene.slow.rollouts_of(DEPLOYMENT) == 4 && !scene.places().any(has_record),
    );
    daemon.wait_state("db", "fresh");
}

#[test]
fn a_workload_whose_cluster_hangs_keeps_no_delivery_and_no_other_restart_waiting() {
    let scene = Scene::new();
    let daemon = scene.home.start_ready();
    scene.wait_everywhere(1);
    let rule = Rule::namespace("app").name("api");
    scene.slow.fail(rule, Fault::Hang);
    rotate(&scene.home, 2);
    wait_until(PATIENCE, "every other workload to be restarted", || {
        scene.quick.rollouts_of(DEPLOYMENT) == 2 && scene.slow.rollouts_of(DEPLOYMENT) == 1
    });
    scene.the_others_follow(3);
    wait_until(PATIENCE, "the quick ones to be restarted", || {
        scene.quick.rollouts_of(DEPLOYMENT) == 4
    });
    assert!(has_record((&scene.slow, "app")));
    scene.slow.heal();
    scene.wait_everywhere(3);
    wait_until(PATIENCE * 4, "every record to be taken off", || {
        !scene.places().any(has_record)
    });
    // Of two changes that wait, one restart is enough.
    let restarted = scene.slow.rollouts_of(DEPLOYMENT);
    assert!((3..=4).contains(&restarted), "{restarted} restarts");
    daemon.wait_state("db", "fresh");
}
