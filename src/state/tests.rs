mod aside;
mod copied;
mod damage;
mod left;
mod original;
mod remembered;
mod rows;
mod torn;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::decide::kubernetes::{DeliveredSecret, Wrote};
use crate::names::{
    ClusterName, EntryName, Namespace, ObjectName, ResourceVersion, SecretKey, Uid,
};
use crate::secret::Fingerprint;

fn place() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("lib/state");
    (parent, path)
}

fn delivery(path: &str, content: u8) -> FileDelivery {
    FileDelivery {
        path: path.into(),
        entry: EntryName::new("db").unwrap(),
        fingerprint: Fingerprint::from_bytes([content; 32]),
        mode: 0o640,
        placed: Some(samples::placed(file(8))),
        generations: Vec::new(),
        whose: Whose::Ours,
    }
}

pub(super) const fn file(inode: u64) -> FileId {
    FileId { inode, born: None }
}

fn intent(path: &str, content: u8) -> FileIntent {
    FileIntent {
        delivery: delivery(path, content),
        found: None,
        found_ours: false,
        temporary: Temporary {
            number: 7,
            inode: 8,
            born: None,
        },
        mark: None,
    }
}

fn refusal(path: &Path) -> Failure {
    match State::open(path) {
        Err(OpenError::Failed(failure)) => failure,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn makes_a_closed_directory_and_closed_files() {
    let (_parent, path) = place();
    let state = State::open(&path).unwrap();
    state.set_file_intent(intent("/a", 1)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    let mut names = Vec::new();
    for file in fs::read_dir(&path).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["fingerprint.key", "ledger.redb", "lock"]);
}

#[test]
fn a_state_is_lost_when_it_is_gone_or_another_and_not_when_nobody_can_look() {
    let (_parent, path) = place();
    let state = State::open(&path).unwrap();
    assert_eq!(state.is_lost(), Ok(false));
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    assert_eq!(state.is_lost(), Ok(true));
    // Bug: it was said that somebody had taken it away.
    symlink(&path, &path).unwrap();
    let failure = state.is_lost().unwrap_err();
    assert!(failure.fact.contains("cannot be looked at"), "{failure}");
    assert!(failure.own_help().is_some(), "{failure}");
    fs::remove_file(&path).unwrap();
    drop(State::open(&path).unwrap());
    assert_eq!(state.is_lost(), Ok(true), "it is another one");
    fs::remove_dir_all(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(state.is_lost(), Ok(false));
}

#[test]
fn a_second_holder_is_refused_until_the_first_is_gone() {
    let (_parent, path) = place();
    let first = State::open(&path).unwrap();
    let Err(OpenError::HeldByAnother(by)) = State::open(&path) else {
        panic!("two have it");
    };
    // Some file systems have other numbers in /proc.
    let us = format!("process {}", std::process::id());
    assert!(by.is_none_or(|it| it.to_string() == us), "{by:?}");
    drop(first);
    State::open(&path).unwrap();
}

#[test]
fn the_fingerprint_key_is_made_once() {
    let (_parent, path) = place();
    let first = *State::open(&path).unwrap().fingerprint_key().bytes();
    let second = *State::open(&path).unwrap().fingerprint_key().bytes();
    assert_eq!(first, second);
    assert_ne!(first, [0; 32]);
}

#[test]
fn what_others_may_write_or_swap_is_refused() {
    let (parent, path) = place();
    drop(State::open(&path).unwrap());
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };

    mode(&path, 0o770);
    assert!(refusal(&path).help().contains("chmod 700"));
    mode(&path, 0o2755);
    drop(State::open(&path).unwrap());
    assert_eq!(
        fs::metadata(&path).unwrap().mode() & 0o7777,
        0o2700,
        "what others may only read is closed to them"
    );

    mode(&path.join("fingerprint.key"), 0o640);
    assert!(refusal(&path).help().contains("chmod 600"));
    mode(&path.join("fingerprint.key"), 0o600);

    let elsewhere = parent.path().join("elsewhere");
    for name in ["fingerprint.key", "ledger.redb", "lock"] {
        fs::rename(path.join(name), &elsewhere).unwrap();
        symlink(&elsewhere, path.join(name)).unwrap();
        let failure = refusal(&path);
        assert!(failure.fact.contains("symbolic link"), "{failure}");
        fs::remove_file(path.join(name)).unwrap();
        fs::rename(&elsewhere, path.join(name)).unwrap();
    }

    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        assert!(refusal(&path).fact.contains("12345"));
    }
}

#[test]
fn records_survive() {
    let (_parent, path) = place();
    let id = SecretId {
        cluster: ClusterName::new("prod").unwrap(),
        namespace: Namespace::new("app").unwrap(),
        name: ObjectName::new("db").unwrap(),
    };
    let part = |entry: &str| SecretPart {
        id: id.clone(),
        entry: EntryName::new(entry).unwrap(),
    };
    let delivered = |version: &str| DeliveredSecret {
        uid: Uid::new("u").unwrap(),
        resource_version: ResourceVersion::new(version).unwrap(),
        whole: None,
        wrote: Wrote {
            keys: [SecretKey::new("password").unwrap()].into(),
            ..Wrote::default()
        },
        manager: None,
        fingerprint: Fingerprint::from_bytes([3; 32]),
        author: None,
        left: false,
        restart: None,
    };
    let state = State::open(&path).unwrap();
    state.set_file_intent(intent("/a", 1)).unwrap();
    state.set_file_delivered(delivery("/a", 1)).unwrap();
    state.set_file_intent(intent("/a", 2)).unwrap();
    state.set_file_delivered(delivery("/b", 5)).unwrap();
    state.set_secret(part("a/b"), delivered("8")).unwrap();
    state.set_secret(part("db"), delivered("9")).unwrap();
    let before = (state.file(Path::new("/a")), state.file(Path::new("/b")));
    drop(state);

    let state = State::open(&path).unwrap();
    let a = state.file(Path::new("/a")).unwrap();
    assert_eq!(a.delivered, Some(Fingerprint::from_bytes([1; 32])));
    assert_eq!(a.intent, Some(Fingerprint::from_bytes([2; 32])));
    assert_eq!(
        (Some(a), state.file(Path::new("/b"))),
        before,
        "a clean stop also keeps what was recorded without a flush"
    );
    assert_eq!(state.secret(&part("a/b")), Some(delivered("8")));
    assert_eq!(
        state.secret(&part("db")),
        Some(delivered("9")),
        "entries that merge into one Secret have a record each"
    );
    assert_eq!(state.secret(&part("other")), None);
    assert_eq!(state.file(Path::new("/c")), None);
}

/// What a process that is killed now would leave.
fn killed(state: &Path, copy: &Path) -> State {
    drop(State::open(copy).unwrap());
    for name in ["ledger.redb", "fingerprint.key"] {
        fs::copy(state.join(name), copy.join(name)).unwrap();
    }
    State::open(copy).unwrap()
}

#[test]
fn a_kill_never_takes_the_knowledge_of_content() {
    let (parent, path) = place();
    let state = State::open(&path).unwrap();
    state.set_file_intent(intent("/a", 2)).unwrap();
    let after = killed(&path, &parent.path().join("intent"));
    assert_eq!(after.file(Path::new("/a")), state.file(Path::new("/a")));

    state.set_file_delivered(delivery("/a", 2)).unwrap();
    let after = killed(&path, &parent.path().join("delivered"));
    let a = after.file(Path::new("/a")).unwrap();
    assert!([a.intent, a.delivered].contains(&Some(Fingerprint::from_bytes([2; 32]))));

    state.set_file_delivered(delivery("/taken", 3)).unwrap();
    let after = killed(&path, &parent.path().join("taken"));
    assert_eq!(
        after.file(Path::new("/taken")),
        state.file(Path::new("/taken")),
        "content that was found, not written, has no intent to fall back on"
    );
}

#[test]
fn a_path_that_no_entry_writes_is_marked_until_it_is_delivered_again() {
    let (parent, path) = place();
    let state = State::open(&path).unwrap();
    state.set_file_delivered(delivery("/a", 1)).unwrap();
    state.set_file_delivered(delivery("/b", 1)).unwrap();
    let left = |state: &State| ["/a", "/b"].map(|path| state.file(Path::new(path)).unwrap().left);
    state
        .keep_only_files(["/a".into(), "/c".into()].into())
        .unwrap();
    assert_eq!(left(&state), [false, true]);
    let after = killed(&path, &parent.path().join("marked"));
    assert_eq!(left(&after), [false, true], "the mark survives a kill");

    state
        .keep_only_files(["/a".into(), "/b".into()].into())
        .unwrap();
    state.set_file_intent(intent("/b", 1)).unwrap();
    assert_eq!(
        left(&state),
        [false, true],
        "being configured proves nothing"
    );
    state.set_file_delivered(delivery("/b", 1)).unwrap();
    let after = killed(&path, &parent.path().join("again"));
    assert_eq!(left(&after), [false, false]);
    assert_eq!(after.file(Path::new("/b")), state.file(Path::new("/b")));
}

#[test]
fn a_part_that_is_not_configured_is_marked_until_it_is_delivered_again() {
    let (parent, path) = place();
    let state = State::open(&path).unwrap();
    let part = |entry: &str| SecretPart {
        id: SecretId {
            cluster: ClusterName::new("prod").unwrap(),
            namespace: Namespace::new("app").unwrap(),
            name: ObjectName::new("db").unwrap(),
        },
        entry: EntryName::new(entry).unwrap(),
    };
    let delivered = |left: bool| DeliveredSecret {
        uid: Uid::new("u").unwrap(),
        resource_version: ResourceVersion::new("8").unwrap(),
        whole: None,
        wrote: Wrote::default(),
        manager: None,
        fingerprint: Fingerprint::from_bytes([3; 32]),
        author: None,
        left,
        restart: None,
    };
    let left = |state: &State| ["a", "b"].map(|entry| state.secret(&part(entry)).unwrap().left);
    for entry in ["a", "b"] {
        state.set_secret(part(entry), delivered(false)).unwrap();
    }
    state
        .keep_only_secrets(Arc::new([part("a"), part("c")].into()))
        .unwrap();
    assert_eq!(left(&state), [false, true]);
    assert_eq!(state.secret(&part("b")), Some(delivered(true)));
    let after = killed(&path, &parent.path().join("marked"));
    assert_eq!(left(&after), [false, true], "the mark survives a kill");

    state
        .keep_only_secrets(Arc::new([part("a"), part("b")].into()))
        .unwrap();
    assert_eq!(
        left(&state),
        [false, true],
        "being configured proves nothing"
    );
    state.set_secret(part("b"), delivered(true)).unwrap();
    let after = killed(&path, &parent.path().join("again"));
    assert_eq!(left(&after), [false, false]);
}

#[test]
fn what_another_machine_may_have_written_is_doubted_until_it_is_delivered_again() {
    let (parent, path) = place();
    let state = State::open(&path).unwrap();
    let part = SecretPart {
        id: SecretId {
            cluster: ClusterName::new("prod").unwrap(),
            namespace: Namespace::new("app").unwrap(),
            name: ObjectName::new("db").unwrap(),
        },
        entry: EntryName::new("a").unwrap(),
    };
    let delivered = DeliveredSecret {
        uid: Uid::new("u").unwrap(),
        resource_version: ResourceVersion::new("8").unwrap(),
        whole: None,
        wrote: Wrote::default(),
        manager: None,
        fingerprint: Fingerprint::from_bytes([3; 32]),
        author: None,
        left: false,
        restart: None,
    };
    state.doubt_secrets().unwrap();
    state.set_secret(part.clone(), delivered.clone()).unwrap();
    let left = |state: &State| state.secret(&part).unwrap().left;
    assert!(!left(&state));
    state.doubt_secrets().unwrap();
    state.doubt_secrets().unwrap();
    assert!(left(&state));
    assert_eq!(state.left_behind(), [], "it is configured all the same");
    let after = killed(&path, &parent.path().join("doubted"));
    assert!(left(&after), "the doubt survives a kill");
    state.set_secret(part.clone(), delivered).unwrap();
    assert!(!left(&state));
}

#[test]
fn many_writers_share_commits_and_lose_nothing() {
    let (_parent, path) = place();
    let state = State::open(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let state = &state;
            scope.spawn(move || {
                for number in 0..20 {
                    let path = format!("/{thread}/{number}");
                    state.set_file_intent(intent(&path, 1)).unwrap();
                    state.set_file_delivered(delivery(&path, 1)).unwrap();
                }
            });
        }
    });
    drop(state);
    let state = State::open(&path).unwrap();
    for thread in 0..16 {
        for number in 0..20 {
            let record = state.file(Path::new(&format!("/{thread}/{number}")));
            assert_eq!(record.unwrap().intent, None);
        }
    }
}

#[test]
fn what_was_found_outlives_a_restart() {
    let (_parent, path) = place();
    let id = |question: &str| FoundId {
        entry: EntryName::new("app").unwrap(),
        question: question.to_owned(),
    };
    let arns: Arns = ["arn:a".to_owned(), "arn:b".to_owned()].into();
    let state = State::open(&path).unwrap();
    state.set_found(id("one"), arns.clone()).unwrap();
    state.set_found(id("two"), Arns::new()).unwrap();
    drop(state);
    let state = State::open(&path).unwrap();
    let found = |question| state.found(&id(question));
    assert_eq!(found("one"), Some(arns));
    assert_eq!((found("two"), found("three")), (Some(Arns::new()), None));
}
