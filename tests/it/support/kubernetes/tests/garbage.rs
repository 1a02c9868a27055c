//! What becomes of a Secret whose owner goes: each case as it was measured on a real API server.

use serde_json::{Value, json};

use super::super::{Dependents, ESO, KES, Kubernetes};

const DB: (&str, &str) = ("app", "db");

fn reference(api_version: &str, kind: &str, uid: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": "db", "uid": uid})
}

fn kes(uid: &str) -> Value {
    reference("kubernetes-client.io/v1", "ExternalSecret", uid)
}

fn put(kubernetes: &Kubernetes, owners: &[Value], more: &Value) {
    let mut metadata = json!({"ownerReferences": owners});
    super::super::api::merge(&mut metadata, more);
    kubernetes.put("unknown", "app", "db", json!({"metadata": metadata}));
}

fn is_there(kubernetes: &Kubernetes) -> bool {
    kubernetes.collect_garbage();
    kubernetes.object("app", "db").is_some()
}

fn owners(kubernetes: &Kubernetes) -> Value {
    kubernetes.object("app", "db").unwrap()["metadata"]["ownerReferences"].clone()
}

/// KES's object and its Secret.
fn owned() -> (Kubernetes, String) {
    let kubernetes = Kubernetes::start();
    kubernetes.define(KES, "ExternalSecret", &["v1"]);
    let uid = kubernetes.put_thing(KES, DB, json!({}));
    put(&kubernetes, &[kes(&uid)], &json!({}));
    assert!(is_there(&kubernetes));
    (kubernetes, uid)
}

#[test]
fn it_goes_with_its_owner_at_once() {
    let (kubernetes, _) = owned();
    kubernetes.delete_thing(KES, DB, Dependents::Go);
    assert!(kubernetes.object("app", "db").is_none());
}

#[test]
fn it_stays_where_dependents_are_orphaned_and_loses_its_owner() {
    let (kubernetes, _) = owned();
    kubernetes.delete_thing(KES, DB, Dependents::Stay);
    assert!(is_there(&kubernetes) && owners(&kubernetes).is_null());
}

#[test]
fn it_stays_where_its_owner_was_taken_off_first() {
    for of_definition in [false, true] {
        let (kubernetes, _) = owned();
        put(&kubernetes, &[], &json!({}));
        if of_definition {
            kubernetes.undefine(KES);
        } else {
            kubernetes.delete_thing(KES, DB, Dependents::Go);
        }
        assert!(is_there(&kubernetes));
    }
}

#[test]
fn it_goes_with_the_definition_of_its_owner() {
    let (kubernetes, _) = owned();
    kubernetes.undefine(KES);
    assert!(kubernetes.object("app", "db").is_none());
}

#[test]
fn it_goes_where_half_of_the_owner_was_rewritten() {
    let (kubernetes, uid) = owned();
    kubernetes.define(ESO, "ExternalSecret", &["v1"]);
    let other = kubernetes.put_thing(ESO, DB, json!({}));
    put(
        &kubernetes,
        &[reference("external-secrets.io/v1", "ExternalSecret", &uid)],
        &json!({}),
    );
    assert!(!is_there(&kubernetes));
    // All of it rewritten, it is another's, and stays while that one does.
    put(
        &kubernetes,
        &[reference(
            "external-secrets.io/v1",
            "ExternalSecret",
            &other,
        )],
        &json!({}),
    );
    kubernetes.delete_thing(KES, DB, Dependents::Go);
    assert!(is_there(&kubernetes));
    kubernetes.delete_thing(ESO, DB, Dependents::Go);
    assert!(kubernetes.object("app", "db").is_none());
}

#[test]
fn it_goes_where_its_owner_is_made_again() {
    let (kubernetes, uid) = owned();
    kubernetes.delete_thing(KES, DB, Dependents::Stay);
    assert_ne!(kubernetes.put_thing(KES, DB, json!({})), uid);
    // As from a backup.
    put(&kubernetes, &[kes(&uid)], &json!({}));
    assert!(!is_there(&kubernetes));
}

#[test]
fn it_stays_while_one_owner_does_and_loses_the_other() {
    let (kubernetes, uid) = owned();
    let rest = kubernetes.put_thing(("", "configmaps"), DB, json!({}));
    let second = reference("v1", "ConfigMap", &rest);
    put(&kubernetes, &[kes(&uid), second.clone()], &json!({}));
    kubernetes.delete_thing(KES, DB, Dependents::Go);
    assert_eq!(owners(&kubernetes), json!([second]));
}

#[test]
fn it_stays_while_nobody_knows_the_kind_of_its_owner() {
    let kubernetes = Kubernetes::start();
    put(
        &kubernetes,
        &[reference("ours.example/v1", "Keeper", "0-0")],
        &json!({}),
    );
    assert!(is_there(&kubernetes));
    kubernetes.define(("ours.example", "keepers"), "Keeper", &["v1"]);
    assert!(kubernetes.object("app", "db").is_none());
}

#[test]
fn it_stays_while_the_version_of_its_owner_is_not_served() {
    let kubernetes = Kubernetes::start();
    kubernetes.define(ESO, "ExternalSecret", &["v1"]);
    let uid = kubernetes.put_thing(ESO, DB, json!({}));
    let dangling = reference("external-secrets.io/v1beta1", "ExternalSecret", &uid);
    put(&kubernetes, std::slice::from_ref(&dangling), &json!({}));
    kubernetes.delete_thing(ESO, DB, Dependents::Go);
    assert!(is_there(&kubernetes));
    assert_eq!(owners(&kubernetes), json!([dangling]));
    kubernetes.define(ESO, "ExternalSecret", &["v1beta1", "v1"]);
    assert!(kubernetes.object("app", "db").is_none());
}

#[test]
fn it_stays_as_it_is_while_one_of_its_owners_is_of_a_kind_that_nobody_knows() {
    let (kubernetes, uid) = owned();
    let unknown = reference("ours.example/v1", "Keeper", "0-0");
    put(&kubernetes, &[kes(&uid), unknown.clone()], &json!({}));
    kubernetes.delete_thing(KES, DB, Dependents::Go);
    assert!(is_there(&kubernetes));
    assert_eq!(owners(&kubernetes), json!([kes(&uid), unknown]));
}

#[test]
fn it_lingers_while_it_has_a_finalizer() {
    let (kubernetes, uid) = owned();
    put(
        &kubernetes,
        &[kes(&uid)],
        &json!({"finalizers": ["x.example/y"]}),
    );
    kubernetes.delete_thing(KES, DB, Dependents::Go);
    let metadata = kubernetes.object("app", "db").unwrap()["metadata"].clone();
    assert!(metadata["deletionTimestamp"].is_string());
    put(&kubernetes, &[kes(&uid)], &json!({}));
    assert!(kubernetes.object("app", "db").is_none());
}

#[test]
fn what_owns_an_owner_takes_both_along() {
    let (kubernetes, _) = owned();
    let top = kubernetes.put_thing(("", "configmaps"), DB, json!({}));
    let owner = reference("v1", "ConfigMap", &top);
    kubernetes.patch_thing(KES, DB, &json!({"metadata": {"ownerReferences": [owner]}}));
    kubernetes.delete_thing(("", "configmaps"), DB, Dependents::Go);
    assert!(kubernetes.thing(KES, DB).is_none());
    assert!(kubernetes.object("app", "db").is_none());
}
