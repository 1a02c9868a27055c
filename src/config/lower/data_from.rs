//! `data_from`: checked as far as its shape goes; it has no effect yet.

use super::defaults::on_missing;
use super::remote_ref::{decoding_strategy, key, read_property, read_version};
use super::{Lowering, References, StoreFacts, StoreKind};
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};

/// Checks what stands there and refuses it.
pub(super) fn refuse(cx: &Lowering<'_>, value: Value<'_>, references: &References) {
    let at = value.key_at;
    let Some(tables) = value.tables() else { return };
    cx.problems.error(at, "`data_from` is not supported yet");
    for table in tables {
        item(cx, table, references);
    }
}

fn item(cx: &Lowering<'_>, mut table: Table<'_>, references: &References) {
    if let Some(text) = table.string("store") {
        let _ = cx.store(text, references);
    }
    let _ = table.choice(
        "conversion_strategy",
        &[("default", ()), ("unicode", ())],
        &[],
    );
    let extract = table.take("extract");
    let find = table.take("find");
    if extract.is_some() == find.is_some() {
        cx.problems.push(Problem::absence(
            table.at,
            "an item of `data_from` needs either `extract` or `find`",
        ));
    }
    if let Some(inner) = extract.and_then(Value::table) {
        check_extract(cx, inner.discreetly());
    }
    if let Some(inner) = find.and_then(Value::table) {
        check_find(inner.discreetly());
    }
    if let Some(steps) = table.take("rewrite").and_then(Value::tables) {
        for step in steps {
            check_rewrite(cx, step);
        }
    }
    table.finish();
}

fn check_extract(cx: &Lowering<'_>, mut table: Table<'_>) {
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
}

fn check_find(mut table: Table<'_>) {
    let _ = table.string("path");
    if let Some(mut name) = table.table("name") {
        let _ = name.need("regexp").and_then(Value::string);
        name.finish();
    }
    let _ = table.take("tags").and_then(Value::string_map);
    on_missing(&mut table);
    let _ = table.strings("keys");
    table.finish();
}

fn check_rewrite(cx: &Lowering<'_>, mut table: Table<'_>) {
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
