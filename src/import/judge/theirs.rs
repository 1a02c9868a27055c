//! From keys of an entry of ours to those of the object that it comes from, so that whoever reads a refusal finds what it
//! is about.

use std::fmt::Write as _;

use super::Ready;
use super::place::{Step, way};
use crate::import::draft::{Entry, Spot, Target, Words};
use crate::import::words::shown_key;

/// The path in the object of what is wrong at a place in the entry's text, and the line where that is known. Nothing where
/// it is the object as a whole.
pub(super) fn of_entry(ready: &Ready, at: Option<(usize, usize)>) -> (String, Option<u32>) {
    let way = at.map(|at| way(&ready.text, at)).unwrap_or_default();
    // Its own table comes first.
    let steps = way.get(2..).unwrap_or_default();
    let path = path(&ready.entry, steps);
    let (path, line) = path.unwrap_or_default();
    (path, line)
}

impl Words {
    fn spec(self) -> &'static str {
        match self {
            Self::Eso | Self::Kes => "spec",
            Self::EsoCluster => "spec.externalSecretSpec",
            Self::KesLegacy => "secretDescriptor",
        }
    }

    fn is_eso(self) -> bool {
        match self {
            Self::Eso | Self::EsoCluster => true,
            Self::Kes | Self::KesLegacy => false,
        }
    }
}

fn path(entry: &Entry, steps: &[Step]) -> Option<(String, Option<u32>)> {
    let words = entry.words;
    let spec = words.spec();
    let (Step::Key(first), rest) = steps.split_first()? else {
        return None;
    };
    let plain = |path: &str| Some((format!("{spec}.{path}"), None));
    match (&**first, rest) {
        ("data", [Step::Index(index), rest @ ..]) => {
            let spot = entry.data.get(*index)?.spot?;
            Some(listed(words, spot, rest))
        }
        ("data_from", [Step::Index(index), rest @ ..]) => {
            let spot = entry.data_from.get(*index)?.spot;
            Some(listed(words, spot, rest))
        }
        ("kubernetes", [Step::Index(index), rest @ ..]) => {
            let path = target(entry, entry.targets.get(*index)?, rest)?;
            Some((path, None))
        }
        ("template", rest) => plain(&template(words, rest)),
        ("refresh_interval", _) if words.is_eso() => plain("refreshInterval"),
        ("refresh_policy", _) if words.is_eso() => plain("refreshPolicy"),
        ("store", _) if words.is_eso() => plain("secretStoreRef"),
        (_, _) => None,
    }
}

/// In an item of `data` or `dataFrom`, or whatever the list is called.
fn listed(words: Words, spot: Spot, rest: &[Step]) -> (String, Option<u32>) {
    let Spot { list, index, line } = spot;
    let mut path = format!("{}.{list}[{index}]", words.spec());
    for step in rest {
        let name = match step {
            Step::Index(index) => {
                let _ = write!(path, "[{index}]");
                continue;
            }
            Step::Key(key) if words.is_eso() => Some(eso(key)),
            Step::Key(key) => kes(key, list),
        };
        if let Some(name) = name {
            path.push('.');
            path.push_str(&shown_key(&name));
        }
    }
    (path, Some(line))
}

/// Ours are theirs, in snake case.
fn eso(key: &str) -> String {
    let mut out = String::new();
    let mut raise = false;
    for c in key.chars() {
        match c {
            '_' => raise = true,
            c if std::mem::take(&mut raise) => out.push(c.to_ascii_uppercase()),
            c => out.push(c),
        }
    }
    match &*out {
        "metadata" => "metadataPolicy".to_owned(),
        "store" => "sourceRef".to_owned(),
        _ => out,
    }
}

/// What is in more than one key there, or in the item itself, stays at the item.
fn kes(key: &str, list: &str) -> Option<String> {
    let name = match (key, list) {
        ("secret_key", _) => "name",
        ("key", "dataFromWithOptions" | "data" | "properties") => "key",
        ("path", "data" | "properties") => "path",
        ("property", _) => "property",
        ("decoding_strategy", _) => "isBinary",
        (_, _) => return None,
    };
    Some(name.to_owned())
}

/// `data`, `labels` or `annotations`, and the key in there.
fn template(words: Words, rest: &[Step]) -> String {
    let [Step::Key(part), rest @ ..] = rest else {
        return if words.is_eso() {
            "target.template".to_owned()
        } else {
            "template".to_owned()
        };
    };
    let place = match (&**part, words.is_eso()) {
        ("data", true) => "target.template.data".to_owned(),
        ("data", false) => "template.stringData".to_owned(),
        ("merge_policy", true) => "target.template.mergePolicy".to_owned(),
        (part, true) => format!("target.template.metadata.{part}"),
        (part, false) => format!("template.metadata.{part}"),
    };
    match rest {
        [Step::Key(key), ..] => format!("{place}.{}", shown_key(key)),
        [] | [Step::Index(_), ..] => place,
    }
}

/// In a target: the Secret, and where it is.
fn target(entry: &Entry, target: &Target, rest: &[Step]) -> Option<String> {
    let words = entry.words;
    let spec = words.spec();
    let [Step::Key(key), rest @ ..] = rest else {
        return words.is_eso().then(|| format!("{spec}.target"));
    };
    match (&**key, words.is_eso()) {
        ("labels" | "annotations", _) => {
            let place = match (words, target.copied) {
                (Words::Eso, true) => format!("metadata.{key}"),
                (Words::EsoCluster, true) => format!("spec.externalSecretMetadata.{key}"),
                (Words::Eso | Words::EsoCluster, false) => {
                    format!("{spec}.target.template.metadata.{key}")
                }
                (Words::Kes | Words::KesLegacy, _) => format!("{spec}.template.metadata.{key}"),
            };
            Some(match rest {
                [Step::Key(key), ..] => format!("{place}.{}", shown_key(key)),
                [] | [Step::Index(_), ..] => place,
            })
        }
        ("creation_policy", true) => Some(format!("{spec}.target.creationPolicy")),
        ("deletion_policy", true) => Some(format!("{spec}.target.deletionPolicy")),
        ("immutable", true) => Some(format!("{spec}.target.immutable")),
        ("immutable", false) => Some(format!("{spec}.template.immutable")),
        ("type", true) => Some(format!("{spec}.target.template.type")),
        ("type", false) => Some(format!("{spec}.template.type")),
        ("name", true) => Some(format!("{spec}.target.name")),
        ("name", false) => Some("metadata.name".to_owned()),
        ("namespace" | "namespaces", _) if words == Words::EsoCluster => {
            Some("spec.namespaces".to_owned())
        }
        ("namespace" | "namespaces", _) => Some("metadata.namespace".to_owned()),
        ("namespace_selector", _) => Some("spec.namespaceSelectors".to_owned()),
        (_, _) => None,
    }
}

/// In an object that is a store.
pub(super) fn of_store(text: &str, at: Option<(usize, usize)>) -> String {
    let way = at.map(|at| way(text, at)).unwrap_or_default();
    let last = way.iter().skip(3).rev().find_map(|step| match step {
        Step::Key(key) => Some(&**key),
        Step::Index(_) => None,
    });
    let name = match last {
        Some("region" | "prefix") => last,
        Some("role_arn") => Some("role"),
        Some("external_id") => Some("externalID"),
        Some("role_chain") => Some("additionalRoles"),
        Some("session_tags") => Some("sessionTags"),
        Some("transitive_tag_keys") => Some("transitiveTagKeys"),
        Some(_) | None => None,
    };
    match name {
        Some(name) => format!("spec.provider.aws.{name}"),
        None => String::new(),
    }
}
