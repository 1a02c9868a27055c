//! The socket in the file system: made out of reach, then put in place; taken away at the end.

use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::geteuid;
use tokio::net::UnixListener;

use crate::failure::{Failure, Reason};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// What a Unix socket's address has room for.
const LONGEST: usize = 107;

/// The socket's place, until this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    directory: OwnedFd,
    name: OsString,
    id: SocketId,
}

/// Which socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SocketId {
    device: u64,
    inode: u64,
}

/// Listens at `path`, for our own user and root, and for `group` where one is named.
pub(super) fn open(path: &Path, group: Option<u32>) -> Result<(UnixListener, Socket), Failure> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(
            Failure::new(Reason::Io, format!("{} names no file", path.display()))
                .with_help("correct `control_socket` in [daemon]"),
        );
    };
    if path.as_os_str().as_bytes().len() > LONGEST {
        return Err(Failure::new(
            Reason::Io,
            format!("{} is longer than a socket's address", path.display()),
        )
        .with_help(format!(
            "set `control_socket` in [daemon] to a path of at most {LONGEST} bytes"
        )));
    }
    let directory = directory(parent, group.is_some())?;
    refuse_what_is_not_ours(&directory, (path, name))?;
    let (socket, temporary) = bind(parent, path)?;
    let settled = settle(&directory, (&temporary, name), (&socket, group));
    if let Err(errno) = settled {
        let _ = fs::unlinkat(&directory, &temporary, AtFlags::empty());
        return Err(match (errno, group) {
            (Errno::PERM, Some(gid)) => Failure::new(
                Reason::Io,
                format!("{} cannot be given to the group {gid} of `control_group`", path.display()),
            )
            .with_help("make the user that runs secretsyncd a member of it: `SupplementaryGroups=` under systemd"),
            _ => refused(path, "cannot be put in place", errno),
        });
    }
    let made = fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| refused(path, "cannot be examined", errno))?;
    let socket = std::os::unix::net::UnixListener::from(socket);
    let place = Socket {
        directory,
        name: name.to_owned(),
        id: id(&made),
    };
    let listener = UnixListener::from_std(socket)
        .map_err(|_| refused(path, "cannot be listened at", Errno::INVAL))?;
    Ok((listener, place))
}

impl Socket {
    pub(super) fn id(&self) -> SocketId {
        self.id
    }
}

impl SocketId {
    /// Whether it is what others find by that path. Waits for the disk.
    pub(super) fn is_at(self, path: &Path) -> bool {
        let found = fs::statat(fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| id(&found) == self)
    }
}

impl Drop for Socket {
    /// What another process has put there since is left alone.
    fn drop(&mut self) {
        let found = fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| id(&found) == self.id) {
            let _ = fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

fn id(stat: &Stat) -> SocketId {
    SocketId {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

/// The directory, made where it is not there: for us alone, or so that a group can reach the socket in it.
fn directory(parent: &Path, shared: bool) -> Result<OwnedFd, Failure> {
    let mode = if shared { 0o755 } else { 0o700 };
    if let Some(above) = parent.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(above)
            .map_err(|error| {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                refused(above, "cannot be made", errno)
            })?;
    }
    let is_new = match fs::mkdir(parent, Mode::from_raw_mode(mode)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(refused(parent, "cannot be made", errno)),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = fs::open(parent, flags, Mode::empty())
        .map_err(|errno| refused(parent, "cannot be opened", errno))?;
    if is_new {
        fs::fchmod(&directory, Mode::from_raw_mode(mode))
            .map_err(|errno| refused(parent, "cannot be given its mode", errno))?;
    }
    let stat =
        fs::fstat(&directory).map_err(|errno| refused(parent, "cannot be examined", errno))?;
    let ours = stat.st_uid == 0 || stat.st_uid == geteuid().as_raw();
    let closed = stat.st_mode & 0o022 == 0 || stat.st_mode & 0o1000 != 0;
    if ours && closed {
        return Ok(directory);
    }
    Err(Failure::new(
        Reason::Io,
        format!(
            "{} may be written by others, who could put another socket there",
            parent.display()
        ),
    )
    .with_help("set `control_socket` in [daemon] to a directory that only root or the user of the daemon may write"))
}

/// A socket of ours that nobody answers at was left by a daemon that was killed. Everything else stays.
fn refuse_what_is_not_ours(
    directory: &OwnedFd,
    (path, name): (&Path, &OsStr),
) -> Result<(), Failure> {
    let found = match fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(refused(path, "cannot be examined", errno)),
    };
    let shown = path.display();
    let mut help =
        "remove it, or set `control_socket` in [daemon] to another path, one for each daemon";
    let why = if FileType::from_raw_mode(found.st_mode) != FileType::Socket {
        format!("{shown} is there already and is no socket")
    } else if found.st_uid != geteuid().as_raw() {
        format!("{shown} is a socket of user {}", found.st_uid)
    } else if !is_dead(path) {
        help = "stop that one first, or set `control_socket` in [daemon] to another path, one for each daemon";
        format!("another process listens at {shown}")
    } else {
        return Ok(());
    };
    Err(Failure::new(Reason::Io, why).with_help(help))
}

fn is_dead(path: &Path) -> bool {
    let connect = || {
        let socket = new_socket()?;
        net::connect(&socket, &SocketAddrUnix::new(path)?)
    };
    connect() == Err(Errno::CONNREFUSED)
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// A socket under a name that nobody knows. Nobody can connect before it listens.
fn bind(parent: &Path, path: &Path) -> Result<(OwnedFd, PathBuf), Failure> {
    let cannot = |errno| refused(path, "cannot be made", errno);
    let socket = new_socket().map_err(cannot)?;
    for _ in 0..16 {
        // Short, so that it fits where the name itself does.
        let name = PathBuf::from(format!(".{:04x}", fastrand::u16(..)));
        let address = SocketAddrUnix::new(parent.join(&name)).map_err(cannot)?;
        match net::bind(&socket, &address) {
            Ok(()) => return Ok((socket, name)),
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => return Err(cannot(errno)),
        }
    }
    Err(cannot(Errno::ADDRINUSE))
}

/// Group and mode before it listens, its place last.
fn settle(
    directory: &OwnedFd,
    (temporary, name): (&Path, &OsStr),
    (socket, group): (&OwnedFd, Option<u32>),
) -> rustix::io::Result<()> {
    if let Some(gid) = group {
        let gid = Some(Gid::from_raw(gid));
        fs::chownat(directory, temporary, None, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    let mode = Mode::from_raw_mode(mode);
    fs::chmodat(directory, temporary, mode, AtFlags::empty())?;
    net::listen(socket, BACKLOG)?;
    fs::renameat(directory, temporary, directory, name)
}

fn refused(path: &Path, what: &str, errno: Errno) -> Failure {
    let why = match errno {
        Errno::ACCESS | Errno::PERM => "permission denied",
        Errno::ROFS => "the file system is read-only for this process",
        Errno::NOSPC | Errno::DQUOT => "the file system is full",
        Errno::NOTDIR => "something in the way is not a directory",
        Errno::LOOP => "a symbolic link leads nowhere",
        _ => "the system refused",
    };
    Failure::new(
        Reason::Io,
        format!(
            "control socket: {} {what}: {why} (errno {})",
            path.display(),
            errno.raw_os_error()
        ),
    )
    .with_help("set `control_socket` in [daemon], or `RuntimeDirectory=` under systemd")
}
