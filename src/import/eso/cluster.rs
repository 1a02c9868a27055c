//! `ClusterExternalSecret`: one entry, a Secret in many namespaces.

use super::super::context::{Context, Reach};
use super::super::draft::{Entry, Target, Words};
use super::super::object::Object;
use super::super::texts;
use super::super::tree::{Field, Map, Node};
use super::spec::{self, Place};
use super::target::beside;
use crate::names::{LabelValue, MetadataKey};

pub(in crate::import) fn read(object: &Object<'_>, cx: &Context) -> Option<Entry> {
    let metadata = object.metadata();
    metadata.leave();
    super::status(object.map);
    let Some(outer) = object.map.map("spec") else {
        object.lacks("spec");
        return None;
    };
    if let Some(field) = outer.get("refreshTime") {
        field
            .note("how often ESO looks for namespaces; here they are followed as they come and go");
    }
    let name = outer.text("externalSecretName").unwrap_or(object.name);
    let namespaces = outer.get("namespaces").map(texts).unwrap_or_default();
    let selectors = selectors(outer);
    let copied = beside(outer.get("externalSecretMetadata"));
    let Some(spec) = outer.map("externalSecretSpec") else {
        object.lacks("externalSecretSpec");
        return None;
    };
    let mut entry = Entry {
        name: super::super::entry_name(cx, "cluster", object.name),
        words: Words::EsoCluster,
        ..Entry::default()
    };
    let place = Place {
        cx,
        version: object.version,
        namespace: None,
        reach: Reach {
            namespaces: &namespaces,
            selectors: &selectors,
        },
        secret: name,
        copied: &copied,
    };
    let like = spec::read(spec, &mut entry, &place);
    if namespaces.is_empty() && selectors.is_empty() {
        object.lacks("namespaces, namespaceSelector or namespaceSelectors");
        return None;
    }
    if !namespaces.is_empty() {
        entry.targets.push(Target {
            namespaces,
            ..like.clone()
        });
    }
    entry
        .targets
        .extend(selectors.into_iter().map(|selector| Target {
            selector: Some(selector),
            ..like.clone()
        }));
    Some(entry)
}

fn selectors(outer: Map<'_>) -> Vec<String> {
    let one = outer.get("namespaceSelector");
    let mut selectors: Vec<String> = one
        .into_iter()
        .filter_map(|field| selector(&field.node, field))
        .collect();
    if let Some(field) = outer.get("namespaceSelectors") {
        let items = field.list().unwrap_or_default().iter();
        selectors.extend(items.filter_map(|node| selector(node, field)));
    }
    for field in [one, outer.get("namespaceSelectors")].into_iter().flatten() {
        field.warn("it is followed where the cluster allows `list` and `watch` of namespaces");
    }
    selectors
}

/// A label selector as one text; nothing selects every namespace.
fn selector(node: &Node, at: &Field) -> Option<String> {
    let Some(map) = node.as_map() else {
        at.refuse("a selector must be a mapping");
        return None;
    };
    at.exact();
    let mut parts = Vec::new();
    for (field, text) in map.map("matchLabels").map(Map::texts).unwrap_or_default() {
        if is_label(&field.key, &[text.to_owned()]) {
            parts.push(format!("{}={text}", field.key));
        } else {
            field.refuse(NO_LABEL);
        }
    }
    if let Some(field) = map.get("matchExpressions") {
        for expression in field.maps() {
            parts.push(expression_of(expression, field)?);
        }
    }
    if parts.is_empty() {
        return Some("kubernetes.io/metadata.name".to_owned());
    }
    Some(parts.join(","))
}

const NO_LABEL: &str = "this is no label that a namespace can have";

/// Anything else could mean more than one condition.
fn is_label(key: &str, values: &[String]) -> bool {
    let legal = |value: &String| LabelValue::new(value.as_str()).is_ok();
    MetadataKey::new(key).is_ok() && values.iter().all(legal)
}

fn expression_of(map: Map<'_>, at: &Field) -> Option<String> {
    let key = map.text("key");
    let operator = map.text("operator");
    let values = map.get("values").map(texts).unwrap_or_default();
    let (Some(key), Some(operator)) = (key, operator) else {
        at.refuse("an expression needs `key` and `operator`");
        return None;
    };
    if !is_label(key, &values) {
        at.refuse(NO_LABEL);
        return None;
    }
    let values = values.join(",");
    match operator {
        "In" => Some(format!("{key} in ({values})")),
        "NotIn" => Some(format!("{key} notin ({values})")),
        "Exists" => Some(key.to_owned()),
        "DoesNotExist" => Some(format!("!{key}")),
        _ => {
            at.refuse("`operator` must be In, NotIn, Exists or DoesNotExist");
            None
        }
    }
}
