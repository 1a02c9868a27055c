//! What holds for every property and every value.

use proptest::prelude::*;

use super::{Missing, Property, SecretBytes, property};

fn look(text: &str, json: &str) -> Option<Result<Vec<u8>, Missing>> {
    let at = Property::new(text).ok()?;
    let value = SecretBytes::new(json.as_bytes().to_vec());
    Some(property(&value, &at).map(|found| found.expose().to_vec()))
}

/// How often a name may be in one object.
#[derive(Clone, Copy, PartialEq)]
enum Names {
    Once,
    Often,
}

/// JSON with few names, so that paths meet some.
fn json(names: Names) -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        (-20_i32..120).prop_map(|number| number.to_string()),
        prop::sample::select(vec![
            "true",
            "false",
            "null",
            "\"x\"",
            "\"ab\"",
            "\"10\"",
            "\"\"",
            "1.50",
            "\"a\\\"\\u00e9\"",
            "\"{\\\"a\\\":1}\"",
            "\"\\ud800\"",
        ])
        .prop_map(str::to_owned),
    ];
    scalar.prop_recursive(4, 40, 4, move |inner| {
        let name = prop::sample::select(vec!["a", "b", "ab", "name", "a.b", "0", "#", ""]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|elements| format!("[{}]", elements.join(", "))),
            prop::collection::vec((name, inner), 0..4).prop_map(move |mut members| {
                if names == Names::Once {
                    members.sort();
                    members.dedup_by_key(|(name, _)| *name);
                }
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\": {value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Text in the shape of a property, whole or broken.
fn shaped() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a",
        "b",
        "ab",
        "name",
        "0",
        "1",
        "*",
        "?",
        "#",
        ".",
        ".",
        ".",
        "|",
        "|",
        "#(",
        "#[",
        ")",
        ")#",
        "]",
        "==",
        "!=",
        "<",
        "%",
        "!%",
        "~true",
        "~null",
        "\"",
        "\"x\"",
        "\\",
        "\\.",
        "{",
        "}",
        "[",
        ",",
        ":",
        "@this",
        "@pretty",
        "@pretty:{\"width\":3}",
        "@ugly",
        "@reverse",
        "@flatten",
        "@flatten:{\"deep\":true}",
        "@join",
        "@keys",
        "@values",
        "@tostr",
        "@fromstr",
        "@group",
        "@dig:",
        "!\"x\"",
        "!{\"a\":1}",
        "..",
        "é",
        " ",
    ]);
    prop::collection::vec(token, 1..12).prop_map(|tokens| tokens.concat())
}

/// Keys, indexes, wildcards, `#` and queries, as Go's gjson and its port to Rust agree on them. Not here: modifiers,
/// multipaths and literals, which the port reads in its own way; wildcards before the end, and names that are there
/// twice, behind whose first match the port does not look on; `#` at the end, which the port counts in objects, too.
fn plain() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["a", "b", "ab", "name", "0", "1", "c"]);
    let last = prop::sample::select(vec!["a", "b", "name", "a*", "?", "*b", "0", "1"]);
    let query = (
        prop::sample::select(vec!["a", "b", "name"]),
        prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]),
        prop::sample::select(vec!["1", "10", "\"x\"", "true"]),
        prop::sample::select(vec!["", "#"]),
    )
        .prop_map(|(path, how, with, all)| format!("#({path}{how}{with}){all}"));
    let array = prop_oneof![Just("#".to_owned()), query];
    (
        prop::collection::vec(key(), 0..3),
        prop::option::of(array),
        prop::option::of(last),
    )
        .prop_filter_map("a step", |(mut keys, array, last)| {
            let array = array.unwrap_or_default();
            keys.extend(Some(array.as_str()).filter(|array| !array.is_empty()));
            keys.extend(last.or((array == "#").then_some("a")));
            (!keys.is_empty()).then(|| keys.join("."))
        })
}

/// Brackets in strings, and half a surrogate pair; names with a dot, which the port has no first try for; a key called
/// `#`, which here has to be escaped where more follows.
fn without_what_the_port_reads_otherwise(json: &str) -> String {
    [
        ("\"{\\\"a\\\":1}\"", "\"y\""),
        ("\\ud800", "z"),
        ("a.b", "c"),
        ("\"#\"", "\"d\""),
    ]
    .iter()
    .fold(json.to_owned(), |json, (from, to)| json.replace(from, to))
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,64}", json in ".{0,64}") {
        look(&text, &json);
    }

    #[test]
    fn no_text_in_the_shape_of_a_property_panics(text in shaped(), json in json(Names::Often)) {
        look(&text, &json);
    }

    #[test]
    fn the_same_gives_the_same(text in shaped(), json in json(Names::Often)) {
        prop_assert_eq!(look(&text, &json), look(&text, &json));
    }

    #[test]
    fn what_is_missing_never_quotes_the_value(text in "[abx*?#.@]{1,8}", json in json(Names::Often)) {
        let json = json.replace("\"x\"", "\"hunter2\"");
        if let Some(Err(missing)) = look(&text, &json) {
            prop_assert!(!missing.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_key_is_found_by_its_escaped_name(name in "[a-z.*?|#@!{}\\[\\]()\\\\é \"]{1,8}", json in json(Names::Often)) {
        let mut escaped = String::new();
        for c in name.chars() {
            if c.is_ascii_punctuation() {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        let text = serde_json::to_string(&name).unwrap();
        let whole = format!("{{{text}: {{\"in\": {json}}}}}");
        let found = look(&format!("{escaped}|@this|in|@this"), &whole);
        let direct = look("@this", &json);
        prop_assert_eq!(found, direct, "{}", escaped);
    }

    #[test]
    fn a_path_gives_what_the_port_of_gjson_gives(text in plain(), json in json(Names::Once)) {
        let json = without_what_the_port_reads_otherwise(&json);
        let theirs = gjson::get(&json, &text);
        let theirs = theirs.exists().then(|| match theirs.kind() {
            gjson::Kind::Null => Vec::new(),
            // Not as it prints them: numbers keep their spelling here.
            gjson::Kind::Number => theirs.json().as_bytes().to_vec(),
            gjson::Kind::False
            | gjson::Kind::True
            | gjson::Kind::String
            | gjson::Kind::Array
            | gjson::Kind::Object => theirs.str().as_bytes().to_vec(),
        });
        let ours = look(&text, &json).expect("plain properties are some").ok();
        prop_assert_eq!(ours, theirs, "{} of {}", text, json);
    }
}
