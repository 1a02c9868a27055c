//! `data`: the keys of an entry, each with its source.

use super::defaults::on_missing;
use super::{Lowering, References, remote_ref};
use crate::config::DataItem;
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::names::{SecretKey, StoreName};

/// What an entry reads, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub items: Vec<DataItem>,
    pub keys: Vec<At<SecretKey>>,
    /// Nothing is missing from `items` and `keys`.
    pub complete: bool,
}

/// What an item has when it does not name a store itself.
#[derive(Clone, Debug)]
pub(super) struct DefaultStore {
    pub name: Option<StoreName>,
    /// One is written, even if it is wrong.
    pub written: bool,
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
            return cx.store(text, references).map(|store| store.value);
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
    default: &DefaultStore,
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
        let (key, item) = item(cx, table, default, references);
        if let Some(key) = key {
            if let Some(first) = data.keys.iter().find(|k| k.value == key.value) {
                cx.problems.push(
                    Problem::warning(key.at, "this key hides an earlier one of the same name")
                        .other(first.at, "it is here"),
                );
            }
            data.keys.push(key);
        }
        data.items.extend(item);
    }
    data.complete = data.items.len() == count;
    data
}

fn item(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    default: &DefaultStore,
    references: &References,
) -> (Option<At<SecretKey>>, Option<DataItem>) {
    let secret_key = table
        .need("secret_key")
        .and_then(Value::string)
        .and_then(|text| cx.name("`secret_key`", text, SecretKey::new));
    let store = default.or_own(cx, &mut table, references);
    on_missing(&mut table);
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
            source: remote_ref.0,
            property: remote_ref.1,
        }),
        (_, _, _) => None,
    };
    (secret_key, item)
}
