//! What the ledger knows, in memory: what it was when it was opened, and what each change makes of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::hash::Hash;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use jiff::Timestamp;

use super::Change;
use super::error::LedgerError;
use super::tables::Row;
use crate::decide::kubernetes::DeliveredSecret;
use crate::names::{EntryName, Uid};
use crate::state::record::{
    Arns, FileRecord, FoundId, Kept, SecretId, SecretPart, Writer, arns_from_bytes,
    file_from_bytes, secret_from_bytes,
};
use crate::state::{Remember, Remembered, Sameness};

/// Everything that is asked for while the daemon runs.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) files: HashMap<PathBuf, Kept<FileRecord>>,
    pub(super) secrets: HashMap<SecretPart, Kept<DeliveredSecret>>,
    pub(super) found: BTreeMap<FoundId, Arns>,
    /// The parts that the present configuration writes; absent until it is said.
    pub(super) written: Option<HashSet<SecretPart>>,
    /// In what a change makes: the parts that are forgotten with it.
    pub(super) gone_secrets: HashSet<SecretPart>,
}

/// What a commit writes: records that stay in memory, and rows that do not.
#[derive(Debug, Default)]
pub(super) struct Updates {
    pub(super) records: Records,
    pub(super) rows: Vec<Row>,
}

impl Records {
    pub(super) fn put_file(&mut self, key: &[u8], record: &[u8]) -> Result<(), LedgerError> {
        let path = PathBuf::from(OsString::from_vec(key.to_vec()));
        self.files.insert(path, file_from_bytes(record)?);
        Ok(())
    }

    pub(super) fn put_secret(&mut self, key: &[u8], record: &[u8]) -> Result<(), LedgerError> {
        let (id, entry) = two(key)?;
        let part = SecretPart::from_texts(id, entry)?;
        self.secrets.insert(part, secret_from_bytes(record)?);
        Ok(())
    }

    pub(super) fn put_found(&mut self, key: &[u8], record: &[u8]) -> Result<(), LedgerError> {
        let (entry, question) = two(key)?;
        let id = FoundId {
            entry: entry_name(entry)?,
            question: question.to_owned(),
        };
        self.found.insert(id, arns_from_bytes(record)?);
        Ok(())
    }

    /// Whether a crash that takes this change with it would still leave its content known. Then it is worth no flush of
    /// its own: it says only that an intent, which is durable, was carried out.
    pub(super) fn knows(&self, change: &Change) -> bool {
        match change {
            Change::FileDelivered(delivery) => self.files.get(&delivery.path).is_some_and(|kept| {
                let record = &kept.record;
                !record.left
                    && [record.delivered, record.intent].contains(&Some(delivery.fingerprint))
            }),
            Change::OnlyFiles(paths, now) => {
                let mut changed = files_under(self.files.iter(), paths, *now);
                changed.next().is_none()
            }
            Change::OnlySecrets(parts, now) => {
                let mut changed = secrets_under(self.secrets.iter(), parts, *now);
                changed.next().is_none()
            }
            Change::DoubtSecrets => self.secrets.values().all(|kept| kept.record.left),
            Change::Remember(changes) => changes.is_empty(),
            Change::FileIntent(_)
            | Change::Secret(..)
            | Change::SecretGone(..)
            | Change::Found(..) => false,
        }
    }

    /// What these changes make, in their order; nothing else.
    pub(super) fn after(&self, changes: Vec<Change>) -> Updates {
        let mut updates = Updates::default();
        let Updates { records, rows } = &mut updates;
        for change in changes {
            match change {
                Change::FileIntent(next) => {
                    let path = &next.delivery.path;
                    let before = records.files.get(path).or_else(|| self.files.get(path));
                    let kept = Kept {
                        record: FileRecord::intending(before.map(|kept| &kept.record), &next),
                        left_at: before.and_then(|kept| kept.left_at),
                    };
                    records.files.insert(next.delivery.path, kept);
                }
                Change::FileDelivered(delivery) => {
                    let kept = Kept::written(FileRecord::delivered(&delivery));
                    records.files.insert(delivery.path, kept);
                }
                Change::OnlyFiles(paths, now) => {
                    let all = latest(&self.files, &records.files);
                    let news: Vec<_> = files_under(all, &paths, now).collect();
                    records.files.extend(news);
                }
                Change::Secret(part, record, now) => {
                    let kept = self.delivered(records, (&part, record), now);
                    records.gone_secrets.remove(&part);
                    records.secrets.insert(part, kept);
                }
                Change::SecretGone(part, uid) => {
                    let known = records.secrets.get(&part);
                    let known = known.or_else(|| self.secrets.get(&part));
                    // It may have been delivered anew meanwhile.
                    if known.is_some_and(|kept| kept.record.uid == uid) {
                        records.secrets.remove(&part);
                        records.gone_secrets.insert(part);
                    }
                }
                Change::OnlySecrets(parts, now) => {
                    let gone = &records.gone_secrets;
                    let all = latest(&self.secrets, &records.secrets);
                    let all = all.filter(|(part, _)| !gone.contains(*part));
                    let news: Vec<_> = secrets_under(all, &parts, now).collect();
                    records.secrets.extend(news);
                    records.written = Some(parts);
                }
                Change::DoubtSecrets => {
                    let all = latest(&self.secrets, &records.secrets);
                    let news = all.filter(|(_, kept)| !kept.record.left);
                    let news = news.map(|(part, kept)| (part.clone(), kept.doubted()));
                    let news: Vec<_> = news.collect();
                    records.secrets.extend(news);
                }
                Change::Found(id, arns) => {
                    records.found.insert(id, arns);
                }
                Change::Remember(changes) => rows.extend(changes.into_iter().map(Row::from)),
            }
        }
        updates
    }

    /// What was just delivered. A late write of what is not configured any more proves no more than an earlier one.
    fn delivered(
        &self,
        since: &Self,
        (part, mut record): (&SecretPart, DeliveredSecret),
        now: Timestamp,
    ) -> Kept<DeliveredSecret> {
        record.left = false;
        let written = since.written.as_ref().or(self.written.as_ref());
        let Some(parts) = written.filter(|parts| !parts.contains(part)) else {
            return Kept::written(record);
        };
        let before = since.secrets.get(part).or_else(|| self.secrets.get(part));
        let left_at = before.and_then(|kept| kept.left_at);
        let kept = Kept { record, left_at };
        let writer = if parts.iter().any(|other| other.id == part.id) {
            Writer::Another
        } else {
            Writer::Nobody
        };
        kept.under(writer, now).unwrap_or(kept)
    }

    pub(super) fn extend(&mut self, committed: Self) {
        self.files.extend(committed.files);
        for part in &committed.gone_secrets {
            self.secrets.remove(part);
        }
        self.secrets.extend(committed.secrets);
        self.found.extend(committed.found);
        if committed.written.is_some() {
            self.written = committed.written;
        }
    }

    /// A part that the configuration writes, and that is the very life of a Secret that was delivered as `part`, or may
    /// be: a cluster may have two names, and what a part is that was not delivered yet is not known.
    pub(super) fn same_secret(&self, part: &SecretPart, uid: &Uid) -> Option<(SecretId, Sameness)> {
        let lives = self.secrets.iter().find(|(other, kept)| {
            *other != part && kept.left_at.is_none() && kept.record.uid == *uid
        });
        if let Some((other, _)) = lives {
            return Some((other.id.clone(), Sameness::Certain));
        }
        let undelivered = |other: &&SecretPart| {
            let kept = self.secrets.get(*other);
            other.id.namespace == part.id.namespace
                && other.id.name == part.id.name
                && kept.is_none_or(|kept| kept.record.left)
        };
        let other = self.written.iter().flatten().find(undelivered)?;
        Some((other.id.clone(), Sameness::Possible))
    }
}

/// The files of which it is news that only `paths` are written.
fn files_under<'a>(
    files: impl Iterator<Item = (&'a PathBuf, &'a Kept<FileRecord>)>,
    paths: &HashSet<PathBuf>,
    now: Timestamp,
) -> impl Iterator<Item = (PathBuf, Kept<FileRecord>)> {
    files.filter_map(move |(path, kept)| {
        let writer = if paths.contains(path) {
            Writer::Itself
        } else {
            Writer::Nobody
        };
        let next = kept.under(writer, now)?;
        Some((path.clone(), next))
    })
}

/// The parts of Secrets of which it is news that only `parts` are written.
fn secrets_under<'a>(
    secrets: impl Iterator<Item = (&'a SecretPart, &'a Kept<DeliveredSecret>)>,
    parts: &HashSet<SecretPart>,
    now: Timestamp,
) -> impl Iterator<Item = (SecretPart, Kept<DeliveredSecret>)> {
    let written: HashSet<&SecretId> = parts.iter().map(|part| &part.id).collect();
    secrets.filter_map(move |(part, kept)| {
        let writer = if parts.contains(part) {
            Writer::Itself
        } else if written.contains(&part.id) {
            Writer::Another
        } else {
            Writer::Nobody
        };
        let next = kept.under(writer, now)?;
        Some((part.clone(), next))
    })
}

fn latest<'a, K: Eq + Hash, V>(
    before: &'a HashMap<K, V>,
    since: &'a HashMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    let untouched = before.iter().filter(|(key, _)| !since.contains_key(*key));
    untouched.chain(since)
}

impl From<Remember> for Row {
    fn from(change: Remember) -> Self {
        match change {
            Remember::Entry(entry, record) => Self::remembered_entry(entry.as_str(), record),
            Remember::Read(read, record) => Self::remembered_read(&read, record),
            Remember::Meta(key, record) => Self::meta(key, record),
        }
    }
}

impl Remembered {
    pub(super) fn put_entry(&mut self, key: &[u8], record: &[u8]) -> Result<(), LedgerError> {
        self.entries
            .insert(entry_name(text(key)?)?, record.to_vec());
        Ok(())
    }

    pub(super) fn put_read(&mut self, key: &[u8], record: &[u8]) -> Result<(), LedgerError> {
        self.reads.insert(text(key)?.to_owned(), record.to_vec());
        Ok(())
    }

    pub(super) fn put_meta(&mut self, key: &[u8], record: &[u8]) -> Result<(), LedgerError> {
        self.meta.insert(text(key)?.to_owned(), record.to_vec());
        Ok(())
    }
}

fn text(key: &[u8]) -> Result<&str, LedgerError> {
    str::from_utf8(key).map_err(|_| LedgerError::Damaged)
}

/// No name holds a zero, so the first one ends the first of two.
fn two(key: &[u8]) -> Result<(&str, &str), LedgerError> {
    text(key)?.split_once('\0').ok_or(LedgerError::Damaged)
}

fn entry_name(text: &str) -> Result<EntryName, LedgerError> {
    EntryName::new(text).map_err(|_| LedgerError::Damaged)
}
