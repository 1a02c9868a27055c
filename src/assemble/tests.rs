use super::*;
use crate::assemble::bulk::Shape;

fn key(name: &str) -> SecretKey {
    SecretKey::new(name).unwrap()
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn found(names: &[&str]) -> Result<Vec<String>, Failure> {
    let value = bytes("x");
    let names: Vec<_> = names
        .iter()
        .map(|name| RemoteKey::new(*name).unwrap())
        .collect();
    let members = names.iter().map(|name| (name, &value)).collect();
    let shape = Shape::default();
    let item = Item::Found {
        find: &"find path prod/",
        shape: &shape,
        members,
        absent: &Absent::new(),
    };
    let content = assemble([item], JsonFormat::Raw, None)?;
    Ok(content.data.keys().map(ToString::to_string).collect())
}

fn one<'a>(secret_key: &'a SecretKey, value: &'a SecretBytes) -> Item<'a> {
    Item::One {
        secret_key,
        from: &"prod/db",
        property: None,
        decoding: Decoding::None,
        value,
    }
}

fn extract<'a>(shape: &'a Shape, value: &'a SecretBytes) -> Item<'a> {
    Item::Extract {
        from: &"prod/app",
        property: None,
        shape,
        value,
    }
}

#[test]
fn matches_are_keyed_by_their_converted_names() {
    assert_eq!(
        found(&["prod/app/b", "prod/app/a.x"]).unwrap(),
        ["prod_app_a.x", "prod_app_b"]
    );
}

#[test]
fn two_matches_on_one_key_are_an_error_that_names_both() {
    let refused = found(&["a/b", "a@b"]).unwrap_err();
    for name in ["a/b", "a@b", "a_b"] {
        assert!(refused.fact.contains(name), "{refused}");
    }
}

#[test]
fn no_match_is_never_content() {
    let refused = found(&[]).unwrap_err();
    assert!(refused.fact.contains("nothing matches"), "{refused}");
}

#[test]
fn later_items_win_and_what_is_kept_counts_at_its_place() {
    let (a, b, c) = (key("a"), key("b"), key("c"));
    let (old, new) = (bytes("old"), bytes("new"));
    let object = bytes(r#"{"a":"extracted","b":"extracted"}"#);
    let shape = Shape::default();
    let items = [
        Item::Kept([a.clone(), c.clone()].into()),
        extract(&shape, &object),
        one(&a, &old),
        one(&a, &new),
        Item::Kept([b.clone()].into()),
    ];
    let content = assemble(items, JsonFormat::Raw, None).unwrap();
    assert_eq!(content.data.get(&a), Some(&new));
    assert_eq!(content.data.get(&b), None);
    assert_eq!(content.kept, [b, c].into());
    assert!(!content.data.is_found(&a));
}

#[test]
fn names_that_were_extracted_are_known_to_be_found() {
    let object = bytes(r#"{"LD_PRELOAD":"x"}"#);
    let shape = Shape::default();
    let content = assemble([extract(&shape, &object)], JsonFormat::Raw, None).unwrap();
    assert!(content.data.is_found(&key("LD_PRELOAD")));
}

#[test]
fn an_object_without_members_is_never_content() {
    let (object, shape) = (bytes("{}"), Shape::default());
    assert!(assemble([extract(&shape, &object)], JsonFormat::Raw, None).is_err());
}
