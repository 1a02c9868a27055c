//! `ExternalSecret`.

use super::super::context::{Context, Reach};
use super::super::draft::Entry;
use super::super::object::Object;
use super::super::tree::{Field, Map};
use super::spec::{self, Place};

/// What becomes of the object, refusals of its keys apart.
pub(in crate::import) fn read(object: &Object<'_>, cx: &Context) -> Option<Entry> {
    let metadata = object.metadata();
    super::status(object.map);
    let namespace = super::super::namespace_of(object, cx);
    if generated(&metadata.owners, object, cx) {
        metadata.leave();
        return None;
    }
    let Some(spec) = object.map.map("spec") else {
        object.lacks("spec");
        return None;
    };
    let mut entry = Entry {
        name: super::super::entry_name(cx, &namespace, object.name),
        namespace: Some(namespace.clone()),
        ..Entry::default()
    };
    let namespaces = [namespace.clone()];
    let place = Place {
        cx,
        version: object.version,
        namespace: Some(&namespace),
        reach: Reach {
            namespaces: &namespaces,
            selectors: &[],
        },
        secret: object.name,
        copied: &metadata,
    };
    let mut target = spec::read(spec, &mut entry, &place);
    target.namespaces = namespaces.to_vec();
    entry.targets.push(target);
    Some(entry)
}

/// Made by a `ClusterExternalSecret` that is converted itself.
fn generated(owners: &[Map<'_>], object: &Object<'_>, cx: &Context) -> bool {
    let owner = owners.iter().find(|owner| {
        let is = |key: &str, text: &str| owner.get(key).and_then(Field::text) == Some(text);
        is("kind", "ClusterExternalSecret")
    });
    let Some(name) = owner.and_then(|owner| owner.text("name")) else {
        return false;
    };
    let known = cx.spread.contains(name);
    if let Some(spec) = object.map.get("spec") {
        if known {
            spec.warn_whole(
                "not converted: it was made by a ClusterExternalSecret, which is converted itself",
            );
        } else {
            spec.warn("made by a ClusterExternalSecret that is not in the input; new namespaces get nothing here");
        }
    }
    known
}
