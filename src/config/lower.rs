//! From the tree to a [`Config`]: every check that needs no call.
//!
//! One file per table of the schema. Each reports what it finds and returns what it could make of the rest, so that
//! no mistake hides another; only without any error is there a `Config`.

mod action;
mod auth;
mod clusters;
mod conflicts;
mod daemon;
mod data;
mod data_from;
mod defaults;
mod entry;
mod file;
mod find;
mod keys;
mod kubernetes;
mod leader;
mod metadata;
mod namespaces;
mod needs;
mod own_paths;
mod permissions;
mod property;
mod remote_name;
mod remote_ref;
mod rewrite;
mod scalar;
mod sections;
mod stores;
mod tags;
mod template;
mod url;
mod workload;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use self::needs::Needs;
pub(super) use self::scalar::absolute;
pub use self::scalar::parse_duration;
use self::sections::{Named, Sections};
use super::problems::{At, Place, Problem, Problems, Shown};
use super::source::{FileId, Sources};
use super::surroundings::Surroundings;
use super::tree::{Table, closest};
use super::{Cluster, Config, Daemon, Store};
use crate::names::{AccountId, ClusterName, EntryName, Expected, StoreName};

/// What lowering needs besides the tree, and what it notes on the way.
struct Lowering<'a> {
    problems: &'a Problems,
    sources: &'a Sources,
    surroundings: &'a Surroundings,
    /// Every file the daemon will read. No target may be one of them.
    inputs: RefCell<Vec<At<PathBuf>>>,
    needs: Needs,
}

impl<'a> Lowering<'a> {
    fn new(problems: &'a Problems, sources: &'a Sources, surroundings: &'a Surroundings) -> Self {
        Self {
            problems,
            sources,
            surroundings,
            inputs: RefCell::default(),
            needs: Needs::default(),
        }
    }
}

/// The first names, as a sentence's end.
fn a_few(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What may be referred to by name. A store or cluster with a mistake in it is still there to be referred to.
#[derive(Debug, Default)]
struct References {
    stores: BTreeMap<StoreName, StoreFacts>,
    clusters: BTreeSet<ClusterName>,
}

/// What the sources in a store are judged by.
#[derive(Clone, Debug)]
struct StoreFacts {
    kind: StoreKind,
    /// `None`: it is refused, so that nothing can be said of whole names.
    prefix: Option<String>,
    region: Option<String>,
    account: Option<AccountId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreKind {
    SecretsManager,
    ParameterStore,
    File,
    /// Its table has a mistake.
    Unknown,
}

impl StoreFacts {
    /// A store of which only the kind is known.
    const fn only(kind: StoreKind) -> Self {
        Self {
            kind,
            prefix: None,
            region: None,
            account: None,
        }
    }
}

impl References {
    /// The facts of a store; of one that is not there, that nothing is known.
    fn facts(&self, store: Option<&StoreName>) -> &StoreFacts {
        static UNKNOWN: StoreFacts = StoreFacts::only(StoreKind::Unknown);
        store
            .and_then(|name| self.stores.get(name))
            .unwrap_or(&UNKNOWN)
    }
}

/// Lowers all documents, the main file's first. `None` or a `Config` that was built beside errors must not be used:
/// the caller looks at the problems.
pub(super) fn lower(
    documents: Vec<Table<'_>>,
    sources: &Sources,
    surroundings: &Surroundings,
    problems: &Problems,
) -> Option<Config> {
    let cx = Lowering::new(problems, sources, surroundings);
    let sections = Sections::collect(documents, &cx);
    let main = Place::file(FileId::MAIN);
    let (daemon, leader) = daemon::lower(&cx, sections.daemon, main);

    let mut references = References::default();
    // A store's keys may be in a cluster, a cluster's tokens may be signed by a store: names come before tables.
    let named = cx.cluster_names(sections.clusters, &mut references);
    let stores = cx.stores(sections.stores, &mut references);
    let signers = clusters::Signers {
        references: &references,
        stores: &stores,
    };
    let clusters = cx.clusters(named, signers);
    let leader = leader.and_then(|table| leader::lower(&cx, table, &references));
    cx.needs.check(problems);

    let defaults = defaults::lower(&cx, sections.defaults, &references);
    let mut drafts = Vec::new();
    for named in sections.secrets {
        match cx.name("an entry's name", named.name, EntryName::new) {
            Some(name) => {
                drafts.push(entry::lower(
                    &cx,
                    name,
                    named.table,
                    (&references, &defaults),
                ));
            }
            None => entry::check_nameless(&cx, named.table, (&references, &defaults)),
        }
    }
    conflicts::check(&cx, &drafts, daemon.as_ref());
    // Beside an error it says nothing: the entries may be in what could not be read.
    if drafts.is_empty() && !problems.has_errors() {
        problems.push(
            Problem::warning(main, "there is no entry: nothing is delivered")
                .help("an entry is a table [secrets.NAME]; `include` reads more files"),
        );
    }
    let entries = drafts
        .into_iter()
        .filter_map(entry::Draft::into_entry)
        .collect();
    Some(Config {
        daemon: Daemon { leader, ..daemon? },
        stores,
        clusters,
        entries,
        files: sources.iter().map(|(_, s)| s.path.clone()).collect(),
        included: Vec::new(),
        inputs: cx
            .inputs
            .borrow()
            .iter()
            .map(|it| it.value.clone())
            .collect(),
    })
}

/// Lowers only what says where the daemon is.
pub(super) fn find_socket(
    table: Option<Table<'_>>,
    sources: &Sources,
    surroundings: &Surroundings,
    problems: &Problems,
) -> Option<PathBuf> {
    let cx = Lowering::new(problems, sources, surroundings);
    daemon::find_socket(&cx, table, Place::file(FileId::MAIN))
}

impl Lowering<'_> {
    fn cluster_names<'t>(
        &self,
        sections: Vec<Named<'t>>,
        references: &mut References,
    ) -> Vec<(ClusterName, Table<'t>)> {
        let mut named = Vec::new();
        for section in sections {
            if let Some(name) = self.name("a cluster's name", section.name, ClusterName::new) {
                references.clusters.insert(name.value.clone());
                named.push((name.value, section.table));
            }
        }
        named
    }

    fn stores(
        &self,
        sections: Vec<Named<'_>>,
        references: &mut References,
    ) -> BTreeMap<StoreName, Store> {
        let mut stores = BTreeMap::new();
        for section in sections {
            if let Some(At { value: name, .. }) =
                self.name("a store's name", section.name, StoreName::new)
            {
                let (facts, store) = stores::lower(self, &name, section.table, references);
                references.stores.insert(name.clone(), facts);
                stores.extend(store.map(|store| (name, store)));
            }
        }
        stores
    }

    fn clusters(
        &self,
        named: Vec<(ClusterName, Table<'_>)>,
        signers: clusters::Signers<'_>,
    ) -> BTreeMap<ClusterName, Cluster> {
        let mut clusters = BTreeMap::new();
        for (name, table) in named {
            let cluster = clusters::lower(self, &name, table, signers);
            clusters.extend(cluster.map(|cluster| (name, cluster)));
        }
        clusters
    }

    /// A text that must be a name; the sentence calls it `what`.
    fn name<T>(
        &self,
        what: &str,
        text: At<&str>,
        make: impl FnOnce(Box<str>) -> Result<T, Expected>,
    ) -> Option<At<T>> {
        match make(text.value.into()) {
            Ok(value) => Some(At { value, at: text.at }),
            Err(expected) => {
                self.problems
                    .error(text.at, format!("{what} must be {expected}"));
                None
            }
        }
    }

    fn store(&self, text: At<&str>, references: &References) -> Option<At<StoreName>> {
        self.store_for("", text, references)
    }

    /// `whom` says who names it, behind the sentence.
    fn store_for(
        &self,
        whom: &str,
        text: At<&str>,
        references: &References,
    ) -> Option<At<StoreName>> {
        let known = references.stores.keys();
        let found = known.clone().find(|name| name.as_str() == text.value);
        self.reference(("store", whom), text, found, known.map(StoreName::as_str))
    }

    fn cluster(&self, text: At<&str>, references: &References) -> Option<At<ClusterName>> {
        let known = references.clusters.iter();
        let found = known.clone().find(|name| name.as_str() == text.value);
        self.reference(("cluster", ""), text, found, known.map(ClusterName::as_str))
    }

    fn reference<'k, T: Clone>(
        &self,
        (kind, whom): (&str, &str),
        text: At<&str>,
        found: Option<&T>,
        known: impl Iterator<Item = &'k str>,
    ) -> Option<At<T>> {
        if let Some(name) = found {
            return Some(text.map(|_| name.clone()));
        }
        let known: Vec<&str> = known.collect();
        let near = closest(text.value, known.iter().copied());
        // Only a text that is nearly one of our names is repeated: anything else may be a pasted value.
        let message = match near {
            Some(_) if text.at.shown != Shown::Nothing => {
                format!("there is no {kind} `{}`{whom}", text.value)
            }
            Some(_) | None => format!("there is no {kind} of this name{whom}"),
        };
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("define it as [{kind}s.NAME]"),
            None => format!(
                "define it as [{kind}s.NAME], or name one that is there: {}",
                a_few(&known)
            ),
        };
        self.problems
            .push(Problem::reference(text.at, message).help(help));
        None
    }

    /// Notes a file that the daemon reads.
    fn input(&self, path: &At<PathBuf>) {
        self.inputs.borrow_mut().push(At {
            value: path.value.clone(),
            at: path.at,
        });
    }
}
