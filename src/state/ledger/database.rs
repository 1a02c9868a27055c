//! The redb file of the ledger: its tables, what they hold in memory, and its errors in our own words.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableError,
};

use super::Change;
use crate::decide::kubernetes::DeliveredSecret;
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::state::OpenError;
use crate::state::directory::{Directory, failed};
use crate::state::record::{
    Arns, FileRecord, FoundId, SecretPart, Unreadable, arns_from_bytes, arns_to_bytes,
    secret_from_bytes, secret_to_bytes,
};

use super::super::directory::LEDGER_FILE as FILE_NAME;
/// By the bytes of the path.
const FILES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("files");
/// By `cluster/namespace/name` and entry.
const SECRETS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("secrets by entry");
/// By entry and question.
const FOUND: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("found by entry");
/// Everything is read from memory; the cache only serves commits.
const CACHE_BYTES: usize = 4 << 20;

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) files: HashMap<PathBuf, FileRecord>,
    pub(super) secrets: HashMap<SecretPart, DeliveredSecret>,
    pub(super) found: HashMap<FoundId, Arns>,
}

impl Records {
    pub(super) fn read(database: &Database) -> Result<Self, LedgerError> {
        let mut records = Self::default();
        let transaction = database.begin_read().map_err(redb::Error::from)?;
        match transaction.open_table(FILES) {
            Ok(table) => {
                for row in table.iter()? {
                    let (key, value) = row?;
                    let path = PathBuf::from(OsString::from_vec(key.value().to_vec()));
                    let record = FileRecord::from_bytes(value.value())?;
                    records.files.insert(path, record);
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(redb::Error::from(error).into()),
        }
        match transaction.open_table(SECRETS) {
            Ok(table) => {
                for row in table.iter()? {
                    let (key, value) = row?;
                    let (id, entry) = key.value();
                    let part = SecretPart::from_texts(id, entry)?;
                    let delivered = secret_from_bytes(value.value())?;
                    records.secrets.insert(part, delivered);
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(redb::Error::from(error).into()),
        }
        match transaction.open_table(FOUND) {
            Ok(table) => {
                for row in table.iter()? {
                    let (key, value) = row?;
                    let (entry, question) = key.value();
                    let id = FoundId {
                        entry: EntryName::new(entry).map_err(|_| LedgerError::Damaged)?,
                        question: question.to_owned(),
                    };
                    let arns = arns_from_bytes(value.value())?;
                    records.found.insert(id, arns);
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(redb::Error::from(error).into()),
        }
        Ok(records)
    }

    /// Whether a crash that takes this change with it would still leave its content known. Then it is worth no flush of
    /// its own: it says only that an intent, which is durable, was carried out.
    pub(super) fn knows(&self, change: &Change) -> bool {
        match change {
            Change::FileDelivered(delivery) => {
                self.files.get(&delivery.path).is_some_and(|record| {
                    !record.left
                        && [record.delivered, record.intent].contains(&Some(delivery.fingerprint))
                })
            }
            Change::OnlyFiles(paths) => self.left_by(paths).next().is_none(),
            Change::OnlySecrets(parts) => self.parts_left_by(parts).next().is_none(),
            Change::FileIntent(_) | Change::Secret(..) | Change::Found(..) => false,
        }
    }

    /// The files that are left behind when only `paths` are written.
    fn left_by(&self, paths: &HashSet<PathBuf>) -> impl Iterator<Item = (&PathBuf, &FileRecord)> {
        let left =
            |(path, record): &(&PathBuf, &FileRecord)| !record.left && !paths.contains(*path);
        self.files.iter().filter(left)
    }

    /// The parts that are left behind when only `parts` are written.
    fn parts_left_by(
        &self,
        parts: &HashSet<SecretPart>,
    ) -> impl Iterator<Item = (&SecretPart, &DeliveredSecret)> {
        let left = |(part, record): &(&SecretPart, &DeliveredSecret)| {
            !record.left && !parts.contains(*part)
        };
        self.secrets.iter().filter(left)
    }

    /// The records that these changes make, in their order; nothing else.
    pub(super) fn after(&self, changes: &[Change]) -> Self {
        let mut updates = Self::default();
        for change in changes {
            match change {
                Change::FileIntent(next) => {
                    let path = &next.delivery.path;
                    let before = updates.files.get(path);
                    let before = before.or_else(|| self.files.get(path));
                    let record = FileRecord::intending(before, next);
                    updates.files.insert(path.clone(), record);
                }
                Change::OnlyFiles(paths) => {
                    for (path, record) in self.left_by(paths) {
                        let mut record = updates.files.remove(path).unwrap_or(record.clone());
                        record.left = true;
                        updates.files.insert(path.clone(), record);
                    }
                }
                Change::FileDelivered(delivery) => {
                    let record = FileRecord::delivered(delivery);
                    updates.files.insert(delivery.path.clone(), record);
                }
                Change::Secret(part, delivered) => {
                    let mut record = delivered.clone();
                    record.left = false;
                    updates.secrets.insert(part.clone(), record);
                }
                Change::Found(id, arns) => {
                    updates.found.insert(id.clone(), arns.clone());
                }
                Change::OnlySecrets(parts) => {
                    for (part, record) in self.parts_left_by(parts) {
                        let mut record = updates.secrets.remove(part).unwrap_or(record.clone());
                        record.left = true;
                        updates.secrets.insert(part.clone(), record);
                    }
                }
            }
        }
        updates
    }

    pub(super) fn write(
        &self,
        database: &Database,
        durability: Durability,
    ) -> Result<(), redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut table = transaction.open_table(FILES)?;
            for (path, record) in &self.files {
                table.insert(path.as_os_str().as_bytes(), record.to_bytes().as_slice())?;
            }
            let mut table = transaction.open_table(SECRETS)?;
            for (SecretPart { id, entry }, delivered) in &self.secrets {
                let key = (id.to_string(), entry.as_str());
                let bytes = secret_to_bytes(delivered);
                table.insert((key.0.as_str(), key.1), bytes.as_slice())?;
            }
            let mut table = transaction.open_table(FOUND)?;
            for (FoundId { entry, question }, arns) in &self.found {
                let key = (entry.as_str(), question.as_str());
                table.insert(key, arns_to_bytes(arns).as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// The check of every page costs a read of the file at the start and turns damage into an error instead of a panic.
pub(super) fn open_database(directory: &Directory) -> Result<Database, OpenError> {
    let file: File = directory.open_or_make(FILE_NAME)?;
    FileBackend::new(file)
        .and_then(|backend| {
            Database::builder()
                .set_cache_size(CACHE_BYTES)
                .set_check_integrity_on_open(true)
                .create_with_backend(backend)
        })
        .map_err(|error| {
            if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
                return OpenError::HeldByAnother;
            }
            LedgerError::from(redb::Error::from(error))
                .at(directory)
                .into()
        })
}

/// What went wrong with the file, without redb's own words.
#[derive(Clone, Copy, Debug)]
pub(super) enum LedgerError {
    Damaged,
    Newer,
    System(Option<i32>),
    Refused,
}

impl LedgerError {
    pub(super) fn at(self, directory: &Directory) -> Failure {
        let path = directory.path_of(FILE_NAME);
        let shown = path.display();
        match self {
            Self::Damaged => Failure::new(Reason::Io, format!("the ledger {shown} is damaged")).with_help(format!(
                "stop secretsyncd, move {shown} away and start again; until they are adopted, files and Secrets that \
                 differ from their source then count as somebody else's"
            )),
            Self::Newer => Failure::new(
                Reason::Io,
                format!("the ledger {shown} was written by a later version of secretsyncd"),
            )
            .with_help("run that version, or restore the ledger from before the upgrade"),
            Self::System(code) => failed(&path, "cannot be used", code),
            Self::Refused => failed(&path, "cannot be written", None),
        }
    }
}

impl From<redb::Error> for LedgerError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "redb's errors are an open set; only two kinds have advice of their own"
    )]
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Damaged
            }
            redb::Error::Io(error) => Self::System(error.raw_os_error()),
            redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. } => Self::Damaged,
            _ => Self::Refused,
        }
    }
}

impl From<StorageError> for LedgerError {
    fn from(error: StorageError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<Unreadable> for LedgerError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Newer => Self::Newer,
            Unreadable::Damaged => Self::Damaged,
        }
    }
}
