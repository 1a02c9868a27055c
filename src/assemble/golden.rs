//! What is made of things, row by row beside what ESO, and for JSON also KES, makes of them.

use std::collections::BTreeSet;

use super::convert::Conversion;
use super::decode::Decoding;
use super::extract;
use super::json_format::JsonFormat;
use super::select::{self, Property};
use crate::secret::SecretBytes;

/// Checks every row of a table: what we make of its first columns is the last but one, which is the one before it
/// exactly where the verdict is `same`. Each of `differences` must occur, and no other.
fn check<const INPUTS: usize>(
    table: &str,
    differences: &[&str],
    ours: fn([&str; INPUTS]) -> String,
) {
    let mut seen = BTreeSet::new();
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for row in rows {
        let columns: Vec<_> = row.split(" | ").collect();
        let (inputs, rest) = columns
            .split_first_chunk::<INPUTS>()
            .expect("too few columns");
        let [eso, expected, verdict] = rest else {
            panic!("{row}");
        };
        assert_eq!(ours(*inputs), *expected, "{row}");
        assert_eq!(eso == expected, *verdict == "same", "{row}");
        if *verdict != "same" {
            seen.insert(*verdict);
        }
    }
    assert_eq!(seen, differences.iter().copied().collect());
}

/// Bytes from a table's text.
fn bytes(text: &str) -> Vec<u8> {
    let text = text
        .replace('␤', "\n")
        .replace('␍', "\r")
        .replace('␉', "\t");
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => bytes.extend([b"\\x", part.as_bytes()].concat()),
        }
    }
    bytes
}

/// A table's text from bytes.
fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.replace('\n', "␤").replace('\t', "␉"),
        Err(_) => bytes
            .iter()
            .flat_map(|byte| [r"\x".to_owned(), format!("{byte:02x}")])
            .collect(),
    }
}

#[test]
fn extract_makes_what_the_table_says() {
    check(
        include_str!("golden/extract.txt"),
        &[
            "null is no object",
            "no name",
            "half a surrogate pair",
            "not UTF-8",
        ],
        |[input]| match extract::members(&SecretBytes::new(bytes(input))) {
            Ok(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{name}={}", text(value.expose())))
                    .collect();
                members.join(", ")
            }
            Err(_) => "refused".to_owned(),
        },
    );
}

#[test]
fn decoding_makes_what_the_table_says() {
    let all = [
        Decoding::None,
        Decoding::Base64,
        Decoding::Base64Url,
        Decoding::Auto,
    ];
    assert_eq!(
        all.map(Decoding::as_str),
        ["none", "base64", "base64url", "auto"]
    );
    check(
        include_str!("golden/decoding.txt"),
        &[],
        |[input, strategy]| {
            let decoding = match strategy {
                "none" => Decoding::None,
                "base64" => Decoding::Base64,
                "base64url" => Decoding::Base64Url,
                "auto" => Decoding::Auto,
                _ => panic!("{strategy}"),
            };
            decoding
                .decode(SecretBytes::new(bytes(input)))
                .map_or_else(|_| "refused".to_owned(), |value| text(value.expose()))
        },
    );
}

#[test]
fn conversion_makes_what_the_table_says() {
    check(
        include_str!("golden/conversion.txt"),
        &["keys are ASCII"],
        |[input, strategy]| {
            let conversion = match strategy {
                "default" => Conversion::Default,
                "unicode" => Conversion::Unicode,
                _ => panic!("{strategy}"),
            };
            assert_eq!(conversion.as_str(), strategy);
            conversion.key(input)
        },
    );
}

#[test]
fn json_is_written_as_the_table_says() {
    const SHOWN: [(&str, &str); 3] = [
        ("‹2028›", "\u{2028}"),
        ("‹2029›", "\u{2029}"),
        ("␡", "\u{7f}"),
    ];
    check(
        include_str!("golden/json_format.txt"),
        &["too large a number"],
        |[place, input]| {
            let input = SHOWN.iter().fold(input.to_owned(), |text, (shown, is)| {
                text.replace(shown, is)
            });
            let written = match place {
                "kes" => {
                    let at = at_property(&input, JsonFormat::Kes);
                    let member = JsonFormat::Kes.member(serde_json::from_str(&input).unwrap());
                    assert_eq!(at, member.ok(), "{input}");
                    at
                }
                "eso" => at_property(&input, JsonFormat::Eso),
                "eso-merge" => JsonFormat::Eso
                    .merged(serde_json::from_str(&input).unwrap())
                    .ok(),
                "eso-into" => JsonFormat::Eso
                    .nested(serde_json::from_str(&input).unwrap())
                    .ok(),
                _ => panic!("{place}"),
            };
            let written = written.unwrap_or_else(|| "refused".to_owned());
            SHOWN
                .iter()
                .fold(written, |text, (shown, is)| text.replace(is, shown))
        },
    );
}

fn at_property(json: &str, format: JsonFormat) -> Option<String> {
    let object = SecretBytes::new(format!("{{\"v\":{json}}}").into_bytes());
    let at = Property::new("v").unwrap();
    let value = select::property_as(&object, &at, format).ok()?;
    Some(String::from_utf8(value.expose().to_vec()).unwrap())
}
