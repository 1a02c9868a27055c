//! From answers to content: which bytes of which answer become which key.
//!
//! Pure and not async. Sees no store, no target and no configuration, only values and what was made of it.

pub mod bulk;
pub mod convert;
pub mod decode;
pub mod extract;
#[cfg(test)]
mod golden;
pub mod json_format;
pub mod pem;
pub mod pkcs12;
mod quoted;
pub mod rewrite;
pub mod select;
pub mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use self::bulk::{Absent, Shape};
use self::decode::Decoding;
use self::json_format::JsonFormat;
use self::select::Property;
use self::template::Template;
use crate::failure::{Failure, Reason};
use crate::names::{LabelValue, MetadataKey, RemoteKey, SecretKey};
use crate::secret::{Payload, SecretBytes};

/// Rises when the same answers and configuration would give other content than before.
pub const REVISION: u32 = 2;

/// One item of an entry with the values that were read for it.
#[derive(Debug)]
pub enum Item<'a> {
    One {
        secret_key: &'a SecretKey,
        /// What the value is, for messages.
        from: &'a dyn Named,
        property: Option<&'a Property>,
        decoding: Decoding,
        value: &'a SecretBytes,
    },
    Extract {
        from: &'a dyn Named,
        property: Option<&'a Property>,
        shape: &'a Shape,
        value: &'a SecretBytes,
    },
    /// The matches of a `find`: the names of the secrets and their values.
    Found {
        find: &'a dyn Named,
        shape: &'a Shape,
        members: Vec<(&'a RemoteKey, &'a SecretBytes)>,
        /// What the run does without.
        absent: &'a Absent,
    },
    /// Keys of which each target keeps the value that it has.
    Kept(BTreeSet<SecretKey>),
}

/// What can be called by its name in a message.
pub trait Named: fmt::Display + fmt::Debug {}

impl<T: fmt::Display + fmt::Debug> Named for T {}

/// What an entry makes of what it fetched, beside or instead of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    pub merge_policy: MergePolicy,
    /// Empty: what was fetched is delivered as it is.
    pub data: BTreeMap<SecretKey, Template>,
    pub labels: BTreeMap<MetadataKey, Template>,
    pub annotations: BTreeMap<MetadataKey, Template>,
}

/// What becomes of the fetched keys beside those of templates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergePolicy {
    #[default]
    Replace,
    Merge,
}

/// What an entry delivers.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub data: Payload,
    /// Keys of which each target keeps the value that it has.
    pub kept: BTreeSet<SecretKey>,
    pub metadata: Metadata,
}

/// Rendered labels and annotations, which may hold values.
#[derive(Clone, Default)]
pub struct Metadata {
    pub labels: BTreeMap<MetadataKey, LabelValue>,
    pub annotations: BTreeMap<MetadataKey, String>,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.labels.keys().chain(self.annotations.keys());
        f.debug_set().entries(keys).finish()
    }
}

/// Later items win over earlier ones; two members of one item must not land on one key. Blank content is an
/// error, never a result.
pub fn assemble<'a>(
    items: impl IntoIterator<Item = Item<'a>>,
    format: JsonFormat,
    templates: Option<&Templates>,
) -> Result<Content, Failure> {
    let mut content = Content::default();
    for item in items {
        add(&mut content, item, format)?;
    }
    if let Some(templates) = templates {
        render(&mut content, templates)?;
    }
    // Beside what each target keeps there may be nothing else; a target judges what it gets.
    if content.data.is_blank() && content.kept.is_empty() {
        return Err(Failure::new(
            Reason::Invalid,
            if content.data.is_empty() {
                "nothing matches this entry's `data_from`; nothing empty is ever written"
            } else {
                "every value of this entry is empty; nothing empty is ever written"
            },
        ));
    }
    Ok(content)
}

fn add(content: &mut Content, item: Item<'_>, format: JsonFormat) -> Result<(), Failure> {
    match item {
        Item::One {
            secret_key,
            from,
            property,
            decoding,
            value,
        } => {
            let named = |what: &dyn fmt::Display| format!("`{secret_key}`: in `{from}`, {what}");
            let value = selected(&named, (property, format), value)?;
            let value = decoding.decode(value).map_err(|undecodable| {
                Failure::new(
                    Reason::Invalid,
                    named(&format!(
                        "the value is not {}: {undecodable}",
                        decoding.as_str()
                    )),
                )
                .with_help("set `decoding_strategy = \"none\"`, or correct the secret's value")
            })?;
            content.kept.remove(secret_key);
            content.data.insert(secret_key.clone(), value);
        }
        Item::Extract {
            from,
            property,
            shape,
            value,
        } => {
            let item = format!("extract {from}");
            let named = |what: &dyn fmt::Display| format!("`{item}`: {what}");
            let object = selected(&named, (property, format), value)?;
            insert(
                content,
                shape.of(&item).written_as(format).extract(&object)?,
            );
        }
        Item::Found {
            find,
            shape,
            members,
            absent,
        } => {
            let item = find.to_string();
            let members = members
                .into_iter()
                .map(|(name, value)| (name.to_string(), value.clone()));
            let bulk = shape.of(&item).without(absent).written_as(format);
            let keyed = bulk.keys(members)?;
            insert(content, keyed);
        }
        Item::Kept(keys) => {
            for key in keys {
                content.data.remove(&key);
                content.kept.insert(key);
            }
        }
    }
    Ok(())
}

fn insert(content: &mut Content, found: BTreeMap<SecretKey, SecretBytes>) {
    for (key, value) in found {
        content.kept.remove(&key);
        content.data.insert_found(key, value);
    }
}

fn selected(
    named: &dyn Fn(&dyn fmt::Display) -> String,
    (property, format): (Option<&Property>, JsonFormat),
    value: &SecretBytes,
) -> Result<SecretBytes, Failure> {
    let Some(property) = property else {
        return Ok(value.clone());
    };
    select::property_as(value, property, format).map_err(|missing| {
        Failure::new(Reason::Invalid, named(&missing)).with_help(
            if property.as_str().starts_with('$') {
                "write `property` as keys and indexes joined by dots, without a leading `$`"
            } else {
                "correct `property`, or the secret's JSON"
            },
        )
    })
}

/// Every template sees what was fetched, and no other template's result.
fn render(content: &mut Content, templates: &Templates) -> Result<(), Failure> {
    let fetched = std::mem::take(&mut content.data);
    for (key, template) in &templates.labels {
        let text = text(template, &fetched)?;
        let value = LabelValue::new(text).map_err(|expected| {
            let fact = format!(
                "template `{}`: a label's value must be {expected}",
                template.name()
            );
            Failure::new(Reason::Template, fact)
        })?;
        content.metadata.labels.insert(key.clone(), value);
    }
    for (key, template) in &templates.annotations {
        let text = text(template, &fetched)?;
        content.metadata.annotations.insert(key.clone(), text);
    }
    let mut rendered = Payload::default();
    for (key, template) in &templates.data {
        rendered.insert(key.clone(), template.render(&fetched)?);
    }
    content.data = match templates.merge_policy {
        MergePolicy::Replace if !rendered.is_empty() => rendered,
        MergePolicy::Replace | MergePolicy::Merge => fetched.merged(rendered),
    };
    Ok(())
}

fn text(template: &Template, values: &Payload) -> Result<String, Failure> {
    let bytes = template.render(values)?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| {
        let fact = format!(
            "template `{}`: labels and annotations must be text",
            template.name()
        );
        Failure::new(Reason::Template, fact)
    })?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
