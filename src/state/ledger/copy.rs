//! What a ledger says, from a copy of its bytes: for whoever may neither hold it nor change it.

use std::sync::{Condvar, Mutex, RwLock};

use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend as _};

use super::checksum::Checksum;
use super::database::close;
use super::error::{LedgerError, guarded};
use super::records::Records;
use super::{Ledger, tables};
use crate::failure::{Failure, Reason};
use crate::secret::FingerprintKey;
use crate::state::Remembered;

/// Why nothing is told of a copy.
pub(in crate::state) struct NotWhole;

impl Ledger {
    /// Nothing was ever recorded.
    pub(in crate::state) fn blank(key: &FingerprintKey) -> Self {
        Self::of(key, Records::default(), Remembered::default())
    }

    /// Whoever writes the file meanwhile may leave half of a commit in the copy: that is told from the whole, and
    /// nothing of it is believed.
    pub(in crate::state) fn copied(bytes: &[u8], key: &FingerprintKey) -> Result<Self, NotWhole> {
        let checksum = Checksum::new(key);
        let database = opened(bytes).map_err(|_| NotWhole)?;
        let read = guarded(|| tables::read(&database, &checksum));
        close(database);
        let (records, remembered) = read.map_err(|_| NotWhole)?;
        Ok(Self::of(key, records, remembered))
    }

    fn of(key: &FingerprintKey, records: Records, remembered: Remembered) -> Self {
        Self {
            directory: None,
            checksum: Checksum::new(key),
            database: Mutex::new(None),
            records: RwLock::new(records),
            remembered: Mutex::new(remembered),
            queue: Mutex::default(),
            committed: Condvar::new(),
        }
    }
}

fn opened(bytes: &[u8]) -> Result<Database, LedgerError> {
    let database = guarded(|| {
        let memory = InMemoryBackend::new();
        let refused = |_| LedgerError::Refused;
        memory.set_len(bytes.len() as u64).map_err(refused)?;
        memory.write(0, bytes).map_err(refused)?;
        let mut builder = Database::builder();
        builder.set_check_integrity_on_open(true);
        Ok(builder.create_with_backend(memory)?)
    })?;
    match guarded(|| tables::check_form(&database)) {
        Ok(()) => Ok(database),
        Err(error) => {
            close(database);
            Err(error)
        }
    }
}

pub(super) fn takes_nothing() -> Failure {
    Failure::new(Reason::Io, "a copy of the state takes nothing in")
}
