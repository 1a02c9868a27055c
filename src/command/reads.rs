//! The distinct reads of a configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Config, Source};
use crate::store::Read;

/// Each distinct read, at the shortest interval of the entries that use it.
pub(super) fn of(config: &Config) -> BTreeMap<Read, Duration> {
    let mut reads = BTreeMap::new();
    for entry in config.entries.values() {
        let items = entry.data.iter().map(|it| (&it.store, it.source.clone()));
        let finds = entry.data_from.iter();
        let finds = finds.map(|it| (&it.store, Source::Find(it.find.clone())));
        for (store, source) in items.chain(finds) {
            let store = store.clone();
            let interval = entry.refresh_interval;
            let shortest = reads.entry(Read { store, source }).or_insert(interval);
            *shortest = interval.min(*shortest);
        }
    }
    reads
}
