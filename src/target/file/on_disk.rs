//! The blocking half of a file target: every step that waits for the disk, each a whole operation.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::acl;
use super::inode::{self, Inode, Stamp};
use super::parents::{self, Missing, Way};
use super::refusal::refused;
use super::staged::{Leftover, Staged, changed, remove_leftover};
use super::{Rendered, Seen};
use crate::decide;
use crate::decide::file::{Content, Observed};
use crate::decide::{Drift, Effect};
use crate::failure::Failure;
use crate::names::EntryName;
use crate::secret::{Fingerprint, SecretBytes};
use crate::state::{FileDelivery, FileIntent, State};

#[derive(Debug)]
pub(super) struct OnDisk {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) dir_mode: u32,
    pub(super) entry: EntryName,
    pub(super) state: Arc<State>,
}

impl OnDisk {
    pub(super) fn look(&self) -> Result<Seen, Failure> {
        let absent = Seen {
            observed: Observed::Absent,
            stamp: None,
        };
        let (_, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = parents::open(&self.path, Missing::Stop)? else {
            return Ok(absent);
        };
        let failed = |errno| refused("read", &self.path, errno);
        let Some(inode) = Inode::of_name(&directory, &name).map_err(failed)? else {
            return Ok(absent);
        };
        let observed = match inode.kind {
            FileType::Symlink => Observed::Symlink,
            FileType::Directory => Observed::Directory,
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let (content, acl) = match fs::openat(&directory, &name, flags, Mode::empty()) {
                    Ok(descriptor) => {
                        let acl = acl::is_there(&descriptor).map_err(failed)?;
                        (self.content(&File::from(descriptor), &inode)?, acl)
                    }
                    Err(Errno::ACCESS | Errno::PERM) => (Content::Unknown, false),
                    Err(Errno::NOENT | Errno::LOOP) => return Err(changed(&self.path)),
                    Err(errno) => return Err(failed(errno)),
                };
                Observed::Regular {
                    content,
                    mode: inode.mode,
                    acl,
                    links: inode.links,
                }
            }
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Observed::Other,
        };
        Ok(Seen {
            observed,
            stamp: Some(inode.stamp),
        })
    }

    fn content(&self, file: &File, inode: &Inode) -> Result<Content, Failure> {
        let failed = |errno| refused("read", &self.path, errno);
        let opened = Inode::of_descriptor(file).map_err(failed)?;
        if opened.id() != inode.id() {
            return Err(changed(&self.path));
        }
        inode::content(file, inode, self.state.fingerprint_key())
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    /// Replaces the file in one step. Until the rename, nothing that is in place is touched; the intent is recorded
    /// before it, so that a crash at any moment leaves either the old file or a new one that we recognise.
    pub(super) fn write(&self, content: &Rendered, seen: &Seen) -> Result<(), Failure> {
        let (_, name) = parents::split(&self.path)?;
        let missing = Missing::Make {
            mode: self.dir_mode,
        };
        let Way::Whole(directory) = parents::open(&self.path, missing)? else {
            return Err(changed(&self.path));
        };
        let directory = parents::reopen(&directory)
            .map_err(|errno| refused("open the directory of", &self.path, errno))?;
        self.clear_leftover(&directory)?;
        let mut staged = Staged::create(&directory, &self.path, self.mode)?;
        let delivery = self.delivery(content.fingerprint);
        self.state.set_file_intent(FileIntent {
            delivery: delivery.clone(),
            found: seen.fingerprint(),
            temporary: staged.temporary(),
        })?;
        staged.fill(&content.bytes)?;
        staged.swap(&name, seen.stamp)?;
        self.state.set_file_delivered(delivery)
    }

    /// Removes what an earlier write left behind: its temporary file, or the content that it replaced.
    fn clear_leftover(&self, directory: &OwnedFd) -> Result<(), Failure> {
        let Some(record) = self.state.file(&self.path) else {
            return Ok(());
        };
        let Some(temporary) = record.temporary else {
            return Ok(());
        };
        let is_ours = |file: &File, inode: &Inode| {
            inode::content(file, inode, self.state.fingerprint_key())
                .is_ok_and(|content| decide::file::was_put_there(&record, content))
        };
        match remove_leftover(directory, temporary, is_ours) {
            Ok(Leftover::Gone) => {}
            Ok(Leftover::NotOurs(name)) => tracing::warn!(
                entry = %self.entry, path = %self.path.with_file_name(name).display(),
                "a write that was broken off left a file with content that is not ours; it stays"
            ),
            Err(errno) => return Err(refused("clear leftovers beside", &self.path, errno)),
        }
        Ok(())
    }

    /// Records what is in place, when nothing of an earlier write is left beside it.
    fn record(&self, directory: &OwnedFd, fingerprint: Fingerprint) -> Result<(), Failure> {
        self.clear_leftover(directory)?;
        self.state.set_file_delivered(self.delivery(fingerprint))
    }

    /// Sets the permission bits of the file whose content was seen to be `fingerprint`.
    pub(super) fn set_mode(
        &self,
        fingerprint: Fingerprint,
        seen: Option<Stamp>,
    ) -> Result<(), Failure> {
        let (_, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = parents::open(&self.path, Missing::Stop)? else {
            return Err(changed(&self.path));
        };
        let failed = |errno| refused("set the mode of", &self.path, errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&directory, &name, flags, Mode::empty()).map_err(failed)?;
        let inode = Inode::of_descriptor(&file).map_err(failed)?;
        if inode.kind != FileType::RegularFile || Some(inode.stamp) != seen {
            return Err(changed(&self.path));
        }
        fs::fchmod(&file, Mode::from_raw_mode(self.mode))
            .and_then(|()| fs::fsync(&file))
            .map_err(failed)?;
        self.record(&directory, fingerprint)
    }

    /// Records what was found to be in place already, unless the ledger says so.
    pub(super) fn settle(&self, fingerprint: Fingerprint) -> Result<(), Failure> {
        let settled = self.state.file(&self.path).is_some_and(|record| {
            record.entry == self.entry
                && record.delivered == Some(fingerprint)
                && record.intent.is_none()
                && record.mode == self.mode
                && !record.left
        });
        if settled {
            return Ok(());
        }
        match parents::open(&self.path, Missing::Stop)? {
            Way::Whole(directory) => self.record(&directory, fingerprint),
            Way::Until(..) => Err(changed(&self.path)),
        }
    }

    pub(super) fn drift(&self) -> Result<Option<Drift>, Failure> {
        let seen = self.look()?;
        self.drift_of(&seen)
    }

    fn drift_of(&self, seen: &Seen) -> Result<Option<Drift>, Failure> {
        let record = self.state.file(&self.path);
        decide::file::drift(&self.path, &seen.observed, record.as_ref(), self.mode)
    }

    /// Puts mode and ACL back where nothing else drifted.
    pub(super) fn repair_mode(&self) -> Result<Effect, Failure> {
        let seen = self.look()?;
        let (content, acl) = match (self.drift_of(&seen)?, seen.observed) {
            (
                Some(Drift::Metadata),
                Observed::Regular {
                    content: Content::Of(content),
                    acl,
                    ..
                },
            ) => (content, acl),
            (None, _) => return Ok(Effect::Unchanged),
            _ => return Err(changed(&self.path)),
        };
        let record = self.state.file(&self.path);
        let effect = decide::file::mode_effect(record.as_ref(), self.mode);
        if acl {
            self.write(&self.copied(content)?, &seen)?;
        } else {
            self.set_mode(content, seen.stamp)?;
        }
        Ok(effect)
    }

    /// The file's own bytes, for a fresh file without what opened the old one.
    fn copied(&self, fingerprint: Fingerprint) -> Result<Rendered, Failure> {
        let (_, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = parents::open(&self.path, Missing::Stop)? else {
            return Err(changed(&self.path));
        };
        let failed = |errno| refused("read", &self.path, errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&directory, &name, flags, Mode::empty()).map_err(failed)?;
        let file = File::from(file);
        let inode = Inode::of_descriptor(&file).map_err(failed)?;
        let bytes = inode::bytes(&file, &inode)
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?
            .filter(|bytes| self.state.fingerprint_key().of([bytes.expose()]) == fingerprint)
            .ok_or_else(|| changed(&self.path))?;
        Ok(Rendered {
            bytes: Arc::new(bytes),
            fingerprint,
        })
    }

    /// The bytes at the path, and whether they are what we delivered there; `None` where there is no file.
    pub(super) fn bytes(&self) -> Result<Option<(SecretBytes, bool)>, Failure> {
        let (_, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = parents::open(&self.path, Missing::Stop)? else {
            return Ok(None);
        };
        let failed = |errno| refused("read", &self.path, errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&directory, &name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let inode = Inode::of_descriptor(&file).map_err(failed)?;
        if inode.kind != FileType::RegularFile {
            return Err(changed(&self.path));
        }
        let bytes = inode::bytes(&file, &inode)
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?
            .ok_or_else(|| changed(&self.path))?;
        let found = Content::Of(self.state.fingerprint_key().of([bytes.expose()]));
        let record = self.state.file(&self.path);
        let ours = record.is_some_and(|record| {
            record.entry == self.entry
                && !record.left
                && decide::file::was_put_there(&record, found)
        });
        Ok(Some((bytes, ours)))
    }

    pub(super) fn probe(&self) -> Result<(), Failure> {
        let (parent, _) = parents::split(&self.path)?;
        match parents::open(&self.path, Missing::Stop)? {
            Way::Whole(directory) => parents::check_writable(&directory, &parent)?,
            Way::Until(directory, path) => return parents::check_writable(&directory, &path),
        }
        let seen = self.look()?;
        self.drift_of(&seen).map(|_| ())
    }

    fn delivery(&self, fingerprint: Fingerprint) -> FileDelivery {
        FileDelivery {
            path: self.path.clone(),
            entry: self.entry.clone(),
            fingerprint,
            mode: self.mode,
        }
    }
}
