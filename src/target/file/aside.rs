//! Taking a file away: moved aside first, looked at there, and only then removed.
//!
//! Between a look and an `unlink` somebody may put another file in place, and that would go. A file that was moved to a
//! name of ours is the one that goes; what turns out to be another one gets its name back. The ledger knows the name
//! before, so a kill in between loses neither.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, RenameFlags};
use rustix::io::Errno;

use super::inode::{Inode, Stamp};
use super::refusal::refused;
use super::staged::name_of;
use crate::failure::{Failure, Reason};
use crate::state::Temporary;

/// One removal: from which directory, and by way of which name.
#[derive(Debug)]
pub(super) struct Aside<'a> {
    pub(super) directory: &'a OwnedFd,
    pub(super) target: &'a Path,
    pub(super) name: &'a OsStr,
    /// What it is called in between.
    pub(super) temporary: Temporary,
}

/// What is under the name beside a target after a removal was broken off.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    Over,
    /// It was not the file that was to go, and somebody has its name by now.
    NotOurs(OsString),
}

impl Aside<'_> {
    /// A name for it, for the ledger.
    pub(super) fn name_for(inode: u64) -> Temporary {
        Temporary {
            number: fastrand::u64(..),
            inode,
            born: None,
        }
    }

    /// Removes the file, provided that it is still as it was seen.
    pub(super) fn take(&self, seen: Stamp) -> Result<(), Failure> {
        let failed = |errno| refused("remove", self.target, errno);
        let present = Inode::of_name(self.directory, self.name).map_err(failed)?;
        if !present.is_some_and(|inode| inode.stamp == seen && is_lone_file(&inode)) {
            return Err(changed(self.target));
        }
        self.take_exactly(seen)
    }

    /// The removal itself, exact also where somebody writes between the look and the rename.
    pub(super) fn take_exactly(&self, seen: Stamp) -> Result<(), Failure> {
        let failed = |errno| refused("remove", self.target, errno);
        let aside = name_of(self.temporary.number);
        match self.rename(self.name, &aside) {
            Ok(()) => self.remove(&aside, seen)?,
            // Some network file systems cannot; the look a moment ago has to do.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::unlinkat(self.directory, self.name, AtFlags::empty()).map_err(failed)?;
            }
            Err(Errno::NOENT | Errno::EXIST) => return Err(changed(self.target)),
            Err(errno) => return Err(failed(errno)),
        }
        fs::fsync(self.directory)
            .map_err(|errno| refused("make lasting the removal of", self.target, errno))
    }

    fn remove(&self, aside: &OsStr, seen: Stamp) -> Result<(), Failure> {
        let examined = Inode::of_name(self.directory, aside);
        let is_it = |inode: &Inode| inode.stamp.is_unwritten_since(&seen) && is_lone_file(inode);
        if matches!(&examined, Ok(Some(inode)) if is_it(inode)) {
            return match fs::unlinkat(self.directory, aside, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => {
                    // It is whole, and found where it was.
                    let _ = self.rename(aside, self.name);
                    Err(refused("remove", self.target, errno))
                }
            };
        }
        match self.rename(aside, self.name) {
            Ok(()) | Err(Errno::NOENT) => Err(changed(self.target)),
            Err(errno) => {
                let kept = self.target.with_file_name(aside);
                let doing = "put back what somebody else wrote meanwhile to";
                Err(refused(doing, self.target, errno)
                    .with_help(format!("it is in {}", kept.display())))
            }
        }
    }

    /// What a killed process had moved aside: `is_ours` knows whether it was to go. Else it gets its name back.
    pub(super) fn finish(
        &self,
        is_ours: impl FnOnce(&OsStr, &Inode) -> bool,
    ) -> Result<Interrupted, Errno> {
        let aside = name_of(self.temporary.number);
        let Some(inode) = Inode::of_name(self.directory, &aside)? else {
            return Ok(Interrupted::Over);
        };
        let made = inode.id().inode() == self.temporary.inode && is_lone_file(&inode);
        if made && is_ours(&aside, &inode) {
            return match fs::unlinkat(self.directory, &aside, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => fs::fsync(self.directory).map(|()| Interrupted::Over),
                Err(errno) => Err(errno),
            };
        }
        match self.rename(&aside, self.name) {
            Ok(()) | Err(Errno::NOENT) => Ok(Interrupted::Over),
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                Ok(Interrupted::NotOurs(aside))
            }
            Err(errno) => Err(errno),
        }
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        let flag = RenameFlags::NOREPLACE;
        fs::renameat_with(self.directory, from, self.directory, to, flag)
    }
}

fn is_lone_file(inode: &Inode) -> bool {
    inode.kind == FileType::RegularFile && inode.links == 1
}

fn changed(target: &Path) -> Failure {
    Failure::new(
        Reason::Conflict,
        format!(
            "{} was changed by somebody else while it was being removed, so it stays",
            target.display()
        ),
    )
    .with_help("look at the file and find out who writes there; what may go, remove by hand")
}
