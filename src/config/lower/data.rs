//! `data`: the keys of an entry, each with its source.

use super::defaults::on_missing;
use super::keys::Keys;
use super::{Lowering, References, remote_ref};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{DataItem, OnMissing};
use crate::names::{SecretKey, StoreName};

/// What an entry reads, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub items: Vec<DataItem>,
    pub keys: Keys,
    /// What each item does when its source is gone, and where that is said.
    pub on_missing: Vec<At<OnMissing>>,
}

/// What an item has when it does not name a store itself.
#[derive(Clone, Debug)]
pub(super) struct DefaultStore {
    pub name: Option<StoreName>,
    /// One is written, even if it is wrong.
    pub written: bool,
    /// Which entry that is, behind a sentence about a store that it names.
    pub whom: String,
}

impl DefaultStore {
    /// The store of an item: the one it names, else this.
    pub(super) fn or_own(
        &self,
        cx: &Lowering<'_>,
        table: &mut Table<'_>,
        references: &References,
    ) -> Option<StoreName> {
        if let Some(value) = table.take("store") {
            let text = value.string()?;
            let store = cx.store_for(&self.whom, text, references);
            return store.map(|store| store.value);
        }
        if !self.written {
            cx.problems.push(
                Problem::absence(table.at, "`store` is missing")
                    .help("name one here, in the entry, or in [defaults]"),
            );
        }
        self.name.clone()
    }
}

pub(super) fn lower(
    cx: &Lowering<'_>,
    value: Value<'_>,
    (default, on_missing): (&DefaultStore, Option<At<OnMissing>>),
    references: &References,
) -> Data {
    let at = value.key_at;
    let Some(tables) = value.tables() else {
        return Data::default();
    };
    if tables.is_empty() {
        cx.problems
            .push(Problem::absence(at, "`data` must not be empty"));
    }
    let count = tables.len();
    let mut data = Data::default();
    for table in tables {
        let (key, item, own) = item(cx, table, default, references);
        let on_missing = own.or(on_missing);
        data.on_missing.extend(on_missing);
        if let Some(key) = key {
            if let Some(first) = data.keys.all.iter().find(|k| k.value == key.value) {
                cx.problems.push(
                    Problem::warning(key.at, "this key hides an earlier one of the same name")
                        .other(first.at, "it is here"),
                );
            }
            data.keys.all.push(key);
        }
        data.items.extend(item.map(|item| DataItem {
            on_missing: on_missing.map_or(OnMissing::Fail, |on_missing| on_missing.value),
            ..item
        }));
    }
    data.keys.complete = data.items.len() == count;
    // It is kept as long as the configuration is.
    data.items.shrink_to_fit();
    data
}

fn item(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    default: &DefaultStore,
    references: &References,
) -> (
    Option<At<SecretKey>>,
    Option<DataItem>,
    Option<At<OnMissing>>,
) {
    let secret_key = table
        .need("secret_key")
        .and_then(Value::string)
        .and_then(|text| cx.name("`secret_key`", text, SecretKey::new));
    let store = default.or_own(cx, &mut table, references);
    let on_missing = on_missing(&mut table);
    let facts = references.facts(store.as_ref());
    let remote_ref = table
        .need("remote_ref")
        .and_then(Value::table)
        .and_then(|table| remote_ref::lower(cx, table.discreetly(), facts));
    table.finish();
    let item = match (&secret_key, store, remote_ref) {
        (Some(key), Some(store), Some(remote_ref)) => Some(DataItem {
            secret_key: key.value.clone(),
            store,
            source: remote_ref.source,
            property: remote_ref.property,
            decoding: remote_ref.decoding,
            on_missing: OnMissing::Fail,
        }),
        (_, _, _) => None,
    };
    (secret_key, item, on_missing)
}
