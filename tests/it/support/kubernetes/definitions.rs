//! Which kinds the server has: definitions of custom resources, and what it says of a group's version.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Shared;
use super::api::Answer;
use super::ask::Ask;
use super::custom::{deletion, listed, shown, success, unknown, unsupported};
use super::log::Verb;
use super::refusal::Refusal;
use super::things::Kind;

pub const GROUP: &str = "apiextensions.k8s.io";

pub fn any(shared: &mut Shared, ask: &Ask<'_>) -> Answer {
    if ask.place.version != "v1" {
        return Err(unknown());
    }
    let kinds = shared.store.things.kinds.iter();
    let mut all = kinds.filter_map(|(of, kind)| Some((of.clone(), defined(of, kind)?)));
    if ask.verb == Verb::List {
        let all: Vec<Value> = all.map(|(_, definition)| definition).collect();
        let version = shared.store.history.lock().version();
        let kind = "CustomResourceDefinition";
        return Ok((200, listed(ask, kind, version, all.iter())));
    }
    let name = ask.place.name;
    let found = all.find(|(_, it)| it["metadata"]["name"] == name);
    let (of, definition) = found.ok_or_else(|| Refusal::not_found(&ask.place.resource(), name))?;
    match ask.verb {
        Verb::Get => Ok((200, shown(ask, "CustomResourceDefinition", &definition))),
        Verb::Delete => {
            let how = deletion(ask);
            how.judge(&definition["metadata"])?;
            if !how.dry_run {
                shared.store.undefine((&of.0, &of.1));
            }
            Ok((200, success(ask.place.plural, &definition)))
        }
        Verb::List
        | Verb::Watch
        | Verb::Apply
        | Verb::Patch
        | Verb::Create
        | Verb::Update
        | Verb::Other => Err(unsupported()),
    }
}

fn defined((group, plural): &(String, String), kind: &Kind) -> Option<Value> {
    let mut served = kind.served.iter().rev().enumerate();
    let versions: Vec<Value> = served
        .by_ref()
        .map(|(at, name)| json!({"name": name, "served": true, "storage": at == 0}))
        .collect();
    Some(json!({
        "metadata": kind.definition.as_ref()?,
        "spec": {
            "group": group, "scope": "Namespaced", "versions": versions,
            "names": {"plural": plural, "kind": kind.name},
        },
    }))
}

/// Discovery: all groups but the core one.
pub fn groups(shared: &Shared) -> Value {
    let kinds = shared.store.things.kinds.iter();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = [("apps", ["v1"].into())].into();
    for ((group, _), kind) in kinds.filter(|((group, _), _)| !group.is_empty()) {
        let served = kind.served.iter().map(String::as_str);
        versions.entry(group).or_default().extend(served);
    }
    versions.retain(|_, served| !served.is_empty());
    let groups: Vec<Value> = versions
        .into_iter()
        .map(|(group, served)| {
            let versions = served.into_iter();
            let versions =
                versions.map(|it| json!({"groupVersion": format!("{group}/{it}"), "version": it}));
            json!({"name": group, "versions": versions.collect::<Vec<_>>()})
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// Discovery: what a group has in one version.
pub fn discover(shared: &Shared, group: &str, version: &str) -> Answer {
    let kinds = shared.store.things.kinds.iter();
    let served = kinds.filter(|((of, _), kind)| of == group && kind.served.contains(version));
    let resources: Vec<Value> = served
        .map(|((_, plural), kind)| {
            json!({
                "name": plural, "kind": kind.name, "namespaced": true,
                "verbs": ["delete", "get", "list", "patch", "create"],
            })
        })
        .collect();
    if resources.is_empty() {
        return Err(unknown());
    }
    Ok((
        200,
        json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"),
            "resources": resources,
        }),
    ))
}
