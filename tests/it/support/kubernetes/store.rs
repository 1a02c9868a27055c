//! The API server's rules for Secrets: server-side apply, plain updates, preconditions, immutability.
//!
//! Pure: no HTTP and no faults. Every rule here was measured on a real API server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::body::Wanted;
use super::object::{Field, Fields, How, Manager, Secret};
use super::refusal::{Refusal, Why};

/// Everything the server keeps.
#[derive(Default)]
pub struct Store {
    pub namespaces: BTreeSet<String>,
    secrets: BTreeMap<(String, String), Secret>,
    version: u64,
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

impl Store {
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

    /// A plain write (create, replace, merge patch, `kubectl edit`): the writer takes every field it changes.
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
        for manager in &mut next.managers {
            manager
                .fields
                .retain(|field| fields.contains_key(field) && !changed.contains(field));
        }
        next.fields = fields;
        match wanted.managed_fields.as_ref().and_then(Value::as_array) {
            Some(list) if live.as_ref().is_none_or(|live| differs(live, list)) => {
                next.managers = list.iter().filter_map(Manager::from_json).collect();
            }
            _ => {
                let before = next.manager(writer.manager, How::Update);
                let mut owned = before.map(|m| m.fields.clone()).unwrap_or_default();
                owned.extend(changed);
                next.set_manager(writer.manager, How::Update, owned);
            }
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
        self.secrets
            .remove(&key)
            .ok_or_else(|| Refusal::not_found("secrets", name))
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
            self.version += 1;
            next.resource_version = 1000 + self.version;
            let key = (next.namespace.clone(), next.name.clone());
            self.secrets.insert(key, next.clone());
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

/// Whether a body's `managedFields` were rewritten, rather than sent back as they were read.
fn differs(live: &Secret, list: &[Value]) -> bool {
    live.metadata_json()["metadata"]["managedFields"]
        .as_array()
        .map(Vec::as_slice)
        != Some(list)
}
