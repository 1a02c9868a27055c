//! JSON as text: values are pieces of the document, exactly as they are written there.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// The first byte says what a value is.
pub(super) fn begins_with(text: &str, byte: u8) -> bool {
    text.trim_start().as_bytes().first() == Some(&byte)
}

/// The elements of an array; `None` where it is none.
pub(super) fn elements(text: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// The members of an object, names as they are written; `None` where it is none.
pub(super) fn members(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(Members).ok()?;
    json.end().ok()?;
    Some(members)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(&'de str, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            members.push((name.get(), value.get()));
        }
        Ok(members)
    }
}

/// What a value is taken for where values are compared.
#[derive(Debug)]
pub(super) enum Scalar {
    Null,
    False,
    True,
    Number(f64),
    Text(Zeroizing<String>),
    /// An array or an object.
    Nested,
}

impl Scalar {
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim();
        match text.as_bytes().first() {
            Some(b'"') => Self::Text(content(text)),
            Some(b'{' | b'[') => Self::Nested,
            Some(b't') => Self::True,
            Some(b'f') => Self::False,
            Some(b'n') | None => Self::Null,
            Some(_) => text.parse().map_or(Self::Null, Self::Number),
        }
    }

    pub(super) fn is_trueish(&self) -> bool {
        match self {
            Self::Null | Self::False | Self::Nested => false,
            Self::True => true,
            Self::Number(number) => *number != 0.0,
            Self::Text(text) => said(text) == Some(true),
        }
    }

    pub(super) fn is_falseish(&self) -> bool {
        match self {
            Self::Null | Self::False => true,
            Self::True | Self::Nested => false,
            Self::Number(number) => *number == 0.0,
            Self::Text(text) => said(text) == Some(false),
        }
    }
}

/// The words that Go's `ParseBool` knows, in any case.
fn said(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(["1", "t", "true"]) {
        Some(true)
    } else if is(["0", "f", "false"]) {
        Some(false)
    } else {
        None
    }
}

/// What a value says: a string without its quotes and escapes, `null` nothing, everything else as it is written.
pub(super) fn content(text: &str) -> Zeroizing<String> {
    let trimmed = text.trim();
    if let Some(inside) = inside(trimmed) {
        return Zeroizing::new(decoded(inside).0);
    }
    Zeroizing::new(if trimmed == "null" { "" } else { text }.to_owned())
}

/// The name of a member, from what is written.
pub(super) fn name(written: &str) -> Cow<'_, str> {
    match inside(written) {
        Some(inside) if inside.contains('\\') => Cow::Owned(decoded(inside).0),
        Some(inside) => Cow::Borrowed(inside),
        None => Cow::Borrowed(written),
    }
}

fn inside(string: &str) -> Option<&str> {
    string.strip_prefix('"')?.strip_suffix('"')
}

/// The text of the inside of a JSON string; `None` where one of its escapes is none.
pub(super) fn unescaped(inside: &str) -> Option<String> {
    let (text, whole) = decoded(inside);
    whole.then_some(text)
}

/// The text up to the first escape that is none, and whether that is all of it. Half a surrogate pair becomes U+FFFD,
/// together with the escape behind it, as in gjson.
fn decoded(inside: &str) -> (String, bool) {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((character, length)) = escape(rest) else {
            return (text, false);
        };
        text.push(character);
        rest = &rest[length..];
    }
    text.push_str(rest);
    (text, true)
}

/// The character of an escape, and the length of its text behind the backslash.
fn escape(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((simple, 1))
}

fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |from: usize| {
        let digits = text.get(from..from + 4)?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    let first = unit(1)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, 5));
    }
    let second = text.get(5..7).filter(|escape| *escape == "\\u");
    let Some(second) = second.and_then(|_| unit(7)) else {
        return Some((char::REPLACEMENT_CHARACTER, 5));
    };
    let pair = char::decode_utf16([first, second]).next();
    let pair = pair.and_then(Result::ok);
    Some((pair.unwrap_or(char::REPLACEMENT_CHARACTER), 11))
}

/// `text` as a JSON string, with the escapes that gjson writes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                let code = u32::from(c);
                let digits = [12, 8, 4, 0].map(|shift| code >> shift & 0xf);
                quoted.push_str("\\u");
                quoted.extend(
                    digits
                        .iter()
                        .filter_map(|digit| char::from_digit(*digit, 16)),
                );
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// How many arrays and objects are in one another at most.
pub(super) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut quoted) = (0_usize, 0, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
