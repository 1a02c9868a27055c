//! `[secrets.NAME]`.

use std::path::PathBuf;
use std::time::Duration;

use super::data::{Data, DefaultStore};
use super::defaults::{Defaults, on_missing};
use super::keys::Keys;
use super::scalar::duration;
use super::{Lowering, References, StoreKind, data, data_from, file, kubernetes, template};
use crate::assemble::Templates;
use crate::assemble::json_format::JsonFormat;
use crate::config::problems::{At, Place, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{
    DataFrom, DataItem, DeletionPolicy, Entry, FileFormat, FileTarget, KubernetesTarget, OnMissing,
    RefreshPolicy, Selection, Target,
};
use crate::names::{EntryName, StoreName};
use crate::schedule::rhythm::JITTER;

/// The interval of an entry that nobody gave one.
const DEFAULT_INTERVAL: Duration = Duration::from_hours(1);
/// Stands for a name that is refused.
const NAMELESS: &str = "nameless";
const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);
const SHORTEST_FILE_INTERVAL: Duration = Duration::from_secs(1);

/// An entry as far as it could be read, with the places that later checks talk about.
pub(super) struct Draft {
    pub name: At<EntryName>,
    /// What it delivers.
    pub keys: Keys,
    data: Vec<DataItem>,
    data_from: Vec<DataFrom>,
    json_format: JsonFormat,
    templates: Option<Templates>,
    template_files: Vec<PathBuf>,
    pub kubernetes: Vec<At<KubernetesTarget>>,
    pub selections: Vec<At<Selection>>,
    pub files: Vec<At<FileTarget>>,
    store: Option<StoreName>,
    refresh_interval: Duration,
    refresh_policy: RefreshPolicy,
    suspended: bool,
    max_stale: Duration,
}

const POLICIES: &[(&str, RefreshPolicy)] = &[
    ("periodic", RefreshPolicy::Periodic),
    ("created_once", RefreshPolicy::CreatedOnce),
];

const FORMATS: &[(&str, JsonFormat)] = &[
    ("raw", JsonFormat::Raw),
    ("kes", JsonFormat::Kes),
    ("eso", JsonFormat::Eso),
];

type Around<'a> = (&'a References, &'a Defaults);

pub(super) fn lower(
    cx: &Lowering<'_>,
    name: At<EntryName>,
    mut table: Table<'_>,
    (references, defaults): Around<'_>,
) -> Draft {
    let default = default_store(cx, &mut table, &name.value, (references, defaults));
    let has_source = table.has("data") || table.has("data_from");
    let on_missing = on_missing(&mut table).or(defaults.on_missing);
    let around = (&default, on_missing);
    let data = table
        .take("data")
        .map(|value| data::lower(cx, value, around, references));
    let data_from = table
        .take("data_from")
        .map(|value| data_from::lower(cx, value, around, references));
    let fetched = fetched(data.as_ref(), data_from.as_ref());
    let template = table.take("template");
    let has_template = template.is_some();
    let template = template.map(|value| template::lower(cx, value, &fetched));
    let keys = delivered(template.as_ref(), fetched);
    let data = data.unwrap_or_default();
    let (data_from, said) = data_from.map_or_else(Default::default, |it| (it.items, it.on_missing));
    let said = said.into_iter().chain(data.on_missing.iter().copied());
    let shortest = shortest(stores(&data_from, &data.items), references);
    let (refresh_interval, max_stale) = times(cx, &mut table, defaults, shortest);
    let refresh_policy = table.choice("refresh_policy", POLICIES);
    let json_format = table.choice("json_format", FORMATS);
    let suspended = table.boolean("suspend");
    let has_target = table.has("kubernetes") || table.has("file");
    let mut secrets = kubernetes::Secrets::default();
    for secret in tables(&mut table, "kubernetes") {
        let around = (references, &defaults.kubernetes);
        secrets.add(cx, secret, (&name, &keys), around);
    }
    let files: Vec<_> = tables(&mut table, "file")
        .into_iter()
        .filter_map(|t| file::lower(cx, t, &keys, &defaults.file))
        .collect();
    can_be_read_back(cx, said, has_template, &files);
    let policies = policies(&secrets, &files);
    can_be_proven(cx, policies, (stores(&data_from, &data.items), references));
    has_both(cx, table.at, (has_source, has_target));
    table.finish();
    let template = template.flatten();
    Draft {
        name,
        keys,
        data: data.items,
        data_from,
        json_format: json_format.map_or_else(JsonFormat::default, |it| it.value),
        template_files: template
            .as_ref()
            .map_or_else(Vec::new, |it| it.files.clone()),
        templates: template.map(|template| template.templates),
        kubernetes: secrets.listed,
        selections: secrets.selected,
        files,
        store: default.name,
        refresh_interval,
        refresh_policy: refresh_policy.map_or_else(RefreshPolicy::default, |it| it.value),
        suspended: suspended.is_some_and(|it| it.value),
        max_stale,
    }
}

/// Something to read, and somewhere to put it.
fn has_both(cx: &Lowering<'_>, at: Place, (source, target): (bool, bool)) {
    if !source {
        let message = "an entry needs a source: `data` or `data_from`";
        cx.problems.push(Problem::absence(at, message));
    }
    if !target {
        let message =
            "an entry needs a target: [[secrets.NAME.kubernetes]] or [[secrets.NAME.file]]";
        cx.problems.push(Problem::absence(at, message));
    }
}

/// The keys of all sources together.
fn fetched(data: Option<&Data>, from: Option<&data_from::Lowered>) -> Keys {
    let none = || Keys {
        all: Vec::new(),
        complete: true,
    };
    let from = from.map_or_else(none, |from| from.keys.clone());
    from.and(data.map_or_else(none, |data| data.keys.clone()))
}

/// The keys that are delivered; of a template with a mistake nothing can be said.
fn delivered(template: Option<&Option<template::Lowered>>, fetched: Keys) -> Keys {
    match template {
        None => fetched,
        Some(Some(template)) => template.keys.clone(),
        Some(None) => Keys::default(),
    }
}

/// `keep_last` delivers again what the target holds, so the target must give it back as it was.
fn can_be_read_back(
    cx: &Lowering<'_>,
    mut said: impl Iterator<Item = At<OnMissing>>,
    has_template: bool,
    files: &[At<FileTarget>],
) {
    let Some(first) = said.find(|said| said.value == OnMissing::KeepLast) else {
        return;
    };
    let dotenv = files
        .iter()
        .find(|file| matches!(file.value.format, FileFormat::Dotenv(_)));
    let why = match (has_template, dotenv) {
        (true, _) => "`keep_last` cannot take a value out of what a template made of it",
        (false, Some(_)) => "`keep_last` cannot take a value out of a `dotenv` file again",
        (false, None) => return,
    };
    let problem = Problem::error(first.at, why)
        .help("say \"fail\" or \"drop\", or deliver it in a target without that");
    cx.problems.push(match dotenv.filter(|_| !has_template) {
        Some(file) => problem.other(file.at, "this file is one"),
        None => problem,
    });
}

/// Where the policy of each target stands.
fn policies(
    secrets: &kubernetes::Secrets,
    files: &[At<FileTarget>],
) -> Vec<(Place, DeletionPolicy)> {
    let listed = secrets.listed.iter();
    let listed = listed.map(|it| (it.at, it.value.deletion_policy));
    let selected = secrets.selected.iter();
    let selected = selected.map(|it| (it.at, it.value.like().deletion_policy));
    let files = files.iter().map(|it| (it.at, it.value.deletion_policy));
    listed.chain(selected).chain(files).collect()
}

/// Nothing goes by a policy without the proof that a source was deleted, and a file store has none.
fn can_be_proven<'a>(
    cx: &Lowering<'_>,
    policies: Vec<(Place, DeletionPolicy)>,
    (stores, references): (impl Iterator<Item = &'a StoreName>, &References),
) {
    let proofs: Vec<bool> = stores
        .map(|store| references.facts(Some(store)).kind != StoreKind::File)
        .collect();
    let never = |policy| match policy {
        DeletionPolicy::Delete if proofs.contains(&false) => Some("delete"),
        DeletionPolicy::Merge if !proofs.contains(&true) => Some("merge"),
        DeletionPolicy::Retain | DeletionPolicy::Delete | DeletionPolicy::Merge => None,
    };
    for (at, policy) in policies {
        let Some(word) = never(policy).filter(|_| !proofs.is_empty()) else {
            continue;
        };
        let message = format!(
            "`deletion_policy = \"{word}\"` never takes effect here: a file store cannot prove that something was deleted"
        );
        cx.problems.push(Problem::warning(at, message).help(
            "take it out; what is to go, take out of the configuration and remove with `secretsyncd prune --apply`",
        ));
    }
}

/// The entry's own store, else the default one.
fn default_store(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    entry: &EntryName,
    (references, defaults): Around<'_>,
) -> DefaultStore {
    let whom = if entry.as_str() == NAMELESS {
        String::new()
    } else {
        format!(", which entry `{entry}` names")
    };
    let Some(value) = table.take("store") else {
        return DefaultStore {
            name: defaults.store.as_ref().map(|store| store.value.clone()),
            written: defaults.has_store,
            whom,
        };
    };
    let store = value
        .string()
        .and_then(|text| cx.store_for(&whom, text, references));
    DefaultStore {
        name: store.map(|store| store.value),
        written: true,
        whom,
    }
}

/// An entry whose name is refused: everything else in it is still checked.
pub(super) fn check_nameless(cx: &Lowering<'_>, table: Table<'_>, around: Around<'_>) {
    let name = EntryName::new(NAMELESS).expect("`nameless` is a legal name");
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
            .map(|t| Target::Kubernetes(t.value.into()));
        let files = self.files.into_iter();
        let files = files.map(|t| Target::File(t.value.into()));
        let entry = Entry {
            store,
            refresh_interval: self.refresh_interval,
            refresh_policy: self.refresh_policy,
            suspended: self.suspended,
            max_stale: self.max_stale,
            data_from: self.data_from,
            data: self.data,
            json_format: self.json_format,
            templates: self.templates.map(Into::into),
            template_files: self.template_files.into(),
            targets: kubernetes.chain(files).collect(),
            selections: self.selections.into_iter().map(|it| it.value).collect(),
        };
        Some((self.name.value, entry))
    }
}

fn tables<'t>(table: &mut Table<'t>, key: &'static str) -> Vec<Table<'t>> {
    table.take(key).and_then(Value::tables).unwrap_or_default()
}

/// The stores of all sources, in the order in which these are put together.
fn stores<'a>(from: &'a [DataFrom], data: &'a [DataItem]) -> impl Iterator<Item = &'a StoreName> {
    let from = from.iter().map(|item| &item.store);
    from.chain(data.iter().map(|item| &item.store))
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

/// Why an entry would be stale that nothing is wrong with.
fn too_short(max_stale: At<Duration>, interval: Duration) -> Option<(At<Duration>, &'static str)> {
    let latest = interval + interval.mul_f64(JITTER);
    let why = if max_stale.value < interval {
        "the entry is stale before each refresh"
    } else if max_stale.value < latest {
        "a refresh comes up to a tenth of the interval late, and the entry is stale until then"
    } else {
        return None;
    };
    Some((max_stale, why))
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
    if let Some((max_stale, why)) = max_stale.and_then(|it| too_short(it, refresh_interval)) {
        let message = "`max_stale` is too short for `refresh_interval`";
        cx.problems
            .push(Problem::warning(max_stale.at, message).help(why));
    }
    let by_interval = refresh_interval * 2 + Duration::from_mins(10);
    (
        refresh_interval,
        max_stale.map_or(by_interval, |stale| stale.value),
    )
}
