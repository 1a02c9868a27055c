//! A ledger with some of everything in it, to be damaged.

use super::*;

pub(super) const NUMBER: u8 = 30;

/// Everything that can be asked of a ledger that [`fill`] made.
#[derive(Debug, PartialEq)]
struct Seen {
    files: Vec<Option<FileRecord>>,
    secrets: Vec<Option<DeliveredSecret>>,
    found: Vec<Option<Arns>>,
    remembered: Remembered,
    left: Vec<LeftBehind>,
}

fn file(number: u8) -> PathBuf {
    format!("/run/app/{number}").into()
}

fn part(number: u8) -> SecretPart {
    SecretPart {
        id: SecretId {
            cluster: ClusterName::new("prod").unwrap(),
            namespace: Namespace::new("app").unwrap(),
            name: ObjectName::new(format!("db-{number}")).unwrap(),
        },
        entry: EntryName::new("db").unwrap(),
    }
}

fn found(number: u8) -> FoundId {
    FoundId {
        entry: EntryName::new("db").unwrap(),
        question: format!("prod: path\0{number}"),
    }
}

/// Hundreds of ledgers are opened here, and what a disk does with a flush is not what is asked.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Some of everything, some of it twice; `content` makes two ledgers differ in every record.
fn fill(state: &State, content: u8) {
    for number in 0..NUMBER {
        let path = file(number);
        let path = path.to_str().unwrap();
        state.set_file_intent(intent(path, content)).unwrap();
        if number % 3 > 0 {
            state.set_file_delivered(delivery(path, content)).unwrap();
        }
        let delivered = DeliveredSecret {
            uid: Uid::new(format!("uid-{content}")).unwrap(),
            resource_version: ResourceVersion::new("8").unwrap(),
            whole: None,
            wrote: Wrote::default(),
            manager: None,
            fingerprint: Fingerprint::from_bytes([content; 32]),
            author: None,
            left: false,
            restart: None,
        };
        state.set_secret(part(number), delivered).unwrap();
        let arns = [format!("arn:{content}:{number}")].into();
        state.set_found(found(number), arns).unwrap();
        let entry = EntryName::new(format!("entry-{number}")).unwrap();
        let changes = vec![
            Remember::Entry(entry, Some(vec![content; 40])),
            Remember::Read(format!("read-{number}"), Some(vec![content; 300])),
            Remember::Meta("last", vec![content, number]),
        ];
        state.remember(changes).unwrap();
    }
    state
        .keep_only_files((2..NUMBER).map(file).collect())
        .unwrap();
    state
        .keep_only_secrets(Arc::new((2..NUMBER).map(part).collect()))
        .unwrap();
}

fn seen(state: &State) -> Seen {
    Seen {
        files: (0..NUMBER)
            .map(|number| state.file(&file(number)))
            .collect(),
        secrets: (0..NUMBER)
            .map(|number| state.secret(&part(number)))
            .collect(),
        found: (0..NUMBER)
            .map(|number| state.found(&found(number)))
            .collect(),
        remembered: state.take_remembered(),
        left: state.left_behind(),
    }
}

/// The files of a ledger, as a clean stop and as a kill leave them, and what is in it.
pub(super) struct Original {
    _parent: TempDir,
    pub(super) path: PathBuf,
    pub(super) key: Vec<u8>,
    pub(super) stopped: Vec<u8>,
    pub(super) killed: Vec<u8>,
    seen: Seen,
}

pub(super) fn original(content: u8) -> Original {
    let parent = in_memory();
    let path = parent.path().join("state");
    let state = State::open(&path).unwrap();
    fill(&state, content);
    let ledger = path.join("ledger.redb");
    let killed = fs::read(&ledger).unwrap();
    drop(state);
    let stopped = fs::read(&ledger).unwrap();
    let seen = seen(&State::open(&path).unwrap());
    assert_eq!(seen.remembered.reads.len(), usize::from(NUMBER));
    assert_eq!(seen.left.len(), 4);
    Original {
        key: fs::read(path.join("fingerprint.key")).unwrap(),
        _parent: parent,
        path,
        stopped,
        killed,
        seen,
    }
}

impl Original {
    pub(super) fn write(&self, ledger: &[u8]) {
        fs::write(self.path.join("ledger.redb"), ledger).unwrap();
        fs::write(self.path.join("fingerprint.key"), &self.key).unwrap();
    }

    /// Whether the ledger was put aside with nothing left to be seen. What was put aside is cleared away.
    pub(super) fn opens_empty(&self, what: &str) -> bool {
        let state = State::open(&self.path).unwrap_or_else(|error| panic!("{what}: {error}"));
        let seen = seen(&state);
        drop(state);
        let aside = aside::names(&self.path);
        if aside.is_empty() {
            assert!(seen == self.seen, "{what}: not what was written");
            return false;
        }
        assert_eq!(aside.len(), 1, "{what}: {aside:?}");
        let nothing = Seen {
            files: vec![None; usize::from(NUMBER)],
            secrets: vec![None; usize::from(NUMBER)],
            found: vec![None; usize::from(NUMBER)],
            remembered: Remembered::default(),
            left: Vec::new(),
        };
        assert!(seen == nothing, "{what}: something is left");
        fs::remove_file(self.path.join(&aside[0])).unwrap();
        true
    }
}
