//! Whether a file that we delivered may go.
//!
//! Two must agree: the ledger, which knows which inode we put there and what it held; and the disk, where that very
//! inode still holds just that. A file that somebody edited, replaced, linked or put back from a copy is theirs, too, and
//! stays.

use std::borrow::Cow;
use std::path::Path;

use super::{Content, Observed, is_given};
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::secret::Fingerprint;
use crate::state::{FileRecord, Whose};

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
    let help = format!(
        "`secretsyncd adopt --apply {}` makes it ours, and it goes; else remove it by hand",
        found.path.display()
    );
    judged(ledger, found).map_err(|stays| stays.said(found, help))
}

/// A file that no entry writes any more.
pub fn orphaned(ledger: &FileRecord, found: Found<'_>) -> Result<Removal, Failure> {
    let help = "no entry writes it, so nobody can give it to us: what may go, remove by hand";
    judged(ledger, found).map_err(|stays| stays.said(found, help))
}

const FOUND: &str = "held this content already and was not written by secretsyncd";

/// Why it stays.
enum Stays {
    /// It is not what we put there, or not as we did.
    Changed(&'static str),
    /// It is just that, and somebody else put it there.
    Theirs(&'static str),
}

fn judged(ledger: &FileRecord, found: Found<'_>) -> Result<Removal, Stays> {
    let content = match *found.observed {
        Observed::Absent => return Ok(Removal::Gone),
        Observed::Regular {
            content,
            links: 0 | 1,
            ..
        } => content,
        Observed::Regular { .. } => return Err(Stays::Changed("has another hard link")),
        Observed::Symlink => return Err(Stays::Changed("is a symbolic link by now")),
        // Where a directory of files is wanted.
        Observed::Directory if ledger.whose == Whose::Found => return Err(Stays::Theirs(FOUND)),
        Observed::Directory => return Err(Stays::Changed("is a directory by now")),
        Observed::Other => return Err(Stays::Changed("is a FIFO, socket or device by now")),
    };
    let holds = |one: Option<Fingerprint>| one.is_some_and(|it| content == Content::Of(it));
    let delivered = holds(ledger.delivered).then_some(ledger.inode);
    // Killed between swap and ledger: the temporary file is in place.
    let swapped = ledger.temporary.map(|it| it.inode);
    let intended = (holds(ledger.intent) && !ledger.removing).then_some(swapped);
    let is = |one: Option<Option<u64>>| one.flatten().is_some_and(|it| Some(it) == found.inode);
    let theirs = match ledger.whose {
        _ if is_given(ledger, content) => None,
        Whose::Ours => None,
        Whose::Copied => Some("was put there by somebody in place of the file that was delivered"),
        Whose::Found => Some(FOUND),
    };
    match found.inode {
        Some(inode) if is(intended) => Ok(Removal::Remove { inode }),
        Some(inode) if is(delivered) => match theirs {
            None => Ok(Removal::Remove { inode }),
            Some(why) => Err(Stays::Theirs(why)),
        },
        Some(_) | None if !holds(ledger.delivered) && !holds(ledger.intent) => {
            Err(Stays::Changed("does not hold what was delivered"))
        }
        Some(_) | None if holds(ledger.delivered) && ledger.inode.is_none() => Err(Stays::Changed(
            "was delivered by an earlier release, which did not record which file it is",
        )),
        Some(_) | None => Err(Stays::Changed("is not the file that was delivered")),
    }
}

impl Stays {
    fn said(self, found: Found<'_>, help: impl Into<Cow<'static, str>>) -> Failure {
        match self {
            Self::Changed(why) => found.stays(why),
            Self::Theirs(why) => {
                let fact = format!("{} {why}, so it is not removed", found.path.display());
                Failure::new(Reason::Conflict, fact).with_help(help)
            }
        }
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
