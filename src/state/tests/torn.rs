//! Ledgers copied while they are written.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

const COPIES: usize = 50;
/// Far more than happen meanwhile, and an end where the copies fail.
const COMMITS: u32 = 5_000;

/// Reads a file in pieces, slowly enough for commits to come in between. Commits also shorten the file: such a copy ends
/// where the file then did.
fn copy_slowly(from: &Path, random: &mut fastrand::Rng) -> Vec<u8> {
    let file = fs::File::open(from).unwrap();
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    let mut bytes = vec![0; length];
    let piece = 4096 << random.usize(..10);
    for (number, piece_of) in bytes.chunks_mut(piece).enumerate() {
        let place = number * piece;
        match file.read_exact_at(piece_of, place as u64) {
            Ok(()) => std::thread::yield_now(),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let length = file.metadata().unwrap().len();
                bytes.truncate(usize::try_from(length).unwrap().max(place));
                break;
            }
            Err(error) => panic!("the ledger cannot be read: {error}"),
        }
    }
    bytes
}

/// Each commit counts, and adds a read of that number.
fn commit(state: &State, number: u32) {
    let count = number.to_be_bytes().to_vec();
    let changes = vec![
        Remember::Read(number.to_string(), Some(count.repeat(100))),
        Remember::Meta("count", count),
    ];
    state.remember(changes).unwrap();
}

#[test]
fn a_ledger_that_was_torn_shows_a_moment_or_nothing() {
    let (parent, path) = place();
    let copy = parent.path().join("copy");
    drop(State::open(&copy).unwrap());
    let state = State::open(&path).unwrap();
    fs::copy(path.join("fingerprint.key"), copy.join("fingerprint.key")).unwrap();
    let (done, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    let mut moments = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=COMMITS {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                commit(&state, number);
                done.store(number, Ordering::Release);
            }
        });
        let mut random = fastrand::Rng::with_seed(1);
        for number in 0..COPIES {
            let before = done.load(Ordering::Acquire);
            let bytes = copy_slowly(&path.join("ledger.redb"), &mut random);
            let after = done.load(Ordering::Acquire);
            fs::write(copy.join("ledger.redb"), bytes).unwrap();
            let remembered = State::open(&copy).unwrap().take_remembered();
            let was_put_aside = aside::names(&copy);
            for name in &was_put_aside {
                fs::remove_file(copy.join(name)).unwrap();
            }
            if !was_put_aside.is_empty() {
                assert_eq!(remembered, Remembered::default(), "copy {number}");
                continue;
            }
            moments += 1;
            let count = remembered.meta.get("count").map_or(0, |count| {
                u32::from_be_bytes(count.as_slice().try_into().unwrap())
            });
            assert!(
                (before..=after + 1).contains(&count),
                "copy {number}: {before} {count} {after}"
            );
            let reads =
                (1..=count).map(|number| (number.to_string(), number.to_be_bytes().repeat(100)));
            assert_eq!(remembered.reads, reads.collect());
        }
        stop.store(true, Ordering::Release);
    });
    assert!(moments > 0, "every copy was torn apart");
}
