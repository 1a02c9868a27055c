//! What holds for every text and every value.

use proptest::prelude::*;

use super::{bytes, payload, render};
use crate::assemble::template::{MAX_TEMPLATE_LEN, Template, words};

/// Renders whatever it is; only a panic is wrong.
fn survives(text: &str) {
    let binary: &[u8] = &[0xff, 0xfe];
    let values: &[(&str, &[u8])] = &[
        ("a", b"text"),
        ("b", binary),
        ("j", br#"{"a":[1,2.5,1e5,{"b":null}],"c":"d"}"#),
        ("n", b"-9223372036854775808"),
    ];
    if let Ok(template) = Template::new("t", text) {
        let _ = template.render(&payload(values));
        let _ = template.rename("name-1");
        let _ = (template.keys(), template.mentions());
    }
}

fn atom() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "a",
        "b",
        "(j | from_json)",
        "(n | int)",
        "nope",
        "data",
        "'x%s'",
        "''",
        "0",
        "1",
        "-1",
        "2.5",
        "170141183460469231731687303715884105727",
        "-9223372036854775808",
        "99999",
        "none",
        "true",
        "[]",
        "[1, 'x', b]",
        "{'k': a}",
        "{}",
        "loop",
        "range(3)",
        "dict(a=1)",
        "(j | from_json).a",
        "data['a']",
        "data[a]",
        "[a, b] | map('upper')",
        "'é\\n'",
    ]);
    plain.prop_map(str::to_owned)
}

fn expression() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 24, 3, |inner| {
        let filters: Vec<&str> = words::names(words::Place::Filter).collect();
        let functions: Vec<&str> = words::names(words::Place::Function).collect();
        let operators = vec![
            "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", " in ", " not in ",
            " and ", " or ",
        ];
        let args = prop::collection::vec(inner.clone(), 0..3).prop_map(|args| args.join(", "));
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(operators),
                inner.clone()
            )
                .prop_map(|(l, op, r)| format!("({l}{op}{r})")),
            (inner.clone(), prop::sample::select(filters), args.clone())
                .prop_map(|(x, f, args)| format!("({x} | {f}({args}))")),
            (prop::sample::select(functions), args).prop_map(|(f, args)| format!("{f}({args})")),
            (
                inner.clone(),
                prop::sample::select(words::TESTS.to_vec()),
                inner.clone()
            )
                .prop_map(|(x, test, y)| format!("({x} is {test}({y}))")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(x, y, z)| format!("{x}[{y}:{z}]")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("{x}[{y}]")),
            (inner.clone(), -3i32..4).prop_map(|(x, step)| format!("{x}[::{step}]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(x, y, z)| format!("({x} if {y} else {z})")),
            inner.clone().prop_map(|x| format!("{x}.a")),
            inner.prop_map(|x| format!("-{x}")),
        ]
    })
}

fn snippet() -> impl Strategy<Value = String> {
    prop_oneof![
        expression().prop_map(|x| format!("{{{{ {x} }}}}")),
        expression().prop_map(|x| format!("{{{{- {x} -}}}}")),
        (expression(), expression()).prop_map(|(x, y)| format!(
            "{{% for q, p in {x} if {y} %}}{{{{ q }}}}{{{{ loop.index }}}}{{% endfor %}}"
        )),
        (expression(), expression())
            .prop_map(|(x, y)| format!("{{% if {x} %}}{{{{ {y} }}}}{{% else %}}x{{% endif %}}")),
        expression().prop_map(|x| format!("{{% set q = {x} %}}{{{{ q }}}}")),
        expression().prop_map(|x| format!("{{% set q %}}{{{{ {x} }}}}{{% endset %}}{{{{ q }}}}")),
        expression().prop_map(|x| format!("{{% with q = {x} %}}{{{{ q }}}}{{% endwith %}}")),
    ]
}

fn piece() -> impl Strategy<Value = String> {
    let pieces = vec![
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "a", "data", ".", "|", "upper", "(", ")", "[",
        "]", "'", "\"", " ", "\n", "if", "endif", "for", "in", "set", "=", "raw", "endraw", "~",
        "é", "1", "1e", ":", "{", "}", "\\", "is", "not", ",", "%", "endset", "filter", "with",
        "else", "elif",
    ];
    let pieces = prop::collection::vec(prop::sample::select(pieces), 0..40);
    pieces.prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map("[ -~]{0,6}", inner, 0..4).prop_map(|map| {
                let members = map
                    .iter()
                    .map(|(key, item)| format!("{}:{item}", serde_json::to_string(key).unwrap()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn no_heap_of_pieces_makes_it_panic(text in piece()) {
        survives(&text);
    }

    #[test]
    fn no_snippet_makes_it_panic(text in snippet()) {
        prop_assume!(text.len() < MAX_TEMPLATE_LEN && !text.contains("htpasswd"));
        survives(&text);
    }

    #[test]
    fn json_comes_out_as_it_went_in(json in json()) {
        let out = render("{{ j | from_json | to_json }}", &[("j", &json)]);
        let again = render("{{ j | from_json | to_json }}", &[("j", &out)]);
        prop_assert_eq!(&out, &again);
        // Numbers are compared as they are spelled, and texts by what they say.
        let spelled = |text: &str| -> String {
            let mut numbers = String::new();
            let mut inside = false;
            let mut escaped = false;
            for c in text.chars() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' if inside => escaped = true,
                    '"' => inside = !inside,
                    c if !inside => numbers.push(c),
                    _ => {}
                }
            }
            numbers
        };
        if !json.contains('{') {
            prop_assert_eq!(spelled(&out), spelled(&json));
        }
        let (was, is): (serde_json::Value, serde_json::Value) =
            match (serde_json::from_str(&json), serde_json::from_str(&out)) {
                (Ok(was), Ok(is)) => (was, is),
                // A number that serde_json finds out of range.
                _ => return Ok(()),
            };
        prop_assert_eq!(was, is);
    }

    #[test]
    fn yaml_says_what_json_says(text in any::<String>(), key in "[ -~]{1,8}", word in "[a-zA-Z0-9_./~+-]{1,6}") {
        let value = serde_json::json!({ key.clone(): [text, { key: word.clone() }, [], {}, true, null], word: "x: y" });
        let json = value.to_string();
        let yaml = render("{{ j | from_json | to_yaml }}", &[("j", &json)]);
        let back: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        prop_assert_eq!(back, value, "{}", yaml);
    }

    #[test]
    fn base64_comes_back(value in prop::collection::vec(any::<u8>(), 0..100)) {
        for text in ["{{ v | b64encode | b64decode }}", "{{ v | b64url_encode | b64url_decode }}", "{{ v | urlencode | urldecode }}"] {
            prop_assert_eq!(&bytes(text, &[("v", &value)]).unwrap(), &value);
        }
    }

    #[test]
    fn the_order_of_keys_changes_nothing(values in prop::collection::btree_map("[a-z]{1,3}", ".{0,5}", 1..6)) {
        let forwards: Vec<_> = values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let backwards: Vec<_> = forwards.iter().rev().copied().collect();
        let text = "{{ data | to_json }}{% for k, v in data | items %}{{ k }}={{ v }}{% endfor %}";
        let once = render(text, &forwards);
        prop_assert_eq!(&once, &render(text, &backwards));
        prop_assert_eq!(&once, &render(text, &forwards));
    }
}
