//! The state directory itself: who may own it, and who holds it.
//!
//! Every file is opened relative to the directory's descriptor and never through a symbolic link, so that nobody who
//! can write somewhere above it decides what is read or overwritten.

use std::fs::{DirBuilder, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::OpenError;
use crate::failure::{Failure, Reason};

/// A holder that is just ending, or a child of it that has not replaced its image yet, lets go within moments.
const LOCK_TRIES: u32 = 15;
const LOCK_AGAIN: Duration = Duration::from_millis(20);

pub(super) const LOCK_FILE: &str = "lock";
pub(super) const LEDGER_FILE: &str = "ledger.redb";

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) descriptor: OwnedFd,
    path: PathBuf,
}

/// The exclusive lock of a state directory; the kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// The process that has the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(i32);

impl Holder {
    /// As the kernel says. Not known where `/proc` does not show it, where the file system has other numbers there, or
    /// where the process is in another container.
    fn of(file: &File) -> Option<Self> {
        let meta = file.metadata().ok()?;
        let (major, minor) = (fs::major(meta.dev()), fs::minor(meta.dev()));
        let place = format!("{major:02x}:{minor:02x}:{}", meta.ino());
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        locks.lines().find_map(|lock| holder(lock, &place))
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.0)
    }
}

/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF`; who waits for it has an arrow after the number.
fn holder(lock: &str, place: &str) -> Option<Holder> {
    let mut words = lock.split_whitespace().skip(1);
    let is_held = words.next() == Some("FLOCK") && words.nth(1) == Some("WRITE");
    let process = words.next()?.parse().ok().filter(|process| *process > 0);
    process
        .filter(|_| is_held && words.next() == Some(place))
        .map(Holder)
}

impl Directory {
    /// A last component that is a symbolic link is followed: systemd's `DynamicUser=` makes `/var/lib/NAME` one.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if let Some(parent) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .map_err(|error| failed(parent, "cannot be made", error.raw_os_error()))?;
        }
        let made = match fs::mkdir(path, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(errno_failed(path, "cannot be made", errno)),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = fs::open(path, flags, Mode::empty())
            .map_err(|errno| errno_failed(path, "cannot be opened", errno))?;
        if made {
            fs::fchmod(&descriptor, Mode::RWXU)
                .map_err(|errno| errno_failed(path, "cannot be closed to others", errno))?;
        }
        let directory = Self {
            descriptor,
            path: path.to_owned(),
        };
        directory.check()?;
        Ok(directory)
    }

    fn check(&self) -> Result<(), Failure> {
        let stat = fs::fstat(&self.descriptor)
            .map_err(|errno| errno_failed(&self.path, "cannot be examined", errno))?;
        let path = self.path.display();
        let us = geteuid().as_raw();
        if stat.st_uid != us {
            return Err(Failure::new(
                Reason::Io,
                format!("state directory {path} belongs to user {}, not to {us}", stat.st_uid),
            )
            .with_help(format!(
                "run as its owner, `chown -R {us} {path}`, or set `daemon.state_dir` to a directory of your own"
            )));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(Failure::new(
                Reason::Io,
                format!("state directory {path} may be written by others than its owner"),
            )
            .with_help(format!("`chmod 700 {path}`")));
        }
        if stat.st_mode & 0o055 != 0 {
            fs::fchmod(&self.descriptor, Mode::from_raw_mode(stat.st_mode & 0o7700))
                .map_err(|errno| errno_failed(&self.path, "cannot be closed to others", errno))?;
            tracing::warn!(
                "state directory {path} was open to others than its owner; it is closed now; under systemd, set \
                 `StateDirectoryMode=0700`"
            );
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> Result<Lock, OpenError> {
        let file = self.open_or_make(LOCK_FILE)?;
        for _ in 0..LOCK_TRIES {
            match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(Errno::WOULDBLOCK) => std::thread::park_timeout(LOCK_AGAIN),
                Err(errno) => {
                    let path = self.path.join(LOCK_FILE);
                    return Err(errno_failed(&path, "cannot be locked", errno).into());
                }
            }
        }
        Err(OpenError::HeldByAnother(Holder::of(&file)))
    }

    /// Whether something of this name is there, whatever it is.
    pub(super) fn has(&self, name: &str) -> Result<bool, Failure> {
        match fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.file_failed(name, "cannot be examined", errno)),
        }
    }

    /// A file of ours to read, if it is there, checked to be nobody else's.
    pub(super) fn open_existing(&self, name: &str) -> Result<Option<File>, Failure> {
        match self.open_file(name, OFlags::RDONLY) {
            Ok(file) => {
                self.check_file(name, &file)?;
                Ok(Some(file))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.file_failed(name, "cannot be opened", errno)),
        }
    }

    /// A file of ours, made empty when it is absent, checked to be nobody else's.
    pub(super) fn open_or_make(&self, name: &str) -> Result<File, Failure> {
        let file = self
            .open_file(name, OFlags::RDWR | OFlags::CREATE)
            .map_err(|errno| self.file_failed(name, "cannot be opened", errno))?;
        self.check_file(name, &file)?;
        Ok(file)
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// `NONBLOCK`, so that a FIFO put there cannot hold us for ever.
    pub(super) fn open_file(&self, name: &str, flags: OFlags) -> Result<File, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        fs::openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    fn check_file(&self, name: &str, file: &File) -> Result<(), Failure> {
        let path = self.path.join(name);
        let found = file
            .metadata()
            .map_err(|error| failed(&path, "cannot be examined", error.raw_os_error()))?;
        let shown = path.display();
        if !found.is_file() || found.uid() != geteuid().as_raw() {
            return Err(Failure::new(
                Reason::Io,
                format!("{shown} is not a regular file of the user that runs secretsyncd"),
            )
            .with_help("find out who put it there, and remove it"));
        }
        if found.mode() & 0o077 != 0 {
            return Err(Failure::new(
                Reason::Io,
                format!("{shown} is open to others than its owner"),
            )
            .with_help(format!("`chmod 600 {shown}`")));
        }
        Ok(())
    }

    pub(super) fn file_failed(&self, name: &str, what: &str, errno: Errno) -> Failure {
        errno_failed(&self.path.join(name), what, errno)
    }
}

pub(super) fn errno_failed(path: &Path, what: &str, errno: Errno) -> Failure {
    failed(path, what, Some(errno.raw_os_error()))
}

/// A failure at `path`, in our own words for the errors that happen in practice.
pub(super) fn failed(path: &Path, what: &str, code: Option<i32>) -> Failure {
    let errno = code.map(Errno::from_raw_os_error);
    let (why, help) = match errno {
        Some(Errno::NOSPC | Errno::DQUOT) => ("the file system is full", "free some space"),
        Some(Errno::ROFS) => (
            "the file system is read-only for this process",
            "under systemd, set `StateDirectory=` or `ReadWritePaths=`",
        ),
        Some(Errno::ACCESS | Errno::PERM) => (
            "permission denied",
            "run as the owner of the state directory, or set `daemon.state_dir`",
        ),
        Some(Errno::LOOP) => ("it is a symbolic link", "remove it"),
        Some(Errno::NOTDIR) => (
            "something in the way is not a directory",
            "correct `daemon.state_dir`",
        ),
        _ => ("the system refused", "check the file system that holds it"),
    };
    let number = code.map_or_else(String::new, |code| format!(" (errno {code})"));
    Failure::new(
        Reason::Io,
        format!("state: {} {what}: {why}{number}", path.display()),
    )
    .with_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_very_lock_is_its_holder() {
        let held = "1: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF";
        assert_eq!(holder(held, "fd:01:131"), Some(Holder(4711)));
        for other in [
            held.replace("131", "1310"),
            held.replace("fd:01", "fd:02"),
            held.replace("1: ", "1: -> "),
            held.replace("FLOCK", "POSIX"),
            held.replace("4711", "0"),
            held.replace("4711", "-1"),
            String::new(),
        ] {
            assert_eq!(holder(&other, "fd:01:131"), None, "{other}");
        }
    }
}
