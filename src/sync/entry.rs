//! An entry, ready to run: its distinct reads, its items over them, and its targets.

use std::time::Duration;

use crate::assemble::select::Property;
use crate::config;
use crate::names::{EntryName, SecretKey, StoreName};
use crate::store::Read;
use crate::target::Target;

#[derive(Debug)]
pub struct Entry {
    pub name: EntryName,
    /// The `store` label of its metrics.
    pub store: StoreName,
    pub refresh_interval: Duration,
    pub max_stale: Duration,
    /// Distinct, in the order of the items.
    pub reads: Vec<Read>,
    pub items: Vec<Item>,
    pub targets: Vec<Target>,
}

/// One key of the result and where in `reads` its value comes from.
#[derive(Debug)]
pub struct Item {
    pub secret_key: SecretKey,
    pub property: Option<Property>,
    pub read: usize,
}

impl Entry {
    pub fn new(name: EntryName, spec: &config::Entry, targets: Vec<Target>) -> Self {
        let mut reads: Vec<Read> = Vec::new();
        let items = spec
            .data
            .iter()
            .map(|item| {
                let read = Read {
                    store: item.store.clone(),
                    source: item.source.clone(),
                };
                let at = reads.iter().position(|known| *known == read);
                Item {
                    secret_key: item.secret_key.clone(),
                    property: item.property.clone(),
                    read: at.unwrap_or_else(|| {
                        reads.push(read);
                        reads.len() - 1
                    }),
                }
            })
            .collect();
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
