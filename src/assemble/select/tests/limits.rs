//! What a hostile property or value may cost.

use super::*;

/// `{"a":{"a":…1…}}`.
fn nested(depth: usize) -> String {
    "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth)
}

/// An array of about `bytes` bytes.
fn long(element: &str, bytes: usize) -> String {
    let count = bytes / (element.len() + 1);
    format!("[{}]", vec![element; count].join(","))
}

#[test]
fn a_property_is_at_most_so_long_and_so_deep() {
    assert!(Property::new(&"a".repeat(TEXT_LIMIT)).is_ok());
    assert_eq!(
        Property::new(&"a".repeat(TEXT_LIMIT + 1)),
        Err(Refused::TooLong)
    );
    let lists = |depth: usize| "[".repeat(depth) + "a" + &"]".repeat(depth);
    assert!(Property::new(&lists(NESTING_LIMIT - 1)).is_ok());
    for text in [lists(NESTING_LIMIT), lists(500), "#.".repeat(500)] {
        assert!(
            matches!(Property::new(&text), Err(Refused::TooDeep { .. })),
            "{text}"
        );
    }
    let literal = |depth: usize| "!".to_owned() + &"[".repeat(depth) + &"]".repeat(depth);
    assert!(Property::new(&literal(DEPTH_LIMIT)).is_ok());
    assert_eq!(
        Property::new(&literal(DEPTH_LIMIT + 1)),
        Err(Refused::TooDeep { at: 1 })
    );
    let steps = "a.".repeat(TEXT_LIMIT / 2);
    assert!(Property::new(&steps).is_ok());
}

#[test]
fn a_value_is_at_most_so_deep() {
    let path = vec!["a"; DEPTH_LIMIT].join(".");
    assert_eq!(select(&nested(DEPTH_LIMIT), &path).as_deref(), Ok("1"));
    assert_eq!(select(&nested(DEPTH_LIMIT + 1), "a"), Err(Missing::TooDeep));
    assert_eq!(select(&nested(100_000), "a"), Err(Missing::TooDeep));
    let inner = format!("[{}]", text::quoted(&nested(DEPTH_LIMIT + 1)));
    assert!(matches!(
        select(&inner, "0.@fromstr"),
        Err(Missing::Absent(_))
    ));
}

#[test]
fn a_result_is_at_most_so_large() {
    let json = long("\"hunter2\"", 200_000);
    for at in [
        ["@tostr"; 10].join("|"),
        "[@this,@this]|".repeat(6) + "@this",
        "@pretty:{\"width\":0,\"indent\":\"".to_owned() + &" ".repeat(200) + "\"}",
        "#.@tostr|".to_owned() + &["@tostr"; 10].join("|"),
    ] {
        let missing = select(&json, &at).unwrap_err();
        assert_eq!(missing, Missing::TooLarge(at));
        assert!(!missing.to_string().contains("hunter2"));
    }
}

#[test]
fn a_selection_takes_at_most_so_much_work() {
    let key = format!("{{\"{}\":1}}", "a".repeat(300_000));
    let wild = format!("*{}b*", "a".repeat(900));
    let many = long("{\"a\":[1,2,3],\"b\":{\"a\":1}}", 500_000);
    for (json, at) in [
        (&key, wild),
        (&many, vec!["@reverse"; 110].join("|")),
        (&many, format!("[{}]", vec!["@this|@dig:#"; 70].join(","))),
    ] {
        let missing = select(json, &at).unwrap_err();
        assert_eq!(missing, Missing::TooMuchWork(at));
    }
    let digs = "@dig:".repeat(NESTING_LIMIT - 2) + "a";
    assert_eq!(select(&many, &digs), Err(Missing::TooLarge(digs)));
}

#[test]
fn usual_work_on_the_largest_value_is_within_the_limits() {
    let many = long("{\"a\":[1,2,3],\"b\":{\"a\":1}}", 1 << 20);
    assert!(select(&many, "#.a|@flatten|#").is_ok());
    assert!(select(&many, "#(b.a==1)#|#").is_ok());
    assert!(select(&many, "@dig:b|#").is_ok());
    assert!(select(&many, "[@this.0.a,1.b,2.@keys]").is_ok());
    assert!(select(&many, "@reverse|@ugly|@values|0.a").is_ok());
}

#[test]
fn stars_are_matched_without_trying_every_split() {
    let key = format!("{{\"{}\":1}}", "a".repeat(200));
    assert!(select(&key, &("*a".repeat(60) + "*b")).is_err());
    assert_eq!(select(&key, &("*a".repeat(60) + "*")).as_deref(), Ok("1"));
}

#[test]
fn what_nests_as_deep_as_it_may_fits_a_small_stack() {
    let deep = "[".repeat(DEPTH_LIMIT) + &"]".repeat(DEPTH_LIMIT) + &"|[@this]".repeat(80);
    let lists = "[".repeat(DEPTH_LIMIT) + "1" + &"]".repeat(DEPTH_LIMIT);
    let digs = "@dig:0|".repeat(2) + &"[@dig:0.".repeat(NESTING_LIMIT - 2) + "0";
    let cases = [
        ("1", format!("!{deep}|@flatten:{{\"deep\":true}}")),
        ("1", format!("!{deep}|@pretty")),
        ("1", format!("!{deep}|@pretty:{{\"width\":0}}")),
        ("1", format!("!{deep}|@dig:#")),
        (&lists, vec!["0"; DEPTH_LIMIT].join(".")),
        (&lists, "#.".repeat(NESTING_LIMIT - 1) + "0"),
        (&lists, digs + &"]".repeat(NESTING_LIMIT - 2)),
    ];
    for (json, at) in cases {
        let json = json.to_owned();
        let thread = std::thread::Builder::new().stack_size(1 << 20);
        let thread = thread.spawn(move || select(&json, &at).map(|_| ()));
        assert_eq!(thread.unwrap().join().unwrap(), Ok(()));
    }
}
