use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::assemble::extract;
use crate::assemble::select::{self, Missing, Property};

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap_or_else(|_| panic!("{json}"))
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn at(json: &str, property: &str, format: JsonFormat) -> Result<String, Missing> {
    let property = Property::new(property).unwrap();
    let value = select::property_as(&bytes(json), &property, format)?;
    Ok(String::from_utf8(value.expose().to_vec()).unwrap())
}

fn nested_in(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[test]
fn raw_is_as_it_was_written_and_the_other_formats_are_not() {
    let json = r#"{"v": {"b": 1.0, "a":[ 1e3 ]}, "n": 1.0, "z": null}"#;
    let all = |property: &str| {
        let formats = [JsonFormat::Raw, JsonFormat::Kes, JsonFormat::Eso];
        formats.map(|format| at(json, property, format).unwrap())
    };
    let (spelled, anew) = (r#"{"b": 1.0, "a":[ 1e3 ]}"#, r#"{"b":1,"a":[1000]}"#);
    assert_eq!(all("v"), [spelled, anew, spelled]);
    assert_eq!(all("n"), ["1.0", "1", "1"]);
    assert_eq!(all("z"), ["", "null", ""]);
    let members = |format| {
        let members = extract::members_as(&bytes(json), format).unwrap();
        let text =
            |(_, value): (String, SecretBytes)| String::from_utf8(value.expose().to_vec()).unwrap();
        members.into_iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(members(JsonFormat::Raw), ["1.0", spelled, ""]);
    assert_eq!(members(JsonFormat::Kes), ["1", anew, "null"]);
    // `extract` hands on what is written.
    assert_eq!(members(JsonFormat::Eso), ["1.0", spelled, ""]);
}

#[test]
fn kes_finds_the_last_of_equal_names_and_the_others_the_first() {
    let json = r#"{"a":{"x":1},"a":{"x":2}}"#;
    for (format, value) in [
        (JsonFormat::Raw, "1"),
        (JsonFormat::Eso, "1"),
        (JsonFormat::Kes, "2"),
    ] {
        assert_eq!(at(json, "a.x", format).unwrap(), value, "{format:?}");
    }
}

#[test]
fn strings_are_the_same_in_every_format() {
    let json = r#"{"s":"1.0","n":"null","e":"<\u003c\u2028\ud800"}"#;
    for property in ["s", "n", "e"] {
        let raw = at(json, property, JsonFormat::Raw).unwrap();
        for format in [JsonFormat::Kes, JsonFormat::Eso] {
            assert_eq!(at(json, property, format).unwrap(), raw, "{property}");
        }
    }
}

#[test]
fn what_is_too_deep_or_too_large_is_refused_and_not_quoted() {
    let (deep, deeper) = (nested_in(DEPTH_LIMIT), nested_in(DEPTH_LIMIT + 1));
    for format in [JsonFormat::Kes, JsonFormat::Eso] {
        assert_eq!(format.nested(raw(&deep)).unwrap(), deep);
        assert_eq!(format.nested(raw(&deeper)), Err(Unwritable::TooDeep));
        assert_eq!(format.nested(raw("[1e999]")), Err(Unwritable::TooLarge));
        assert_eq!(format.merged(raw("-1e999")), Err(Unwritable::TooLarge));
    }
    assert_eq!(JsonFormat::Raw.nested(raw(&deeper)).unwrap(), deeper);
    let refused = at(r#"{"a":1e999}"#, "a", JsonFormat::Kes).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the secret has a number too large for a 64-bit float, which no `json_format` but \"raw\" takes"
    );
    let object = bytes("{\"a\":1,\n \"b\":[1e999]}");
    let refused = extract::members_as(&object, JsonFormat::Kes).unwrap_err();
    assert_eq!(
        refused.class,
        extract::Class::Unwritable(Unwritable::TooLarge)
    );
    assert_eq!((refused.line, refused.column), (2, 13));
}

#[test]
fn the_same_json_is_known_whatever_it_is_written_in() {
    for (one, other, same) in [
        (r#"{"a": 1.0, "b":[]}"#, r#"{"b":[],"a":1}"#, true),
        (r#""\u0041""#, r#""A""#, true),
        ("[0, -0]", "[-0.0,0]", true),
        ("12345678901234567890", "12345678901234567000", true),
        (r#"{"a":1}"#, r#"{"a":2}"#, false),
        ("[1]", "1", false),
        ("secret", "secret ", false),
        ("", "null", false),
        ("[1e999]", "[ 1e999]", false),
    ] {
        assert_eq!(is_same(&bytes(one), &bytes(other)), same, "{one} {other}");
    }
}

fn json() -> impl Strategy<Value = String> {
    let number = r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?";
    let string = r#""([a-c0-2<&\u{e9}\u{2028}\u{1f600}]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud8[0-9a-f]{2}){0,6}""#;
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        number,
        string,
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let blank = "[ \n\t]{0,2}";
        // Without halves of pairs: names that only differ in those are one for Go, and two for JavaScript.
        let name =
            r#""([a-c0-2<&\u{e9}\u{2028}\u{1f600}]|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}){0,6}""#;
        let name = prop_oneof![name, r#""[0-9]{1,2}""#];
        let member = (name, blank, inner.clone()).prop_map(|(k, b, v)| format!("{k}{b}:{v}"));
        prop_oneof![
            (blank, prop::collection::vec(inner, 0..6))
                .prop_map(|(b, all)| format!("[{b}{}{b}]", all.join(&format!(",{b}")))),
            (blank, prop::collection::vec(member, 0..6))
                .prop_map(|(b, all)| format!("{{{b}{}{b}}}", all.join(&format!("{b},")))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_anew_is_json_and_stays_as_it_is_the_next_time(json in json()) {
        for format in [JsonFormat::Kes, JsonFormat::Eso] {
            let once = format.nested(raw(&json)).unwrap();
            let again = format.nested(raw(&once)).unwrap();
            prop_assert_eq!(&once, &again);
            prop_assert!(is_same(&bytes(&json), &bytes(&once)), "{} {}", json, once);
        }
    }

    #[test]
    fn raw_and_members_of_eso_keep_every_byte(json in json()) {
        let written = raw(&json).get();
        prop_assert_eq!(JsonFormat::Raw.nested(raw(&json)).unwrap(), written);
        let same = if written == "null" { "" } else { written };
        for format in [JsonFormat::Raw, JsonFormat::Eso] {
            prop_assert_eq!(format.member(raw(&json)).unwrap(), same);
        }
        prop_assert_eq!(JsonFormat::Raw.merged(raw(&json)).unwrap(), same);
    }

    #[test]
    fn numbers_lose_nothing_that_a_float_holds(float in any::<f64>().prop_filter("", |it| it.is_finite())) {
        let number = format!("{float:e}");
        for written in [
            JsonFormat::Kes.nested(raw(&number)).unwrap(),
            JsonFormat::Eso.nested(raw(&number)).unwrap(),
            JsonFormat::Eso.merged(raw(&number)).unwrap(),
        ] {
            let again: f64 = written.parse().unwrap();
            prop_assert_eq!(again.partial_cmp(&float), Some(Ordering::Equal));
        }
    }

    #[test]
    fn any_text_is_the_same_json_as_itself_or_none(text in ".{0,40}") {
        let json = serde_json::from_str::<&RawValue>(&text).is_ok();
        prop_assert_eq!(is_same(&bytes(&text), &bytes(&text)), json);
    }
}
