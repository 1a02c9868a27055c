//! Where an object is, and what it is called here: the same in every run.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::context::Context;
use super::object::Object;
use super::tree::{Field, Node};

/// Of an object in a namespace; where nobody says which, it is refused, and read on as if it were in some.
pub(super) fn namespace_of(object: &Object<'_>, cx: &Context) -> String {
    const SUPPLIED: &str = "objects without a namespace get the one of `--namespace`";
    if object.name.is_empty() {
        object.lacks("metadata.name");
    }
    if let Some(namespace) = object.namespace {
        return namespace.to_owned();
    }
    if let Some(namespace) = &cx.options.namespace {
        cx.note(SUPPLIED);
        return namespace.clone();
    }
    object.refuse("it has no namespace; `--namespace` supplies one");
    "default".to_owned()
}

pub(super) fn entry_name(cx: &Context, scope: &str, name: &str) -> String {
    shortened(cx.qualified(&format!("{scope}/{name}")), 253)
}

pub(super) fn store_name(cx: &Context, scope: &str, name: &str) -> String {
    shortened(cx.qualified(&format!("{scope}/{name}")), 63)
}

/// The same of a name that is a whole one already.
pub(super) fn own_store_name(cx: &Context, name: &str) -> String {
    shortened(cx.qualified(name), 63)
}

/// The same for the same text in every run.
fn shortened(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let digest = Sha256::digest(&text);
    let mark = mark(&digest);
    let kept: String = text.chars().take(most - 9).collect();
    format!("{kept}-{mark}")
}

/// The beginning of a digest.
pub(super) fn mark(digest: &[u8]) -> String {
    let mut mark = String::new();
    for byte in digest.iter().take(4) {
        let _ = write!(mark, "{byte:02x}");
    }
    mark
}

/// A list of texts.
pub(super) fn texts(field: &Field) -> Vec<String> {
    let items = field.list().unwrap_or_default();
    let texts: Vec<String> = items
        .iter()
        .filter_map(Node::as_text)
        .map(str::to_owned)
        .collect();
    if texts.len() != items.len() {
        field.refuse("each item must be a text");
    }
    texts
}
