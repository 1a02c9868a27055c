//! The records of the ledger. None can hold a value; content appears only as a fingerprint.

mod bytes;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decide::kubernetes::DeliveredSecret;
use crate::decide::kubernetes::restart::ChangeId;
use crate::names::{ClusterName, EntryName, Namespace, ObjectName, ResourceVersion, SecretKey};
use crate::secret::Fingerprint;

pub(super) use bytes::{
    arns_from_bytes, arns_to_bytes, file_from_bytes, file_to_bytes, made_from_bytes, made_to_bytes,
    secret_from_bytes, secret_to_bytes,
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
    /// The inode that holds what was delivered. Earlier releases did not record it.
    pub inode: Option<u64>,
    /// How the delivered file lay there; absent in what earlier releases wrote.
    pub placed: Option<Placed>,
    /// Where that write put its content before the swap, or a removal what it takes away.
    pub temporary: Option<Temporary>,
    /// Of a directory: every generation that we made in it and that may be there, the newest last.
    pub generations: Vec<Generation>,
    /// Whether a configuration stood without this path since: from then on people may make files of their own there.
    pub left: bool,
    /// Whether what was delivered was about to be removed: it may be gone, and what is at the path somebody's own.
    pub removing: bool,
    /// The content of somebody else's file of which a person said that it may be replaced.
    pub adopted: Option<Fingerprint>,
    /// Of what was delivered.
    pub whose: Whose,
    pub marks: Marks,
}

/// Whose it is that holds what was delivered. Only a swap of ours makes what was found ours, or that it is given to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// We put it there, or it was given to us.
    #[default]
    Ours,
    /// Somebody put the same there in place of ours. We write at that path, but that one is not ours to take away.
    Copied,
    /// It held the same before anything of ours was there.
    Found,
}

/// Which changes of a file its action has not run for.
///
/// A change is marked in the same transaction as the intent to make it, so a crash at any later moment finds the mark. What
/// it does not tell is whether the change came about: that the file tells, which then holds what was intended. A change
/// that did not is not pending, and the mark goes with the next word about the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of a change that was made.
    pub pending: Option<Mark>,
    /// Of the change that `intent` makes.
    pub intended: Option<Mark>,
}

/// One change that somebody has to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub id: u64,
    pub since: Timestamp,
}

/// Which file it is. Number and birth stay the same when the machine starts again; a number alone may be that of a file
/// which is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    pub inode: u64,
    /// In seconds and nanoseconds; absent where the file system does not know.
    pub born: Option<(i64, u32)>,
}

impl FileId {
    /// Whether both are the same file, as far as is known.
    pub fn is_same_file(self, other: Self) -> bool {
        let one = self.born.or(other.born);
        self.inode == other.inode && one == other.born.or(self.born)
    }
}

/// A file as it lay there when its delivery ended: what tells later, without reading it, whether anybody touched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub inode: u64,
    #[serde(default)]
    pub born: Option<(i64, u32)>,
    pub size: u64,
    /// In seconds and nanoseconds.
    pub modified: (i64, u32),
    pub changed: (i64, u32),
    pub owner: u32,
    pub group: u32,
    /// Whether the configuration named its owner, and its group.
    pub owner_named: bool,
    pub group_named: bool,
}

impl Placed {
    pub fn file(&self) -> FileId {
        FileId {
            inode: self.inode,
            born: self.born,
        }
    }
}

/// The temporary file of one write or removal: a number that makes its name, and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Temporary {
    pub number: u64,
    pub inode: u64,
    /// As of [`FileId`]; absent where nobody needs it.
    #[serde(default)]
    pub born: Option<(i64, u32)>,
}

/// One set of files in a directory that is swapped as a whole: what it is called there, its inode, and the files that we
/// made in it. What else is in it is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    pub name: String,
    pub inode: u64,
    pub keys: BTreeSet<SecretKey>,
    /// Where the configuration named an owner for them.
    pub given: Option<Given>,
}

/// Files that were given to an owner, who may have closed them to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    pub owner: u32,
    /// Of what they hold, and of how they lay there when their delivery ended; absent before.
    pub seal: Option<Fingerprint>,
}

/// One write of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDelivery {
    pub path: PathBuf,
    pub entry: EntryName,
    pub fingerprint: Fingerprint,
    pub mode: u32,
    /// Nothing before it is in place.
    pub placed: Option<Placed>,
    /// As in the record; empty for a file.
    pub generations: Vec<Generation>,
    /// As in the record. What a write is about to put there is ours.
    pub whose: Whose,
}

/// A file of somebody else that a person gives to an entry: it may be replaced as long as it holds that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAdoption {
    pub path: PathBuf,
    pub entry: EntryName,
    pub found: Fingerprint,
    pub mode: u32,
}

/// One write of one file that is about to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIntent {
    pub delivery: FileDelivery,
    /// What the file that is to be replaced holds.
    pub found: Option<Fingerprint>,
    /// Whether that file is the very one that an earlier write was to put there: its content alone may be anybody's.
    pub found_ours: bool,
    pub temporary: Temporary,
    /// Where an action has to run for it.
    pub mark: Option<Mark>,
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
    /// Of what was never written.
    pub(crate) fn blank(entry: EntryName, mode: u32) -> Self {
        Self {
            entry,
            delivered: None,
            intent: None,
            mode,
            inode: None,
            placed: None,
            temporary: None,
            generations: Vec::new(),
            left: false,
            removing: false,
            adopted: None,
            whose: Whose::Ours,
            marks: Marks::default(),
        }
    }

    /// A write is about to happen: what is in place stays known until it has. An earlier intent that is found in place
    /// was carried out; forgetting it would make its file somebody else's.
    pub(crate) fn intending(before: Option<&Self>, next: &FileIntent) -> Self {
        let carried_out = before
            .filter(|record| record.intent.is_some() && record.intent == next.found)
            .filter(|_| next.found_ours)
            .map(|record| {
                let swapped = record.temporary.map(|it| it.inode);
                (record.intent, swapped, Whose::Ours)
            });
        // Of what was about to be removed, only what is still there counts.
        let stands = before.filter(|record| !record.removing || record.delivered == next.found);
        let stands = stands.map(|record| (record.delivered, record.inode, record.whose));
        let (delivered, inode, whose) = carried_out.or(stands).unwrap_or_default();
        let FileIntent {
            delivery,
            temporary,
            mark,
            ..
        } = next;
        let marks = before.map(|record| record.marks).unwrap_or_default();
        let pending = if carried_out.is_some() {
            marks.intended.or(marks.pending)
        } else {
            marks.pending
        };
        Self {
            entry: delivery.entry.clone(),
            delivered,
            intent: Some(delivery.fingerprint),
            mode: before.map_or(delivery.mode, |record| record.mode),
            inode,
            placed: before
                .and_then(|record| record.placed)
                .filter(|placed| Some(placed.inode) == inode),
            temporary: Some(*temporary),
            generations: delivery.generations.clone(),
            left: before.is_some_and(|record| record.left),
            removing: false,
            adopted: before.and_then(|record| record.adopted),
            whose,
            marks: Marks {
                pending,
                intended: *mark,
            },
        }
    }

    /// This is in place. Where it is what was intended, that change was made; else it never was.
    pub(crate) fn delivered(before: Option<&Self>, delivery: &FileDelivery) -> Self {
        let marks = before.map(|record| record.marks).unwrap_or_default();
        let intent = before.and_then(|record| record.intent);
        let made = marks
            .intended
            .filter(|_| intent == Some(delivery.fingerprint));
        Self {
            entry: delivery.entry.clone(),
            delivered: Some(delivery.fingerprint),
            intent: None,
            mode: delivery.mode,
            inode: delivery.placed.map(|placed| placed.inode),
            placed: delivery.placed,
            temporary: None,
            generations: delivery.generations.clone(),
            left: false,
            removing: false,
            adopted: None,
            whose: delivery.whose,
            marks: Marks {
                pending: made.or(marks.pending),
                intended: None,
            },
        }
    }

    /// What is in place is about to be taken away, by way of that name.
    pub(crate) fn removing(&self, aside: Temporary) -> Self {
        Self {
            temporary: Some(aside),
            removing: true,
            ..self.clone()
        }
    }

    pub(super) fn adopted(before: Option<&Self>, adoption: &FileAdoption) -> Self {
        let new = || Self::blank(adoption.entry.clone(), adoption.mode);
        Self {
            adopted: Some(adoption.found),
            ..before.cloned().unwrap_or_else(new)
        }
    }

    /// Whom the configuration named as its owner when it was delivered.
    pub fn given_to(&self) -> Option<u32> {
        let placed = self.placed.filter(|placed| placed.owner_named);
        let newest = self.generations.last();
        let given = newest.and_then(|newest| newest.given);
        placed.map(|it| it.owner).or(given.map(|it| it.owner))
    }

    /// Whether we put something there, or were about to.
    pub fn was_written(&self) -> bool {
        self.delivered.is_some() || self.intent.is_some()
    }

    /// Whether both tell of the same deliveries, whatever the configuration was since.
    pub(super) fn is_same_life(&self, other: &Self) -> bool {
        let life = |record: &Self| {
            let Self {
                delivered,
                intent,
                inode,
                temporary,
                ..
            } = record;
            (*delivered, *intent, *inode, *temporary)
        };
        life(self) == life(other)
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
    /// The action has run for that change; a later one stays. Nothing where it is no news.
    pub(super) fn acted(&self, id: u64) -> Option<Self> {
        let others = |mark: Option<Mark>| mark.filter(|mark| mark.id != id);
        let mut next = self.clone();
        next.record.marks = Marks {
            pending: others(self.record.marks.pending),
            intended: others(self.record.marks.intended),
        };
        (next != *self).then_some(next)
    }

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

    /// The restart for that change is done. Where nobody else wrote since the delivery, what took its record away makes
    /// it no other one. Nothing where that is no news.
    pub(super) fn restarted(
        &self,
        change: &ChangeId,
        states: Option<(ResourceVersion, ResourceVersion)>,
    ) -> Option<Self> {
        let mut next = self.clone();
        if next.record.restart.as_ref() == Some(change) {
            next.record.restart = None;
        }
        if let Some((_, after)) =
            states.filter(|(before, _)| *before == next.record.resource_version)
        {
            next.record.resource_version = after;
        }
        (next != *self).then_some(next)
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
