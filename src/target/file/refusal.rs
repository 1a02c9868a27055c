//! What the kernel refuses, in sentences that say what to do.
//!
//! The one place where an errno of a file target becomes a [`Failure`].

use std::path::Path;

use rustix::io::Errno;

use crate::failure::{Failure, Reason};

/// The refusals that happen in practice: what each means, and what to do.
const SITUATIONS: &[(&[Errno], Reason, &str, &str)] = &[
    (
        &[Errno::NOSPC],
        Reason::Io,
        "the file system is full",
        "free space on the file system that holds the directory",
    ),
    (
        &[Errno::DQUOT],
        Reason::Io,
        "the disk quota is used up",
        "raise the quota of the user that runs secretsyncd, or free space",
    ),
    (
        &[Errno::ROFS],
        Reason::TargetDenied,
        "the file system is read-only for this process",
        "mount it writable; under systemd, add the directory to `ReadWritePaths=`",
    ),
    (
        &[Errno::ACCESS, Errno::PERM],
        Reason::TargetDenied,
        "permission denied",
        "give the directory and the file to the user that runs secretsyncd; look also for an immutable flag and \
             for SELinux or AppArmor denials",
    ),
    (
        &[Errno::NOENT],
        Reason::TargetMissing,
        "its directory was removed while the file was written",
        "it is tried again by itself; find out what removes the directory",
    ),
    (
        &[Errno::NOTDIR],
        Reason::TargetMissing,
        "a part of the path is a file, not a directory",
        "correct `path`, or remove that file",
    ),
    (
        &[Errno::LOOP],
        Reason::Conflict,
        "a symbolic link was put there meanwhile",
        "remove the symbolic link",
    ),
    (
        &[Errno::ISDIR, Errno::NOTEMPTY, Errno::EXIST],
        Reason::Conflict,
        "something else was put there meanwhile",
        "find out who else writes there",
    ),
    (
        &[Errno::BUSY],
        Reason::Conflict,
        "it is a mount point, as a file is that was mounted alone into a container",
        "mount its directory instead of the file",
    ),
    (
        &[Errno::XDEV],
        Reason::Conflict,
        "the file is on another file system than its directory",
        "mount its directory instead of the file",
    ),
    (
        &[Errno::NAMETOOLONG],
        Reason::Invalid,
        "the name is too long for the file system",
        "choose a shorter `path`",
    ),
    (
        &[Errno::MFILE, Errno::NFILE],
        Reason::Io,
        "too many files are open",
        "raise `LimitNOFILE=` or the system's limit",
    ),
];

/// `doing` completes "cannot ... PATH".
pub(super) fn refused(doing: &str, path: &Path, errno: Errno) -> Failure {
    let known = SITUATIONS
        .iter()
        .find(|(errnos, ..)| errnos.contains(&errno));
    let (reason, why, help) = known.map_or(
        (
            Reason::Io,
            "the system refused",
            "check the disk and the kernel's log",
        ),
        |(_, reason, why, help)| (*reason, *why, *help),
    );
    Failure::new(
        reason,
        format!(
            "cannot {doing} {}: {why} (errno {})",
            path.display(),
            errno.raw_os_error()
        ),
    )
    .with_help(help)
}
