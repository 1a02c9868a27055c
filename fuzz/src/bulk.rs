//! `data_from`: the members of a JSON object through `keys`, `rewrite`, conversion and decoding. Lines up to an empty one
//! say what is done, one word and its arguments, separated by tabs; what follows is the object.

use std::collections::BTreeSet;

use secretsyncd::assemble::bulk::Shape;
use secretsyncd::assemble::convert::Conversion;
use secretsyncd::assemble::decode::Decoding;
use secretsyncd::assemble::extract;
use secretsyncd::assemble::json_format::JsonFormat;
use secretsyncd::assemble::rewrite::{
    ConflictPolicy, Merge, MergeOptions, MergeStrategy, PriorityPolicy, Regexp, Step,
};
use secretsyncd::assemble::template::Template;
use secretsyncd::secret::SecretBytes;

use super::{no_leak, planted};

const MOST_STEPS: usize = 8;
const ITEM: &str = "item";

pub fn target(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let (lines, json) = input.split_once("\n\n").unwrap_or(("", input));
    let Some((shape, format)) = shape(lines) else {
        return;
    };
    let bulk = shape.of(ITEM).written_as(format);
    let object = SecretBytes::new(planted(json).into_bytes());
    let made = bulk.extract(&object);
    if let Err(failure) = &made
        && only_values(json)
        && !lines.contains("hunter2")
    {
        no_leak(&[
            failure.to_string(),
            failure.help().to_owned(),
            format!("{failure:?}"),
        ]);
    }
    let Ok(mut members) = extract::members_as(&object, format) else {
        assert!(made.is_err());
        return;
    };
    let names: Vec<_> = members.iter().map(|(name, _)| name.clone()).collect();
    members.reverse();
    assert_eq!(bulk.keys(members.clone()), made, "the order matters");
    let middle = members.len() / 2;
    members.rotate_left(middle);
    assert_eq!(bulk.keys(members), made, "the order matters");
    if let Ok(made) = made
        && !shape.needs_values()
    {
        let picked = |name: &&String| shape.keys.as_ref().is_none_or(|keys| keys.contains(*name));
        let told: BTreeSet<_> = names
            .iter()
            .filter(picked)
            .map(|name| shape.key_of(name))
            .collect();
        let keys: BTreeSet<_> = made.into_keys().map(Some).collect();
        assert_eq!(told, keys, "keys differ from those that are foretold");
    }
}

fn shape(lines: &str) -> Option<(Shape, JsonFormat)> {
    let mut shape = Shape::default();
    let mut format = JsonFormat::Raw;
    for line in lines.lines() {
        let mut words = line.split('\t');
        match words.next()? {
            "keys" => shape.keys = Some(words.map(str::to_owned).collect()),
            "kes" => format = JsonFormat::Kes,
            "eso" => format = JsonFormat::Eso,
            "unicode" => shape.conversion = Conversion::Unicode,
            "base64" => shape.decoding = Decoding::Base64,
            "base64url" => shape.decoding = Decoding::Base64Url,
            "auto" => shape.decoding = Decoding::Auto,
            word => shape.rewrite.push(step(word, words)?),
        }
    }
    (shape.rewrite.len() <= MOST_STEPS).then_some((shape, format))
}

fn step<'a>(word: &str, mut words: impl Iterator<Item = &'a str>) -> Option<Step> {
    Some(match word {
        "regexp" => Step::Regexp(Regexp::new(words.next()?, words.next()?).ok()?),
        "transform" => Step::Transform(Template::new("t", words.next()?).ok()?),
        "extract" => Step::Merge(merge(MergeStrategy::Extract, None, words)?),
        "json" => {
            let into = words.next()?.to_owned();
            Step::Merge(merge(MergeStrategy::Json, Some(into), words)?)
        }
        _ => return None,
    })
}

/// `error` or `ignore`, `strict` or `lenient`, then the names of `priority`.
fn merge<'a>(
    strategy: MergeStrategy,
    into: Option<String>,
    mut words: impl Iterator<Item = &'a str>,
) -> Option<Merge> {
    let conflict_policy = match words.next()? {
        "error" => ConflictPolicy::Error,
        "ignore" => ConflictPolicy::Ignore,
        _ => return None,
    };
    let priority_policy = match words.next()? {
        "strict" => PriorityPolicy::Strict,
        "lenient" => PriorityPolicy::IgnoreNotFound,
        _ => return None,
    };
    Merge::new(MergeOptions {
        into,
        strategy,
        conflict_policy,
        priority: words.map(str::to_owned).collect(),
        priority_policy,
    })
    .ok()
}

/// Whether no `~` can be in a name, which messages show: behind a name, also one of an object in a string, is a colon.
fn only_values(json: &str) -> bool {
    let behind = json.split_once('~').map_or("", |(_, behind)| behind);
    !behind.contains([':', '\\'])
}
