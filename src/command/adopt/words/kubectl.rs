//! The commands that a person gives to the cluster, ready to be copied. Each fails where the object is another one by then,
//! or the cluster is.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::decide::kubernetes::adoption::Keeper;
use crate::decide::kubernetes::adoption::quiet::{spec_before, spec_of_rest};
use crate::kube::{ExternalSecret, SPEC_BEFORE};
use crate::sync::taking::Hand;

/// What an `ExternalSecret` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// To let go, as `--quiesce` does it, with what it said before.
    LetGo,
    /// What it said before.
    AsBefore,
    /// To leave the Secret there when it goes, by its own policy.
    Leave,
    /// Nothing: it only has to be there.
    Nothing,
}

pub(super) fn tell(hand: &Hand, object: &ExternalSecret, what: Tell) -> String {
    let keeper = Keeper::of(object.api);
    let mut patch = json!({ "metadata": { "uid": object.uid.as_str() } });
    let kept = |before: Value| json!({ SPEC_BEFORE: before });
    match (what, keeper) {
        (Tell::LetGo, _) => {
            let before = spec_before(object).to_string();
            patch["metadata"]["annotations"] = kept(Value::String(before));
            patch["spec"] = spec_of_rest(object);
        }
        (Tell::AsBefore, _) => {
            patch["metadata"]["annotations"] = kept(Value::Null);
            patch["spec"] = spec_before(object);
        }
        (Tell::Leave, Keeper::Eso) => {
            patch["spec"] = json!({ "target": { "deletionPolicy": "Retain" } });
        }
        (Tell::Leave, Keeper::Kes) => patch["spec"] = spec_of_rest(object),
        (Tell::Nothing, _) => {}
    }
    format!(
        "kubectl patch {} {} --namespace {} --type merge --patch {}",
        keeper.resource(),
        object.name,
        hand.seat.id.namespace,
        quoted(&patch)
    )
}

pub(super) fn patch_secret(hand: &Hand, patch: &Value) -> String {
    let (name, namespace) = (&hand.seat.id.name, &hand.seat.id.namespace);
    let patch = quoted(patch);
    format!("kubectl patch secret {name} --namespace {namespace} --type merge --patch {patch}")
}

/// In one line: where the patch fails, nothing is deleted.
pub(super) fn delete(hand: &Hand, object: &ExternalSecret) -> String {
    let (resource, namespace) = (Keeper::of(object.api).resource(), &hand.seat.id.namespace);
    format!(
        "{} && kubectl delete {resource} {} --namespace {namespace} --cascade=orphan --wait=false",
        tell(hand, object, Tell::Leave),
        object.name
    )
}

/// As a shell reads it. JSON may say every character in ASCII, so nothing of it can move a terminal's cursor.
fn quoted(patch: &Value) -> String {
    let mut text = String::new();
    for c in patch.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_one_word_of_a_shell_and_moves_no_cursor() {
        let patch = serde_json::json!({ "a": "it's \u{9b}2J\u{1f600}" });
        assert_eq!(quoted(&patch), r#"'{"a":"it'\''s \u009b2J\ud83d\ude00"}'"#);
    }
}
