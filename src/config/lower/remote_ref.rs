//! `remote_ref`: which part of what, in a store.

use super::property::{Refused, parameter_version, property, version};
use super::{Lowering, StoreFacts, StoreKind, remote_name};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{Property, Source, Version};
use crate::names::RemoteKey;

/// Discreet: a value may stand where only its name belongs.
pub(super) fn lower(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    facts: &StoreFacts,
) -> Option<(Source, Option<Property>)> {
    let key = key(cx, &mut table, facts);
    let version = table.take("version");
    let property = read_property(cx, &mut table);
    decoding_strategy(&mut table);
    let metadata = table.boolean("metadata").filter(|metadata| metadata.value);
    let source = if let Some(metadata) = metadata {
        let legal = metadata_fits(cx, metadata, version.as_ref(), facts);
        key.filter(|_| legal).map(|key| Source::Metadata { key })
    } else {
        let version = match version {
            Some(value) => read_version(cx, value, facts.kind),
            None => Some(Version::Current),
        };
        key.zip(version)
            .map(|(key, version)| Source::Value { key, version })
    };
    table.finish();
    Some((source?, property?))
}

/// `key` of a source.
pub(super) fn key(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    facts: &StoreFacts,
) -> Option<RemoteKey> {
    let text = table.need("key").and_then(Value::string)?;
    remote_name::key(cx, text, facts)
}

/// Whether there are tags to read, and nothing beside them asks for more.
fn metadata_fits(
    cx: &Lowering<'_>,
    metadata: At<bool>,
    version: Option<&Value<'_>>,
    facts: &StoreFacts,
) -> bool {
    let has_tags = facts.kind != StoreKind::File;
    if !has_tags {
        cx.problems
            .error(metadata.at, "`metadata`: a file store has no tags");
    }
    if let Some(version) = version {
        cx.problems.push(
            Problem::error(
                version.key_at,
                "`version` has no meaning with `metadata = true`",
            )
            .help("tags belong to the whole of a secret, not to one of its versions"),
        );
    }
    has_tags && version.is_none()
}

/// `version` of a source; `None` when it is wrong.
pub(super) fn read_version(
    cx: &Lowering<'_>,
    value: Value<'_>,
    kind: StoreKind,
) -> Option<Version> {
    let text = value.string()?;
    let (version, message, help) = match kind {
        StoreKind::File => (None, "`version`: a file store has no versions", None),
        StoreKind::ParameterStore => (
            parameter_version(text.value),
            "`version` must be a parameter's version number or label",
            Some(
                "labels: at most 100 letters, digits and `.-_`, not beginning with a digit, `aws` or `ssm`; without `version` the latest is read",
            ),
        ),
        StoreKind::SecretsManager | StoreKind::Unknown => (
            version(text.value),
            "`version` must be a stage such as \"AWSPREVIOUS\", or \"uuid/<id>\" with an id of 32 to 64 characters",
            None,
        ),
    };
    if version.is_none() {
        let help = help.map(str::to_owned);
        cx.problems
            .push(Problem::error(text.at, message).maybe_help(help));
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
