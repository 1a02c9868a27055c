//! The API server's rules for Secrets: server-side apply, plain updates, preconditions, immutability.
//!
//! Pure: no HTTP and no faults. Every rule here was measured on a real API server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::body::Wanted;
use super::controllers::Controllers;
use super::history::History;
use super::namespaces::Namespaces;
use super::object::{Field, Fields, How, Manager, Secret};
use super::refusal::{Refusal, Why};
use super::things::Things;
use super::validity;
use super::workloads::Workloads;

/// Everything the server keeps.
pub struct Store {
    pub namespaces: Namespaces,
    pub things: Things,
    pub workloads: Workloads,
    pub controllers: Controllers,
    pub owner_references_permission_enforcement: bool,
    pub(super) secrets: BTreeMap<(String, String), Secret>,
    pub history: History,
}

/// One writer and how it writes.
pub struct Writer<'a> {
    pub manager: &'a str,
    pub force: bool,
    pub dry_run: bool,
    /// Whether it may change who owns an object.
    pub owners: Owners,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    Change,
    Stay,
}

impl Owners {
    pub fn change_if(may: bool) -> Self {
        if may { Self::Change } else { Self::Stay }
    }
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
            things: Things::default(),
            workloads: Workloads::default(),
            controllers: Controllers::default(),
            owner_references_permission_enforcement: false,
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
        next.listed.retain(|it| next.fields.contains_key(it));
        for field in &wanted.listed {
            if !next.listed.contains(field) {
                next.listed.push(field.clone());
            }
        }
        let owned = wanted.fields.keys().cloned().collect();
        next.set_manager(writer.manager, How::Apply, owned);
        self.store(live.as_ref(), next, writer)
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
        let named = wanted.managed_fields.as_ref();
        if let Some(managers) = named.and_then(|list| managers(list, &next.fields)) {
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
        next.listed.clone_from(&wanted.listed);
        if tracked {
            let before = next.manager(writer.manager, How::Update);
            let mut owned = before.map(|m| m.fields.clone()).unwrap_or_default();
            owned.extend(changed);
            next.set_manager(writer.manager, How::Update, owned);
        }
        self.store(live.as_ref(), next, writer)
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
        writer: &Writer<'_>,
    ) -> Result<Written, Refusal> {
        next.fields
            .entry(Field::Type)
            .or_insert_with(|| json!("Opaque"));
        if let Some(live) = live {
            validity::change(live, &next, writer)?;
            let same = live.fields == next.fields && live.listed == next.listed;
            if same && said(&live.managers).eq(said(&next.managers)) {
                return Ok(Written {
                    secret: next,
                    created: false,
                });
            }
        }
        if !writer.dry_run {
            next.resource_version = self.history.next_version();
            let key = (next.namespace.clone(), next.name.clone());
            if next.deleting.is_some() && next.finalizers().is_empty() {
                self.remove(&key);
            } else {
                self.secrets.insert(key, next.clone());
                let (before, after) = (live.map(Secret::to_json), next.to_json());
                self.history
                    .record(next.resource_version, "secrets", before, Some(after));
            }
        }
        Ok(Written {
            secret: next,
            created: live.is_none(),
        })
    }
}

/// Who owns what: an entry whose time alone is another says the same.
fn said(managers: &[Manager]) -> impl Iterator<Item = (&str, How, &BTreeSet<Field>)> {
    managers.iter().map(|it| (&*it.name, it.how, &it.fields))
}

fn fresh(namespace: &str, name: &str) -> Secret {
    Secret {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: super::uid(),
        resource_version: 0,
        created: super::now(),
        fields: Fields::new(),
        listed: Vec::new(),
        deleting: None,
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

/// The managers that a body names: nobody for one empty entry, which asks for that, and `None` for what cannot be read
/// or is empty, so that a client that does not know the field does not wipe it.
fn managers(list: &Value, live: &Fields) -> Option<Vec<Manager>> {
    let list = list.as_array()?;
    if list.as_slice() == [json!({})] {
        return Some(Vec::new());
    }
    let managers = list.iter().map(|it| Manager::from_json(it, live));
    let managers: Vec<_> = managers.collect::<Option<_>>()?;
    (!managers.is_empty()).then_some(managers)
}
