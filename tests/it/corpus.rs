//! Replays what fuzzing found worth keeping: every file of `fuzz/corpus` through the target whose name its folder has.

#[path = "../../fuzz/src/lib.rs"]
pub mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use self::targets::{TARGETS, Target};

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The files of a folder; none at all where there is no folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The files over which the target panics.
fn broken_by(target: Target, folder: &Path) -> Vec<String> {
    let files = files(folder);
    assert!(
        !files.is_empty(),
        "{} is empty or missing",
        folder.display()
    );
    let panics = |file: &PathBuf| {
        let input = fs::read(file).unwrap();
        panic::catch_unwind(|| target(&input)).is_err()
    };
    let broken = files.into_iter().filter(panics);
    broken.map(|file| file.display().to_string()).collect()
}

#[test]
fn no_file_of_a_corpus_breaks_a_promise() {
    let broken: Vec<_> = TARGETS
        .iter()
        .flat_map(|(name, target)| broken_by(*target, &corpora().join(name)))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let named: BTreeSet<_> = TARGETS
        .iter()
        .map(|(name, _)| corpora().join(name))
        .collect();
    assert_eq!(named, files(&corpora()));
}

#[test]
fn every_target_can_be_fuzzed() {
    let manifest = env!("CARGO_MANIFEST_DIR");
    let binaries = Path::new(manifest).join("fuzz/fuzz_targets");
    let named: BTreeSet<_> = TARGETS
        .iter()
        .map(|(name, _)| binaries.join(format!("{name}.rs")))
        .collect();
    assert_eq!(named, files(&binaries));
}

#[test]
fn a_file_that_breaks_a_promise_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("good", "a"), ("bad", "b")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let broken = broken_by(|input| assert_eq!(input, b"a"), folder.path());
    assert_eq!(broken, [folder.path().join("bad").display().to_string()]);
}

#[test]
#[should_panic(expected = "is empty or missing")]
fn a_corpus_that_is_missing_is_told() {
    broken_by(|_| {}, &corpora().join("none"));
}
