mod drift;
mod kill;
mod readers;
mod taking;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::config::{self, FileFormat};
use crate::decide::{Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::names::{EntryName, SecretKey};
use crate::secret::{Payload, SecretBytes};
use crate::state::State;
use crate::target::file::tests::lab::{self, mode, mode_of};
use crate::target::file::{FileTarget, LeftFile, Seats};

/// One directory, with a file for each key.
enum Set {}

type Lab = lab::Lab<Set>;

impl Lab {
    /// The target's directory.
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("set").join(name)
    }

    fn spec(&self) -> config::FileTarget {
        config::FileTarget {
            path: self.root.path().join("set"),
            format: FileFormat::Directory,
            mode: 0o640,
            dir_mode: 0o750,
            owner: None,
            group: None,
            adopt: false,
            check: None,
            on_change: None,
            deletion_policy: config::DeletionPolicy::Retain,
        }
    }

    fn target(&self) -> FileTarget {
        self.target_of(self.spec())
    }

    /// As after a start: nothing is remembered but the ledger.
    fn restarted(&self) -> FileTarget {
        let entry = EntryName::new("db").unwrap();
        FileTarget::new(
            self.spec(),
            entry,
            Arc::clone(&self.state),
            &Seats::default(),
        )
    }

    /// Every name in the directory, a generation as `GEN`.
    fn names(&self) -> Vec<String> {
        names_in(&self.path(""))
    }

    fn live(&self) -> PathBuf {
        self.path("")
            .join(fs::read_link(self.path("..data")).unwrap())
    }

    /// What readers see, by name.
    fn seen(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| !name.starts_with(".."))
            .filter_map(|name| Some((name.clone(), fs::read_to_string(self.path(&name)).ok()?)))
            .collect()
    }
}

/// Every name in a directory, a generation as `GEN`.
fn names_in(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| {
            if name.starts_with("..secretsyncd-") {
                "GEN".to_owned()
            } else {
                name
            }
        })
        .collect();
    names.sort();
    names
}

fn set(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn payload(of: &[(&str, &str)]) -> Payload {
    let mut payload = Payload::default();
    for (name, value) in of {
        payload.insert(
            SecretKey::new(*name).unwrap(),
            SecretBytes::new(value.as_bytes().to_vec()),
        );
    }
    payload
}

async fn deliver(target: &FileTarget, of: &[(&str, &str)]) -> Result<Effect, Failure> {
    let rendered = target.render(&payload(of))?;
    let seen = target.observe().await?;
    let verdict = target.judge(&rendered, &seen)?;
    let done = target.apply(&rendered, &seen, verdict).await?;
    Ok(done.effect)
}

const ONE: &[(&str, &str)] = &[("crt", "c1"), ("key", "k1"), ("old", "o1")];
const TWO: &[(&str, &str)] = &[("crt", "c2"), ("key", "k2"), ("new", "n2")];

#[tokio::test]
async fn a_set_is_made_with_its_parents_and_exact_modes() {
    let lab = Lab::new();
    let target = lab.target_of(config::FileTarget {
        path: lab.path("deep"),
        ..lab.spec()
    });
    assert_eq!(target.probe().await, Ok(()));
    assert!(!lab.path("").exists());
    assert_eq!(deliver(&target, ONE).await, Ok(Effect::Created));
    let at = |name: &str| lab.path("deep").join(name);
    assert_eq!(fs::read(at("crt")).unwrap(), b"c1");
    assert_eq!(fs::read_link(at("crt")).unwrap(), Path::new("..data/crt"));
    let generation = fs::read_link(at("..data")).unwrap();
    assert!(generation.to_str().unwrap().starts_with("..secretsyncd-"));
    for directory in [lab.path(""), at(""), at("..data")] {
        assert_eq!(mode_of(&directory), 0o750);
    }
    assert_eq!(mode_of(&at("key")), 0o640);
    assert_eq!(target.drift().await, Ok(None));
}

#[tokio::test]
async fn nothing_is_touched_when_nothing_changed() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let stamps = || {
        let touched = |path: PathBuf| {
            let found = fs::symlink_metadata(path).unwrap();
            (found.ino(), found.ctime(), found.ctime_nsec())
        };
        ["", "..data", "..data/", "crt", "..data/crt"].map(|name| touched(lab.path(name)))
    };
    let before = stamps();
    assert_eq!(deliver(&target, ONE).await, Ok(Effect::Unchanged));
    assert_eq!(target.drift().await, Ok(None));
    assert_eq!(lab.restarted().drift().await, Ok(None));
    assert_eq!(stamps(), before);
}

#[tokio::test]
async fn a_swap_drops_and_adds_keys_and_keeps_the_generation_before() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let first = lab.live();
    let link = fs::symlink_metadata(lab.path("crt")).unwrap().ino();
    assert_eq!(deliver(&target, TWO).await, Ok(Effect::Updated));
    assert_eq!(lab.seen(), set(TWO));
    assert_eq!(lab.names(), ["..data", "GEN", "GEN", "crt", "key", "new"]);
    assert_eq!(fs::symlink_metadata(lab.path("crt")).unwrap().ino(), link);
    assert_eq!(
        fs::read(first.join("old")).unwrap(),
        b"o1",
        "who has it open reads on"
    );
    assert_eq!(target.drift().await, Ok(None));
    assert!(first.exists(), "a look is no swap");

    let second = lab.live();
    assert_eq!(deliver(&target, ONE).await, Ok(Effect::Updated));
    assert!(!first.exists() && second.exists());
    assert_eq!(lab.restarted().drift().await, Ok(None));
    assert!(!second.exists(), "a start ends the time of old generations");
    assert_eq!(lab.seen(), set(ONE));
}

#[tokio::test]
async fn an_empty_set_or_one_without_a_value_is_never_written() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    for of in [&[][..], &[("crt", ""), ("key", "")]] {
        let failure = deliver(&target, of).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Invalid);
    }
    let large = "x".repeat(crate::target::file::format::MAX_FILE_BYTES);
    let failure = deliver(&target, &[("a", &large)]).await.unwrap_err();
    assert_eq!(failure.reason, Reason::TooLarge);
    assert_eq!(lab.seen(), set(ONE));
}

#[tokio::test]
async fn what_is_held_comes_back_as_it_was_delivered() {
    use crate::target::holdings::Holdings;
    let lab = Lab::new();
    let target = lab.target();
    assert_eq!(target.holdings().await, Ok(Holdings::Nothing));
    deliver(&target, ONE).await.unwrap();
    let Holdings::Something { keys, delivered } = target.holdings().await.unwrap() else {
        panic!("there is something");
    };
    assert_eq!(keys.len(), 3);
    assert_eq!(delivered, Some(payload(ONE)));
    fs::write(lab.path("crt"), "theirs").unwrap();
    let Holdings::Something { delivered, .. } = target.holdings().await.unwrap() else {
        panic!("there is something");
    };
    assert_eq!(delivered, None, "somebody wrote through the link");
}

#[tokio::test]
async fn changes_are_told_by_key() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let rendered = target.render(&payload(TWO)).unwrap();
    let seen = target.observe().await.unwrap();
    let verdict = target.judge(&rendered, &seen).unwrap();
    let changes = target.changes(&rendered, verdict).await.keys;
    assert_eq!(
        (changes.added, changes.removed),
        (vec!["new".into()], vec!["old".into()])
    );
    assert_eq!(changes.changed, ["crt", "key"]);
}

#[tokio::test]
async fn what_changes_after_the_look_is_not_overwritten() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let rendered = target.render(&payload(TWO)).unwrap();
    let seen = target.observe().await.unwrap();
    let verdict = target.judge(&rendered, &seen).unwrap();
    fs::remove_file(lab.path("..data")).unwrap();
    symlink("..theirs", lab.path("..data")).unwrap();
    let failure = target.apply(&rendered, &seen, verdict).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Conflict);
    assert_eq!(
        fs::read_link(lab.path("..data")).unwrap(),
        Path::new("..theirs")
    );

    // A file that appears where a new key's link has to be, after everything was judged.
    let seen = target.observe().await.unwrap();
    let verdict = target.judge(&rendered, &seen).unwrap();
    fs::write(lab.path("new"), "theirs").unwrap();
    let failure = target.apply(&rendered, &seen, verdict).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Conflict);
    assert_eq!(fs::read(lab.path("new")).unwrap(), b"theirs");
    let failure = deliver(&target, TWO).await.unwrap_err();
    assert!(
        failure.fact.contains("/set/new exists with other content"),
        "{failure}"
    );
    fs::remove_file(lab.path("new")).unwrap();
    deliver(&target, TWO).await.unwrap();
    assert_eq!(lab.seen(), set(TWO));
}

#[tokio::test]
async fn what_others_put_into_it_stays() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    fs::write(lab.path("notes.txt"), "theirs").unwrap();
    fs::create_dir(lab.path("drawer")).unwrap();
    symlink("/etc/passwd", lab.path("link")).unwrap();
    symlink("..data/other", lab.path("lookalike")).unwrap();
    mode(&lab.path(""), 0o755);
    assert_eq!(
        target.drift().await,
        Ok(None),
        "it is others', too, and keeps its mode"
    );
    let old = lab.live();
    fs::write(old.join("theirs"), "theirs").unwrap();
    assert_eq!(target.drift().await, Ok(Some(Drift::Content)));
    deliver(&target, TWO).await.unwrap();
    deliver(&target, ONE).await.unwrap();
    assert_eq!(fs::read(old.join("theirs")).unwrap(), b"theirs");
    assert_eq!(fs::read_dir(&old).unwrap().count(), 1, "our own went");
    for name in ["notes.txt", "drawer", "link", "lookalike"] {
        assert!(fs::symlink_metadata(lab.path(name)).is_ok(), "{name}");
    }
    assert_eq!(mode_of(&lab.path("")), 0o755);
}

#[tokio::test]
async fn of_a_directory_that_no_entry_writes_a_start_sweeps_what_nobody_reads() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, TWO).await.unwrap();
    deliver(&target, ONE).await.unwrap();
    lab.state.keep_only_files([].into()).unwrap();
    let entry = EntryName::new("db").unwrap();
    let left = |seats: &Seats| {
        let state = Arc::clone(&lab.state);
        LeftFile::new(lab.spec().path, entry.clone(), state, seats)
    };
    assert!(left(&lab.seats).has_leftovers());
    left(&lab.seats).sweep().await.unwrap();
    let both = ["..data", "GEN", "GEN", "crt", "key", "old"];
    assert_eq!(lab.names(), both, "this process has swapped itself");
    // Readers are led to what is not ours: nothing of it is ours to judge.
    let data = fs::read_link(lab.path("..data")).unwrap();
    fs::remove_file(lab.path("..data")).unwrap();
    symlink(lab.path("").join(&data), lab.path("..data")).unwrap();
    left(&Seats::default()).sweep().await.unwrap();
    assert_eq!(lab.names(), both);
    fs::remove_file(lab.path("..data")).unwrap();
    symlink(&data, lab.path("..data")).unwrap();
    left(&Seats::default()).sweep().await.unwrap();
    assert_eq!(lab.names(), ["..data", "GEN", "crt", "key", "old"]);
    assert_eq!(lab.seen(), set(ONE));
}

#[tokio::test]
async fn a_directory_in_which_data_is_no_link_of_ours_is_not_removed() {
    let lab = Lab::new();
    deliver(&lab.target(), ONE).await.unwrap();
    fs::remove_file(lab.path("..data")).unwrap();
    fs::create_dir(lab.path("..data")).unwrap();
    fs::write(lab.path("..data/crt"), "theirs").unwrap();
    let failure = lab.target().remove(()).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Conflict);
    assert_eq!(fs::read(lab.path("crt")).unwrap(), b"theirs");
}

#[tokio::test]
async fn a_removal_takes_what_we_made_and_nothing_else() {
    use super::{Removed, remove};
    use crate::target::file::ownership::Ownership;
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, TWO).await.unwrap();
    deliver(&target, ONE).await.unwrap();
    fs::write(lab.path("notes"), "theirs").unwrap();
    let whole = lab.spec().path;
    let spared = remove(
        (&whole, &Ownership::default()),
        &State::open(&lab.root.path().join("other")).unwrap(),
        || true,
    );
    assert_eq!(
        spared.unwrap_err().reason,
        Reason::Conflict,
        "not by that ledger"
    );

    fs::write(lab.path("crt"), "changed").unwrap();
    assert_eq!(
        remove((&whole, &Ownership::default()), &lab.state, || true)
            .unwrap_err()
            .reason,
        Reason::Conflict
    );
    assert_eq!(
        lab.names(),
        ["..data", "GEN", "GEN", "crt", "key", "notes", "old"]
    );

    deliver(&target, ONE).await.unwrap();
    let late = remove((&whole, &Ownership::default()), &lab.state, || false).unwrap_err();
    assert_eq!(late.reason, Reason::Timeout);
    assert_eq!(
        lab.names(),
        ["..data", "GEN", "GEN", "crt", "key", "notes", "old"]
    );
    assert_eq!(
        remove((&whole, &Ownership::default()), &lab.state, || true),
        Ok(Removed::Beside(vec!["notes".into()]))
    );
    assert_eq!(lab.names(), ["notes"]);
    assert_eq!(
        remove((&whole, &Ownership::default()), &lab.state, || true),
        Ok(Removed::Beside(vec!["notes".into()]))
    );
}
