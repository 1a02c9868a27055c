//! What a client may do, as RBAC says it: roles, bindings, and requests held against them.
//!
//! On once a test grants something. Everything is forbidden then but what is granted, as on a real server.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::http::{Method, Request};
use serde_json::Value;

use super::Shared;
use super::ask::Ask;
use super::log::Verb;
use super::refusal::{Refusal, Why};

/// One verb on one kind of object, in one namespace or in all, of one name or of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    pub namespace: Option<String>,
    pub group: String,
    pub resource: String,
    pub name: Option<String>,
    pub verb: String,
}

#[derive(Clone, Debug, Default)]
pub struct Grants(pub BTreeSet<Grant>);

/// What a request has to be allowed.
pub struct Attributes<'a> {
    pub namespace: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub name: &'a str,
    pub verb: &'a str,
}

impl Grants {
    /// Everything that a role in this YAML grants and a binding in it hands to somebody.
    pub fn read(yaml: &str) -> Self {
        let documents = yaml.split("---\n").filter(|text| text.contains("kind:"));
        let objects: Vec<Value> = documents
            .map(|text| serde_saphyr::from_str(text).unwrap_or_else(|_| panic!("no YAML:\n{text}")))
            .collect();
        let kind = |object: &Value| object["kind"].as_str().unwrap().to_owned();
        let mut grants = BTreeSet::new();
        for role in &objects {
            let binding = match &*kind(role) {
                "Role" => "RoleBinding",
                "ClusterRole" => "ClusterRoleBinding",
                _ => continue,
            };
            let namespace = &role["metadata"]["namespace"];
            let binds = |object: &Value| {
                object["roleRef"]["name"] == role["metadata"]["name"]
                    && object["roleRef"]["kind"] == role["kind"]
                    && object["metadata"]["namespace"] == *namespace
                    && object["subjects"]
                        .as_array()
                        .is_some_and(|it| !it.is_empty())
            };
            assert!(
                objects.iter().any(|it| kind(it) == binding && binds(it)),
                "nobody has the role in {namespace}"
            );
            for rule in role["rules"].as_array().unwrap() {
                grants.extend(of_rule(rule, namespace.as_str()));
            }
        }
        Self(grants)
    }

    pub fn without(&self, grant: &Grant) -> Self {
        let mut rest = self.0.clone();
        assert!(rest.remove(grant));
        Self(rest)
    }

    pub fn allow(&self, asked: &Attributes<'_>) -> bool {
        self.0.iter().any(|grant| {
            grant.verb == asked.verb
                && grant.group == asked.group
                && grant.resource == asked.resource
                && grant
                    .namespace
                    .as_deref()
                    .is_none_or(|it| it == asked.namespace)
                && grant.name.as_deref().is_none_or(|it| it == asked.name)
        })
    }
}

fn of_rule(rule: &Value, namespace: Option<&str>) -> Vec<Grant> {
    let texts = |key: &str| -> Vec<String> {
        let texts = rule[key].as_array().into_iter().flatten();
        texts
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    let mut names: Vec<Option<String>> = texts("resourceNames").into_iter().map(Some).collect();
    if names.is_empty() {
        names.push(None);
    }
    let mut grants = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for name in &names {
                grants.extend(texts("verbs").into_iter().map(|verb| Grant {
                    namespace: namespace.map(str::to_owned),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                    verb,
                }));
            }
        }
    }
    grants
}

/// The refusal of a request that is not allowed. An apply that makes the object is asked for `create`, too.
pub fn forbidden(shared: &Shared, request: &Request<Bytes>, ask: &Ask<'_>) -> Option<Refusal> {
    let grants = shared.grants.as_ref()?;
    let asked = attributes(request, ask)?;
    let makes = ask.verb == Verb::Apply
        && asked.resource == "secrets"
        && shared.store.get(asked.namespace, asked.name).is_none();
    let verbs = [Some(asked.verb), makes.then_some("create")];
    let missing = verbs
        .into_iter()
        .flatten()
        .find(|verb| !grants.allow(&Attributes { verb, ..asked }))?;
    let Attributes {
        namespace,
        group,
        resource,
        name,
        ..
    } = asked;
    Some(Refusal::new(
        Why::Forbidden,
        format!(
            "{resource} \"{name}\" is forbidden: User \"sync\" cannot {missing} resource \"{resource}\" in API group \
             \"{group}\" in the namespace \"{namespace}\""
        ),
    ))
}

/// Whether somebody may delete what they are about to write.
pub fn may_delete(shared: &Shared, ask: &Ask<'_>) -> bool {
    shared.grants.as_ref().is_none_or(|grants| {
        grants.allow(&Attributes {
            namespace: ask.place.namespace,
            group: ask.place.group,
            resource: ask.place.plural,
            name: ask.name(),
            verb: "delete",
        })
    })
}

/// `None` for what everybody may ask.
fn attributes<'a>(request: &Request<Bytes>, ask: &'a Ask<'_>) -> Option<Attributes<'a>> {
    let place = &ask.place;
    if place.plural.is_empty() || place.group == "authorization.k8s.io" {
        return None;
    }
    let verb = match *request.method() {
        Method::GET if !place.name.is_empty() => "get",
        Method::GET if ask.verb == Verb::Watch => "watch",
        Method::GET => "list",
        Method::POST => "create",
        Method::PATCH => "patch",
        Method::PUT => "update",
        _ => "delete",
    };
    Some(Attributes {
        namespace: place.namespace,
        group: place.group,
        resource: &ask.resource,
        name: place.name,
        verb,
    })
}
