//! JSON in and out, and YAML out. Numbers keep their spelling, keys are sorted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::value::RawValue;

use super::given::{Given, MAX_LEN, Outcome, Refusal, kind_of};
use super::text::too_long;
use super::values::{Blob, Spelled};
use super::words::Entry;

const MAX_DEPTH: usize = 64;
const MAX_INDENT: usize = 16;

/// Words that YAML 1.1 or 1.2 reads as something else than text.
const YAML_WORDS: [&str; 16] = [
    "true", "false", "null", "nan", "inf", "infinity", "yes", "no", "on", "off", "y", "n", "nil",
    "none", "t", "f",
];

pub(super) const WORDS: &[Entry] = &[
    Entry::filter(
        "from_json",
        "what JSON says; numbers keep their spelling, the last of equal keys counts",
        |g| parse(&g.text(0)?).map(Into::into),
    ),
    Entry::filter(
        "to_json(indent=0)",
        "JSON with sorted keys, on one line or indented",
        |g| Ok(to_json(g.value(0)?, g.count(1, 0, MAX_INDENT)?)?.into()),
    ),
    Entry::filter("to_yaml", "YAML with sorted keys", to_yaml),
];

/// `text` as a JSON string. Nothing is escaped for HTML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Also what YAML, and JavaScript, would take as line breaks or refuse.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The value of a JSON document. A refusal says where it is wrong, never what stands there.
pub(super) fn parse(text: &str) -> Result<Value, Refusal> {
    let document: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    value_of(document, 0)
}

fn not_json(error: &serde_json::Error) -> Refusal {
    let (line, column) = (error.line(), error.column());
    Refusal::new(format!(
        "it is not valid JSON (line {line}, column {column} of the value)"
    ))
}

fn value_of(raw: &RawValue, depth: usize) -> Result<Value, Refusal> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let text = raw.get();
    let parsed = match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(text).map_err(|error| not_json(&error))?;
            let members = members
                .into_iter()
                .map(|(key, raw)| Ok((key, value_of(raw, depth + 1)?)));
            Value::from_object(members.collect::<Result<BTreeMap<String, Value>, Refusal>>()?)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> =
                serde_json::from_str(text).map_err(|error| not_json(&error))?;
            let items = items.into_iter().map(|raw| value_of(raw, depth + 1));
            Value::from_object(items.collect::<Result<Vec<Value>, Refusal>>()?)
        }
        Some(b'"') => {
            let text: Cow<'_, str> =
                serde_json::from_str(text).map_err(|error| not_json(&error))?;
            Value::from(text.into_owned())
        }
        Some(b't') => Value::from(true),
        Some(b'f') => Value::from(false),
        Some(b'n') => Value::from(()),
        Some(_) | None => Spelled::number(text),
    };
    Ok(parsed)
}

fn too_deep() -> Refusal {
    Refusal::new(format!("it is nested more than {MAX_DEPTH} deep"))
}

/// What JSON and YAML know.
enum Node {
    /// As it is written in either.
    Plain(String),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

fn node(value: &Value) -> Result<Node, Refusal> {
    if let Some(blob) = value.downcast_object_ref::<Blob>() {
        return Err(blob.refusal());
    }
    if let Some(number) = value.downcast_object_ref::<Spelled>() {
        return Ok(Node::Plain(number.as_str().to_owned()));
    }
    let odd = || Refusal::new(format!("{} has no place in JSON or YAML", kind_of(value)));
    match value.kind() {
        ValueKind::Undefined => Err(Refusal::Undefined),
        ValueKind::None => Ok(Node::Plain("null".to_owned())),
        ValueKind::Bool => Ok(Node::Plain(value.is_true().to_string())),
        ValueKind::Number => {
            let text = value.to_string();
            if text.ends_with(|c: char| c.is_ascii_digit()) {
                Ok(Node::Plain(text))
            } else {
                Err(Refusal::new("a number is infinite, or none"))
            }
        }
        ValueKind::String => Ok(Node::Text(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Seq | ValueKind::Iterable => {
            Ok(Node::List(value.try_iter().map_err(|_| odd())?.collect()))
        }
        ValueKind::Map => {
            let mut map = BTreeMap::new();
            for key in value.try_iter().map_err(|_| odd())? {
                let item = value.get_item(&key).map_err(|_| odd())?;
                let name = key
                    .as_str()
                    .ok_or_else(|| Refusal::new("a key is not text"))?;
                map.insert(name.to_owned(), item);
            }
            Ok(Node::Map(map))
        }
        ValueKind::Bytes | ValueKind::Plain | ValueKind::Invalid | _ => Err(odd()),
    }
}

fn to_json(value: &Value, indent: usize) -> Result<String, Refusal> {
    let mut out = String::new();
    json(value, &mut out, indent, 0)?;
    Ok(out)
}

fn json(value: &Value, out: &mut String, indent: usize, depth: usize) -> Result<(), Refusal> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    if out.len() > MAX_LEN {
        return Err(too_long());
    }
    let colon = if indent == 0 { ":" } else { ": " };
    let line = |out: &mut String, depth: usize| {
        if indent > 0 {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    match node(value)? {
        Node::Plain(text) => out.push_str(&text),
        Node::Text(text) => out.push_str(&quoted(&text)),
        Node::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                json(item, out, indent, depth + 1)?;
            }
            if !items.is_empty() {
                line(out, depth);
            }
            out.push(']');
        }
        Node::Map(members) => {
            out.push('{');
            for (at, (key, item)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                out.push_str(&quoted(key));
                out.push_str(colon);
                json(item, out, indent, depth + 1)?;
            }
            if !members.is_empty() {
                line(out, depth);
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Without a last line break, so that it can stand on a line of a template.
fn to_yaml(g: &Given<'_>) -> Outcome {
    let mut out = String::new();
    yaml(g.value(0)?, &mut out, 0, Stands::First)?;
    Ok(out.into())
}

/// What is before a YAML node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    First,
    AfterDash,
    AfterKey,
}

fn yaml(value: &Value, out: &mut String, depth: usize, stands: Stands) -> Result<(), Refusal> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    if out.len() > MAX_LEN {
        return Err(too_long());
    }
    let line = |out: &mut String, at: usize| {
        if at > 0 || stands == Stands::AfterKey {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', 2 * depth));
        }
    };
    let space = if stands == Stands::AfterKey { " " } else { "" };
    match node(value)? {
        Node::Plain(text) => {
            out.push_str(space);
            out.push_str(&text);
        }
        Node::Text(text) => {
            out.push_str(space);
            out.push_str(&scalar(&text));
        }
        Node::List(items) if items.is_empty() => {
            out.push_str(space);
            out.push_str("[]");
        }
        Node::Map(members) if members.is_empty() => {
            out.push_str(space);
            out.push_str("{}");
        }
        Node::List(items) => {
            for (at, item) in items.iter().enumerate() {
                line(out, at);
                out.push_str("- ");
                yaml(item, out, depth + 1, Stands::AfterDash)?;
            }
        }
        Node::Map(members) => {
            for (at, (key, item)) in members.iter().enumerate() {
                line(out, at);
                out.push_str(&scalar(key));
                out.push(':');
                yaml(item, out, depth + 1, Stands::AfterKey)?;
            }
        }
    }
    Ok(())
}

/// Plain only where nobody could read it as anything but this text; else as in JSON, which YAML reads alike.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && !YAML_WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}
