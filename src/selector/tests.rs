use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Namespace, Selector};

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|mistake| panic!("{text:?}: {mistake}"))
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Kubernetes' own cases (`labels/selector_test.go`), and what they are printed as here.
const GOOD: &[(&str, &str)] = &[
    ("x=a,y=b,z=c", "x=a,y=b,z=c"),
    ("x!=a,y=b", "x!=a,y=b"),
    ("x=", "x="),
    ("x= ", "x="),
    ("x=,z= ", "x=,z="),
    ("x= ,z= ", "x=,z="),
    ("x==a", "x=a"),
    ("x == a", "x=a"),
    ("!x", "!x"),
    ("! x", "!x"),
    ("x", "x"),
    ("\rx", "x"),
    (
        "this-is-a-dns.domain.com/key-with-dash",
        "this-is-a-dns.domain.com/key-with-dash",
    ),
    (
        "this-is-another-dns.domain.com/key-with-dash in (so,what)",
        "this-is-another-dns.domain.com/key-with-dash in (so,what)",
    ),
    (
        "0.1.2.domain/99 notin (10.10.100.1, tick.tack.clock)",
        "0.1.2.domain/99 notin (10.10.100.1,tick.tack.clock)",
    ),
    ("foo  in\t (abc)", "foo=abc"),
    ("x notin\n (abc)", "x!=abc"),
    ("x  notin\t (abc,def)", "x notin (abc,def)"),
    ("x in (abc,def)", "x in (abc,def)"),
    ("x in (abc,)", "x in (,abc)"),
    ("x in (,abc)", "x in (,abc)"),
    ("x in (,)", "x="),
    ("x notin (abc,,def)", "x notin (,abc,def)"),
    ("x in (b,a,b)", "x in (a,b)"),
    ("x=a,!y,z in (q)", "x=a,!y,z=q"),
    ("z=1,x,y notin (a,b)", "x,y notin (a,b),z=1"),
    ("x,x=a,x", "x=a,x"),
    ("in in (in,notin)", "in in (in,notin)"),
    ("notin notin (in)", "notin!=in"),
    ("in", "in"),
    ("x=in,notin=notin", "notin=notin,x=in"),
    ("x in(a,b)", "x in (a,b)"),
    ("foo!=bar", "foo!=bar"),
];

/// The text, the character, and what is said of it.
const BAD: &[(&str, usize, &str)] = &[
    ("", 1, "it asks for nothing"),
    (" \t", 1, "it asks for nothing"),
    ("x=a||y=b", 3, "the value"),
    ("x==a==b", 5, "`,` or the end"),
    ("x===a", 4, "a label's value"),
    ("!x=a", 3, "`,` or the end"),
    ("!x in (a)", 4, "`,` or the end"),
    ("x<a", 2, "`>` and `<`"),
    ("x>1", 2, "`>` and `<`"),
    (",", 1, "a label's key"),
    (",x", 1, "a label's key"),
    ("x,", 3, "a label's key"),
    ("x=a,", 5, "a label's key"),
    ("x,,y", 3, "a label's key"),
    ("=a", 1, "a label's key"),
    ("!", 2, "a label's key"),
    ("!!x", 2, "a label's key"),
    ("x y", 3, "`=`, `!=`, `in`"),
    ("x=a b", 5, "`,` or the end"),
    ("x=!a", 3, "a label's value"),
    ("x=(a)", 3, "a label's value"),
    ("x in", 5, "`(`"),
    ("x in a", 6, "`(`"),
    ("x in ()", 7, "a label's value"),
    ("x in (a", 8, "`,` or `)`"),
    ("x in (a b)", 9, "`,` or `)`"),
    ("x in (a=b)", 8, "`,` or `)`"),
    ("x in a,b)", 6, "`(`"),
    ("x notin ((a))", 10, "`,` or `)`"),
    ("x in (a))", 9, "`,` or the end"),
    ("x !in (a)", 3, "`=`, `!=`, `in`"),
    ("-x", 1, "the key"),
    ("x/y/z=a", 1, "the key"),
    ("/x", 1, "the key"),
    ("Example.com/x", 1, "the key"),
    ("x=-a", 3, "the value"),
    ("é=a", 1, "the key"),
    ("x=a,y=é", 7, "the value"),
];

#[test]
fn what_kubectl_reads_is_read_and_printed_in_one_way() {
    for (text, printed) in GOOD {
        assert_eq!(selector(text).to_string(), *printed, "{text:?}");
    }
}

#[test]
fn what_kubectl_refuses_is_refused_with_its_place() {
    for (text, at, said) in BAD {
        let mistake = Selector::parse(text).unwrap_err();
        assert!(mistake.to_string().contains(said), "{text:?}: {mistake}");
        assert_eq!(mistake.at, *at, "{text:?}: {mistake}");
    }
    let long = "a".repeat(64);
    assert!(Selector::parse(&long).is_err());
    assert!(Selector::parse(&format!("x={long}")).is_err());
    assert!(Selector::parse(&format!("{}/x", "a".repeat(253))).is_ok());
    assert!(Selector::parse(&format!("{}/x", "a".repeat(254))).is_err());
}

#[test]
fn a_mistake_repeats_nothing_of_the_text() {
    for text in [
        "hunter2 pasted",
        "x=hunter2 pasted",
        "x in (hunter2?)",
        "hunter2?=1",
    ] {
        let said = Selector::parse(text).unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn labels_match_as_the_api_server_has_them_match() {
    let had = labels(&[("team", "payments"), ("tier", ""), ("a.b/c", "1")]);
    for (text, expected) in [
        ("team=payments", true),
        ("team=other", false),
        ("team!=payments", false),
        ("team!=other", true),
        ("none!=other", true),
        ("none=", false),
        ("none!=", true),
        ("tier=", true),
        ("tier!=", false),
        ("tier", true),
        ("!tier", false),
        ("!none", true),
        ("none", false),
        ("team in (a,payments)", true),
        ("team in (a,b)", false),
        ("none in (a,)", false),
        ("team notin (a,payments)", false),
        ("none notin (a,payments)", true),
        ("a.b/c=1,team,!none", true),
        ("a.b/c=1,team,!tier", false),
        ("team=payments,team=other", false),
    ] {
        assert_eq!(selector(text).matches(&had), expected, "{text}");
    }
    assert!(Selector::everything().matches(&had));
    assert!(Selector::everything().matches(&labels(&[])));
}

#[test]
fn whether_two_selectors_can_match_one_namespace_is_known() {
    for (one, other, expected) in [
        ("team=a", "team=b", false),
        ("team=a", "team in (a,b)", true),
        ("team=a", "tier=web", true),
        ("team=a", "team!=a", false),
        ("team", "!team", false),
        ("team=a", "!team", false),
        ("team!=a", "!team", true),
        ("team!=a", "team", true),
        ("team in (a,b)", "team notin (b)", true),
        ("team in (a,b)", "team notin (a,b)", false),
        ("team in (a,b)", "team in (b,c)", true),
        ("team=a,team=b", "tier", false),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            let meet = selector(one).may_meet(&selector(other));
            assert_eq!(meet, expected, "{one} | {other}");
        }
    }
    let app = Selector::named(&Namespace::new("app").unwrap());
    assert_eq!(app.to_string(), "kubernetes.io/metadata.name=app");
    assert!(selector("team=a").may_meet(&app));
    assert!(!selector("team=a,kubernetes.io/metadata.name!=app").may_meet(&app));
}

fn words() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "team", "x.y/z", "in", "notin", "", "-", "é"])
        .prop_map(str::to_owned)
}

/// Text in the shape of a selector, whole or broken.
fn shaped() -> impl Strategy<Value = String> {
    let sign = prop::sample::select(vec![
        "=", "==", "!=", "!", ",", "(", ")", " ", " in ", " notin ", "\t", ">",
    ]);
    let part = prop_oneof![words(), sign.prop_map(str::to_owned)];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn some_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop::sample::select(vec!["a", "b", "team", "x.y/z", "in"]).prop_map(str::to_owned);
    let value = prop::sample::select(vec!["a", "b", "team", "in", ""]).prop_map(str::to_owned);
    prop::collection::btree_map(key, value, 0..4)
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,40}") {
        let _ = Selector::parse(&text);
    }

    #[test]
    fn what_is_printed_means_the_same(text in shaped(), had in some_labels()) {
        let Ok(read) = Selector::parse(&text) else { return Ok(()) };
        let again = Selector::parse(&read.to_string());
        prop_assert_eq!(again.as_ref(), Ok(&read));
        prop_assert_eq!(again.map(|it| it.matches(&had)), Ok(read.matches(&had)));
    }

    #[test]
    fn what_matches_both_may_meet(one in shaped(), other in shaped(), had in some_labels()) {
        let (Ok(one), Ok(other)) = (Selector::parse(&one), Selector::parse(&other)) else { return Ok(()) };
        if one.matches(&had) && other.matches(&had) {
            prop_assert!(one.may_meet(&other));
        }
        if one.matches(&had) {
            prop_assert!(one.may_match());
        }
    }
}
