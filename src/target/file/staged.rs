//! The new content before it is in place: a temporary file beside the target, and its swap.
//!
//! The ledger knows the temporary file's name and inode before its first byte is written, and, where the file system can
//! make a file without a name, before it has its name: a kill at any moment leaves nothing that the ledger does not know.
//! That is how what a killed process left is told from files of other people, whatever their names: nothing else is ever
//! removed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{self, Access, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::acl;
use super::inode::{Id, Inode, Stamp};
use super::label::Label;
use super::ownership::Ownership;
use super::refusal::refused;
use crate::clock;
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
    has_name: bool,
    in_place: bool,
}

/// What a file has beside its content.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    pub(super) mode: u32,
    pub(super) ownership: &'a Ownership,
    /// That of the file that is to be replaced.
    pub(super) label: Option<Label>,
}

impl Attributes<'_> {
    /// The ACL first: where there is one, the mode's group bits would open it. The mode last: until then only the owner
    /// can open the file, and no other group gets what is meant for the one that it is to have.
    fn give(&self, file: &File, target: &Path) -> Result<(), Failure> {
        let failed = |errno| refused("make a temporary file for", target, errno);
        acl::remove(file).map_err(failed)?;
        if let Some(label) = &self.label {
            label
                .put_on(file)
                .map_err(|errno| no_label(target, errno))?;
        }
        self.ownership.give(file, target)?;
        fs::fchmod(file, Mode::from_raw_mode(self.mode)).map_err(failed)
    }
}

fn no_label(target: &Path, errno: Errno) -> Failure {
    let fact = "give SELinux's label of the file that is replaced to the new content of";
    refused(fact, target, errno).with_help(
        "look for denials of `relabelfrom` and `relabelto` in the audit log, and allow them; or `restorecon` the file",
    )
}

/// A new file that nobody but us may open, and whether it has its name already: without one where that can be.
fn make(directory: &OwnedFd, name: &OsStr) -> Result<(File, bool), Errno> {
    let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
    match fs::openat(directory, ".", flags | OFlags::TMPFILE, mode) {
        // What cannot be named later would be of no use.
        Ok(descriptor) if proc_of(&descriptor).is_ok() => {
            return Ok((File::from(descriptor), false));
        }
        Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {}
        Err(errno) => return Err(errno),
    }
    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let descriptor = fs::openat(directory, name, flags, mode)?;
    Ok((File::from(descriptor), true))
}

impl<'a> Staged<'a> {
    /// An empty file that already has its owner and mode: there is no moment at which content is there and they are not.
    pub(super) fn create(
        directory: &'a OwnedFd,
        target: &'a Path,
        attributes: &Attributes<'_>,
    ) -> Result<Self, Failure> {
        let failed = |errno| refused("make a temporary file for", target, errno);
        for _ in 0..ATTEMPTS {
            let number = fastrand::u64(..);
            let name = name_of(number);
            let (file, has_name) = match make(directory, &name) {
                Ok(file) => file,
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            let inode = Inode::of_descriptor(&file).map_err(failed)?;
            let id = inode.id();
            let staged = Self {
                directory,
                target,
                name,
                file,
                id,
                temporary: Temporary {
                    number,
                    inode: id.inode(),
                    born: inode.file().born,
                },
                has_name,
                in_place: false,
            };
            attributes.give(&staged.file, target)?;
            return Ok(staged);
        }
        Err(changed(target))
    }

    /// Where it is until its swap.
    pub(super) fn path(&self) -> PathBuf {
        self.target.with_file_name(&self.name)
    }

    /// Which file it is, in which condition.
    pub(super) fn stamp(&self) -> Result<Stamp, Failure> {
        let inode = Inode::of_descriptor(&self.file)
            .map_err(|errno| refused("examine the new content of", self.target, errno))?;
        Ok(inode.stamp)
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
        match self.name_it().and_then(|()| self.is_named()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(changed(self.target)),
            Err(errno) => Err(refused("examine the new content of", self.target, errno)),
        }
    }

    /// Puts the file in place of what was seen there. What came since is left alone.
    /// Returns how it lies there, and since when.
    pub(super) fn swap(
        self,
        name: &OsStr,
        seen: Option<Stamp>,
    ) -> Result<(Inode, Timestamp), Failure> {
        let failed = |errno| refused("replace", self.target, errno);
        let present = Inode::of_name(self.directory, name).map_err(failed)?;
        if present.map(|inode| inode.stamp) != seen {
            return Err(changed(self.target));
        }
        self.put(name, seen)
    }

    /// The swap itself, exact also where somebody writes between the look and the rename.
    pub(super) fn put(
        mut self,
        name: &OsStr,
        seen: Option<Stamp>,
    ) -> Result<(Inode, Timestamp), Failure> {
        let flag = match seen {
            Some(_) => RenameFlags::EXCHANGE,
            None => RenameFlags::NOREPLACE,
        };
        let renamed = self.rename(name, flag);
        let mut at = clock::now();
        match renamed {
            Ok(()) => {
                if let Some(seen) = seen {
                    self.judge_displaced(name, seen)?;
                }
            }
            Err(Errno::EXIST | Errno::NOENT) => return Err(changed(self.target)),
            // Some network file systems cannot; the look a moment ago has to do.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                self.rename(name, RenameFlags::empty())
                    .map_err(|errno| refused("replace", self.target, errno))?;
                at = clock::now();
            }
            Err(errno) => return Err(refused("replace", self.target, errno)),
        }
        self.in_place = true;
        fs::fsync(self.directory)
            .map_err(|errno| refused("make lasting the new name of", self.target, errno))?;
        Ok((self.in_place_as(name)?, at))
    }

    /// The name has to lead to what was written: a directory that is swapped meanwhile, or a file system that is not
    /// what it seems, would make a lie of "delivered".
    pub(super) fn in_place_as(&self, name: &OsStr) -> Result<Inode, Failure> {
        let failed = |errno| refused("examine the new content of", self.target, errno);
        let named = Inode::of_name(self.directory, name).map_err(failed)?;
        let written = Inode::of_descriptor(&self.file).map_err(failed)?;
        match named {
            Some(named) if named.id() == written.id() => Ok(written),
            _ => Err(changed(self.target)),
        }
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

    /// Gives the file the name that the ledger knows.
    fn name_it(&mut self) -> Result<(), Errno> {
        if !self.has_name {
            let nameless = proc_of(&self.file)?;
            let follow = AtFlags::SYMLINK_FOLLOW;
            fs::linkat(fs::CWD, &nameless, self.directory, &self.name, follow)?;
            self.has_name = true;
        }
        Ok(())
    }

    fn is_named(&self) -> Result<bool, Errno> {
        let present = Inode::of_name(self.directory, &self.name)?;
        Ok(present.is_some_and(|inode| inode.id() == self.id && inode.links == 1))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if self.has_name && !self.in_place && self.is_named().unwrap_or(false) {
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
/// `is_ours` knows it, which is not given what we may not read.
pub(super) fn remove_leftover(
    directory: &OwnedFd,
    temporary: Temporary,
    is_ours: impl FnOnce(Option<&File>, &Inode) -> bool,
) -> Result<Leftover, Errno> {
    let name = name_of(temporary.number);
    let Some(inode) = Inode::of_name(directory, &name)? else {
        return Ok(Leftover::Gone);
    };
    let made_by_us = || inode.id().inode() == temporary.inode;
    let known = || {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match fs::openat(directory, &name, flags, Mode::empty()) {
            Ok(file) => is_ours(Some(&File::from(file)), &inode),
            Err(Errno::ACCESS | Errno::PERM) => is_ours(None, &inode),
            Err(_) => false,
        }
    };
    if inode.kind != FileType::RegularFile || !(made_by_us() || known()) {
        return Ok(Leftover::NotOurs(name));
    }
    match fs::unlinkat(directory, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(Leftover::Gone),
        Err(errno) => Err(errno),
    }
}

/// A path to what is open, if there is one: `/proc` may be absent.
fn proc_of(descriptor: impl AsFd) -> Result<String, Errno> {
    let path = format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd());
    fs::access(&path, Access::EXISTS).map(|()| path)
}

pub(super) fn name_of(number: u64) -> OsString {
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
