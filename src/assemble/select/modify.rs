//! What the modifiers make of a value.

mod pretty;

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::budget::{Budget, Piece, Stop};
use super::eval::{Next, Outcome, get};
use super::path::{Modifier, Path};
use super::text::{self, begins_with};

type Made = Zeroizing<String>;

/// `json` is empty where nothing is; most modifiers make nothing of nothing.
pub(super) fn modified<'a>(
    json: &'a str,
    modifier: &Modifier,
    budget: &mut Budget,
) -> Result<Outcome<'a>, Stop> {
    budget.spend(json.len())?;
    let made = match modifier {
        Modifier::This | Modifier::Valid => None,
        Modifier::Pretty(options) => Some(pretty::pretty(json, options, budget)?),
        Modifier::Ugly => Some(ugly(json, budget)?),
        Modifier::Reverse => reverse(json, budget)?,
        Modifier::Flatten { deep } => flatten(json, *deep, budget)?,
        Modifier::Join { preserve } => join(json, *preserve, budget)?,
        Modifier::Keys => Some(keys(json, budget)?),
        Modifier::Values => values(json, budget)?,
        Modifier::ToStr => Some(to_str(json, budget)?),
        Modifier::FromStr => return Ok(from_str(json)),
        Modifier::Group => Some(group(json, budget)?),
        Modifier::Dig(path) => Some(dig(json, path, budget)?),
    };
    Ok(Outcome {
        value: Some(made.map_or(Piece::Part(json), Piece::Made)),
        next: Next::Goes,
    })
}

/// Without blanks outside of strings.
fn ugly(json: &str, budget: &mut Budget) -> Result<Made, Stop> {
    let mut out = Made::default();
    let mut quoted = false;
    let mut escaped = false;
    for run in json.split_inclusive(|c: char| {
        let ends = !quoted && c <= ' ';
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    }) {
        budget.push(&mut out, run.trim_end_matches(|c: char| c <= ' '))?;
    }
    Ok(out)
}

fn reverse(json: &str, budget: &mut Budget) -> Result<Option<Made>, Stop> {
    if let Some(mut elements) = array(json) {
        elements.reverse();
        return budget.joined(["[", "]"], elements).map(Some);
    }
    match object(json) {
        Some(members) => object_of(members.into_iter().rev(), budget).map(Some),
        None => Ok(None),
    }
}

fn object_of<'a>(
    members: impl Iterator<Item = (&'a str, &'a str)>,
    budget: &mut Budget,
) -> Result<Made, Stop> {
    let mut out = Made::default();
    budget.push(&mut out, "{")?;
    for (at, (name, value)) in members.enumerate() {
        for text in [if at > 0 { "," } else { "" }, name, ":", value] {
            budget.push(&mut out, text)?;
        }
    }
    budget.push(&mut out, "}")?;
    Ok(out)
}

/// The elements of arrays in the array stand beside the others; `deep` ones, too.
fn flatten(json: &str, deep: bool, budget: &mut Budget) -> Result<Option<Made>, Stop> {
    let Some(elements) = array(json) else {
        return Ok(None);
    };
    let mut flat: Vec<Piece<'_>> = Vec::new();
    for element in elements {
        budget.spend(element.len())?;
        if !begins_with(element, b'[') {
            flat.push(Piece::Part(element));
        } else if deep {
            let inner = flatten(element, true, budget)?.unwrap_or_default();
            let inside = unwrapped(&inner);
            if !inside.is_empty() {
                flat.push(Piece::made(inside));
            }
        } else if !unwrapped(element).is_empty() {
            flat.push(Piece::Part(unwrapped(element)));
        }
    }
    budget
        .joined(["[", "]"], flat.iter().map(|piece| &**piece))
        .map(Some)
}

/// What is between the brackets.
fn unwrapped(json: &str) -> &str {
    let json = json.trim();
    json.get(1..json.len() - 1).unwrap_or("").trim()
}

/// One object of the objects in an array. Of equal names the last value counts, at the first one's place.
fn join(json: &str, preserve: bool, budget: &mut Budget) -> Result<Option<Made>, Stop> {
    let Some(elements) = array(json) else {
        return Ok(None);
    };
    if preserve {
        let objects = elements
            .into_iter()
            .filter(|element| begins_with(element, b'{'));
        let bodies = objects.map(|object| &object[1..object.len() - 1]);
        // An empty one would leave a comma alone.
        let bodies = bodies.filter(|body| !body.trim().is_empty());
        return budget.joined(["{", "}"], bodies).map(Some);
    }
    let mut members: Vec<(&str, &str)> = Vec::new();
    let mut places = HashMap::new();
    for (name, value) in elements.into_iter().filter_map(object).flatten() {
        let place = *places.entry(text::name(name)).or_insert(members.len());
        match members.get_mut(place) {
            Some(member) => member.1 = value,
            None => members.push((name, value)),
        }
    }
    object_of(members.into_iter(), budget).map(Some)
}

fn keys(json: &str, budget: &mut Budget) -> Result<Made, Stop> {
    if let Some(members) = object(json) {
        return budget.joined(["[", "]"], members.into_iter().map(|(name, _)| name));
    }
    let count = match array(json) {
        Some(elements) => elements.len(),
        None => usize::from(!json.trim().is_empty()),
    };
    budget.joined(["[", "]"], std::iter::repeat_n("null", count))
}

fn values(json: &str, budget: &mut Budget) -> Result<Option<Made>, Stop> {
    if begins_with(json, b'[') {
        return Ok(None);
    }
    let values = match object(json) {
        Some(members) => members.into_iter().map(|(_, value)| value).collect(),
        None => Vec::from_iter(Some(json.trim()).filter(|scalar| !scalar.is_empty())),
    };
    budget.joined(["[", "]"], values).map(Some)
}

fn to_str(json: &str, budget: &mut Budget) -> Result<Made, Stop> {
    let quoted = Zeroizing::new(text::quoted(json));
    let mut out = Made::default();
    budget.push(&mut out, &quoted)?;
    Ok(out)
}

/// The JSON that a string holds. A string that holds none ends the path: half-valid text never answers.
fn from_str(json: &str) -> Outcome<'static> {
    let inner = text::content(json);
    let valid = text::is_json(&inner) && text::depth(&inner) <= super::DEPTH_LIMIT;
    Outcome {
        value: valid.then_some(Piece::Made(inner)),
        next: if valid || json.is_empty() {
            Next::Goes
        } else {
            Next::Ends
        },
    }
}

/// `{"a":[1,2],"b":[3]}` as `[{"a":1,"b":3},{"a":2}]`.
fn group(json: &str, budget: &mut Budget) -> Result<Made, Stop> {
    let Some(members) = object(json) else {
        return Ok(Made::default());
    };
    let mut groups: Vec<Vec<(&str, &str)>> = Vec::new();
    for (name, value) in members {
        budget.spend(value.len())?;
        for (at, element) in array(value).into_iter().flatten().enumerate() {
            match groups.get_mut(at) {
                Some(group) => group.push((name, element)),
                None => groups.push(vec![(name, element)]),
            }
        }
    }
    let mut objects = Vec::new();
    for group in groups {
        objects.push(object_of(group.into_iter(), budget)?);
    }
    budget.joined(["[", "]"], objects.iter().map(|object| object.as_str()))
}

/// What is at `path` of the value and of everything in it, from the outside in.
fn dig(json: &str, path: &Path, budget: &mut Budget) -> Result<Made, Stop> {
    let mut found = Vec::new();
    let mut waiting = vec![json.trim_start()];
    while let Some(value) = waiting.pop() {
        found.extend(get(value, path, budget)?);
        budget.spend(value.len())?;
        let inside = match object(value) {
            Some(members) => members.into_iter().map(|(_, value)| value).collect(),
            None => array(value).unwrap_or_default(),
        };
        waiting.extend(inside.into_iter().rev());
    }
    budget.joined(["[", "]"], found.iter().map(|piece| &**piece))
}

fn array(json: &str) -> Option<Vec<&str>> {
    begins_with(json, b'[')
        .then(|| text::elements(json))
        .flatten()
}

fn object(json: &str) -> Option<Vec<(&str, &str)>> {
    begins_with(json, b'{')
        .then(|| text::members(json))
        .flatten()
}
