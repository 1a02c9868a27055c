//! `[secrets.NAME]`.

use std::time::Duration;

use super::data::{Data, DefaultStore};
use super::defaults::{Defaults, on_missing};
use super::scalar::duration;
use super::{Lowering, References, StoreKind, data, data_from, file, kubernetes, template};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{DataFrom, Entry, FileTarget, KubernetesTarget, Target};
use crate::names::{EntryName, StoreName};

/// The interval of an entry that nobody gave one.
const DEFAULT_INTERVAL: Duration = Duration::from_hours(1);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);
const SHORTEST_FILE_INTERVAL: Duration = Duration::from_secs(1);

/// An entry as far as it could be read, with the places that later checks talk about.
pub(super) struct Draft {
    pub name: At<EntryName>,
    pub data: Data,
    data_from: Vec<DataFrom>,
    pub kubernetes: Vec<At<KubernetesTarget>>,
    pub files: Vec<At<FileTarget>>,
    store: Option<StoreName>,
    refresh_interval: Duration,
    max_stale: Duration,
}

type Around<'a> = (&'a References, &'a Defaults);

pub(super) fn lower(
    cx: &Lowering<'_>,
    name: At<EntryName>,
    mut table: Table<'_>,
    (references, defaults): Around<'_>,
) -> Draft {
    let default = default_store(cx, &mut table, (references, defaults));
    let has_source = table.has("data") || table.has("data_from");
    let plain_data = !table.has("data_from") && !table.has("template");
    let mut data = table
        .take("data")
        .map(|value| data::lower(cx, value, &default, references))
        .unwrap_or_default();
    // With these, `data` is not all that is delivered.
    data.complete &= plain_data;
    let data_from = table
        .take("data_from")
        .map(|value| data_from::lower(cx, value, &default, references))
        .unwrap_or_default();
    if let Some(value) = table.take("template") {
        template::refuse(cx, value);
    }
    let shortest = shortest(stores(&data_from, &data), references);
    let (refresh_interval, max_stale) = times(cx, &mut table, defaults, shortest);
    let _ = table.choice("refresh_policy", &[("periodic", ())], &["created_once"]);
    table.later_true("suspend");
    on_missing(&mut table);
    let has_target = table.has("kubernetes") || table.has("file");
    let kubernetes = tables(&mut table, "kubernetes")
        .into_iter()
        .filter_map(|t| {
            let around = (references, &defaults.kubernetes);
            kubernetes::lower(cx, t, (&name, &data), around)
        })
        .collect();
    let files = tables(&mut table, "file")
        .into_iter()
        .filter_map(|t| file::lower(cx, t, &data, &defaults.file))
        .collect();
    if !has_source {
        cx.problems.push(Problem::absence(
            table.at,
            "an entry needs a source: `data` or `data_from`",
        ));
    }
    if !has_target {
        let message =
            "an entry needs a target: [[secrets.NAME.kubernetes]] or [[secrets.NAME.file]]";
        cx.problems.push(Problem::absence(table.at, message));
    }
    table.finish();
    Draft {
        name,
        data,
        data_from,
        kubernetes,
        files,
        store: default.name,
        refresh_interval,
        max_stale,
    }
}

/// The entry's own store, else the default one.
fn default_store(cx: &Lowering<'_>, table: &mut Table<'_>, around: Around<'_>) -> DefaultStore {
    let (references, defaults) = around;
    let Some(value) = table.take("store") else {
        return DefaultStore {
            name: defaults.store.as_ref().map(|store| store.value.clone()),
            written: defaults.has_store,
        };
    };
    let store = value.string().and_then(|text| cx.store(text, references));
    DefaultStore {
        name: store.map(|store| store.value),
        written: true,
    }
}

/// An entry whose name is refused: everything else in it is still checked.
pub(super) fn check_nameless(cx: &Lowering<'_>, table: Table<'_>, around: Around<'_>) {
    let name = EntryName::new("nameless").expect("`nameless` is a legal name");
    let at = table.at;
    let _ = lower(cx, At { value: name, at }, table, around);
}

impl Draft {
    /// The entry, if enough of it was right. Where not, there is an error.
    pub(super) fn into_entry(self) -> Option<(EntryName, Entry)> {
        let first = || stores(&self.data_from, &self.data).next().cloned();
        let store = self.store.or_else(first)?;
        let kubernetes = self
            .kubernetes
            .into_iter()
            .map(|t| Target::Kubernetes(t.value));
        let files = self.files.into_iter().map(|t| Target::File(t.value));
        let entry = Entry {
            store,
            refresh_interval: self.refresh_interval,
            max_stale: self.max_stale,
            data_from: self.data_from,
            data: self.data.items,
            targets: kubernetes.chain(files).collect(),
        };
        Some((self.name.value, entry))
    }
}

fn tables<'t>(table: &mut Table<'t>, key: &'static str) -> Vec<Table<'t>> {
    table.take(key).and_then(Value::tables).unwrap_or_default()
}

/// The stores of all sources, in the order in which these are put together.
fn stores<'a>(from: &'a [DataFrom], data: &'a Data) -> impl Iterator<Item = &'a StoreName> {
    let from = from.iter().map(|item| &item.store);
    from.chain(data.items.iter().map(|item| &item.store))
}

/// How short the interval of an entry with these sources may be.
fn shortest<'a>(
    mut stores: impl Iterator<Item = &'a StoreName>,
    references: &References,
) -> Duration {
    let remote = stores.any(|store| match references.facts(Some(store)).kind {
        StoreKind::SecretsManager | StoreKind::ParameterStore => true,
        StoreKind::File | StoreKind::Unknown => false,
    });
    if remote {
        SHORTEST_INTERVAL
    } else {
        SHORTEST_FILE_INTERVAL
    }
}

/// `refresh_interval` and `max_stale`.
fn times(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    defaults: &Defaults,
    shortest: Duration,
) -> (Duration, Duration) {
    let interval = table.take("refresh_interval").and_then(duration);
    let max_stale = table.take("max_stale").and_then(duration);
    let interval = interval.or(defaults.refresh_interval);
    if let Some(interval) = interval.filter(|interval| interval.value < shortest) {
        cx.problems.push(
            Problem::error(
                interval.at,
                format!(
                    "`refresh_interval` must be at least {} s",
                    shortest.as_secs()
                ),
            )
            .help("10 s, or 1 s where all sources are file stores"),
        );
    }
    let refresh_interval = interval.map_or(DEFAULT_INTERVAL, |interval| interval.value);
    let max_stale = max_stale.or(defaults.max_stale);
    if let Some(max_stale) = max_stale.filter(|stale| stale.value < refresh_interval) {
        cx.problems.push(
            Problem::warning(
                max_stale.at,
                "`max_stale` is shorter than `refresh_interval`",
            )
            .help("the entry is stale before each refresh"),
        );
    }
    let by_interval = refresh_interval * 2 + Duration::from_mins(10);
    (
        refresh_interval,
        max_stale.map_or(by_interval, |stale| stale.value),
    )
}
