//! The ledger: one redb file, read whole at the start, written by whoever comes first for all who wait.
//!
//! A durable commit costs a flush of the disk and only one can run at a time, so writers do not commit one by one:
//! changes queue up while a commit runs, and the next commit takes all of them. Nobody is told "done" before the commit
//! with its change has ended. Needs no thread of its own.

mod database;

use std::collections::HashSet;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use redb::{Database, Durability};

use super::OpenError;
use super::directory::Directory;
use super::record::{Arns, FileDelivery, FileIntent, FileRecord, FoundId, SecretPart};
use crate::decide::kubernetes::DeliveredSecret;
use crate::failure::Failure;

use database::{LedgerError, Records, open_database};

/// One thing to remember.
#[derive(Debug)]
pub(super) enum Change {
    FileIntent(FileIntent),
    FileDelivered(FileDelivery),
    /// No other path is written from now on.
    OnlyFiles(HashSet<PathBuf>),
    Secret(SecretPart, DeliveredSecret),
    /// No other part is written from now on.
    OnlySecrets(HashSet<SecretPart>),
    Found(FoundId, Arns),
}

#[derive(Debug)]
pub(super) struct Ledger {
    directory: Directory,
    /// Absent after a commit failed: redb refuses everything from then on, so the next commit opens it anew.
    database: Mutex<Option<Database>>,
    records: RwLock<Records>,
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
    pub(super) fn open(directory: Directory) -> Result<Self, OpenError> {
        let database = open_database(&directory)?;
        let records = Records::read(&database).map_err(|error| error.at(&directory))?;
        Ok(Self {
            directory,
            database: Mutex::new(Some(database)),
            records: RwLock::new(records),
            queue: Mutex::default(),
            committed: Condvar::new(),
        })
    }

    pub(super) fn file(&self, path: &Path) -> Option<FileRecord> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.files.get(path).cloned()
    }

    pub(super) fn secret(&self, part: &SecretPart) -> Option<DeliveredSecret> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.secrets.get(part).cloned()
    }

    pub(super) fn found(&self, id: &FoundId) -> Option<Arns> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.found.get(id).cloned()
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
            let outcome = self.commit(&changes);
            turn.end(outcome);
            queue = lock(&self.queue);
        }
    }

    fn commit(&self, changes: &[Change]) -> Result<(), Failure> {
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
        let database = match slot.take() {
            Some(database) => database,
            None => open_database(&self.directory).map_err(|error| match error {
                OpenError::Failed(failure) => failure,
                OpenError::HeldByAnother => LedgerError::Refused.at(&self.directory),
            })?,
        };
        updates
            .write(&database, durability)
            .map_err(|error| LedgerError::from(error).at(&self.directory))?;
        *slot = Some(database);
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        records.files.extend(updates.files);
        records.secrets.extend(updates.secrets);
        records.found.extend(updates.found);
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
        self.batch
            .0
            .get_or_init(|| Err(LedgerError::Refused.at(&self.ledger.directory)));
        lock(&self.ledger.queue).committing = false;
        self.ledger.committed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
