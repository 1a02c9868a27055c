use proptest::prelude::*;

use super::*;
use crate::assemble::rewrite::{Merge, MergeOptions, MergeStrategy, Regexp};

const PLAIN: Bulk<'static> = Bulk {
    item: "find path prod/",
    keys: None,
    absent: None,
    steps: &[],
    conversion: Conversion::Default,
    decoding: Decoding::None,
    json_format: JsonFormat::Raw,
};

fn regexp(source: &str, target: &str) -> Step {
    Step::Regexp(Regexp::new(source, target).unwrap())
}

fn json_into(into: &str) -> Step {
    Step::Merge(
        Merge::new(MergeOptions {
            into: Some(into.to_owned()),
            strategy: MergeStrategy::Json,
            ..MergeOptions::default()
        })
        .unwrap(),
    )
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn keys(bulk: Bulk<'_>, members: &[(&str, &str)]) -> Result<Vec<(String, String)>, Failure> {
    let members = members.iter().map(|(name, value)| {
        (
            (*name).to_owned(),
            SecretBytes::new(value.as_bytes().to_vec()),
        )
    });
    let keys = bulk.keys(members)?;
    Ok(keys
        .into_iter()
        .map(|(key, value)| {
            let value = String::from_utf8(value.expose().to_vec()).unwrap();
            (key.to_string(), value)
        })
        .collect())
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn names_are_converted_unless_a_step_rewrites_them() {
    let members = [("prod/a", "1"), ("prod/b", "2")];
    assert_eq!(
        keys(PLAIN, &members).unwrap(),
        pairs(&[("prod_a", "1"), ("prod_b", "2")])
    );
    let conversion = Conversion::Unicode;
    assert_eq!(
        keys(
            Bulk {
                conversion,
                ..PLAIN
            },
            &members
        )
        .unwrap(),
        pairs(&[("prod_U002f_a", "1"), ("prod_U002f_b", "2")])
    );
    let steps = [regexp("^prod/", "")];
    let rewritten = Bulk {
        steps: &steps,
        ..PLAIN
    };
    assert_eq!(
        keys(rewritten, &members).unwrap(),
        pairs(&[("a", "1"), ("b", "2")])
    );
    assert_eq!(
        keys(rewritten, &[("test/a", "1")]).unwrap_err().fact,
        "`find path prod/`: the name `test/a` makes no key: a key must be letters, digits and `-`, `_`, `.`, at most 253, \
         not `.` and not beginning with `..`"
    );
}

#[test]
fn only_the_listed_members_are_taken_and_each_must_be_there() {
    let listed = set(&["prod/a"]);
    let steps = [regexp("^prod/(.*)", "x_$1")];
    let bulk = Bulk {
        keys: Some(&listed),
        steps: &steps,
        ..PLAIN
    };
    let members = [("prod/a", "1"), ("prod/b", "2"), ("not/legal", "3")];
    assert_eq!(keys(bulk, &members).unwrap(), pairs(&[("x_a", "1")]));

    let refused = keys(bulk, &[("x_a", "1")]).unwrap_err();
    assert_eq!(refused.reason, Reason::Invalid);
    assert_eq!(
        refused.fact,
        "`find path prod/`: `keys` lists `prod/a`, which is not there"
    );
    let listed = set(&["a", "b", "c"]);
    let refused = keys(
        Bulk {
            keys: Some(&listed),
            ..PLAIN
        },
        &[("b", "")],
    )
    .unwrap_err();
    assert!(
        refused
            .fact
            .ends_with("`keys` lists `a` and 1 more, which are not there")
    );
    let none = set(&[]);
    let bulk = Bulk {
        keys: Some(&none),
        ..PLAIN
    };
    assert_eq!(keys(bulk, &members).unwrap(), []);
}

#[test]
fn two_members_on_one_key_are_an_error_that_names_both() {
    assert_eq!(
        keys(PLAIN, &[("a@b", "1"), ("a/b", "2")]).unwrap_err().fact,
        "`find path prod/`: `a/b` and `a@b` both make the key `a_b`"
    );
    let steps = [regexp("^.*/", "")];
    assert_eq!(
        keys(
            Bulk {
                steps: &steps,
                ..PLAIN
            },
            &[("b/x", "1"), ("a/x", "2")]
        )
        .unwrap_err()
        .fact,
        "`find path prod/`: `rewrite` step 1: `a/x` and `b/x` both get the name `x`"
    );
    assert_eq!(
        keys(PLAIN, &[("a", "1"), ("a", "1")]).unwrap_err().fact,
        "`find path prod/`: `a` and `a` both get the name `a`"
    );
}

#[test]
fn what_makes_no_key_is_an_error_that_names_it() {
    let long = "x".repeat(254);
    for (name, shown) in [
        ("", "``"),
        ("..data", "`..data`"),
        (long.as_str(), &format!("`{}...`", "x".repeat(64))),
    ] {
        let refused = keys(PLAIN, &[(name, "hunter2")]).unwrap_err();
        let expected = format!("`find path prod/`: the name {shown} makes no key");
        assert!(refused.fact.starts_with(&expected), "{refused}");
    }
    let steps = [regexp("^secret-", "")];
    let bulk = Bulk {
        steps: &steps,
        ..PLAIN
    };
    let refused = keys(bulk, &[("secret-\n", "hunter2")]).unwrap_err();
    assert!(
        refused
            .fact
            .contains("the name `\\n` (from `secret-\\n`) makes no key"),
        "{refused}"
    );
}

#[test]
fn values_are_decoded_last_and_a_refusal_names_the_key_and_a_place() {
    let decoding = Decoding::Base64;
    let bulk = Bulk { decoding, ..PLAIN };
    assert_eq!(
        keys(bulk, &[("a", "aGk="), ("b", "")]).unwrap(),
        pairs(&[("a", "hi"), ("b", "")])
    );
    assert_eq!(
        keys(bulk, &[("prod/a", "hunter2!")]).unwrap_err().fact,
        "`find path prod/`: the value of `prod/a`, for the key `prod_a`, is not base64: character 8 cannot stand there"
    );
    // The key is wrong too, and comes first.
    let refused = keys(bulk, &[("..", "hunter2!")]).unwrap_err();
    assert!(refused.fact.contains("makes no key"), "{refused}");
}

#[test]
fn an_extract_names_the_item_and_the_place_alone() {
    let bulk = Bulk {
        item: "prod/app",
        ..PLAIN
    };
    let object = SecretBytes::new(br#"{"a/b": "x", "n": 1.0}"#.to_vec());
    let keys: Vec<_> = bulk.extract(&object).unwrap().into_keys().collect();
    assert_eq!(
        keys.iter().map(SecretKey::as_str).collect::<Vec<_>>(),
        ["a_b", "n"]
    );

    let broken = SecretBytes::new(b"{\"hunter2\": hunter2}".to_vec());
    let refused = bulk.extract(&broken).unwrap_err();
    assert_eq!(
        refused.fact,
        "`prod/app`: the value is not valid JSON (line 1, column 13)"
    );
    assert_eq!(refused.reason, Reason::Invalid);
}

#[test]
fn the_key_of_a_name_is_known_without_its_value() {
    let steps = [regexp("^prod/", ""), regexp("/", "-")];
    let bulk = Bulk {
        steps: &steps,
        ..PLAIN
    };
    assert!(!bulk.needs_values());
    assert_eq!(bulk.key_of("prod/a/b").unwrap().as_str(), "a-b");
    assert_eq!(PLAIN.key_of("prod/a/b").unwrap().as_str(), "prod_a_b");
    assert!(
        bulk.key_of("a b")
            .unwrap_err()
            .fact
            .contains("`a b` makes no key")
    );

    let steps = [regexp("^prod/", ""), json_into("all")];
    let bulk = Bulk {
        steps: &steps,
        ..PLAIN
    };
    assert!(bulk.needs_values());
    assert_eq!(
        bulk.key_of("prod/a").unwrap_err().fact,
        "`find path prod/`: `prod/a`: `rewrite` step 2: a `merge` makes names out of values, and there are none"
    );
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(regexp("/", "_")),
        Just(regexp("^.*/", "")),
        Just(regexp("a", "$0$0")),
        Just(json_into("all")),
        Just(Step::Merge(Merge::new(MergeOptions::default()).unwrap())),
    ];
    prop::collection::vec(step, 0..3)
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("hunter2".to_owned()),
        Just(r#"{"k":"hunter2"}"#.to_owned()),
        Just(r#"{"a/x":1.0,"hunter":{}}"#.to_owned()),
        Just(r#"{"a":hunter2}"#.to_owned()),
        Just("aHVudGVyMg==".to_owned()),
    ]
}

proptest! {
    #[test]
    fn the_order_of_members_decides_nothing_and_no_value_is_told(
        (members, shuffled) in prop::collection::vec(("[ab/@é]{0,3}", any_value()), 0..5)
            .prop_flat_map(|members| (Just(members.clone()), Just(members).prop_shuffle())),
        steps in any_steps(),
        conversion in prop_oneof![Just(Conversion::Default), Just(Conversion::Unicode)],
        decoding in prop_oneof![Just(Decoding::None), Just(Decoding::Base64), Just(Decoding::Auto)],
    ) {
        let bulk = Bulk { steps: &steps, conversion, decoding, ..PLAIN };
        let all = |members: &[(String, String)]| bulk.keys(
            members.iter().map(|(name, value)| (name.clone(), SecretBytes::new(value.clone().into_bytes()))),
        );
        let keys = all(&members);
        prop_assert_eq!(&keys, &all(&shuffled));
        match keys {
            Ok(keys) => prop_assert!(keys.len() <= 2 * members.len()),
            Err(refused) => {
                let told = format!("{refused} {} {refused:?}", refused.help());
                prop_assert!(!told.contains("hunter2") && !told.contains("aHVud"), "{told}");
            }
        }
    }

    #[test]
    fn the_key_of_a_name_is_the_one_its_member_gets(
        name in "[ab/é.]{0,6}",
        steps in any_steps(),
    ) {
        let bulk = Bulk { steps: &steps, ..PLAIN };
        prop_assume!(!bulk.needs_values());
        let keys = bulk.keys([(name.clone(), SecretBytes::new(Vec::new()))]);
        let key = bulk.key_of(&name);
        prop_assert_eq!(keys.ok().map(|keys| keys.into_keys().collect::<Vec<_>>()), key.ok().map(|key| vec![key]));
    }
}
