//! `template`: checked as far as its shape goes; it has no effect yet.

use super::{Lowering, metadata};
use crate::config::tree::{Table, Value};
use crate::names::SecretKey;

/// Checks what stands there and refuses it.
pub(super) fn refuse(cx: &Lowering<'_>, value: Value<'_>) {
    let at = value.key_at;
    let Some(mut table) = value.table() else {
        return;
    };
    cx.problems.error(at, "`template` is not supported yet");
    let _ = table.choice("merge_policy", &[("replace", ()), ("merge", ())], &[]);
    if let Some(data) = table.take("data").and_then(Value::string_map) {
        for (key, _) in data {
            let _ = cx.name("a key", key, SecretKey::new);
        }
    }
    // Rendered, so that only the keys can be judged.
    let _ = table
        .take("labels")
        .and_then(|v| metadata::annotations(cx, v));
    let _ = table
        .take("annotations")
        .and_then(|v| metadata::annotations(cx, v));
    if let Some(files) = table.take("from").and_then(Value::tables) {
        for file in files {
            from(cx, file);
        }
    }
    table.finish();
}

fn from(cx: &Lowering<'_>, mut table: Table<'_>) {
    let _ = table.need("file").and_then(|v| cx.path(v));
    if let Some(text) = table.need("key").and_then(Value::string) {
        let _ = cx.name("`key`", text, SecretKey::new);
    }
    table.finish();
}
