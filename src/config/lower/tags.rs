//! Tags as AWS has them: on secrets, parameters and sessions.

use std::collections::BTreeMap;

use super::Lowering;
use crate::config::tree::Value;

/// Nothing in AWS has more tags.
const MOST: usize = 50;

/// What a key must be; it follows the name of what it is.
pub(super) const KEY: &str = "must have 1 to 128 characters, none of them a control character";

pub(super) fn is_key(text: &str) -> bool {
    !text.is_empty() && fits(text, 128)
}

/// A table of tags; `None` when something in it is wrong.
pub(super) fn lower(cx: &Lowering<'_>, value: Value<'_>) -> Option<BTreeMap<String, String>> {
    let (name, at) = (value.name, value.key_at);
    let all = value.table()?.all(name);
    let count = all.len();
    if count > MOST {
        let message = format!("`{name}` may have at most {MOST} tags");
        cx.problems.error(at, message);
    }
    let mut tags = BTreeMap::new();
    for (key, value) in all {
        let legal_key = is_key(key.value);
        if !legal_key {
            let message = format!("a key of `{name}` {KEY}");
            cx.problems.error(key.at, message);
        }
        let Some(value) = value.string() else {
            continue;
        };
        if !fits(value.value, 256) {
            let message = format!(
                "a value of `{name}` must have at most 256 characters, none of them a control character"
            );
            cx.problems.error(value.at, message);
        } else if legal_key {
            tags.insert(key.value.to_owned(), value.value.to_owned());
        }
    }
    (tags.len() == count && count <= MOST).then_some(tags)
}

fn fits(text: &str, longest: usize) -> bool {
    text.chars().count() <= longest && !text.chars().any(char::is_control)
}
