//! `target`: the Secret, and what is made of the fetched keys.

use super::super::context::Context;
use super::super::draft::{Entry, Target};
use super::super::go::Engine;
use super::super::object::Metadata;
use super::super::tree::{Field, Map};
use super::template;

/// What the Secret is called and made with where `target` says nothing.
pub(super) struct Usual<'a, 't> {
    pub name: &'a str,
    pub engine: Engine,
    /// What is copied to the Secret where there is no template.
    pub copied: &'a Metadata<'t>,
    pub cx: &'a Context,
}

/// The target without its places.
pub(super) fn read(spec: Map<'_>, entry: &mut Entry, usual: &Usual<'_, '_>) -> Target {
    let mut target = Target {
        name: usual.name.to_owned(),
        ..Target::default()
    };
    let map = spec.map("target").unwrap_or(Map::EMPTY);
    if let Some(name) = map.text("name").filter(|name| !name.is_empty()) {
        name.clone_into(&mut target.name);
    }
    target.creation = creation(map, entry, usual.cx);
    target.deletion = deletion(map, usual.cx);
    if let Some(field) = map.get("immutable")
        && field.flag() == Some(true)
    {
        target.immutable = true;
        field.warn(
            "new content of an immutable Secret is an error here; ESO says that it is synced",
        );
    }
    if let Some(manifest) = map.get("manifest") {
        manifest.refuse("only Secrets are written here");
    }
    match map.get("template") {
        Some(field) => {
            usual.copied.leave();
            template::read(field, (entry, &mut target), usual);
        }
        None => copy(usual.copied, &mut target),
    }
    target
}

fn creation(map: Map<'_>, entry: &mut Entry, cx: &Context) -> Option<&'static str> {
    let Some(field) = map.get("creationPolicy") else {
        cx.note(OWNERS);
        return None;
    };
    match field.text()? {
        "Owner" => {
            cx.note(OWNERS);
            None
        }
        "Orphan" => Some("orphan"),
        "Merge" => Some("merge"),
        "CreateOrMerge" => Some("create_or_merge"),
        "None" => {
            field.warn("the entry is suspended: nothing is read or written");
            entry.suspend = true;
            None
        }
        _ => {
            field.refuse("`creationPolicy` must be Owner, Orphan, Merge, CreateOrMerge or None");
            None
        }
    }
}

const OWNERS: &str = "ESO deletes a Secret with its ExternalSecret (creationPolicy Owner); here an entry that goes leaves its Secret, until `secretsyncd prune`";

fn deletion(map: Map<'_>, cx: &Context) -> Option<&'static str> {
    let field = map.get("deletionPolicy")?;
    match field.text()? {
        "Retain" => None,
        "Merge" => Some("merge"),
        "Delete" => {
            field.warn("the Secret goes only once all its sources are proven gone, not when a search finds nothing");
            cx.note("what is gone from AWS is believed after a second read that says the same, at least ten minutes later");
            Some("delete")
        }
        _ => {
            field.refuse("`deletionPolicy` must be Retain, Delete or Merge");
            None
        }
    }
}

/// Labels and annotations of others' tools, which mean the `ExternalSecret` and not its Secret.
fn is_tools(key: &str) -> bool {
    const PREFIXES: [&str; 6] = [
        "argocd.argoproj.io/",
        "kubectl.kubernetes.io/",
        "meta.helm.sh/",
        "helm.sh/",
        "kustomize.toolkit.fluxcd.io/",
        "helm.toolkit.fluxcd.io/",
    ];
    let whole = ["app.kubernetes.io/managed-by", "app.kubernetes.io/instance"];
    PREFIXES.iter().any(|prefix| key.starts_with(prefix)) || whole.contains(&key)
}

/// ESO copies both where there is no template.
fn copy(metadata: &Metadata<'_>, target: &mut Target) {
    target.copied = true;
    let parts = [
        (&metadata.labels, &mut target.labels),
        (&metadata.annotations, &mut target.annotations),
    ];
    for (texts, copied) in parts {
        let Some((_, texts)) = texts else {
            continue;
        };
        for (field, text) in texts {
            if is_tools(&field.key) {
                field.warn(
                    "ESO copies it to the Secret; here it is left out, since it is another tool's",
                );
            } else {
                field.exact();
                copied.insert(field.key.to_string(), (*text).to_owned());
            }
        }
    }
}

/// Both, said beside a `ClusterExternalSecret`'s spec.
pub(super) fn beside(field: Option<&Field>) -> Metadata<'_> {
    let mut metadata = Metadata::default();
    if let Some(map) = field.and_then(Field::map) {
        metadata.labels = map.map("labels").map(|it| (it, it.texts()));
        metadata.annotations = map.map("annotations").map(|it| (it, it.texts()));
    }
    metadata
}
