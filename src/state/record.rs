//! The records of the ledger. None can hold a value; content appears only as a fingerprint.

mod bytes;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decide::kubernetes::DeliveredSecret;
use crate::names::{ClusterName, EntryName, Namespace, ObjectName};
use crate::secret::Fingerprint;

pub(super) use bytes::{
    arns_from_bytes, arns_to_bytes, file_from_bytes, file_to_bytes, secret_from_bytes,
    secret_to_bytes,
};

/// What is known of one file that we wrote, or were about to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord {
    /// Who wrote it last.
    pub entry: EntryName,
    /// The content that was in place when the last write ended.
    pub delivered: Option<Fingerprint>,
    /// The content of a write that began and of which we do not know whether it ended.
    pub intent: Option<Fingerprint>,
    /// The permission bits that were delivered.
    pub mode: u32,
    /// Where that write put its content before the swap.
    pub temporary: Option<Temporary>,
    /// Whether a configuration stood without this path since: from then on people may make files of their own there.
    pub left: bool,
}

/// The temporary file of one write: a number that makes its name, and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Temporary {
    pub number: u64,
    pub inode: u64,
}

/// One write of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDelivery {
    pub path: PathBuf,
    pub entry: EntryName,
    pub fingerprint: Fingerprint,
    pub mode: u32,
}

/// One write of one file that is about to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIntent {
    pub delivery: FileDelivery,
    /// What the file that is to be replaced holds.
    pub found: Option<Fingerprint>,
    pub temporary: Temporary,
}

/// Where a Secret is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId {
    pub cluster: ClusterName,
    pub namespace: Namespace,
    pub name: ObjectName,
}

/// One entry's part in one Secret: several entries may merge into the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretPart {
    pub id: SecretId,
    pub entry: EntryName,
}

/// One `find` of one entry. A changed `find` is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FoundId {
    pub entry: EntryName,
    /// The store and what is looked for there, as text.
    pub question: String,
}

/// The ARNs of what was delivered from a `find`.
pub type Arns = BTreeSet<String>;

/// What is known of a target, and whether an entry of the present configuration writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept<T> {
    pub(super) record: T,
    /// Since when no entry writes it; absent while one does. Being configured proves nothing about the content, so this
    /// is apart from the record's own `left`, which only a delivery takes back.
    pub(super) left_at: Option<Timestamp>,
}

/// Who writes a target under the present configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// What the record is about.
    Itself,
    /// Only another entry's part in the same Secret, which takes it over.
    Another,
    Nobody,
}

/// Why the bytes of a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Written by a later release.
    Newer,
    Damaged,
}

impl FileRecord {
    /// A write is about to happen: what is in place stays known until it has. An earlier intent that is found in place
    /// was carried out; forgetting it would make its file somebody else's.
    pub(super) fn intending(before: Option<&Self>, next: &FileIntent) -> Self {
        let carried_out = before
            .and_then(|record| record.intent)
            .filter(|intent| Some(*intent) == next.found);
        let FileIntent {
            delivery,
            temporary,
            ..
        } = next;
        Self {
            entry: delivery.entry.clone(),
            delivered: carried_out.or(before.and_then(|record| record.delivered)),
            intent: Some(delivery.fingerprint),
            mode: before.map_or(delivery.mode, |record| record.mode),
            temporary: Some(*temporary),
            left: before.is_some_and(|record| record.left),
        }
    }

    pub(super) fn delivered(delivery: &FileDelivery) -> Self {
        Self {
            entry: delivery.entry.clone(),
            delivered: Some(delivery.fingerprint),
            intent: None,
            mode: delivery.mode,
            temporary: None,
            left: false,
        }
    }
}

impl<T> Kept<T> {
    /// What was just delivered: somebody writes it.
    pub(super) fn written(record: T) -> Self {
        Self {
            record,
            left_at: None,
        }
    }

    fn since(&self, writer: Writer, now: Timestamp) -> Option<Timestamp> {
        match writer {
            Writer::Itself | Writer::Another => None,
            Writer::Nobody => self.left_at.or(Some(now)),
        }
    }
}

impl Kept<FileRecord> {
    /// What a configuration makes of it; nothing where that is no news.
    pub(super) fn under(&self, writer: Writer, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        next.record.left |= writer != Writer::Itself;
        next.left_at = self.since(writer, now);
        (next != *self).then_some(next)
    }
}

impl Kept<DeliveredSecret> {
    /// Another machine may have written it since: what is said here counts only where nobody did.
    pub(super) fn doubted(&self) -> Self {
        let mut next = self.clone();
        next.record.left = true;
        next
    }

    /// As for a file.
    pub(super) fn under(&self, writer: Writer, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        next.record.left |= writer != Writer::Itself;
        next.left_at = self.since(writer, now);
        (next != *self).then_some(next)
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.namespace, self.name)
    }
}

impl SecretId {
    /// As it is shown: `cluster/namespace/name`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_text(text).ok()
    }

    /// Read from the end: a cluster's name may hold a slash, the two others may not.
    pub(super) fn from_text(text: &str) -> Result<Self, Unreadable> {
        let mut parts = text.rsplitn(3, '/');
        let mut part = || parts.next().ok_or(Unreadable::Damaged);
        let (name, namespace, cluster) = (part()?, part()?, part()?);
        Ok(Self {
            cluster: ClusterName::new(cluster).map_err(|_| Unreadable::Damaged)?,
            namespace: Namespace::new(namespace).map_err(|_| Unreadable::Damaged)?,
            name: ObjectName::new(name).map_err(|_| Unreadable::Damaged)?,
        })
    }
}

impl SecretPart {
    pub(super) fn from_texts(id: &str, entry: &str) -> Result<Self, Unreadable> {
        Ok(Self {
            id: SecretId::from_text(id)?,
            entry: EntryName::new(entry).map_err(|_| Unreadable::Damaged)?,
        })
    }
}

#[cfg(test)]
mod tests;
