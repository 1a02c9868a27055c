//! The members of a JSON object, each of which becomes a key.
//!
//! As ESO does it: the whole value must be one JSON object; strings come out unescaped, `null` as nothing, everything
//! else exactly as it is written, unless `json_format` says otherwise; of equal names the last counts. Unlike there, `null` is no object, a member without a
//! name is an error (ESO drops it), and so is a string that is no text (ESO puts U+FFFD).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json_format::{JsonFormat, Unwritable};
use crate::secret::SecretBytes;

/// How many members an object may have. A secret of 64 KiB holds about as many at most.
pub const MAX_MEMBERS: usize = 10_000;

/// Why a value has no members. Lines, and columns in bytes, are counted from 1; nothing quotes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoObject {
    pub class: Class,
    /// Where it shows: at the place, or just behind it.
    pub line: usize,
    pub column: usize,
}

/// What is wrong with a value of which the members are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is not UTF-8 text.
    Binary,
    Syntax,
    /// It is JSON, but an array, a string, a number, a boolean or `null`.
    OtherKind,
    /// A member's name is empty.
    NoName,
    /// A string holds one half of a surrogate pair (`\ud800`), which no text can.
    Surrogate,
    TooMany,
    /// A member has a value that the format asked for does not take.
    Unwritable(Unwritable),
}

/// A predicate: what it is about stands before it.
impl fmt::Display for NoObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            Class::Binary => f.write_str("is binary, not a JSON object"),
            Class::Syntax => f.write_str("is not valid JSON"),
            Class::OtherKind => f.write_str("is JSON but not an object"),
            Class::NoName => f.write_str("has a member whose name is empty"),
            Class::Surrogate => f.write_str("has a string with half a surrogate pair"),
            Class::TooMany => write!(f, "has more than {MAX_MEMBERS} members"),
            Class::Unwritable(why) => why.fmt(f),
        }?;
        write!(f, " (line {}, column {})", self.line, self.column)
    }
}

/// The members of the one JSON object that `value` is, sorted by name.
pub fn members(value: &SecretBytes) -> Result<Members, NoObject> {
    members_as(value, JsonFormat::Raw)
}

/// As [`members`], what is no string in that format.
pub fn members_as(value: &SecretBytes, format: JsonFormat) -> Result<Members, NoObject> {
    read(value, &|raw| unescaped(raw, |raw| format.member(raw)))
}

/// As [`members_as`], for keys that a merge makes.
pub(super) fn merged(value: &SecretBytes, format: JsonFormat) -> Result<Members, NoObject> {
    read(value, &|raw| unescaped(raw, |raw| format.merged(raw)))
}

/// Each value as the JSON text that a merge writes of it.
pub(super) fn nested(value: &SecretBytes, format: JsonFormat) -> Result<Members, NoObject> {
    read(value, &|raw| format.nested(raw).map_err(Class::Unwritable))
}

/// Names and values.
pub type Members = Vec<(String, SecretBytes)>;

type Form<'f> = &'f dyn Fn(&RawValue) -> Result<String, Class>;

fn unescaped(
    raw: &RawValue,
    other: impl Fn(&RawValue) -> Result<String, Unwritable>,
) -> Result<String, Class> {
    if raw.get().starts_with('"') {
        return serde_json::from_str(raw.get()).map_err(|_| Class::Surrogate);
    }
    other(raw).map_err(Class::Unwritable)
}

fn read(value: &SecretBytes, form: Form<'_>) -> Result<Members, NoObject> {
    let bytes = value.expose();
    let text = std::str::from_utf8(bytes)
        .map_err(|error| at(Class::Binary, &bytes[..error.valid_up_to()]))?;
    // Checks the whole text once, so that no half-valid document answers.
    let document: &RawValue =
        serde_json::from_str(text).map_err(|error| behind(Class::Syntax, &error))?;
    if !document.get().starts_with('{') {
        let blank = bytes.len() - bytes.trim_ascii_start().len();
        return Err(at(Class::OtherKind, &bytes[..blank]));
    }
    let mut walk = Walk {
        form,
        found: BTreeMap::new(),
        trouble: Class::Syntax,
    };
    serde_json::Deserializer::from_str(text)
        .deserialize_map(&mut walk)
        .map_err(|error| behind(walk.trouble, &error))?;
    Ok(walk.found.into_iter().collect())
}

/// Where the parser stood. Before anything was read it says 0.
fn behind(class: Class, error: &serde_json::Error) -> NoObject {
    NoObject {
        class,
        line: error.line().max(1),
        column: error.column().max(1),
    }
}

/// The place that follows `before`.
fn at(class: Class, before: &[u8]) -> NoObject {
    let lines = before.split(|&byte| byte == b'\n');
    let column = lines.clone().next_back().map_or(0, <[u8]>::len) + 1;
    NoObject {
        class,
        line: lines.count(),
        column,
    }
}

struct Walk<'f> {
    form: Form<'f>,
    found: BTreeMap<String, SecretBytes>,
    /// What the error is about that ends the walk. The error itself knows the place.
    trouble: Class,
}

impl<'de> Visitor<'de> for &mut Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        loop {
            // The text was checked: what is still refused in a name is half a surrogate pair.
            self.trouble = Class::Surrogate;
            let Some(Name(name)) = map.next_key()? else {
                return Ok(());
            };
            if name.is_empty() {
                self.trouble = Class::NoName;
                return Err(A::Error::custom(""));
            }
            let raw: &RawValue = map.next_value()?;
            let text = (self.form)(raw).map_err(|class| {
                self.trouble = class;
                A::Error::custom("")
            })?;
            let value = SecretBytes::new(text.into_bytes());
            self.found.insert(name.into_owned(), value);
            if self.found.len() > MAX_MEMBERS {
                self.trouble = Class::TooMany;
                return Err(A::Error::custom(""));
            }
        }
    }
}

/// Borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extract(json: &[u8]) -> Result<Vec<(String, String)>, NoObject> {
        let text = |value: SecretBytes| String::from_utf8(value.expose().to_vec()).unwrap();
        let members = members(&SecretBytes::new(json.to_vec()))?;
        Ok(members.into_iter().map(|(k, v)| (k, text(v))).collect())
    }

    #[test]
    fn what_is_no_object_is_told_by_class_and_place_alone() {
        use Class::{Binary, NoName, OtherKind, Surrogate, Syntax};
        for (json, class, line, column) in [
            (b"".as_slice(), Syntax, 1, 1),
            (b"hunter2", Syntax, 1, 1),
            (b"{\"a\":1", Syntax, 1, 6),
            (b"{\"a\":1}\n x", Syntax, 2, 2),
            (b"{\"a\":1,}", Syntax, 1, 8),
            (b"\xef\xbb\xbf{\"a\":1}", Syntax, 1, 1),
            (b"{\"a\":\"\n\"}", Syntax, 1, 6),
            (b" \n [1]", OtherKind, 2, 2),
            (b"null", OtherKind, 1, 1),
            (b"\"hunter2\"", OtherKind, 1, 1),
            (b"{\"a\":\n\"\xff\"}", Binary, 2, 2),
            (b"{\"a\":1,\n\"\":2}", NoName, 2, 2),
            (b"{\"a\":\"\\ud800\"}", Surrogate, 1, 14),
            (b"{\"\\udc00\":1}", Surrogate, 1, 8),
        ] {
            let refused = extract(json).unwrap_err();
            let expected = NoObject {
                class,
                line,
                column,
            };
            assert_eq!(refused, expected, "{}", String::from_utf8_lossy(json));
            assert!(!refused.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn the_number_of_members_is_bounded() {
        let object = |members: usize| {
            let members: Vec<_> = (0..members).map(|n| format!("\"{n}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(
            extract(object(MAX_MEMBERS).as_bytes()).unwrap().len(),
            MAX_MEMBERS
        );
        let refused = extract(object(MAX_MEMBERS + 1).as_bytes()).unwrap_err();
        assert_eq!(refused.class, Class::TooMany);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(extract(deep.as_bytes()).unwrap()[0].1.len(), 200_000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in r#"[{}\[\]",:\\nu0a-d \n]{0,32}"#) {
            let _ = extract(&bytes);
            let _ = extract(text.as_bytes());
        }

        #[test]
        fn strings_come_back_sorted_by_name(
            object in prop::collection::btree_map("\\PC{1,8}", any::<String>(), 0..8),
        ) {
            let json = serde_json::to_vec(&object).unwrap();
            prop_assert_eq!(extract(&json).unwrap(), object.into_iter().collect::<Vec<_>>());
        }
    }
}
