//! Kubernetes External Secrets.

use serde_json::json;

use super::super::super::{Dependents, How, KES, Kubernetes};
use super::{DATA, DB, annotation, canary, kes, metadata};

#[test]
fn kes_owns_what_it_writes_and_puts_it_back_whole() {
    let kubernetes = kes();
    let written = metadata(&kubernetes);
    let uid = kubernetes.thing(KES, DB).unwrap()["metadata"]["uid"].clone();
    let owner = json!({
        "apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "controller": true, "name": "db", "uid": uid,
    });
    assert_eq!(written["ownerReferences"], json!([owner]));
    assert!(written["labels"].is_null() && written["annotations"].is_null());
    let manager = ("unknown".to_owned(), How::Update);
    assert_eq!(kubernetes.owners("app", "db", "env"), [manager]);
    kubernetes.kes_polls(DB);
    assert_eq!(metadata(&kubernetes), written);
    // Owners are not compared; an annotation is, and then the whole object is replaced.
    kubernetes.patch(
        "x",
        DB,
        &json!({"metadata": {"ownerReferences": null, "finalizers": ["x.example/y"]}}),
    );
    kubernetes.kes_polls(DB);
    assert!(metadata(&kubernetes)["ownerReferences"].is_null());
    canary(&kubernetes, "a", "b");
    kubernetes.kes_polls(DB);
    let again = metadata(&kubernetes);
    assert_eq!(again["ownerReferences"], json!([owner]));
    assert!(again["annotations"].is_null() && again["finalizers"].is_null());
    kubernetes.edit("app", "db", "more", "1");
    kubernetes.kes_polls(DB);
    let keys: Vec<String> = kubernetes.data("app", "db").unwrap().into_keys().collect();
    assert_eq!(keys, ["env", "token"]);
}

#[test]
fn kes_keeps_what_its_template_says() {
    let kubernetes = Kubernetes::start();
    let template = json!({"template": {"metadata": {"annotations": {"own": "1"}}, "type": "a/b"}});
    kubernetes.kes_keeps(DB, &DATA, &template);
    canary(&kubernetes, "a", "b");
    kubernetes.kes_polls(DB);
    assert_eq!(metadata(&kubernetes)["annotations"], json!({"own": "1"}));
    assert_eq!(kubernetes.object("app", "db").unwrap()["type"], "a/b");
}

#[test]
fn kes_writes_at_most_once_more_when_somebody_else_handles_the_object() {
    let kubernetes = kes();
    let wiped = |key: &str| {
        canary(&kubernetes, key, "x");
        kubernetes.kes_polls(DB);
        annotation(&kubernetes, key).is_null()
    };
    assert!(wiped("a"));
    let parked = json!({"spec": {"controllerId": "nobody"}});
    kubernetes.patch_thing(KES, DB, &parked);
    assert!(wiped("b"));
    assert!(!wiped("c"));
    kubernetes.patch_thing(KES, DB, &json!({"spec": {"controllerId": null}}));
    assert!(wiped("d"));
}

#[test]
fn kes_writes_nothing_where_it_cannot_read_or_has_no_object_or_may_not() {
    let stays = |kubernetes: &Kubernetes| {
        canary(kubernetes, "a", "b");
        kubernetes.kes_polls(DB);
        annotation(kubernetes, "a") == "b"
    };
    let kubernetes = kes();
    kubernetes.provider_says(DB, None);
    assert!(stays(&kubernetes));
    let kubernetes = kes();
    kubernetes.delete_thing(KES, DB, Dependents::Stay);
    assert!(stays(&kubernetes));
    // It has no `delete`, so that it cannot put its owner back where that is asked for.
    let kubernetes = kes();
    kubernetes.patch("x", DB, &json!({"metadata": {"ownerReferences": null}}));
    kubernetes.enforce_owner_references_permission();
    assert!(stays(&kubernetes));
}
