//! The distinct reads of a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::{Config, DeletionPolicy, Entry, OnMissing, Selection, Target};
use crate::store::Read;

/// Each distinct read, at the shortest interval of the entries that use it.
pub(super) fn of(config: &Config) -> BTreeMap<Read, Duration> {
    let mut reads = BTreeMap::new();
    for entry in config.entries.values() {
        let items = entry.data.iter().map(|it| (&it.store, it.source.clone()));
        let from = entry.data_from.iter();
        let from = from.map(|it| (&it.store, it.source()));
        for (store, source) in items.chain(from) {
            let store = store.clone();
            let interval = entry.refresh_interval;
            let shortest = reads.entry(Read::new(store, source)).or_insert(interval);
            *shortest = interval.min(*shortest);
        }
    }
    reads
}

/// The finds that go on without what they no longer list: whether it is gone is seen by the tags of each.
pub(super) fn finds_that_may_lose(config: &Config) -> BTreeSet<Read> {
    let losing = config.entries.values().flat_map(|entry| {
        let removes = removes(entry);
        let items = entry.data_from.iter();
        items.filter(move |item| removes || item.on_missing != OnMissing::Fail)
    });
    losing
        .map(|item| Read::new(item.store.clone(), item.source()))
        .collect()
}

/// Whether something of it goes by the policy of a target.
fn removes(entry: &Entry) -> bool {
    let listed = entry.targets.iter().map(|target| match target {
        Target::Kubernetes(target) => target.deletion_policy,
        Target::File(target) => target.deletion_policy,
    });
    let selected = entry.selections.iter().map(Selection::like);
    let selected = selected.map(|target| target.deletion_policy);
    listed
        .chain(selected)
        .any(|policy| policy != DeletionPolicy::Retain)
}
