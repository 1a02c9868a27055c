//! Leases: read, made, replaced. A replacement that names a version must name the present one; what it leaves out goes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Shared;
use super::api::Answer;
use super::ask::Ask;
use super::log::Verb;
use super::refusal::{Refusal, Why};

/// Every Lease as it is answered, by namespace and name.
pub type Leases = BTreeMap<(String, String), Value>;

pub fn any(shared: &mut Shared, ask: &Ask<'_>, (namespace, name): (&str, &str)) -> Answer {
    match (name, ask.verb) {
        ("", Verb::Create) => create(shared, ask, namespace),
        ("", _) => Err(unknown()),
        _ => one(shared, ask, (namespace, name)),
    }
}

fn one(shared: &mut Shared, ask: &Ask<'_>, (namespace, name): (&str, &str)) -> Answer {
    let key = (namespace.to_owned(), name.to_owned());
    let live = shared.leases.get(&key);
    let live = live.ok_or_else(|| Refusal::not_found("leases", name))?;
    match ask.verb {
        Verb::Get => Ok((200, live.clone())),
        Verb::Update => {
            let named = &ask.body["metadata"];
            if named["name"] != live["metadata"]["name"] {
                let text = "the name of the object does not match the name on the URL";
                return Err(Refusal::new(Why::BadRequest, text));
            }
            let present = &live["metadata"];
            let differs = |key: &str| !named[key].is_null() && named[key] != present[key];
            if differs("uid") || differs("resourceVersion") {
                let text = format!(
                    "Operation cannot be fulfilled on leases.coordination.k8s.io \"{name}\": the object has been modified; please apply your changes to the latest version and try again"
                );
                return Err(Refusal::new(Why::Conflict, text));
            }
            if named["resourceVersion"].is_null() {
                let text =
                    "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update";
                return Err(Refusal::new(Why::Invalid, text));
            }
            let uid = present["uid"].clone();
            let next = checked(ask, namespace, &uid)?;
            Ok((200, keep(shared, key, next)))
        }
        Verb::List
        | Verb::Watch
        | Verb::Apply
        | Verb::Patch
        | Verb::Create
        | Verb::Delete
        | Verb::Other => Err(unknown()),
    }
}

fn create(shared: &mut Shared, ask: &Ask<'_>, namespace: &str) -> Answer {
    let name = ask.body["metadata"]["name"].as_str().unwrap_or_default();
    if !shared.store.namespaces.contains(namespace) {
        return Err(Refusal::not_found("namespaces", namespace));
    }
    let key = (namespace.to_owned(), name.to_owned());
    if shared.leases.contains_key(&key) {
        let text = format!("leases.coordination.k8s.io \"{name}\" already exists");
        return Err(Refusal::new(Why::AlreadyExists, text));
    }
    let next = checked(ask, namespace, &json!(super::uid()))?;
    Ok((201, keep(shared, key, next)))
}

/// What is to be kept, once it is a Lease that the API server takes.
fn checked(ask: &Ask<'_>, namespace: &str, uid: &Value) -> Result<Value, Refusal> {
    let mut next = ask.body.clone();
    let is = |key: &str, text: &str| next[key] == text;
    if !is("kind", "Lease") || !is("apiVersion", "coordination.k8s.io/v1") {
        return Err(unknown());
    }
    let spec = &next["spec"];
    if spec["leaseDurationSeconds"]
        .as_i64()
        .is_some_and(|it| it <= 0)
    {
        let text = "spec.leaseDurationSeconds: Invalid value: must be greater than 0";
        return Err(Refusal::new(Why::Invalid, text));
    }
    for time in ["acquireTime", "renewTime"] {
        let text = spec[time].as_str();
        // RFC 3339 with six digits of a second.
        let micro =
            |text: &str| text.len() == 27 && text.ends_with('Z') && text[19..].starts_with('.');
        if text.is_some_and(|text| !micro(text) || text.parse::<jiff::Timestamp>().is_err()) {
            return Err(Refusal::new(
                Why::BadRequest,
                format!("{time} is no MicroTime"),
            ));
        }
    }
    next["metadata"]["uid"] = uid.clone();
    next["metadata"]["namespace"] = json!(namespace);
    Ok(next)
}

fn keep(shared: &mut Shared, key: (String, String), mut next: Value) -> Value {
    shared.lease_version += 1;
    next["metadata"]["resourceVersion"] = json!(shared.lease_version.to_string());
    shared.leases.insert(key, next.clone());
    next
}

fn unknown() -> Refusal {
    let text = "the body of the request was in an unknown format";
    Refusal::new(Why::UnsupportedMediaType, text)
}
