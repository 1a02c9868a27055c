//! The directory itself: found, made, and brought into its mode.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::look::{INHERITED, Sight};
use super::names;
use crate::failure::Failure;
use crate::names::SecretKey;
use crate::target::file::acl;
use crate::target::file::inode::Inode;
use crate::target::file::on_disk::OnDisk;
use crate::target::file::ownership::Ownership;
use crate::target::file::parents::{self, Missing, Trusted, Way};
use crate::target::file::refusal::refused;
use crate::target::file::staged::changed;

pub(super) enum Place {
    Directory(OwnedFd, Inode),
    Absent,
    Symlink,
    Other,
}

/// What is at the path.
pub(super) fn find(path: &Path, ownership: &Ownership) -> Result<Place, Failure> {
    let (_, name) = parents::split(path)?;
    let Way::Whole(parent) = parents::open(path, Missing::Stop, ownership)? else {
        return Ok(Place::Absent);
    };
    let failed = |errno| refused("read directory", path, errno);
    let Some(inode) = Inode::of_name(&parent, &name).map_err(failed)? else {
        return Ok(Place::Absent);
    };
    match inode.kind {
        FileType::Directory => {}
        FileType::Symlink => return Ok(Place::Symlink),
        FileType::RegularFile
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => return Ok(Place::Other),
    }
    let directory = open_directory(&parent, &name).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => changed(path),
        errno => failed(errno),
    })?;
    let inode = Inode::of_descriptor(&directory).map_err(failed)?;
    if inode.owner != geteuid().as_raw() {
        parents::check(trusted(), &directory, path)?;
    }
    Ok(Place::Directory(directory, inode))
}

/// To read names in it and to sync it; never through a link.
pub(super) fn open_directory(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

/// Opens the directory that was seen, or makes it where none was, and sees to it that nobody else writes in it.
pub(super) fn ready(
    disk: &OnDisk,
    seen: &Sight,
    keys: &BTreeSet<SecretKey>,
) -> Result<OwnedFd, Failure> {
    let (path, dir_mode) = (&disk.path, disk.dir_mode);
    if seen.directory.is_none() {
        make(disk)?;
    }
    let Place::Directory(directory, inode) = find(path, &disk.ownership)? else {
        return Err(changed(path));
    };
    let failed = |errno| refused("set the mode of", path, errno);
    let same = match seen.directory {
        Some(id) => id == inode.id(),
        // Somebody may have been quicker; what is in theirs was not judged.
        None => names::list(&directory, 0).map_err(failed)?.is_some(),
    };
    if !same {
        return Err(changed(path));
    }
    if seen.is_shared(keys) {
        parents::check(trusted(), &directory, path)?;
        return Ok(directory);
    }
    if acl::is_there(&directory).map_err(failed)? {
        acl::remove(&directory).map_err(failed)?;
    }
    if is_astray(&inode, &disk.ownership) {
        disk.ownership.of_parents().give(&directory, path)?;
    }
    if inode.mode & !INHERITED != dir_mode {
        parents::set_mode(&directory, dir_mode, inode.mode & INHERITED).map_err(failed)?;
    }
    Ok(directory)
}

fn make(disk: &OnDisk) -> Result<(), Failure> {
    let (_, name) = parents::split(&disk.path)?;
    let parent = disk.made_way()?;
    let group = disk.ownership.of_parents();
    parents::make(&parent, (&name, &disk.path), disk.dir_mode, &group)
}

/// Whether it is ours and lets in another group than the one that is wanted.
pub(super) fn is_astray(inode: &Inode, ownership: &Ownership) -> bool {
    let group = ownership.group();
    inode.owner == geteuid().as_raw() && group.is_some_and(|group| group != inode.group)
}

/// A directory of files is ours, whoever else may read in it.
fn trusted() -> Trusted {
    Trusted {
        us: geteuid().as_raw(),
        owner: None,
    }
}
