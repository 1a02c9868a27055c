//! The state directory itself: who may own it, who holds it, and the fingerprint key in it.
//!
//! Every file is opened relative to the directory's descriptor and never through a symbolic link, so that nobody who
//! can write somewhere above it decides what is read or overwritten.

use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::OpenError;
use crate::failure::{Failure, Reason};
use crate::secret::FingerprintKey;

/// A holder that is just ending, or a child of it that has not replaced its image yet, lets go within moments.
const LOCK_TRIES: u32 = 15;
const LOCK_AGAIN: Duration = Duration::from_millis(20);

const KEY_FILE: &str = "fingerprint.key";
pub(super) const LEDGER_FILE: &str = "ledger.redb";
const KEY_LOST: &str = "restore it from a backup, or remove ledger.redb with it; without them, files and Secrets that \
                        differ from their source count as somebody else's until they are adopted";
const NEW_KEY_FILE: &str = "fingerprint.key.new";
const KEY_BYTES: usize = 32;

#[derive(Debug)]
pub(super) struct Directory {
    descriptor: OwnedFd,
    path: PathBuf,
}

/// The exclusive lock of a state directory; the kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

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
        Ok(())
    }

    pub(super) fn lock(&self) -> Result<Lock, OpenError> {
        let file = self.open_or_make("lock")?;
        for _ in 0..LOCK_TRIES {
            match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(Errno::WOULDBLOCK) => std::thread::park_timeout(LOCK_AGAIN),
                Err(errno) => {
                    let path = self.path.join("lock");
                    return Err(errno_failed(&path, "cannot be locked", errno).into());
                }
            }
        }
        Err(OpenError::HeldByAnother)
    }

    /// Reads the key, or makes it. Only the holder of the lock may ask. A key that is not whole is never replaced:
    /// with another key, nothing that was delivered would be recognised.
    pub(super) fn fingerprint_key(&self) -> Result<FingerprintKey, Failure> {
        match self.open_file(KEY_FILE, OFlags::RDONLY) {
            Ok(file) => {
                self.check_file(KEY_FILE, &file)?;
                self.read_key(file)
            }
            Err(Errno::NOENT) if self.has_ledger() => Err(Failure::new(
                Reason::Io,
                format!("{} is missing", self.path.join(KEY_FILE).display()),
            )
            .with_help(KEY_LOST)),
            Err(Errno::NOENT) => self.make_key(),
            Err(errno) => Err(self.file_failed(KEY_FILE, "cannot be opened", errno)),
        }
    }

    /// Whether there is something that only the key makes sense of.
    fn has_ledger(&self) -> bool {
        fs::statat(&self.descriptor, LEDGER_FILE, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    fn read_key(&self, file: File) -> Result<FingerprintKey, Failure> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        file.take(KEY_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| {
                failed(
                    &self.path.join(KEY_FILE),
                    "cannot be read",
                    error.raw_os_error(),
                )
            })?;
        let whole: Result<[u8; KEY_BYTES], _> = bytes.as_slice().try_into();
        whole.map(FingerprintKey::new).map_err(|_| {
            let path = self.path.join(KEY_FILE);
            Failure::new(
                Reason::Io,
                format!(
                    "{} is not a fingerprint key of {KEY_BYTES} bytes",
                    path.display()
                ),
            )
            .with_help(KEY_LOST)
        })
    }

    fn make_key(&self) -> Result<FingerprintKey, Failure> {
        let failed = |errno| self.file_failed(KEY_FILE, "cannot be made", errno);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| {
            Failure::new(
                Reason::Io,
                "the kernel gave no random bytes for the fingerprint key",
            )
        })?;
        // A crash may have left one behind; the lock says that nobody is writing it.
        match fs::unlinkat(&self.descriptor, NEW_KEY_FILE, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let mut file = self
            .open_file(NEW_KEY_FILE, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
            .map_err(failed)?;
        file.write_all(bytes.as_slice())
            .and_then(|()| file.sync_all())
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        fs::renameat_with(
            &self.descriptor,
            NEW_KEY_FILE,
            &self.descriptor,
            KEY_FILE,
            RenameFlags::NOREPLACE,
        )
        .and_then(|()| fs::fsync(&self.descriptor))
        .map_err(failed)?;
        Ok(FingerprintKey::new(*bytes))
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
    fn open_file(&self, name: &str, flags: OFlags) -> Result<File, Errno> {
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

    fn file_failed(&self, name: &str, what: &str, errno: Errno) -> Failure {
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
