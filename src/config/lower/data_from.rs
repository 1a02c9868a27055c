//! `data_from`: the keys of an entry that are found when it runs.

use super::data::DefaultStore;
use super::defaults::on_missing;
use super::remote_ref::{decoding_strategy, key, read_property, read_version};
use super::{Lowering, References, StoreFacts, StoreKind, find};
use crate::config::DataFrom;
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};

pub(super) fn lower(
    cx: &Lowering<'_>,
    value: Value<'_>,
    default: &DefaultStore,
    references: &References,
) -> Vec<DataFrom> {
    let at = value.key_at;
    let Some(tables) = value.tables() else {
        return Vec::new();
    };
    if tables.is_empty() {
        cx.problems
            .push(Problem::absence(at, "`data_from` must not be empty"));
    }
    tables
        .into_iter()
        .filter_map(|table| item(cx, table, default, references))
        .collect()
}

fn item(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    default: &DefaultStore,
    references: &References,
) -> Option<DataFrom> {
    let store = default.or_own(cx, &mut table, references);
    let _ = table.choice("conversion_strategy", &[("default", ())], &["unicode"]);
    if table.has("extract") == table.has("find") {
        cx.problems.push(Problem::absence(
            table.at,
            "an item of `data_from` needs either `extract` or `find`",
        ));
    }
    table.later("extract", |value| check_extract(cx, value));
    let facts = references.facts(store.as_ref());
    let find = table.take("find").and_then(|v| find::lower(cx, v, facts));
    table.later("rewrite", |value| check_rewrite(cx, value));
    table.finish();
    Some(DataFrom {
        store: store?,
        find: find?,
    })
}

fn check_extract(cx: &Lowering<'_>, value: Value<'_>) -> Option<()> {
    let mut table = value.table()?.discreetly();
    let unknown = StoreFacts::only(StoreKind::Unknown);
    let _ = key(cx, &mut table, &unknown);
    let _ = table
        .take("version")
        .and_then(|v| read_version(cx, v, unknown.kind));
    let _ = read_property(cx, &mut table);
    decoding_strategy(&mut table);
    table.later_true("metadata");
    on_missing(&mut table);
    let _ = table.strings("keys");
    table.finish();
    Some(())
}

fn check_rewrite(cx: &Lowering<'_>, value: Value<'_>) -> Option<()> {
    for step in value.tables()? {
        check_step(cx, step);
    }
    Some(())
}

fn check_step(cx: &Lowering<'_>, mut table: Table<'_>) {
    let at = table.at;
    let steps = ["regexp", "transform", "merge"];
    if steps.iter().filter(|key| table.has(key)).count() != 1 {
        cx.problems.push(Problem::absence(
            at,
            "a step of `rewrite` needs exactly one of `regexp`, `transform`, `merge`",
        ));
    }
    if let Some(mut step) = table.table("regexp") {
        let _ = step.need("source").and_then(Value::string);
        let _ = step.need("target").and_then(Value::string);
        step.finish();
    }
    if let Some(mut step) = table.table("transform") {
        let _ = step.need("template").and_then(Value::string);
        step.finish();
    }
    if let Some(mut step) = table.table("merge") {
        for key in ["into", "strategy", "conflict_policy", "priority_policy"] {
            let _ = step.string(key);
        }
        let _ = step.strings("priority");
        step.finish();
    }
    table.finish();
}
