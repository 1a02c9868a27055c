//! External Secrets Operator: its stores and secrets in v1alpha1, v1beta1 and v1.

pub(super) mod cluster;
mod data;
mod find;
mod refs;
mod rewrite;
pub(super) mod secret;
mod spec;
pub(super) mod store;
mod store_auth;
mod target;
mod template;

use super::go::Engine;
use super::tree::{Field, Map};

/// The versions of the API that were served once.
pub(super) const VERSIONS: [&str; 3] = ["v1alpha1", "v1beta1", "v1"];

/// What templates are for where the object does not say.
fn default_engine(version: &str) -> Engine {
    match version {
        "v1alpha1" => Engine::V1,
        _ => Engine::V2,
    }
}

/// What the controller wrote: only whether it failed counts.
fn status(map: Map<'_>) {
    let Some(field) = map.get("status") else {
        return;
    };
    let conditions = field
        .node
        .as_map()
        .and_then(|status| status.get("conditions"));
    let conditions = conditions.map(Field::maps).unwrap_or_default();
    let failing = conditions.iter().any(|condition| {
        let is = |key: &str, text: &str| condition.get(key).and_then(Field::text) == Some(text);
        is("type", "Ready") && is("status", "False")
    });
    if failing {
        field.warn_whole("it was failing when this was written down");
    } else {
        field.note("written by the controller");
    }
}
