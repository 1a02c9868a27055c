//! What holds our very bytes already, and was not put there by us.

use std::collections::HashSet;

use super::*;
use crate::decide::file::adoption::Adoption;
use crate::state::Whose;

/// Somebody's file, with the mode that is wanted.
fn theirs(lab: &Lab, value: &str) -> (u64, u32) {
    fs::write(lab.path("file"), value).unwrap();
    mode(&lab.path("file"), 0o640);
    as_it_is(lab)
}

fn as_it_is(lab: &Lab) -> (u64, u32) {
    let found = fs::metadata(lab.path("file")).unwrap();
    (found.ino(), found.mode())
}

fn left(lab: &Lab) -> LeftFile {
    lab.state.keep_only_files(HashSet::new()).unwrap();
    let entry = EntryName::new("db").unwrap();
    LeftFile::new(lab.path("file"), entry, Arc::clone(&lab.state), &lab.seats)
}

/// Bug: such a file counted as ours, and went with the entry.
#[tokio::test]
async fn a_file_that_holds_our_bytes_already_is_delivered_and_never_ours_to_remove() {
    let lab = Lab::new();
    let before = theirs(&lab, "same");
    let target = lab.target("file");
    for _ in 0..2 {
        assert_eq!(deliver(&target, b"same").await, Ok(Effect::Unchanged));
        assert_eq!(target.drift().await, Ok(None));
        let record = lab.state.file(target.path()).unwrap();
        assert_eq!(record.whose, Whose::Found);
    }
    let failure = target.remove(()).await.unwrap_err();
    assert!(failure.fact.contains("was not written by"), "{failure}");
    assert!(failure.help().contains("secretsyncd adopt --apply /"));
    let failure = left(&lab).remove(()).await.unwrap_err();
    assert!(failure.fact.contains("was not written by"), "{failure}");
    assert!(failure.help().contains("by hand"), "{failure}");
    assert_eq!(as_it_is(&lab), before);
}

#[tokio::test]
async fn what_takes_its_place_with_the_next_version_is_ours() {
    let lab = Lab::new();
    theirs(&lab, "one");
    let target = lab.target("file");
    deliver(&target, b"one").await.unwrap();
    assert_eq!(deliver(&target, b"two").await, Ok(Effect::Updated));
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"two");
    assert_eq!(target.remove(()).await, Ok(Removed::Deleted));
    assert_eq!(lab.names(), Vec::<String>::new());
}

/// Bug: it got our mode.
#[tokio::test]
async fn a_file_of_somebody_else_keeps_its_mode_and_is_not_called_delivered_with_another() {
    let lab = Lab::new();
    fs::write(lab.path("file"), "same").unwrap();
    mode(&lab.path("file"), 0o644);
    let before = as_it_is(&lab);
    let target = lab.target("file");
    let failure = deliver(&target, b"same").await.unwrap_err();
    assert_eq!(failure.reason, Reason::Conflict);
    assert!(failure.fact.contains("0644 where 0640"), "{failure}");
    assert!(failure.help().contains("secretsyncd adopt"), "{failure}");
    assert_eq!(as_it_is(&lab), before);
    assert_eq!(lab.state.file(target.path()), None);
    let seen = target.observe().await.unwrap();
    let adoption = target.adoption(&seen).unwrap();
    assert!(matches!(adoption, Adoption::Take { .. }), "{adoption:?}");
    // And so it is when that is seen later.
    mode(&lab.path("file"), 0o640);
    deliver(&target, b"same").await.unwrap();
    mode(&lab.path("file"), 0o644);
    assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)));
    let failure = target.repair_mode().await.unwrap_err();
    assert!(failure.fact.contains("0644 where 0640"), "{failure}");
    assert_eq!(as_it_is(&lab), before);
}

#[tokio::test]
async fn a_file_that_was_found_and_then_edited_is_somebody_elses() {
    let lab = Lab::new();
    theirs(&lab, "same");
    let target = lab.target("file");
    deliver(&target, b"same").await.unwrap();
    fs::write(lab.path("file"), "theirs").unwrap();
    assert_eq!(target.drift().await, Ok(Some(Drift::Content)));
    assert_eq!(
        deliver(&target, b"same").await.unwrap_err().reason,
        Reason::Conflict
    );
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");
    fs::remove_file(lab.path("file")).unwrap();
    assert_eq!(deliver(&target, b"same").await, Ok(Effect::Created));
}

#[tokio::test]
async fn what_was_found_is_ours_when_it_is_given_to_us() {
    let lab = Lab::new();
    let (inode, _) = theirs(&lab, "same");
    let target = lab.target("file");
    deliver(&target, b"same").await.unwrap();
    assert_eq!(target.take_over().await, Ok(Adopted::Taken));
    mode(&lab.path("file"), 0o644);
    assert_eq!(deliver(&target, b"same").await, Ok(Effect::Updated));
    assert_eq!(as_it_is(&lab), (inode, 0o100_640));
    assert_eq!(target.take_over().await, Ok(Adopted::Ours));
    assert_eq!(target.remove(()).await, Ok(Removed::Deleted));
    // Its sources may be gone by then.
    theirs(&lab, "same");
    deliver(&target, b"same").await.unwrap();
    target.take_over().await.unwrap();
    assert_eq!(target.remove(()).await, Ok(Removed::Deleted));
    // By the configuration.
    theirs(&lab, "same");
    deliver(&target, b"same").await.unwrap();
    let adopting = lab.target_of(config::FileTarget {
        adopt: true,
        ..lab.spec("file")
    });
    assert_eq!(deliver(&adopting, b"same").await, Ok(Effect::Unchanged));
    assert_eq!(target.remove(()).await, Ok(Removed::Deleted));
}

/// By an editor, or from a backup.
#[tokio::test]
async fn a_copy_in_place_of_ours_is_mended_by_a_fresh_file_and_not_removed() {
    let lab = Lab::new();
    let target = lab.target("file");
    deliver(&target, b"same").await.unwrap();
    fs::remove_file(lab.path("file")).unwrap();
    let copy = theirs(&lab, "same");
    deliver(&target, b"same").await.unwrap();
    let failure = target.remove(()).await.unwrap_err();
    assert!(failure.fact.contains("in place of the file"), "{failure}");
    assert_eq!(as_it_is(&lab), copy);
    fs::hard_link(lab.path("file"), lab.path("held")).unwrap();
    fs::remove_file(lab.path("file")).unwrap();
    fs::rename(lab.path("held"), lab.path("file")).unwrap();
    mode(&lab.path("file"), 0o644);
    let held = fs::File::open(lab.path("file")).unwrap();
    let repaired = Ok(Effect::Repaired(Drift::Metadata));
    assert_eq!(target.repair_mode().await, repaired);
    assert_eq!(held.metadata().unwrap().mode(), 0o100_644);
    assert_eq!(mode_of(&lab.path("file")), 0o640);
    assert_eq!(target.remove(()).await, Ok(Removed::Deleted));
}
