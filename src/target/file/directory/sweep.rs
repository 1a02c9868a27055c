//! What is left of earlier writes, and goes.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType};
use rustix::io::Errno;

use super::{DATA, names, place};
use crate::decide::directory::{Keep, spent};
use crate::failure::Failure;
use crate::state::{FileRecord, Generation};
use crate::target::file::format::set::MAX_FILES;
use crate::target::file::inode::Inode;
use crate::target::file::refusal::refused;

/// Removes everything of ours that readers are not led to: links under temporary names, generations that the ledger
/// knows and that are not to be kept, and empty ones that it does not. What somebody else put into one of them stays and
/// is said.
pub(super) fn all(
    (directory, path): (&OwnedFd, &Path),
    record: Option<&FileRecord>,
    keep: Keep,
) -> Result<(), Failure> {
    let failed = |errno| refused("clear leftovers in", path, errno);
    let live = names::link_at(directory, OsStr::new(DATA)).map_err(failed)?;
    let is_live = |name: &OsStr| live.as_ref().is_some_and(|live| live.text == name);
    let name = live.as_ref().map(|live| &*live.text);
    let spent = record.map(|record| spent(record, name, keep));
    for old in spent.into_iter().flatten() {
        one((directory, path), old)?;
    }
    let Some(names) = names::list(directory, 2 * MAX_FILES).map_err(failed)? else {
        return Ok(());
    };
    for name in names {
        if names::is_temporary_link(&name) {
            if names::link_at(directory, &name).map_err(failed)?.is_some() {
                gone(fs::unlinkat(directory, &name, AtFlags::empty())).map_err(failed)?;
            }
        } else if names::is_generation(&name) && !is_live(&name) {
            match fs::unlinkat(directory, &name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
    Ok(())
}

/// Removes one generation of ours.
pub(super) fn one((directory, path): (&OwnedFd, &Path), old: &Generation) -> Result<(), Failure> {
    let swept = generation(directory, old);
    let swept = swept.map_err(|errno| refused("clear leftovers in", path, errno))?;
    if swept == Swept::NotOurs {
        tracing::warn!(
            path = %path.join(&old.name).display(),
            "an old generation holds what secretsyncd did not make; that stays"
        );
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Swept {
    Gone,
    /// It is another directory, or somebody put something into it.
    NotOurs,
}

/// Removes a generation and the files that we made in it.
pub(super) fn generation(directory: &OwnedFd, old: &Generation) -> Result<Swept, Errno> {
    let opened = match place::open_directory(directory, OsStr::new(&old.name)) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(Swept::Gone),
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Swept::NotOurs),
        Err(errno) => return Err(errno),
    };
    if Inode::of_descriptor(&opened)?.id().inode() != old.inode {
        return Ok(Swept::NotOurs);
    }
    for key in &old.keys {
        let inode = Inode::of_name(&opened, OsStr::new(key.as_str()))?;
        if inode.is_some_and(|inode| inode.kind == FileType::RegularFile) {
            gone(fs::unlinkat(&opened, key.as_str(), AtFlags::empty()))?;
        }
    }
    match fs::unlinkat(directory, &old.name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(Swept::Gone),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Swept::NotOurs),
        Err(errno) => Err(errno),
    }
}

fn gone(unlinked: Result<(), Errno>) -> Result<(), Errno> {
    match unlinked {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}
