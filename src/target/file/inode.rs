//! What is behind a name or a descriptor: kind, owner, mode, and which inode it is in which condition.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use jiff::Timestamp;
use rustix::fs::{self, AtFlags, FileType, StatxFlags};
use rustix::io::Errno;

use super::format::MAX_FILE_BYTES;
use super::ownership::Ownership;
use crate::decide::file::Content;
use crate::secret::{FingerprintKey, SecretBytes};
use crate::state::{FileId, Placed};

#[derive(Clone, Copy, Debug)]
pub(super) struct Inode {
    pub(super) kind: FileType,
    /// All twelve bits.
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) links: u32,
    born: Option<(i64, u32)>,
    pub(super) stamp: Stamp,
}

/// Which inode, and when it was last touched. Equal stamps: the same file, unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    id: Id,
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

/// Which inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    device: (u32, u32),
    inode: u64,
}

impl Inode {
    /// What the name is, a symbolic link not followed; nothing when it is absent.
    pub(super) fn of_name(directory: impl AsFd, name: &OsStr) -> Result<Option<Self>, Errno> {
        match Self::stat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(inode) => Ok(Some(inode)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn of_descriptor(descriptor: impl AsFd) -> Result<Self, Errno> {
        Self::stat(descriptor, OsStr::new(""), AtFlags::EMPTY_PATH)
    }

    fn stat(at: impl AsFd, name: &OsStr, flags: AtFlags) -> Result<Self, Errno> {
        let found = fs::statx(at, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        let mode = u32::from(found.stx_mode);
        Ok(Self {
            kind: FileType::from_raw_mode(mode),
            mode: mode & 0o7777,
            owner: found.stx_uid,
            group: found.stx_gid,
            links: found.stx_nlink,
            born: (found.stx_mask & StatxFlags::BTIME.bits() != 0)
                .then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec)),
            stamp: Stamp {
                id: Id {
                    device: (found.stx_dev_major, found.stx_dev_minor),
                    inode: found.stx_ino,
                },
                size: found.stx_size,
                modified: (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
                changed: (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec),
            },
        })
    }

    pub(super) fn id(&self) -> Id {
        self.stamp.id
    }

    /// Which file it is, for longer than this machine runs.
    pub(super) fn file(&self) -> FileId {
        FileId {
            inode: self.id().inode(),
            born: self.born,
        }
    }
}

impl Id {
    /// Its number, which stays the same when the machine starts again; the device's may not.
    pub(super) fn inode(self) -> u64 {
        self.inode
    }
}

impl Stamp {
    /// When the content was last written.
    pub(super) fn modified(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.modified.0).ok()
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// All of it that stays the same when the machine starts again.
    pub(super) fn lasting(&self) -> Vec<u8> {
        let Self {
            id,
            size,
            modified,
            changed,
        } = self;
        let mut bytes = Vec::with_capacity(40);
        bytes.extend([id.inode, *size].map(u64::to_be_bytes).concat());
        for (seconds, nanoseconds) in [modified, changed] {
            bytes.extend(seconds.to_be_bytes());
            bytes.extend(nanoseconds.to_be_bytes());
        }
        bytes
    }

    /// The same file with the same content, although it may have been renamed, which counts as a change of the inode.
    pub(super) fn is_unwritten_since(&self, before: &Self) -> bool {
        (self.id, self.size, self.modified) == (before.id, before.size, before.modified)
    }
}

impl Inode {
    /// What the ledger keeps of a delivered file.
    pub(super) fn placed(&self, ownership: &Ownership) -> Placed {
        let Stamp {
            id,
            size,
            modified,
            changed,
        } = self.stamp;
        Placed {
            inode: id.inode,
            born: self.born,
            size,
            modified,
            changed,
            owner: self.owner,
            group: self.group,
            owner_named: ownership.owner().is_some(),
            group_named: ownership.group().is_some(),
        }
    }

    /// Whether nobody touched it since it was delivered: its times cannot be set to what they were, and the last of them
    /// not at all.
    pub(super) fn is_as_placed(&self, placed: &Placed) -> bool {
        self.was_placed(placed) && self.stamp.changed == placed.changed
    }

    /// Whether it is what was delivered, by all that a rename leaves alone.
    pub(super) fn was_placed(&self, placed: &Placed) -> bool {
        (self.stamp.id.inode, self.stamp.size, self.stamp.modified)
            == (placed.inode, placed.size, placed.modified)
    }
}

/// The fingerprint of what an open regular file holds, up to the largest file that we would have written.
pub(super) fn content(
    file: &File,
    inode: &Inode,
    key: &FingerprintKey,
) -> Result<Content, std::io::Error> {
    let bytes = bytes(file, inode)?;
    Ok(bytes.map_or(Content::Unknown, |bytes| {
        Content::Of(key.of([bytes.expose()]))
    }))
}

/// What an open regular file holds, up to the largest file that we would have written.
pub(super) fn bytes(file: &File, inode: &Inode) -> Result<Option<SecretBytes>, std::io::Error> {
    let limit = MAX_FILE_BYTES as u64;
    if inode.stamp.size > limit {
        return Ok(None);
    }
    let size = usize::try_from(inode.stamp.size).unwrap_or(MAX_FILE_BYTES);
    let mut bytes = Vec::with_capacity(size + 1);
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    // Wiped also when reading failed half-way.
    let bytes = SecretBytes::new(bytes);
    read?;
    if bytes.len() > MAX_FILE_BYTES {
        return Ok(None);
    }
    Ok(Some(bytes))
}
