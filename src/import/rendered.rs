//! What becomes of converted templates, whoever's they are.

use super::context;
use super::draft::{Entry, Target};
use super::jinja::Converted;
use super::tree::{Field, Map};

/// At its key is said how the result may differ, or why there is none.
pub(super) fn told(field: &Field, converted: Result<Converted, String>) -> Option<Converted> {
    let converted = converted.map_err(|why| field.refuse(why)).ok()?;
    for warning in &converted.warnings {
        field.warn(*warning);
    }
    Some(converted)
}

/// `labels` and `annotations` of the Secret: those that ask for a key are templates here, too.
pub(super) fn metadata(
    map: Map<'_>,
    (entry, target): (&mut Entry, &mut Target),
    convert: impl Fn(&str) -> Result<Converted, String>,
) {
    for name in ["labels", "annotations"] {
        let texts = map.map(name).map(Map::texts).unwrap_or_default();
        for (field, text) in texts {
            let Some(converted) = told(field, convert(text)) else {
                continue;
            };
            let key = field.key.to_string();
            let labels = name == "labels";
            match converted.literal {
                Some(literal) if labels => target.labels.insert(key, literal),
                Some(literal) => target.annotations.insert(key, literal),
                None if labels => context::template(entry).labels.insert(key, converted.text),
                None => context::template(entry)
                    .annotations
                    .insert(key, converted.text),
            };
        }
    }
}
