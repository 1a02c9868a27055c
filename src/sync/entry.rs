//! An entry, ready to run: its distinct reads, its items over them, and its targets.

use std::time::Duration;

use crate::assemble::select::Property;
use crate::config::{self, Find, NamePattern, Source, Version};
use crate::names::{EntryName, SecretKey, StoreName};
use crate::state::FoundId;
use crate::store::{Match, Read};
use crate::target::Target;

#[derive(Debug)]
pub struct Entry {
    pub name: EntryName,
    /// The `store` label of its metrics.
    pub store: StoreName,
    pub refresh_interval: Duration,
    pub max_stale: Duration,
    /// Distinct, in the order of the items. What a `find` among them matches is read, too.
    pub reads: Vec<Read>,
    pub items: Vec<Item>,
    pub targets: Vec<Target>,
}

/// What becomes of one of `reads`. Later items win.
#[derive(Debug)]
pub enum Item {
    /// One key of the result.
    One {
        secret_key: SecretKey,
        property: Option<Property>,
        read: usize,
    },
    /// A key for each match of a `find`.
    Found { read: usize },
}

impl Entry {
    pub fn new(name: EntryName, spec: &config::Entry, targets: Vec<Target>) -> Self {
        let mut reads: Vec<Read> = Vec::new();
        let mut place = |store: &StoreName, source: Source| {
            let store = store.clone();
            let read = Read { store, source };
            reads
                .iter()
                .position(|known| *known == read)
                .unwrap_or_else(|| {
                    reads.push(read);
                    reads.len() - 1
                })
        };
        let mut items = Vec::new();
        for item in &spec.data_from {
            let read = place(&item.store, Source::Find(item.find.clone()));
            items.push(Item::Found { read });
        }
        for item in &spec.data {
            items.push(Item::One {
                secret_key: item.secret_key.clone(),
                property: item.property.clone(),
                read: place(&item.store, item.source.clone()),
            });
        }
        Self {
            name,
            store: spec.store.clone(),
            refresh_interval: spec.refresh_interval,
            max_stale: spec.max_stale,
            reads,
            items,
            targets,
        }
    }
}

impl Entry {
    /// Its finds, and how the state knows them.
    pub fn finds(&self) -> impl Iterator<Item = (&Read, FoundId)> {
        self.reads.iter().filter_map(|read| {
            let Source::Find(find) = &read.source else {
                return None;
            };
            let id = FoundId {
                entry: self.name.clone(),
                question: question(&read.store, find),
            };
            Some((read, id))
        })
    }
}

/// Equal texts only for equal questions, whatever is in them, and the same in every release.
fn question(store: &StoreName, find: &Find) -> String {
    let name = find.name.as_ref().map(NamePattern::as_str);
    serde_json::json!([store.as_str(), find.path, name, find.tags]).to_string()
}

/// How a match of `find` is read: by its ARN, which names one life of the secret and no other.
pub fn read_of(find: &Read, found: &Match) -> Read {
    Read {
        store: find.store.clone(),
        source: Source::Value {
            key: found.arn.clone(),
            version: Version::Current,
        },
    }
}
