//! `[stores.NAME.KIND]`.

mod aws;

pub(super) use self::aws::region;

use super::permissions::Content;
use super::{Lowering, References, StoreFacts, StoreKind};
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};
use crate::config::{FileStore, Store};
use crate::names::StoreName;

/// Lowers the table of one store. Its kind is known even when something in it is wrong.
pub(super) fn lower(
    cx: &Lowering<'_>,
    name: &StoreName,
    mut table: Table<'_>,
    references: &References,
) -> (StoreFacts, Option<Store>) {
    let at = table.at;
    let manager = table.take("aws_secrets_manager");
    let parameters = table.take("aws_parameter_store");
    let file = table.take("file");
    table.finish();
    let kinds = usize::from(manager.is_some())
        + usize::from(parameters.is_some())
        + usize::from(file.is_some());
    if kinds != 1 {
        let message =
            "a store needs exactly one of `aws_secrets_manager`, `aws_parameter_store`, `file`";
        cx.problems.push(if kinds == 0 {
            Problem::absence(at, message)
        } else {
            Problem::error(at, message)
        });
    }
    let around = (name, references);
    let manager = manager.map(|v| {
        let (facts, store) = aws::lower(cx, v, StoreKind::SecretsManager, around);
        (facts, store.map(Store::SecretsManager))
    });
    let parameters = parameters.map(|v| {
        let (facts, store) = aws::lower(cx, v, StoreKind::ParameterStore, around);
        (facts, store.map(Store::ParameterStore))
    });
    let file = file.map(|v| {
        let store = file_store(cx, v, name).map(Store::File);
        (StoreFacts::only(StoreKind::File), store)
    });
    manager
        .or(parameters)
        .or(file)
        .filter(|_| kinds == 1)
        .unwrap_or((StoreFacts::only(StoreKind::Unknown), None))
}

fn file_store(cx: &Lowering<'_>, value: Value<'_>, name: &StoreName) -> Option<FileStore> {
    let mut table = value.table()?;
    let path = table.need("path").and_then(|v| cx.path(v));
    table.finish();
    let path = path?;
    if path.value.is_dir() {
        cx.input(&path);
    } else {
        let name = format!("the file of store `{name}`");
        cx.check_named(&path, Content::Values, (&name, "path"));
    }
    Some(FileStore { path: path.value })
}
