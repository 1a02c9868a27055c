//! The API server's rules for Secrets: server-side apply, plain updates, preconditions, immutability.
//!
//! Pure: no HTTP and no faults. Every rule here was measured on a real API server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::body::Wanted;
use super::history::History;
use super::namespaces::Namespaces;
use super::object::{Field, Fields, How, Manager, Secret};
use super::refusal::{Refusal, Why};

/// Everything the server keeps.
pub struct Store {
    pub namespaces: Namespaces,
    secrets: BTreeMap<(String, String), Secret>,
    pub history: History,
}

/// One writer and how it writes.
pub struct Writer<'a> {
    pub manager: &'a str,
    pub force: bool,
    pub dry_run: bool,
}

pub struct Written {
    pub secret: Secret,
    pub created: bool,
}

impl Default for Store {
    fn default() -> Self {
        let history = History::default();
        Self {
            namespaces: Namespaces::new(history.clone()),
            secrets: BTreeMap::new(),
            history,
        }
    }
}

impl Store {
    /// Every object of a collection.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        match resource {
            "secrets" => self.secrets.values().map(Secret::to_json).collect(),
            _ => self.namespaces.all().cloned().collect(),
        }
    }

    /// A namespace goes with all that is in it.
    pub fn delete_namespace(&mut self, name: &str) {
        self.namespaces.terminate(name);
        let within = self
            .secrets
            .keys()
            .filter(|(namespace, _)| namespace == name);
        for (namespace, name) in within.cloned().collect::<Vec<_>>() {
            let _ = self.delete(&namespace, &name, &Value::Null);
        }
        self.namespaces.remove(name);
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<&Secret> {
        self.secrets.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Server-side apply.
    pub fn apply(
        &mut self,
        namespace: &str,
        name: &str,
        wanted: &Wanted,
        writer: &Writer<'_>,
    ) -> Result<Written, Refusal> {
        let live = self.judged(namespace, name, wanted)?;
        if wanted.managed_fields.is_some() {
            let text = "metadata.managedFields must be nil";
            return Err(Refusal::new(Why::BadRequest, text));
        }
        let mut next = live.clone().unwrap_or_else(|| fresh(namespace, name));
        if live.is_some() && next.managers.is_empty() {
            // Nobody is known to have written it: whoever did is made up.
            let fields = next.fields.keys().cloned().collect();
            next.set_manager("before-first-apply", How::Update, fields);
        }
        let conflicts = conflicts(&next, wanted, writer);
        if !conflicts.is_empty() && !writer.force {
            return Err(refuse_conflicts(&conflicts));
        }
        for (field, _) in &conflicts {
            for manager in &mut next.managers {
                manager.fields.remove(field);
            }
        }
        let before = next
            .manager(writer.manager, How::Apply)
            .map(|manager| manager.fields.clone())
            .unwrap_or_default();
        for field in before {
            let shared = next
                .others(&field, writer.manager, How::Apply)
                .next()
                .is_some();
            // A Secret's type is filled in again by the server, so it never really goes.
            if !wanted.fields.contains_key(&field) && !shared && field != Field::Type {
                next.fields.remove(&field);
            }
        }
        next.fields.extend(wanted.fields.clone());
        let owned = wanted.fields.keys().cloned().collect();
        next.set_manager(writer.manager, How::Apply, owned);
        self.store(live.as_ref(), next, writer.dry_run)
    }

    /// A plain write (create, replace, merge patch, `kubectl edit`): the writer takes every field it changes, from the
    /// managers that the body names, or else from those that there were.
    pub fn update(
        &mut self,
        namespace: &str,
        name: &str,
        wanted: &Wanted,
        writer: &Writer<'_>,
    ) -> Result<Written, Refusal> {
        let live = self.judged(namespace, name, wanted)?;
        let mut next = live.clone().unwrap_or_else(|| fresh(namespace, name));
        let mut fields = wanted.fields.clone();
        let kept_type = json!(next.secret_type());
        fields.entry(Field::Type).or_insert(kept_type);
        let changed: BTreeSet<Field> = fields
            .iter()
            .filter(|(field, value)| next.fields.get(field) != Some(value))
            .map(|(field, _)| field.clone())
            .collect();
        if let Some(managers) = wanted.managed_fields.as_ref().and_then(managers) {
            next.managers = managers;
        }
        let tracked = live.is_none() || !next.managers.is_empty();
        let is_writer = |m: &Manager| m.name == writer.manager && m.how == How::Update;
        for manager in &mut next.managers {
            let keeps = is_writer(manager);
            let owned = &mut manager.fields;
            owned.retain(|field| fields.contains_key(field) && (keeps || !changed.contains(field)));
        }
        next.fields = fields;
        if tracked {
            let before = next.manager(writer.manager, How::Update);
            let mut owned = before.map(|m| m.fields.clone()).unwrap_or_default();
            owned.extend(changed);
            next.set_manager(writer.manager, How::Update, owned);
        }
        self.store(live.as_ref(), next, writer.dry_run)
    }

    pub fn delete(
        &mut self,
        namespace: &str,
        name: &str,
        preconditions: &Value,
    ) -> Result<Secret, Refusal> {
        let live = self
            .get(namespace, name)
            .ok_or_else(|| Refusal::not_found("secrets", name))?;
        let says = |value: &Value, have: &str| value.is_null() || value == have;
        if !says(&preconditions["uid"], &live.uid)
            || !says(
                &preconditions["resourceVersion"],
                &live.resource_version.to_string(),
            )
        {
            let text = "Precondition failed: UID or ResourceVersion in precondition differs";
            return Err(Refusal::new(Why::Conflict, text));
        }
        let key = (namespace.to_owned(), name.to_owned());
        let deleted = self
            .secrets
            .remove(&key)
            .ok_or_else(|| Refusal::not_found("secrets", name))?;
        let version = self.history.next_version();
        self.history
            .record(version, "secrets", Some(deleted.to_json()), None);
        Ok(deleted)
    }

    /// The live object, once the namespace and the body's preconditions are found to hold.
    fn judged(
        &self,
        namespace: &str,
        name: &str,
        wanted: &Wanted,
    ) -> Result<Option<Secret>, Refusal> {
        if !self.namespaces.contains(namespace) {
            return Err(Refusal::not_found("namespaces", namespace));
        }
        let live = self.get(namespace, name);
        let uid = live.map(|live| live.uid.as_str());
        let version = live.map(|live| live.resource_version.to_string());
        if wanted.uid.is_some() && wanted.uid.as_deref() != uid {
            let text = "Precondition failed: UID in precondition differs from UID in object meta";
            return Err(Refusal::new(Why::Conflict, text));
        }
        if wanted.resource_version.is_some() && wanted.resource_version != version {
            let text = format!(
                "Operation cannot be fulfilled on secrets \"{name}\": the object has been modified; please apply your changes to the latest version and try again"
            );
            return Err(Refusal::new(Why::Conflict, text));
        }
        Ok(live.cloned())
    }

    /// Validates the change and keeps it; what changes nothing keeps its resource version.
    fn store(
        &mut self,
        live: Option<&Secret>,
        mut next: Secret,
        dry_run: bool,
    ) -> Result<Written, Refusal> {
        next.fields
            .entry(Field::Type)
            .or_insert_with(|| json!("Opaque"));
        if let Some(live) = live {
            immutable(live, &next)?;
            if live.fields == next.fields && live.managers == next.managers {
                return Ok(Written {
                    secret: next,
                    created: false,
                });
            }
        }
        if !dry_run {
            next.resource_version = self.history.next_version();
            let key = (next.namespace.clone(), next.name.clone());
            self.secrets.insert(key, next.clone());
            let before = live.map(Secret::to_json);
            self.history.record(
                next.resource_version,
                "secrets",
                before,
                Some(next.to_json()),
            );
        }
        Ok(Written {
            secret: next,
            created: live.is_none(),
        })
    }
}

fn fresh(namespace: &str, name: &str) -> Secret {
    Secret {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: super::uid(),
        resource_version: 0,
        created: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
        fields: Fields::new(),
        managers: Vec::new(),
    }
}

/// Fields with another value that somebody else owns, with the owner.
fn conflicts(live: &Secret, wanted: &Wanted, writer: &Writer<'_>) -> Vec<(Field, String)> {
    let mut found = Vec::new();
    for (field, value) in &wanted.fields {
        if live.fields.get(field) == Some(value) {
            continue;
        }
        let owners = live.others(field, writer.manager, How::Apply);
        found.extend(owners.map(|owner| (field.clone(), owner.name.clone())));
    }
    found
}

fn refuse_conflicts(conflicts: &[(Field, String)]) -> Refusal {
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(field, owner)| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with \"{owner}\" using v1"),
                "field": field.path(),
            })
        })
        .collect();
    let text = format!("Apply failed with {} conflicts", conflicts.len());
    Refusal::new(Why::Conflict, text).with_causes(causes)
}

fn immutable(live: &Secret, next: &Secret) -> Result<(), Refusal> {
    if live.secret_type() != next.secret_type() {
        let text = format!(
            "type: Invalid value: \"{}\": field is immutable",
            next.secret_type()
        );
        return Err(Refusal::new(Why::Invalid, text));
    }
    if live.immutable() && !(next.immutable() && live.data().eq(next.data())) {
        let text = "data: Forbidden: field is immutable when `immutable` is set";
        return Err(Refusal::new(Why::Invalid, text));
    }
    Ok(())
}

/// The managers that a body names: nobody for one empty entry, which asks for that, and `None` for what cannot be read
/// or is empty, so that a client that does not know the field does not wipe it.
fn managers(list: &Value) -> Option<Vec<Manager>> {
    let list = list.as_array()?;
    if list.as_slice() == [json!({})] {
        return Some(Vec::new());
    }
    let managers: Vec<_> = list.iter().map(Manager::from_json).collect::<Option<_>>()?;
    (!managers.is_empty()).then_some(managers)
}
