//! What may be done to a directory that holds a whole set of files.
//!
//! Pure. As for one file (see [`super::file`]), with three differences. A directory may hold what is somebody else's beside
//! what is ours; that is never in question, unless it stands where a key has to be. And what readers see is put together
//! from links and one generation, so content can be right while a link is missing: mending that needs no value. And plain
//! files of somebody else are never taken for ours, whatever they hold: links would have to replace them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

pub mod removal;

use super::file::{Content, Verdict, our_path, was_put_there};
use super::{Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::Fingerprint;
use crate::state::{FileRecord, Generation, Whose};

/// What is at the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    Absent,
    Directory(Found),
    Symlink,
    /// A file, a FIFO, a socket or a device.
    Other,
}

/// What is in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub live: Live,
    /// What stands at names that a key may have, and is no link of ours.
    pub beside: BTreeMap<SecretKey, Beside>,
    /// Whether there is anything else that we did not make.
    pub others: bool,
    /// Those of the directory and of everything in its generation; absent where they are not alike.
    pub modes: Option<Modes>,
    pub access: Access,
    pub reading: Reading,
    /// Whether every file of the generation has its link, and no link of ours leads to nothing.
    pub linked: bool,
    /// Of the generation.
    pub whose: Whose,
}

/// What `..data` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Live {
    /// It is not there.
    Nothing,
    /// What is called so is no symbolic link.
    Blocked,
    Generation {
        content: Content,
        /// A file in it that has a second name elsewhere.
        hard_linked: Option<SecretKey>,
    },
}

/// Who may reach the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whom the modes let in.
    ByModes,
    /// Others, too: by an access ACL, or as the owner of a file.
    Opened,
}

/// Whether we may read what is in the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Open,
    /// A file of it is its owner's, who has closed it to us.
    Closed,
}

/// Something at a key's name that is no link of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A regular file with one name, and the fingerprint of its value.
    File(Content),
    /// Nothing that may be replaced.
    Other,
}

/// Permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    pub file: u32,
    pub directory: u32,
}

impl Modes {
    /// As the one number that the ledger has room for.
    pub fn recorded(self) -> u32 {
        self.directory << 12 | self.file
    }
}

/// What the directory should hold.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of the whole set.
    pub set: Fingerprint,
    /// Of each value.
    pub values: &'a BTreeMap<SecretKey, Fingerprint>,
    pub modes: Modes,
    /// Of the files, where the configuration names one. The directory and its generations are always ours.
    pub owner: Option<u32>,
    /// Whether somebody else's files may be replaced.
    pub adopt: bool,
}

/// What setting modes and owner is: putting them back where the ledger says that we had delivered them, else following
/// a change of the configuration, or taking over.
pub fn modes_effect(record: Option<&FileRecord>, modes: Modes, owner: Option<u32>) -> Effect {
    match our_path(record) {
        Some(record) if record.mode == modes.recorded() && owner_of(record) == owner => {
            Effect::Repaired(Drift::Metadata)
        }
        _ => Effect::Updated,
    }
}

/// To whom the files were given that were delivered last.
fn owner_of(record: &FileRecord) -> Option<u32> {
    let given = delivered(record).and_then(|it| it.given);
    given.map(|given| given.owner)
}

/// What a generation holds that is closed to us. The seal is of what it held when it was delivered, and of how it lay
/// there then; without one it is what a write was about to put there, of which nobody saw the end.
pub fn content_unread(
    record: &FileRecord,
    (name, inode): (&str, u64),
    seal: impl Fn(Fingerprint) -> Fingerprint,
) -> Content {
    let mut known = record.generations.iter().rev();
    let known = known.find(|it| (&*it.name, it.inode) == (name, inode));
    let sealed = known.and_then(|it| it.given).map(|given| given.seal);
    match (sealed, record.delivered) {
        (Some(Some(sealed)), Some(delivered)) if seal(delivered) == sealed => {
            Content::Of(delivered)
        }
        (Some(None), _) if record.intent.is_some() => Content::Staged,
        (Some(_) | None, _) => Content::Unknown,
    }
}

/// What of earlier generations stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Nothing,
    /// The one before: whoever has it open reads on until the next swap.
    Previous,
}

/// The generations of ours that go while `..data` leads to `live`.
pub fn spent<'r>(
    record: &'r FileRecord,
    live: Option<&OsStr>,
    keep: Keep,
) -> impl Iterator<Item = &'r Generation> {
    let kept = match keep {
        Keep::Nothing => None,
        Keep::Previous => live.and_then(|live| previous(record, live)),
    };
    let is_live = move |it: &Generation| live.is_some_and(|live| live == &*it.name);
    let all = record.generations.iter();
    all.filter(move |it| !is_live(it) && kept != Some(*it))
}

/// The generation that `live` has replaced.
pub fn previous(record: &FileRecord, live: impl AsRef<OsStr>) -> Option<&Generation> {
    let all = &record.generations;
    match all.iter().position(|it| live.as_ref() == &*it.name) {
        Some(place) => all.get(place.checked_sub(1)?),
        // Somebody else has put it there. What a write was about to put there nobody has read.
        None => all.last().filter(|_| record.intent.is_none()),
    }
}

/// Whose the generation is that readers are led to. Only what we made, or what a configuration that said `adopt = true`
/// took over, is among those of the ledger.
pub fn whose(record: Option<&FileRecord>, (name, inode): (&str, u64)) -> Whose {
    let mut known = record.iter().flat_map(|record| &record.generations);
    if known.any(|it| (&*it.name, it.inode) == (name, inode)) {
        Whose::Ours
    } else if our_path(record).is_some_and(|record| record.delivered.is_some()) {
        Whose::Copied
    } else {
        Whose::Found
    }
}

/// As of a file, also where a link is missing.
pub fn may_mend(path: &Path, found: &Found, adopt: bool) -> Result<(), Failure> {
    if adopt || found.whose != Whose::Found {
        return Ok(());
    }
    let fact = format!(
        "{} holds the right content, but was not written by secretsyncd, and its modes, owners, access ACLs or links are \
         not as they should be",
        path.display()
    );
    Err(Failure::new(Reason::Conflict, fact).with_help(
        "choose another path, move the directory away, or set `adopt = true` to take it over",
    ))
}

/// Decides what a directory that should be `wanted` needs. A [`Verdict::FixMode`] puts links right, too.
pub fn judge(
    path: &Path,
    observed: &Observed,
    record: Option<&FileRecord>,
    wanted: &Wanted<'_>,
) -> Result<Verdict, Failure> {
    let delivered = our_path(record).and_then(|record| record.delivered);
    let Some(found) = ours_to_touch(path, observed, |key| wanted.values.contains_key(key))? else {
        return Ok(Verdict::Write(made(delivered, wanted)));
    };
    let stands = wanted
        .values
        .keys()
        .find(|key| found.beside.contains_key(*key));
    if found.content() == Some(Content::Of(wanted.set)) && stands.is_none() {
        let effect = modes_effect(record, wanted.modes, wanted.owner);
        if !found.is_off(wanted.modes) {
            return Ok(Verdict::Unchanged);
        }
        may_mend(path, found, wanted.adopt)?;
        return Ok(if found.takes_fresh_files(wanted.modes) {
            Verdict::Write(effect)
        } else {
            Verdict::FixMode(effect)
        });
    }
    if !wanted.adopt {
        may_replace(path, found, record, wanted)?;
    }
    let is_new = found.live == Live::Nothing && stands.is_none();
    Ok(Verdict::Write(if is_new {
        made(delivered, wanted)
    } else if delivered == Some(wanted.set) {
        Effect::Repaired(Drift::Content)
    } else {
        Effect::Updated
    }))
}

/// How the directory differs from what was delivered, as far as that can be told without the values.
pub fn drift(
    path: &Path,
    observed: &Observed,
    record: Option<&FileRecord>,
    modes: Modes,
) -> Result<Option<Drift>, Failure> {
    let Some(record) = record.filter(|record| record.delivered.is_some()) else {
        return Ok(None);
    };
    let made = made_keys(record);
    let Some(found) = ours_to_touch(path, observed, |key| made.contains(key))? else {
        return Ok(Some(Drift::Missing));
    };
    let Some(content) = found.content() else {
        return Ok(Some(Drift::Missing));
    };
    let covered = made.into_iter().any(|key| found.beside.contains_key(key));
    Ok(if covered || !was_put_there(record, content) {
        Some(Drift::Content)
    } else if found.is_closed() && found.takes_fresh_files(modes) {
        // There is nothing to copy them from.
        Some(Drift::Content)
    } else if found.is_off(modes) {
        Some(Drift::Metadata)
    } else {
        None
    })
}

impl Found {
    fn content(&self) -> Option<Content> {
        match self.live {
            Live::Nothing | Live::Blocked => None,
            Live::Generation { content, .. } => Some(content),
        }
    }

    /// Whether something is wrong around the content.
    fn is_off(&self, modes: Modes) -> bool {
        self.access == Access::Opened || !self.linked || self.modes != Some(modes)
    }

    fn is_closed(&self) -> bool {
        self.reading == Reading::Closed
    }

    /// Whether that is put right by another generation: whoever was let in may hold the files open, what somebody else
    /// made is not touched, and what is closed to us is not opened.
    pub fn takes_fresh_files(&self, wanted: Modes) -> bool {
        let closed = self.is_closed() && self.modes.is_none_or(|it| it.file != wanted.file);
        closed || self.access == Access::Opened || self.whose == Whose::Copied
    }

    /// Whether nobody made anything in it.
    fn is_empty(&self) -> bool {
        self.live == Live::Nothing && self.beside.is_empty() && !self.others
    }

    /// Whether it is a plain directory with just the files that are wanted.
    fn is_plainly(&self, wanted: &Wanted<'_>) -> bool {
        self.live == Live::Nothing
            && !self.others
            && self.beside.len() == wanted.values.len()
            && self.beside.iter().all(|(key, it)| it.holds(key, wanted))
    }
}

impl Beside {
    fn holds(self, key: &SecretKey, wanted: &Wanted<'_>) -> bool {
        match (self, wanted.values.get(key)) {
            (Self::File(content), Some(value)) => content == Content::Of(*value),
            (Self::File(_), None) | (Self::Other, _) => false,
        }
    }
}

fn made(delivered: Option<Fingerprint>, wanted: &Wanted<'_>) -> Effect {
    match delivered {
        None => Effect::Created,
        Some(before) if before == wanted.set => Effect::Repaired(Drift::Missing),
        Some(_) => Effect::Updated,
    }
}

/// The keys of the generation that was delivered last. One that is only intended proves nothing about what stands at its
/// keys' names.
fn made_keys(record: &FileRecord) -> BTreeSet<&SecretKey> {
    let delivered = delivered(record).into_iter();
    delivered.flat_map(|it| &it.keys).collect()
}

fn delivered(record: &FileRecord) -> Option<&Generation> {
    let intended = usize::from(record.intent.is_some());
    record.generations.iter().rev().nth(intended)
}

/// Whether what is there is ours, or is what we would write.
fn may_replace(
    path: &Path,
    found: &Found,
    record: Option<&FileRecord>,
    wanted: &Wanted<'_>,
) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    let help =
        "choose another path, move the directory away, or set `adopt = true` to take it over";
    if found.is_plainly(wanted) {
        let fact = format!(
            "{} holds the right content in plain files that secretsyncd did not write, and links would have to replace them",
            path.display()
        );
        return Err(Failure::new(Reason::Conflict, fact).with_help(help));
    }
    let standing = our_path(record).filter(|record| record.delivered.is_some());
    let content = found.content();
    let known = standing.is_some()
        || [Some(Content::Of(wanted.set)), Some(Content::Staged)].contains(&content)
        || record
            .zip(content)
            .is_some_and(|(it, content)| was_put_there(it, content));
    if !known {
        let fact = format!(
            "{} exists with other content and was not written by secretsyncd",
            path.display()
        );
        return Err(Failure::new(Reason::Conflict, fact).with_help(help));
    }
    let ours = standing.map(made_keys).unwrap_or_default();
    let theirs = found
        .beside
        .iter()
        .find(|(key, _)| wanted.values.contains_key(*key) && !ours.contains(key));
    let Some((key, it)) = theirs else {
        return Ok(());
    };
    let holds = if it.holds(key, wanted) {
        "the right"
    } else {
        "other"
    };
    let fact = format!(
        "{} exists with {holds} content and was not written by secretsyncd",
        path.join(key.as_str()).display()
    );
    Err(Failure::new(Reason::Conflict, fact)
        .with_help("move the file away, or set `adopt = true` to replace it"))
}

/// What is in the directory, nothing where there is none, a refusal for what is not to be replaced. `needed` says which
/// names we have to have.
fn ours_to_touch<'f>(
    path: &Path,
    observed: &'f Observed,
    needed: impl Fn(&SecretKey) -> bool,
) -> Result<Option<&'f Found>, Failure> {
    let refuse = |fact: String, help: &'static str| {
        Err(Failure::new(Reason::Conflict, fact).with_help(help))
    };
    let shown = path.display();
    let found = match observed {
        Observed::Absent => return Ok(None),
        Observed::Directory(found) => found,
        Observed::Symlink => {
            return refuse(
                format!("{shown} is a symbolic link, and secretsyncd never writes through one"),
                "remove it, or set `path` to the directory it points to",
            );
        }
        Observed::Other => {
            return refuse(
                format!("{shown} is no directory, and one is wanted there"),
                "remove it, or choose another path",
            );
        }
    };
    let in_the_way = found.beside.iter().find(|(key, it)| match it {
        Beside::Other => needed(key),
        Beside::File(_) => false,
    });
    if let Some((key, _)) = in_the_way {
        return refuse(
            format!(
                "{} is neither a link of ours nor a plain file",
                path.join(key.as_str()).display()
            ),
            "remove it, or choose another path",
        );
    }
    match &found.live {
        Live::Blocked => refuse(
            format!("{shown}/..data is no symbolic link"),
            "remove it: the name is needed to swap the whole set at once",
        ),
        Live::Generation {
            hard_linked: Some(key),
            ..
        } => refuse(
            format!("{shown}/{key} has a second hard link, which secretsyncd did not make"),
            "find its other names (`find / -xdev -samefile PATH`) and remove them",
        ),
        Live::Nothing | Live::Generation { .. } => Ok(Some(found)),
    }
}

#[cfg(test)]
mod tests;
