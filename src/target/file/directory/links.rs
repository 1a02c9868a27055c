//! The links by which readers find their keys.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, AtFlags};
use rustix::io::Errno;

use super::names;
use crate::failure::Failure;
use crate::names::SecretKey;
use crate::target::file::format::set::MAX_FILES;
use crate::target::file::inode::{Inode, Stamp};
use crate::target::file::refusal::refused;
use crate::target::file::staged::changed;

/// Gives every key its link, and takes away those of ours that lead to no key. To be done when `..data` leads to all of
/// them. A file that stands in a link's place goes only when it is as it was `seen`.
pub(super) fn put_right(
    (directory, path): (&OwnedFd, &Path),
    keys: &BTreeSet<SecretKey>,
    seen: &BTreeMap<SecretKey, Stamp>,
    number: u64,
) -> Result<(), Failure> {
    let failed = |errno| refused("link the files of", path, errno);
    let mut news = false;
    for key in keys {
        if names::is_our_link(directory, key).map_err(failed)? {
            continue;
        }
        news = true;
        match put((directory, key), seen.get(key), number) {
            Ok(true) => {}
            Ok(false) | Err(Errno::EXIST) => return Err(changed(path)),
            Err(errno) => return Err(failed(errno)),
        }
    }
    let all = names::list(directory, 4 * MAX_FILES).map_err(failed)?;
    let all = all.unwrap_or_default();
    for key in all.iter().filter_map(|name| names::key(name)) {
        if !keys.contains(&key) && names::is_our_link(directory, &key).map_err(failed)? {
            news = true;
            match fs::unlinkat(directory, key.as_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
    if news {
        fs::fsync(directory).map_err(failed)?;
    }
    Ok(())
}

/// Whether the link is there now.
fn put(
    (directory, key): (&OwnedFd, &SecretKey),
    seen: Option<&Stamp>,
    number: u64,
) -> Result<bool, Errno> {
    let text = names::text_of(key);
    let Some(seen) = seen else {
        fs::symlinkat(text, directory, key.as_str())?;
        return Ok(true);
    };
    let temporary = names::link(number);
    fs::symlinkat(text, directory, &temporary)?;
    let present = Inode::of_name(directory, OsStr::new(key.as_str()))?;
    let same = present.is_some_and(|inode| inode.stamp == *seen);
    let put = if same {
        fs::renameat(directory, &temporary, directory, key.as_str())
    } else {
        Ok(())
    };
    if !same || put.is_err() {
        // What cannot be removed now is removed before the next write.
        let _ = fs::unlinkat(directory, &temporary, AtFlags::empty());
    }
    put.map(|()| same)
}
