//! The Kubernetes scenarios against a real cluster, where `SECRETSYNCD_TEST_KUBECONFIG` names one.

use crate::kubernetes::{SCENARIOS, WITH_HOOKS};
use crate::support::cluster::{Cluster, Real};
use crate::support::suite;

const SUITE: &str = "real cluster suite";

#[test]
fn scenarios_on_a_real_cluster() {
    match std::env::var_os("SECRETSYNCD_TEST_KUBECONFIG") {
        Some(path) => {
            let cluster: &dyn Cluster = &Real::new(path.into());
            suite::run(SUITE, &SCENARIOS, cluster);
            let why = "no hook reaches into a real API server";
            suite::not_run(SUITE, WITH_HOOKS.len(), why);
        }
        None => suite::not_run(
            SUITE,
            SCENARIOS.len() + WITH_HOOKS.len(),
            "SECRETSYNCD_TEST_KUBECONFIG is not set",
        ),
    }
}
