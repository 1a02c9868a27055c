//! Taking away what was delivered: by the policy of a target, or because no entry writes it any more.
//!
//! Carries out what [`decide::file::removal`] says, on the very file that was judged.
//! Directories stay, also those that we made: an empty one holds no secret, and somebody may have set it up meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use tokio::sync::Semaphore;

use super::aside::{Aside, Interrupted};
use super::inode::{self, Id, Inode};
use super::on_disk::OnDisk;
use super::ownership::Ownership;
use super::parents::{self, Missing, Way};
use super::refusal::refused;
use super::seats::{Seats, Turn};
use super::{FileTarget, Seen, directory, waiting};
use crate::config::FileFormat;
use crate::decide;
use crate::decide::file::removal::{Found, Removal, delete, orphaned};
use crate::decide::file::was_put_there;
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::process::Errands;
use crate::state::{FileRecord, FileRemoval, Grounds, State, Temporary};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    Deleted,
    /// It was not there any more.
    AlreadyGone,
}

/// What a target has at its path: each kind has its own proof of what is ours, and its own way to take it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OneFile,
    Directory,
}

impl Kind {
    fn of(format: &FileFormat) -> Self {
        match format {
            FileFormat::Raw { .. }
            | FileFormat::Dotenv(_)
            | FileFormat::Json
            | FileFormat::Yaml
            | FileFormat::Properties => Self::OneFile,
            FileFormat::Directory => Self::Directory,
        }
    }
}

impl FileTarget {
    /// Takes away what was delivered, as far as it is proven to be ours. `configured`: keeps the configuration what it is
    /// until the removal is known, and can be called off.
    pub async fn remove<T>(&self, configured: T) -> Result<Removed, Failure> {
        let removals = self.disk.state.file_removals();
        let (removal, _awaited) = removals.begin(&self.spec.path, Grounds::Policy);
        drop(configured);
        let kind = Kind::of(&self.spec.format);
        self.on_disk(move |disk| match kind {
            Kind::OneFile => disk.remove(Grounds::Policy, &removal),
            Kind::Directory => disk.remove_set(Grounds::Policy, &removal),
        })
        .await
    }

    /// Whether it would be taken away; nothing is.
    pub async fn would_remove(&self) -> Result<Removal, Failure> {
        match Kind::of(&self.spec.format) {
            Kind::OneFile => {
                self.on_disk(|disk| disk.judge_removal(Grounds::Policy, &disk.look()?))
                    .await
            }
            Kind::Directory => self.on_disk(|disk| disk.judge_set(Grounds::Policy)).await,
        }
    }
}

/// A file that was delivered and that no entry writes any more.
#[derive(Debug)]
pub struct LeftFile {
    disk: Arc<OnDisk>,
    busy: Arc<Turn>,
    seats: Arc<Semaphore>,
}

impl LeftFile {
    pub fn new(path: PathBuf, entry: EntryName, state: Arc<State>, seats: &Seats) -> Self {
        let first_look = seats.first_look(&path);
        // Whoever it was given to may own the directory.
        let record = state.file(&path);
        let owner = record.and_then(|record| record.given_to());
        let (busy, seats) = (seats.turn(&path), seats.beside(&path));
        let disk = OnDisk {
            path,
            // Nothing is ever made of it.
            mode: 0,
            dir_mode: 0,
            ownership: Ownership::trusting(owner),
            adopt: false,
            check: None,
            errands: Errands::default(),
            tells: false,
            first_look,
            entry,
            state,
        };
        Self {
            disk: Arc::new(disk),
            busy,
            seats,
        }
    }

    pub fn path(&self) -> &Path {
        &self.disk.path
    }

    /// Takes it away, as far as it is proven to be ours. `configured`: as of a target.
    pub async fn remove<T>(&self, configured: T) -> Result<Removed, Failure> {
        let removals = self.disk.state.file_removals();
        let (removal, _awaited) = removals.begin(self.path(), Grounds::Orphaned);
        drop(configured);
        let place = (&self.disk, &self.busy, &self.seats);
        waiting::on_disk(place, move |disk| {
            let record = disk.state.file(&disk.path);
            if record.is_some_and(|record| !record.generations.is_empty()) {
                disk.remove_set(Grounds::Orphaned, &removal)
            } else {
                disk.remove(Grounds::Orphaned, &removal)
            }
        })
        .await
    }

    /// Whether writes or removals may have left something beside what readers find.
    pub fn has_leftovers(&self) -> bool {
        let record = self.disk.state.orphaned_file(self.path());
        record.is_some_and(|it| it.temporary.is_some() || it.generations.len() > 1)
    }

    /// Takes that away; what readers find stays.
    pub async fn sweep(&self) -> Result<(), Failure> {
        let place = (&self.disk, &self.busy, &self.seats);
        waiting::on_disk(place, |disk| {
            let Some(record) = disk.state.orphaned_file(&disk.path) else {
                return Ok(());
            };
            if !record.generations.is_empty() {
                return directory::sweep_left(disk, &record);
            }
            let Way::Whole(directory) = disk.way(Missing::Stop)? else {
                return Ok(());
            };
            let failed = |errno| refused("clear leftovers beside", &disk.path, errno);
            disk.clear_leftover(&parents::reopen(&directory).map_err(failed)?)
        })
        .await
    }
}

impl OnDisk {
    fn remove(&self, grounds: Grounds, removal: &FileRemoval) -> Result<Removed, Failure> {
        let (parent, name) = parents::split(&self.path)?;
        let Way::Whole(directory) = self.way(Missing::Stop)? else {
            return self.forget().map(|()| Removed::AlreadyGone);
        };
        let failed = |errno| refused("remove", &self.path, errno);
        let directory = parents::reopen(&directory).map_err(failed)?;
        self.clear_leftover(&directory)?;
        let seen = self.look()?;
        let (Removal::Remove { inode }, Some(stamp)) =
            (self.judge_removal(grounds, &seen)?, seen.stamp())
        else {
            // An earlier removal may have been broken off before this.
            fs::fsync(&directory).map_err(failed)?;
            return self.forget().map(|()| Removed::AlreadyGone);
        };
        // What cannot be done is not announced: it would cast doubt on the file.
        parents::check_writable(&directory, &parent)?;
        if !removal.becomes_certain() {
            return Err(too_late(&self.path));
        }
        let aside = Aside::name_for(inode);
        self.state.set_file_removal(self.path.clone(), aside)?;
        self.aside(&directory, (&name, aside)).take(stamp)?;
        self.forget().map(|()| Removed::Deleted)
    }

    /// The ledger is asked after the disk: while that was slow, the configuration may have become another one.
    fn judge_removal(&self, grounds: Grounds, seen: &Seen) -> Result<Removal, Failure> {
        let found = Found {
            path: &self.path,
            observed: &seen.observed,
            inode: seen.stamp().map(|stamp| stamp.id().inode()),
        };
        match grounds {
            Grounds::Policy => {
                let record = self.state.file(&self.path);
                delete(&self.entry, record.as_ref(), found)
            }
            Grounds::Orphaned => {
                let Some(record) = self.state.orphaned_file(&self.path) else {
                    return match self.state.file(&self.path) {
                        // Somebody else who was asked has done it.
                        None => Ok(Removal::Gone),
                        Some(_) => Err(written_again(&self.path)),
                    };
                };
                let removal = orphaned(&record, found)?;
                self.is_no_other_target(seen)?;
                Ok(removal)
            }
        }
    }

    /// Of a directory of files what we made goes, and nothing else; the directory stays.
    fn remove_set(&self, grounds: Grounds, removal: &FileRemoval) -> Result<Removed, Failure> {
        if self.judge_set(grounds)? == Removal::Gone {
            return self.forget().map(|()| Removed::AlreadyGone);
        }
        directory::remove((&self.path, &self.ownership), &self.state, || {
            removal.becomes_certain()
        })?;
        self.forget().map(|()| Removed::Deleted)
    }

    /// As of a file.
    fn judge_set(&self, grounds: Grounds) -> Result<Removal, Failure> {
        let seen = directory::look(&self.path, &self.state, &self.ownership)?;
        let found = seen.found(&self.path);
        match grounds {
            Grounds::Policy => {
                let record = self.state.file(&self.path);
                decide::directory::removal::delete(&self.entry, record.as_ref(), &found)
            }
            Grounds::Orphaned => {
                let Some(record) = self.state.orphaned_file(&self.path) else {
                    return match self.state.file(&self.path) {
                        // Somebody else who was asked has done it.
                        None => Ok(Removal::Gone),
                        Some(_) => Err(written_again(&self.path)),
                    };
                };
                self.is_no_other_set()?;
                decide::directory::removal::orphaned(&record, &found)
            }
        }
    }

    /// One directory may be mounted at two places, as when a target's path became another one.
    fn is_no_other_target(&self, seen: &Seen) -> Result<(), Failure> {
        let (Some(name), Some(stamp)) = (self.path.file_name(), seen.stamp()) else {
            return Ok(());
        };
        is_none_of(self.state.files_called(name), stamp.id())
    }

    /// A directory itself may be mounted under another name.
    fn is_no_other_set(&self) -> Result<(), Failure> {
        let failed = |errno| refused("examine", &self.path, errno);
        match Inode::of_name(fs::CWD, self.path.as_os_str()) {
            Ok(Some(inode)) => is_none_of(self.state.configured_files(), inode.id()),
            Ok(None) | Err(Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// What a removal was about to take away when it was broken off.
    pub(super) fn finish_removal(
        &self,
        directory: &OwnedFd,
        (record, aside): (&FileRecord, Temporary),
    ) -> Result<(), Failure> {
        let (_, name) = parents::split(&self.path)?;
        let was_to_go = |aside: &OsStr, inode: &Inode| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let opened = fs::openat(directory, aside, flags, Mode::empty()).map(File::from);
            opened.is_ok_and(|file| {
                let content = inode::content(&file, inode, self.state.fingerprint_key());
                content.is_ok_and(|content| was_put_there(record, content))
            })
        };
        match self.aside(directory, (&name, aside)).finish(was_to_go) {
            Ok(Interrupted::Over) => {}
            Ok(Interrupted::NotOurs(aside)) => tracing::warn!(
                entry = %self.entry, path = %self.path.with_file_name(aside).display(),
                "a removal that was broken off had moved a file aside that is not ours; it stays there"
            ),
            Err(errno) => return Err(refused("clear leftovers beside", &self.path, errno)),
        }
        Ok(())
    }

    fn aside<'a>(
        &'a self,
        directory: &'a OwnedFd,
        (name, aside): (&'a OsStr, Temporary),
    ) -> Aside<'a> {
        Aside {
            directory,
            target: &self.path,
            name,
            temporary: aside,
        }
    }

    /// What is away is known no more.
    fn forget(&self) -> Result<(), Failure> {
        match self.state.file(&self.path) {
            Some(record) => self.state.forget_file(self.path.clone(), record),
            None => Ok(()),
        }
    }
}

fn is_none_of(configured: Vec<PathBuf>, id: Id) -> Result<(), Failure> {
    for other in configured {
        let found = match Inode::of_name(fs::CWD, other.as_os_str()) {
            Ok(found) => found,
            Err(Errno::NOTDIR) => None,
            Err(errno) => return Err(refused("examine", &other, errno)),
        };
        if found.is_some_and(|inode| inode.id() == id) {
            let fact = format!(
                "{} is that very file or directory, which this configuration writes, so it is not removed",
                other.display()
            );
            return Err(Failure::new(Reason::Conflict, fact)
                .with_help("there is nothing to remove: both paths lead to one place"));
        }
    }
    Ok(())
}

/// Whoever wanted it gone waits no more, and may have wanted something else since.
pub(super) fn too_late(path: &Path) -> Failure {
    let fact = format!(
        "the disk that holds {} answered too late, so it is not removed",
        path.display()
    );
    Failure::new(Reason::Timeout, fact)
        .with_help("where it still has to go, it is tried again by itself")
}

fn written_again(path: &Path) -> Failure {
    let fact = format!(
        "an entry writes {} again, so it is not removed",
        path.display()
    );
    Failure::new(Reason::Conflict, fact).with_help(
        "there is nothing to do where that entry is meant to write it; else take the target out of the entry, and prune",
    )
}
