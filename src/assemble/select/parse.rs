//! From the text of a property to its [`Path`].
//!
//! The syntax is that of gjson 1.18 (its SYNTAX.md). Where gjson goes on with half of what was written, this refuses.

mod argument;
mod multi;
mod part;
mod query;

use self::part::{Part, closing};
use super::path::{Element, End, Key, Path, Stage, Steps};
use super::refused::Refused;
use super::text;
use super::{DEPTH_LIMIT, NESTING_LIMIT};

/// What is known where something is read.
#[derive(Clone, Copy)]
struct Context {
    depth: usize,
    unknown: Unknown,
}

/// What `@` and no name of a modifier is.
#[derive(Clone, Copy)]
enum Unknown {
    Refused,
    Key,
}

/// A stage, and what comes after it.
type Read<'t> = (Stage, Option<Part<'t>>);

/// The path that `text` is.
pub(super) fn path(text: &str) -> Result<Path, Refused> {
    let context = Context {
        depth: 0,
        unknown: Unknown::Refused,
    };
    inner(Part::new(text), context)
}

/// The path of a text whose dots belong to its keys, if it has one.
pub(super) fn dotted(text: &str) -> Option<Path> {
    let context = Context {
        depth: 0,
        unknown: Unknown::Key,
    };
    inner(Part::new(&text.replace('.', "\\.")), context).ok()
}

fn inner(part: Part<'_>, context: Context) -> Result<Path, Refused> {
    if context.depth >= NESTING_LIMIT {
        return Err(Refused::TooDeep { at: part.place() });
    }
    let context = Context {
        depth: context.depth + 1,
        ..context
    };
    let mut stages = Vec::new();
    let mut rest = Some(part);
    while let Some(part) = rest {
        let (stage, next) = stage(part, context)?;
        stages.push(stage);
        rest = next;
    }
    Ok(Path(stages))
}

fn stage(part: Part<'_>, context: Context) -> Result<Read<'_>, Refused> {
    // One character alone is a key, whatever it is.
    let first = part.text().bytes().next().filter(|_| part.text().len() > 1);
    let special = match first {
        Some(b'@') => modifier(part, context)?,
        Some(b'!') => literal(part)?,
        Some(b'[' | b'{') => Some(multi::multi(part, context)?),
        _ => None,
    };
    special.map_or_else(|| steps(part, context), Ok)
}

/// What follows something that has ended.
fn after(part: Part<'_>) -> Result<Option<Part<'_>>, Refused> {
    match part.text().bytes().next() {
        None => Ok(None),
        Some(b'|' | b'.') => Ok(Some(part.from(1))),
        Some(_) => Err(Refused::Trailing { at: part.place() }),
    }
}

/// The name behind `@`.
fn modifier_name(text: &str) -> &str {
    let end = text.find([':', '|', '.']).unwrap_or(text.len());
    text.get(1..end).unwrap_or("")
}

fn modifier(part: Part<'_>, context: Context) -> Result<Option<Read<'_>>, Refused> {
    let name = modifier_name(part.text());
    let Some(modifier) = argument::named(name) else {
        return match context.unknown {
            Unknown::Key => Ok(None),
            Unknown::Refused => Err(Refused::Modifier { at: part.place() }),
        };
    };
    let end = 1 + name.len();
    if part.text().as_bytes().get(end) != Some(&b':') {
        let rest = after(part.from(end))?;
        let modifier = argument::taken(modifier, part.range(end, end), context)?;
        return Ok(Some((Stage::Modifier(modifier), rest)));
    }
    let end = end + 1;
    let length = argument::length(part.from(end))?;
    let modifier = argument::taken(modifier, part.range(end, end + length), context)?;
    Ok(Some((
        Stage::Modifier(modifier),
        after(part.from(end + length))?,
    )))
}

fn literal(part: Part<'_>) -> Result<Option<Read<'_>>, Refused> {
    let refused = Refused::Literal { at: part.place() };
    let json = part.from(1);
    let length = match json.text().as_bytes().first() {
        Some(b'{' | b'[' | b'"') => closing(json)?,
        Some(b'+' | b'-' | b'0'..=b'9') => json.text().len(),
        _ => {
            let end = json.text().find(['|', '.']).unwrap_or(json.text().len());
            match &json.text()[..end] {
                "true" | "false" | "null" => end,
                word if ["true", "false", "null", "nan", "inf"]
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(word)) =>
                {
                    return Err(refused);
                }
                _ => return Ok(None),
            }
        }
    };
    let json = json.range(0, length).text();
    if !text::is_json(json) {
        return Err(refused);
    }
    if text::depth(json) > DEPTH_LIMIT {
        return Err(Refused::TooDeep { at: part.place() });
    }
    Ok(Some((
        Stage::Literal(json.to_owned().into()),
        after(part.from(1 + length))?,
    )))
}

fn steps(mut part: Part<'_>, context: Context) -> Result<Read<'_>, Refused> {
    let lines = part.text().starts_with("..");
    if lines {
        part = part.from(2);
    }
    let mut keys = Vec::new();
    let (end, rest) = loop {
        let text = part.text();
        if text.starts_with("#.") {
            let (each, rest) = part.from(2).split_at_pipe();
            break (End::Each(inner(each, context)?), rest);
        }
        if text.starts_with("#(") || text.starts_with("#[") {
            let (query, rest) = query::query(part, context)?;
            break (End::Query(Box::new(query)), rest);
        }
        let (key, length) = key(text);
        keys.push(key);
        let rest = part.from(length);
        match rest.text().bytes().next() {
            None => break (End::Key, None),
            Some(b'|') => break (End::Key, Some(rest.from(1))),
            Some(_) => {
                part = rest.from(1);
                if begins_stage(part, context)? {
                    break (End::Key, Some(part));
                }
            }
        }
    };
    Ok((Stage::Steps(Steps { lines, keys, end }), rest))
}

/// Whether what follows a dot is no key.
fn begins_stage(part: Part<'_>, context: Context) -> Result<bool, Refused> {
    match part.text().bytes().next() {
        Some(b'[' | b'{') => Ok(true),
        Some(b'@') if argument::named(modifier_name(part.text())).is_some() => Ok(true),
        Some(b'@') if part.text().len() > 1 => match context.unknown {
            Unknown::Key => Ok(false),
            Unknown::Refused => Err(Refused::Modifier { at: part.place() }),
        },
        _ => Ok(false),
    }
}

/// The key that `text` begins with, and the length of its text.
fn key(text: &str) -> (Key, usize) {
    let mut key = String::new();
    let mut wild = false;
    let mut end = text.len();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '.' | '|' => {
                end = at;
                break;
            }
            '\\' => key.extend(characters.next().map(|(_, c)| c)),
            c => {
                wild |= matches!(c, '*' | '?');
                key.push(c);
            }
        }
    }
    let written = &text[..end];
    let key = Key {
        text: key,
        wild,
        element: element(written, text[end..].starts_with('.')),
    };
    (key, end)
}

fn element(written: &str, dot: bool) -> Element {
    let digits = !written.is_empty() && written.bytes().all(|b| b.is_ascii_digit());
    if digits && let Ok(index) = written.parse() {
        Element::At(index)
    } else if written == "#" {
        Element::Count
    } else if written.contains(['.', '|']) || (dot && written.contains('#')) {
        Element::Cut
    } else {
        Element::Nothing
    }
}
