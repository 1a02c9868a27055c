//! The names in a directory: which are ours, and how they are read.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{self, FileType};
use rustix::io::Errno;

use super::DATA;
use crate::names::SecretKey;
use crate::target::file::inode::{Inode, Stamp};

const GENERATION: &str = "..secretsyncd-";
const SWAP: &str = "..data-";
const LINK: &str = "..link-";

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) text: OsString,
    pub(super) stamp: Stamp,
}

pub(super) fn generation(number: u64) -> String {
    format!("{GENERATION}{number:016x}")
}

/// The temporary name of a new `..data`.
pub(super) fn swap(number: u64) -> String {
    format!("{SWAP}{number:016x}")
}

/// The temporary name of a link that takes a file's place.
pub(super) fn link(number: u64) -> String {
    format!("{LINK}{number:016x}")
}

pub(super) fn text_of(key: &SecretKey) -> String {
    format!("{DATA}/{key}")
}

pub(super) fn is_generation(name: &OsStr) -> bool {
    is_numbered(name, GENERATION)
}

pub(super) fn is_temporary_link(name: &OsStr) -> bool {
    is_numbered(name, SWAP) || is_numbered(name, LINK)
}

fn is_numbered(name: &OsStr, prefix: &str) -> bool {
    let number = name.as_bytes().strip_prefix(prefix.as_bytes());
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    number.is_some_and(|it| it.len() == 16 && it.iter().all(is_digit))
}

pub(super) fn key(name: &OsStr) -> Option<SecretKey> {
    SecretKey::new(name.to_str()?).ok()
}

/// The name to which a `..data` leads, where it is that of a generation beside it.
pub(super) fn beside(text: &OsStr) -> Option<&str> {
    let text = text.to_str()?;
    let plain = text.len() > 2 && text.starts_with("..") && !text.contains('/');
    (plain && text != DATA).then_some(text)
}

/// What is in a directory, sorted; nothing when it is more than `most`.
pub(super) fn list(directory: &OwnedFd, most: usize) -> Result<Option<Vec<OsString>>, Errno> {
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == most {
            return Ok(None);
        }
        names.push(OsString::from_vec(name.to_vec()));
    }
    names.sort_unstable();
    Ok(Some(names))
}

/// The link of that name; nothing when there is none, or something else.
pub(super) fn link_at(directory: &OwnedFd, name: &OsStr) -> Result<Option<Link>, Errno> {
    let Some(inode) = Inode::of_name(directory, name)? else {
        return Ok(None);
    };
    if inode.kind != FileType::Symlink {
        return Ok(None);
    }
    match fs::readlinkat(directory, name, Vec::new()) {
        Ok(text) => Ok(Some(Link {
            text: OsString::from_vec(text.into_bytes()),
            stamp: inode.stamp,
        })),
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether the name is a link of ours to the key's file.
pub(super) fn is_our_link(directory: &OwnedFd, key: &SecretKey) -> Result<bool, Errno> {
    let link = link_at(directory, OsStr::new(key.as_str()))?;
    Ok(link.is_some_and(|link| link.text == *text_of(key)))
}
