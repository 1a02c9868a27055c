//! What is remembered for others.

use super::*;

#[test]
fn what_is_remembered_is_handed_out_once_at_the_next_start() {
    let (parent, path) = place();
    let entry = |name: &str| EntryName::new(name).unwrap();
    let read = |name: &str, record: Option<&[u8]>| {
        Remember::Read(name.to_owned(), record.map(<[u8]>::to_vec))
    };
    let state = State::open(&path).unwrap();
    assert_eq!(state.take_remembered(), Remembered::default());
    state
        .remember(vec![
            Remember::Entry(entry("a/b"), Some(b"one".to_vec())),
            Remember::Entry(entry("gone"), Some(b"two".to_vec())),
            read("any\0text", Some(b"")),
            read("gone", Some(b"1")),
            read("back", Some(b"1")),
            read("back", None),
            read("back", Some(b"2")),
            Remember::Meta("start", b"3".to_vec()),
        ])
        .unwrap();
    state
        .remember(vec![
            Remember::Entry(entry("gone"), None),
            Remember::Entry(entry("never"), None),
            read("gone", None),
            Remember::Meta("start", b"4".to_vec()),
        ])
        .unwrap();
    state.remember(Vec::new()).unwrap();
    assert_eq!(state.take_remembered(), Remembered::default());

    let expected = Remembered {
        entries: [(entry("a/b"), b"one".to_vec())].into(),
        reads: [("any\0text", &b""[..]), ("back", b"2")]
            .map(|(read, record)| (read.to_owned(), record.to_vec()))
            .into(),
        meta: [("start".to_owned(), b"4".to_vec())].into(),
    };
    let after = killed(&path, &parent.path().join("killed"));
    assert_eq!(after.take_remembered(), expected, "it is durable at once");
    drop(state);
    let state = State::open(&path).unwrap();
    assert_eq!(state.take_remembered(), expected);
    assert_eq!(state.take_remembered(), Remembered::default(), "once");
}
