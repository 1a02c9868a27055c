//! External Secrets Operator.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::super::{Dependents, ESO, Eso, How, Pace, STORES, created_by, data_hash};
use super::super::{MERGE, send};
use super::{CREATED_BY, DATA, DB, HASH, MANAGED, PATH, annotation, canary, eso, metadata};

#[test]
fn eso_marks_what_it_wrote_as_each_of_its_ages_did() {
    for (age, labels) in [
        (Eso::V1Alpha1, json!(null)),
        (
            Eso::V1Beta1,
            json!({CREATED_BY: "c389defd6e0eec4e00f45688e0a0a7c6"}),
        ),
        (
            Eso::V1,
            json!({
                CREATED_BY: "d7d26ad99ae83c312acc79ee48ac1e4ea7819cd3ca8505d0823ce06a", MANAGED: "true",
            }),
        ),
    ] {
        let kubernetes = eso(age);
        let written = metadata(&kubernetes);
        let owner = &written["ownerReferences"][0];
        let version = format!("external-secrets.io/{}", age.version());
        assert_eq!(owner["apiVersion"], version);
        assert!(owner["controller"] == true && owner["blockOwnerDeletion"] == true);
        assert_eq!(written["labels"], labels, "{age:?}");
        let hash = match age {
            Eso::V1 => "06325a7cb1c74ef75ceb3bc1d1a3d524106a7044e1f51c881ceb5902",
            Eso::V1Alpha1 | Eso::V1Beta1 => "dac3d160249cc5e08ca04a798dc15b90",
        };
        assert_eq!(written["annotations"], json!({HASH: hash}), "{age:?}");
        let data = DATA
            .iter()
            .map(|(key, text)| (*key, text.as_bytes().to_vec()));
        assert_eq!(data_hash(age, data), hash);
        let manager = match age {
            Eso::V1Alpha1 => "external-secrets",
            Eso::V1Beta1 | Eso::V1 => "externalsecrets.external-secrets.io/db",
        };
        let manager = (manager.to_owned(), How::Update);
        assert_eq!(kubernetes.owners("app", "db", "env"), [manager]);
        let version = &written["resourceVersion"];
        kubernetes.eso_reconciles(DB);
        assert_eq!(metadata(&kubernetes)["resourceVersion"], *version);
    }
}

#[test]
fn eso_takes_what_no_controller_owns_and_nothing_else() {
    let kubernetes = eso(Eso::V1);
    let owned = |owners: &Value| {
        let stripped = json!({"metadata": {"ownerReferences": owners, "labels": null}});
        kubernetes.patch("x", DB, &stripped);
        kubernetes.eso_reconciles(DB);
        metadata(&kubernetes)["ownerReferences"]
            .as_array()
            .map_or(0, Vec::len)
    };
    let another = |controller: bool| json!({"apiVersion": "a.example/v1", "kind": "X", "name": "x", "uid": "0-0", "controller": controller});
    assert_eq!(owned(&Value::Null), 1);
    assert_eq!(owned(&json!([another(false)])), 2);
    assert_eq!(owned(&json!([another(true)])), 1);
    assert!(metadata(&kubernetes)["labels"].is_null());
}

#[test]
fn eso_deletes_by_its_label_what_it_no_longer_targets() {
    for (age, survives) in [(Eso::V1, false), (Eso::V1Alpha1, true)] {
        let kubernetes = eso(age);
        // Without its owner, as after a move that forgot the label.
        kubernetes.patch("x", DB, &json!({"metadata": {"ownerReferences": null}}));
        let renamed = json!({"spec": {"target": {"name": "db-next"}}});
        kubernetes.patch_thing(ESO, DB, &renamed);
        kubernetes.eso_reconciles(DB);
        assert!(kubernetes.object("app", "db-next").is_some());
        assert_eq!(
            kubernetes.object("app", "db").is_some(),
            survives,
            "{age:?}"
        );
    }
    // The older ones: once, as they make the new one, and in every namespace.
    let kubernetes = eso(Eso::V1Beta1);
    let label = json!({"metadata": {"labels": {CREATED_BY: created_by(Eso::V1Beta1, DB)}}});
    kubernetes.put("x", "default", "copy", label);
    kubernetes.eso_reconciles(DB);
    assert!(kubernetes.object("default", "copy").is_some());
    kubernetes.patch_thing(ESO, DB, &json!({"spec": {"target": {"name": "db-next"}}}));
    kubernetes.eso_reconciles(DB);
    assert!(kubernetes.object("default", "copy").is_none());
}

#[test]
fn eso_lets_go_of_what_its_policies_let_it() {
    let kubernetes = eso(Eso::V1);
    let target = |more: Value| json!({"spec": {"target": more}});
    kubernetes.patch_thing(ESO, DB, &target(json!({"creationPolicy": "Orphan"})));
    kubernetes.eso_reconciles(DB);
    let left = metadata(&kubernetes);
    assert!(left["ownerReferences"].is_null());
    assert_eq!(left["labels"], json!({MANAGED: "true"}));
    // The provider has it no more: retained unless it says otherwise, and then whoever owns it.
    kubernetes.provider_says(DB, None);
    kubernetes.eso_reconciles(DB);
    assert!(kubernetes.data("app", "db").is_some());
    kubernetes.patch_thing(ESO, DB, &target(json!({"deletionPolicy": "Delete"})));
    kubernetes.eso_reconciles(DB);
    assert!(kubernetes.data("app", "db").is_none());
}

#[test]
fn eso_without_an_interval_writes_once_for_each_state_of_its_object() {
    let kubernetes = eso(Eso::V1);
    let rests = json!({"spec": {"refreshInterval": "0", "target": {"creationPolicy": "Orphan"}}});
    kubernetes.patch_thing(ESO, DB, &rests);
    kubernetes.eso_reconciles(DB);
    assert!(metadata(&kubernetes)["ownerReferences"].is_null());
    canary(&kubernetes, HASH, "");
    kubernetes.eso_reconciles(DB);
    assert_eq!(annotation(&kubernetes, HASH), "");
    // Under any other policy it puts right what is wrong.
    let owner = json!({"spec": {"target": {"creationPolicy": "Owner"}}});
    kubernetes.patch_thing(ESO, DB, &owner);
    kubernetes.eso_reconciles(DB);
    canary(&kubernetes, HASH, "");
    kubernetes.eso_reconciles(DB);
    assert_ne!(annotation(&kubernetes, HASH), "");
}

#[test]
fn eso_deletes_as_it_is_deleted_only_what_is_still_its_own() {
    let delete = json!({"spec": {"target": {"deletionPolicy": "Delete"}}});
    for (stripped, survives) in [(false, false), (true, true)] {
        let kubernetes = eso(Eso::V1);
        kubernetes.patch_thing(ESO, DB, &delete);
        kubernetes.eso_reconciles(DB);
        kubernetes.delete_thing(ESO, DB, Dependents::Go);
        assert!(kubernetes.thing(ESO, DB).is_some());
        if stripped {
            kubernetes.patch("x", DB, &json!({"metadata": {"ownerReferences": null}}));
        }
        kubernetes.eso_reconciles(DB);
        assert!(kubernetes.thing(ESO, DB).is_none());
        assert_eq!(kubernetes.data("app", "db").is_some(), survives);
    }
}

#[test]
fn eso_leaves_alone_what_belongs_to_another_class() {
    let kubernetes = eso(Eso::V1);
    canary(&kubernetes, HASH, "");
    let parked = json!({"spec": {"controller": "parked"}});
    kubernetes.patch_thing(STORES, ("app", "store"), &parked);
    kubernetes.eso_reconciles(DB);
    assert_eq!(annotation(&kubernetes, HASH), "");
    kubernetes.patch_thing(
        STORES,
        ("app", "store"),
        &json!({"spec": {"controller": null}}),
    );
    kubernetes.eso_reconciles(DB);
    assert_ne!(annotation(&kubernetes, HASH), "");
}

#[test]
fn eso_copies_what_its_object_is_tracked_by() {
    let kubernetes = eso(Eso::V1);
    let tracked = json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "a:b/c"}}});
    kubernetes.patch_thing(ESO, DB, &tracked);
    kubernetes.eso_reconciles(DB);
    assert_eq!(
        annotation(&kubernetes, "argocd.argoproj.io/tracking-id"),
        "a:b/c"
    );
}

#[test]
fn eso_hears_only_of_what_it_looks_for() {
    for (age, hears) in [(Eso::V1, false), (Eso::V1Beta1, true)] {
        let kubernetes = eso(age);
        kubernetes.controller_lives(DB, Pace::AtOnce);
        canary(&kubernetes, HASH, "");
        assert_ne!(annotation(&kubernetes, HASH), "", "{age:?}");
        // What is not its concern leaves the Secret right.
        canary(&kubernetes, "a", "b");
        assert_eq!(annotation(&kubernetes, "a"), "b", "{age:?}");
        let stripped = json!({"metadata": {
            "labels": {MANAGED: null}, "annotations": {HASH: null}, "ownerReferences": null,
        }});
        send(&kubernetes, Method::PATCH, PATH, MERGE, &stripped);
        assert_eq!(
            metadata(&kubernetes)["ownerReferences"].is_array(),
            hears,
            "{age:?}"
        );
        kubernetes.eso_reconciles(DB);
        assert!(metadata(&kubernetes)["ownerReferences"].is_array());
    }
    // Under this policy nothing is ever wrong before the interval is over.
    let kubernetes = eso(Eso::V1);
    let orphan = json!({"spec": {"target": {"creationPolicy": "Orphan"}}});
    kubernetes.patch_thing(ESO, DB, &orphan);
    kubernetes.controller_lives(DB, Pace::AtOnce);
    canary(&kubernetes, HASH, "");
    assert_eq!(annotation(&kubernetes, HASH), "");
}
