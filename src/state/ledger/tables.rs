//! The tables in the redb file. A row of every one is a key of bytes and a record behind its keyed checksum.

use std::os::unix::ffi::OsStrExt;

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};

use super::checksum::{Checksum, Sum, Tag};
use super::error::LedgerError;
use super::records::{Records, Updates};
use crate::state::Remembered;
use crate::state::record::{
    FoundId, SecretPart, arns_to_bytes, file_to_bytes, made_to_bytes, secret_to_bytes,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Table(&'static str);

impl Table {
    fn in_redb(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.0)
    }
}

/// By the bytes of the path.
const FILES: Table = Table("files");
/// The directories that were made for files, by the bytes of the path.
const DIRECTORIES: Table = Table("directories");
/// By `cluster/namespace/name`, a zero, and entry.
const SECRETS: Table = Table("secrets by entry");
/// By entry, a zero, and question.
const FOUND: Table = Table("found by entry");
const REMEMBERED_ENTRIES: Table = Table("remembered entries");
const REMEMBERED_READS: Table = Table("remembered reads");
const META: Table = Table("meta");
const RECORDS: [Table; 7] = [
    FILES,
    DIRECTORIES,
    SECRETS,
    FOUND,
    REMEMBERED_ENTRIES,
    REMEMBERED_READS,
    META,
];

/// One row: the sum over all rows of [`RECORDS`].
const SUM: Table = Table("sum");
/// One row: the form of everything else. Without a checksum, so that it can be read whatever the others become.
const FORM: Table = Table("form");
const ONLY: &[u8] = b"";
const PRESENT_FORM: u32 = 1;

/// One row as it is to be, or to be gone.
#[derive(Debug)]
pub(super) struct Row {
    table: Table,
    key: Vec<u8>,
    record: Option<Vec<u8>>,
}

impl Row {
    fn new(table: Table, key: impl Into<Vec<u8>>, record: Option<Vec<u8>>) -> Self {
        let key = key.into();
        Self { table, key, record }
    }

    pub(super) fn remembered_entry(key: &str, record: Option<Vec<u8>>) -> Self {
        Self::new(REMEMBERED_ENTRIES, key, record)
    }

    pub(super) fn remembered_read(key: &str, record: Option<Vec<u8>>) -> Self {
        Self::new(REMEMBERED_READS, key, record)
    }

    pub(super) fn meta(key: &str, record: Vec<u8>) -> Self {
        Self::new(META, key, Some(record))
    }
}

/// Says in a new file which form it has, and refuses every other form.
pub(super) fn check_form(database: &Database) -> Result<(), LedgerError> {
    let transaction = database.begin_read()?;
    match transaction.open_table(FORM.in_redb()) {
        Ok(table) => {
            let row = table.get(ONLY)?.ok_or(LedgerError::Damaged)?;
            let form = row.value().try_into().map_err(|_| LedgerError::Damaged)?;
            match u32::from_be_bytes(form) {
                PRESENT_FORM => Ok(()),
                later if later > PRESENT_FORM => Err(LedgerError::Newer),
                _ => Err(LedgerError::Damaged),
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {
            if transaction.list_tables()?.next().is_some() {
                return Err(LedgerError::Damaged);
            }
            drop(transaction);
            let mut transaction = database.begin_write()?;
            transaction.set_two_phase_commit(true);
            let form = PRESENT_FORM.to_be_bytes();
            transaction
                .open_table(FORM.in_redb())?
                .insert(ONLY, form.as_slice())?;
            Ok(transaction.commit()?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Everything in the file, or an error: never a part of it.
pub(super) fn read(
    database: &Database,
    checksum: &Checksum,
) -> Result<(Records, Remembered), LedgerError> {
    let transaction = database.begin_read()?;
    let mut sum = Sum::default();
    let mut records = Records::default();
    let mut remembered = Remembered::default();
    let mut rows =
        |table, put: &mut Put<'_>| read_table(&transaction, table, checksum, &mut sum, put);
    rows(FILES, &mut |key, record| records.put_file(key, record))?;
    rows(DIRECTORIES, &mut |key, record| {
        records.put_directory(key, record)
    })?;
    rows(SECRETS, &mut |key, record| records.put_secret(key, record))?;
    rows(FOUND, &mut |key, record| records.put_found(key, record))?;
    rows(REMEMBERED_ENTRIES, &mut |key, record| {
        remembered.put_entry(key, record)
    })?;
    rows(REMEMBERED_READS, &mut |key, record| {
        remembered.put_read(key, record)
    })?;
    rows(META, &mut |key, record| remembered.put_meta(key, record))?;
    let mut stored = Sum::default();
    read_table(
        &transaction,
        SUM,
        checksum,
        &mut Sum::default(),
        &mut |_, sum| {
            stored = Sum::from_bytes(sum)?;
            Ok(())
        },
    )?;
    if stored == sum {
        Ok((records, remembered))
    } else {
        Err(LedgerError::Foreign)
    }
}

type Put<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), LedgerError> + 'a;

fn read_table(
    transaction: &ReadTransaction,
    table: Table,
    checksum: &Checksum,
    sum: &mut Sum,
    put: &mut Put<'_>,
) -> Result<(), LedgerError> {
    let rows = match transaction.open_table(table.in_redb()) {
        Ok(rows) => rows,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for row in rows.iter()? {
        let (key, row) = row?;
        let (key, row) = (key.value(), row.value());
        let (tag, record) = checksum.unseal(table.0, key, row)?;
        sum.toggle(tag);
        put(key, record)?;
    }
    Ok(())
}

/// Writes the rows and the sum in one transaction.
pub(super) fn write(
    database: &Database,
    rows: &[Row],
    checksum: &Checksum,
    durability: Durability,
) -> Result<(), LedgerError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    // A second flush. Without it, a ledger whose newest commit was damaged after a kill would open as it was before that
    // commit, which somebody was told had ended.
    transaction.set_two_phase_commit(true);
    let mut sum = stored_sum(&transaction, checksum)?;
    for table in RECORDS {
        let mut of_table = rows.iter().filter(|row| row.table == table).peekable();
        if of_table.peek().is_none() {
            continue;
        }
        let mut open = transaction.open_table(table.in_redb())?;
        for Row { key, record, .. } in of_table {
            let key = key.as_slice();
            let before = match record {
                Some(record) => {
                    let (tag, row) = checksum.seal(table.0, key, record);
                    sum.toggle(tag);
                    open.insert(key, row.as_slice())?
                }
                None => open.remove(key)?,
            };
            if let Some(before) = before {
                sum.toggle(Tag::of_row(before.value())?);
            }
        }
    }
    let (_, row) = checksum.seal(SUM.0, ONLY, sum.as_bytes());
    transaction
        .open_table(SUM.in_redb())?
        .insert(ONLY, row.as_slice())?;
    Ok(transaction.commit()?)
}

fn stored_sum(transaction: &WriteTransaction, checksum: &Checksum) -> Result<Sum, LedgerError> {
    let table = transaction.open_table(SUM.in_redb())?;
    let Some(row) = table.get(ONLY)? else {
        return Ok(Sum::default());
    };
    let (_, sum) = checksum.unseal(SUM.0, ONLY, row.value())?;
    Sum::from_bytes(sum)
}

/// The rows of these updates.
pub(super) fn rows(updates: Updates) -> (Records, Vec<Row>) {
    let Updates { records, mut rows } = updates;
    for (path, kept) in &records.files {
        let key = path.as_os_str().as_bytes();
        rows.push(Row::new(FILES, key, Some(file_to_bytes(kept))));
    }
    for path in &records.directories {
        let key = path.as_os_str().as_bytes();
        rows.push(Row::new(DIRECTORIES, key, Some(made_to_bytes())));
    }
    for path in &records.gone_files {
        rows.push(Row::new(FILES, path.as_os_str().as_bytes(), None));
    }
    let key_of = |SecretPart { id, entry }: &SecretPart| format!("{id}\0{}", entry.as_str());
    for (part, kept) in &records.secrets {
        rows.push(Row::new(SECRETS, key_of(part), Some(secret_to_bytes(kept))));
    }
    for part in &records.gone_secrets {
        rows.push(Row::new(SECRETS, key_of(part), None));
    }
    for (FoundId { entry, question }, arns) in &records.found {
        let key = format!("{}\0{question}", entry.as_str());
        rows.push(Row::new(FOUND, key, Some(arns_to_bytes(arns))));
    }
    (records, rows)
}
