//! What survives a restart: which content was delivered where, under keyed fingerprints.
//!
//! One directory, held by one process at a time. It holds names, times and fingerprints, never a value: everything in
//! it may be lost and costs only work (files and Secrets that differ from their source are then somebody else's until
//! they are adopted). Writing blocks on the disk and belongs into `spawn_blocking`; reading is from memory.

mod directory;
mod ledger;
mod record;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::decide::kubernetes::DeliveredSecret;
use crate::failure::Failure;
use crate::secret::FingerprintKey;

use directory::{Directory, Lock};
use ledger::{Change, Ledger};
pub use record::{
    Arns, FileDelivery, FileIntent, FileRecord, FoundId, SecretId, SecretPart, Temporary,
};

/// Why the state could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// A daemon or another command works with this directory.
    #[error("the state directory is in use by another secretsyncd")]
    HeldByAnother,
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The state directory, held until this is dropped.
#[derive(Debug)]
pub struct State {
    fingerprint_key: FingerprintKey,
    ledger: Ledger,
    _lock: Lock,
}

impl State {
    /// Opens or makes the directory, takes its lock, and reads everything. Blocks on the disk.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let directory = Directory::open(path)?;
        let lock = directory.lock()?;
        let fingerprint_key = directory.fingerprint_key()?;
        let ledger = Ledger::open(directory)?;
        Ok(Self {
            fingerprint_key,
            ledger,
            _lock: lock,
        })
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

    /// Says which files the configuration writes. What is known of every other one no longer makes the file at its path
    /// ours, unless it still holds what we put there, until it is delivered to again. Durable when it returns. Blocks.
    pub fn keep_only_files(&self, paths: HashSet<PathBuf>) -> Result<(), Failure> {
        self.ledger.record(Change::OnlyFiles(paths))
    }

    /// What is known of an entry's part in a Secret. From memory.
    pub fn secret(&self, part: &SecretPart) -> Option<DeliveredSecret> {
        self.ledger.secret(part)
    }

    /// Says which parts of which Secrets the configuration writes. What is known of every other one no longer proves
    /// anything about what others wrote since, until it is delivered to again. Durable when it returns. Blocks.
    pub fn keep_only_secrets(&self, parts: HashSet<SecretPart>) -> Result<(), Failure> {
        self.ledger.record(Change::OnlySecrets(parts))
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

    /// Says what an entry has delivered to a Secret. Durable when it returns. Blocks.
    pub fn set_secret(&self, part: SecretPart, delivered: DeliveredSecret) -> Result<(), Failure> {
        self.ledger.record(Change::Secret(part, delivered))
    }
}

#[cfg(test)]
mod tests;
