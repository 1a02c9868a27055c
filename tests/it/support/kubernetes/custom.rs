//! Requests about other kinds than Secrets.

use serde_json::{Value, json};

use super::api::Answer;
use super::ask::Ask;
use super::deletion::{Deletion, Dependents};
use super::log::{Shape, Verb};
use super::refusal::{Refusal, Why};
use super::selector::Selector;
use super::things::{At, Key, Of};
use super::{Kubernetes, Shared};

pub fn any(shared: &mut Shared, ask: &Ask<'_>) -> Answer {
    let place = &ask.place;
    let of = (place.group, place.plural);
    let known = shared.store.things.kind(of);
    let Some(known) = known.filter(|kind| kind.served.contains(place.version)) else {
        return Err(unknown());
    };
    if !place.part.is_empty() {
        return Err(unknown());
    }
    let kind = known.name.clone();
    let key = Key::new(of, (place.namespace, ask.name()));
    let store = &mut shared.store;
    let written = match ask.verb {
        Verb::List => return Ok((200, list(shared, ask, &kind))),
        Verb::Get => store
            .things
            .get(&key)
            .cloned()
            .ok_or_else(|| key.absent())?,
        Verb::Patch => store.patch_thing(&key, &ask.body, ask.writer().dry_run)?,
        Verb::Create if store.things.get(&key).is_some() => {
            let text = format!("{}.{} \"{}\" already exists", of.1, of.0, key.name);
            return Err(Refusal::new(Why::AlreadyExists, text));
        }
        Verb::Create => {
            let made = store.put_thing(&key, ask.body.clone()).clone();
            return Ok((201, shown(ask, &kind, &made)));
        }
        Verb::Delete => {
            let deleted = store.delete_thing(&key, &deletion(ask))?;
            if store.things.get(&key).is_none() {
                return Ok((200, success(ask.place.plural, &deleted)));
            }
            deleted
        }
        Verb::Watch | Verb::Apply | Verb::Update | Verb::Other => return Err(unsupported()),
    };
    Ok((200, shown(ask, &kind, &written)))
}

/// What a deletion says in its body or else in its query.
pub fn deletion(ask: &Ask<'_>) -> Deletion {
    let query = |key: &str| ask.query.get(key).map(String::as_str);
    let policy = ask.body["propagationPolicy"].as_str();
    let dry_run = ask.body["dryRun"][0].as_str();
    Deletion {
        dependents: match policy.or(query("propagationPolicy")) {
            Some("Orphan") => Dependents::Stay,
            _ => Dependents::Go,
        },
        dry_run: dry_run.or(query("dryRun")) == Some("All"),
        preconditions: ask.body["preconditions"].clone(),
    }
}

pub fn success(plural: &str, object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success",
        "details": {"name": metadata["name"], "kind": plural, "uid": metadata["uid"]},
    })
}

pub fn unknown() -> Refusal {
    let text = "the server could not find the requested resource";
    Refusal::new(Why::NotFound, text)
}

pub fn unsupported() -> Refusal {
    let text = "the body of the request was in an unknown format";
    Refusal::new(Why::UnsupportedMediaType, text)
}

/// The object in the version and shape that were asked for.
pub fn shown(ask: &Ask<'_>, kind: &str, object: &Value) -> Value {
    if ask.shape == Shape::Metadata {
        return json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"],
        });
    }
    let mut shown = object.clone();
    shown["apiVersion"] = json!(match (ask.place.group, ask.place.version) {
        ("", version) => version.to_owned(),
        (group, version) => format!("{group}/{version}"),
    });
    shown["kind"] = json!(kind);
    shown
}

/// Measured (API server 1.20): a list of metadata has no array where it has nothing to list.
pub fn items_of(shape: Shape, items: Vec<Value>) -> Value {
    match shape {
        Shape::Metadata if items.is_empty() => Value::Null,
        Shape::Metadata | Shape::Whole => Value::Array(items),
    }
}

/// All of a kind that the selector takes, or so many as were asked for. What comes and goes between two pages is not
/// hidden, as it would be on a real server.
pub fn listed<'a>(
    ask: &Ask<'_>,
    kind: &str,
    version: u64,
    objects: impl Iterator<Item = &'a Value>,
) -> Value {
    let selector = ask.query.get("labelSelector");
    let selector = Selector::read(selector.map_or("", String::as_str));
    let items = objects.filter(|it| selector.matches(&it["metadata"]["labels"]));
    let number = |key: &str| ask.query.get(key).and_then(|it| it.parse::<usize>().ok());
    let before = number("continue").unwrap_or(0);
    let limit = number("limit").filter(|it| *it > 0);
    let mut items = items.map(|it| shown(ask, kind, it)).skip(before);
    let page: Vec<Value> = items.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if items.next().is_some() {
        metadata["continue"] = json!((before + page.len()).to_string());
    }
    let place = &ask.place;
    let (kind, api_version) = match (ask.shape, place.group) {
        (Shape::Metadata, _) => (
            "PartialObjectMetadataList".to_owned(),
            "meta.k8s.io/v1".to_owned(),
        ),
        (Shape::Whole, "") => (format!("{kind}List"), place.version.to_owned()),
        (Shape::Whole, group) => (format!("{kind}List"), format!("{group}/{}", place.version)),
    };
    json!({
        "kind": kind, "apiVersion": api_version,
        "metadata": metadata, "items": items_of(ask.shape, page),
    })
}

fn list(shared: &Shared, ask: &Ask<'_>, kind: &str) -> Value {
    let of = (ask.place.group, ask.place.plural);
    let things = shared.store.things.list(of, ask.place.namespace);
    let version = shared.store.history.lock().version();
    listed(ask, kind, version, things.into_iter().map(|(_, it)| it))
}

impl Kubernetes {
    /// From here on the server serves this kind in these versions, whatever it did before.
    pub fn define(&self, of: Of<'_>, kind: &str, versions: &[&str]) {
        self.lock().store.define(of, kind, versions);
    }

    /// `kubectl delete crd`: every object of the kind goes, then the kind.
    pub fn undefine(&self, of: Of<'_>) {
        self.lock().store.undefine(of);
    }

    /// Somebody's object of a kind that the server has; returns its uid.
    pub fn put_thing(&self, of: Of<'_>, at: At<'_>, object: Value) -> String {
        let mut shared = self.lock();
        let made = shared.store.put_thing(&Key::new(of, at), object);
        made["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    pub fn patch_thing(&self, of: Of<'_>, at: At<'_>, patch: &Value) {
        let key = Key::new(of, at);
        let patched = self.lock().store.patch_thing(&key, patch, false);
        assert!(patched.is_ok(), "{:?}", patched.err());
    }

    pub fn thing(&self, of: Of<'_>, at: At<'_>) -> Option<Value> {
        self.lock().store.things.get(&Key::new(of, at)).cloned()
    }

    /// `kubectl delete`, with or without `--cascade=orphan`.
    pub fn delete_thing(&self, of: Of<'_>, at: At<'_>, dependents: Dependents) {
        let deletion = Deletion {
            dependents,
            ..Deletion::default()
        };
        let deleted = self.lock().store.delete_thing(&Key::new(of, at), &deletion);
        assert!(deleted.is_ok(), "{:?}", deleted.err());
    }

    /// The garbage collector comes around. It does so by itself after everything that goes.
    pub fn collect_garbage(&self) {
        self.lock().store.collect_garbage();
    }

    /// As `OpenShift` has it on: who changes an owner must be allowed to delete what is owned.
    pub fn enforce_owner_references_permission(&self) {
        self.lock().store.owner_references_permission_enforcement = true;
    }
}
