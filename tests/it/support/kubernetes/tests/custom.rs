//! Objects of other kinds, as a client sees them.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::{ESO, Grant, Grants, KES, Kubernetes, Verb};
use super::{Answer, MERGE, send};

const KES_ONE: &str = "/apis/kubernetes-client.io/v1/namespaces/app/externalsecrets/db";
const CRD: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/externalsecrets.kubernetes-client.io";

fn get(kubernetes: &Kubernetes, path: &str) -> Answer {
    send(kubernetes, Method::GET, path, "", &Value::Null)
}

fn delete(kubernetes: &Kubernetes, path: &str, options: &Value) -> Answer {
    send(
        kubernetes,
        Method::DELETE,
        path,
        "application/json",
        options,
    )
}

fn with_one() -> Kubernetes {
    let kubernetes = Kubernetes::start();
    kubernetes.define(KES, "ExternalSecret", &["v1"]);
    let one =
        json!({"metadata": {"labels": {"team": "a"}}, "spec": {"backendType": "secretsManager"}});
    kubernetes.put_thing(KES, ("app", "db"), one);
    kubernetes
}

#[test]
fn a_custom_object_is_read_listed_and_patched() {
    let kubernetes = with_one();
    let found = get(&kubernetes, KES_ONE);
    assert_eq!(found.status, 200);
    assert_eq!(found.body["apiVersion"], "kubernetes-client.io/v1");
    assert_eq!(found.body["kind"], "ExternalSecret");
    assert!(found.uid().is_string() && found.version().is_string());
    for (query, count) in [
        ("", 1),
        ("?labelSelector=team%3Da", 1),
        ("?labelSelector=team%3Db", 0),
    ] {
        for place in ["", "namespaces/app/"] {
            let path = format!("/apis/kubernetes-client.io/v1/{place}externalsecrets{query}");
            let list = get(&kubernetes, &path);
            assert_eq!(list.body["kind"], "ExternalSecretList", "{path}");
            assert_eq!(
                list.body["items"].as_array().unwrap().len(),
                count,
                "{path}"
            );
        }
    }
    let parked = json!({"metadata": {"uid": found.uid()}, "spec": {"controllerId": "x"}});
    let patch = |query: &str, body: &Value| {
        send(
            &kubernetes,
            Method::PATCH,
            &format!("{KES_ONE}{query}"),
            MERGE,
            body,
        )
    };
    assert_eq!(
        patch("?dryRun=All", &parked).body["spec"]["controllerId"],
        "x"
    );
    assert!(get(&kubernetes, KES_ONE).body["spec"]["controllerId"].is_null());
    assert_eq!(patch("", &parked).status, 200);
    assert_eq!(get(&kubernetes, KES_ONE).body["spec"]["controllerId"], "x");
    assert_eq!(patch("", &json!({"metadata": {"uid": "0-0"}})).status, 422);
    assert_eq!(
        patch("", &json!({"metadata": {"resourceVersion": "1"}})).status,
        409
    );
    let seen = &kubernetes.log().of("externalsecrets.kubernetes-client.io");
    assert_eq!(seen.count(Verb::Patch, "db"), 4);
    assert!(kubernetes.log().of("secrets").0.is_empty());
}

#[test]
fn a_list_comes_page_by_page() {
    let kubernetes = with_one();
    for name in ["a", "b", "e"] {
        kubernetes.put_thing(KES, ("app", name), json!({}));
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let path = "/apis/kubernetes-client.io/v1/namespaces/app/externalsecrets?limit=2";
        let page = get(&kubernetes, &format!("{path}&continue={token}")).body;
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), 2);
        names.extend(items.iter().map(|it| it["metadata"]["name"].clone()));
        match page["metadata"]["continue"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "db", "e"]);
}

#[test]
fn a_custom_object_goes_and_its_definition_takes_all_along() {
    let kubernetes = with_one();
    let other = json!({"preconditions": {"uid": "0-0"}});
    assert_eq!(delete(&kubernetes, KES_ONE, &other).status, 409);
    let rehearsed = format!("{KES_ONE}?dryRun=All");
    assert_eq!(delete(&kubernetes, &rehearsed, &Value::Null).status, 200);
    assert_eq!(delete(&kubernetes, KES_ONE, &Value::Null).status, 200);
    let gone = get(&kubernetes, KES_ONE);
    assert_eq!((gone.status, gone.reason()), (404, "NotFound"));
    kubernetes.put_thing(KES, ("app", "db"), json!({}));
    let defined = get(&kubernetes, CRD);
    assert_eq!(
        defined.body["spec"]["versions"][0],
        json!({"name": "v1", "served": true, "storage": true})
    );
    assert_eq!(delete(&kubernetes, CRD, &Value::Null).status, 200);
    assert_eq!(
        (
            get(&kubernetes, CRD).status,
            get(&kubernetes, KES_ONE).status
        ),
        (404, 404)
    );
    kubernetes.define(KES, "ExternalSecret", &["v1"]);
    assert_eq!(get(&kubernetes, KES_ONE).reason(), "NotFound");
    assert!(kubernetes.thing(KES, ("app", "db")).is_none());
}

#[test]
fn a_version_is_there_while_it_is_served() {
    let kubernetes = Kubernetes::start();
    let path = |version: &str| {
        format!("/apis/external-secrets.io/{version}/namespaces/app/externalsecrets/db")
    };
    kubernetes.define(ESO, "ExternalSecret", &["v1alpha1", "v1beta1"]);
    kubernetes.put_thing(ESO, ("app", "db"), json!({}));
    assert_eq!(get(&kubernetes, &path("v1")).status, 404);
    let old = get(&kubernetes, &path("v1beta1"));
    assert_eq!(old.body["apiVersion"], "external-secrets.io/v1beta1");
    let discovered =
        |version: &str| get(&kubernetes, &format!("/apis/external-secrets.io/{version}"));
    assert_eq!(
        discovered("v1beta1").body["resources"][0]["name"],
        "externalsecrets"
    );
    assert_eq!(discovered("v1").status, 404);
    kubernetes.define(ESO, "ExternalSecret", &["v1"]);
    assert_eq!(get(&kubernetes, &path("v1")).uid(), old.uid());
    assert_eq!(get(&kubernetes, &path("v1beta1")).status, 404);
}

#[test]
fn pods_and_deployments_are_to_be_seen_and_scaled() {
    let kubernetes = Kubernetes::start();
    kubernetes.run_controllers("old", "kes");
    let pods = || {
        let list = get(
            &kubernetes,
            "/api/v1/namespaces/old/pods?labelSelector=app.kubernetes.io%2Fname+in%20(kes)",
        );
        assert_eq!(list.body["kind"], "PodList");
        list.body["items"].as_array().unwrap().len()
    };
    let deployments = "/apis/apps/v1/namespaces/old/deployments";
    let list = get(&kubernetes, deployments);
    assert_eq!(list.body["items"][0]["spec"]["replicas"], 1);
    assert_eq!(list.body["items"][0]["apiVersion"], "apps/v1");
    let scale = format!("{deployments}/kes/scale");
    let none = json!({"spec": {"replicas": 0}});
    let scaled = send(&kubernetes, Method::PATCH, &scale, MERGE, &none);
    assert_eq!(
        (scaled.status, &scaled.body["spec"]["replicas"]),
        (200, &json!(0))
    );
    assert_eq!((&scaled.body["status"]["replicas"], pods()), (&json!(1), 1));
    kubernetes.pods_go();
    assert_eq!(
        (&get(&kubernetes, &scale).body["status"]["replicas"], pods()),
        (&json!(0), 0)
    );
    assert_eq!(
        get(&kubernetes, &format!("{deployments}/kes")).body["spec"]["replicas"],
        0
    );
}

#[test]
fn custom_objects_are_granted_like_others() {
    let kubernetes = with_one();
    kubernetes.run_controllers("old", "kes");
    let grant = |namespace: &str, group: &str, resource: &str, verb: &str| Grant {
        namespace: Some(namespace.to_owned()),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: None,
        verb: verb.to_owned(),
    };
    let scale = "/apis/apps/v1/namespaces/old/deployments/kes/scale";
    let list = "/apis/kubernetes-client.io/v1/namespaces/app/externalsecrets";
    let pods = "/api/v1/namespaces/old/pods";
    let statuses = || [KES_ONE, list, pods, scale].map(|path| get(&kubernetes, path).status);
    assert_eq!(statuses(), [200; 4]);
    kubernetes.grant(&Grants::default());
    assert_eq!(statuses(), [403; 4]);
    kubernetes.grant(&Grants(
        [
            grant("app", "kubernetes-client.io", "externalsecrets", "get"),
            grant("app", "external-secrets.io", "externalsecrets", "list"),
            grant("old", "", "pods", "list"),
            grant("old", "apps", "deployments/scale", "get"),
        ]
        .into(),
    ));
    assert_eq!(statuses(), [200, 403, 200, 200]);
    let refused = delete(&kubernetes, KES_ONE, &Value::Null);
    assert_eq!((refused.status, refused.reason()), (403, "Forbidden"));
}
