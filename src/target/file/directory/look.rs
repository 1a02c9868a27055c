//! What is in a directory. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::names::{self, Link};
use super::{DATA, given, place};
use crate::decide;
use crate::decide::directory::{Access, Beside, Found, Live, Modes, Observed, Reading, removal};
use crate::decide::file::Content;
use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::{Fingerprint, Payload, SecretBytes};
use crate::state::{FileRecord, Generation, State, Whose};
use crate::target::file::acl;
use crate::target::file::format::MAX_FILE_BYTES;
use crate::target::file::format::set::{self, MAX_FILES};
use crate::target::file::inode::{self, Id, Inode, Stamp};
use crate::target::file::on_disk::OnDisk;
use crate::target::file::ownership::Ownership;
use crate::target::file::refusal::refused;

/// The most names that a directory may have: ours, and as many again of others.
const MAX_NAMES: usize = 2 * MAX_FILES;

/// What was found, and in which condition, so that a later step can tell whether it is still so.
#[derive(Debug)]
pub(in crate::target::file) struct Sight {
    pub(in crate::target::file) observed: Observed,
    pub(super) directory: Option<Id>,
    /// What `..data` was.
    pub(super) data: Option<Link>,
    pub(super) live: Option<Inside>,
    /// The files of others at names that a key may have.
    pub(super) files: BTreeMap<SecretKey, Stamp>,
    /// What else is not ours.
    pub(super) others: Vec<OsString>,
}

/// A generation as it was found.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) name: String,
    pub(super) id: Id,
    pub(super) content: Content,
    pub(super) files: BTreeMap<SecretKey, Stamp>,
    bytes: Option<SecretBytes>,
    hard_linked: Option<SecretKey>,
    directory_mode: u32,
    file_modes: BTreeSet<u32>,
    opened: bool,
    /// Whether a file cannot be read, and nothing else is wrong with any.
    closed: bool,
}

impl Inside {
    /// Whether it holds that and nothing else, with that mode, and nobody was let in. What is closed to us has to lie there
    /// as it did when it was written.
    pub(super) fn is_just(
        &self,
        (set, written): (Fingerprint, &BTreeMap<SecretKey, Stamp>),
        mode: u32,
    ) -> bool {
        let modes = self.file_modes.iter().eq([&mode]);
        let holds = self.content == Content::Of(set) || self.closed && self.files == *written;
        holds && modes && !self.opened && self.hard_linked.is_none()
    }

    /// The very same files with the same content.
    pub(super) fn is_unwritten_since(&self, before: &Self) -> bool {
        let all = before.files.iter();
        let stamps = self.files.values().zip(all.clone().map(|(_, stamp)| stamp));
        self.id == before.id && self.files.keys().eq(all.map(|(key, _)| key)) && { stamps }
            .all(|(now, before)| now.is_unwritten_since(before))
    }

    /// As the ledger knows it.
    pub(super) fn generation(&self) -> Generation {
        Generation {
            name: self.name.clone(),
            inode: self.id.inode(),
            keys: self.files.keys().cloned().collect(),
            given: None,
        }
    }
}

impl Sight {
    fn of(observed: Observed) -> Self {
        Self {
            observed,
            directory: None,
            data: None,
            live: None,
            files: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    /// Whether there is something that belongs to others, and stays when these keys are written. Such a directory keeps
    /// its mode.
    pub(super) fn is_shared(&self, keys: &BTreeSet<SecretKey>) -> bool {
        !self.others.is_empty() || self.files.keys().any(|key| !keys.contains(key))
    }

    /// As it is judged before it is taken away.
    pub(in crate::target::file) fn found<'a>(&'a self, path: &'a Path) -> removal::Found<'a> {
        let around = match &self.observed {
            Observed::Absent => removal::Around::Absent,
            Observed::Symlink | Observed::Other => removal::Around::NoDirectory,
            Observed::Directory(found) => {
                removal::Around::Directory(match (&found.live, &self.live) {
                    (_, Some(live)) => removal::Data::Generation {
                        name: &live.name,
                        inode: live.id.inode(),
                        content: live.content,
                    },
                    (Live::Nothing, None) => removal::Data::Nothing,
                    (Live::Blocked | Live::Generation { .. }, None) => removal::Data::Elsewhere,
                })
            }
        };
        removal::Found { path, around }
    }

    pub(in crate::target::file) fn content(&self) -> Option<Content> {
        self.live.as_ref().map(|live| live.content)
    }
}

pub(in crate::target::file) fn look(
    path: &Path,
    state: &State,
    ownership: &Ownership,
) -> Result<Sight, Failure> {
    let (directory, inode) = match place::find(path, ownership)? {
        place::Place::Directory(directory, inode) => (directory, inode),
        place::Place::Absent => return Ok(Sight::of(Observed::Absent)),
        place::Place::Symlink => return Ok(Sight::of(Observed::Symlink)),
        place::Place::Other => return Ok(Sight::of(Observed::Other)),
    };
    let failed = |errno| refused("read directory", path, errno);
    let record = state.file(path);
    let whose =
        |live: &Inside| decide::directory::whose(record.as_ref(), (&live.name, live.id.inode()));
    // What stands at a key's name is compared only where that may make it ours.
    let is_new = record
        .as_ref()
        .is_none_or(|it| it.left || it.delivered.is_none());
    let mut survey = Survey::of((&directory, path), is_new.then_some(state))?;
    let data = survey.data.as_ref();
    let live = led_to((&directory, data), (state, ownership), record.as_ref()).map_err(failed)?;
    if let Some(live) = &live {
        survey.others.retain(|name| **name != *live.name);
    }
    let linked = survey.is_linked(live.as_ref());
    let mut sight = Sight {
        directory: Some(inode.id()),
        files: survey.stamps,
        others: survey.others,
        ..Sight::of(Observed::Absent)
    };
    let shared = sight.is_shared(&BTreeSet::new());
    let opened = !shared
        && (place::is_astray(&inode, ownership) || acl::is_there(&directory).map_err(failed)?);
    let own_mode = (!shared).then_some(inode.mode & !INHERITED);
    sight.observed = Observed::Directory(Found {
        live: match (&live, &survey.data) {
            _ if survey.is_blocked => Live::Blocked,
            (Some(live), _) => Live::Generation {
                content: live.content,
                hard_linked: live.hard_linked.clone(),
            },
            (None, Some(_)) => Live::Generation {
                content: Content::Unknown,
                hard_linked: None,
            },
            (None, None) => Live::Nothing,
        },
        beside: survey.beside,
        others: !sight.others.is_empty(),
        modes: live.as_ref().and_then(|live| live.modes(own_mode)),
        access: if opened || live.as_ref().is_some_and(|live| live.opened) {
            Access::Opened
        } else {
            Access::ByModes
        },
        reading: match &live {
            Some(live) if live.closed => Reading::Closed,
            Some(_) | None => Reading::Open,
        },
        linked,
        whose: live.as_ref().map_or(Whose::Ours, whose),
    });
    (sight.data, sight.live) = (survey.data, live);
    Ok(sight)
}

/// The generation to which `..data` leads, and what is in it as far as we can tell.
fn led_to(
    (directory, data): (&OwnedFd, Option<&Link>),
    (state, ownership): (&State, &Ownership),
    record: Option<&FileRecord>,
) -> Result<Option<Inside>, Errno> {
    let Some(name) = data.and_then(|it| names::beside(&it.text)) else {
        return Ok(None);
    };
    let mut live = inside(directory, name, (state, ownership))?;
    if let Some(live) = &mut live
        && live.closed
    {
        live.content = given::content(record, live, state.fingerprint_key());
    }
    Ok(live)
}

/// The whole set, where it can be read, and its fingerprint's side of the story.
pub(in crate::target::file) fn bytes(
    disk: &OnDisk,
) -> Result<Option<(SecretBytes, Content)>, Failure> {
    let path = &disk.path;
    let sight = look(path, &disk.state, &disk.ownership)?;
    let Some(live) = sight.live else {
        return Ok(None);
    };
    match live.bytes {
        Some(bytes) => Ok(Some((bytes, live.content))),
        None if live.closed => Err(closed_to_us(path)),
        None => Err(Failure::new(
            Reason::Conflict,
            format!("{} holds what secretsyncd did not write", path.display()),
        )),
    }
}

fn closed_to_us(path: &Path) -> Failure {
    refused("read the files of", path, Errno::ACCESS).with_help(
        "they were given to their `owner`, and their mode lets nobody else read them: set a `group` that secretsyncd is a \
         member of and mode \"0640\"",
    )
}

/// Set by the parent directory, for the sake of whoever makes files in it.
pub(super) const INHERITED: u32 = 0o2000;

impl Inside {
    fn modes(&self, around: Option<u32>) -> Option<Modes> {
        let mut files = self.file_modes.iter();
        let (Some(&file), None) = (files.next(), files.next()) else {
            return None;
        };
        let directory = self.directory_mode & !INHERITED;
        let alike = around.is_none_or(|around| around == directory);
        alike.then_some(Modes { file, directory })
    }
}

/// What has a name in the directory.
#[derive(Default)]
struct Survey {
    data: Option<Link>,
    is_blocked: bool,
    links: BTreeSet<SecretKey>,
    beside: BTreeMap<SecretKey, Beside>,
    stamps: BTreeMap<SecretKey, Stamp>,
    others: Vec<OsString>,
}

impl Survey {
    fn of((directory, path): (&OwnedFd, &Path), compare: Option<&State>) -> Result<Self, Failure> {
        let failed = |errno| refused("read directory", path, errno);
        let Some(names) = names::list(directory, MAX_NAMES).map_err(failed)? else {
            let fact = format!("{} has more than {MAX_NAMES} names in it", path.display());
            return Err(Failure::new(Reason::TooLarge, fact)
                .with_help("choose a directory that only secretsyncd writes to"));
        };
        let mut survey = Self::default();
        let mut budget = MAX_FILE_BYTES;
        for name in names {
            survey
                .add(directory, name, compare.map(|state| (state, &mut budget)))
                .map_err(failed)?;
        }
        Ok(survey)
    }

    /// Whether every file of the generation has its link, or something in its place, and no link of ours leads to nothing.
    fn is_linked(&self, live: Option<&Inside>) -> bool {
        live.is_none_or(|live| {
            let keys = &live.files;
            let mut all = keys.keys();
            all.all(|key| self.links.contains(key) || self.beside.contains_key(key))
                && self.links.iter().all(|key| keys.contains_key(key))
        })
    }

    fn add(
        &mut self,
        directory: &OwnedFd,
        name: OsString,
        compare: Option<(&State, &mut usize)>,
    ) -> Result<(), Errno> {
        if name == DATA {
            self.data = names::link_at(directory, &name)?;
            self.is_blocked = self.data.is_none();
            return Ok(());
        }
        if names::is_generation(&name) || names::is_temporary_link(&name) {
            return Ok(());
        }
        let Some(key) = names::key(&name) else {
            self.others.push(name);
            return Ok(());
        };
        let Some(inode) = Inode::of_name(directory, &name)? else {
            return Ok(());
        };
        if inode.kind == FileType::Symlink && names::is_our_link(directory, &key)? {
            self.links.insert(key);
            return Ok(());
        }
        let beside = if inode.kind == FileType::RegularFile && inode.links == 1 {
            self.stamps.insert(key.clone(), inode.stamp);
            Beside::File(compare.map_or(Content::Unknown, |(state, budget)| {
                compared((directory, &name), &inode, state, budget)
            }))
        } else {
            self.others.push(name);
            Beside::Other
        };
        self.beside.insert(key, beside);
        Ok(())
    }
}

fn compared(
    (directory, name): (&OwnedFd, &OsStr),
    inode: &Inode,
    state: &State,
    budget: &mut usize,
) -> Content {
    let read = open_file(directory, name).ok().and_then(|file| {
        let file = File::from(file);
        let same = Inode::of_descriptor(&file).is_ok_and(|it| it.id() == inode.id());
        same.then(|| inode::bytes(&file, inode).ok().flatten())?
    });
    let Some(bytes) = read.filter(|bytes| bytes.len() <= *budget) else {
        return Content::Unknown;
    };
    *budget -= bytes.len();
    Content::Of(state.fingerprint_key().of([bytes.expose()]))
}

pub(super) fn open_file(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    fs::openat(directory, name, flags, Mode::empty())
}

/// Looks into a generation; nothing where there is no directory of that name.
pub(super) fn inside(
    directory: &OwnedFd,
    name: &str,
    (state, ownership): (&State, &Ownership),
) -> Result<Option<Inside>, Errno> {
    let opened = match place::open_directory(directory, OsStr::new(name)) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let inode = Inode::of_descriptor(&opened)?;
    let mut inside = Inside {
        name: name.to_owned(),
        id: inode.id(),
        content: Content::Unknown,
        files: BTreeMap::new(),
        bytes: None,
        hard_linked: None,
        directory_mode: inode.mode,
        file_modes: BTreeSet::new(),
        opened: is_others(&inode, &ownership.of_parents()) || acl::is_there(&opened)?,
        closed: false,
    };
    let mut values = Some(Payload::default());
    let mut size = 0;
    let Some(names) = names::list(&opened, MAX_FILES)? else {
        return Ok(Some(inside));
    };
    for name in names {
        match inside.file((&opened, &name), ownership)? {
            Held::Value(key, value) if size + value.len() <= MAX_FILE_BYTES => {
                size += value.len();
                if let Some(values) = &mut values {
                    values.insert(key, value);
                }
            }
            Held::Closed => inside.closed = true,
            Held::Value(..) | Held::Other => values = None,
        }
    }
    inside.closed &= values.is_some();
    if let Some(values) = values.filter(|_| !inside.closed) {
        let bytes = set::pack(&values);
        inside.content = Content::Of(state.fingerprint_key().of([bytes.expose()]));
        inside.bytes = Some(bytes);
    }
    Ok(Some(inside))
}

/// What one name in a generation holds.
enum Held {
    Value(SecretKey, SecretBytes),
    /// A file that we may not read.
    Closed,
    /// No file as we make them.
    Other,
}

impl Inside {
    fn file(
        &mut self,
        (directory, name): (&OwnedFd, &OsStr),
        ownership: &Ownership,
    ) -> Result<Held, Errno> {
        let Some(key) = names::key(name) else {
            return Ok(Held::Other);
        };
        let file = match open_file(directory, name) {
            Ok(file) => Some(File::from(file)),
            Err(Errno::ACCESS | Errno::PERM) => None,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(Held::Other),
            Err(errno) => return Err(errno),
        };
        let inode = match &file {
            Some(file) => Some(Inode::of_descriptor(file)?),
            None => Inode::of_name(directory, name)?,
        };
        let Some(inode) = inode.filter(|inode| inode.kind == FileType::RegularFile) else {
            return Ok(Held::Other);
        };
        self.opened |= is_others(&inode, ownership);
        self.file_modes.insert(inode.mode);
        self.files.insert(key.clone(), inode.stamp);
        if inode.links > 1 {
            self.hard_linked.get_or_insert(key.clone());
        }
        let Some(file) = file else {
            // An ACL that somebody gave it has touched it, too.
            return Ok(Held::Closed);
        };
        self.opened |= acl::is_there(&file)?;
        let bytes = inode::bytes(&file, &inode);
        let bytes = bytes.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(bytes.map_or(Held::Other, |bytes| Held::Value(key, bytes)))
    }
}

/// Whoever owns a file may give it any mode; and another group than the one that is wanted is let in.
fn is_others(inode: &Inode, wanted: &Ownership) -> bool {
    let owner = wanted.owner().unwrap_or_else(|| geteuid().as_raw());
    inode.owner != owner || wanted.group().is_some_and(|group| group != inode.group)
}
