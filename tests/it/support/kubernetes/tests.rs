//! The stand-in against a plain HTTPS client: the rules that were measured on a real API server.

use std::time::Duration;

use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};

use super::super::http::block_on;
use super::{Fault, How, Kubernetes, Rule, Shape, TOKEN, Verb, encoded};

mod controllers;
mod custom;
mod garbage;
mod ownership;
mod presence;
mod watching;

const APPLY: &str = "application/apply-patch+yaml";

struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }

    fn uid(&self) -> &Value {
        &self.body["metadata"]["uid"]
    }

    fn version(&self) -> &Value {
        &self.body["metadata"]["resourceVersion"]
    }
}

fn client(kubernetes: &Kubernetes) -> Client {
    let authority = Certificate::from_pem(kubernetes.authority().as_bytes()).unwrap();
    Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

fn send(
    kubernetes: &Kubernetes,
    method: Method,
    path: &str,
    content_type: &str,
    body: &Value,
) -> Answer {
    block_on(async {
        let response = client(kubernetes)
            .request(method, format!("{}{path}", kubernetes.url()))
            .bearer_auth(TOKEN)
            .header("content-type", content_type)
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        Answer {
            status: response.status().as_u16(),
            body: serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default(),
        }
    })
}

fn apply(
    kubernetes: &Kubernetes,
    manager: &str,
    metadata: &Value,
    data: &[(&str, &str)],
) -> Answer {
    apply_with(
        kubernetes,
        &format!("fieldManager={manager}"),
        metadata,
        data,
    )
}

fn apply_with(
    kubernetes: &Kubernetes,
    query: &str,
    metadata: &Value,
    data: &[(&str, &str)],
) -> Answer {
    let mut object =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded(data)});
    object["metadata"]["name"] = json!("db");
    let path = format!("/api/v1/namespaces/app/secrets/db?{query}");
    send(kubernetes, Method::PATCH, &path, APPLY, &object)
}

fn keys(kubernetes: &Kubernetes) -> Vec<String> {
    kubernetes.data("app", "db").unwrap().into_keys().collect()
}

#[test]
fn apply_creates_updates_and_leaves_alone() {
    let kubernetes = Kubernetes::start();
    let created = apply(&kubernetes, "a", &json!({}), &[("x", "1")]);
    assert_eq!(
        (created.status, &created.body["type"]),
        (201, &json!("Opaque"))
    );
    let same = apply(&kubernetes, "a", &json!({}), &[("x", "1")]);
    assert_eq!((same.status, same.version()), (200, created.version()));
    let changed = apply(&kubernetes, "a", &json!({}), &[("x", "2")]);
    assert_ne!(changed.version(), created.version());
    assert_eq!(changed.uid(), created.uid());
    assert_eq!(kubernetes.data("app", "db").unwrap()["x"], b"2");
}

#[test]
fn a_dry_run_judges_and_keeps_nothing() {
    let kubernetes = Kubernetes::start();
    let dry = "fieldManager=a&dryRun=All";
    assert_eq!(
        apply_with(&kubernetes, dry, &json!({}), &[("x", "1")]).status,
        201
    );
    assert!(kubernetes.data("app", "db").is_none());
    kubernetes.put_data("helm", "app", "db", &[("x", "2")]);
    assert_eq!(
        apply_with(&kubernetes, dry, &json!({}), &[("x", "1")]).status,
        409
    );
    assert!(kubernetes.log().writes().all(|request| request.dry_run));
}

#[test]
fn an_apply_removes_what_its_manager_omits_and_nobody_else_owns() {
    let kubernetes = Kubernetes::start();
    apply(
        &kubernetes,
        "a",
        &json!({}),
        &[("x", "1"), ("y", "1"), ("z", "1")],
    );
    apply(&kubernetes, "b", &json!({}), &[("y", "1"), ("w", "1")]);
    apply(&kubernetes, "a", &json!({}), &[("z", "1")]);
    assert_eq!(keys(&kubernetes), ["w", "y", "z"]);
    assert_eq!(
        kubernetes.owners("app", "db", "y"),
        [("b".to_owned(), How::Apply)]
    );
}

#[test]
fn another_manager_s_value_is_a_conflict_unless_forced() {
    let kubernetes = Kubernetes::start();
    kubernetes.put_data("helm", "app", "db", &[("x", "1")]);
    let refused = apply(&kubernetes, "a", &json!({}), &[("x", "2"), ("y", "2")]);
    assert_eq!((refused.status, refused.reason()), (409, "Conflict"));
    let cause = &refused.body["details"]["causes"][0];
    assert_eq!(cause["reason"], "FieldManagerConflict");
    assert_eq!(cause["field"], ".data.x");
    assert!(cause["message"].as_str().unwrap().contains("\"helm\""));
    assert_eq!(keys(&kubernetes), ["x"]);
    let forced = apply_with(
        &kubernetes,
        "fieldManager=a&force=true",
        &json!({}),
        &[("x", "2")],
    );
    assert_eq!(forced.status, 200);
    assert_eq!(
        kubernetes.owners("app", "db", "x"),
        [("a".to_owned(), How::Apply)]
    );
    let equal = apply(&kubernetes, "b", &json!({}), &[("x", "2")]);
    assert_eq!(equal.status, 200);
    assert_eq!(kubernetes.owners("app", "db", "x").len(), 2);
}

#[test]
fn an_edit_takes_the_field_over() {
    let kubernetes = Kubernetes::start();
    apply(&kubernetes, "a", &json!({}), &[("x", "1"), ("y", "1")]);
    kubernetes.edit("app", "db", "x", "2");
    let editor = ("kubectl-edit".to_owned(), How::Update);
    assert_eq!(kubernetes.owners("app", "db", "x"), [editor]);
    assert_eq!(
        kubernetes.owners("app", "db", "y"),
        [("a".to_owned(), How::Apply)]
    );
    let refused = apply(&kubernetes, "a", &json!({}), &[("x", "1"), ("y", "1")]);
    assert_eq!(refused.status, 409);
}

#[test]
fn the_uid_and_resource_version_judged_must_be_the_live_ones() {
    let kubernetes = Kubernetes::start();
    let absent = apply(&kubernetes, "a", &json!({"uid": "0-0"}), &[("x", "1")]);
    assert_eq!(absent.status, 409);
    assert!(kubernetes.data("app", "db").is_none());
    let created = apply(&kubernetes, "a", &json!({}), &[("x", "1")]);
    let judged = json!({"uid": created.uid(), "resourceVersion": created.version()});
    assert_eq!(apply(&kubernetes, "a", &judged, &[("x", "2")]).status, 200);
    let stale = apply(&kubernetes, "a", &judged, &[("x", "3")]);
    assert_eq!((stale.status, stale.reason()), (409, "Conflict"));
    assert!(
        stale.body["details"]["causes"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    kubernetes.delete("app", "db");
    assert_eq!(apply(&kubernetes, "a", &judged, &[("x", "3")]).status, 409);
}

#[test]
fn what_no_secret_may_be_is_invalid() {
    let kubernetes = Kubernetes::start();
    assert_eq!(
        apply(&kubernetes, "a", &json!({}), &[("a/b", "1")]).status,
        422
    );
    let big = "x".repeat((1 << 20) + 1);
    assert_eq!(
        apply(&kubernetes, "a", &json!({}), &[("x", &big)]).status,
        422
    );
    assert_eq!(
        apply_with(&kubernetes, "", &json!({}), &[("x", "1")]).status,
        422
    );
    let path = "/api/v1/namespaces/app/secrets/db?fieldManager=a&force=true";
    let object = json!({"apiVersion": "v1", "kind": "Secret", "data": {"x": "not base64!"}});
    assert_eq!(
        send(&kubernetes, Method::PATCH, path, APPLY, &object).status,
        422
    );
    kubernetes.put(
        "helm",
        "app",
        "db",
        json!({"type": "a/b", "immutable": true}),
    );
    let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque"});
    assert_eq!(
        send(&kubernetes, Method::PATCH, path, APPLY, &object).status,
        422
    );
    assert_eq!(
        apply(&kubernetes, "a", &json!({}), &[("x", "1")]).status,
        422
    );
    let elsewhere = "/api/v1/namespaces/none/secrets/db?fieldManager=a";
    let object = json!({"apiVersion": "v1", "kind": "Secret"});
    let missing = send(&kubernetes, Method::PATCH, elsewhere, APPLY, &object);
    assert_eq!((missing.status, missing.reason()), (404, "NotFound"));
}

#[test]
fn metadata_can_be_had_without_data() {
    let kubernetes = Kubernetes::start();
    kubernetes.put(
        "helm",
        "app",
        "db",
        json!({"metadata": {"labels": {"a": "b"}}, "data": encoded(&[("x", "1")])}),
    );
    let body = block_on(async {
        let url = format!("{}/api/v1/namespaces/app/secrets/db", kubernetes.url());
        let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let request = client(&kubernetes)
            .get(url)
            .bearer_auth(TOKEN)
            .header("accept", accept);
        request.send().await.unwrap().text().await.unwrap()
    });
    let body: Value = serde_json::from_str(&body).unwrap();
    let seen = &kubernetes.log().0[0];
    assert!(seen.shape == Shape::Metadata && seen.user_agent.is_none());
    assert_eq!(body["kind"], "PartialObjectMetadata");
    assert_eq!(body["metadata"]["labels"]["a"], "b");
    assert!(body["data"].is_null());
    let managed = &body["metadata"]["managedFields"][0];
    assert_eq!(managed["manager"], "helm");
    assert!(managed["fieldsV1"]["f:data"]["f:x"].is_object());
    assert!(managed["fieldsV1"]["f:metadata"]["f:labels"]["f:a"].is_object());
}

#[test]
fn one_merge_patch_hands_ownership_over() {
    let kubernetes = Kubernetes::start();
    kubernetes.put_data("unknown", "app", "db", &[("x", "1"), ("y", "1")]);
    let fields = json!({"f:data": {"f:x": {}, "f:y": {}}});
    let patch = json!({"metadata": {"managedFields": [
        {"manager": "a", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}
    ]}});
    let url = "/api/v1/namespaces/app/secrets/db?fieldManager=a";
    let merge = "application/merge-patch+json";
    assert_eq!(
        send(&kubernetes, Method::PATCH, url, merge, &patch).status,
        200
    );
    apply(&kubernetes, "a", &json!({}), &[("x", "1")]);
    assert_eq!(keys(&kubernetes), ["x"]);
}

const MERGE: &str = "application/merge-patch+json";

fn entry(manager: &str, fields: &Value) -> Value {
    json!({"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
}

#[test]
fn a_new_object_is_made_once_and_owned_by_an_update() {
    let kubernetes = Kubernetes::start();
    let path = "/api/v1/namespaces/app/secrets?fieldManager=a";
    let fields = entry("planted", &json!({"f:data": {"f:x": {}}}));
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "data": encoded(&[("x", "1")]),
        "metadata": {"name": "db", "managedFields": [fields]},
    });
    let post = || send(&kubernetes, Method::POST, path, "application/json", &object);
    assert_eq!(post().status, 201);
    // Whatever the body says of managers: who makes a field owns it.
    assert_eq!(
        kubernetes.owners("app", "db", "x"),
        [("a".to_owned(), How::Update)]
    );
    let again = post();
    assert_eq!((again.status, again.reason()), (409, "AlreadyExists"));
}

#[test]
fn a_patch_of_managers_takes_them_as_they_are_unless_it_changes_fields() {
    let kubernetes = Kubernetes::start();
    kubernetes.put_data("helm", "app", "db", &[("x", "1"), ("y", "1")]);
    let url = "/api/v1/namespaces/app/secrets/db?fieldManager=b";
    let owners = |key: &str| kubernetes.owners("app", "db", key);
    let ours = entry(
        "a",
        &json!({"f:data": {"f:x": {}, "f:y": {}, "f:gone": {}}}),
    );
    let patch = json!({
        "metadata": {"managedFields": [ours]},
        "data": encoded(&[("x", "2")]),
    });
    assert_eq!(
        send(&kubernetes, Method::PATCH, url, MERGE, &patch).status,
        200
    );
    assert_eq!(owners("x"), [("b".to_owned(), How::Update)]);
    assert_eq!(owners("y"), [("a".to_owned(), How::Apply)]);
    assert!(owners("gone").is_empty());
    // What cannot be read, or is empty, leaves them as they are.
    for managers in [json!([]), json!([{"manager": "a"}])] {
        let patch = json!({"metadata": {"managedFields": managers}});
        assert_eq!(
            send(&kubernetes, Method::PATCH, url, MERGE, &patch).status,
            200
        );
        assert_eq!(owners("y"), [("a".to_owned(), How::Apply)]);
    }
    let live = kubernetes.object("app", "db").unwrap();
    let uid =
        |uid: &Value, version: &str| json!({"metadata": {"uid": uid, "resourceVersion": version}});
    let version = live["metadata"]["resourceVersion"].as_str().unwrap();
    for (patch, status) in [
        (uid(&json!("0-0"), version), 422),
        (uid(&json!("0-0"), "1"), 409),
        (uid(&live["metadata"]["uid"], "1"), 409),
        (uid(&live["metadata"]["uid"], version), 200),
    ] {
        let answer = send(&kubernetes, Method::PATCH, url, MERGE, &patch);
        assert_eq!(answer.status, status, "{patch}");
    }
}

#[test]
fn after_managers_are_wiped_the_next_apply_makes_one_up_that_owns_everything() {
    let kubernetes = Kubernetes::start();
    apply(&kubernetes, "a", &json!({}), &[("x", "1"), ("y", "1")]);
    let wiped = json!({"metadata": {"managedFields": [{}]}});
    kubernetes.patch("kubectl-patch", ("app", "db"), &wiped);
    kubernetes.edit("app", "db", "z", "1");
    let owners = |key: &str| kubernetes.owners("app", "db", key);
    assert!(owners("x").is_empty() && owners("z").is_empty());
    apply(&kubernetes, "a", &json!({}), &[("x", "1"), ("y", "1")]);
    let made_up = ("before-first-apply".to_owned(), How::Update);
    assert_eq!(owners("x"), [made_up.clone(), ("a".to_owned(), How::Apply)]);
    apply(&kubernetes, "a", &json!({}), &[("x", "1")]);
    assert_eq!(keys(&kubernetes), ["x", "y", "z"]);
    assert_eq!(owners("y"), [made_up]);
}

#[test]
fn what_happens_meanwhile_happens_once_and_before_the_answer() {
    let kubernetes = Kubernetes::start();
    let rule = || Rule::namespace("app").name("db").verb(Verb::Apply);
    kubernetes.meanwhile_put(rule(), ("app", "db"), &[("x", "theirs")]);
    assert_eq!(
        apply(&kubernetes, "a", &json!({}), &[("x", "1")]).status,
        409
    );
    kubernetes.meanwhile_delete(rule(), ("app", "db"));
    assert_eq!(
        apply(&kubernetes, "a", &json!({}), &[("x", "1")]).status,
        201
    );
    assert_eq!(
        apply(&kubernetes, "a", &json!({}), &[("x", "1")]).status,
        200
    );
    assert!(kubernetes.all_happened());
}

#[test]
fn deletion_honours_preconditions() {
    let kubernetes = Kubernetes::start();
    kubernetes.put_data("helm", "app", "db", &[("x", "1")]);
    let path = "/api/v1/namespaces/app/secrets/db";
    let other = json!({"preconditions": {"uid": "0-0"}});
    let json_type = "application/json";
    assert_eq!(
        send(&kubernetes, Method::DELETE, path, json_type, &other).status,
        409
    );
    assert_eq!(
        send(&kubernetes, Method::DELETE, path, json_type, &json!({})).status,
        200
    );
    assert_eq!(
        send(&kubernetes, Method::DELETE, path, json_type, &json!({})).status,
        404
    );
}

#[test]
fn faults_strike_what_their_rule_names_and_quote_the_data() {
    let kubernetes = Kubernetes::start();
    kubernetes.fail(Rule::any().name("another"), Fault::Close);
    kubernetes.fail(Rule::namespace("app").verb(Verb::Apply), Fault::Forbidden);
    let refused = apply(&kubernetes, "a", &json!({}), &[("x", "the-value")]);
    assert_eq!(refused.status, 403);
    assert!(
        refused.body["message"]
            .as_str()
            .unwrap()
            .contains("the-value")
    );
    let namespace = "/api/v1/namespaces/app";
    assert_eq!(
        send(&kubernetes, Method::GET, namespace, APPLY, &json!({})).status,
        200
    );
    kubernetes.heal();
    assert_eq!(
        apply(&kubernetes, "a", &json!({}), &[("x", "1")]).status,
        201
    );
    let log = kubernetes.log();
    assert_eq!(log.write_count(), 2);
    let last = log.writes().last().unwrap();
    assert_eq!(
        (last.keys.as_slice(), last.status),
        (["x".to_owned()].as_slice(), 201)
    );
    assert_eq!(last.field_manager.as_deref(), Some("a"));
    assert_eq!((last.namespace.as_str(), last.dry_run), ("app", false));
    assert!(log.0.is_sorted_by_key(|request| request.at));
    assert_eq!(last.http, axum::http::Version::HTTP_2);
}

#[test]
fn tokens_are_checked() {
    let kubernetes = Kubernetes::start();
    kubernetes.set_token("rotated");
    let refused = apply(&kubernetes, "a", &json!({}), &[("x", "1")]);
    assert_eq!((refused.status, refused.reason()), (401, "Unauthorized"));
}

#[test]
fn a_client_certificate_logs_in_over_http_1_too() {
    let kubernetes = Kubernetes::start();
    let certificates = &kubernetes.certificates;
    let pem = format!("{}{}", certificates.client, certificates.client_key);
    let builder = Client::builder()
        .no_proxy()
        .http1_only()
        .tls_certs_only([Certificate::from_pem(kubernetes.authority().as_bytes()).unwrap()]);
    let url = format!("{}/version", kubernetes.url());
    let status = |client: Client| {
        block_on(async { client.get(&url).send().await.unwrap().status().as_u16() })
    };
    assert_eq!(status(client(&kubernetes)), 401);
    let identity = reqwest::Identity::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(status(builder.identity(identity).build().unwrap()), 200);
    assert_eq!(kubernetes.log().0[1].http, axum::http::Version::HTTP_11);
}

#[test]
fn no_fault_looks_like_a_good_answer() {
    for fault in [
        Fault::Unauthorized,
        Fault::InternalError,
        Fault::TooManyRequests(7),
        Fault::Conflict,
        Fault::Invalid,
        Fault::Page(502),
        Fault::Redirect("https://127.0.0.1:9/".to_owned()),
        Fault::OtherObject,
        Fault::Unparsable,
        Fault::Huge,
        Fault::Truncated,
        Fault::Hang,
        Fault::Close,
    ] {
        let kubernetes = Kubernetes::start();
        kubernetes.put_data("helm", "app", "db", &[("x", "1")]);
        kubernetes.fail(Rule::any(), fault.clone());
        let good = block_on(async {
            let url = format!("{}/api/v1/namespaces/app/secrets/db", kubernetes.url());
            let request = client(&kubernetes).get(url).bearer_auth(TOKEN);
            let response = request.timeout(Duration::from_secs(1)).send().await.ok()?;
            let ok = response.status().is_success();
            let body: Value = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
            Some(ok && body["metadata"]["name"] == "db")
        });
        assert_ne!(good, Some(true), "{fault:?}");
    }
}

#[test]
fn a_lease_is_replaced_only_as_it_was_read() {
    const JSON: &str = "application/json";
    let kubernetes = Kubernetes::start();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/app/leases";
    let one = format!("{leases}/sync");
    let lease = |version: Option<&Value>, seconds: i64| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "sync", "resourceVersion": version},
            "spec": {"holderIdentity": "a", "leaseDurationSeconds": seconds, "renewTime": "2026-01-02T03:04:05.000006Z"},
        })
    };
    let get = || send(&kubernetes, Method::GET, &one, JSON, &Value::Null);
    let put = |body: &Value| send(&kubernetes, Method::PUT, &one, JSON, body);
    let post = |body: &Value| send(&kubernetes, Method::POST, leases, JSON, body);
    assert_eq!((get().status, get().reason()), (404, "NotFound"));
    assert_eq!(put(&lease(None, 15)).status, 404);
    let made = post(&lease(None, 15));
    assert_eq!(made.status, 201);
    assert_eq!(post(&lease(None, 15)).reason(), "AlreadyExists");
    assert_eq!(get().version(), made.version());
    let next = put(&lease(Some(made.version()), 16));
    assert_eq!((next.status, next.uid()), (200, made.uid()));
    let late = put(&lease(Some(made.version()), 17));
    assert_eq!((late.status, late.reason()), (409, "Conflict"));
    assert_eq!(put(&lease(None, 17)).status, 422);
    assert_eq!(put(&lease(Some(next.version()), 0)).status, 422);
    assert_eq!(get().body["spec"]["leaseDurationSeconds"], 16);
    let elsewhere = leases.replace("/app/", "/nowhere/");
    let nowhere = send(
        &kubernetes,
        Method::POST,
        &elsewhere,
        JSON,
        &lease(None, 15),
    );
    assert_eq!(nowhere.status, 404);
}

#[test]
fn a_slow_answer_comes_and_who_asked_is_told_apart() {
    let kubernetes = Kubernetes::start();
    kubernetes.cluster_for("main", "somebody");
    kubernetes.fail(Rule::any(), Fault::Slow(Duration::from_millis(50)));
    let created = apply(&kubernetes, "a", &json!({}), &[("x", "1")]);
    assert_eq!(created.status, 201);
    assert_eq!(kubernetes.log().0[0].who, None);
}
