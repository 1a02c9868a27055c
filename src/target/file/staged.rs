//! The new content before it is in place: a temporary file beside the target, and its swap.
//!
//! The ledger knows the temporary file's name and inode before its first byte is written. That is how what a killed
//! process left is told from files of other people, whatever their names: nothing else is ever removed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::acl;
use super::inode::{Id, Inode, Stamp};
use super::refusal::refused;
use crate::failure::{Failure, Reason};
use crate::secret::SecretBytes;
use crate::state::Temporary;

/// What every temporary file's name begins with, and no target's.
pub(super) const PREFIX: &str = ".secretsyncd-";

const ATTEMPTS: usize = 16;

/// A temporary file; removed when it is dropped before its swap.
#[derive(Debug)]
pub(super) struct Staged<'a> {
    directory: &'a OwnedFd,
    target: &'a Path,
    name: OsString,
    file: File,
    id: Id,
    temporary: Temporary,
    in_place: bool,
}

impl<'a> Staged<'a> {
    /// An empty file that already has its mode: there is no moment at which content is there and the mode is not.
    pub(super) fn create(
        directory: &'a OwnedFd,
        target: &'a Path,
        mode: u32,
    ) -> Result<Self, Failure> {
        let failed = |errno| refused("make a temporary file for", target, errno);
        for _ in 0..ATTEMPTS {
            let number = fastrand::u64(..);
            let name = name_of(number);
            let flags =
                OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match fs::openat(directory, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(descriptor) => File::from(descriptor),
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            let id = Inode::of_descriptor(&file).map_err(failed)?.id();
            let staged = Self {
                directory,
                target,
                name,
                file,
                id,
                temporary: Temporary {
                    number,
                    inode: id.inode(),
                },
                in_place: false,
            };
            // The ACL first: where there is one, the mode's group bits would open it.
            acl::remove(&staged.file)
                .and_then(|()| fs::fchmod(&staged.file, Mode::from_raw_mode(mode)))
                .map_err(failed)?;
            return Ok(staged);
        }
        Err(changed(target))
    }

    /// What the ledger has to know before there is content.
    pub(super) fn temporary(&self) -> Temporary {
        self.temporary
    }

    /// Writes everything and waits until it lasts.
    pub(super) fn fill(&mut self, content: &SecretBytes) -> Result<(), Failure> {
        self.file
            .write_all(content.expose())
            .and_then(|()| self.file.sync_all())
            .map_err(|error| {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                refused("write the new content of", self.target, errno)
            })?;
        match self.is_named() {
            Ok(true) => Ok(()),
            Ok(false) => Err(changed(self.target)),
            Err(errno) => Err(refused("examine the new content of", self.target, errno)),
        }
    }

    /// Puts the file in place of what was seen there. What came since is left alone.
    pub(super) fn swap(self, name: &OsStr, seen: Option<Stamp>) -> Result<(), Failure> {
        let failed = |errno| refused("replace", self.target, errno);
        let present = Inode::of_name(self.directory, name).map_err(failed)?;
        if present.map(|inode| inode.stamp) != seen {
            return Err(changed(self.target));
        }
        self.put(name, seen)
    }

    /// The swap itself, exact also where somebody writes between the look and the rename.
    pub(super) fn put(mut self, name: &OsStr, seen: Option<Stamp>) -> Result<(), Failure> {
        let flag = match seen {
            Some(_) => RenameFlags::EXCHANGE,
            None => RenameFlags::NOREPLACE,
        };
        match self.rename(name, flag) {
            Ok(()) => {
                if let Some(seen) = seen {
                    self.judge_displaced(name, seen)?;
                }
            }
            Err(Errno::EXIST | Errno::NOENT) => return Err(changed(self.target)),
            // Some network file systems cannot; the look a moment ago has to do.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self
                .rename(name, RenameFlags::empty())
                .map_err(|errno| refused("replace", self.target, errno))?,
            Err(errno) => return Err(refused("replace", self.target, errno)),
        }
        self.in_place = true;
        fs::fsync(self.directory)
            .map_err(|errno| refused("make lasting the new name of", self.target, errno))
    }

    /// After an exchange, the temporary name holds what was in place. It goes when it is what was seen; else it is
    /// somebody's, and gets its name back.
    fn judge_displaced(&self, name: &OsStr, seen: Stamp) -> Result<(), Failure> {
        let examined = Inode::of_name(self.directory, &self.name);
        if matches!(examined, Ok(Some(inode)) if inode.stamp.is_unwritten_since(&seen)) {
            return match fs::unlinkat(self.directory, &self.name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(refused("remove the old content of", self.target, errno)),
            };
        }
        if let Ok(None) = examined {
            return Ok(());
        }
        match self.rename(name, RenameFlags::EXCHANGE) {
            Ok(()) => Err(changed(self.target)),
            Err(errno) => {
                let fact = "put back what somebody else wrote meanwhile to";
                let kept = self.target.with_file_name(&self.name);
                Err(refused(fact, self.target, errno)
                    .with_help(format!("it is in {}", kept.display())))
            }
        }
    }

    fn rename(&self, name: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
        fs::renameat_with(self.directory, &self.name, self.directory, name, flags)
    }

    fn is_named(&self) -> Result<bool, Errno> {
        let present = Inode::of_name(self.directory, &self.name)?;
        Ok(present.is_some_and(|inode| inode.id() == self.id && inode.links == 1))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.in_place && self.is_named().unwrap_or(false) {
            // What cannot be removed now is removed before the next write.
            let _ = fs::unlinkat(self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// What became of a killed process's temporary file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leftover {
    Gone,
    /// Neither the file that was made nor content of ours: it was in place when it was replaced, or somebody wrote it.
    NotOurs(OsString),
}

/// Removes what is left of a temporary file: the file itself whatever it holds, or what it was exchanged for when
/// `is_ours` knows it.
pub(super) fn remove_leftover(
    directory: &OwnedFd,
    temporary: Temporary,
    is_ours: impl FnOnce(&File, &Inode) -> bool,
) -> Result<Leftover, Errno> {
    let name = name_of(temporary.number);
    let Some(inode) = Inode::of_name(directory, &name)? else {
        return Ok(Leftover::Gone);
    };
    let made_by_us = || inode.id().inode() == temporary.inode;
    let known = || {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        fs::openat(directory, &name, flags, Mode::empty())
            .is_ok_and(|file| is_ours(&File::from(file), &inode))
    };
    if inode.kind != FileType::RegularFile || !(made_by_us() || known()) {
        return Ok(Leftover::NotOurs(name));
    }
    match fs::unlinkat(directory, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(Leftover::Gone),
        Err(errno) => Err(errno),
    }
}

fn name_of(number: u64) -> OsString {
    format!("{PREFIX}{number:016x}").into()
}

pub(super) fn changed(target: &Path) -> Failure {
    Failure::new(
        Reason::Conflict,
        format!(
            "{} was changed by somebody else while it was being replaced",
            target.display()
        ),
    )
    .with_help("it is tried again by itself; if it comes back, find out who else writes the file")
    .with_retry_after(Duration::from_secs(5))
}
