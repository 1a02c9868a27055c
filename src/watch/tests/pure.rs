//! What needs no file system.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::time::{Instant, advance, sleep, sleep_until};

use super::*;
use crate::watch::debounce::Debounce;
use crate::watch::directories::{Directories, Plan};
use crate::watch::inotify::{Outcome, Why};
use crate::watch::trace::{DirectoryId, Look, Name, Stamp, Trace};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn silence_ends_the_waiting() {
    let start = Instant::now();
    let mut debounce = Debounce::new(200 * MS, 2000 * MS);
    assert_eq!(debounce.due(), None);
    debounce.touch([1], Instant::now());
    sleep(150 * MS).await;
    debounce.touch([2], Instant::now());
    sleep_until(debounce.due().unwrap()).await;
    assert_eq!(start.elapsed(), 350 * MS);
    assert_eq!(debounce.take(), BTreeSet::from([1, 2]));
    assert_eq!(debounce.due(), None);
}

#[tokio::test(start_paused = true)]
async fn without_silence_the_waiting_ends_two_seconds_after_the_first() {
    let start = Instant::now();
    let mut debounce = Debounce::new(200 * MS, 2000 * MS);
    for _ in 0..20 {
        debounce.touch(["a"], Instant::now());
        advance(100 * MS).await;
        let due = debounce.due().unwrap();
        assert_eq!(due <= Instant::now(), start.elapsed() == 2000 * MS);
    }
    debounce.take();
    debounce.touch([], Instant::now());
    assert_eq!(debounce.due(), None, "nothing touched, nothing due");
}

fn look(inode: u64, directory: &str, remote: bool) -> Look {
    Look {
        id: DirectoryId { device: 1, inode },
        directory: directory.into(),
        remote,
        name: Name::One(OsString::from("f")),
    }
}

fn want(directories: &mut Directories, looks: &[Look]) -> BTreeSet<Watched> {
    let known: Vec<_> = looks
        .iter()
        .map(|look| (file(look.directory.join("f")), [look.clone()]))
        .collect();
    directories.want(known.iter().map(|(path, looks)| (path, looks.as_slice())))
}

fn carry_out(directories: &mut Directories, plan: Plan) -> BTreeSet<Watched> {
    let outcome = |(id, _)| (id, Outcome::Watched);
    directories.done(plan.add.into_iter().map(outcome).collect())
}

#[test]
fn what_is_remote_or_too_many_is_polled_and_said_once() {
    let mut directories = Directories::new(2);
    let looks = [
        look(1, "/a", false),
        look(2, "/b", true),
        look(3, "/c", false),
        look(4, "/d", false),
    ];
    want(&mut directories, &looks);
    let plan = directories.plan();
    let added: Vec<_> = plan.add.iter().map(|(id, _)| id.inode).collect();
    assert_eq!(added, [1, 3]);
    let again = carry_out(&mut directories, plan);
    assert_eq!(again, BTreeSet::from([file("/a/f"), file("/c/f")]));
    let polled = BTreeSet::from([file("/b/f"), file("/d/f")]);
    assert_eq!(directories.to_poll(), polled);
    let said = BTreeMap::from([
        (Why::Remote, vec![PathBuf::from("/b")]),
        (Why::TooMany, vec![PathBuf::from("/d")]),
    ]);
    assert_eq!(directories.newly_polled(), said);

    assert!(directories.try_polled_again());
    want(&mut directories, &looks);
    assert_eq!(directories.plan(), Plan::default());
    assert_eq!(directories.to_poll(), polled);
    assert_eq!(directories.newly_polled(), BTreeMap::new());

    // Room again.
    directories.try_polled_again();
    want(&mut directories, &looks[1..]);
    let plan = directories.plan();
    assert_eq!(plan.remove, [PathBuf::from("/a")]);
    carry_out(&mut directories, plan);
    assert_eq!(directories.to_poll(), BTreeSet::from([file("/b/f")]));
}

#[test]
fn a_refused_watch_is_polled_and_a_directory_that_moved_is_looked_at_again() {
    let mut directories = Directories::new(9);
    want(
        &mut directories,
        &[look(1, "/a", false), look(2, "/b", false)],
    );
    let plan = directories.plan();
    let outcomes = [Outcome::Not(Why::WatchLimit), Outcome::Moved];
    let ids = plan.add.into_iter().map(|(id, _)| id);
    let again = directories.done(ids.zip(outcomes).collect());
    assert_eq!(again, BTreeSet::from([file("/b/f")]));
    assert_eq!(directories.to_poll(), BTreeSet::from([file("/a/f")]));
    assert_eq!(directories.concerned(Path::new("/b/f")), BTreeSet::new());
}

#[test]
fn an_event_concerns_who_asked_for_its_name_or_goes_through_its_directory() {
    let mut directories = Directories::new(9);
    want(
        &mut directories,
        &[look(1, "/a", false), look(2, "/a/d", false)],
    );
    let plan = directories.plan();
    assert_eq!(directories.concerned(Path::new("/a/f")), BTreeSet::new());
    carry_out(&mut directories, plan);
    let concerned = |path: &str| directories.concerned(Path::new(path));
    assert_eq!(concerned("/a/f"), BTreeSet::from([file("/a/f")]));
    assert_eq!(concerned("/a/g"), BTreeSet::new());
    // Its permissions, say.
    assert_eq!(concerned("/a/d"), BTreeSet::from([file("/a/d/f")]));
    assert_eq!(concerned("/"), BTreeSet::new());
}

#[test]
fn a_directory_that_went_takes_those_below_it_along() {
    let mut directories = Directories::new(9);
    let looks = ["/a", "/a/b", "/a/b/c", "/a/bc", "/z"];
    let looks: Vec<_> = (1..)
        .zip(looks)
        .map(|(id, at)| look(id, at, false))
        .collect();
    want(&mut directories, &looks);
    let plan = directories.plan();
    carry_out(&mut directories, plan);
    let gone = directories.forget_below(Path::new("/a/b"));
    assert_eq!(gone, BTreeSet::from([file("/a/b/f"), file("/a/b/c/f")]));
    assert_eq!(directories.forget_below(Path::new("/a/b")), BTreeSet::new());
    let plan = directories.plan();
    let added: Vec<_> = plan.add.iter().map(|(id, _)| id.inode).collect();
    assert_eq!(added, [2, 3]);
    assert_eq!(
        plan.remove,
        [PathBuf::from("/a/b"), PathBuf::from("/a/b/c")]
    );
}

#[test]
fn two_directories_under_one_path_are_looked_at_again() {
    let mut directories = Directories::new(9);
    let (old, new) = (look(1, "/a", false), look(2, "/a", false));
    let (one, two) = (file("/a/f"), file("/link/f"));
    let known = [
        (&one, std::slice::from_ref(&old)),
        (&two, std::slice::from_ref(&new)),
    ];
    assert_eq!(
        directories.want(known.into_iter()),
        BTreeSet::from([one, two])
    );
    assert_eq!(directories.plan().add.len(), 1);
}

#[tokio::test]
async fn a_file_system_that_hangs_holds_up_nobody_else() {
    static FREED: AtomicBool = AtomicBool::new(false);
    let look: fn(&Watched) -> Trace = |path| {
        let hangs = path.path().starts_with("/hung");
        for _ in 0..1000 {
            if !hangs || FREED.load(Ordering::Relaxed) {
                break;
            }
            thread::park_timeout(10 * MS);
        }
        Trace {
            looks: Vec::new(),
            sight: Sight {
                stamp: Stamp::Nothing,
                fresh: false,
            },
        }
    };
    let paths = BTreeSet::from(["/a/f", "/hung/f", "/hung/g", "/z/f"].map(file));
    let mut glance = Glance::new(look, 2);
    let seen = timeout(PATIENCE, glance.at(paths.clone())).await.unwrap();
    assert!(seen.keys().eq(&[file("/a/f"), file("/z/f")]));
    let start = Instant::now();
    let seen = timeout(PATIENCE, glance.at(paths)).await.unwrap();
    assert!(seen.keys().eq(&[file("/a/f"), file("/z/f")]));
    assert!(start.elapsed() < Duration::from_secs(1), "asked again");
    FREED.store(true, Ordering::Relaxed);
}
