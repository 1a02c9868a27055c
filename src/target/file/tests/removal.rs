use std::collections::HashSet;

use futures_util::FutureExt as _;

use super::*;
use crate::state::{Configured, LeftTarget};
use crate::target::file::aside::Aside;
use crate::target::file::inode::Inode;

async fn delivered(lab: &Lab, name: &str) -> FileTarget {
    let target = lab.target(name);
    deliver(&target, b"one").await.unwrap();
    target
}

async fn stays(target: &FileTarget, why: &str) {
    let failure = target.remove(()).await.unwrap_err();
    assert!(
        failure.fact.contains(target.path().to_str().unwrap()) || why.contains("directory"),
        "{failure}"
    );
    assert!(failure.fact.contains(why), "{failure}");
    assert!(!failure.help().is_empty());
}

#[tokio::test]
async fn a_delivered_file_goes_and_nothing_is_left_of_it() {
    let lab = Lab::new();
    let target = delivered(&lab, "file").await;
    let other = delivered(&lab, "other").await;
    assert_eq!(target.remove(()).await, Ok(Removed::Deleted));
    assert_eq!(lab.names(), ["other"]);
    assert_eq!(lab.state.file(target.path()), None);
    assert_eq!(target.remove(()).await, Ok(Removed::AlreadyGone));
    assert!(lab.state.file(other.path()).is_some());
    // It is made again as if it had never been.
    assert_eq!(deliver(&target, b"two").await, Ok(Effect::Created));
}

/// A disk that hangs keeps the thread; whoever gave up waiting for it does not know what it does next.
#[tokio::test(start_paused = true)]
async fn a_removal_is_under_way_until_its_thread_has_ended() {
    use crate::state::Grounds;
    let lab = Lab::new();
    let target = lab.target("file");
    let (answer, hangs) = channel::<()>();
    let removals = lab.state.file_removals();
    let (removal, awaited) = removals.begin(target.path(), Grounds::Orphaned);
    let (sure, is_sure) = tokio::sync::oneshot::channel();
    let late = target.on_disk(move |_| {
        sure.send(removal.becomes_certain()).unwrap();
        let _ = hangs.recv();
        Ok(())
    });
    let patience = async {
        assert_eq!(is_sure.await, Ok(true));
        tokio::time::advance(LIMIT + Duration::from_secs(1)).await;
    };
    let (late, ()) = tokio::join!(late, patience);
    assert_eq!(late.unwrap_err().reason, Reason::Timeout);
    drop(awaited);
    let ours = |path: &Path, _| path == target.path();
    let waited = removals.none_of(ours, Duration::ZERO).await;
    assert_eq!(waited, Err(target.path().to_owned()));
    drop(answer);
    tokio::time::resume();
    assert_eq!(removals.none_of(ours, LIMIT).await, Ok(()));
}

/// From the moment that it is asked for, also while it waits for its turn.
#[tokio::test]
async fn a_removal_is_known_while_it_waits_for_the_disk() {
    let lab = Lab::new();
    let target = delivered(&lab, "file").await;
    let orphan = left(&lab, "file");
    for removal in [
        target.remove(()).left_future(),
        orphan.remove(()).right_future(),
    ] {
        let turn = target.busy.lock().await;
        let mut removal = Box::pin(removal);
        assert!((&mut removal).now_or_never().is_none());
        let removals = lab.state.file_removals();
        let all = removals.none_of(|_, _| true, Duration::ZERO);
        assert_eq!(all.await, Err(target.path().to_owned()));
        drop(turn);
        let _ = removal.await;
        let all = removals.none_of(|_, _| true, Duration::ZERO);
        assert_eq!(all.await, Ok(()));
    }
}

#[tokio::test]
async fn what_a_killed_write_left_beside_a_file_that_no_entry_writes_is_swept() {
    let lab = Lab::new();
    let target = delivered(&lab, "file").await;
    fs::write(lab.path(".secretsyncd-0000000000000007"), "two").unwrap();
    let inode = fs::metadata(lab.path(".secretsyncd-0000000000000007"))
        .unwrap()
        .ino();
    let temporary = Temporary {
        number: 7,
        inode,
        born: None,
    };
    lab.was_killed("file", b"two", temporary);
    let orphan = left(&lab, "file");
    assert!(!orphan.has_leftovers(), "an entry writes it");
    orphan.sweep().await.unwrap();
    assert_eq!(lab.names().len(), 2);
    lab.state.keep_only_files(HashSet::new()).unwrap();
    assert!(orphan.has_leftovers());
    orphan.sweep().await.unwrap();
    assert_eq!(lab.names(), ["file"]);
    assert_eq!(fs::read(target.path()).unwrap(), b"one");
    drop(target);
}

#[tokio::test]
async fn what_goes_and_what_is_forgotten_outlives_a_restart() {
    let lab = Lab::new();
    let target = delivered(&lab, "file").await;
    let path = target.path().to_owned();
    target.remove(()).await.unwrap();
    drop(target);
    let Lab {
        root, state, seats, ..
    } = lab;
    drop((state, seats));
    let state = State::open(&root.path().join("state")).unwrap();
    assert_eq!(state.file(&path), None);
}

#[tokio::test]
async fn a_file_that_is_not_just_what_was_delivered_stays() {
    let lab = Lab::new();
    let path = lab.path("file");
    let target = delivered(&lab, "file").await;
    fs::write(&path, "edited").unwrap();
    stays(&target, "does not hold what was delivered").await;
    assert_eq!(fs::read(&path).unwrap(), b"edited");

    fs::remove_file(&path).unwrap();
    deliver(&target, b"one").await.unwrap();
    fs::copy(&path, lab.path("copy")).unwrap();
    fs::rename(lab.path("copy"), &path).unwrap();
    stays(&target, "is not the file that was delivered").await;
    // Once it was looked at and found right, it is the one.
    assert_eq!(deliver(&target, b"one").await, Ok(Effect::Unchanged));

    fs::hard_link(&path, lab.path("link")).unwrap();
    stays(&target, "another hard link").await;
    fs::remove_file(lab.path("link")).unwrap();

    fs::rename(&path, lab.path("real")).unwrap();
    symlink(lab.path("real"), &path).unwrap();
    stays(&target, "symbolic link").await;
    assert_eq!(fs::read(&path).unwrap(), b"one");
    fs::remove_file(&path).unwrap();
    mkfifoat(lab.directory(), "file", rustix::fs::Mode::RUSR).unwrap();
    stays(&target, "FIFO").await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    stays(&target, "is a directory").await;
    fs::remove_dir(&path).unwrap();
    assert_eq!(lab.names(), ["real"]);
}

#[tokio::test]
async fn what_lies_behind_hostile_parents_stays() {
    let lab = Lab::new();
    let target = delivered(&lab, "a/file").await;
    mode(&lab.path("a"), 0o777);
    stays(&target, "directory").await;
    mode(&lab.path("a"), 0o750);
    fs::rename(lab.path("a"), lab.path("b")).unwrap();
    symlink(lab.path("b"), lab.path("a")).unwrap();
    stays(&target, "symbolic link").await;
    assert_eq!(fs::read(lab.path("b/file")).unwrap(), b"one");
    fs::remove_file(lab.path("a")).unwrap();
    assert_eq!(target.remove(()).await, Ok(Removed::AlreadyGone));
    assert_eq!(fs::read(lab.path("b/file")).unwrap(), b"one");
}

/// One removal, as far as the ledger knows of it.
fn aside<'a>(directory: &'a OwnedFd, path: &'a Path, inode: u64) -> Aside<'a> {
    Aside {
        directory,
        target: path,
        name: path.file_name().unwrap(),
        temporary: Aside::name_for(inode),
    }
}

#[tokio::test]
async fn what_is_put_there_between_judgement_and_removal_stays() {
    let lab = Lab::new();
    let (path, directory) = (lab.path("file"), lab.directory());
    for exactly in [false, true] {
        let target = delivered(&lab, "file").await;
        let seen = target.observe().await.unwrap().stamp().unwrap();
        fs::write(lab.path("theirs"), "one").unwrap();
        fs::rename(lab.path("theirs"), &path).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        let removal = aside(&directory, &path, seen.id().inode());
        let refused = if exactly {
            removal.take_exactly(seen)
        } else {
            removal.take(seen)
        };
        let failure = refused.unwrap_err();
        assert!(failure.fact.contains("so it stays"), "{failure}");
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        assert_eq!(lab.names(), ["file"]);
        fs::remove_file(&path).unwrap();
    }
    // The same inode with other content.
    let target = delivered(&lab, "file").await;
    let seen = target.observe().await.unwrap().stamp().unwrap();
    fs::write(&path, "longer").unwrap();
    let removal = aside(&directory, &path, seen.id().inode());
    assert!(removal.take_exactly(seen).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"longer");
    assert_eq!(lab.names(), ["file"]);
}

/// How far a removal had come when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    AfterIntent,
    Aside,
    Unlinked,
}

impl Killed {
    const ALL: [Self; 3] = [Self::AfterIntent, Self::Aside, Self::Unlinked];
}

fn was_killed_removing(lab: &Lab, target: &FileTarget, at: Killed) {
    let path = target.path();
    let name = path.file_name().unwrap();
    let inode = Inode::of_name(lab.directory(), name).unwrap().unwrap();
    let temporary = Aside::name_for(inode.id().inode());
    lab.state
        .set_file_removal(path.to_owned(), temporary)
        .unwrap();
    let moved = lab.path(&format!(".secretsyncd-{:016x}", temporary.number));
    match at {
        Killed::AfterIntent => {}
        Killed::Aside => fs::rename(path, moved).unwrap(),
        Killed::Unlinked => fs::remove_file(path).unwrap(),
    }
}

#[tokio::test]
async fn a_removal_that_was_killed_at_any_step_is_carried_on() {
    for at in Killed::ALL {
        let lab = Lab::new();
        let target = delivered(&lab, "file").await;
        was_killed_removing(&lab, &target, at);
        assert!(target.remove(()).await.is_ok(), "{at:?}");
        assert_eq!(lab.names(), Vec::<String>::new(), "{at:?}");
        assert_eq!(lab.state.file(target.path()), None, "{at:?}");
    }
}

#[tokio::test]
async fn after_a_killed_removal_a_source_that_is_back_is_delivered_and_nothing_is_left_beside() {
    for at in Killed::ALL {
        for content in [b"one", b"two"] {
            let lab = Lab::new();
            let target = delivered(&lab, "file").await;
            was_killed_removing(&lab, &target, at);
            deliver(&target, content).await.unwrap();
            assert_eq!(lab.names(), ["file"], "{at:?}");
            assert_eq!(fs::read(lab.path("file")).unwrap(), content);
            let record = lab.state.file(target.path()).unwrap();
            assert!(!record.removing, "{at:?}");
            assert_eq!(target.remove(()).await, Ok(Removed::Deleted), "{at:?}");
        }
    }
}

#[tokio::test]
async fn after_a_killed_removal_what_somebody_put_there_is_theirs() {
    for at in [Killed::Aside, Killed::Unlinked] {
        let lab = Lab::new();
        let target = delivered(&lab, "file").await;
        was_killed_removing(&lab, &target, at);
        fs::write(lab.path("file"), "theirs").unwrap();
        let failure = deliver(&target, b"two").await.unwrap_err();
        assert_eq!(failure.reason, Reason::Conflict, "{at:?}");
        stays(&target, "does not hold").await;
        assert_eq!(lab.names(), ["file"], "{at:?}");
        assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");
    }
}

/// Killed between the move and the look at what was moved.
#[tokio::test]
async fn somebody_elses_file_that_was_moved_aside_gets_its_name_back() {
    let lab = Lab::new();
    let target = delivered(&lab, "file").await;
    let inode = fs::metadata(lab.path("file")).unwrap().ino();
    let temporary = Aside::name_for(inode);
    let path = target.path().to_owned();
    lab.state.set_file_removal(path, temporary).unwrap();
    fs::remove_file(lab.path("file")).unwrap();
    let moved = lab.path(&format!(".secretsyncd-{:016x}", temporary.number));
    fs::write(&moved, "theirs").unwrap();
    stays(&target, "does not hold").await;
    assert_eq!(lab.names(), ["file"]);
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");
    // Where the name is taken, it stays where it is.
    fs::write(&moved, "first").unwrap();
    stays(&target, "does not hold").await;
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");
    assert_eq!(fs::read(&moved).unwrap(), b"first");
}

fn left(lab: &Lab, name: &str) -> LeftFile {
    let entry = EntryName::new("db").unwrap();
    LeftFile::new(lab.path(name), entry, Arc::clone(&lab.state), &lab.seats)
}

#[tokio::test]
async fn an_orphan_goes_only_while_it_is_one() {
    let lab = Lab::new();
    let target = delivered(&lab, "file").await;
    let orphan = left(&lab, "file");
    let failure = orphan.remove(()).await.unwrap_err();
    assert!(failure.fact.contains("writes"), "{failure}");
    assert!(failure.own_help().is_some(), "{failure}");
    lab.state.keep_only_files(HashSet::new()).unwrap();
    stays(&target, "configured again").await;
    let listed = lab.state.left_behind();
    assert_eq!(listed[0].target, LeftTarget::File(lab.path("file")));
    assert_eq!(orphan.remove(()).await, Ok(Removed::Deleted));
    assert_eq!(orphan.remove(()).await, Ok(Removed::AlreadyGone));
    assert_eq!(lab.names(), Vec::<String>::new());
    assert_eq!(lab.state.left_behind(), []);
}

#[tokio::test]
async fn an_orphan_that_is_a_configured_file_by_another_path_stays() {
    let lab = Lab::new();
    delivered(&lab, "a/file").await;
    symlink(lab.path("a"), lab.path("b")).unwrap();
    lab.state.keep_only_files(HashSet::new()).unwrap();
    lab.state.set_configured(Configured {
        files: [lab.path("b/file")].into(),
        ..Configured::default()
    });
    let orphan = left(&lab, "a/file");
    let failure = orphan.remove(()).await.unwrap_err();
    assert!(failure.fact.contains("that very file"), "{failure}");
    assert_eq!(fs::read(lab.path("a/file")).unwrap(), b"one");
    lab.state.set_configured(Configured {
        files: [lab.path("c/file")].into(),
        ..Configured::default()
    });
    assert_eq!(orphan.remove(()).await, Ok(Removed::Deleted));
    assert!(lab.path("a").is_dir(), "directories stay");
}
