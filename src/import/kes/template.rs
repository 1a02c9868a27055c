//! `template`: what KES merges under the Secret that it makes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::context::{self, Context};
use super::super::draft::{Entry, Target};
use super::super::jinja::TEXT_STANDS;
use super::super::tree::{Field, Map};
use super::super::{lodash, rendered};

pub(super) fn read(field: &Field, (entry, target): (&mut Entry, &mut Target), cx: &Context) {
    let Some(map) = field.map() else {
        return;
    };
    target.secret_type = map
        .text("type")
        .filter(|it| !it.is_empty())
        .map(str::to_owned);
    for field in map.fields() {
        match &*field.key {
            "apiVersion" | "kind" => field.note("KES writes its own"),
            "finalizers" | "ownerReferences" => field.refuse("it is not set here"),
            _ => {}
        }
    }
    if let Some(field) = map.get("immutable")
        && field.flag() == Some(true)
    {
        target.immutable = true;
        field.warn("new content of an immutable Secret is an error here");
    }
    if let Some(metadata) = map.map("metadata") {
        metadata_of(metadata, (entry, target));
    }
    if let Some(field) = map.get("data") {
        for (field, text) in field.map().map(Map::texts).unwrap_or_default() {
            under(field, text, entry, cx);
        }
    }
    if let Some(field) = map.get("stringData") {
        for (field, text) in field.map().map(Map::texts).unwrap_or_default() {
            over(field, text, entry, cx);
        }
    }
    if let Some(template) = &mut entry.template {
        template.merge = true;
    }
}

fn metadata_of(map: Map<'_>, (entry, target): (&mut Entry, &mut Target)) {
    for field in map.fields() {
        match &*field.key {
            "name" => field.note("KES gives the Secret the name of its ExternalSecret"),
            "creationTimestamp" => field.note("added by the API server"),
            "namespace" | "finalizers" | "ownerReferences" => field.refuse("it is not set here"),
            _ => {}
        }
    }
    rendered::metadata(map, (entry, target), lodash::convert);
}

/// `data`: base64, and what is fetched wins over it.
fn under(field: &Field, text: &str, entry: &mut Entry, cx: &Context) {
    let key = field.key.to_string();
    if entry.data.iter().any(|item| item.key == key) {
        field.warn_whole("left out: what is fetched under this key wins, as in KES");
        return;
    }
    if text.contains("<%") || text.contains("${") {
        field.refuse("only values without lookups are converted here");
        return;
    }
    let Ok(value) = STANDARD.decode(text) else {
        field.refuse("this is no base64");
        return;
    };
    if !entry.data_from.is_empty() {
        field.refuse("beside `dataFrom` it cannot be told which value wins; put it into AWS");
        return;
    }
    cx.literal(entry, (&key, &key), value, field);
}

/// `stringData`: text, which wins over what is fetched.
fn over(field: &Field, text: &str, entry: &mut Entry, cx: &Context) {
    let Some(converted) = rendered::told(field, lodash::convert(text)) else {
        return;
    };
    let key = field.key.to_string();
    let Some(literal) = converted.literal else {
        if converted.keeps_text {
            field.warn(TEXT_STANDS);
        }
        context::template(entry).data.insert(key, converted.text);
        return;
    };
    let hidden = entry.data.iter().position(|item| item.key == key);
    if hidden.is_some() {
        field.refuse("a value and a fetched one have this key, and the value wins; take the fetched one away");
        return;
    }
    cx.literal(entry, (&key, &key), literal.into_bytes(), field);
}
