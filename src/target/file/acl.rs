//! POSIX access ACLs, which let in people that the permission bits do not tell of: on a file with one, the group's
//! bits are only the most that anybody named in it gets.
//!
//! New files get one from a default ACL of their directory. NFS version 4 keeps its ACLs elsewhere and shows them as
//! permission bits; those are not seen here.

use std::os::fd::AsFd;

use rustix::fs;
use rustix::io::Errno;

const ACCESS: &str = "system.posix_acl_access";
/// What new files in a directory begin with; a directory that is made in it inherits it, too.
const DEFAULT: &str = "system.posix_acl_default";

/// Whether there is one.
pub(super) fn is_there(descriptor: impl AsFd) -> Result<bool, Errno> {
    match fs::fgetxattr_query(descriptor, ACCESS) {
        Ok(_) => Ok(true),
        Err(errno) if means_none(errno) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Leaves the permission bits alone to say who may do what.
pub(super) fn remove(descriptor: impl AsFd) -> Result<(), Errno> {
    remove_named(descriptor, ACCESS)
}

/// The same of a directory, and of what will be made in it.
pub(super) fn remove_from_directory(descriptor: impl AsFd) -> Result<(), Errno> {
    remove_named(&descriptor, DEFAULT)?;
    remove_named(&descriptor, ACCESS)
}

fn remove_named(descriptor: impl AsFd, name: &str) -> Result<(), Errno> {
    match fs::fremovexattr(descriptor, name) {
        Err(errno) if !means_none(errno) => Err(errno),
        _ => Ok(()),
    }
}

/// There is no such attribute, or the file system knows none.
fn means_none(errno: Errno) -> bool {
    matches!(errno, Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS)
}
