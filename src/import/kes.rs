//! Kubernetes External Secrets: `ExternalSecret` of kubernetes-client.io, with current and legacy fields.

mod data;
mod property;
pub(super) mod settings;
mod store;
mod template;

use super::context::Context;
use super::draft::{Entry, Target, Words};
use super::object::Object;
use super::tree::{Field, Map};

const MISSING: &str = "where a value was no JSON, KES left the key out of the Secret; here the entry fails and the Secret stays as it is";
const OWNER: &str = "KES's Secrets are deleted with their ExternalSecrets; here an entry that goes leaves its Secret, until `secretsyncd prune`";
const POLLING: &str = "KES polls every 10s unless POLLER_INTERVAL_MILLISECONDS says otherwise, which costs money: set `refresh_interval` to what you need";

/// What becomes of the object, refusals of its keys apart.
pub(super) fn read(object: &Object<'_>, cx: &Context) -> Option<Entry> {
    object.metadata().leave();
    status(object.map);
    let namespace = super::namespace_of(object, cx);
    let spec = spec(object)?;
    if cx.kes.of == settings::Of::Several {
        spec.leave_rest("not looked at: the object is refused above");
        object.refuse(settings::TORN);
        return None;
    }
    if !served(spec, &namespace, cx) {
        return None;
    }
    let mut entry = Entry {
        name: super::entry_name(cx, &namespace, object.name),
        namespace: Some(namespace.clone()),
        words: words(object.map),
        ..Entry::default()
    };
    let Some(chosen) = store::chosen(spec, object, cx) else {
        spec.leave_rest("not looked at: the object is refused above");
        return None;
    };
    entry.store = chosen.name;
    interval(&mut entry, cx);
    cx.note(OWNER);
    data::read(spec, &mut entry, chosen.service);
    if !entry.data_from.is_empty() || entry.data.iter().any(|it| it.remote.property.is_some()) {
        cx.note(MISSING);
        entry.json_format = Some("kes");
    }
    let mut target = Target {
        namespaces: vec![namespace],
        name: object.name.to_owned(),
        ..Target::default()
    };
    let outer = spec.text("type").filter(|it| !it.is_empty());
    if let Some(field) = spec.get("template") {
        template::read(field, (&mut entry, &mut target), cx);
    }
    target.secret_type = target.secret_type.or_else(|| outer.map(str::to_owned));
    target.secret_type = target.secret_type.filter(|it| it != "Opaque");
    store::ignored(spec);
    entry.targets.push(target);
    Some(entry)
}

/// `spec`, or as it was called once.
fn spec<'t>(object: &Object<'t>) -> Option<Map<'t>> {
    let legacy = object.map.get("secretDescriptor");
    if let Some(spec) = object.map.get("spec") {
        if let Some(legacy) = legacy {
            legacy.warn_whole("left out: beside `spec` KES does not read it");
        }
        return spec.map();
    }
    if legacy.is_none() {
        object.lacks("spec");
    }
    legacy?.map()
}

fn words(map: Map<'_>) -> Words {
    if map.get("spec").is_some() {
        Words::Kes
    } else {
        Words::KesLegacy
    }
}

/// Whether the KES of the settings looks at the object.
fn served(spec: Map<'_>, namespace: &str, cx: &Context) -> bool {
    let watched = cx.kes.watched.as_ref();
    let outside = watched.is_some_and(|watched| !watched.iter().any(|it| it == namespace));
    let controller = spec.get("controllerId");
    let others = controller.filter(|field| {
        let id = field.text().unwrap_or_default();
        cx.kes.of != settings::Of::Nobody
            && !id.is_empty()
            && id != cx.kes.instance.as_deref().unwrap_or_default()
    });
    if let Some(field) = others {
        field.warn("not converted: INSTANCE_ID says that another KES serves it");
    } else if let Some(field) = controller
        && !outside
        && field.text().is_some_and(|id| !id.is_empty())
    {
        field.warn("which KES served it; here every entry is served");
    }
    if outside {
        cx.note("objects in namespaces outside of WATCHED_NAMESPACES are not converted");
    }
    let served = others.is_none() && !outside;
    if !served {
        spec.leave_rest("not converted: the KES of the settings does not serve it");
    }
    served
}

fn interval(entry: &mut Entry, cx: &Context) {
    entry.once = cx.kes.once;
    entry.interval.clone_from(&cx.kes.interval);
    if entry.interval.is_none() && !entry.once {
        entry.interval = Some("10s".to_owned());
        cx.note(POLLING);
    }
}

fn status(map: Map<'_>) {
    let Some(field) = map.get("status") else {
        return;
    };
    let state = field.node.as_map().and_then(|status| status.get("status"));
    let state = state.and_then(|state| state.node.as_text());
    if state.is_some_and(|state| state.starts_with("ERROR")) {
        field.warn_whole("it was failing in KES when this was written down");
    } else {
        field.note("written by the controller");
    }
}

/// Keys of `spec` and of items that KES does not look at for AWS.
fn unused(map: Map<'_>, keys: &[&str]) {
    for field in keys.iter().filter_map(|key| map.get(key)) {
        field.warn_whole("left out: KES does not look at it for AWS");
    }
}

/// A flag, absent as `false`.
fn is_set(field: Option<&Field>) -> bool {
    field.and_then(Field::flag).unwrap_or(false)
}
