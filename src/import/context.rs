//! What every translation of one run shares: what the command line supplies, and what other objects of the input say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Entry, Item, Remote, Service, Store, Template};
use super::kes::settings::Settings;
use super::object::Place;
use super::tree::Field;
use crate::secret::SecretBytes;

/// What the command line supplies, checked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// For what says no region.
    pub region: Option<String>,
    /// For objects without a namespace.
    pub namespace: Option<String>,
    /// What the cluster is called here.
    pub cluster: Option<String>,
    /// Their name of a store, ours.
    pub stores: Vec<(String, String)>,
    /// Where values of the input go: the path as the output names it.
    pub literals: Option<String>,
}

/// What a store of ESO is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoreId {
    /// Absent: a `ClusterSecretStore`.
    pub namespace: Option<String>,
    pub name: String,
}

#[derive(Clone, Debug)]
pub(super) enum Known {
    /// It is in the output under this name.
    Converted {
        store: Box<Store>,
        /// Absent: any.
        namespaces: Option<Vec<String>>,
    },
    /// It exists under this name.
    Mapped {
        name: String,
        service: Service,
    },
    Refused(Place),
}

/// What a reference to a store leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub name: String,
    pub service: Service,
    pub prefix: bool,
}

#[derive(Default)]
pub(super) struct Context {
    pub options: Options,
    pub kes: Settings,
    pub stores: BTreeMap<StoreId, Known>,
    /// The role of a service account, by namespace and name.
    pub roles: BTreeMap<(String, String), String>,
    /// `ClusterExternalSecret`s of the input, by name.
    pub spread: BTreeSet<String>,
    /// What is true of the run and not of one key, each once.
    pub notes: RefCell<BTreeSet<&'static str>>,
    /// Stores that KES objects turned out to need, by name.
    pub made: RefCell<BTreeMap<String, Store>>,
}

/// The store of values that stood in the input.
pub(super) const LITERALS: &str = "literals";

impl Context {
    pub(super) fn note(&self, sentence: &'static str) {
        self.notes.borrow_mut().insert(sentence);
    }

    pub(super) fn cluster(&self) -> &str {
        self.options.cluster.as_deref().unwrap_or("default")
    }

    /// Ours for one of theirs, where the command line says so.
    pub(super) fn mapped(&self, id: &StoreId) -> Option<&str> {
        let scope = id.namespace.as_deref().unwrap_or("cluster");
        let whole = format!("{scope}/{}", id.name);
        let mut pairs = self.options.stores.iter();
        let found = pairs.find(|(theirs, _)| *theirs == whole || *theirs == id.name);
        found.map(|(_, ours)| ours.as_str())
    }

    /// The store that a reference in `namespace` names; where it leads nowhere, that is said at `at`.
    pub(super) fn choose(&self, id: &StoreId, namespaces: &[String], at: &Field) -> Option<Chosen> {
        match self.stores.get(id) {
            Some(Known::Converted {
                store,
                namespaces: open,
            }) => {
                let closed = namespaces
                    .iter()
                    .any(|it| open.as_ref().is_some_and(|open| !open.contains(it)));
                if closed {
                    at.refuse("the store's conditions do not admit this namespace");
                    return None;
                }
                Some(Chosen {
                    name: store.name.clone(),
                    service: store.service,
                    prefix: store.prefix.is_some(),
                })
            }
            Some(Known::Mapped { name, service }) => Some(chosen(name, *service)),
            Some(Known::Refused(place)) => {
                at.refuse(format!(
                    "this store is refused at {place}; `--store NAME=OURS` names another"
                ));
                None
            }
            None => {
                let ours = self.mapped(id);
                if ours.is_none() {
                    at.refuse("this store is not in the input; `--store NAME=OURS` says which of yours it is");
                }
                ours.map(|ours| chosen(ours, Service::SecretsManager))
            }
        }
    }

    /// A value of the input on its way to the side file, or a refusal; `key` is what it is for.
    pub(super) fn literal(
        &self,
        entry: &mut Entry,
        (key, secret_key): (&str, &str),
        value: Vec<u8>,
        at: &Field,
    ) {
        if self.options.literals.is_none() {
            at.refuse(
                "a value stands here; `--literals FILE` moves it to a file that a file store reads",
            );
            return;
        }
        if value.is_empty() {
            at.refuse("an empty value is delivered by no store");
            return;
        }
        if entry.data.iter().any(|item| item.key == secret_key) {
            at.refuse("this value and a fetched one have the same key");
            return;
        }
        let name = format!("{}/{key}", entry.name);
        let (text, decoding) = match String::from_utf8(value) {
            Ok(text) => (text, None),
            Err(binary) => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(binary.as_bytes());
                (text, Some("base64"))
            }
        };
        entry.data.push(Item {
            key: secret_key.to_owned(),
            remote: Remote {
                key: name.clone(),
                decoding,
                ..Remote::default()
            },
            store: Some(LITERALS.to_owned()),
        });
        let value = SecretBytes::new(text.into_bytes());
        entry.literals.insert(name, value);
        at.warn("the value moves to the file of `--literals`");
    }
}

fn chosen(name: &str, service: Service) -> Chosen {
    Chosen {
        name: name.to_owned(),
        service,
        prefix: false,
    }
}

/// A template that was not there yet.
pub(super) fn template(entry: &mut Entry) -> &mut Template {
    entry.template.get_or_insert_with(Template::default)
}
