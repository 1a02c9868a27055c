//! What a real API server and its garbage collector do with a Secret that changes hands.

use serde_json::json;

use super::super::{DATA, NEW, Old, ends, object};
use super::{BOTH, STOP, Site, World, lines, of};
use crate::support::suite::Scenario;

pub const SCENARIOS: [Scenario<World>; 10] = [
    ("a controller that is told to let go", quiesced),
    ("the printed commands remove what was there before", printed),
    ("the collector leaves what was taken over", collector),
    ("a command for another object does nothing", another),
    ("a second owner stays", second_owner),
    ("an immutable Secret", immutable),
    ("a finalizer", finalizer),
    ("Argo CD and a stale label", trackers),
    ("the way back", way_back),
    ("keys that are merged into somebody else's Secret", merged),
];

fn printed(world: &World) {
    for old in BOTH {
        let site = Site::new(world, old);
        let watched = site.watched();
        ends(&site.adopt(&[]), 0, &["keys as they are"]);
        ends(&site.apply(&[]), 0, &["taken over: main/"]);
        assert!(site.metadata()["ownerReferences"].is_null());
        site.delivers();
        let done = site.apply(&[]);
        let commands = lines(&done, "kubectl delete");
        assert_eq!(commands.len(), 1, "{done:?}");
        site.runs(commands[0]).unwrap();
        // The collector lets the object go once nothing refers to it.
        site.gone("the old object", Site::external_secret);
        world.undefine(of(old));
        site.delivers();
        watched.was_always_there();
        site.aws.put("db", &object(&[("a", NEW)]));
        site.delivers();
        let after = site.secret("db").unwrap();
        let data = crate::support::cluster::encoded(&[("a", NEW)]);
        assert_eq!(after["data"], data);
    }
}

fn collector(world: &World) {
    for old in BOTH {
        let site = Site::new(world, old);
        let watched = site.watched();
        ends(&site.apply(&[]), 0, &["taken over: main/"]);
        site.collected();
        world.undefine(of(old));
        site.delivers();
        watched.was_always_there();
    }
}

fn another(world: &World) {
    for old in BOTH {
        let mut site = Site::new(world, old);
        ends(&site.apply(&[]), 0, &["taken over: main/"]);
        site.delivers();
        let done = site.apply(&[]);
        let commands = lines(&done, "kubectl delete");
        assert_eq!(commands.len(), 1, "{done:?}");
        site.collected();
        site.kubectl(&["delete", "secret", "db"]);
        site.keep();
        let before = site.external_secret();
        let said = site.runs(commands[0]).unwrap_err();
        // An API server says either of a custom resource; 1.20 the second.
        let one = said.contains("Precondition failed: UID in precondition");
        let other = said.contains("metadata.uid: Invalid value") && said.contains("immutable");
        assert!(one || other, "{said}");
        assert_eq!(site.external_secret(), before);
    }
}

fn second_owner(world: &World) {
    let site = Site::new(world, Old::Kes);
    site.kubectl(&["create", "configmap", "second"]);
    let map = site.get(&["configmap", "second"]).unwrap();
    let second = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "second", "uid": map["metadata"]["uid"],
    });
    let mut owners = site.metadata()["ownerReferences"].clone();
    owners.as_array_mut().unwrap().push(second.clone());
    site.patch(&json!({"metadata": {"ownerReferences": owners}}));
    let watched = site.watched();
    let told = "it stays owned by ConfigMap `second`, and goes when that goes";
    ends(&site.apply(&[]), 0, &["taken over: main/", told]);
    assert_eq!(site.metadata()["ownerReferences"], json!([second]));
    site.collected();
    watched.was_always_there();
    site.kubectl(&["delete", "configmap", "second"]);
    site.gone("the Secret", |site| site.secret("db"));
}

fn immutable(world: &World) {
    for old in BOTH {
        let site = Site::new(world, old);
        site.patch(&json!({"immutable": true}));
        let watched = site.watched();
        site.configure("immutable = true");
        ends(&site.apply(&[]), 0, &["taken over: main/"]);
        site.delivers();
        site.collected();
        watched.was_always_there();
        assert_eq!(site.secret("db").unwrap()["immutable"], true);
        site.aws.put("db", &object(&[("a", NEW), DATA[1]]));
        let done = site.home.once(&[]);
        ends(&done, 1, &["immutable"]);
    }
}

fn finalizer(world: &World) {
    let site = Site::new(world, Old::Kes);
    site.patch(&json!({"metadata": {"finalizers": ["example.com/keep"]}}));
    let before = site.secret("db");
    ends(&site.apply(&[]), 1, &["has finalizers"]);
    assert_eq!(site.secret("db"), before);
    site.patch(&json!({"metadata": {"finalizers": null}}));
    let watched = site.watched();
    ends(&site.apply(&[]), 0, &["taken over: main/"]);
    site.collected();
    watched.was_always_there();
}

fn trackers(world: &World) {
    let site = Site::new(world, BOTH[1]);
    site.patch(&json!({"metadata": {
        "ownerReferences": null,
        "annotations": {"argocd.argoproj.io/tracking-id": "shop:/Secret:app/db"},
    }}));
    let watched = site.watched();
    ends(&site.apply(&[]), 0, &["taken over: main/"]);
    site.delivers();
    let metadata = site.metadata();
    let of_eso = "reconcile.external-secrets.io/created-by";
    assert!(metadata["labels"][of_eso].is_null(), "{metadata}");
    let annotations = &metadata["annotations"];
    assert!(annotations["argocd.argoproj.io/tracking-id"].is_null());
    let option = &annotations["argocd.argoproj.io/sync-options"];
    assert_eq!(option, "Delete=false,Prune=false");
    watched.was_always_there();
}

fn way_back(world: &World) {
    for old in BOTH {
        let site = Site::new(world, old);
        let watched = site.watched();
        let before = site.metadata();
        let done = site.apply(&[]);
        let commands = lines(&done, "kubectl patch secret ");
        assert_eq!(commands.len(), 1, "{done:?}");
        site.runs(commands[0]).unwrap();
        let after = site.metadata();
        assert_eq!(after["ownerReferences"], before["ownerReferences"]);
        if !before["labels"].is_null() {
            let labels = before["labels"].as_object().unwrap();
            assert!(labels.iter().all(|(key, it)| after["labels"][key] == *it));
        }
        watched.was_always_there();
        site.collected();
        assert_eq!(site.secret("db"), None, "it went with its owner again");
    }
}

fn quiesced(world: &World) {
    for old in BOTH {
        let site = Site::new(world, old);
        site.kubectl(&["scale", "deployment", "controller", "--replicas", "1"]);
        let watched = site.watched();
        ends(&site.apply(&[]), 1, &["still has it"]);
        let spec = site.external_secret().unwrap()["spec"].clone();
        let owners = site.metadata()["ownerReferences"].clone();
        let done = site.apply(&["--quiesce"]);
        ends(&done, 0, &["taken over: main/"]);
        let told = site.external_secret().unwrap();
        assert_ne!(told["spec"], spec);
        let kept = told["metadata"]["annotations"]["secretsyncd/spec-before"].as_str();
        assert!(kept.is_some(), "{told}");
        let back = lines(&done, "kubectl patch secret ");
        assert_eq!(back.len(), 1, "{done:?}");
        site.runs(back[0]).unwrap();
        let object = site.external_secret().unwrap();
        assert_eq!(object["spec"], spec);
        assert_eq!(site.metadata()["ownerReferences"], owners);
        ends(&site.apply(&["--quiesce"]), 0, &["taken over: main/"]);
        site.collected();
        watched.was_always_there();
        site.kubectl(&STOP);
    }
}

/// ESO writes beside whoever made the Secret; both stay as they are but for our keys.
fn merged(world: &World) {
    let site = Site::new(world, BOTH[1]);
    let (group, plural) = of(site.old);
    let es = format!("{plural}.{group}");
    let merges = r#"{"spec": {"target": {"creationPolicy": "Merge"}}}"#;
    site.kubectl(&["patch", &es, "db", "--type", "merge", "-p", merges]);
    site.kubectl(&["delete", "secret", "db"]);
    site.kubectl(&["create", "secret", "generic", "db", "--from-literal=base=x"]);
    let eso = json!({
        "data": crate::support::cluster::encoded(&DATA),
        "metadata": {
            "labels": {"reconcile.external-secrets.io/managed": "true"},
            "annotations": {"reconcile.external-secrets.io/data-hash": "0"},
        },
    });
    let eso = eso.to_string();
    let manager = "--field-manager=externalsecrets.external-secrets.io/db";
    site.kubectl(&[
        "patch", "secret", "db", manager, "--type", "merge", "-p", &eso,
    ]);
    site.configure("creation_policy = \"merge\"");
    site.delivers();
    let before = site.secret("db").unwrap();
    let told = ["the hold of External Secrets Operator on a, b"];
    ends(&site.adopt(&[]), 0, &told);
    ends(&site.apply(&[]), 0, &["taken over: main/"]);
    let after = site.secret("db").unwrap();
    assert_eq!(after["data"], before["data"]);
    assert!(after["metadata"]["labels"]["reconcile.external-secrets.io/managed"].is_null());
    site.delivers();
    let done = site.apply(&[]);
    let commands = lines(&done, "kubectl delete");
    assert_eq!(commands.len(), 1, "{done:?}");
    site.runs(commands[0]).unwrap();
    site.gone("the old object", Site::external_secret);
    site.aws.put("db", &object(&[("a", NEW)]));
    site.delivers();
    let wanted = crate::support::cluster::encoded(&[("a", NEW), ("base", "x")]);
    assert_eq!(site.secret("db").unwrap()["data"], wanted);
}
