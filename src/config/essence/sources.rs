//! What is read, and what is made of it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::told::{Table, Told};
use crate::assemble::bulk::Shape;
use crate::assemble::convert::Conversion;
use crate::assemble::decode::Decoding;
use crate::assemble::rewrite::{
    ConflictPolicy, MergeOptions, MergeStrategy, PriorityPolicy, Regexp, Step,
};
use crate::assemble::select::Property;
use crate::assemble::template::Template;
use crate::assemble::{MergePolicy, Templates};
use crate::config::{BulkSource, DataFrom, DataItem, Find, OnMissing, Source, Version};

pub(super) fn item(item: &DataItem) -> Told {
    let DataItem {
        secret_key,
        store,
        source: from,
        property,
        decoding,
        on_missing,
    } = item;
    Table::default()
        .with("secret_key", Told::text(secret_key.as_str()))
        .with("store", Told::text(store.as_str()))
        .with("source", source(from))
        .may("property", property.as_ref().map(self::property))
        .may("decoding", self::decoding(*decoding))
        .may("on_missing", missing(*on_missing))
        .told()
}

pub(super) fn bulk(item: &DataFrom) -> Told {
    let DataFrom {
        store,
        bulk,
        shape,
        on_missing,
    } = item;
    let Shape {
        keys,
        rewrite,
        conversion,
        decoding,
    } = shape;
    let table = Table::default().with("store", Told::text(store.as_str()));
    let table = match bulk {
        BulkSource::Extract {
            source: from,
            property,
        } => table
            .with("extract", source(from))
            .may("property", property.as_ref().map(self::property)),
        BulkSource::Find(find) => table.with("find", self::find(find)),
    };
    let conversion = match conversion {
        Conversion::Default => None,
        Conversion::Unicode => Some("unicode"),
    };
    table
        .may("keys", keys.as_ref().map(Told::texts))
        .some("rewrite", Told::list(rewrite.iter().map(step)))
        .may("conversion", conversion.map(Told::word))
        .may("decoding", self::decoding(*decoding))
        .may("on_missing", missing(*on_missing))
        .told()
}

fn source(source: &Source) -> Told {
    match source {
        Source::Value { key, version } => {
            let version = match version {
                Version::Current => None,
                Version::Stage(stage) => Some(("stage", stage)),
                Version::Id(id) => Some(("id", id)),
            };
            let table = Table::default().with("key", Told::text(key.as_str()));
            match version {
                Some((kind, version)) => table.with(kind, Told::text(version)),
                None => table,
            }
            .told()
        }
        Source::Metadata { key } => Table::default()
            .with("key", Told::text(key.as_str()))
            .flag("metadata", true)
            .told(),
        Source::Find(it) => Table::default().with("find", find(it)).told(),
    }
}

fn find(find: &Find) -> Told {
    let Find {
        path,
        name,
        keys,
        tags,
    } = find;
    let name = name.as_ref().map(|pattern| Told::text(pattern.as_str()));
    let tags = tags
        .iter()
        .map(|(key, it)| (Told::text(key), Told::text(it)));
    Table::default()
        .may("path", path.as_ref().map(Told::text))
        .may("name", name)
        .may("keys", keys.as_ref().map(texts))
        .some("tags", Told::map(tags))
        .told()
}

fn texts(keys: &BTreeSet<String>) -> Told {
    Told::texts(keys)
}

fn property(property: &Property) -> Told {
    Told::text(property.as_str())
}

fn decoding(decoding: Decoding) -> Option<Told> {
    let word = match decoding {
        Decoding::None => None,
        Decoding::Base64 => Some("base64"),
        Decoding::Base64Url => Some("base64url"),
        Decoding::Auto => Some("auto"),
    };
    word.map(Told::word)
}

fn missing(on_missing: OnMissing) -> Option<Told> {
    let word = match on_missing {
        OnMissing::Fail => None,
        OnMissing::KeepLast => Some("keep_last"),
        OnMissing::Drop => Some("drop"),
    };
    word.map(Told::word)
}

fn step(step: &Step) -> Told {
    let table = Table::default();
    match step {
        Step::Regexp(regexp) => table.with("regexp", self::regexp(regexp)),
        Step::Transform(by) => table.with("transform", template(by)),
        Step::Merge(merge) => table.with("merge", self::merge(&merge.options())),
    }
    .told()
}

fn regexp(regexp: &Regexp) -> Told {
    Table::default()
        .with("source", Told::text(regexp.source()))
        .with("target", Told::text(regexp.target()))
        .told()
}

fn merge(options: &MergeOptions) -> Told {
    let MergeOptions {
        into,
        strategy,
        conflict_policy,
        priority,
        priority_policy,
    } = options;
    let strategy = match strategy {
        MergeStrategy::Extract => None,
        MergeStrategy::Json => Some("json"),
    };
    let conflicts = match conflict_policy {
        ConflictPolicy::Error => None,
        ConflictPolicy::Ignore => Some("ignore"),
    };
    let absent = match priority_policy {
        PriorityPolicy::Strict => None,
        PriorityPolicy::IgnoreNotFound => Some("ignore_not_found"),
    };
    Table::default()
        .may("into", into.as_ref().map(Told::text))
        .may("strategy", strategy.map(Told::word))
        .may("conflict_policy", conflicts.map(Told::word))
        .some("priority", Told::texts(priority))
        .may("priority_policy", absent.map(Told::word))
        .told()
}

pub(super) fn templates(templates: &Templates) -> Told {
    fn all<K: Borrow<str>>(templates: &BTreeMap<K, Template>) -> Told {
        let all = templates.iter();
        Told::map(all.map(|(key, it)| (Told::text(key.borrow()), template(it))))
    }
    let Templates {
        merge_policy,
        data,
        labels,
        annotations,
    } = templates;
    let merge_policy = match merge_policy {
        MergePolicy::Replace => None,
        MergePolicy::Merge => Some("merge"),
    };
    Table::default()
        .may("merge_policy", merge_policy.map(Told::word))
        .some("data", all(data))
        .some("labels", all(labels))
        .some("annotations", all(annotations))
        .told()
}

/// Its text may be long: a digest tells it as well.
fn template(template: &Template) -> Told {
    Table::default()
        .with("name", Told::text(template.name()))
        .with("digest", Told::text(Sha256::digest(template.text())))
        .told()
}
