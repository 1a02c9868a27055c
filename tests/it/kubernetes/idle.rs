//! Nothing changed: nothing is written, and no value is read.

use super::{data, wait_data};
use crate::support::daemon::{Home, PATIENCE};
use crate::support::kubernetes::{Kubernetes, Log, Shape, Verb};
use crate::support::suite::in_ci;
use crate::support::wait::wait_until;

const POLICIES: [&str; 4] = ["owner", "orphan", "merge", "create_or_merge"];

#[test]
fn idle_cycles_read_metadata_and_write_nothing() {
    let cycles = if in_ci() { 100 } else { 5 };
    let (kubernetes, home) = (Kubernetes::start(), Home::new());
    home.write("values/key", "value");
    kubernetes.put_data("helm", "app", "merge", &[("own", "0")]);
    let entries: String = POLICIES.map(entry).concat();
    let path = home.quoted("values");
    let store = format!("[stores.local.file]\npath = {path}\n\n");
    home.configure(&(store + &kubernetes.cluster("main") + &entries));
    let daemon = home.start_ready();
    for policy in POLICIES {
        daemon.wait_state(policy, "fresh");
    }
    wait_data(&kubernetes, "app", "owner", &[("key", "value")]);
    let begun = kubernetes.log().0.len();
    let looked = |log: &Log, name: &str| {
        let looks = log.0[begun..]
            .iter()
            .filter(|it| it.verb == Verb::Get && it.name == name);
        looks.count()
    };
    wait_until(PATIENCE * cycles, "every cycle", || {
        let log = kubernetes.log();
        let names = POLICIES.map(|policy| policy.replace('_', "-"));
        names.iter().all(|it| looked(&log, it) >= cycles as usize)
    });
    for request in &kubernetes.log().0[begun..] {
        assert_eq!(request.verb, Verb::Get, "{request:?}");
        assert_eq!(request.shape, Shape::Metadata, "{request:?}");
    }
    // The same looks would have seen a change.
    kubernetes.edit("app", "owner", "key", "by hand");
    wait_until(PATIENCE, "the repair", || {
        kubernetes.data("app", "owner") == Some(data(&[("key", "value")]))
    });
    assert!(
        kubernetes.log().0[begun..]
            .iter()
            .any(|it| it.shape == Shape::Whole)
    );
}

fn entry(policy: &str) -> String {
    let name = policy.replace('_', "-");
    format!(
        "[secrets.{policy}]
store = \"local\"
refresh_interval = \"1s\"
data = [{{ secret_key = \"key\", remote_ref = {{ key = \"key\" }} }}]
[[secrets.{policy}.kubernetes]]
cluster = \"main\"
namespace = \"app\"
name = \"{name}\"
creation_policy = \"{policy}\"
"
    )
}
