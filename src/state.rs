//! What survives a restart: which content was delivered where, under keyed fingerprints.
//!
//! One directory, held by one process at a time. It holds names, times and fingerprints, never a value: everything in
//! it may be lost and costs only work (files and Secrets that differ from their source are then somebody else's until
//! they are adopted). So what cannot be believed is put aside, and an empty ledger begins. Writing blocks on the disk and belongs into `spawn_blocking`; reading is from memory.

mod copy;
mod directory;
mod file_removals;
mod key;
mod ledger;
mod parts;
mod record;
mod set_aside;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use crate::clock;
use crate::decide::kubernetes::restart::ChangeId;
use crate::decide::kubernetes::{DeliveredSecret, Gone};
use crate::failure::Failure;
use crate::names::{EntryName, ResourceVersion, Uid};
use crate::secret::FingerprintKey;

pub use copy::Copied;
pub use directory::Holder;
use directory::{Directory, Lock};
pub use file_removals::{FileRemoval, FileRemovalAwaited, FileRemovals, Grounds};
use ledger::{Change, Ledger};
pub use parts::SecretParts;
pub use record::{
    Arns, FileAdoption, FileDelivery, FileId, FileIntent, FileRecord, FoundId, Generation, Given,
    Mark, Marks, Placed, SecretId, SecretPart, Temporary, Whose,
};

/// Why the state could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// A daemon or another command works with this directory.
    #[error("the state directory is in use by another secretsyncd")]
    HeldByAnother(Option<Holder>),
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// One thing to remember for somebody who knows what its bytes mean, or without bytes to forget. Never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remember {
    Entry(EntryName, Option<Vec<u8>>),
    Read(String, Option<Vec<u8>>),
    Meta(&'static str, Vec<u8>),
}

/// Everything that was remembered when the state was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    pub entries: HashMap<EntryName, Vec<u8>>,
    pub reads: HashMap<String, Vec<u8>>,
    pub meta: HashMap<String, Vec<u8>>,
}

/// A target that was written, and that no entry of the present configuration writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftBehind {
    pub target: LeftTarget,
    /// Who wrote it last.
    pub entry: EntryName,
    /// When a configuration without it was first seen.
    pub since: Timestamp,
}

/// A part of a Secret that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSecret {
    pub part: SecretPart,
    pub uid: Uid,
    /// No entry of the present configuration writes it.
    pub is_left: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftTarget {
    File(PathBuf),
    Secret(SecretId),
}

impl fmt::Display for LeftTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Secret(id) => id.fmt(f),
        }
    }
}

/// Whether a configured target is the very Secret of an orphan, under another name of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    Certain,
    /// It was not delivered yet.
    Possible,
}

/// What the present configuration has, delivered or not.
#[derive(Debug, Default)]
pub struct Configured {
    /// Whatever they write.
    pub entries: HashSet<EntryName>,
    pub files: HashSet<PathBuf>,
    pub secrets: Arc<SecretParts>,
}

/// The state directory, held until this is dropped; or a copy of what was in it, which takes nothing in.
#[derive(Debug)]
pub struct State {
    fingerprint_key: FingerprintKey,
    ledger: Ledger,
    removals: tokio::sync::RwLock<()>,
    file_removals: FileRemovals,
    /// Absent until it is said.
    configured: RwLock<Option<Configured>>,
    /// Absent for a copy.
    _lock: Option<Lock>,
    place: Place,
}

/// The files of a state by their paths, and which ones they were when it was opened; none for a copy.
#[derive(Debug, Default)]
struct Place(Vec<(PathBuf, Option<(u64, u64)>)>);

impl Place {
    fn of(directory: &Path) -> Self {
        let files = [directory::LOCK_FILE, directory::LEDGER_FILE];
        let files = files.map(|name| directory.join(name));
        let seen = |path: PathBuf| {
            let inode = inode(&path).ok().flatten();
            (path, inode)
        };
        Self(files.map(seen).into())
    }

    fn is_lost(&self) -> Result<bool, Failure> {
        for (path, was) in &self.0 {
            let found = inode(path).map_err(|error| {
                directory::failed(path, "cannot be looked at", error.raw_os_error())
            })?;
            if found != *was {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Nothing where nothing is there.
fn inode(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl State {
    /// Opens or makes the directory, takes its lock, and reads everything. What is damaged, or is not ours, is put aside
    /// in the directory and said in the log; what a later release wrote is refused. Blocks on the disk.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let directory = Directory::open(path)?;
        let lock = directory.lock()?;
        let fingerprint_key = key::read_or_make(&directory)?;
        let ledger = Ledger::open(directory, &fingerprint_key)?;
        Ok(Self {
            fingerprint_key,
            ledger,
            removals: tokio::sync::RwLock::default(),
            file_removals: FileRemovals::default(),
            configured: RwLock::default(),
            _lock: Some(lock),
            place: Place::of(path),
        })
    }

    /// Whether somebody took it away, or put something else in its place: then nothing that is recorded from now on is
    /// found after a restart. A look that fails says nothing of that. Blocks on the disk.
    pub fn is_lost(&self) -> Result<bool, Failure> {
        self.place.is_lost()
    }

    /// The key under which every fingerprint of this state was made.
    pub fn fingerprint_key(&self) -> &FingerprintKey {
        &self.fingerprint_key
    }

    /// What is known of the file at this path. From memory.
    pub fn file(&self, path: &Path) -> Option<FileRecord> {
        self.ledger.file(path)
    }

    /// Says what is about to be swapped into place. Durable when it returns, so that after a crash at any later
    /// moment the content found there is recognised. Blocks.
    pub fn set_file_intent(&self, intent: FileIntent) -> Result<(), Failure> {
        self.ledger.record(Change::FileIntent(intent))
    }

    /// Says what is in place. Blocks. Durable when it returns where that is news; after an intent that said the same it
    /// becomes durable with the next durable record or a clean stop, and a crash before that loses nothing.
    pub fn set_file_delivered(&self, delivered: FileDelivery) -> Result<(), Failure> {
        self.ledger.record(Change::FileDelivered(delivered))
    }

    /// Says which directories were made for files, so that they are made again when they are gone. Durable when it
    /// returns. Blocks.
    pub fn set_directories_made(&self, paths: Vec<PathBuf>) -> Result<(), Failure> {
        self.ledger.record(Change::DirectoriesMade(paths))
    }

    /// Whether that directory was made for a file. From memory.
    pub fn is_made(&self, directory: &Path) -> bool {
        self.ledger.is_made(directory)
    }

    /// Says that what is at the path is about to be taken away, by way of that name. Nothing where nothing is known of
    /// the path. Durable when it returns. Blocks.
    pub fn set_file_removal(&self, path: PathBuf, aside: Temporary) -> Result<(), Failure> {
        self.ledger.record(Change::FileRemoval(path, aside))
    }

    /// Says that what this record tells of is not there any more. What was delivered meanwhile stays known. Durable when
    /// it returns. Blocks.
    pub fn forget_file(&self, path: PathBuf, record: FileRecord) -> Result<(), Failure> {
        self.ledger.record(Change::FileGone(path, record))
    }

    /// Says that a file of somebody else may be replaced as long as it holds what was found. Durable when it returns.
    /// Blocks.
    pub fn adopt_file(&self, adoption: FileAdoption) -> Result<(), Failure> {
        self.ledger.record(Change::FileAdopted(adoption))
    }

    /// What is known of the file at this path, where no configured entry writes it. From memory.
    pub fn orphaned_file(&self, path: &Path) -> Option<FileRecord> {
        self.ledger.orphaned_file(path)
    }

    /// The files of that name that the configuration writes, wherever they lie. From memory.
    pub fn files_called(&self, name: &OsStr) -> Vec<PathBuf> {
        let mut all = self.configured_files();
        all.retain(|path| path.file_name() == Some(name));
        all
    }

    /// The files and directories that the configuration writes. From memory.
    pub fn configured_files(&self) -> Vec<PathBuf> {
        let configured = self
            .configured
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let files = configured.iter().flat_map(|all| &all.files);
        files.cloned().collect()
    }

    /// Says for which changes of which files the action has run. Durable when it returns. Blocks.
    pub fn set_acted(&self, acted: Vec<(PathBuf, u64)>) -> Result<(), Failure> {
        if acted.is_empty() {
            return Ok(());
        }
        self.ledger.record(Change::Acted(acted))
    }

    /// Says which files the configuration writes. What is known of every other one no longer makes the file at its path
    /// ours, unless it still holds what we put there, until it is delivered to again. To be said at the start and with
    /// every new configuration. Durable when it returns. Blocks.
    pub fn keep_only_files(&self, paths: HashSet<PathBuf>) -> Result<(), Failure> {
        self.ledger.record(Change::OnlyFiles(paths, now()))
    }

    /// What is known of an entry's part in a Secret. From memory.
    pub fn secret(&self, part: &SecretPart) -> Option<DeliveredSecret> {
        self.ledger.secret(part)
    }

    /// A restart that a part in a Secret makes due and that is not done, as far as that is certain. From memory.
    pub fn restart(&self, part: &SecretPart) -> Option<ChangeId> {
        self.ledger.restart(part)
    }

    /// Says that the restart for that change is done; `states`: how the Secret stood with its record, and without. Durable
    /// when it returns. Blocks.
    pub fn set_restarted(
        &self,
        part: SecretPart,
        change: ChangeId,
        states: Option<(ResourceVersion, ResourceVersion)>,
    ) -> Result<(), Failure> {
        self.ledger.record(Change::Restarted(part, change, states))
    }

    /// Says which parts of which Secrets the configuration writes. What is known of every other one no longer proves
    /// anything about what others wrote since, until it is delivered to again. To be said at the start and with every new
    /// configuration. Durable when it returns. Blocks.
    pub fn keep_only_secrets(&self, parts: Arc<SecretParts>) -> Result<(), Failure> {
        self.ledger.record(Change::OnlySecrets(parts, now()))
    }

    /// Says what there is. In memory only: to be said at the start and with every new configuration.
    pub fn set_configured(&self, all: Configured) {
        let mut configured = self
            .configured
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *configured = Some(all);
    }

    /// What entries delivered to a Secret of which the configuration has no more than the memory. Nothing before it was
    /// said which entries there are. From memory.
    pub fn gone(&self, id: &SecretId) -> Vec<Gone> {
        let configured = self
            .configured
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(configured) = &*configured else {
            return Vec::new();
        };
        let mut parts = self.ledger.parts_of(id);
        parts.retain(|gone| !configured.entries.contains(&gone.entry));
        parts
    }

    /// Whether another configured entry is to write that Secret, too. From memory.
    pub fn is_shared(&self, part: &SecretPart) -> bool {
        let configured = self
            .configured
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut parts = configured.iter().flat_map(|all| all.secrets.iter());
        parts.any(|other| other.id == part.id && other.entry != part.entry)
    }

    /// Says that another machine may have written any Secret since: what is known of each counts only as long as nobody
    /// did, until it is delivered again. Durable when it returns. Blocks.
    pub fn doubt_secrets(&self) -> Result<(), Failure> {
        self.ledger.record(Change::DoubtSecrets)
    }

    /// What was written and is no longer, as the configuration stands that was last said: sorted. A Secret that any
    /// configured entry writes, or is to write, was taken over and is not among it. From memory.
    pub fn left_behind(&self) -> Vec<LeftBehind> {
        self.ledger.left_behind()
    }

    /// What was delivered as that part and when it was left, where no configured entry writes the Secret. From memory.
    pub fn orphan(&self, part: &SecretPart) -> Option<(DeliveredSecret, Timestamp)> {
        self.ledger.orphan(part)
    }

    /// The configured target that is that life of the orphan's Secret, or may be. From memory.
    pub fn same_secret(&self, orphan: &SecretPart, uid: &Uid) -> Option<(SecretId, Sameness)> {
        self.ledger.same_secret(orphan, uid)
    }

    /// Says that this life of the Secret holds nothing of the part any more. What was delivered to another life of it
    /// meanwhile stays known. Durable when it returns. Blocks.
    pub fn forget_secret(&self, part: SecretPart, uid: Uid) -> Result<(), Failure> {
        self.ledger.record(Change::SecretGone(part, uid))
    }

    /// Held by whoever takes away an orphan, from the moment that it is certain to be one until it is away; and by
    /// whoever says what is configured.
    pub fn removals(&self) -> &tokio::sync::RwLock<()> {
        &self.removals
    }

    /// Those that may be under way also when nobody holds that lock any more.
    pub fn file_removals(&self) -> &FileRemovals {
        &self.file_removals
    }

    /// Every part of a Secret that was delivered. From memory.
    pub fn secrets(&self) -> Vec<KnownSecret> {
        self.ledger.secrets()
    }

    /// Remembers and forgets all of these, or none. Durable when it returns. Blocks.
    pub fn remember(&self, changes: Vec<Remember>) -> Result<(), Failure> {
        self.ledger.record(Change::Remember(changes))
    }

    /// What was remembered when this was opened. Handed out once and not kept. From memory.
    pub fn take_remembered(&self) -> Remembered {
        self.ledger.take_remembered()
    }

    /// One of the things that were remembered, while they are not handed out. From memory.
    pub fn remembered_meta(&self, key: &str) -> Option<Vec<u8>> {
        self.ledger.remembered_meta(key)
    }

    /// Of every `find` that the entry ever had. From memory.
    pub fn found_by(&self, entry: &EntryName) -> Vec<(FoundId, Arns)> {
        self.ledger.found_by(entry)
    }

    /// What was delivered from a `find`, as far as it is known. From memory.
    pub fn found(&self, id: &FoundId) -> Option<Arns> {
        self.ledger.found(id)
    }

    /// Says what is about to be delivered from a `find`, so that what it loses later is missed after a restart, too. Kept
    /// while the entry is out of the configuration: its targets stay as they are, and so does what is in them.
    /// Durable when it returns. Blocks.
    pub fn set_found(&self, id: FoundId, arns: Arns) -> Result<(), Failure> {
        self.ledger.record(Change::Found(id, arns))
    }

    /// Says what an entry has delivered to a Secret; one that is not configured any more stays left. Durable when it returns. Blocks.
    pub fn set_secret(&self, part: SecretPart, delivered: DeliveredSecret) -> Result<(), Failure> {
        self.ledger.record(Change::Secret(part, delivered, now()))
    }
}

/// In whole seconds, as it is recorded.
fn now() -> Timestamp {
    let now = clock::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
