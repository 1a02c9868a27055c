//! Against moto, an implementation of Secrets Manager that knows nothing of ours.

use crate::support::cluster::Cluster;
use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::http::block_on;
use crate::support::kubernetes::Kubernetes;
use crate::support::moto::Moto;
use crate::support::suite::{self, Scenario};
use crate::support::wait::wait_until;

const SUITE: &str = "moto suite";

const SCENARIOS: [Scenario<Moto>; 3] = [
    ("the harness drives moto", the_harness_drives_moto),
    ("create, rotate, roll back", create_rotate_roll_back),
    (
        "what moto does not have is not found",
        what_moto_does_not_have_is_not_found,
    ),
];

#[test]
fn scenarios_on_moto() {
    match Moto::start() {
        Ok(moto) => suite::run(SUITE, &SCENARIOS, &moto),
        Err(why) => {
            suite::not_run(SUITE, SCENARIOS.len(), &why);
            assert!(!suite::in_ci(), "{SUITE} must run under CI=true: {why}");
        }
    }
}

fn the_harness_drives_moto(moto: &Moto) {
    let read = || {
        let request = moto.client().get_secret_value().secret_id("harness");
        let answer = block_on(request.version_stage("AWSCURRENT").send()).unwrap();
        answer.secret_string().unwrap().to_owned()
    };
    let first = moto.create("harness", "1");
    let second = moto.put("harness", "2");
    assert_eq!(read(), "2");
    moto.move_current("harness", &second, &first);
    assert_eq!(read(), "1");
}

fn create_rotate_roll_back(moto: &Moto) {
    let (kubernetes, home) = (Kubernetes::start(), Home::new());
    let first = moto.create("prod/db", "first");
    home.configure(&format!(
        "{store}{cluster}[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"prod/db\" }} }}]
[[secrets.db.file]]
path = {path}
key = \"value\"
[[secrets.db.kubernetes]]
cluster = \"main\"
namespace = \"app\"
",
        store = moto.store("prod"),
        cluster = kubernetes.cluster("main"),
        path = home.quoted("targets/db"),
    ));
    let daemon = home.start_ready();
    let follows = |value: &str| {
        wait_content(&home, "targets/db", value);
        wait_until(PATIENCE, "the Secret to follow", || {
            Cluster::data(&kubernetes, "app", "db")
                .is_some_and(|data| data["value"] == value.as_bytes())
        });
    };
    let propagated = || {
        daemon
            .metrics()
            .value("secretsyncd_propagation_seconds_count", &[])
    };
    follows("first");
    assert!(
        propagated().abs() < f64::EPSILON,
        "a first delivery is no propagation"
    );
    Moto::later();
    let second = moto.put("prod/db", "second");
    follows("second");
    wait_until(PATIENCE, "one propagation per target", || {
        (propagated() - 2.0).abs() < f64::EPSILON
    });
    moto.move_current("prod/db", &second, &first);
    follows("first");
    daemon.wait_state("db", "fresh");
    assert!(
        (propagated() - 2.0).abs() < f64::EPSILON,
        "a rollback is no propagation"
    );
    assert_eq!(daemon.stop(), Some(0));
}

fn what_moto_does_not_have_is_not_found(moto: &Moto) {
    let home = Home::new();
    home.configure(&format!(
        "{store}[secrets.db]
store = \"prod\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"no/such\" }} }}]
[[secrets.db.file]]
path = {path}
key = \"value\"
",
        store = moto.store("prod"),
        path = home.quoted("targets/db"),
    ));
    let daemon = home.start_ready();
    assert_eq!(
        daemon.status().entry("db").reason().as_deref(),
        Some("not_found")
    );
    assert!(home.read("targets/db").is_none());
}
