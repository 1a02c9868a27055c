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
        manager: None,
        fingerprint: Fingerprint::from_bytes([3; 32]),
        author: None,
        left: false,
        restart: None,
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
            .keep_only_secrets(Arc::new(parts.iter().cloned().collect()))
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
    state
        .keep_only_secrets(Arc::new([part("y", "two")].into()))
        .unwrap();
    assert_eq!(left(&state), ["one: prod/app/x"]);
}

#[test]
fn being_left_counts_from_the_last_time_it_was_configured() {
    use crate::state::record::{Kept, Writer};
    let at = |second| Timestamp::from_second(second).unwrap();
    let record = FileRecord::blank(EntryName::new("db").unwrap(), 0o600);
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

#[test]
fn parts_of_entries_that_are_gone_are_told_from_those_of_entries_that_only_write_elsewhere() {
    let (_parent, path) = place();
    let state = State::open(&path).unwrap();
    let id = SecretId {
        cluster: ClusterName::new("c").unwrap(),
        namespace: Namespace::new("n").unwrap(),
        name: ObjectName::new("s").unwrap(),
    };
    for entry in ["here", "renamed"] {
        let part = SecretPart {
            id: id.clone(),
            entry: EntryName::new(entry).unwrap(),
        };
        state.set_secret(part, delivered()).unwrap();
    }
    assert_eq!(state.gone(&id), [], "nobody said which entries there are");
    let part = |entry: &str| SecretPart {
        id: id.clone(),
        entry: EntryName::new(entry).unwrap(),
    };
    let entries = ["here", "other"].map(|it| EntryName::new(it).unwrap());
    state.set_configured(Configured {
        entries: entries.into(),
        files: HashSet::new(),
        secrets: Arc::new([part("other")].into()),
    });
    assert!(state.is_shared(&part("here")));
    assert!(!state.is_shared(&part("other")));
    let gone: Vec<_> = state.gone(&id).into_iter().map(|it| it.entry).collect();
    assert_eq!(gone, [EntryName::new("renamed").unwrap()]);
    let elsewhere = SecretId {
        name: ObjectName::new("t").unwrap(),
        ..id
    };
    assert_eq!(state.gone(&elsewhere), []);
}

#[test]
fn a_late_write_of_what_is_not_configured_any_more_stays_left() {
    let (parent, path) = place();
    let state = State::open(&path).unwrap();
    state.set_secret(part("x", "one"), delivered()).unwrap();
    state
        .keep_only_secrets(Arc::new([part("y", "two")].into()))
        .unwrap();
    let since = state.orphan(&part("x", "one")).unwrap().1;
    for late in [part("x", "one"), part("z", "three"), part("y", "four")] {
        state.set_secret(late.clone(), delivered()).unwrap();
        assert!(state.secret(&late).unwrap().left, "{late:?}");
    }
    state.set_secret(part("y", "two"), delivered()).unwrap();
    assert!(!state.secret(&part("y", "two")).unwrap().left);
    assert_eq!(state.orphan(&part("x", "one")).unwrap().1, since);
    assert_eq!(left(&state), ["one: prod/app/x", "three: prod/app/z"]);
    let after = killed(&path, &parent.path().join("killed"));
    assert_eq!(left(&after), ["one: prod/app/x", "three: prod/app/z"]);
}

#[test]
fn what_is_away_is_forgotten_but_for_what_was_delivered_meanwhile() {
    let (parent, path) = place();
    let state = State::open(&path).unwrap();
    let uid = |text: &str| Uid::new(text).unwrap();
    let another = || DeliveredSecret {
        uid: uid("u-2"),
        ..delivered()
    };
    let (gone, anew) = (part("gone", "db"), part("anew", "db"));
    state.set_secret(gone.clone(), delivered()).unwrap();
    state.set_secret(anew.clone(), another()).unwrap();
    state.keep_only_secrets(Arc::new([].into())).unwrap();
    assert_eq!(
        state.orphan(&gone).map(|(record, _)| record.uid),
        Some(uid("u"))
    );
    for part in [&gone, &anew] {
        state.forget_secret(part.clone(), uid("u")).unwrap();
    }
    assert_eq!(left(&state), ["db: prod/app/anew"]);
    assert_eq!(state.orphan(&gone), None);
    let after = killed(&path, &parent.path().join("killed"));
    assert_eq!(left(&after), ["db: prod/app/anew"]);
    assert_eq!(after.secret(&gone), None);
    // Configured and known again, it is nobody's orphan.
    state
        .keep_only_secrets(Arc::new([gone.clone()].into()))
        .unwrap();
    state.set_secret(gone.clone(), another()).unwrap();
    assert_eq!(state.orphan(&gone), None);
    let after = killed(&path, &parent.path().join("again"));
    assert_eq!(after.secret(&gone), Some(another()));
}
