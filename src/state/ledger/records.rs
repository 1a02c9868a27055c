//! What the ledger knows, in memory: what it was when it was opened, and what each change makes of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::hash::Hash;
use std::mem;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Change;
use super::alike::Alike;
use super::error::LedgerError;
use super::tables::Row;
use crate::decide::kubernetes::DeliveredSecret;
use crate::decide::kubernetes::restart::ChangeId;
use crate::names::{EntryName, ResourceVersion, Uid};
use crate::state::record::{
    Arns, FileDelivery, FileRecord, FoundId, Kept, SecretId, SecretPart, Writer, arns_from_bytes,
    file_from_bytes, made_from_bytes, secret_from_bytes,
};
use crate::state::{Remember, Remembered, Sameness, SecretParts};

/// Everything that is asked for while the daemon runs.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) files: HashMap<PathBuf, Kept<FileRecord>>,
    /// Those that were made for files.
    pub(super) directories: HashSet<PathBuf>,
    pub(super) secrets: HashMap<Arc<SecretPart>, Box<Kept<DeliveredSecret>>>,
    alike: Alike,
    pub(super) found: BTreeMap<FoundId, Arns>,
    /// The parts that the present configuration writes; absent until it is said.
    pub(super) written: Option<Arc<SecretParts>>,
    /// In what a change makes: the parts that are forgotten with it.
    pub(super) gone_secrets: HashSet<SecretPart>,
    /// The same of files.
    pub(super) gone_files: HashSet<PathBuf>,
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

    pub(super) fn put_directory(&mut self, key: &[u8], record: &[u8]) -> Result<(), LedgerError> {
        made_from_bytes(record)?;
        let path = PathBuf::from(OsString::from_vec(key.to_vec()));
        self.directories.insert(path);
        Ok(())
    }

    pub(super) fn put_secret(&mut self, key: &[u8], record: &[u8]) -> Result<(), LedgerError> {
        let (id, entry) = two(key)?;
        let part = SecretPart::from_texts(id, entry)?;
        let mut kept = secret_from_bytes(record)?;
        self.alike.share(&mut kept.record);
        self.secrets.insert(Arc::new(part), Box::new(kept));
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
            Change::DirectoriesMade(paths) => {
                paths.iter().all(|path| self.directories.contains(path))
            }
            Change::OnlyFiles(paths, now) => {
                let mut changed = files_under(self.files.iter(), paths, *now);
                changed.next().is_none()
            }
            Change::OnlySecrets(parts, now) => {
                let mut changed = secrets_under(self.secrets.iter(), parts, *now);
                changed.next().is_none()
            }
            Change::DoubtSecrets => self.secrets.values().all(|kept| kept.record.left),
            Change::Acted(acted) => acted.iter().all(|(path, id)| {
                let kept = self.files.get(path);
                kept.is_none_or(|kept| kept.acted(*id).is_none())
            }),
            Change::Remember(changes) => changes.is_empty(),
            Change::FileIntent(_)
            | Change::FileRemoval(..)
            | Change::FileGone(..)
            | Change::FileAdopted(_)
            | Change::Secret(..)
            | Change::SecretGone(..)
            | Change::Restarted(..)
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
                    let path = next.delivery.path.clone();
                    let intending = |before: Option<&_>| Some(FileRecord::intending(before, &next));
                    self.amend(records, path, intending);
                }
                Change::FileDelivered(delivery) => self.file_delivered(records, delivery),
                Change::FileRemoval(path, aside) => {
                    self.amend(records, path, |before| Some(before?.removing(aside)));
                }
                Change::FileGone(path, record) => self.forget_file(records, path, &record),
                Change::FileAdopted(adoption) => {
                    let path = adoption.path.clone();
                    let adopted = |before: Option<&_>| Some(FileRecord::adopted(before, &adoption));
                    self.amend(records, path, adopted);
                }
                Change::DirectoriesMade(paths) => records.directories.extend(paths),
                Change::Acted(acted) => {
                    let news = self.acted(records, acted);
                    records.files.extend(news);
                }
                Change::OnlyFiles(paths, now) => {
                    let gone = &records.gone_files;
                    let all = latest(&self.files, &records.files);
                    let all = all.filter(|(path, _)| !gone.contains(*path));
                    let news: Vec<_> = files_under(all, &paths, now).collect();
                    records.files.extend(news);
                }
                Change::Secret(part, record, now) => {
                    let kept = self.delivered(records, (&part, record), now);
                    records.gone_secrets.remove(&part);
                    records.secrets.insert(self.named(part), Box::new(kept));
                }
                Change::SecretGone(part, uid) => self.forget_secret(records, part, &uid),
                Change::Restarted(part, change, states) => {
                    records
                        .secrets
                        .extend(self.restarted(records, part, (&change, states)));
                }
                Change::OnlySecrets(parts, now) => {
                    let gone = &records.gone_secrets;
                    let all = latest(&self.secrets, &records.secrets);
                    let all = all.filter(|(part, _)| !gone.contains(part.as_ref()));
                    let news: Vec<_> = secrets_under(all, &parts, now).collect();
                    records.secrets.extend(news);
                    records.written = Some(parts);
                }
                Change::DoubtSecrets => self.doubt_secrets(records),
                Change::Found(id, arns) => {
                    records.found.insert(id, arns);
                }
                Change::Remember(changes) => rows.extend(changes.into_iter().map(Row::from)),
            }
        }
        updates
    }

    fn doubt_secrets(&self, since: &mut Self) {
        let all = latest(&self.secrets, &since.secrets);
        let news = all.filter(|(_, kept)| !kept.record.left);
        let news = news.map(|(part, kept)| (Arc::clone(part), Box::new(kept.doubted())));
        let news: Vec<_> = news.collect();
        since.secrets.extend(news);
    }

    fn file_delivered(&self, since: &mut Self, delivery: FileDelivery) {
        let before = self.file(since, &delivery.path);
        let before = before.map(|kept| &kept.record);
        let kept = Kept::written(FileRecord::delivered(before, &delivery));
        since.put(delivery.path, kept);
    }

    /// It may have been delivered anew meanwhile.
    fn forget_secret(&self, since: &mut Self, part: SecretPart, uid: &Uid) {
        let known = since.secrets.get(&part);
        let known = known.or_else(|| self.secrets.get(&part));
        if known.is_some_and(|kept| kept.record.uid == *uid) {
            since.secrets.remove(&part);
            since.gone_secrets.insert(part);
        }
    }

    /// Another record of a file; whether an entry writes it stays as it is.
    fn amend(
        &self,
        since: &mut Self,
        path: PathBuf,
        record: impl FnOnce(Option<&FileRecord>) -> Option<FileRecord>,
    ) {
        let before = self.file(since, &path);
        let left_at = before.and_then(|kept| kept.left_at);
        if let Some(record) = record(before.map(|kept| &kept.record)) {
            since.put(path, Kept { record, left_at });
        }
    }

    /// It may have been delivered anew meanwhile.
    fn forget_file(&self, since: &mut Self, path: PathBuf, record: &FileRecord) {
        let known = self.file(since, &path);
        if known.is_some_and(|kept| kept.record.is_same_life(record)) {
            since.files.remove(&path);
            since.gone_files.insert(path);
        }
    }

    /// The file as it is known after `since`.
    fn file<'a>(&'a self, since: &'a Self, path: &Path) -> Option<&'a Kept<FileRecord>> {
        if since.gone_files.contains(path) {
            return None;
        }
        since.files.get(path).or_else(|| self.files.get(path))
    }

    fn put(&mut self, path: PathBuf, kept: Kept<FileRecord>) {
        self.gone_files.remove(&path);
        self.files.insert(path, kept);
    }

    fn acted(&self, since: &Self, acted: Vec<(PathBuf, u64)>) -> Vec<(PathBuf, Kept<FileRecord>)> {
        let news = acted.into_iter().filter_map(|(path, id)| {
            let next = self.file(since, &path)?.acted(id)?;
            Some((path, next))
        });
        news.collect()
    }

    /// A part whose restart is done, where that is news of one that is known.
    fn restarted(
        &self,
        since: &Self,
        part: SecretPart,
        (change, states): (&ChangeId, Option<(ResourceVersion, ResourceVersion)>),
    ) -> Option<(Arc<SecretPart>, Box<Kept<DeliveredSecret>>)> {
        if since.gone_secrets.contains(&part) {
            return None;
        }
        let known = since.secrets.get(&part).or_else(|| self.secrets.get(&part));
        let next = known?.restarted(change, states)?;
        Some((self.named(part), Box::new(next)))
    }

    /// As the configuration calls it, where it does.
    fn named(&self, part: SecretPart) -> Arc<SecretPart> {
        let written = self.written.as_ref();
        let shared = written.and_then(|parts| parts.shared(&part));
        shared.unwrap_or_else(|| Arc::new(part))
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
        for path in &committed.gone_files {
            self.files.remove(path);
        }
        self.files.extend(committed.files);
        self.directories.extend(committed.directories);
        for part in &committed.gone_secrets {
            self.secrets.remove(part);
        }
        for (part, mut kept) in committed.secrets {
            self.alike.share(&mut kept.record);
            self.secrets.insert(part, kept);
        }
        self.found.extend(committed.found);
        if let Some(parts) = committed.written {
            self.name_alike(&parts);
            self.written = Some(parts);
        }
    }

    /// What was read from the disk is called by the names that the configuration has in memory anyway.
    fn name_alike(&mut self, parts: &SecretParts) {
        let all = mem::take(&mut self.secrets).into_iter();
        let named = all.map(|(part, kept)| (parts.shared(&part).unwrap_or(part), kept));
        self.secrets = named.collect();
    }

    /// A part that the configuration writes, and that is the very life of a Secret that was delivered as `part`, or may
    /// be: a cluster may have two names, and what a part is that was not delivered yet is not known.
    pub(super) fn same_secret(&self, part: &SecretPart, uid: &Uid) -> Option<(SecretId, Sameness)> {
        let lives = self.secrets.iter().find(|(other, kept)| {
            ***other != *part && kept.left_at.is_none() && kept.record.uid == *uid
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
        let mut written = self.written.iter().flat_map(|parts| parts.iter());
        let other = written.find(undelivered)?;
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
    secrets: impl Iterator<Item = (&'a Arc<SecretPart>, &'a Box<Kept<DeliveredSecret>>)>,
    parts: &SecretParts,
    now: Timestamp,
) -> impl Iterator<Item = (Arc<SecretPart>, Box<Kept<DeliveredSecret>>)> {
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
        Some((Arc::clone(part), Box::new(next)))
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
