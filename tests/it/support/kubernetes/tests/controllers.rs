//! The old controllers, as far as they are known.

mod eso;
mod kes;
mod live;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::{Eso, Kubernetes};
use super::{MERGE, send};

const DB: (&str, &str) = ("app", "db");
const PATH: &str = "/api/v1/namespaces/app/secrets/db";
const DATA: [(&str, &str); 2] = [("env", "x=1\n"), ("token", "abc")];
const CREATED_BY: &str = "reconcile.external-secrets.io/created-by";
const MANAGED: &str = "reconcile.external-secrets.io/managed";
const HASH: &str = "reconcile.external-secrets.io/data-hash";

fn metadata(kubernetes: &Kubernetes) -> Value {
    kubernetes.object("app", "db").unwrap()["metadata"].clone()
}

fn canary(kubernetes: &Kubernetes, key: &str, value: &str) {
    let body = json!({"metadata": {"annotations": {key: value}}});
    let answer = send(kubernetes, Method::PATCH, PATH, MERGE, &body);
    assert_eq!(answer.status, 200);
}

/// What a GET says of the annotation.
fn annotation(kubernetes: &Kubernetes, key: &str) -> Value {
    let found = send(kubernetes, Method::GET, PATH, "", &Value::Null);
    found.body["metadata"]["annotations"][key].clone()
}

fn kes() -> Kubernetes {
    let kubernetes = Kubernetes::start();
    kubernetes.kes_keeps(DB, &DATA, &json!({}));
    kubernetes
}

fn eso(eso: Eso) -> Kubernetes {
    let kubernetes = Kubernetes::start();
    kubernetes.eso_keeps(eso, DB, &DATA, &json!({}));
    kubernetes
}
