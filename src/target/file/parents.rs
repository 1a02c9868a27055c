//! The way from `/` to a file's directory, one component at a time and never through a symbolic link.
//!
//! Whoever may write to a directory on the way can put another one in its place, so each has to belong to root, to us or
//! to the file's `owner`, and to be writable by nobody else. Two kinds of directory that others may write are fine: sticky
//! ones, where only the owner of an entry can rename it, and those of ours or the `owner`'s that the private group of one
//! of the two may write (user and group of one number, as Debian and Fedora make them, and no ACL, whose names would show
//! as the group's bits). Never root's: its group has members. That nobody was added to a private group is taken on trust.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, Access, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::acl;
use super::inode::Inode;
use super::ownership::Ownership;
use super::refusal::refused;
use super::staged::{PREFIX, changed};
use crate::failure::{Failure, Reason};

/// What to do where a directory on the way is missing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Missing {
    Stop,
    /// With these permission bits. It stays ours, and gets the group that the file gets.
    Make {
        mode: u32,
    },
}

/// How far the way exists.
#[derive(Debug)]
pub(super) enum Way {
    Whole(OwnedFd),
    /// Up to this directory.
    Until(OwnedFd, PathBuf),
}

/// Directory and name of a target's path, after checks that need no disk.
pub(super) fn split(path: &Path) -> Result<(PathBuf, OsString), Failure> {
    let invalid = |what: &str, help: &'static str| {
        let fact = format!("{} {what}", path.display());
        Failure::new(Reason::Invalid, fact).with_help(help)
    };
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain {
        return Err(invalid(
            "is not an absolute path without `.` and `..`",
            "write the whole path from `/`",
        ));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(invalid("names no file", "add a file name to `path`"));
    };
    if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
        return Err(invalid(
            "begins as the temporary files that secretsyncd removes",
            "choose another file name",
        ));
    }
    Ok((parent.to_owned(), name.to_owned()))
}

/// Opens the directory in which `path` lies.
pub(super) fn open(path: &Path, missing: Missing, file: &Ownership) -> Result<Way, Failure> {
    let (parent, _) = split(path)?;
    let mut here = PathBuf::from("/");
    let mut directory = fs::open("/", FLAGS, Mode::empty())
        .map_err(|errno| refused("open directory", &here, errno))?;
    let trusted = Trusted {
        us: geteuid().as_raw(),
        owner: file.owner(),
    };
    check(trusted, &directory, &here)?;
    for name in parent.components().filter_map(normal) {
        let next = here.join(name);
        let opened = match (open_directory(&directory, name), missing) {
            (Err(Errno::NOENT), Missing::Stop) => return Ok(Way::Until(directory, here)),
            (Err(Errno::NOENT), Missing::Make { mode }) => {
                make(&directory, (name, &next), mode, &file.of_parents())?;
                open_directory(&directory, name)
            }
            (opened, _) => opened,
        };
        directory = opened.map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => in_the_way(&directory, name, &next, path),
            errno => refused("open directory", &next, errno),
        })?;
        check(trusted, &directory, &next)?;
        here = next;
    }
    Ok(Way::Whole(directory))
}

/// The directories on the way to `path` that lie below `here`, the outermost first.
pub(super) fn below(here: &Path, path: &Path) -> Vec<PathBuf> {
    let on_the_way = path.ancestors().skip(1);
    let below = on_the_way.take_while(|directory| *directory != here);
    let mut below: Vec<_> = below.map(Path::to_owned).collect();
    below.reverse();
    below
}

/// Whether a name could be made in this directory.
pub(super) fn check_writable(directory: &OwnedFd, path: &Path) -> Result<(), Failure> {
    fs::accessat(
        directory,
        ".",
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .map_err(|errno| refused("write into directory", path, errno))
}

/// A descriptor that can be read and synced, of a directory that was opened as a place only.
pub(super) fn reopen(directory: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::openat(directory, ".", flags, Mode::empty())
}

const FLAGS: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn open_directory(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    fs::openat(directory, name, FLAGS, Mode::empty())
}

fn normal(component: Component<'_>) -> Option<&OsStr> {
    match component {
        Component::Normal(name) => Some(name),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => {
            None
        }
    }
}

/// Made closed and then given its group and mode, whatever the umask; lasting before anything is put into it.
pub(super) fn make(
    directory: &OwnedFd,
    (name, path): (&OsStr, &Path),
    mode: u32,
    ownership: &Ownership,
) -> Result<(), Failure> {
    for _ in 0..RACES {
        let put = try_make(directory, (name, path), mode, ownership)?;
        // Another target of ours may have been quicker, and may have taken away what both were at.
        if put == Put::InPlace || is_there(directory, (name, path))? {
            return lasting(directory, path);
        }
    }
    Err(changed(path))
}

/// So often two targets that make one directory may take it from each other.
const RACES: usize = 16;

fn is_there(directory: &OwnedFd, (name, path): (&OsStr, &Path)) -> Result<bool, Failure> {
    let found = Inode::of_name(directory, name);
    let found = found.map_err(|errno| refused("make directory", path, errno))?;
    Ok(found.is_some())
}

fn try_make(
    directory: &OwnedFd,
    (name, path): (&OsStr, &Path),
    mode: u32,
    ownership: &Ownership,
) -> Result<Put, Failure> {
    let failed = |errno| refused("make directory", path, errno);
    let unfinished = unfinished(name);
    match fs::mkdirat(directory, &unfinished, Mode::RWXU) {
        // A kill left it, or another target of ours makes it too: whoever is later finishes it.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match fs::openat(directory, &unfinished, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(Put::AnotherCameFirst),
        Err(errno) => return Err(failed(errno)),
    };
    let finished = finish(&opened, path, mode, ownership)
        .and_then(|()| put(directory, &unfinished, name).map_err(failed));
    if finished != Ok(Put::InPlace) {
        // What cannot be taken away again is empty and named as ours.
        let _ = fs::unlinkat(directory, &unfinished, AtFlags::REMOVEDIR);
    }
    finished
}

fn lasting(directory: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let failed = |errno| refused("make directory", path, errno);
    match reopen(directory) {
        Ok(parent) => fs::fsync(parent).map_err(failed),
        // Not readable to us, so it cannot be synced either; the file system does it in its own time.
        Err(Errno::ACCESS) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Access, group and mode before the directory has its name: a kill in between would leave one that is never put right.
fn finish(
    descriptor: &OwnedFd,
    path: &Path,
    mode: u32,
    ownership: &Ownership,
) -> Result<(), Failure> {
    let failed = |errno| refused("make directory", path, errno);
    acl::remove_from_directory(descriptor).map_err(failed)?;
    ownership.give(descriptor, path)?;
    // The set-group-ID bit, which a parent hands on, says whose group what is in it gets.
    let inherited = Inode::of_descriptor(descriptor).map_err(failed)?.mode & 0o2000;
    set_mode(descriptor, mode, inherited).map_err(failed)
}

/// With the inherited set-group-ID bit where that may be set: systemd's `RestrictSUIDSGID=` forbids it, and everything
/// that we make is given its group anyway.
pub(super) fn set_mode(directory: &OwnedFd, mode: u32, inherited: u32) -> Result<(), Errno> {
    match fs::fchmod(directory, Mode::from_raw_mode(mode | inherited)) {
        Err(Errno::PERM) if inherited != 0 => fs::fchmod(directory, Mode::from_raw_mode(mode)),
        set => set,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    InPlace,
    /// Another target of ours made it first.
    AnotherCameFirst,
}

fn put(directory: &OwnedFd, unfinished: &OsStr, name: &OsStr) -> Result<Put, Errno> {
    let rename = |flags| fs::renameat_with(directory, unfinished, directory, name, flags);
    let put = match rename(RenameFlags::NOREPLACE) {
        // Without the flag an empty directory may be replaced, which loses nothing, and no other.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename(RenameFlags::empty()),
        put => put,
    };
    match put {
        Ok(()) => Ok(Put::InPlace),
        Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOENT) => Ok(Put::AnotherCameFirst),
        Err(errno) => Err(errno),
    }
}

/// Always the same for a name, so that what a killed process left is found again.
fn unfinished(name: &OsStr) -> OsString {
    const LONGEST: usize = 255 - PREFIX.len();
    let rest = &name.as_bytes()[..name.len().min(LONGEST)];
    OsString::from_vec([PREFIX.as_bytes(), rest].concat())
}

/// Who may write to directories on the way, beside root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trusted {
    pub(super) us: u32,
    /// To whom the file is given.
    pub(super) owner: Option<u32>,
}

impl Trusted {
    fn has(self, user: u32) -> bool {
        user == self.us || Some(user) == self.owner
    }

    /// Whether it is the private group of one of them.
    fn has_group(self, group: u32) -> bool {
        group != 0 && self.has(group)
    }
}

/// Whether nobody but root and who is trusted can put something else there.
pub(super) fn check(trusted: Trusted, directory: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let inode = Inode::of_descriptor(directory)
        .map_err(|errno| refused("examine directory", path, errno))?;
    let shown = path.display();
    if inode.owner != 0 && !trusted.has(inode.owner) {
        return Err(Failure::new(
            Reason::TargetDenied,
            format!(
                "directory {shown} belongs to user {}, who could redirect what is written below it",
                inode.owner
            ),
        )
        .with_help(format!(
            "`chown` it to root or to user {}, or choose another path",
            trusted.us
        )));
    }
    let sticky = inode.mode & 0o1000 != 0;
    let by_group = inode.mode & 0o020 != 0
        && !(trusted.has(inode.owner)
            && inode.owner != 0
            && trusted.has_group(inode.group)
            && has_no_acl(directory));
    let by_others = inode.mode & 0o002 != 0;
    if sticky || !(by_group || by_others) {
        return Ok(());
    }
    let (who, bits) = match (by_group, by_others) {
        (true, true) => ("its group and everybody", "go-w"),
        (true, false) => ("its group", "g-w"),
        (false, _) => ("everybody", "o-w"),
    };
    Err(Failure::new(
        Reason::TargetDenied,
        format!(
            "directory {shown} may be written by {who} (mode {:04o}), who could redirect what is written below it",
            inode.mode
        ),
    )
    .with_help(format!("`chmod {bits} {shown}`, or choose another path")))
}

/// A directory that we may not look at may have one.
fn has_no_acl(directory: &OwnedFd) -> bool {
    reopen(directory)
        .and_then(acl::is_there)
        .is_ok_and(|there| !there)
}

/// What was met instead of a directory.
fn in_the_way(directory: &OwnedFd, name: &OsStr, met: &Path, path: &Path) -> Failure {
    let kind = Inode::of_name(directory, name).ok().flatten();
    let (shown, whole) = (met.display(), path.display());
    if kind.is_none_or(|inode| inode.kind != FileType::Symlink) {
        return Failure::new(
            Reason::TargetMissing,
            format!("{shown}, on the way to {whole}, is not a directory"),
        )
        .with_help("correct `path`, or remove what is in the way");
    }
    let failure = Failure::new(
        Reason::Conflict,
        format!("{shown}, on the way to {whole}, is a symbolic link"),
    );
    match real_path(met, path) {
        Some(real) => failure.with_help(format!("set `path` to {}", real.display())),
        None => failure.with_help("it leads nowhere; correct `path`, or remove the link"),
    }
}

/// Where `path` leads when the link `met` on the way is followed; only for the sentence, never for a write.
fn real_path(met: &Path, path: &Path) -> Option<PathBuf> {
    let whole = path.parent()?.canonicalize().ok();
    if let Some(parent) = whole {
        return Some(parent.join(path.file_name()?));
    }
    let rest = path.strip_prefix(met).ok()?;
    Some(met.canonicalize().ok()?.join(rest))
}
