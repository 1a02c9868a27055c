//! The old controllers, KES and ESO, one step at a time: they do nothing by themselves, but what a test has them do, or
//! where it says that one is alive, what it does once its Secret has changed.
//!
//! Written after what is known of them: who owns, labels and writes what, and what each leaves alone.

mod eso;
mod kes;
mod live;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Kubernetes;
use super::store::{Owners, Store, Writer};
use super::things::{At, Key, Of};

pub use eso::{Eso, created_by, data_hash};
use live::Live;
pub use live::Pace;

pub const KES: Of<'static> = ("kubernetes-client.io", "externalsecrets");
pub const ESO: Of<'static> = ("external-secrets.io", "externalsecrets");
pub const STORES: Of<'static> = ("external-secrets.io", "secretstores");

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Old {
    Kes,
    Eso(Eso),
}

/// What a controller knows of one `ExternalSecret` besides the object.
#[derive(Clone)]
struct Kept {
    /// What the provider says; nothing where it has no such secret, or cannot be asked.
    data: Option<BTreeMap<String, String>>,
    old: Old,
    /// KES has polled once more since it was told that somebody else handles the object.
    parked: bool,
    /// The generation of the object that ESO reconciled last.
    synced: Option<u64>,
}

#[derive(Default)]
pub struct Controllers {
    /// By namespace and name of the `ExternalSecret`.
    kept: BTreeMap<(String, String), Kept>,
    live: Vec<Live>,
    /// Where the pods of the controllers run and what they are called, if they are to be seen.
    pods: Option<(String, String)>,
}

impl Store {
    fn kept(&self, (namespace, name): At<'_>) -> Option<&Kept> {
        let place = (namespace.to_owned(), name.to_owned());
        self.controllers.kept.get(&place)
    }

    /// The step of whoever handles that `ExternalSecret`, as at the end of an interval.
    pub fn controller_steps(&mut self, place: At<'_>) {
        match self.kept(place).map(|kept| kept.old) {
            Some(Old::Kes) => self.kes_polls(place),
            Some(Old::Eso(_)) => self.eso_reconciles(place),
            None => {}
        }
    }

    fn controller_writer<'a>(&self, manager: &'a str, may_delete: bool) -> Writer<'a> {
        Writer {
            manager,
            force: false,
            dry_run: false,
            owners: Owners::change_if(may_delete || !self.owner_references_permission_enforcement),
        }
    }
}

impl Kubernetes {
    /// An `ExternalSecret` of KES with these values and the Secret that KES made of it; `spec` is what it says besides.
    pub fn kes_keeps(&self, at: At<'_>, data: &[(&str, &str)], spec: &Value) {
        let mut shared = self.lock();
        let store = &mut shared.store;
        if store.things.kind(KES).is_none() {
            store.define(KES, "ExternalSecret", &["v1"]);
        }
        store.keep(at, Old::Kes, data, spec);
    }

    /// An `ExternalSecret` of ESO in namespace and name, with these values, a `SecretStore` named `store`, and the Secret
    /// that ESO made of it.
    pub fn eso_keeps(&self, eso: Eso, at: At<'_>, data: &[(&str, &str)], spec: &Value) {
        let mut shared = self.lock();
        let store = &mut shared.store;
        for (of, kind) in [(ESO, "ExternalSecret"), (STORES, "SecretStore")] {
            if store.things.kind(of).is_none() {
                store.define(of, kind, &[eso.version()]);
            }
        }
        let secret_store = Key::new(STORES, (at.0, "store"));
        if store.things.get(&secret_store).is_none() {
            store.put_thing(&secret_store, json!({"spec": {"provider": {"aws": {}}}}));
        }
        store.keep(at, Old::Eso(eso), data, spec);
    }

    /// The provider says so from here on: nothing, where it has no such secret any more.
    pub fn provider_says(&self, (namespace, name): At<'_>, data: Option<&[(&str, &str)]>) {
        let place = (namespace.to_owned(), name.to_owned());
        let mut shared = self.lock();
        let kept = shared.store.controllers.kept.get_mut(&place).unwrap();
        kept.data = data.map(texts);
    }

    pub fn kes_polls(&self, at: At<'_>) {
        self.lock().store.kes_polls(at);
    }

    pub fn eso_reconciles(&self, at: At<'_>) {
        self.lock().store.eso_reconciles(at);
    }
}

impl Store {
    fn keep(&mut self, at: At<'_>, old: Old, data: &[(&str, &str)], spec: &Value) {
        let mut object = json!({"spec": old.spec(at.1)});
        super::api::merge(&mut object, &json!({"spec": spec}));
        self.put_thing(&Key::new(old.of(), at), object);
        let kept = Kept {
            data: Some(texts(data)),
            old,
            parked: false,
            synced: None,
        };
        let place = (at.0.to_owned(), at.1.to_owned());
        self.controllers.kept.insert(place, kept);
        self.controller_steps(at);
    }

    fn external_secret(&self, at: At<'_>) -> Option<Value> {
        let of = self.kept(at)?.old.of();
        self.things.get(&Key::new(of, at)).cloned()
    }
}

impl Old {
    fn of(self) -> Of<'static> {
        match self {
            Self::Kes => KES,
            Self::Eso(_) => ESO,
        }
    }

    fn spec(self, name: &str) -> Value {
        match self {
            Self::Kes => json!({
                "backendType": "secretsManager", "region": "eu-west-1", "data": [{"key": name, "name": "value"}],
            }),
            Self::Eso(_) => json!({
                "refreshInterval": "1h", "secretStoreRef": {"name": "store", "kind": "SecretStore"},
                "dataFrom": [{"extract": {"key": name}}],
            }),
        }
    }
}

/// The name of the Secret.
fn target(es: &Value) -> String {
    let named = es["spec"]["target"]["name"].as_str();
    let named = named.or(es["metadata"]["name"].as_str());
    named.unwrap_or_default().to_owned()
}

fn texts(data: &[(&str, &str)]) -> BTreeMap<String, String> {
    data.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn encoded(data: &BTreeMap<String, String>) -> Value {
    let pairs: Vec<(&str, &str)> = data.iter().map(|(k, v)| (&**k, &**v)).collect();
    super::encoded(&pairs)
}
