//! `json_format`: how JSON is written that comes out of a value and is no string.
//!
//! KES and ESO write the same JSON differently, and who moves here from one of them wants the bytes that are there:
//!
//! - `raw`: as whoever wrote the secret spelled it; `null` is nothing.
//! - `kes`: as JavaScript makes it anew. Numbers are 64-bit floats, objects compact, members that are named like the index
//!   of an array come first; `null` is the four letters.
//! - `eso`: as `raw`, but a number at a property loses needless digits and its exponent, and what a `merge` makes is
//!   written anew by Go, members sorted.
//!
//! Of members with the same name, the last counts where an object is written anew. Unlike there, a number that is no finite
//! 64-bit float is an error: KES makes `Infinity` of it, or `null`, and ESO `+Inf`.

mod go;
mod javascript;
mod points;
mod tree;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::value::RawValue;

use self::go::Html;
use self::tree::Node;
use super::select::DEPTH_LIMIT;
use crate::secret::SecretBytes;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonFormat {
    #[default]
    Raw,
    Kes,
    Eso,
}

/// Why JSON cannot be written in a format. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// Nested deeper than [`DEPTH_LIMIT`].
    TooDeep,
    /// A number is beyond what a 64-bit float holds.
    TooLarge,
}

/// A predicate: what it is about stands before it.
impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(
                f,
                "is JSON of more than {DEPTH_LIMIT} levels, which no `json_format` but \"raw\" takes"
            ),
            Self::TooLarge => f.write_str(
                "has a number too large for a 64-bit float, which no `json_format` but \"raw\" takes",
            ),
        }
    }
}

impl JsonFormat {
    /// The value in which a property is looked up, where that is not the one that was read. Under `kes` it is written anew
    /// first, for then the last of equal names is found, as in JavaScript.
    pub(super) fn anew(self, json: &RawValue) -> Result<Option<String>, Unwritable> {
        match self {
            Self::Raw | Self::Eso => Ok(None),
            Self::Kes => javascript::written(&Node::of(json)?).map(Some),
        }
    }

    /// What is delivered for what was found at a property; `None` where that is its text, as in every format.
    pub(super) fn at_property(self, piece: &str) -> Result<Option<String>, Unwritable> {
        let piece = piece.trim();
        match self {
            Self::Raw => Ok(None),
            Self::Kes => Ok((piece == "null").then(|| piece.to_owned())),
            Self::Eso => match piece.as_bytes() {
                [b'-' | b'0'..=b'9', rest @ ..] if !rest.iter().all(u8::is_ascii_digit) => {
                    go::plain(piece).map(Some)
                }
                _ => Ok(None),
            },
        }
    }

    /// A member that is no string, of an object that becomes keys.
    pub(super) fn member(self, json: &RawValue) -> Result<String, Unwritable> {
        match self {
            Self::Raw | Self::Eso if json.get() == "null" => Ok(String::new()),
            Self::Raw | Self::Eso => Ok(json.get().to_owned()),
            Self::Kes => javascript::written(&Node::of(json)?),
        }
    }

    /// The same of an object that a `merge` read.
    pub(super) fn merged(self, json: &RawValue) -> Result<String, Unwritable> {
        match self {
            Self::Raw | Self::Kes => self.member(json),
            Self::Eso => {
                let node = Node::of(json)?;
                if let Node::Word("null") = node {
                    Ok(String::new())
                } else if let Node::Number(number) = node {
                    go::plain(number)
                } else {
                    go::written(&node, Html::Escaped)
                }
            }
        }
    }

    /// A member, strings too, inside the object that a `merge` writes.
    pub(super) fn nested(self, json: &RawValue) -> Result<String, Unwritable> {
        match self {
            Self::Raw => Ok(json.get().to_owned()),
            Self::Kes => javascript::written(&Node::of(json)?),
            Self::Eso => go::written(&Node::of(json)?, Html::AsItIs),
        }
    }

    /// The name of such a member.
    pub(super) fn name(self, name: &str) -> String {
        match self {
            Self::Raw | Self::Kes => javascript::quoted(name),
            Self::Eso => go::quoted(name, Html::AsItIs),
        }
    }
}

/// Whether both are the same JSON, as a program reads it that has its numbers as 64-bit floats.
pub fn is_same(one: &SecretBytes, other: &SecretBytes) -> bool {
    let read = |value: &SecretBytes| {
        let json: &RawValue = serde_json::from_slice(value.expose()).ok()?;
        // One sorts what the other leaves, and the other makes one of both zeros.
        let sorted = go::written(&Node::of(json).ok()?, Html::AsItIs).ok()?;
        let sorted: &RawValue = serde_json::from_str(&sorted).ok()?;
        javascript::written(&Node::of(sorted).ok()?).ok()
    };
    read(one).is_some_and(|one| read(other) == Some(one))
}

/// Every number of JSON is one, unless it is too large.
fn float(number: &str) -> Result<f64, Unwritable> {
    let float: f64 = number.parse().unwrap_or(f64::NAN);
    if float.is_finite() {
        Ok(float)
    } else {
        Err(Unwritable::TooLarge)
    }
}

/// As JavaScript and Go print a number inside JSON, which differ in minus zero alone.
fn shortest(float: f64, out: &mut String) {
    out.push_str(ryu_js::Buffer::new().format_finite(float));
}

/// An escape with four digits.
fn push_unit(unit: u32, out: &mut String) {
    out.push_str("\\u");
    let digits = [12, 8, 4, 0].map(|shift| unit >> shift & 0xf);
    out.extend(
        digits
            .iter()
            .filter_map(|digit| char::from_digit(*digit, 16)),
    );
}

/// The escapes that both write the same; false where `c` has none.
fn escaped(c: char, out: &mut String) -> bool {
    let short = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\0'..'\u{20}' => {
            push_unit(c.into(), out);
            return true;
        }
        _ => return false,
    };
    out.push_str(short);
    true
}
