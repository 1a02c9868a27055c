//! From an HTTP request to an answer: authentication, routing, content types, faults.

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{Request, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::serve::{Call, Reply};
use super::ask::{Ask, data};
use super::body::Wanted;
use super::fault::{Fault, Rule};
use super::log::Verb;
use super::object::Secret;
use super::refusal::{Refusal, Why};
use super::store::{Owners, Writer};
use super::{Deed, Shared};
use super::{custom, definitions, leases, rbac, reviews, watches, workloads};

pub type Answer = Result<(u16, Value), Refusal>;

pub fn answer(shared: &mut Shared, call: &Call) -> Reply {
    let ask = Ask::read(&call.request);
    let before = shared.store.before(&ask);
    let reply = reply(shared, call, &ask);
    shared.store.after(before);
    let status = match &reply {
        Reply::Answer(answer)
        | Reply::Truncated(answer)
        | Reply::Drip(answer)
        | Reply::Late(answer, _) => answer.status().as_u16(),
        Reply::Stream(streamed) => streamed.head.status().as_u16(),
        Reply::Hang | Reply::Close | Reply::Tunnel(_) => 0,
    };
    let token = bearer(&call.request).unwrap_or_default();
    let who = shared.others.get(token).cloned();
    shared.log.0.push(ask.log(call, (status, who)));
    reply
}

fn reply(shared: &mut Shared, call: &Call, ask: &Ask<'_>) -> Reply {
    if !call.client_certificate && !shared.admits(bearer(&call.request)) {
        return Reply::Answer(Refusal::new(Why::Unauthorized, "Unauthorized").response());
    }
    if let Some(refusal) = rbac::forbidden(shared, &call.request, ask) {
        return Reply::Answer(refusal.response());
    }
    // In the order of the tests' lines, whatever comes later.
    let next = |deeds: &mut Vec<(Rule, Deed)>| {
        let at = deeds.iter_mut().position(|(rule, _)| rule.strikes(ask))?;
        Some(deeds.remove(at).1)
    };
    if let Some(deed) = next(&mut shared.deeds) {
        deed(&mut shared.store);
    }
    let sequel = next(&mut shared.sequels);
    let mut rules = shared.rules.iter_mut();
    let fault = rules.find_map(|(rule, fault)| rule.strikes(ask).then(|| fault.clone()));
    let reply = handled(shared, ask, fault);
    if let Some(sequel) = sequel {
        sequel(&mut shared.store);
    }
    reply
}

fn handled(shared: &mut Shared, ask: &Ask<'_>, fault: Option<Fault>) -> Reply {
    match fault {
        Some(Fault::Slow(most)) => {
            let wait = most.mul_f64(fastrand::f64());
            Reply::Late(respond(route(shared, ask)), wait)
        }
        Some(fault) => faulty(shared, ask, &fault),
        None if ask.verb == Verb::Watch => watches::watch(shared, ask),
        None => Reply::Answer(respond(route(shared, ask))),
    }
}

fn faulty(shared: &mut Shared, ask: &Ask<'_>, fault: &Fault) -> Reply {
    let quoted = quoted(shared, ask);
    if let Some(refusal) = fault.refusal(&quoted) {
        return Reply::Answer(refusal.response());
    }
    let text = |status: u16, text: String| {
        let response = Response::builder().status(status);
        Reply::Answer(response.body(Bytes::from(text)).unwrap())
    };
    match fault {
        Fault::Page(status) => text(*status, format!("<html>{quoted}</html>")),
        Fault::Unparsable => text(200, format!("{{\"data\": {quoted}, <not JSON>")),
        Fault::Huge => text(200, format!("\"{}\"", "x".repeat(8 << 20))),
        Fault::Redirect(to) => {
            let answer = Response::builder().status(307).header(LOCATION, to);
            Reply::Answer(answer.body(Bytes::new()).unwrap())
        }
        Fault::OtherObject => Reply::Answer(respond(Ok((200, other_object(ask))))),
        Fault::Truncated => Reply::Truncated(respond(route(shared, ask))),
        Fault::Close => Reply::Close,
        Fault::Lost => {
            drop(route(shared, ask));
            Reply::Hang
        }
        _ => Reply::Hang,
    }
}

fn route(shared: &mut Shared, ask: &Ask<'_>) -> Answer {
    if ask.path == "/version" {
        return Ok((
            200,
            json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0"}),
        ));
    }
    if ask.path == "/apis" {
        return Ok((200, definitions::groups(shared)));
    }
    if ask.path == reviews::PATH {
        return Ok(reviews::answer(shared.grants.as_ref(), &ask.body));
    }
    let listed = ["secrets", "namespaces"].contains(&ask.place.plural);
    if ask.verb == Verb::List && ask.place.group.is_empty() && listed {
        return watches::list(shared, ask);
    }
    let segments: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
    match segments[..] {
        ["api", "v1", "namespaces", name] if ask.verb == Verb::Get => {
            let namespace = shared.store.namespaces.get(name);
            let namespace = namespace.ok_or_else(|| Refusal::not_found("namespaces", name))?;
            Ok((200, namespace.clone()))
        }
        ["api", "v1", "namespaces", _, "secrets"] if ask.verb == Verb::Create => {
            create(shared, ask)
        }
        ["api", "v1", "namespaces", _, "secrets", _] => secret(shared, ask),
        [
            "apis",
            "coordination.k8s.io",
            "v1",
            "namespaces",
            namespace,
            "leases",
            ref name @ ..,
        ] => {
            let name = name.first().copied().unwrap_or_default();
            leases::any(shared, ask, (namespace, name))
        }
        ["apis", "apps", "v1", _, ..] => workloads::any(shared, ask),
        ["apis", definitions::GROUP, "v1", _, ..] => definitions::any(shared, ask),
        ["apis", group, version] => definitions::discover(shared, group, version),
        _ => custom::any(shared, ask),
    }
}

fn secret(shared: &mut Shared, ask: &Ask<'_>) -> Answer {
    let (namespace, name) = (ask.namespace, ask.name);
    let live = shared.store.get(namespace, name);
    let writer = Writer {
        owners: Owners::change_if(
            !shared.store.owner_references_permission_enforcement || rbac::may_delete(shared, ask),
        ),
        ..ask.writer()
    };
    match ask.verb {
        Verb::Get => {
            let live = live.ok_or_else(|| Refusal::not_found("secrets", name))?;
            Ok((200, ask.shape(live)))
        }
        Verb::Apply => {
            ask.check_applier()?;
            let wanted = Wanted::read(&ask.body, namespace, name)?;
            let written = shared.store.apply(namespace, name, &wanted, &writer)?;
            let status = if written.created { 201 } else { 200 };
            Ok((status, ask.shape(&written.secret)))
        }
        Verb::Patch | Verb::Update => {
            let live = live.ok_or_else(|| Refusal::not_found("secrets", name))?;
            let mut object = ask.body.clone();
            if ask.verb == Verb::Patch {
                same_uid(live, &ask.body["metadata"])?;
                object = live.to_json();
                merge(&mut object, &ask.body);
            }
            let wanted = Wanted::read(&object, namespace, name)?;
            let written = shared.store.update(namespace, name, &wanted, &writer)?;
            Ok((200, ask.shape(&written.secret)))
        }
        Verb::Delete => {
            let deletion = custom::deletion(ask);
            let deleted = shared.store.delete(namespace, name, &deletion)?;
            Ok((
                200,
                match shared.store.get(namespace, name) {
                    Some(doomed) => ask.shape(doomed),
                    None => custom::success("secrets", &deleted.to_json()),
                },
            ))
        }
        Verb::Create | Verb::List | Verb::Watch | Verb::Other => Err(custom::unsupported()),
    }
}

/// A patch must not change it, which is asked after the version is found to be the live one.
fn same_uid(live: &Secret, metadata: &Value) -> Result<(), Refusal> {
    let version = &metadata["resourceVersion"];
    let live_version = live.resource_version.to_string();
    let current = version.is_null() || *version == *live_version;
    if metadata["uid"].is_null() || metadata["uid"] == live.uid || !current {
        return Ok(());
    }
    let text = "metadata.uid: Invalid value: field is immutable";
    let cause = json!({"reason": "FieldValueInvalid", "field": "metadata.uid"});
    Err(Refusal::new(Why::Invalid, text).with_causes(vec![cause]))
}

fn create(shared: &mut Shared, ask: &Ask<'_>) -> Answer {
    let name = ask.body["metadata"]["name"].as_str().unwrap_or_default();
    if shared.store.get(ask.namespace, name).is_some() {
        let text = format!("secrets \"{name}\" already exists");
        return Err(Refusal::new(Why::AlreadyExists, text));
    }
    let wanted = Wanted::read(&ask.body, ask.namespace, name)?;
    let written = shared
        .store
        .update(ask.namespace, name, &wanted, &ask.writer())?;
    let mut made = ask.shape(&written.secret);
    if ask.writer().dry_run {
        // What was not kept has no version (KEP 576).
        made["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
    }
    Ok((201, made))
}

fn bearer(request: &Request<Bytes>) -> Option<&str> {
    request
        .headers()
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// What a careless error text would contain: values, as sent and decoded, and the token.
fn quoted(shared: &Shared, ask: &Ask<'_>) -> String {
    let live = shared.store.get(ask.namespace, ask.name);
    let live = live
        .into_iter()
        .flat_map(Secret::data)
        .map(|(_, text)| text);
    let mut quoted = format!("[token {}", shared.token);
    for text in data(&ask.body).map(|(_, text)| text).chain(live) {
        let decoded = STANDARD.decode(text).unwrap_or_default();
        quoted = format!("{quoted} {text} {}", String::from_utf8_lossy(&decoded));
    }
    quoted + "]"
}

fn other_object(ask: &Ask<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "another",
            "namespace": ask.namespace,
            "uid": super::uid(),
            "resourceVersion": "1",
        },
        "type": "Opaque",
        "data": {"another": "YW5vdGhlcg=="},
    })
}

/// RFC 7386.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|target| target.remove(key));
        } else {
            merge(&mut target[key], value);
        }
    }
}

fn respond(answer: Answer) -> Response<Bytes> {
    match answer {
        Ok((status, object)) => Response::builder()
            .status(status)
            .header(CONTENT_TYPE, "application/json")
            .body(object.to_string().into())
            .unwrap(),
        Err(refusal) => refusal.response(),
    }
}
