//! Owners, finalizers and field managers of a Secret, as one merge patch may change them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::super::http::block_on;
use super::super::{Fault, Grant, Grants, Kubernetes, Rule, TOKEN, Verb, encoded};
use super::{Answer, MERGE, apply, client, entry, keys, send};

const PATH: &str = "/api/v1/namespaces/app/secrets/db";

fn owner(uid: &str, more: &Value) -> Value {
    let mut owner = json!({"apiVersion": "a.example/v1", "kind": "Owner", "name": uid, "uid": uid});
    super::super::api::merge(&mut owner, more);
    owner
}

fn patch(kubernetes: &Kubernetes, query: &str, body: &Value) -> Answer {
    let path = format!("{PATH}?fieldManager=a{query}");
    send(kubernetes, Method::PATCH, &path, MERGE, body)
}

fn metadata(kubernetes: &Kubernetes) -> Value {
    kubernetes.object("app", "db").unwrap()["metadata"].clone()
}

fn owned() -> Kubernetes {
    let kubernetes = Kubernetes::start();
    let metadata = json!({
        "ownerReferences": [owner("z", &json!({"controller": true})), owner("b", &json!({}))],
        "finalizers": ["x.example/y", "x.example/a"],
        "labels": {"one": "1", "two": "2"},
        "annotations": {"three": "3"},
    });
    let object = json!({"metadata": metadata, "data": encoded(&[("x", "1"), ("y", "1")])});
    kubernetes.put("unknown", "app", "db", object);
    kubernetes
}

#[test]
fn owners_and_finalizers_come_back_as_they_were_given() {
    let kubernetes = owned();
    let found = send(&kubernetes, Method::GET, PATH, "", &Value::Null).body;
    let owners = json!([
        owner("z", &json!({"controller": true})),
        owner("b", &json!({}))
    ]);
    assert_eq!(found["metadata"]["ownerReferences"], owners);
    assert_eq!(
        found["metadata"]["finalizers"],
        json!(["x.example/y", "x.example/a"])
    );
    let fields = &found["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"];
    assert!(
        fields["f:ownerReferences"]["k:{\"uid\":\"z\"}"].is_object(),
        "{fields}"
    );
    assert!(
        fields["f:finalizers"]["v:\"x.example/a\""].is_object(),
        "{fields}"
    );
}

#[test]
fn one_merge_patch_does_all_of_it_or_nothing() {
    let kubernetes = owned();
    let live = metadata(&kubernetes);
    let ours = entry("a", &json!({"f:data": {"f:x": {}, "f:y": {}}}));
    let body = json!({"metadata": {
        "uid": live["uid"], "resourceVersion": live["resourceVersion"],
        "ownerReferences": [owner("b", &json!({}))], "finalizers": null,
        "labels": {"one": null}, "annotations": {"three": null, "four": "4"},
        "managedFields": [ours],
    }});
    let mut stale = body.clone();
    stale["metadata"]["resourceVersion"] = json!("1");
    assert_eq!(patch(&kubernetes, "", &stale).status, 409);
    let mut other = body.clone();
    other["metadata"]["uid"] = json!("0-0");
    assert_eq!(patch(&kubernetes, "", &other).status, 422);
    let rehearsed = patch(&kubernetes, "&dryRun=All", &body);
    assert_eq!(rehearsed.status, 200);
    assert!(rehearsed.body["metadata"]["finalizers"].is_null());
    assert_eq!(metadata(&kubernetes), live);
    assert_eq!(patch(&kubernetes, "", &body).status, 200);
    let after = metadata(&kubernetes);
    assert_eq!(after["ownerReferences"], json!([owner("b", &json!({}))]));
    assert_eq!(after["labels"], json!({"two": "2"}));
    assert_eq!(after["annotations"], json!({"four": "4"}));
    assert!(after["finalizers"].is_null());
    let managed = after["managedFields"].as_array().unwrap();
    let said: Vec<_> = managed
        .iter()
        .map(|it| (&it["manager"], &it["operation"]))
        .collect();
    assert_eq!(
        said,
        [
            (&json!("a"), &json!("Apply")),
            (&json!("a"), &json!("Update"))
        ]
    );
    // The entry had no time, and was taken as it is.
    assert!(managed[0]["time"].is_null() && managed[1]["time"].is_string());
    assert!(managed[1]["fieldsV1"]["f:metadata"]["f:annotations"]["f:four"].is_object());
    apply(&kubernetes, "a", &json!({}), &[("x", "1")]);
    assert_eq!(keys(&kubernetes), ["x"]);
    let none = json!({"metadata": {"ownerReferences": null}});
    assert_eq!(patch(&kubernetes, "", &none).status, 200);
    assert!(metadata(&kubernetes)["ownerReferences"].is_null());
}

#[test]
fn an_apply_takes_no_owner_from_others() {
    let kubernetes = owned();
    let none = json!({"ownerReferences": []});
    assert_eq!(apply(&kubernetes, "a", &none, &[("x", "1")]).status, 200);
    assert_eq!(
        metadata(&kubernetes)["ownerReferences"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn owners_and_finalizers_that_cannot_be_are_refused() {
    let kubernetes = owned();
    let controller = json!({"controller": true});
    for wrong in [
        json!({"ownerReferences": [owner("z", &controller), owner("b", &controller)]}),
        json!({"ownerReferences": [owner("z", &json!({"uid": null}))]}),
        json!({"finalizers": ["plain"]}),
    ] {
        let answer = patch(&kubernetes, "", &json!({"metadata": wrong}));
        assert_eq!(
            (answer.status, answer.reason()),
            (422, "Invalid"),
            "{wrong}"
        );
    }
}

#[test]
fn a_deleted_secret_waits_for_its_finalizers() {
    let kubernetes = owned();
    let deleted = send(&kubernetes, Method::DELETE, PATH, MERGE, &Value::Null);
    assert_eq!(deleted.status, 200);
    assert!(deleted.body["metadata"]["deletionTimestamp"].is_string());
    let version = metadata(&kubernetes)["resourceVersion"].clone();
    send(&kubernetes, Method::DELETE, PATH, MERGE, &Value::Null);
    assert_eq!(metadata(&kubernetes)["resourceVersion"], version);
    let more = json!({"metadata": {"finalizers": ["x.example/y", "x.example/new"]}});
    assert_eq!(patch(&kubernetes, "", &more).status, 422);
    let fewer = json!({"metadata": {"finalizers": ["x.example/y"]}});
    assert_eq!(patch(&kubernetes, "", &fewer).status, 200);
    assert!(kubernetes.data("app", "db").is_some());
    let none = json!({"metadata": {"finalizers": null}});
    assert_eq!(patch(&kubernetes, "", &none).status, 200);
    assert!(kubernetes.data("app", "db").is_none());
}

#[test]
fn an_immutable_secret_loses_its_metadata_and_nothing_else() {
    let kubernetes = owned();
    kubernetes.patch("kubectl", ("app", "db"), &json!({"immutable": true}));
    let stripped = json!({"metadata": {"ownerReferences": null, "labels": null}});
    assert_eq!(patch(&kubernetes, "", &stripped).status, 200);
    for refused in [
        json!({"immutable": false}),
        json!({"data": encoded(&[("x", "2")])}),
        json!({"type": "a/b"}),
    ] {
        assert_eq!(patch(&kubernetes, "", &refused).status, 422, "{refused}");
    }
}

#[test]
fn who_may_not_delete_changes_no_owner_where_that_is_asked_for() {
    let kubernetes = owned();
    let grant = |verb: &str| Grant {
        namespace: Some("app".to_owned()),
        group: String::new(),
        resource: "secrets".to_owned(),
        name: Some("db".to_owned()),
        verb: verb.to_owned(),
    };
    let less = Grants([grant("get"), grant("patch")].into());
    kubernetes.grant(&less);
    kubernetes.enforce_owner_references_permission();
    let stripped = json!({"metadata": {"ownerReferences": null}});
    for query in ["", "&dryRun=All"] {
        let refused = patch(&kubernetes, query, &stripped);
        assert_eq!((refused.status, refused.reason()), (403, "Forbidden"));
        let text = "cannot set an ownerRef on a resource you can't delete";
        assert!(refused.body["message"].as_str().unwrap().contains(text));
    }
    let label = json!({"metadata": {"labels": {"one": "2"}}});
    assert_eq!(patch(&kubernetes, "", &label).status, 200);
    let mut more = less;
    more.0.insert(grant("delete"));
    kubernetes.grant(&more);
    assert_eq!(patch(&kubernetes, "", &stripped).status, 200);
}

#[test]
fn a_rehearsal_is_told_from_what_it_rehearses_though_they_say_the_same() {
    let kubernetes = owned();
    let rule = |rehearsal: bool| Rule::any().resource("secrets").dry_run(rehearsal);
    kubernetes.fail(rule(true).verb(Verb::Patch), Fault::Forbidden);
    let label = json!({"metadata": {"labels": {"one": "2"}}});
    assert_eq!(patch(&kubernetes, "&dryRun=All", &label).status, 403);
    assert_eq!(patch(&kubernetes, "", &label).status, 200);
    patch(&kubernetes, "", &json!({"metadata": {}}));
    let said: Vec<u64> = kubernetes.log().0.iter().map(|it| it.digest).collect();
    assert!(said[0] == said[1] && said[1] != said[2]);
}

#[test]
fn what_is_lost_was_done() {
    let kubernetes = owned();
    kubernetes.fail(Rule::any().dry_run(false), Fault::Lost);
    let answer = block_on(async {
        let url = format!("{}{PATH}", kubernetes.url());
        let request = client(&kubernetes).delete(url).bearer_auth(TOKEN);
        request.timeout(Duration::from_millis(300)).send().await
    });
    assert!(answer.is_err());
    assert!(metadata(&kubernetes)["deletionTimestamp"].is_string());
}
