//! Ten thousand replacements before the eyes of readers, on the disk and in memory.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::Ordering;

use super::*;

#[path = "../../../../tests/it/support/readers.rs"]
#[expect(
    unreachable_pub,
    reason = "the integration tests offer it to their neighbours"
)]
mod looking;

use looking::{Look, Readers, value};

/// At the same time, so that they share the commits of ledger and disk.
const TARGETS: usize = 16;
const ROTATIONS: u64 = 10_000;
const LOOKS: u64 = 1_000_000;

fn look_at(path: PathBuf) -> Look {
    Arc::new(move |bytes| File::open(&path)?.read_to_end(bytes).map(|_| ()))
}

/// Replaces every target again and again while others read. The ledger is in memory, as is not what this is about.
async fn rotated_before_readers(place: TempDir) {
    let lab = Lab::in_memory();
    mode(place.path(), 0o755);
    let target = |n: usize| {
        let path = place.path().join(format!("{n}/file"));
        lab.target_of(config::FileTarget {
            path,
            ..lab.spec("")
        })
    };
    let targets: Vec<_> = (0..TARGETS).map(target).collect();
    let rotate = async |target: &FileTarget, generation: u64| {
        deliver(target, value(generation).as_bytes()).await.unwrap();
    };
    join_all(targets.iter().map(|target| rotate(target, 1))).await;
    let looks: Vec<_> = targets
        .iter()
        .map(|target| look_at(target.path().to_owned()))
        .collect();
    let readers = Readers::start(2, 1, &looks);
    join_all(targets.iter().map(async |target| {
        for generation in 2..=1 + ROTATIONS / TARGETS as u64 {
            rotate(target, generation).await;
        }
    }))
    .await;
    while readers.looks() < LOOKS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seen = readers.stop();
    assert_eq!(seen.wrong(), [0; 5], "{seen:?}");
    let changes = seen.changes.load(Ordering::Relaxed);
    assert!(changes > ROTATIONS / 10, "{seen:?}");
    for n in 0..TARGETS {
        let directory = place.path().join(n.to_string());
        assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_opens_on_the_disk_see_whole_files_of_one_generation() {
    // What is for temporary files may be in memory.
    let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target");
    rotated_before_readers(place.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_opens_in_memory_see_whole_files_of_one_generation() {
    rotated_before_readers(tempfile::tempdir_in("/dev/shm").unwrap()).await;
}
