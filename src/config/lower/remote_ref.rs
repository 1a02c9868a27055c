//! `remote_ref`: which part of what, in a store.

use super::property::{parameter_version, refused, version};
use super::{Lowering, StoreFacts, StoreKind, remote_name};
use crate::assemble::decode::Decoding;
use crate::assemble::select::Property;
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{Source, Version};
use crate::names::RemoteKey;

/// A source as far as a table names it.
#[derive(Debug)]
pub(super) struct RemoteRef {
    pub source: Source,
    pub property: Option<Property>,
    pub decoding: Decoding,
}

/// Discreet: a value may stand where only its name belongs.
pub(super) fn lower(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    facts: &StoreFacts,
) -> Option<RemoteRef> {
    let remote_ref = read(cx, &mut table, facts);
    table.finish();
    remote_ref
}

/// The keys that say what is read; there may be others beside them.
pub(super) fn read(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    facts: &StoreFacts,
) -> Option<RemoteRef> {
    let key = key(cx, table, facts);
    let version = table.take("version");
    let property = read_property(cx, table);
    let decoding = decoding_strategy(cx, table);
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
    Some(RemoteRef {
        source: source?,
        property: property?,
        decoding,
    })
}

/// `key` of a source.
fn key(cx: &Lowering<'_>, table: &mut Table<'_>, facts: &StoreFacts) -> Option<RemoteKey> {
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
fn read_version(cx: &Lowering<'_>, value: Value<'_>, kind: StoreKind) -> Option<Version> {
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
fn read_property(cx: &Lowering<'_>, table: &mut Table<'_>) -> Option<Option<Property>> {
    let Some(value) = table.take("property") else {
        return Some(None);
    };
    let text = value.string()?;
    Property::new(text.value)
        .map_err(|why| cx.problems.push(refused(text.at, why)))
        .ok()
        .map(Some)
}

/// `decoding_strategy` of a source.
pub(super) fn decoding_strategy(cx: &Lowering<'_>, table: &mut Table<'_>) -> Decoding {
    let words = [
        ("none", Decoding::None),
        ("base64", Decoding::Base64),
        ("base64url", Decoding::Base64Url),
        ("auto", Decoding::Auto),
    ];
    let Some(decoding) = table.choice("decoding_strategy", &words) else {
        return Decoding::None;
    };
    if decoding.value == Decoding::Auto {
        cx.problems.push(
            Problem::warning(
                decoding.at,
                "`auto` decodes whatever can be base64, and many plain values can: `1234`, `true`, `happy/street`",
            )
            .help("say \"base64\", \"base64url\" or \"none\""),
        );
    }
    decoding.value
}
