//! `property`: one place in a JSON value.
//!
//! The whole property is tried as a literal key of the top-level object first (`tls.crt`), then as a path of keys and
//! array indexes, as ESO does. The value must be valid JSON; numbers, arrays and objects come out exactly as they are
//! written, strings unescaped, `null` as nothing. Of equal keys in one object the first counts, as in ESO.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub use crate::config::Property;
use crate::secret::SecretBytes;

/// Why there is nothing at a property. Never quotes the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    NotJson { line: usize, column: usize },
    NotUtf8,
    Absent(String),
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
        }
    }
}

/// The bytes at `property` of `value`.
pub fn property(value: &SecretBytes, property: &Property) -> Result<SecretBytes, Missing> {
    let text = std::str::from_utf8(value.expose()).map_err(|_| Missing::NotUtf8)?;
    // Checks the whole text once, so that no half-valid document answers.
    let document: &RawValue = serde_json::from_str(text).map_err(|error| Missing::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    let found = step(document, &property.literal).or_else(|| {
        property
            .path
            .iter()
            .try_fold(document, |at, name| step(at, name))
    });
    found.map_or_else(
        || Err(Missing::Absent(property.literal.clone())),
        |raw| Ok(bytes_of(raw)),
    )
}

/// One step down: a key of an object, or an index of an array.
fn step<'a>(at: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    let mut json = serde_json::Deserializer::from_str(at.get());
    match at.get().as_bytes().first()? {
        b'{' => json.deserialize_map(Key(name)).ok().flatten(),
        b'[' => {
            let digits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
            let index = digits.then(|| name.parse().ok()).flatten()?;
            json.deserialize_seq(Index(index)).ok().flatten()
        }
        _ => None,
    }
}

fn bytes_of(raw: &RawValue) -> SecretBytes {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            // The document parsed, so its strings do.
            let text: String = serde_json::from_str(text).unwrap_or_default();
            SecretBytes::new(text.into_bytes())
        }
        Some(b'n') => SecretBytes::new(Vec::new()),
        _ => SecretBytes::new(text.as_bytes().to_vec()),
    }
}

struct Key<'k>(&'k str);

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<JsonKey<'de>>()? {
            if found.is_none() && key.0 == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct Index(usize);

impl<'de> Visitor<'de> for Index {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut at = 0;
        let mut found = None;
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            if at == self.0 {
                found = Some(value);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// An object key, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
struct JsonKey<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn select(json: &str, literal: &str) -> Result<String, Missing> {
        let path = literal.split('.').map(str::to_owned).collect();
        let property = Property {
            literal: literal.to_owned(),
            path,
        };
        super::property(&SecretBytes::new(json.as_bytes().to_vec()), &property)
            .map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
    }

    #[test]
    fn what_eso_records_holds_here() {
        let json = r#"{"s":"a\nb\u00e9","n":1.0,"e":1e5,"big":12345678901234567890,"t":true,"z":null,
            "o":{"k": [1, {"x":"y"}]},"a.b":"literal","a":{"b":"path"},"d":1,"d":2}"#;
        for (at, expected) in [
            ("s", "a\nbé"),
            ("n", "1.0"),
            ("e", "1e5"),
            ("big", "12345678901234567890"),
            ("t", "true"),
            ("z", ""),
            ("o", r#"{"k": [1, {"x":"y"}]}"#),
            ("o.k.0", "1"),
            ("o.k.1.x", "y"),
            ("a.b", "literal"),
            ("d", "1"),
        ] {
            assert_eq!(select(json, at).as_deref(), Ok(expected), "{at}");
        }
        for absent in ["x", "o.k.2", "o.k.-1", "s.x", "o.k.x"] {
            assert_eq!(
                select(json, absent),
                Err(Missing::Absent(absent.to_owned()))
            );
        }
    }

    #[test]
    fn a_value_that_is_not_json_has_no_properties_and_is_not_quoted() {
        for text in ["hunter2", r#"{"a":1"#, r#"{"a":1} x"#, ""] {
            let missing = select(text, "a").unwrap_err();
            assert!(matches!(missing, Missing::NotJson { .. }), "{text:?}");
            assert!(!missing.to_string().contains("hunter2"));
        }
        assert!(select("\u{feff}{\"a\":1}", "a").is_err());
        let deep = "[".repeat(10_000);
        assert!(matches!(select(&deep, "0"), Err(Missing::NotJson { .. })));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,64}", at in ".{0,16}") {
            let _ = select(&text, &at);
        }
    }
}
