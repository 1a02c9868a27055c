//! The blocking half of a file target: every step that waits for the disk, each a whole operation.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::acl;
use super::inode::{self, Inode, Stamp};
use super::label::Label;
use super::ownership::Ownership;
use super::parents::{self, Missing, Way};
use super::refusal::refused;
use super::seats::FirstLook;
use super::staged::{Attributes, Leftover, Staged, changed, remove_leftover};
use super::{Rendered, Seen, directory};
use crate::clock;
use crate::config::Check;
use crate::decide;
use crate::decide::file::{Access, Content, Mend, Observed, Wanted};
use crate::decide::{Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::process::Errands;
use crate::secret::{Fingerprint, SecretBytes};
use crate::state::{FileDelivery, FileId, FileIntent, Mark, Placed, State, Temporary, Whose};

#[derive(Clone, Debug)]
pub(super) struct OnDisk {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) dir_mode: u32,
    /// As it was looked up for one operation.
    pub(super) ownership: Ownership,
    /// Whether what is somebody else's may be replaced.
    pub(super) adopt: bool,
    pub(super) check: Option<Check>,
    /// Of one operation, as far as it has a check.
    pub(super) errands: Errands,
    /// Whether somebody has to hear of a change.
    pub(super) tells: bool,
    pub(super) entry: EntryName,
    pub(super) state: Arc<State>,
    pub(super) first_look: FirstLook,
}

impl OnDisk {
    pub(super) fn look(&self) -> Result<Seen, Failure> {
        let absent = Seen {
            observed: Observed::Absent,
            inode: None,
            access: self.access(),
            set: None,
        };
        let (_, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = self.way(Missing::Stop)? else {
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
                let opened = fs::openat(&directory, &name, flags, Mode::empty());
                let readable = opened.is_ok();
                let (content, acl) = match opened {
                    Ok(descriptor) => {
                        let acl = acl::is_there(&descriptor).map_err(failed)?;
                        (self.content(&File::from(descriptor), &inode)?, acl)
                    }
                    // An ACL that somebody gave it has touched it, too.
                    Err(Errno::ACCESS | Errno::PERM) => (self.content_unread(&inode), false),
                    Err(Errno::NOENT | Errno::LOOP) => return Err(changed(&self.path)),
                    Err(errno) => return Err(failed(errno)),
                };
                Observed::Regular {
                    content,
                    mode: inode.mode,
                    acl,
                    owner: inode.owner,
                    group: inode.group,
                    links: inode.links,
                    id: inode.file(),
                    readable,
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
            inode: Some(inode),
            access: self.access(),
            set: None,
        })
    }

    /// The directory, on a way that only root, we and the file's owner can change.
    pub(super) fn way(&self, missing: Missing) -> Result<Way, Failure> {
        parents::open(&self.path, missing, &self.ownership)
    }

    pub(super) fn access(&self) -> Access {
        Access {
            mode: self.mode,
            owner: self.ownership.owner(),
            group: self.ownership.group(),
        }
    }

    /// What is in a file that we may not read, from what the ledger knows: a file of mode 0600 that was given to another
    /// owner is closed to us as long as we have no capability to read everything, which we do not want.
    fn content_unread(&self, inode: &Inode) -> Content {
        let Some(record) = self.state.file(&self.path) else {
            return Content::Unknown;
        };
        let untouched = |placed: &Placed| inode.is_as_placed(placed);
        // A number alone may be that of a file which somebody made since.
        let staged = |temporary: &Temporary| {
            let FileId { inode, born } = inode.file();
            temporary.inode == inode && born.is_some() && temporary.born == born
        };
        match record.delivered {
            Some(delivered) if record.placed.as_ref().is_some_and(untouched) => {
                Content::Of(delivered)
            }
            _ if record.temporary.as_ref().is_some_and(staged) => Content::Staged,
            _ => Content::Unknown,
        }
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
    /// Returns since when readers have it.
    pub(super) fn write(&self, content: &Rendered, seen: &Seen) -> Result<Timestamp, Failure> {
        let (_, name) = parents::split(&self.path)?;
        let directory = parents::reopen(&self.made_way()?)
            .map_err(|errno| refused("open the directory of", &self.path, errno))?;
        self.clear_leftover(&directory)?;
        let attributes = Attributes {
            mode: self.mode,
            ownership: &self.ownership,
            label: Label::of(&directory, &name),
        };
        let mut staged = Staged::create(&directory, &self.path, &attributes)?;
        self.state.set_file_intent(FileIntent {
            delivery: self.delivery(content.fingerprint, None),
            found: seen.fingerprint(),
            found_ours: self.was_carried_out(seen),
            temporary: staged.temporary(),
            mark: self.mark(content, seen),
        })?;
        staged.fill(&content.bytes)?;
        self.check(&staged)?;
        let (placed, at) = staged.swap(&name, seen.stamp())?;
        if let Observed::Regular { links: 2.., .. } = seen.observed {
            tracing::warn!(
                entry = %self.entry, path = %self.path.display(),
                help = "find it with `find / -xdev -inum`, or ask who made it",
                "the file had another name, which keeps what it held"
            );
        }
        let delivery = self.delivery(content.fingerprint, Some(&placed));
        self.state.set_file_delivered(delivery)?;
        Ok(at)
    }

    fn was_carried_out(&self, seen: &Seen) -> bool {
        let Observed::Regular { id, .. } = seen.observed else {
            return false;
        };
        decide::file::was_carried_out(self.state.file(&self.path).as_ref(), id)
    }

    /// The directory of the file. What is missing of the way is made where that is ours to do.
    pub(super) fn made_way(&self) -> Result<OwnedFd, Failure> {
        let here = match self.way(Missing::Stop)? {
            Way::Whole(directory) => return Ok(directory),
            Way::Until(_, here) => here,
        };
        self.check_missing(&here)?;
        let missing = Missing::Make {
            mode: self.dir_mode,
        };
        let Way::Whole(directory) = self.way(missing)? else {
            return Err(changed(&self.path));
        };
        let made = parents::below(&here, &self.path);
        self.state.set_directories_made(made)?;
        Ok(directory)
    }

    /// Whether what is missing of the way below `here` may be made.
    fn check_missing(&self, here: &Path) -> Result<(), Failure> {
        let missing = parents::below(here, &self.path);
        let not_ours = missing.iter().find(|path| !self.state.is_made(path));
        let record = self.state.file(&self.path);
        if decide::file::may_make(record.as_ref(), || not_ours.is_none()) {
            return Ok(());
        }
        let gone = not_ours.unwrap_or(&self.path).display();
        let fact = format!(
            "directory {gone} is gone, and it was not made by secretsyncd, so it is not made again"
        );
        let help = "make it again, with the owner and mode it had; the file is delivered as soon as it is there";
        Err(Failure::new(Reason::TargetMissing, fact).with_help(help))
    }

    /// That other bytes are in place is a change; other permissions around the same bytes are none.
    fn mark(&self, content: &Rendered, seen: &Seen) -> Option<Mark> {
        self.mark_of(seen.fingerprint() != Some(content.fingerprint))
    }

    pub(super) fn mark_of(&self, changes: bool) -> Option<Mark> {
        (self.tells && changes).then(|| Mark {
            id: fastrand::u64(..),
            since: clock::now(),
        })
    }

    /// Of a write that a crash cut short: its mark, where what it was to put in place is there.
    pub(super) fn cut_short(&self) -> Result<Option<Mark>, Failure> {
        let Some(record) = self.state.file(&self.path) else {
            return Ok(None);
        };
        let Some(mark) = record.marks.intended else {
            return Ok(None);
        };
        let found = if record.generations.is_empty() {
            self.look()?.fingerprint()
        } else {
            directory::fingerprint(self)?
        };
        Ok(Some(mark).filter(|_| record.intent.is_some() && found == record.intent))
    }

    /// Removes what an earlier write left behind: its temporary file, or the content that it replaced; or what an earlier
    /// removal had moved aside.
    pub(super) fn clear_leftover(&self, directory: &OwnedFd) -> Result<(), Failure> {
        let Some(record) = self.state.file(&self.path) else {
            return Ok(());
        };
        let Some(temporary) = record.temporary else {
            return Ok(());
        };
        if record.removing {
            return self.finish_removal(directory, (&record, temporary));
        }
        let is_ours = |file: Option<&File>, inode: &Inode| match file {
            Some(file) => inode::content(file, inode, self.state.fingerprint_key())
                .is_ok_and(|content| decide::file::was_put_there(&record, content)),
            None => record.placed.is_some_and(|it| inode.was_placed(&it)),
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
    fn record(
        &self,
        directory: &OwnedFd,
        fingerprint: Fingerprint,
        inode: &Inode,
    ) -> Result<(), Failure> {
        let whose = self.whose(fingerprint, inode);
        self.clear_leftover(directory)?;
        let delivery = FileDelivery {
            whose,
            ..self.delivery(fingerprint, Some(inode))
        };
        self.state.set_file_delivered(delivery)
    }

    /// Whose it is that holds `fingerprint`.
    fn whose(&self, fingerprint: Fingerprint, inode: &Inode) -> Whose {
        let record = self.state.file(&self.path);
        let found = (inode.file(), Content::Of(fingerprint));
        decide::file::whose(record.as_ref(), found, self.adopt)
    }

    /// Sets the permission bits of the file whose content was seen to be `fingerprint`.
    pub(super) fn set_mode(
        &self,
        fingerprint: Fingerprint,
        seen: Option<Stamp>,
    ) -> Result<(), Failure> {
        let (_, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = self.way(Missing::Stop)? else {
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
        let inode = Inode::of_descriptor(&file).map_err(failed)?;
        self.record(&directory, fingerprint, &inode)
    }

    /// Records what was found to be in place already, unless the ledger says so.
    pub(super) fn settle(&self, fingerprint: Fingerprint, seen: &Seen) -> Result<(), Failure> {
        let Some(inode) = &seen.inode else {
            return Err(changed(&self.path));
        };
        let whose = self.whose(fingerprint, inode);
        let settled = self.state.file(&self.path).is_some_and(|record| {
            record.entry == self.entry
                && record.delivered == Some(fingerprint)
                && record.intent.is_none()
                && record.mode == self.mode
                && record.placed == Some(inode.placed(&self.ownership))
                && !record.left
                && !record.removing
                && record.adopted.is_none()
                && record.whose == whose
        });
        if settled {
            return Ok(());
        }
        match self.way(Missing::Stop)? {
            Way::Whole(directory) => self.record(&directory, fingerprint, inode),
            Way::Until(..) => Err(changed(&self.path)),
        }
    }

    pub(super) fn drift(&self) -> Result<Option<Drift>, Failure> {
        let seen = self.look().and_then(|seen| self.drift_of(&seen));
        self.sweep();
        let drift = seen?;
        if drift == Some(Drift::Missing)
            && let Way::Until(_, here) = self.way(Missing::Stop)?
        {
            self.check_missing(&here)?;
        }
        Ok(drift)
    }

    /// Removes what a killed write left, also where nothing is to be written now. What cannot be removed is left for the
    /// next write, which fails over it.
    fn sweep(&self) {
        if self
            .state
            .file(&self.path)
            .is_some_and(|it| it.temporary.is_some())
            && let Ok(Way::Whole(directory)) = self.way(Missing::Stop)
        {
            let _ = self.clear_leftover(&directory);
        }
    }

    fn drift_of(&self, seen: &Seen) -> Result<Option<Drift>, Failure> {
        let record = self.state.file(&self.path);
        decide::file::drift(&self.path, &seen.observed, record.as_ref(), &seen.access)
    }

    /// Puts owner, mode, ACL and the number of names back where nothing else drifted.
    pub(super) fn repair_mode(&self) -> Result<Effect, Failure> {
        let seen = self.look()?;
        let content = match (self.drift_of(&seen)?, seen.fingerprint()) {
            (Some(Drift::Metadata), Some(content)) => content,
            (None, _) => return Ok(Effect::Unchanged),
            _ => return Err(changed(&self.path)),
        };
        let record = self.state.file(&self.path);
        let wanted = Wanted {
            fingerprint: content,
            access: seen.access,
            adopt: self.adopt,
        };
        decide::file::may_mend(&self.path, &seen.observed, record.as_ref(), &wanted)?;
        match decide::file::mend(&seen.observed, record.as_ref(), &seen.access) {
            Some(Mend::Afresh) => {
                self.write(&self.copied(content)?, &seen)?;
            }
            Some(Mend::InPlace) => self.set_mode(content, seen.stamp())?,
            None => return Ok(Effect::Unchanged),
        }
        Ok(decide::file::access_effect(record.as_ref(), &seen.access))
    }

    /// The file's own bytes, for a fresh file without what opened the old one.
    fn copied(&self, fingerprint: Fingerprint) -> Result<Rendered, Failure> {
        let (_, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = self.way(Missing::Stop)? else {
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
        Ok(Rendered::of(bytes, fingerprint))
    }

    /// The bytes at the path, and whether they are what we delivered there; `None` where there is no file.
    pub(super) fn bytes(&self) -> Result<Option<(SecretBytes, bool)>, Failure> {
        let (_, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = self.way(Missing::Stop)? else {
            return Ok(None);
        };
        let failed = |errno| refused("read", &self.path, errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(&directory, &name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::ACCESS) if self.ownership.owner().is_some() => {
                return Err(failed(Errno::ACCESS).with_help(
                    "it was given to its `owner`, and its mode lets nobody else read it: set a `group` that secretsyncd is \
                     a member of and mode \"0640\"",
                ));
            }
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
        Ok(Some((bytes, self.is_ours(found))))
    }

    /// Whether that content is what this entry delivered.
    pub(super) fn is_ours(&self, found: Content) -> bool {
        let record = self.state.file(&self.path);
        record.is_some_and(|record| {
            record.entry == self.entry
                && !record.left
                && decide::file::was_put_there(&record, found)
        })
    }

    pub(super) fn probe(&self) -> Result<(), Failure> {
        let (parent, _) = parents::split(&self.path)?;
        match self.way(Missing::Stop)? {
            Way::Whole(directory) => parents::check_writable(&directory, &parent)?,
            Way::Until(directory, path) => {
                self.check_missing(&path)?;
                return parents::check_writable(&directory, &path);
            }
        }
        let seen = self.look()?;
        self.drift_of(&seen).map(|_| ())
    }

    fn delivery(&self, fingerprint: Fingerprint, placed: Option<&Inode>) -> FileDelivery {
        FileDelivery {
            path: self.path.clone(),
            entry: self.entry.clone(),
            fingerprint,
            mode: self.mode,
            placed: placed.map(|inode| inode.placed(&self.ownership)),
            generations: Vec::new(),
            whose: Whose::Ours,
        }
    }
}
