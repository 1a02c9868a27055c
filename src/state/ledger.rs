//! The ledger: one redb file, read whole at the start, written by whoever comes first for all who wait.
//!
//! A durable commit costs a flush of the disk and only one can run at a time, so writers do not commit one by one:
//! changes queue up while a commit runs, and the next commit takes all of them. Nobody is told "done" before the commit
//! with its change has ended. Needs no thread of its own.

mod alike;
mod checksum;
mod copy;
mod database;
mod error;
mod records;
mod tables;

use std::collections::HashSet;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use jiff::Timestamp;
use redb::{Database, Durability};

use super::directory::{Directory, LEDGER_FILE};
use super::record::{
    Arns, FileAdoption, FileDelivery, FileIntent, FileRecord, FoundId, SecretId, SecretPart,
    Temporary,
};
use super::{
    KnownSecret, LeftBehind, LeftTarget, OpenError, Remember, Remembered, Sameness, SecretParts,
};
use crate::decide::kubernetes::restart::ChangeId;
use crate::decide::kubernetes::{DeliveredSecret, Gone};
use crate::failure::Failure;
use crate::names::{EntryName, ResourceVersion, Uid};
use crate::secret::FingerprintKey;

use checksum::Checksum;
use database::{Opened, close, open_and_read, open_database};
use error::{LedgerError, guarded};
use records::Records;

/// One thing to remember.
#[derive(Debug)]
pub(super) enum Change {
    FileIntent(FileIntent),
    FileDelivered(FileDelivery),
    DirectoriesMade(Vec<PathBuf>),
    /// What is at the path is about to be taken away, by way of that name.
    FileRemoval(PathBuf, Temporary),
    /// Nothing of what the record tells of is there any more.
    FileGone(PathBuf, FileRecord),
    FileAdopted(FileAdoption),
    /// The actions of these files have run for these changes.
    Acted(Vec<(PathBuf, u64)>),
    /// No other path is written from then on.
    OnlyFiles(HashSet<PathBuf>, Timestamp),
    Secret(SecretPart, DeliveredSecret, Timestamp),
    /// That life of the Secret holds nothing of the part any more.
    SecretGone(SecretPart, Uid),
    /// The restart for that change of the part is done, by which the Secret has come from one state to the next; `None`:
    /// by which nothing was written.
    Restarted(
        SecretPart,
        ChangeId,
        Option<(ResourceVersion, ResourceVersion)>,
    ),
    /// No other part is written from then on.
    OnlySecrets(Arc<SecretParts>, Timestamp),
    /// Another machine may have written any Secret since.
    DoubtSecrets,
    Found(FoundId, Arns),
    Remember(Vec<Remember>),
}

#[derive(Debug)]
pub(super) struct Ledger {
    /// Absent for a copy, which is in memory only.
    directory: Option<Directory>,
    checksum: Checksum,
    /// Absent after a commit failed: redb refuses everything from then on, so the next commit opens it anew.
    database: Mutex<Option<Database>>,
    records: RwLock<Records>,
    /// Until it is taken.
    remembered: Mutex<Remembered>,
    queue: Mutex<Queue>,
    committed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Change>,
    /// What everybody in `waiting` waits for.
    batch: Arc<Batch>,
    committing: bool,
}

#[derive(Debug, Default)]
struct Batch(OnceLock<Result<(), Failure>>);

impl Ledger {
    /// Opens the ledger, made if it is absent. One that cannot be believed is put aside, and an empty one begins.
    pub(super) fn open(directory: Directory, key: &FingerprintKey) -> Result<Self, OpenError> {
        let checksum = Checksum::new(key);
        let opened = match open_and_read(&directory, &checksum) {
            Err(error) if let Some(found) = error.is_damage() => {
                directory.set_aside(LEDGER_FILE, found)?;
                open_and_read(&directory, &checksum)
            }
            opened => opened,
        };
        let Opened {
            database,
            records,
            remembered,
        } = opened.map_err(|error| error.on_open(&directory))?;
        Ok(Self {
            directory: Some(directory),
            checksum,
            database: Mutex::new(Some(database)),
            records: RwLock::new(records),
            remembered: Mutex::new(remembered),
            queue: Mutex::default(),
            committed: Condvar::new(),
        })
    }

    /// Puts a ledger aside whose key is lost, if there is one, unless a later release may have its key elsewhere.
    pub(super) fn give_up(directory: &Directory) -> Result<(), OpenError> {
        if !directory.has(LEDGER_FILE)? {
            return Ok(());
        }
        match open_database(directory) {
            Ok(database) => close(database),
            Err(error) if error.is_damage().is_some() => {}
            Err(error) => return Err(error.on_open(directory)),
        }
        directory.set_aside(LEDGER_FILE, "has lost its fingerprint key")?;
        Ok(())
    }

    pub(super) fn file(&self, path: &Path) -> Option<FileRecord> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.files.get(path).map(|kept| kept.record.clone())
    }

    pub(super) fn is_made(&self, directory: &Path) -> bool {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.directories.contains(directory)
    }

    pub(super) fn orphaned_file(&self, path: &Path) -> Option<FileRecord> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let kept = records.files.get(path)?;
        kept.left_at.map(|_| kept.record.clone())
    }

    pub(super) fn secret(&self, part: &SecretPart) -> Option<DeliveredSecret> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let kept = records.secrets.get(part);
        kept.map(|kept| kept.record.clone())
    }

    /// A restart that is not done, as far as that is certain.
    pub(super) fn restart(&self, part: &SecretPart) -> Option<ChangeId> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let record = &records.secrets.get(part)?.record;
        record.restart.clone().filter(|_| !record.left)
    }

    /// Every entry's part in a Secret, in the order of their names.
    pub(super) fn parts_of(&self, id: &SecretId) -> Vec<Gone> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let parts = records.secrets.iter().filter(|(part, _)| part.id == *id);
        let mut parts: Vec<_> = parts
            .map(|(part, kept)| Gone {
                entry: part.entry.clone(),
                delivered: kept.record.clone(),
            })
            .collect();
        parts.sort_by(|a, b| a.entry.cmp(&b.entry));
        parts
    }

    pub(super) fn orphan(&self, part: &SecretPart) -> Option<(DeliveredSecret, Timestamp)> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let kept = records.secrets.get(part)?;
        Some((kept.record.clone(), kept.left_at?))
    }

    pub(super) fn secrets(&self) -> Vec<KnownSecret> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let secrets = records.secrets.iter();
        secrets
            .map(|(part, kept)| KnownSecret {
                part: SecretPart::clone(part),
                uid: kept.record.uid.clone(),
                is_left: kept.left_at.is_some(),
            })
            .collect()
    }

    pub(super) fn same_secret(&self, part: &SecretPart, uid: &Uid) -> Option<(SecretId, Sameness)> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.same_secret(part, uid)
    }

    pub(super) fn found_by(&self, entry: &EntryName) -> Vec<(FoundId, Arns)> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let first = FoundId {
            entry: entry.clone(),
            question: String::new(),
        };
        let from = records.found.range(first..);
        let own = from.take_while(|(id, _)| id.entry == *entry);
        own.map(|(id, arns)| (id.clone(), arns.clone())).collect()
    }

    pub(super) fn found(&self, id: &FoundId) -> Option<Arns> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.found.get(id).cloned()
    }

    pub(super) fn take_remembered(&self) -> Remembered {
        mem::take(&mut lock(&self.remembered))
    }

    pub(super) fn remembered_meta(&self, key: &str) -> Option<Vec<u8>> {
        lock(&self.remembered).meta.get(key).cloned()
    }

    pub(super) fn left_behind(&self) -> Vec<LeftBehind> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        // What was adopted and not replaced yet is nothing that we left.
        let files = records.files.iter();
        let files = files.filter(|(_, kept)| kept.record.was_written());
        let files = files.filter_map(|(path, kept)| {
            Some(LeftBehind {
                target: LeftTarget::File(path.clone()),
                entry: kept.record.entry.clone(),
                since: kept.left_at?,
            })
        });
        let secrets = records.secrets.iter().filter_map(|(part, kept)| {
            Some(LeftBehind {
                target: LeftTarget::Secret(part.id.clone()),
                entry: part.entry.clone(),
                since: kept.left_at?,
            })
        });
        let mut left: Vec<_> = files.chain(secrets).collect();
        left.sort();
        left
    }

    /// Returns when the change is committed, by this caller or by another one that took it along.
    pub(super) fn record(&self, change: Change) -> Result<(), Failure> {
        let mut queue = lock(&self.queue);
        queue.waiting.push(change);
        let batch = Arc::clone(&queue.batch);
        loop {
            if let Some(outcome) = batch.0.get() {
                return outcome.clone();
            }
            if queue.committing {
                queue = self
                    .committed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let changes = mem::take(&mut queue.waiting);
            let turn = Turn {
                ledger: self,
                batch: mem::take(&mut queue.batch),
            };
            queue.committing = true;
            drop(queue);
            let outcome = self.commit(changes);
            turn.end(outcome);
            queue = lock(&self.queue);
        }
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), Failure> {
        let directory = self.directory.as_ref().ok_or_else(copy::takes_nothing)?;
        let mut slot = lock(&self.database);
        let (updates, durability) = {
            let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
            let known = changes.iter().all(|change| records.knows(change));
            let durability = if known {
                Durability::None
            } else {
                Durability::Immediate
            };
            (records.after(changes), durability)
        };
        let (made, rows) = tables::rows(updates);
        let database = match slot.take() {
            Some(database) => Ok(database),
            None => open_database(directory),
        };
        let database = database.map_err(|error| error.at(directory))?;
        match guarded(|| tables::write(&database, &rows, &self.checksum, durability)) {
            Ok(()) => *slot = Some(database),
            Err(error) => {
                close(database);
                return Err(error.at(directory));
            }
        }
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        records.extend(made);
        Ok(())
    }
}

/// The right to commit, given back whatever happens: a panic must not leave the others waiting for ever.
struct Turn<'a> {
    ledger: &'a Ledger,
    batch: Arc<Batch>,
}

impl Turn<'_> {
    fn end(self, outcome: Result<(), Failure>) {
        // Only the holder of the turn sets it, and once.
        let _ = self.batch.0.set(outcome);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let refused = || match &self.ledger.directory {
            Some(directory) => LedgerError::Refused.at(directory),
            None => copy::takes_nothing(),
        };
        self.batch.0.get_or_init(|| Err(refused()));
        lock(&self.ledger.queue).committing = false;
        self.ledger.committed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
