//! Objects of other kinds than Secrets: those of custom resource definitions, pods, and whatever else may own a Secret.
//!
//! Kept as JSON without rules of their own: what is asked of them is that they are there, with their identity, and go.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::api::merge;
use super::deletion::{Deletion, Dependents};
use super::refusal::{Refusal, Why};
use super::store::Store;

/// A kind of objects, by its group and plural.
pub type Of<'a> = (&'a str, &'a str);
/// A namespace and a name.
pub type At<'a> = (&'a str, &'a str);

#[derive(Clone, Debug)]
pub struct Kind {
    pub name: String,
    pub served: BTreeSet<String>,
    /// The metadata of its definition; absent for what the server has of itself.
    pub definition: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub group: String,
    pub plural: String,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new((group, plural): Of<'_>, (namespace, name): At<'_>) -> Self {
        Self {
            group: group.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn of(&self) -> (String, String) {
        (self.group.clone(), self.plural.clone())
    }

    pub fn absent(&self) -> Refusal {
        let dot = if self.group.is_empty() { "" } else { "." };
        Refusal::not_found(&format!("{}{dot}{}", self.plural, self.group), &self.name)
    }
}

pub struct Things {
    pub kinds: BTreeMap<(String, String), Kind>,
    /// Without their `apiVersion`, which is that of the question.
    pub(super) all: BTreeMap<Key, Value>,
}

impl Default for Things {
    fn default() -> Self {
        let own = |plural: &str, kind: &str| {
            let kind = Kind {
                name: kind.to_owned(),
                served: BTreeSet::from(["v1".to_owned()]),
                definition: None,
            };
            ((String::new(), plural.to_owned()), kind)
        };
        Self {
            kinds: [own("configmaps", "ConfigMap"), own("pods", "Pod")].into(),
            all: BTreeMap::new(),
        }
    }
}

impl Things {
    pub fn kind(&self, (group, plural): Of<'_>) -> Option<&Kind> {
        self.kinds.get(&(group.to_owned(), plural.to_owned()))
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.all.get(key)
    }

    /// Of one kind, in one namespace or in all.
    pub fn list(&self, (group, plural): Of<'_>, namespace: &str) -> Vec<(&Key, &Value)> {
        let here = |key: &Key| namespace.is_empty() || key.namespace == namespace;
        self.all
            .iter()
            .filter(|(key, _)| key.group == group && key.plural == plural && here(key))
            .collect()
    }
}

impl Store {
    /// From here on the server knows this kind, in these versions.
    pub fn define(&mut self, (group, plural): Of<'_>, kind: &str, versions: &[&str]) {
        let version = self.history.next_version().to_string();
        let key = (group.to_owned(), plural.to_owned());
        let known = self.things.kinds.remove(&key);
        let metadata = known.and_then(|known| known.definition).unwrap_or_else(|| {
            json!({
                "name": format!("{plural}.{group}"), "uid": super::uid(), "resourceVersion": version,
                "creationTimestamp": super::now(),
            })
        });
        let kind = Kind {
            name: kind.to_owned(),
            served: versions.iter().map(|it| (*it).to_owned()).collect(),
            definition: Some(metadata),
        };
        self.things.kinds.insert(key, kind);
        self.collect_garbage();
    }

    /// The definition of a kind goes, and all objects of the kind before it.
    pub fn undefine(&mut self, (group, plural): Of<'_>) {
        let all = self.things.list((group, plural), "");
        for key in all
            .into_iter()
            .map(|(key, _)| key.clone())
            .collect::<Vec<_>>()
        {
            self.remove_thing(&key);
        }
        let key = (group.to_owned(), plural.to_owned());
        self.things.kinds.remove(&key);
        self.history.elapse();
    }

    /// Makes it, or puts another in its place: the uid stays, unless there was none.
    pub fn put_thing(&mut self, key: &Key, mut object: Value) -> &Value {
        let before = self.things.all.get(key).cloned();
        let was = before.as_ref().map(|before| &before["metadata"]);
        object["kind"] = json!(self.things.kinds[&key.of()].name);
        if let Some(object) = object.as_object_mut() {
            object.remove("apiVersion");
        }
        let generation = match &before {
            Some(before) if before["spec"] == object["spec"] => {
                before["metadata"]["generation"].clone()
            }
            Some(before) => json!(before["metadata"]["generation"].as_u64().unwrap_or(0) + 1),
            None => json!(1),
        };
        let metadata = &mut object["metadata"];
        for (kept, made) in [("uid", super::uid()), ("creationTimestamp", super::now())] {
            let kept_value = was.map(|was| was[kept].clone());
            metadata[kept] = kept_value.unwrap_or_else(|| json!(made));
        }
        metadata["name"] = json!(key.name);
        if !key.namespace.is_empty() {
            metadata["namespace"] = json!(key.namespace);
        }
        metadata["generation"] = generation;
        metadata["resourceVersion"] = before
            .as_ref()
            .map_or(Value::Null, |it| it["metadata"]["resourceVersion"].clone());
        if before.as_ref() != Some(&object) {
            metadata_version(&mut object, self.history.elapse());
            self.things.all.insert(key.clone(), object);
        }
        &self.things.all[key]
    }

    /// A merge patch.
    pub fn patch_thing(
        &mut self,
        key: &Key,
        patch: &Value,
        dry_run: bool,
    ) -> Result<Value, Refusal> {
        let live = self.things.get(key).ok_or_else(|| key.absent())?;
        let (named, metadata) = (&patch["metadata"], &live["metadata"]);
        let version = &named["resourceVersion"];
        if !version.is_null() && *version != metadata["resourceVersion"] {
            let text = format!(
                "Operation cannot be fulfilled on {}.{} \"{}\": the object has been modified; please apply your changes to the latest version and try again",
                key.plural, key.group, key.name
            );
            return Err(Refusal::new(Why::Conflict, text));
        }
        if !named["uid"].is_null() && named["uid"] != metadata["uid"] {
            let text = "metadata.uid: Invalid value: field is immutable";
            return Err(Refusal::new(Why::Invalid, text));
        }
        let mut next = live.clone();
        merge(&mut next, patch);
        if dry_run {
            return Ok(next);
        }
        let doomed = !next["metadata"]["deletionTimestamp"].is_null();
        let written = self.put_thing(key, next).clone();
        if doomed && free(&written) {
            self.remove_thing(key);
        }
        Ok(written)
    }

    /// The object as it is then: one with a finalizer stays, and is marked.
    pub fn delete_thing(&mut self, key: &Key, deletion: &Deletion) -> Result<Value, Refusal> {
        let live = self.things.get(key).ok_or_else(|| key.absent())?;
        let mut live = live.clone();
        deletion.judge(&live["metadata"])?;
        if deletion.dry_run {
            return Ok(live);
        }
        if deletion.dependents == Dependents::Stay {
            let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
            self.orphan(uid);
        }
        if free(&live) {
            self.remove_thing(key);
        } else if live["metadata"]["deletionTimestamp"].is_null() {
            live["metadata"]["deletionTimestamp"] = json!(super::now());
            live = self.put_thing(key, live).clone();
        }
        Ok(live)
    }

    pub(super) fn remove_thing(&mut self, key: &Key) {
        if self.things.all.remove(key).is_some() {
            self.history.elapse();
            self.collect_garbage();
        }
    }
}

fn metadata_version(object: &mut Value, version: u64) {
    object["metadata"]["resourceVersion"] = json!(version.to_string());
}

/// Whether nobody is to be waited for before it goes.
fn free(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_none_or(Vec::is_empty)
}
