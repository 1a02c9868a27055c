//! `rewrite`: what becomes of the names of keys.

use super::super::draft::Rewrite;
use super::super::go::{self, Of};
use super::super::tree::{Field, Map};
use super::super::{rendered, texts};

pub(super) fn steps(field: &Field) -> Vec<Rewrite> {
    let steps = field.maps().into_iter();
    steps.filter_map(|map| step(map, field)).collect()
}

fn step(map: Map<'_>, list: &Field) -> Option<Rewrite> {
    if let Some(regexp) = map.map("regexp") {
        let (source, target) = (regexp.text("source"), regexp.text("target"));
        if source.is_none() {
            list.refuse("a `regexp` has no `source`");
        }
        return Some(Rewrite::Regexp {
            source: source?.to_owned(),
            target: target.unwrap_or_default().to_owned(),
        });
    }
    if let Some(transform) = map.map("transform") {
        let Some(field) = transform.get("template") else {
            list.refuse("a `transform` has no `template`");
            return None;
        };
        let converted = rendered::told(field, go::convert(field.text()?, Of::Name));
        return converted.map(|it| Rewrite::Transform(it.text));
    }
    let Some(field) = map.get("merge") else {
        list.refuse("a step of `rewrite` must be `regexp`, `transform` or `merge`");
        return None;
    };
    merge(field)
}

fn merge(field: &Field) -> Option<Rewrite> {
    let map = field.map()?;
    let choice = |key: &str, words: &[(&str, &'static str)]| {
        let field = map.get(key)?;
        let text = field.text()?;
        let found = words.iter().find(|(theirs, _)| *theirs == text);
        if found.is_none() {
            field.refuse("this word is not known");
        }
        found.map(|(_, ours)| *ours)
    };
    let strategy = choice("strategy", &[("Extract", "extract"), ("JSON", "json")]);
    let conflict_policy = choice(
        "conflictPolicy",
        &[("Error", "error"), ("Ignore", "ignore")],
    );
    let policies = [("Strict", "strict"), ("IgnoreNotFound", "ignore_not_found")];
    let priority_policy = choice("priorityPolicy", &policies);
    Some(Rewrite::Merge {
        into: map
            .text("into")
            .filter(|it| !it.is_empty())
            .map(str::to_owned),
        strategy,
        conflict_policy,
        priority: map.get("priority").map(texts).unwrap_or_default(),
        priority_policy,
    })
}
