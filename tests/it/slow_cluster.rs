//! An entry that goes to several clusters, one of which does not answer.

mod restarts;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Fault, Kubernetes, Rule, Verb};
use crate::support::wait::wait_until;

/// More than a cluster is asked about at a time.
const ENTRIES: usize = 40;
const INTERVAL: Duration = Duration::from_secs(2);

fn entry(name: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"local\"
refresh_interval = \"{}s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"db\" }} }}]
[[secrets.{name}.kubernetes]]
clusters = [\"quick\", \"slow\"]
namespace = \"app\"
",
        INTERVAL.as_secs()
    )
}

const STORE: &str = "[stores.local.file]\npath = \"secrets.json\"\n";

/// The source holds that version now.
fn rotate(home: &Home, version: u32) {
    let new = home.write("next.json", format!("{{\"db\": \"{version}\"}}"));
    std::fs::rename(new, home.path("secrets.json")).unwrap();
}

fn names() -> impl Iterator<Item = String> {
    (0..ENTRIES).map(|i| format!("e{i}"))
}

/// What a Secret holds: the number of a version.
fn held(cluster: &Kubernetes, name: &str) -> Option<u32> {
    let data = cluster.data("app", name)?;
    let value = String::from_utf8(data["value"].clone()).unwrap();
    Some(value.parse().unwrap())
}

fn all_hold(cluster: &Kubernetes, version: u32) -> bool {
    names().all(|name| held(cluster, &name) == Some(version))
}

/// Versions only ever rise in what is looked at.
#[derive(Default)]
struct Order(BTreeMap<String, u32>);

impl Order {
    fn look(&mut self, cluster: &Kubernetes) {
        for name in names() {
            let now = held(cluster, &name).unwrap_or(0);
            let before = self.0.insert(name.clone(), now).unwrap_or(0);
            assert!(now >= before, "{name} went from {before} back to {now}");
        }
    }
}

fn target_state(daemon: &Daemon<'_>, entry: &str, cluster: &str) -> String {
    let status = daemon.status();
    let name = format!("{cluster}/app/{entry}");
    status.entry(entry).target_state(&name).to_owned()
}

#[test]
fn a_cluster_whose_writes_hang_holds_up_nothing_that_goes_elsewhere() {
    let home = Home::new();
    let (quick, slow) = (Kubernetes::start(), Kubernetes::start());
    rotate(&home, 1);
    let mut tables = [
        STORE.to_owned(),
        quick.cluster("quick"),
        slow.cluster("slow"),
    ]
    .concat();
    tables.extend(names().map(|name| entry(&name)));
    home.configure(&tables);
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the first version everywhere", || {
        all_hold(&quick, 1) && all_hold(&slow, 1)
    });
    slow.fail(Rule::any().verb(Verb::Apply), Fault::Hang);
    let mut order = Order::default();
    for version in 2..=6 {
        rotate(&home, version);
        let start = Instant::now();
        wait_until(PATIENCE, "the quick cluster to follow", || {
            order.look(&slow);
            all_hold(&quick, version)
        });
        // A read a round, and a little patience with the other cluster. An answer that does not come takes 15 s.
        let took = start.elapsed();
        eprintln!("version {version}: {took:?}");
        assert!(took < INTERVAL * 2 + Duration::from_secs(6), "{took:?}");
    }
    assert!(all_hold(&slow, 1));
    wait_until(
        PATIENCE * 3,
        "the slow cluster's targets to be named",
        || names().all(|name| target_state(&daemon, &name, "slow") == "failing"),
    );
    for name in names() {
        assert_eq!(target_state(&daemon, &name, "quick"), "fresh", "{name}");
    }
    let status = daemon.status();
    assert_eq!(status.entry("e0").reason().as_deref(), Some("timeout"));
    let log = daemon.output();
    assert!(log.contains("slow/app/e0"), "the log names the target");

    slow.heal();
    wait_until(PATIENCE * 4, "everything to be right", || {
        order.look(&slow);
        all_hold(&slow, 6)
    });
    for name in names() {
        daemon.wait_state(&name, "fresh");
    }
    assert!(all_hold(&quick, 6));
}

#[test]
fn a_restart_while_a_cluster_hangs_forgets_nothing() {
    let home = Home::new();
    let (quick, slow) = (Kubernetes::start(), Kubernetes::start());
    rotate(&home, 1);
    let tables = [
        STORE.to_owned(),
        quick.cluster("quick"),
        slow.cluster("slow"),
        entry("e0"),
    ];
    home.configure(&tables.concat());
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the first version", || {
        held(&slow, "e0") == Some(1)
    });
    slow.fail(Rule::any().verb(Verb::Apply), Fault::Hang);
    rotate(&home, 2);
    wait_until(PATIENCE, "the quick cluster", || {
        held(&quick, "e0") == Some(2)
    });
    // The entry goes on without the other one.
    rotate(&home, 3);
    wait_until(PATIENCE, "the quick cluster again", || {
        held(&quick, "e0") == Some(3)
    });
    // What that run did is done, though another is still at the slow cluster, and nothing has failed.
    let runs = |outcome| {
        let labels = [("outcome", outcome)];
        daemon.metrics().value("secretsyncd_syncs_total", &labels)
    };
    wait_until(PATIENCE, "the run to be counted", || {
        runs("changed") + runs("failed") > 1.5
    });
    assert!(runs("failed") < 0.5, "{} runs failed", runs("failed"));
    // It does not wait for the answer to the end, and says to the ledger how far it is.
    let _ = daemon.stop();
    slow.heal();
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the slow cluster", || {
        held(&slow, "e0") == Some(3)
    });
    daemon.wait_state("e0", "fresh");
}
