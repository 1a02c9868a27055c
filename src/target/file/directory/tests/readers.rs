//! Readers beside swaps: whoever holds `..data` sees one generation, whoever opens by path sees a whole file.

use std::io::ErrorKind;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::*;

const SWAPS: u64 = 10_000;
const OPENS: u64 = 1_000_000;
/// There in every version; `even` is not.
const KEYS: [&str; 3] = ["ca", "crt", "key"];
const SIZE: usize = 600;

fn value(version: u64) -> String {
    format!("{version:0>SIZE$}")
}

fn payload_of(version: u64) -> Payload {
    let value = value(version);
    let even = version.is_multiple_of(2).then_some("even");
    let all: Vec<_> = KEYS
        .into_iter()
        .chain(even)
        .map(|name| (name, &*value))
        .collect();
    payload(&all)
}

/// Bug: the write that failed had taken it away.
#[tokio::test]
async fn a_write_that_fails_leaves_the_generation_before_to_its_readers() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let before = fs::File::open(lab.path("..data")).unwrap();
    deliver(&target, TWO).await.unwrap();
    let refusing = lab.target_of(config::FileTarget {
        check: Some(config::Check {
            log_output: false,
            argv: config::Argv {
                program: "/bin/false".into(),
                arguments: Vec::new(),
            },
        }),
        ..lab.spec()
    });
    let (name, value) = ONE[0];
    let holds = || {
        let opened = openat(&before, name, OFlags::RDONLY, Mode::empty());
        let mut text = String::new();
        opened.is_ok_and(|file| fs::File::from(file).read_to_string(&mut text).is_ok())
            && text == value
    };
    for _ in 0..2 {
        deliver(&refusing, ONE).await.unwrap_err();
        assert_eq!(lab.seen(), set(TWO));
        assert!(holds());
    }
    deliver(&target, ONE).await.unwrap();
    assert!(!holds(), "a swap has ended its time");
    let generations = lab.names().into_iter().filter(|name| name == "GEN");
    assert_eq!(generations.count(), 2);
}

#[derive(Debug, Default)]
struct Seen {
    opens: u64,
    missing: u64,
    torn: u64,
    mixed: u64,
    /// Whoever is not given a processor while two swaps pass reads what is gone, as is written.
    overtaken: u64,
}

struct Reader {
    path: PathBuf,
    swaps: Arc<Swaps>,
    seen: Seen,
}

/// Which swaps have begun, and which are over; each is of the version of its number.
#[derive(Debug, Default)]
struct Swaps {
    begun: AtomicU64,
    done: AtomicU64,
}

impl Swaps {
    /// The earliest version that can be there now.
    fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Whether a generation of that version may be gone.
    fn has_passed(&self, version: u64) -> bool {
        self.begun.load(Ordering::SeqCst) >= version + 2
    }
}

impl Reader {
    /// The version that a file holds.
    fn open(&mut self, at: impl AsFd, path: &Path, since: u64) -> Option<u64> {
        self.seen.opens += 1;
        let opened = openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut text = String::with_capacity(SIZE + 1);
        let read = opened
            .map_err(std::io::Error::from)
            .and_then(|file| fs::File::from(file).read_to_string(&mut text));
        match read {
            Ok(SIZE) => match text.parse() {
                Ok(version) => return Some(version),
                Err(_) => self.seen.torn += 1,
            },
            Ok(_) => self.seen.torn += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => self.missed(since),
            Err(error) => panic!("{error}"),
        }
        None
    }

    fn missed(&mut self, since: u64) {
        if self.swaps.has_passed(since) {
            self.seen.overtaken += 1;
        } else {
            self.seen.missing += 1;
        }
    }

    fn by_path(&mut self) {
        for key in KEYS {
            let since = self.swaps.done();
            let path = self.path.join(key);
            self.open(CWD, &path, since);
        }
    }

    fn by_descriptor(&mut self) {
        let mut since = self.swaps.done();
        self.seen.opens += 1;
        let Ok(held) = fs::File::open(self.path.join("..data")) else {
            return self.missed(since);
        };
        let mut versions = Vec::new();
        for key in KEYS {
            if let Some(version) = self.open(&held, Path::new(key), since) {
                since = version;
                versions.push(version);
            }
        }
        let Some(version) = versions.first() else {
            return;
        };
        let even = held.as_fd();
        let has_even = rustix::fs::accessat(
            even,
            "even",
            rustix::fs::Access::EXISTS,
            rustix::fs::AtFlags::empty(),
        );
        let fits = has_even.is_ok() == (version % 2 == 0);
        let undisturbed = !self.swaps.has_passed(*version);
        if versions.iter().any(|other| other != version) || (undisturbed && !fits) {
            self.seen.mixed += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_whole_files_of_one_generation_across_ten_thousand_swaps() {
    let lab = Lab::in_memory();
    beside_swaps(&[lab.target()]).await;
}

/// Many at the same time, so that they share what the disk is asked to make lasting. The ledger is in memory, as is not
/// what this is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_they_do_on_a_disk() {
    let lab = Lab::in_memory();
    let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target").unwrap();
    mode(place.path(), 0o755);
    let target = |n: usize| {
        let path = place.path().join(format!("{n}/set"));
        lab.target_of(config::FileTarget { path, ..lab.spec() })
    };
    beside_swaps(&(0..25).map(target).collect::<Vec<_>>()).await;
}

async fn swap(target: &FileTarget, version: u64) -> Effect {
    let rendered = target.render(&payload_of(version)).unwrap();
    let seen = target.observe().await.unwrap();
    let verdict = target.judge(&rendered, &seen).unwrap();
    target
        .apply(&rendered, &seen, verdict)
        .await
        .unwrap()
        .effect
}

async fn beside_swaps(targets: &[FileTarget]) {
    for target in targets {
        assert_eq!(swap(target, 0).await, Effect::Created);
    }
    let count = u64::try_from(targets.len()).unwrap();
    let (stop, opened) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let all: Vec<Arc<Swaps>> = targets.iter().map(|_| Arc::default()).collect();
    let threads = [Reader::by_path, Reader::by_descriptor].map(|way| {
        let reader = |(target, swaps): (&FileTarget, &Arc<Swaps>)| Reader {
            path: target.path().to_owned(),
            swaps: Arc::clone(swaps),
            seen: Seen::default(),
        };
        let readers = targets.iter().zip(&all).map(reader).collect();
        let (stop, opened) = (Arc::clone(&stop), Arc::clone(&opened));
        std::thread::spawn(move || look(readers, way, (&stop, &opened)))
    });
    let swapped = targets.iter().zip(&all).map(async |(target, passing)| {
        let mut version = 0;
        while version < SWAPS / count || opened.load(Ordering::Relaxed) < OPENS {
            version += 1;
            passing.begun.store(version, Ordering::SeqCst);
            assert_eq!(swap(target, version).await, Effect::Updated);
            passing.done.store(version, Ordering::SeqCst);
            assert!(version < 20 * SWAPS / count, "readers do not get on");
        }
        version
    });
    let versions = join_all(swapped).await;
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        let seen = thread.join().unwrap();
        eprintln!("{} swaps beside {seen:?}", versions.iter().sum::<u64>());
        let Seen {
            missing,
            torn,
            mixed,
            ..
        } = seen;
        assert_eq!((missing, torn, mixed), (0, 0, 0), "{seen:?}");
        assert!(seen.overtaken * 100 <= seen.opens, "{seen:?}");
    }
    for (target, version) in targets.iter().zip(versions) {
        assert_eq!(names_in(target.path()), expected_names(version));
    }
}

/// Goes round all of them until it is to stop.
fn look(
    mut readers: Vec<Reader>,
    way: fn(&mut Reader),
    (stop, opened): (&AtomicBool, &AtomicU64),
) -> Seen {
    while !stop.load(Ordering::Relaxed) {
        for reader in &mut readers {
            let before = reader.seen.opens;
            way(reader);
            opened.fetch_add(reader.seen.opens - before, Ordering::Relaxed);
        }
    }
    readers.iter().fold(Seen::default(), |mut all, reader| {
        all.opens += reader.seen.opens;
        all.missing += reader.seen.missing;
        all.torn += reader.seen.torn;
        all.mixed += reader.seen.mixed;
        all.overtaken += reader.seen.overtaken;
        all
    })
}

fn expected_names(version: u64) -> Vec<&'static str> {
    let mut names = vec!["..data", "GEN", "GEN", "ca", "crt"];
    names.extend(version.is_multiple_of(2).then_some("even"));
    names.push("key");
    names
}
