//! The roles that are assumed on top of the base, and what the last one gets.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::super::{Lowering, tags};
use crate::config::AwsRole;
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};
use crate::names::RoleArn;

/// STS takes so many transitive keys.
const MOST_KEYS: usize = 50;

/// The chain, and the last role with its own settings. What is refused is left out: beside an error nothing uses it.
pub(super) fn lower(cx: &Lowering<'_>, table: &mut Table<'_>) -> (Vec<RoleArn>, Option<AwsRole>) {
    let has_chain = table.has("role_chain");
    let chain = table
        .take("role_chain")
        .and_then(Value::array)
        .unwrap_or_default()
        .into_iter()
        .filter_map(Value::string)
        .filter_map(|text| cx.name("each of `role_chain`", text, RoleArn::new))
        .map(|role| role.value)
        .collect();
    let has_role = table.has("role_arn");
    let arn = table
        .string("role_arn")
        .and_then(|text| cx.name("`role_arn`", text, RoleArn::new));
    let mut beside = |key| {
        let value = table.take(key)?;
        if !has_role {
            cx.problems.push(
                Problem::error(
                    value.key_at,
                    format!("`{key}` has no meaning without `role_arn`"),
                )
                .help(
                    "it goes with the last role: name that one in `role_arn`, not in `role_chain`",
                ),
            );
        }
        Some(value)
    };
    let external_id = beside("external_id").and_then(|v| text(cx, v, 2..=1224, "_+=,.@:/-"));
    let session_name = beside("session_name").and_then(|v| text(cx, v, 2..=64, "_+=,.@-"));
    let session_tags = beside("session_tags").map(|v| tags::lower(cx, v));
    let transitive_tag_keys = beside("transitive_tag_keys");
    // Only where the tags are all that there can be.
    let known = match &session_tags {
        None if !has_chain => Some(BTreeMap::new()),
        Some(tags) if !has_chain => tags.clone(),
        None | Some(_) => None,
    };
    let transitive_tag_keys = transitive_tag_keys
        .map(|v| transitive(cx, v, known.as_ref()))
        .unwrap_or_default();
    let role = arn.map(|arn| AwsRole {
        arn: arn.value,
        external_id,
        session_name,
        session_tags: session_tags.flatten().unwrap_or_default(),
        transitive_tag_keys,
    });
    (chain, role)
}

/// A text of letters, digits and `others`.
fn text(
    cx: &Lowering<'_>,
    value: Value<'_>,
    length: RangeInclusive<usize>,
    others: &str,
) -> Option<String> {
    let name = value.name;
    let text = value.string()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    if length.contains(&text.value.len()) && text.value.chars().all(legal) {
        return Some(text.value.to_owned());
    }
    let (shortest, longest) = length.into_inner();
    cx.problems.error(
        text.at,
        format!(
            "`{name}` must have {shortest} to {longest} characters: letters, digits and `{others}`"
        ),
    );
    None
}

/// Keys of session tags that roles further on inherit. `known`: all that the session can have.
fn transitive(
    cx: &Lowering<'_>,
    value: Value<'_>,
    known: Option<&BTreeMap<String, String>>,
) -> Vec<String> {
    let (name, at) = (value.name, value.key_at);
    let keys = value.array().unwrap_or_default();
    if keys.len() > MOST_KEYS {
        let message = format!("`{name}` may have at most {MOST_KEYS} keys");
        cx.problems.error(at, message);
    }
    let mut legal = Vec::new();
    for key in keys.into_iter().filter_map(Value::string) {
        if !tags::is_key(key.value) {
            cx.problems
                .error(key.at, format!("each of `{name}` {}", tags::KEY));
            continue;
        }
        if known.is_some_and(|tags| !tags.contains_key(key.value)) {
            cx.problems.push(
                Problem::warning(key.at, "no tag of `session_tags` has this key")
                    .help("add the tag, or take the key away, unless the base's own session brings it along"),
            );
        }
        legal.push(key.value.to_owned());
    }
    legal
}
