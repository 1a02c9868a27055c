//! `data`: the keys of an entry, each with its source.

use super::defaults::on_missing;
use super::property::{Refused, property, version};
use super::{Lowering, References, StoreKind};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{DataItem, Property, Source, Version};
use crate::names::{RemoteKey, SecretKey, StoreName};

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
    let store = if table.has("store") {
        let text = table.string("store");
        text.and_then(|text| cx.store(text, references))
            .map(|store| store.value)
    } else {
        table.also_known(&["store"]);
        if !default.written {
            cx.problems.push(
                Problem::absence(table.at, "`store` is missing")
                    .help("name one here, in the entry, or in [defaults]"),
            );
        }
        default.name.clone()
    };
    on_missing(&mut table);
    let kind = store
        .as_ref()
        .and_then(|name| references.stores.get(name).copied())
        .unwrap_or(StoreKind::Unknown);
    let remote_ref = table
        .need("remote_ref")
        .and_then(Value::table)
        .and_then(|table| remote_ref(cx, table.discreetly(), kind));
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

/// Discreet: a value may stand where only its name belongs.
fn remote_ref(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    kind: StoreKind,
) -> Option<(Source, Option<Property>)> {
    let key = remote_key(cx, &mut table, kind);
    let version = read_version(cx, &mut table, kind);
    let property = read_property(cx, &mut table);
    decoding_strategy(&mut table);
    table.later_true("metadata");
    table.finish();
    let source = Source::Value {
        key: key?,
        version: version?,
    };
    Some((source, property?))
}

/// `key` of a source.
pub(super) fn remote_key(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    kind: StoreKind,
) -> Option<RemoteKey> {
    let text = table.need("key").and_then(Value::string)?;
    let key = cx.name("`key`", text, RemoteKey::new)?;
    if kind == StoreKind::SecretsManager {
        let legal = if text.value.starts_with("arn:") {
            is_secret_arn(text.value)
        } else {
            text.value.len() <= 512
                && text
                    .value
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b))
        };
        if !legal {
            cx.problems.push(
                Problem::error(text.at, "`key` must be a secret's name or its complete ARN").help(
                    "names: letters, digits and `/_+=.@-`; ARNs: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
                ),
            );
            return None;
        }
    }
    Some(key.value)
}

fn is_secret_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts.as_slice(), [_, partition, "secretsmanager", region, account, "secret", name]
        if partition.starts_with("aws")
            && !region.is_empty()
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && !name.is_empty())
}

/// `version` of a source; `None` when it is wrong.
pub(super) fn read_version(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    kind: StoreKind,
) -> Option<Version> {
    let Some(value) = table.take("version") else {
        return Some(Version::Current);
    };
    let text = value.string()?;
    if kind == StoreKind::File {
        cx.problems
            .error(text.at, "`version`: a file store has no versions");
        return None;
    }
    let version = version(text.value);
    if version.is_none() {
        cx.problems.error(
            text.at,
            "`version` must be a stage such as \"AWSPREVIOUS\", or \"uuid/<id>\" with an id of 32 to 64 characters",
        );
    }
    version
}

/// `property` of a source; the outer `None` when it is wrong.
#[expect(
    clippy::option_option,
    reason = "absent and refused are different, and both are usual"
)]
pub(super) fn read_property(cx: &Lowering<'_>, table: &mut Table<'_>) -> Option<Option<Property>> {
    let Some(value) = table.take("property") else {
        return Some(None);
    };
    let text = value.string()?;
    match property(text.value) {
        Ok(property) => Some(Some(property)),
        Err(Refused::Empty) => {
            cx.problems.push(
                Problem::error(text.at, "`property` must not be empty")
                    .help("leave it out for the whole value"),
            );
            None
        }
        Err(Refused::Query) => {
            cx.problems.push(
                Problem::error(
                    text.at,
                    "a `property` with `#`, `*`, `?`, `|`, `@`, `!`, `{`, `[` or `(` is not supported yet",
                )
                .help("keys and indexes are: \"a.b.0\"; where such a character belongs to a key, put `\\` before it"),
            );
            None
        }
    }
}

/// `decoding_strategy` of a source: only the one that does nothing, so far.
pub(super) fn decoding_strategy(table: &mut Table<'_>) {
    let _ = table.choice(
        "decoding_strategy",
        &[("none", ())],
        &["base64", "base64url", "auto"],
    );
}

#[cfg(test)]
mod tests {
    use super::is_secret_arn;

    #[test]
    fn arns_are_complete() {
        assert!(is_secret_arn(
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf"
        ));
        for bad in [
            "arn:aws:ssm:us-east-1:123456789012:parameter/x",
            "arn:aws:secretsmanager:us-east-1:1234:secret:prod/db",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:a:b",
        ] {
            assert!(!is_secret_arn(bad), "{bad}");
        }
    }
}
