use std::collections::HashSet;

use super::*;

#[tokio::test]
async fn what_is_taken_over_stays_until_it_is_replaced() {
    let lab = Lab::new();
    let target = lab.target("file");
    assert_eq!(target.take_over().await, Ok(Adopted::Absent));
    fs::write(lab.path("file"), "theirs").unwrap();
    refusal(&target).await;
    assert_eq!(target.take_over().await, Ok(Adopted::Taken));
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");
    assert_eq!(target.drift().await, Ok(None), "nothing was delivered");
    assert_eq!(deliver(&target, b"new").await, Ok(Effect::Updated));
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"new");
    assert_eq!(target.take_over().await, Ok(Adopted::Ours));
    let record = lab.state.file(target.path()).unwrap();
    assert_eq!(record.adopted, None);
}

#[tokio::test]
async fn only_what_was_seen_is_taken_over() {
    let lab = Lab::new();
    let target = lab.target("file");
    fs::write(lab.path("file"), "theirs").unwrap();
    target.take_over().await.unwrap();
    fs::write(lab.path("file"), "theirs, and more").unwrap();
    refusal(&target).await;
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs, and more");
}

#[tokio::test]
async fn what_was_taken_over_and_never_written_is_no_orphan_and_is_not_removed() {
    let lab = Lab::new();
    let target = lab.target("file");
    fs::write(lab.path("file"), "theirs").unwrap();
    target.take_over().await.unwrap();
    assert!(target.remove(()).await.is_err());
    lab.state.keep_only_files(HashSet::new()).unwrap();
    assert_eq!(lab.state.left_behind(), []);
    let entry = EntryName::new("db").unwrap();
    let left = LeftFile::new(lab.path("file"), entry, Arc::clone(&lab.state), &lab.seats);
    assert!(left.remove(()).await.is_err());
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");
}

#[tokio::test]
async fn what_is_no_plain_file_or_lies_behind_hostile_parents_is_not_taken_over() {
    let lab = Lab::new();
    let target = lab.target("file");
    let path = lab.path("file");
    let refused = async |why: &str| {
        let failure = target.take_over().await.unwrap_err();
        assert!(failure.fact.contains(why), "{failure}");
        assert!(!failure.help().is_empty());
        assert_eq!(lab.state.file(&path), None, "{why}");
    };
    fs::write(lab.path("real"), "theirs").unwrap();
    symlink(lab.path("real"), &path).unwrap();
    refused("symbolic link").await;
    fs::remove_file(&path).unwrap();
    fs::hard_link(lab.path("real"), &path).unwrap();
    refused("hard links").await;
    fs::remove_file(&path).unwrap();
    mkfifoat(lab.directory(), "file", rustix::fs::Mode::RUSR).unwrap();
    refused("FIFO").await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("is a directory").await;
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "theirs").unwrap();
    mode(&lab.path(""), 0o777);
    refused("could redirect").await;
    mode(&lab.path(""), 0o755);
    assert_eq!(target.take_over().await, Ok(Adopted::Taken));
}
