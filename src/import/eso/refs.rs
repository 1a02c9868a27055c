//! References to stores.

use super::super::context::{Chosen, Context, Reach, StoreId};
use super::super::tree::{Field, Map};

/// Where a reference stands.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub cx: &'a Context,
    /// Of the object that refers; absent: of the whole cluster.
    pub namespace: Option<&'a str>,
    pub reach: Reach<'a>,
}

/// `secretStoreRef`, or `storeRef` of one item.
pub(super) fn chosen(field: &Field, scope: Scope<'_>) -> Option<Chosen> {
    let map = field.map()?;
    let kind = map.text("kind").unwrap_or("SecretStore");
    let Some(at) = map.get("name") else {
        field.refuse("`name` is missing");
        return None;
    };
    let name = at.text()?;
    let namespace = match kind {
        "ClusterSecretStore" => None,
        "SecretStore" => {
            let Some(namespace) = scope.namespace else {
                field.refuse("a SecretStore is another one in each namespace; use a ClusterSecretStore, or one ExternalSecret in each namespace");
                return None;
            };
            Some(namespace.to_owned())
        }
        _ => {
            field.refuse("`kind` must be SecretStore or ClusterSecretStore");
            return None;
        }
    };
    let name = name.to_owned();
    scope
        .cx
        .choose(&StoreId { namespace, name }, scope.reach, at)
}

/// `sourceRef` of one item: the outer `None` when it is refused.
#[expect(
    clippy::option_option,
    reason = "absent and refused are different, and both are usual"
)]
pub(super) fn source_ref(item: Map<'_>, scope: Scope<'_>) -> Option<Option<Chosen>> {
    let Some(map) = item.map("sourceRef") else {
        return Some(None);
    };
    if let Some(generator) = map.get("generatorRef") {
        generator.refuse("generators are not converted");
        return None;
    }
    let Some(field) = map.get("storeRef") else {
        return Some(None);
    };
    chosen(field, scope).map(Some)
}
