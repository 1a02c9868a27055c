//! A copy of the state: it knows what was recorded, takes nothing in, and leaves everything as it is.

use super::*;

/// Every file with its content and when it was last written.
fn snapshot(path: &Path) -> Vec<(String, Vec<u8>, i64)> {
    let files = fs::read_dir(path).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            let changed = file.metadata().unwrap().ctime_nsec();
            (name, fs::read(file.path()).unwrap(), changed)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_copy_knows_what_was_recorded_while_another_holds_the_directory() {
    let (_parent, path) = place();
    let state = State::open(&path).unwrap();
    state.set_file_delivered(delivery("/a", 1)).unwrap();
    let before = snapshot(&path);
    let copied = State::copy(&path).unwrap();
    assert!(copied.unknown.is_none());
    let known = copied.state.file(Path::new("/a"));
    assert_eq!(known, state.file(Path::new("/a")));
    let key = |state: &State| *state.fingerprint_key().bytes();
    assert_eq!(key(&copied.state), key(&state));
    // Nothing goes into it, and nothing came of having made it.
    let refused = copied.state.set_file_delivered(delivery("/a", 2));
    assert_eq!(refused.unwrap_err().reason, crate::failure::Reason::Io);
    assert_eq!(copied.state.file(Path::new("/a")), known);
    assert_eq!(snapshot(&path), before);
}

#[test]
fn where_nothing_was_recorded_a_copy_is_blank_and_makes_nothing() {
    let (parent, path) = place();
    let copied = State::copy(&path).unwrap();
    assert!(copied.unknown.is_none() && copied.state.file(Path::new("/a")).is_none());
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_believed_is_said_and_stays() {
    let (_parent, path) = place();
    let state = State::open(&path).unwrap();
    state.set_file_intent(intent("/a", 1)).unwrap();
    drop(state);
    let ledger = path.join("ledger.redb");
    let whole = fs::read(&ledger).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"not a ledger"] {
        fs::write(&ledger, damaged).unwrap();
        let copied = State::copy(&path).unwrap();
        assert!(copied.unknown.is_some());
        assert!(copied.state.file(Path::new("/a")).is_none());
        assert_eq!(fs::read(&ledger).unwrap(), damaged);
    }
}
