//! A new generation before it is in place, and its swap.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::look::INHERITED;
use super::names::{self, Link};
use super::{DATA, place, sweep};
use crate::clock;
use crate::failure::Failure;
use crate::names::SecretKey;
use crate::secret::SecretBytes;
use crate::state::{Generation, Given, Temporary};
use crate::target::file::acl;
use crate::target::file::inode::{Id, Inode, Stamp};
use crate::target::file::on_disk::OnDisk;
use crate::target::file::parents;
use crate::target::file::refusal::refused;
use crate::target::file::staged::changed;

const ATTEMPTS: usize = 16;

/// A generation that nobody reads yet; removed when it is dropped before its swap.
pub(super) struct Staged<'a> {
    directory: &'a OwnedFd,
    disk: &'a OnDisk,
    target: &'a Path,
    number: u64,
    opened: OwnedFd,
    id: Id,
    generation: Generation,
    in_place: bool,
}

impl<'a> Staged<'a> {
    /// An empty directory that already has its mode.
    pub(super) fn create(
        directory: &'a OwnedFd,
        disk: &'a OnDisk,
        values: &BTreeMap<SecretKey, SecretBytes>,
    ) -> Result<Self, Failure> {
        let target = &disk.path;
        let failed = |errno| refused("make a generation in", target, errno);
        for _ in 0..ATTEMPTS {
            let number = fastrand::u64(..);
            let name = names::generation(number);
            match fs::mkdirat(directory, &name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(failed(errno)),
            }
            let opened = place::open_directory(directory, OsStr::new(&name)).map_err(failed)?;
            let inode = Inode::of_descriptor(&opened).map_err(failed)?;
            let staged = Self {
                directory,
                disk,
                target,
                number,
                opened,
                id: inode.id(),
                generation: Generation {
                    name,
                    inode: inode.id().inode(),
                    keys: values.keys().cloned().collect(),
                    given: disk
                        .ownership
                        .owner()
                        .map(|owner| Given { owner, seal: None }),
                },
                in_place: false,
            };
            // The ACL first: where there is one, the mode's group bits would open it.
            acl::remove_from_directory(&staged.opened).map_err(failed)?;
            disk.ownership.of_parents().give(&staged.opened, target)?;
            parents::set_mode(&staged.opened, disk.dir_mode, inode.mode & INHERITED)
                .map_err(failed)?;
            return Ok(staged);
        }
        Err(changed(target))
    }

    /// What the ledger has to know before there is content.
    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    pub(super) fn temporary(&self) -> Temporary {
        Temporary {
            number: self.number,
            inode: self.generation.inode,
            born: None,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Writes everything and waits until it lasts. Each file has its owner and mode before its first byte. Returns how they
    /// lie there.
    pub(super) fn fill(
        &self,
        values: &BTreeMap<SecretKey, SecretBytes>,
    ) -> Result<BTreeMap<SecretKey, Stamp>, Failure> {
        let failed = |errno| refused("write the new content of", self.target, errno);
        let mut files = BTreeMap::new();
        for (key, value) in values {
            files.insert(key.clone(), self.file(key, value)?);
        }
        fs::fsync(&self.opened).map_err(failed)?;
        Ok(files)
    }

    fn file(&self, key: &SecretKey, value: &SecretBytes) -> Result<Stamp, Failure> {
        let failed = |errno| refused("write the new content of", self.target, errno);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let closed = Mode::RUSR | Mode::WUSR;
        let file = fs::openat(&self.opened, key.as_str(), flags, closed).map_err(failed)?;
        let mut file = File::from(file);
        acl::remove(&file).map_err(failed)?;
        self.disk.ownership.give(&file, self.target)?;
        fs::fchmod(&file, Mode::from_raw_mode(self.disk.mode)).map_err(failed)?;
        file.write_all(value.expose())
            .and_then(|()| file.sync_all())
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let inode = Inode::of_descriptor(&file).map_err(failed)?;
        Ok(inode.stamp)
    }

    /// Makes `..data` lead to it, provided that it still is what was seen. Returns since when it does.
    pub(super) fn swap(mut self, seen: Option<&Link>) -> Result<Timestamp, Failure> {
        let failed = |errno| refused("swap", self.target, errno);
        let named = Inode::of_name(self.directory, OsStr::new(&self.generation.name));
        if named.map_err(failed)?.map(|inode| inode.id()) != Some(self.id) {
            return Err(changed(self.target));
        }
        let temporary = names::swap(self.number);
        fs::symlinkat(&self.generation.name, self.directory, &temporary).map_err(failed)?;
        let put = self.put(&temporary, seen);
        if put.is_err() {
            // What cannot be removed now is removed before the next write.
            let _ = fs::unlinkat(self.directory, &temporary, AtFlags::empty());
        }
        let at = put?;
        self.in_place = true;
        fs::fsync(self.directory)
            .map_err(|errno| refused("make lasting the swap of", self.target, errno))?;
        Ok(at)
    }

    fn put(&self, temporary: &str, seen: Option<&Link>) -> Result<Timestamp, Failure> {
        let failed = |errno| refused("swap", self.target, errno);
        let name = OsStr::new(DATA);
        let present = names::link_at(self.directory, name).map_err(failed)?;
        let is_free = present.is_some()
            || Inode::of_name(self.directory, name)
                .map_err(failed)?
                .is_none();
        if present.as_ref() != seen || !is_free {
            return Err(changed(self.target));
        }
        fs::renameat(self.directory, temporary, self.directory, DATA).map_err(failed)?;
        Ok(clock::now())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            // Likewise.
            let _ = sweep::generation(self.directory, &self.generation);
        }
    }
}
