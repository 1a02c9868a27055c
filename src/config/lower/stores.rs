//! `[stores.NAME.KIND]`.

use super::auth;
use super::permissions::Content;
use super::url::PlainHttp;
use super::{Lowering, References, StoreKind};
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};
use crate::config::{AwsAuth, AwsStore, Fetch, FileStore, Rates, Store};
use crate::names::StoreName;

/// Lowers the table of one store. Its kind is known even when something in it is wrong.
pub(super) fn lower(
    cx: &Lowering<'_>,
    name: &StoreName,
    mut table: Table<'_>,
    references: &References,
) -> (StoreKind, Option<Store>) {
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
    let kind = match (&manager, &file, kinds) {
        (Some(_), _, 1) => StoreKind::SecretsManager,
        (_, Some(_), 1) => StoreKind::File,
        (_, _, _) => StoreKind::Unknown,
    };
    let around = (name, references);
    let manager = manager.and_then(|v| secrets_manager(cx, v, around));
    if let Some(value) = parameters {
        cx.problems
            .error(value.key_at, "`aws_parameter_store` is not supported yet");
        let _ = secrets_manager(cx, value, around);
    }
    let file = file.and_then(|v| file_store(cx, v));
    let store = manager.map(Store::SecretsManager).or(file.map(Store::File));
    (kind, store)
}

fn secrets_manager(
    cx: &Lowering<'_>,
    value: Value<'_>,
    (store, references): (&StoreName, &References),
) -> Option<AwsStore> {
    let mut table = value.table()?;
    let region = table.take("region").and_then(|v| region(cx, v));
    let plain = match table.boolean("allow_plain_http") {
        Some(allowed) if allowed.value => PlainHttp::Everywhere,
        Some(_) | None => PlainHttp::OnLoopback,
    };
    let endpoint_url = table
        .string("endpoint_url")
        .and_then(|text| cx.endpoint(text, "endpoint_url", plain));
    let fetch = table.choice(
        "fetch",
        &[("auto", Fetch::Auto), ("single", Fetch::Single)],
        &[],
    );
    table.later("account", Value::string);
    table.later("prefix", Value::string);
    table.later("requests_per_second", requests_per_second);
    let around = auth::Around {
        store,
        references,
        plain,
    };
    let auth = match table.take("auth") {
        Some(value) => auth::lower(cx, value, around),
        None => Some(AwsAuth::DEFAULT),
    };
    table.finish();
    Some(AwsStore {
        region: region.map(|text| text.value.to_owned()),
        account: None,
        fetch: fetch.map_or(Fetch::Auto, |fetch| fetch.value),
        requests_per_second: Rates::SECRETS_MANAGER,
        endpoint_url: endpoint_url.map(|url| url.value),
        auth: auth?,
    })
}

fn region<'t>(cx: &Lowering<'_>, value: Value<'t>) -> Option<crate::config::problems::At<&'t str>> {
    let text = value.string()?;
    let legal = (1..=32).contains(&text.value.len())
        && text
            .value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if legal {
        return Some(text);
    }
    cx.problems.error(
        text.at,
        "`region` must be a region's name such as \"ap-northeast-1\"",
    );
    None
}

fn requests_per_second(value: Value<'_>) -> Option<()> {
    let mut table = value.table()?;
    for key in ["batch", "get", "list"] {
        let _ = table.take(key).and_then(Value::count);
    }
    table.finish();
    Some(())
}

fn file_store(cx: &Lowering<'_>, value: Value<'_>) -> Option<FileStore> {
    let mut table = value.table()?;
    let path = table.need("path").and_then(|v| cx.path(v));
    table.finish();
    let path = path?;
    if path.value.is_dir() {
        cx.input(&path);
    } else {
        cx.check_file(&path, Content::Values);
    }
    Some(FileStore { path: path.value })
}
