//! `template`: what is made of the fetched keys. Every template is compiled here, so that `check` finds its mistakes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Lowering;
use super::keys::Keys;
use super::metadata::metadata_key;
use super::permissions::Content;
use crate::assemble::template::Template;
use crate::assemble::{MergePolicy, Templates};
use crate::config::problems::{At, Place, Problem};
use crate::config::source::read_text;
use crate::config::tree::{Table, Value, did_you_mean};
use crate::names::{MetadataKey, SecretKey};

/// The templates of an entry, as far as they could be read.
#[derive(Debug)]
pub(super) struct Lowered {
    pub templates: Templates,
    pub files: Vec<PathBuf>,
    /// What is delivered with them.
    pub keys: Keys,
}

/// One template and where it is written.
struct Written {
    template: Option<Template>,
    at: Place,
}

pub(super) fn lower(cx: &Lowering<'_>, value: Value<'_>, fetched: &Keys) -> Option<Lowered> {
    let mut table = value.table()?;
    let policies = [
        ("replace", MergePolicy::Replace),
        ("merge", MergePolicy::Merge),
    ];
    let policy = table.choice("merge_policy", &policies);
    let policy = policy.map_or(MergePolicy::Replace, |policy| policy.value);
    let mut data = Vec::new();
    let mut files = Vec::new();
    if let Some(texts) = table.take("data").and_then(Value::string_map) {
        for (key, text) in texts {
            let name = format!("data.{}", plain(key.value));
            let template = compile(cx, &name, text.value, text.at);
            let key = cx.name("a key", key, SecretKey::new);
            data.extend(key.map(|key| (key, template)));
        }
    }
    for file in table
        .take("from")
        .and_then(Value::tables)
        .into_iter()
        .flatten()
    {
        data.extend(from(cx, file, &mut files));
    }
    let labels = metadata(cx, table.take("labels"), "labels");
    let annotations = metadata(cx, table.take("annotations"), "annotations");
    table.finish();
    twice(cx, &data);
    let all = data.iter().map(|(_, written)| written);
    for written in all.chain(labels.values()).chain(annotations.values()) {
        known_keys(cx, written, fetched);
    }
    let own = Keys {
        all: data.iter().map(|(key, _)| key.clone()).collect(),
        complete: true,
    };
    let keys = match policy {
        MergePolicy::Replace if !own.all.is_empty() => own,
        MergePolicy::Replace | MergePolicy::Merge => fetched.clone().and(own),
    };
    let data = data.into_iter();
    let data = data.filter_map(|(key, written)| Some((key.value, written.template?)));
    Some(Lowered {
        templates: Templates {
            merge_policy: policy,
            data: data.collect(),
            labels: compiled(labels),
            annotations: compiled(annotations),
        },
        files,
        keys,
    })
}

fn compiled(written: BTreeMap<MetadataKey, Written>) -> BTreeMap<MetadataKey, Template> {
    let written = written.into_iter();
    let compiled = written.filter_map(|(key, written)| Some((key, written.template?)));
    compiled.collect()
}

/// A file whose text is the template of one key.
fn from(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    files: &mut Vec<PathBuf>,
) -> Option<(At<SecretKey>, Written)> {
    let path = table.need("file").and_then(|value| cx.path(value));
    let key = table
        .need("key")
        .and_then(Value::string)
        .and_then(|text| cx.name("`key`", text, SecretKey::new));
    table.finish();
    let path = path?;
    let template = match read_text(&path.value) {
        Ok(text) => {
            cx.check_file(&path, Content::Trusted);
            let name = path.value.file_name().unwrap_or_default();
            let name = plain(&name.to_string_lossy());
            compile(cx, &name, &text, path.at).template
        }
        Err(sentence) => {
            cx.input(&path);
            cx.problems.error(path.at, sentence);
            None
        }
    };
    files.push(path.value);
    let at = path.at;
    Some((key?, Written { template, at }))
}

/// Labels or annotations.
fn metadata(
    cx: &Lowering<'_>,
    value: Option<Value<'_>>,
    what: &'static str,
) -> BTreeMap<MetadataKey, Written> {
    let mut written = BTreeMap::new();
    for (key, text) in value.and_then(Value::string_map).into_iter().flatten() {
        let name = format!("{what}.{}", plain(key.value));
        let template = compile(cx, &name, text.value, text.at);
        if template.template.as_ref().is_some_and(carries_values) {
            cx.problems.push(
                Problem::warning(text.at, format!("these {what} carry values of the secret"))
                    .help("whoever may see a Secret's metadata sees them; logs and backups hold them in the clear"),
            );
        }
        written.extend(metadata_key(cx, key).map(|key| (key, template)));
    }
    written
}

fn carries_values(template: &Template) -> bool {
    template.takes_all() || !template.mentions().is_empty()
}

fn compile(cx: &Lowering<'_>, name: &str, text: &str, at: Place) -> Written {
    let template = match Template::new(name, text) {
        Ok(template) => Some(template),
        Err(broken) => {
            let message = format!("template `{name}`, line {}: {}", broken.line, broken.fact);
            cx.problems.error(at, message);
            None
        }
    };
    Written { template, at }
}

/// A text for a sentence about it.
fn plain(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
    plain.replace('`', "'")
}

fn twice(cx: &Lowering<'_>, data: &[(At<SecretKey>, Written)]) {
    for (index, (key, _)) in data.iter().enumerate() {
        let mut earlier = data[..index].iter();
        if let Some((first, _)) = earlier.find(|(other, _)| other.value == key.value) {
            cx.problems.push(
                Problem::error(key.at, "two templates make this key")
                    .other(first.at, "the other one is here"),
            );
        }
    }
}

/// A template must not ask for what is not fetched.
fn known_keys(cx: &Lowering<'_>, written: &Written, fetched: &Keys) {
    let Some(template) = written.template.as_ref().filter(|_| fetched.complete) else {
        return;
    };
    for key in template.keys() {
        if !fetched.has(&key) {
            let message = format!(
                "template `{}` asks for the key `{}`, which no source has",
                template.name(),
                plain(&key)
            );
            cx.problems.push(
                Problem::error(written.at, message).maybe_help(did_you_mean(&key, fetched.names())),
            );
        }
    }
}
