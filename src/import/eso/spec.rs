//! What an `ExternalSecret` and the one inside of a `ClusterExternalSecret` have in common.

use super::super::context::{Context, Reach};
use super::super::draft::{Entry, Target};
use super::super::interval::{self, Interval};
use super::super::object::Metadata;
use super::super::tree::{Field, Map};
use super::data::{self, Around};
use super::default_engine;
use super::refs::{self, Scope};
use super::target::{self, Usual};

/// Around a spec.
pub(super) struct Place<'a, 't> {
    pub cx: &'a Context,
    pub version: &'a str,
    /// Of the object; absent: of the whole cluster.
    pub namespace: Option<&'a str>,
    pub reach: Reach<'a>,
    /// The name of the Secret unless the spec says.
    pub secret: &'a str,
    pub copied: &'a Metadata<'t>,
}

/// The entry without its name and without the places of its target.
pub(super) fn read(spec: Map<'_>, entry: &mut Entry, at: &Place<'_, '_>) -> Target {
    refresh(spec, entry);
    if let Some(field) = spec.get("syncWindows") {
        field.refuse("times at which nothing is refreshed are not known here");
    }
    let scope = Scope {
        cx: at.cx,
        namespace: at.namespace,
        reach: at.reach,
    };
    let reference = spec.get("secretStoreRef");
    let store = reference.and_then(|field| refs::chosen(field, scope));
    let around = Around {
        scope,
        store: store.as_ref(),
        named: reference.is_some(),
        version: at.version,
    };
    if let Some(field) = spec.get("dataFrom") {
        entry.data_from = data::bulk(field, around);
    }
    if let Some(field) = spec.get("data") {
        entry.data = data::items(field, around);
    }
    let formats =
        !entry.data_from.is_empty() || entry.data.iter().any(|it| it.remote.property.is_some());
    if formats {
        entry.json_format = Some("eso");
    }
    entry.store = match store {
        Some(store) => store.name,
        // Each item has its own.
        None => first_store(entry),
    };
    let usual = Usual {
        name: at.secret,
        engine: default_engine(at.version),
        copied: at.copied,
        cx: at.cx,
    };
    target::read(spec, entry, &usual)
}

fn first_store(entry: &Entry) -> String {
    let from = entry.data_from.iter().find_map(|it| it.store.clone());
    let item = || entry.data.iter().find_map(|it| it.store.clone());
    from.or_else(item).unwrap_or_default()
}

fn refresh(spec: Map<'_>, entry: &mut Entry) {
    entry.interval = Some("1h".to_owned());
    if let Some(field) = spec.get("refreshInterval") {
        interval_of(field, entry);
    }
    let Some(field) = spec.get("refreshPolicy") else {
        return;
    };
    match field.text() {
        Some("Periodic") | None => {}
        Some("CreatedOnce") => entry.once = true,
        Some("OnChange") => {
            entry.once = true;
            field.warn("delivered once, and again when the entry's configuration changes; labels and annotations wake nothing here");
        }
        Some(_) => field.refuse("`refreshPolicy` must be Periodic, CreatedOnce or OnChange"),
    }
}

fn interval_of(field: &Field, entry: &mut Entry) {
    // A zero without quotes is usual.
    let written = field.node.as_written();
    let Some(milliseconds) = written.and_then(interval::go) else {
        field.refuse("this must be a duration such as 1h or 90s");
        return;
    };
    field.exact();
    match interval::of(milliseconds) {
        Interval::Exact(text) => entry.interval = Some(text),
        Interval::Near(text, why) => {
            field.warn(format!("it is {text}: {why}"));
            entry.interval = Some(text);
        }
        Interval::Never => {
            entry.interval = None;
            entry.once = true;
            field.warn("delivered once, and again when the entry's configuration changes");
        }
    }
}
