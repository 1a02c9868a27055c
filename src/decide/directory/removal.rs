//! Whether a directory of files that we delivered may go.
//!
//! As of a file, two must agree: the ledger, which knows every generation that we made by its inode; and the disk, where
//! readers are led to one of them, and it holds just what we put there.

use std::path::Path;

use crate::decide::file::removal::Removal;
use crate::decide::file::{Content, was_put_there};
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::state::{FileRecord, Whose};

/// What is at the path.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub path: &'a Path,
    pub around: Around<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum Around<'a> {
    Absent,
    NoDirectory,
    Directory(Data<'a>),
}

/// What `..data` leads to.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// It is not there.
    Nothing,
    /// To nothing that is beside it; or it is no link.
    Elsewhere,
    Generation {
        name: &'a str,
        inode: u64,
        content: Content,
    },
}

/// A configured target whose sources are all proven gone, and whose policy is `delete`.
pub fn delete(
    entry: &EntryName,
    ledger: Option<&FileRecord>,
    found: &Found<'_>,
) -> Result<Removal, Failure> {
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

/// A directory that no entry writes any more.
pub fn orphaned(ledger: &FileRecord, found: &Found<'_>) -> Result<Removal, Failure> {
    let data = match found.around {
        Around::Absent => return Ok(Removal::Gone),
        Around::NoDirectory => return Err(found.stays("is no directory by now")),
        Around::Directory(data) => data,
    };
    let Some(newest) = ledger.generations.last() else {
        return match (ledger.whose, data) {
            (Whose::Found, Data::Generation { .. } | Data::Elsewhere) => {
                Err(found.stays("held this content already and was not written by secretsyncd"))
            }
            (Whose::Copied, Data::Generation { .. } | Data::Elsewhere) => {
                Err(found.stays("holds what secretsyncd did not write"))
            }
            (Whose::Found | Whose::Copied, Data::Nothing) | (Whose::Ours, _) => Ok(Removal::Gone),
        };
    };
    match data {
        // What readers were led to is gone; what else is ours goes, too.
        Data::Nothing => Ok(Removal::Remove {
            inode: newest.inode,
        }),
        Data::Generation {
            name,
            inode,
            content,
        } => {
            let mut ours = ledger.generations.iter();
            let is_ours = ours.any(|it| (&*it.name, it.inode) == (name, inode));
            if is_ours && was_put_there(ledger, content) {
                Ok(Removal::Remove { inode })
            } else {
                Err(found.stays("holds what secretsyncd did not write"))
            }
        }
        Data::Elsewhere => Err(found.stays("holds what secretsyncd did not write")),
    }
}

impl Found<'_> {
    pub fn stays(&self, why: &str) -> Failure {
        let fact = format!("{} {why}, so it is not removed", self.path.display());
        Failure::new(Reason::Conflict, fact)
            .with_help("look at it and find out who writes there; what may go, remove by hand")
    }
}
