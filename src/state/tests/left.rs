//! What no entry of the present configuration writes.

use super::*;

fn part(name: &str, entry: &str) -> SecretPart {
    SecretPart {
        id: SecretId {
            cluster: ClusterName::new("prod").unwrap(),
            namespace: Namespace::new("app").unwrap(),
            name: ObjectName::new(name).unwrap(),
        },
        entry: EntryName::new(entry).unwrap(),
    }
}

fn delivered() -> DeliveredSecret {
    DeliveredSecret {
        uid: Uid::new("u").unwrap(),
        resource_version: ResourceVersion::new("8").unwrap(),
        whole: None,
        wrote: Wrote::default(),
        fingerprint: Fingerprint::from_bytes([3; 32]),
        left: false,
    }
}

fn left(state: &State) -> Vec<String> {
    let left = state.left_behind().into_iter();
    left.map(|LeftBehind { target, entry, .. }| match target {
        LeftTarget::File(path) => format!("{entry}: {}", path.display()),
        LeftTarget::Secret(id) => format!("{entry}: {id}"),
    })
    .collect()
}

#[test]
fn a_file_is_left_behind_only_while_nobody_is_to_write_it() {
    let (parent, path) = place();
    let state = State::open(&path).unwrap();
    let only = |paths: &[&str]| {
        let paths = paths.iter().map(PathBuf::from).collect();
        state.keep_only_files(paths).unwrap();
    };
    for path in ["/b", "/a", "/c"] {
        state.set_file_delivered(delivery(path, 1)).unwrap();
    }
    assert_eq!(left(&state), [""; 0]);
    let before = now();
    only(&["/c", "/new"]);
    assert_eq!(left(&state), ["db: /a", "db: /b"]);
    let since = state.left_behind()[0].since;
    assert!((before..=now()).contains(&since));
    let after = killed(&path, &parent.path().join("killed"));
    assert_eq!(after.left_behind(), state.left_behind());

    only(&["/c", "/a"]);
    assert_eq!(left(&state), ["db: /b"], "configured again, not delivered");
    assert!(
        state.file(Path::new("/a")).unwrap().left,
        "which proves nothing"
    );
    only(&["/c"]);
    assert_eq!(left(&state), ["db: /a", "db: /b"]);
    only(&["/c", "/a"]);
    state.set_file_delivered(delivery("/a", 1)).unwrap();
    assert_eq!(left(&state), ["db: /b"]);
    assert!(!state.file(Path::new("/a")).unwrap().left);
}

#[test]
fn a_secret_that_another_entry_is_to_write_was_taken_over() {
    let (_parent, path) = place();
    let state = State::open(&path).unwrap();
    let only = |parts: &[SecretPart]| {
        state
            .keep_only_secrets(parts.iter().cloned().collect())
            .unwrap();
    };
    for written in [part("x", "one"), part("y", "one"), part("y", "two")] {
        state.set_secret(written, delivered()).unwrap();
    }
    only(&[part("x", "heir"), part("y", "two")]);
    assert_eq!(left(&state), [""; 0]);
    for gone in [part("x", "one"), part("y", "one")] {
        assert!(
            state.secret(&gone).unwrap().left,
            "its proof is gone all the same"
        );
    }
    only(&[part("y", "two")]);
    assert_eq!(left(&state), ["one: prod/app/x"]);
    only(&[]);
    let all = ["one: prod/app/x", "one: prod/app/y", "two: prod/app/y"];
    assert_eq!(left(&state), all);
    drop(state);
    let state = State::open(&path).unwrap();
    assert_eq!(left(&state), all);
    state.set_secret(part("y", "two"), delivered()).unwrap();
    state.keep_only_secrets([part("y", "two")].into()).unwrap();
    assert_eq!(left(&state), ["one: prod/app/x"]);
}

#[test]
fn being_left_counts_from_the_last_time_it_was_configured() {
    use crate::state::record::{Kept, Writer};
    let at = |second| Timestamp::from_second(second).unwrap();
    let record = FileRecord {
        entry: EntryName::new("db").unwrap(),
        delivered: None,
        intent: None,
        mode: 0o600,
        temporary: None,
        left: false,
    };
    let written = Kept::written(record);
    assert_eq!(written.under(Writer::Itself, at(1)), None);
    let left = written.under(Writer::Nobody, at(2)).unwrap();
    assert_eq!((left.record.left, left.left_at), (true, Some(at(2))));
    assert_eq!(left.under(Writer::Nobody, at(3)), None, "it is no news");
    let back = left.under(Writer::Itself, at(4)).unwrap();
    assert_eq!((back.record.left, back.left_at), (true, None));
    let again = back.under(Writer::Nobody, at(5)).unwrap();
    assert_eq!(again.left_at, Some(at(5)));
}
