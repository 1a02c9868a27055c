//! Whether a file that we delivered may go.
//!
//! Two must agree: the ledger, which knows which inode we put there and what it held; and the disk, where that very
//! inode still holds just that. A file that somebody edited, replaced, linked or put back from a copy is theirs, too, and
//! stays.

use std::path::Path;

use super::{Content, Observed};
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::secret::Fingerprint;
use crate::state::FileRecord;

/// What is at the path.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub path: &'a Path,
    pub observed: &'a Observed,
    /// Absent where nothing is there.
    pub inode: Option<u64>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Removal {
    /// Nothing is there: it only has to be forgotten.
    Gone,
    /// This inode, as it was seen.
    Remove { inode: u64 },
}

/// A configured target whose sources are all proven gone, and whose policy is `delete`.
pub fn delete(
    entry: &EntryName,
    ledger: Option<&FileRecord>,
    found: Found<'_>,
) -> Result<Removal, Failure> {
    if *found.observed == Observed::Absent {
        return Ok(Removal::Gone);
    }
    let Some(ledger) = ledger else {
        return Err(found.stays("is not known to the ledger"));
    };
    if ledger.entry != *entry {
        return Err(found.stays("was written last by another entry"));
    }
    if ledger.left {
        return Err(found.stays("was not delivered since it is configured again"));
    }
    orphaned(ledger, found)
}

/// A file that no entry writes any more.
pub fn orphaned(ledger: &FileRecord, found: Found<'_>) -> Result<Removal, Failure> {
    let content = match *found.observed {
        Observed::Absent => return Ok(Removal::Gone),
        Observed::Regular {
            content,
            links: 0 | 1,
            ..
        } => content,
        Observed::Regular { .. } => return Err(found.stays("has another hard link")),
        Observed::Symlink => return Err(found.stays("is a symbolic link by now")),
        Observed::Directory => return Err(found.stays("is a directory by now")),
        Observed::Other => return Err(found.stays("is a FIFO, socket or device by now")),
    };
    let holds = |one: Option<Fingerprint>| one.is_some_and(|it| content == Content::Of(it));
    let delivered = holds(ledger.delivered).then_some(ledger.inode);
    // Killed between swap and ledger: the temporary file is in place.
    let swapped = ledger.temporary.map(|it| it.inode);
    let intended = (holds(ledger.intent) && !ledger.removing).then_some(swapped);
    let known = [delivered, intended];
    let mut known = known.into_iter().flatten().flatten();
    match found.inode {
        Some(inode) if known.any(|it| it == inode) => Ok(Removal::Remove { inode }),
        Some(_) | None if !holds(ledger.delivered) && !holds(ledger.intent) => {
            Err(found.stays("does not hold what was delivered"))
        }
        Some(_) | None if holds(ledger.delivered) && ledger.inode.is_none() => Err(found
            .stays("was delivered by an earlier release, which did not record which file it is")),
        Some(_) | None => Err(found.stays("is not the file that was delivered")),
    }
}

impl Found<'_> {
    fn stays(&self, why: &str) -> Failure {
        let fact = format!("{} {why}, so it is not removed", self.path.display());
        Failure::new(Reason::Conflict, fact).with_help(
            "look at the file and find out who writes there; what may go, remove by hand",
        )
    }
}

#[cfg(test)]
mod tests;
