//! Namespaces that a selector finds while somebody leads.

use std::time::Duration;

use super::{cluster, lease, source, wait_holder};
use crate::support::daemon::{Home, PATIENCE};
use crate::support::kubernetes::{Fault, Kubernetes, Rule, Verb};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

fn machine(who: &'static str, aws: &SecretsManager, kubernetes: &Kubernetes) -> Home {
    let home = Home::new();
    let entry = "[secrets.db]
store = \"prod\"
data = [{ secret_key = \"value\", remote_ref = { key = \"db\" } }]
[[secrets.db.kubernetes]]
cluster = \"main\"
namespace_selector = \"team=payments\"
";
    let cluster = kubernetes.cluster_for("main", who);
    home.configure(&[&lease(who), &aws.store("prod"), &cluster, entry].concat());
    home
}

fn writer(kubernetes: &Kubernetes, namespace: &str) -> Option<String> {
    let log = kubernetes.log();
    let mut writes = log.writes().filter(|it| it.namespace == namespace);
    writes.next()?.who.clone()
}

fn comes(kubernetes: &Kubernetes, namespace: &str) {
    kubernetes.create_namespace(namespace);
    kubernetes.label_namespace(namespace, "team", Some("payments"));
    wait_until(PATIENCE, "its Secret", || {
        kubernetes.object(namespace, "db").is_some()
    });
}

/// Bug: an entry whose selector had found nothing yet when this machine began to lead never heard of it, so that what it
/// found from then on was left to another machine for good.
#[test]
fn what_a_selector_finds_is_written_by_whoever_leads_then() {
    let (aws, kubernetes) = (source(), cluster());
    let (a, b) = (
        machine("a", &aws, &kubernetes),
        machine("b", &aws, &kubernetes),
    );
    let leader = a.start_ready();
    wait_holder(&kubernetes, "a");
    let standby = b.start_ready();
    comes(&kubernetes, "first");
    leader.wait_state("db", "fresh");
    let status = standby.wait_state("db", "pending");
    assert_eq!(status.entry("db").target_state("main/first/db"), "pending");
    assert_eq!(writer(&kubernetes, "first").as_deref(), Some("a"));
    kubernetes.label_namespace("first", "team", None);
    assert_eq!(leader.stop(), Some(0));
    wait_holder(&kubernetes, "b");
    comes(&kubernetes, "second");
    standby.wait_state("db", "fresh");
    assert_eq!(writer(&kubernetes, "second").as_deref(), Some("b"));
    assert_eq!(standby.stop(), Some(0));
}

/// Bug: what was remembered of namespaces that no list had named yet counted as looked at in the new term.
#[test]
fn what_is_remembered_of_a_selector_is_looked_at_where_others_led_since() {
    let (aws, kubernetes) = (source(), cluster());
    let (a, b) = (
        machine("a", &aws, &kubernetes),
        machine("b", &aws, &kubernetes),
    );
    let first = a.start_ready();
    comes(&kubernetes, "first");
    first.wait_state("db", "fresh");
    assert_eq!(first.stop(), Some(0));
    let second = b.start_ready();
    wait_holder(&kubernetes, "b");
    second.wait_state("db", "fresh");
    assert_eq!(second.stop(), Some(0));
    kubernetes.delete("first", "db");
    let lists = Rule::any().resource("namespaces").verb(Verb::List);
    kubernetes.fail(lists, Fault::Slow(Duration::from_secs(3)));
    let third = a.start();
    wait_holder(&kubernetes, "a");
    wait_until(PATIENCE, "its Secret", || {
        kubernetes.object("first", "db").is_some()
    });
    assert_eq!(third.stop(), Some(0));
}
