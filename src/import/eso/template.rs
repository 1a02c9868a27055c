//! `target.template`.

use super::super::context;
use super::super::draft::{Entry, Target};
use super::super::go::{self, Engine, Of};
use super::super::jinja::{Converted, TEXT_STANDS};
use super::super::rendered;
use super::super::tree::{Field, Map};
use super::target::Usual;

pub(super) fn read(
    field: &Field,
    (entry, target): (&mut Entry, &mut Target),
    usual: &Usual<'_, '_>,
) {
    let Some(map) = field.map() else {
        return;
    };
    let engine = engine(map, usual.engine);
    let convert = |text: &str| go::convert(text, Of::Entry(engine));
    if let Some(field) = map.get("type")
        && let Some(text) = field.text()
    {
        if target.creation == Some("merge") {
            field.warn("left out: whoever makes the Secret gives it its type");
        } else {
            target.secret_type = Some(text.to_owned()).filter(|text| text != "Opaque");
        }
    }
    let merge = merges(map);
    if let Some(from) = map.get("templateFrom") {
        from.refuse("templates in ConfigMaps, Secrets and literals are not converted; put each text into `template.data`");
    }
    if let Some(metadata) = map.map("metadata") {
        rendered::metadata(metadata, (entry, target), convert);
        if let Some(field) = metadata.get("finalizers") {
            field.refuse("finalizers are not set here");
        }
    }
    if let Some(data) = map.get("data") {
        let texts = data.map().map(Map::texts).unwrap_or_default();
        for (field, text) in texts {
            let Some(converted) = rendered::told(field, convert(text)) else {
                continue;
            };
            one(field, converted, (entry, merge), usual);
        }
    }
    if let Some(template) = &mut entry.template {
        template.merge = merge;
    }
}

fn engine(map: Map<'_>, usual: Engine) -> Engine {
    let Some(field) = map.get("engineVersion") else {
        return usual;
    };
    match field.text() {
        Some("v1") => Engine::V1,
        Some("v2") => Engine::V2,
        None => usual,
        Some(_) => {
            field.refuse("`engineVersion` must be v1 or v2");
            usual
        }
    }
}

fn merges(map: Map<'_>) -> bool {
    let Some(field) = map.get("mergePolicy") else {
        return false;
    };
    match field.text() {
        Some("Merge") => true,
        Some("Replace") | None => false,
        Some(_) => {
            field.refuse("`mergePolicy` must be Replace or Merge");
            false
        }
    }
}

/// A key of the Secret. What asks for nothing is a value, and no value stands in a configuration.
fn one(
    field: &Field,
    converted: Converted,
    (entry, merge): (&mut Entry, bool),
    usual: &Usual<'_, '_>,
) {
    let key = field.key.to_string();
    let Some(literal) = converted.literal.filter(|text| !text.is_empty()) else {
        if converted.keeps_text {
            field.warn(TEXT_STANDS);
        }
        context::template(entry).data.insert(key, converted.text);
        return;
    };
    if !merge {
        let hidden = format!("literal.{key}");
        usual
            .cx
            .literal(entry, (&key, &hidden), literal.into_bytes(), field);
        let text = format!("{{{{ data[\"{hidden}\"] }}}}");
        context::template(entry).data.insert(key, text);
    } else if entry.data_from.is_empty() {
        usual
            .cx
            .literal(entry, (&key, &key), literal.into_bytes(), field);
    } else {
        field.refuse(
            "a value beside `dataFrom` and `mergePolicy: Merge` is not converted; put it into AWS",
        );
    }
}
