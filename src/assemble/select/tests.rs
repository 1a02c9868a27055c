mod golden;
mod limits;
mod properties;

use super::*;

/// What `property` gives of `json`, as text.
fn select(json: &str, property: &str) -> Result<String, Missing> {
    let property = Property::new(property).expect("a test writes properties that are some");
    let found = super::property(&SecretBytes::new(json.as_bytes().to_vec()), &property)?;
    Ok(String::from_utf8(found.expose().to_vec()).expect("JSON is text"))
}

#[test]
fn a_value_that_is_not_json_has_no_properties_and_is_not_quoted() {
    for text in ["hunter2", r#"{"a":"hunter2""#, r#"{"a":1} hunter2"#, ""] {
        for at in ["a", "@this", "!true", "hunter*"] {
            let missing = select(text, at).unwrap_err();
            assert!(matches!(missing, Missing::NotJson { .. }), "{text:?}");
            assert!(!missing.to_string().contains("hunter2"));
        }
    }
    let binary = SecretBytes::new(vec![b'"', 0xff, b'"']);
    let at = Property::new("a").unwrap();
    assert_eq!(property(&binary, &at), Err(Missing::NotUtf8));
}

#[test]
fn what_a_string_holds_is_read_only_where_all_of_it_is_json() {
    let json = r#"{"good":"{\"a\":1}","bad":"{\"a\":1} x","text":"hello"}"#;
    assert_eq!(select(json, "good.@fromstr.a").as_deref(), Ok("1"));
    for at in ["bad.@fromstr.a", "text.@fromstr", "text|@fromstr|@tostr"] {
        assert_eq!(select(json, at), Err(Missing::Absent(at.into())), "{at}");
    }
}

#[test]
fn a_property_that_is_none_says_where() {
    for (text, refused) in [
        ("", Refused::Empty),
        ("a.@no", Refused::Modifier { at: 3 }),
        ("é|@no:1", Refused::Modifier { at: 3 }),
        ("a.#(b==\"x\"", Refused::Unclosed { at: 3 }),
        ("a.{b,c", Refused::Unclosed { at: 3 }),
        ("{a,{b}", Refused::Unclosed { at: 1 }),
        ("@dig:#(a", Refused::Unclosed { at: 7 }),
        ("@pretty:\"x", Refused::Unclosed { at: 9 }),
        ("#(a!b)", Refused::Query { at: 4 }),
        ("#(a == ~b)", Refused::Query { at: 8 }),
        ("#(a==\"\\x\")", Refused::Query { at: 6 }),
        ("a|!nan", Refused::Literal { at: 3 }),
        ("!01", Refused::Literal { at: 1 }),
        ("!{a}", Refused::Literal { at: 1 }),
        ("!\"a\"b", Refused::Trailing { at: 5 }),
        ("[a]b", Refused::Trailing { at: 4 }),
        ("#(a)b", Refused::Trailing { at: 5 }),
        ("@flatten:deep", Refused::Argument { at: 10 }),
        ("@join:{\"preserve\":yes}", Refused::Argument { at: 7 }),
        ("[a,{\"n\":[@no]}]", Refused::Modifier { at: 10 }),
    ] {
        assert_eq!(Property::new(text), Err(refused), "{text}");
    }
}

#[test]
fn a_property_keeps_its_text() {
    for text in [r"tls\.crt", "a.#(b==1)#.c|@reverse", "@this"] {
        assert_eq!(Property::new(text).unwrap().as_str(), text);
    }
    assert_eq!(Property::new("a.b"), Property::new("a.b"));
    assert_ne!(Property::new("a.b"), Property::new("a|b"));
}
