//! What every translation of one run shares: what the command line supplies, and what other objects of the input say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Entry, Item, Remote, Service, Store, Template};
use super::kes::settings::Settings;
use super::object::Place;
use super::tree::Field;
use super::words::quoted;
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
    /// What gets a name here gets the cluster's before it.
    pub qualify: bool,
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
    },
    /// It exists under this name.
    Mapped {
        name: String,
        service: Service,
    },
    Refused(Place),
}

/// The namespaces that may use a store of ESO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admits {
    /// It has no conditions.
    All,
    Named(Vec<String>),
    /// By labels or expressions, too.
    Unknown,
}

/// The namespaces that an object's Secrets go to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach<'a> {
    pub namespaces: &'a [String],
    pub selectors: &'a [String],
}

/// What a reference to a store leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub name: String,
    pub service: Service,
    pub prefix: bool,
}

/// What the input calls its stores.
#[derive(Default)]
pub(super) struct Called {
    /// With their scope.
    whole: BTreeSet<String>,
    /// Without it, where that is enough to be found.
    short: BTreeSet<String>,
}

#[derive(Default)]
pub(super) struct Context {
    pub options: Options,
    pub kes: Settings,
    pub stores: BTreeMap<StoreId, Known>,
    /// Of the stores in the input, also of those that one of ours takes the place of.
    pub admits: RefCell<BTreeMap<StoreId, Admits>>,
    /// The role of a service account, by namespace and name.
    pub roles: BTreeMap<(String, String), String>,
    /// `ClusterExternalSecret`s of the input, by name.
    pub spread: BTreeSet<String>,
    /// What is true of the run and not of one key, each once.
    pub notes: RefCell<BTreeSet<&'static str>>,
    /// Stores that KES objects turned out to need, by name.
    pub made: RefCell<BTreeMap<String, Store>>,
    pub called: RefCell<Called>,
}

const SELECTED: &str = "the store's conditions do not admit every namespace, and which of those that a selector finds they admit cannot be told here; name the namespaces in `namespaces`, without a selector, or take the conditions away";

impl Context {
    pub(super) fn note(&self, sentence: &'static str) {
        self.notes.borrow_mut().insert(sentence);
    }

    pub(super) fn cluster(&self) -> &str {
        self.options.cluster.as_deref().unwrap_or("default")
    }

    /// A name as it is here.
    pub(super) fn qualified(&self, name: &str) -> String {
        if self.options.qualify {
            format!("{}/{name}", self.cluster())
        } else {
            name.to_owned()
        }
    }

    /// What the names of files begin with.
    pub(super) fn file_prefix(&self) -> String {
        if self.options.qualify {
            // Neither has a cluster's name a capital, nor a file's a slash.
            format!("{}.", self.cluster().replace('/', "S"))
        } else {
            String::new()
        }
    }

    /// The store of values that stood in the input.
    pub(super) fn literals_store(&self) -> String {
        super::scope::own_store_name(self, "literals")
    }

    /// Ours for one of theirs, where the command line says so. A name with its scope says more than one without.
    pub(super) fn mapped(&self, id: &StoreId) -> Option<&str> {
        let scope = id.namespace.as_deref().unwrap_or("cluster");
        let whole = format!("{scope}/{}", id.name);
        let mut called = self.called.borrow_mut();
        called.whole.insert(whole.clone());
        called.short.insert(id.name.clone());
        let stores = &self.options.stores;
        let named = |name: &String| stores.iter().find(|(theirs, _)| theirs == name);
        let found = named(&whole).or_else(|| named(&id.name));
        found.map(|(_, ours)| ours.as_str())
    }

    /// Ours for one that KES had no name for, by the one that it gets here.
    pub(super) fn mapped_made(&self, name: &str) -> Option<&str> {
        self.called.borrow_mut().whole.insert(name.to_owned());
        let mut stores = self.options.stores.iter();
        let found = stores.find(|(theirs, _)| theirs == name);
        found.map(|(_, ours)| ours.as_str())
    }

    /// Each `--store` whose name is nobody's, with what the input calls its stores.
    pub(super) fn idle(&self) -> Vec<String> {
        let called = self.called.borrow();
        let is_called =
            |theirs: &String| called.whole.contains(theirs) || called.short.contains(theirs);
        let stores = self.options.stores.iter();
        let idle = stores.filter(|(theirs, _)| !is_called(theirs));
        idle.map(|(theirs, ours)| idle_store(theirs, ours, &called.whole))
            .collect()
    }

    /// The store that a reference names; where it leads nowhere, that is said at `at`.
    pub(super) fn choose(&self, id: &StoreId, reach: Reach<'_>, at: &Field) -> Option<Chosen> {
        self.found(id, at).filter(|_| self.admitted(id, reach, at))
    }

    fn found(&self, id: &StoreId, at: &Field) -> Option<Chosen> {
        match self.stores.get(id) {
            Some(Known::Converted { store }) => Some(Chosen {
                name: store.name.clone(),
                service: store.service,
                prefix: store.prefix.is_some(),
            }),
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

    /// Whether ESO let these namespaces use the store, as far as that can be told.
    fn admitted(&self, id: &StoreId, reach: Reach<'_>, at: &Field) -> bool {
        let all = self.admits.borrow();
        let closed = |open: &[String]| reach.namespaces.iter().any(|it| !open.contains(it));
        match all.get(id) {
            Some(Admits::Named(_) | Admits::Unknown) if !reach.selectors.is_empty() => {
                at.refuse(SELECTED);
                false
            }
            Some(Admits::Named(open)) if closed(open) => {
                at.refuse("the store's conditions do not admit this namespace");
                false
            }
            Some(Admits::Unknown) => {
                at.warn("whether the store's conditions admit the namespace cannot be told here: look whether ESO delivers there");
                true
            }
            None | Some(Admits::All | Admits::Named(_)) => true,
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
            store: Some(self.literals_store()),
            spot: None,
        });
        let value = SecretBytes::new(text.into_bytes());
        entry.literals.insert(name, value);
        at.warn("the value moves to the file of `--literals`");
    }
}

/// Names of stores that a sentence has room for.
const SHOWN: usize = 6;

fn idle_store(theirs: &str, ours: &str, called: &BTreeSet<String>) -> String {
    let pair = quoted(&format!("--store {theirs}={ours}"));
    if called.is_empty() {
        return format!("{pair} has no effect: no object of the input names a store");
    }
    let likeness = |name: &str| {
        let short = name.split_once('/').map_or(name, |it| it.1);
        strsim::jaro_winkler(name, theirs).max(strsim::jaro_winkler(short, theirs))
    };
    let mut names: Vec<&str> = called.iter().map(String::as_str).collect();
    names.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    let shown = names.iter().take(SHOWN).map(|name| quoted(name));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{pair} has no effect: no store is called so in the input, where there are {shown}{more}"
    )
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
