//! The redb file of the ledger: opened so that it is either whole and ours, or not used.

use std::fs::File;
use std::os::unix::fs::FileExt;

use redb::Database;
use redb::backends::FileBackend;

use super::checksum::Checksum;
use super::error::{LedgerError, guarded};
use super::records::Records;
use super::tables;
use crate::state::Remembered;
use crate::state::directory::{Directory, LEDGER_FILE};

/// Everything is read from memory; the cache only serves commits, and is full after the first of many.
const CACHE_BYTES: usize = 256 << 10;

/// Where redb's file format says which it is, in each of its two commit slots, and the latest that our redb reads.
const REDB_MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
const REDB_SLOTS: [usize; 2] = [64, 192];
const REDB_FORMAT: u8 = 3;
/// Farther ahead is nothing that a release of the foreseeable future writes.
const REDB_FORMATS: u8 = 16;

pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) records: Records,
    pub(super) remembered: Remembered,
}

/// Opens the file, made if it is absent, and reads everything in it.
pub(super) fn open_and_read(
    directory: &Directory,
    checksum: &Checksum,
) -> Result<Opened, LedgerError> {
    let database = open_database(directory)?;
    match guarded(|| tables::read(&database, checksum)) {
        Ok((records, remembered)) => Ok(Opened {
            database,
            records,
            remembered,
        }),
        Err(error) => {
            close(database);
            Err(error)
        }
    }
}

/// The check of every page costs a read of the file and turns most damage into an error. What it does not foresee
/// panics, so that every step is guarded by itself: a database is never dropped while a panic unwinds.
pub(super) fn open_database(directory: &Directory) -> Result<Database, LedgerError> {
    let file = directory
        .open_or_make(LEDGER_FILE)
        .map_err(LedgerError::Unusable)?;
    refuse_later_redb(&file)?;
    let database = guarded(|| {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(FileBackend::new(file)?)?;
        Ok(database)
    })?;
    match guarded(|| tables::check_form(&database)) {
        Ok(()) => Ok(database),
        Err(error) => {
            close(database);
            Err(error)
        }
    }
}

/// Closes a database that cannot be trusted to close itself well. What it may say or do no longer matters.
pub(super) fn close(database: Database) {
    let _ = guarded(|| {
        drop(database);
        Ok(())
    });
}

/// A later release may come with a later redb, of which ours only says that it does not know it.
fn refuse_later_redb(file: &File) -> Result<(), LedgerError> {
    let mut header = [0; 256];
    if file.read_exact_at(&mut header, 0).is_err() || !header.starts_with(REDB_MAGIC) {
        return Ok(());
    }
    let [first, second] = REDB_SLOTS.map(|slot| header[slot]);
    if first == second && (REDB_FORMAT + 1..=REDB_FORMATS).contains(&first) {
        return Err(LedgerError::Newer);
    }
    Ok(())
}
