//! `property`: one place in a JSON value, or what a query makes of it.
//!
//! The syntax is that of gjson 1.18, which ESO uses, and so are its answers. As in ESO, a property with a dot is first
//! tried as one key that holds its dots (`tls.crt`), then as it is written. What differs, on purpose: that first try is
//! for single keys only (ESO makes it for `x.y|@keys`, too, and then finds something else than what is written); the whole
//! value must be valid JSON; numbers keep their spelling (but for `json_format = "eso"`); syntax that is not understood is refused when the configuration
//! is loaded, where gjson goes on with a part of it.

mod budget;
mod eval;
mod modify;
mod parse;
mod path;
mod pattern;
mod query;
mod refused;
mod text;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use self::budget::{Budget, Stop};
use self::path::Path;
pub use self::refused::Refused;
use super::json_format::{JsonFormat, Unwritable};
use crate::secret::SecretBytes;

/// Bytes of a property.
pub const TEXT_LIMIT: usize = 1024;
/// Paths in one another, as in queries and multipaths.
pub const NESTING_LIMIT: usize = 16;
/// Arrays and objects in one another, of a value.
pub const DEPTH_LIMIT: usize = 128;
/// Bytes of a result, and of what is made on the way to it: what a Secret may hold.
pub const OUTPUT_LIMIT: usize = 1 << 20;
/// Bytes that one selection may look at or write, again and again: 64 times the largest value.
pub const WORK_LIMIT: usize = 1 << 26;

/// A property that can be looked up. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Property(Arc<Parsed>);

#[derive(PartialEq, Eq)]
struct Parsed {
    text: String,
    path: Path,
    /// The path whose keys hold the dots.
    dotted: Option<Path>,
}

impl Property {
    pub fn new(text: &str) -> Result<Self, Refused> {
        if text.is_empty() {
            return Err(Refused::Empty);
        }
        if text.len() > TEXT_LIMIT {
            return Err(Refused::TooLong);
        }
        let path = parse::path(text)?;
        // More than one key behind each other is no literal key: of `{x.y,x}` that would be half of the answer.
        let dotted = text.contains('.').then(|| parse::dotted(text)).flatten();
        let dotted = dotted.filter(Path::is_one_key);
        Ok(Self(Arc::new(Parsed {
            text: text.to_owned(),
            path,
            dotted,
        })))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

/// As it was written.
impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Property").field(&self.0.text).finish()
    }
}

/// Why there is nothing at a property. Never quotes the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    NotJson {
        line: usize,
        column: usize,
    },
    NotUtf8,
    /// No such place; the property.
    Absent(String),
    /// The value is nested deeper than [`DEPTH_LIMIT`].
    TooDeep,
    /// The result is larger than [`OUTPUT_LIMIT`]; the property.
    TooLarge(String),
    /// More than [`WORK_LIMIT`]; the property.
    TooMuchWork(String),
    /// In the format that is asked for.
    Unwritable(Unwritable),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => write!(
                f,
                "the secret is not valid JSON (line {line}, column {column}), so it has no properties"
            ),
            Self::NotUtf8 => f.write_str("the secret is binary, so it has no properties"),
            Self::Absent(property) => write!(f, "the secret has no property `{property}`"),
            Self::TooDeep => write!(
                f,
                "the secret is JSON of more than {DEPTH_LIMIT} levels, so its properties cannot be read"
            ),
            Self::TooLarge(property) => write!(
                f,
                "`{property}` makes more than {OUTPUT_LIMIT} bytes of the secret"
            ),
            Self::TooMuchWork(property) => {
                write!(f, "`{property}` takes too much work on a secret like this")
            }
            Self::Unwritable(why) => write!(f, "the secret {why}"),
        }
    }
}

/// The bytes at `property` of `value`: strings without their quotes and escapes, `null` as nothing, everything else as it
/// is written there.
pub fn property(value: &SecretBytes, at: &Property) -> Result<SecretBytes, Missing> {
    property_as(value, at, JsonFormat::Raw)
}

/// As [`property`], what is no string in that format.
pub fn property_as(
    value: &SecretBytes,
    property: &Property,
    format: JsonFormat,
) -> Result<SecretBytes, Missing> {
    let json = std::str::from_utf8(value.expose()).map_err(|_| Missing::NotUtf8)?;
    // Checks the whole text once, so that no half-valid document answers.
    let checked: &RawValue = serde_json::from_str(json).map_err(|error| Missing::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    if text::depth(json) > DEPTH_LIMIT {
        return Err(Missing::TooDeep);
    }
    let anew = format.anew(checked).map_err(Missing::Unwritable)?;
    let json = anew.as_deref().unwrap_or(json);
    let mut budget = Budget::new();
    let Parsed { text, path, dotted } = &*property.0;
    for path in dotted.iter().chain([path]) {
        let found = eval::get(json, path, &mut budget).map_err(|stop| match stop {
            Stop::TooLarge => Missing::TooLarge(text.clone()),
            Stop::TooMuchWork => Missing::TooMuchWork(text.clone()),
        })?;
        if let Some(found) = found {
            let written = format.at_property(&found).map_err(Missing::Unwritable)?;
            let bytes = match written {
                Some(written) => written.into_bytes(),
                None => text::content(&found).as_bytes().to_vec(),
            };
            return Ok(SecretBytes::new(bytes));
        }
    }
    Err(Missing::Absent(text.clone()))
}
