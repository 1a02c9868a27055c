use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::super::{Step, rewrite};
use super::*;

fn merge(options: MergeOptions) -> Merge {
    Merge::new(options).unwrap()
}

fn json(into: &str) -> MergeOptions {
    MergeOptions {
        into: Some(into.to_owned()),
        strategy: MergeStrategy::Json,
        ..MergeOptions::default()
    }
}

/// The latter of equal keys counts.
fn lenient(priority: &[&str]) -> MergeOptions {
    MergeOptions {
        conflict_policy: ConflictPolicy::Ignore,
        priority: priority.iter().map(ToString::to_string).collect(),
        ..MergeOptions::default()
    }
}

fn merged(
    options: MergeOptions,
    members: &[(&str, &str)],
) -> Result<Vec<(String, String)>, Failure> {
    let members = members
        .iter()
        .map(|(name, value)| Member::new(*name, SecretBytes::new(value.as_bytes().to_vec())));
    let members = rewrite(
        &[Step::Merge(merge(options))],
        members.collect(),
        JsonFormat::Raw,
    )?;
    Ok(members
        .into_iter()
        .map(|member| {
            let value = String::from_utf8(member.value.expose().to_vec()).unwrap();
            (member.name, value)
        })
        .collect())
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

const TWO: [(&str, &str); 2] = [
    ("a", r#"{"user":"a\u00e9", "n":1.0}"#),
    (
        "b",
        r#"{"big":12345678901234567890,"o":{"y": [1, 2]},"z":null}"#,
    ),
];

#[test]
fn extract_puts_keys_in_the_place_of_members_and_keeps_their_spelling() {
    assert_eq!(
        merged(MergeOptions::default(), &TWO).unwrap(),
        pairs(&[
            ("big", "12345678901234567890"),
            ("n", "1.0"),
            ("o", r#"{"y": [1, 2]}"#),
            ("user", "aé"),
            ("z", ""),
        ])
    );
}

#[test]
fn json_puts_the_object_beside_the_members_and_keeps_its_spelling() {
    assert_eq!(
        merged(json("all"), &TWO).unwrap(),
        pairs(&[
            TWO[0],
            (
                "all",
                r#"{"big":12345678901234567890,"n":1.0,"o":{"y": [1, 2]},"user":"a\u00e9","z":null}"#
            ),
            TWO[1],
        ])
    );
}

#[test]
fn the_last_of_priority_wins_over_all_and_names_decide_otherwise() {
    let members = [
        ("c", r#"{"k":"c"}"#),
        ("a", r#"{"k":"a"}"#),
        ("b", r#"{"k":"b"}"#),
    ];
    for (priority, winner) in [
        (&[][..], "c"),
        (&["a"], "a"),
        (&["c", "b"], "b"),
        (&["b", "c", "a"], "a"),
    ] {
        assert_eq!(
            merged(lenient(priority), &members).unwrap(),
            pairs(&[("k", winner)]),
            "{priority:?}"
        );
    }
}

#[test]
fn a_member_that_priority_lists_is_taken_once() {
    let options = MergeOptions {
        conflict_policy: ConflictPolicy::Error,
        ..lenient(&["a"])
    };
    assert_eq!(merged(options, &TWO).unwrap().len(), 5);
}

#[test]
fn a_key_of_two_objects_is_an_error_that_names_it_and_both() {
    let members = [("b/x", r#"{"k":1}"#), ("a/x", r#"{"j":0,"k":1}"#)];
    for options in [MergeOptions::default(), json("all")] {
        let refused = merged(options, &members).unwrap_err();
        assert_eq!(
            refused.fact,
            "`rewrite` step 1: `a/x` and `b/x` both have the key `k`"
        );
    }
}

#[test]
fn what_priority_lists_must_be_there_unless_it_may_be_missing() {
    let refused = merged(lenient(&["x"]), &TWO).unwrap_err();
    assert_eq!(
        refused.fact,
        "`rewrite` step 1: `priority` lists `x`, which is not there"
    );
    let options = MergeOptions {
        priority_policy: PriorityPolicy::IgnoreNotFound,
        ..lenient(&["x", "a"])
    };
    assert_eq!(merged(options, &TWO).unwrap().len(), 5);
}

#[test]
fn a_member_that_is_no_object_is_named_and_not_quoted() {
    let refused = merged(json("all"), &[("a", "{}"), ("prod/b", "hunter2")]).unwrap_err();
    assert_eq!(
        refused.fact,
        "`rewrite` step 1: the value of `prod/b` is not valid JSON (line 1, column 1)"
    );
    let refused = merged(json("all"), &[("a", "null")]).unwrap_err();
    assert!(
        refused.fact.contains("is JSON but not an object"),
        "{refused}"
    );
}

#[test]
fn nothing_empty_is_made_of_nothing() {
    assert_eq!(merged(json("all"), &[]).unwrap(), []);
    assert_eq!(merged(MergeOptions::default(), &[("a", "{}")]).unwrap(), []);
    let refused = merged(json("all"), &[("a", "{}"), ("b", "{}")]).unwrap_err();
    assert!(refused.fact.contains("have no key"), "{refused}");
}

#[test]
fn the_result_must_not_take_a_members_name() {
    let refused = merged(json("a"), &TWO).unwrap_err();
    assert_eq!(
        refused.fact,
        "`rewrite` step 1: `a` and the result of the merge both get the name `a`"
    );
}

#[test]
fn where_a_key_came_from_is_still_known_steps_later() {
    let object = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    let members = vec![
        Member::new("prod/db", object(r#"{"user/name":"x"}"#)),
        Member::new("prod/app", object(r#"{"user@name":"y"}"#)),
    ];
    let steps = [
        Step::Merge(merge(MergeOptions::default())),
        Step::Regexp(super::super::Regexp::new("[/@]", "_").unwrap()),
    ];
    assert_eq!(
        rewrite(&steps, members, JsonFormat::Raw).unwrap_err().fact,
        "`rewrite` step 2: `user/name` of `prod/db` and `user@name` of `prod/app` both get the name `user_name`"
    );
}

#[test]
fn options_that_fit_nothing_are_refused_before_anything_runs() {
    let refused = |options| Merge::new(options).unwrap_err();
    let no_into = MergeOptions {
        into: None,
        ..json("")
    };
    assert_eq!(refused(no_into), BadMerge::NoInto);
    assert_eq!(refused(json("")), BadMerge::NoInto);
    let idle = MergeOptions {
        into: Some("x".to_owned()),
        ..MergeOptions::default()
    };
    assert_eq!(refused(idle), BadMerge::IdleInto);
    assert_eq!(
        refused(lenient(&["a", "b", "a"])),
        BadMerge::Twice("a".to_owned())
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(".{0,4}", inner, 0..4)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

fn any_objects() -> impl Strategy<Value = BTreeMap<String, BTreeMap<String, Value>>> {
    let object = prop::collection::btree_map("[a-c\"\\\\é\n]{1,3}", any_json(), 0..4);
    prop::collection::btree_map("[a-z]{1,3}", object, 1..4)
}

proptest! {
    #[test]
    fn the_result_is_the_union_of_the_objects(objects in any_objects(), pretty: bool) {
        let union: BTreeMap<_, _> = objects.values().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        prop_assume!(!union.is_empty());
        let members = objects.iter().map(|(name, object)| {
            let text = if pretty { serde_json::to_vec_pretty(object) } else { serde_json::to_vec(object) };
            Member::new(name.clone(), SecretBytes::new(text.unwrap()))
        });
        let options = MergeOptions { conflict_policy: ConflictPolicy::Ignore, ..json("ALL") };
        let step = Step::Merge(merge(options));
        let rewritten = rewrite(&[step], members.collect(), JsonFormat::Raw).unwrap();
        prop_assert_eq!(rewritten.len(), objects.len() + 1);
        let result = rewritten.iter().find(|member| member.name == "ALL").unwrap();
        let parsed: BTreeMap<String, Value> = serde_json::from_slice(result.value.expose()).unwrap();
        prop_assert_eq!(parsed, union);
    }

    #[test]
    fn without_ignore_objects_with_a_key_in_common_never_merge(objects in any_objects()) {
        let keys: Vec<_> = objects.values().flat_map(BTreeMap::keys).collect();
        let common = keys.len() != keys.iter().collect::<BTreeSet<_>>().len();
        let members = objects.iter().map(|(name, object)| {
            Member::new(name.clone(), SecretBytes::new(serde_json::to_vec(object).unwrap()))
        });
        let rewritten = rewrite(&[Step::Merge(merge(MergeOptions::default()))], members.collect(), JsonFormat::Raw);
        prop_assert_eq!(rewritten.is_err(), common);
    }
}
