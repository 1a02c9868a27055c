//! What is done to a directory, each a whole operation that waits for the disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use std::fs::File;

use jiff::Timestamp;
use rustix::fs::{self, FileType, Mode};

use super::generation::Staged;
use super::look::{INHERITED, Inside, Sight, inside, look, open_file};
use super::{DATA, given, links, names, place, sweep};
use crate::decide;
use crate::decide::directory::{Keep, Modes, Observed, previous};
use crate::decide::file::{Content, Verdict, was_put_there};
use crate::decide::{Drift, Effect};
use crate::failure::Failure;
use crate::names::SecretKey;
use crate::secret::Fingerprint;
use crate::state::{FileDelivery, FileIntent, FileRecord, Generation, Whose};
use crate::target::file::format::set;
use crate::target::file::inode::{Inode, Stamp};
use crate::target::file::on_disk::OnDisk;
use crate::target::file::parents::{self, Missing, Way};
use crate::target::file::refusal::refused;
use crate::target::file::staged::changed;
use crate::target::file::{Done, Rendered};

/// Does what was judged, provided that the directory is still as it was seen.
pub(in crate::target::file) fn apply(
    disk: &OnDisk,
    rendered: &Rendered,
    seen: &Sight,
    verdict: Verdict,
) -> Result<Done, Failure> {
    let fingerprint = rendered.fingerprint;
    match verdict {
        Verdict::Unchanged => {
            settle(disk, fingerprint, seen).map(|()| Done::now(Effect::Unchanged))
        }
        Verdict::FixMode(effect) => mend(disk, fingerprint, seen).map(|()| Done::now(effect)),
        Verdict::Write(effect) => write(disk, rendered, seen).map(|at| Done { effect, at }),
    }
}

/// Of the set that is in place, where it can be read.
pub(in crate::target::file) fn fingerprint(disk: &OnDisk) -> Result<Option<Fingerprint>, Failure> {
    let seen = look(&disk.path, &disk.state, &disk.ownership)?;
    Ok(match seen.content() {
        Some(Content::Of(found)) => Some(found),
        Some(Content::Unknown | Content::Staged) | None => None,
    })
}

/// Replaces the whole set in one step. Returns since when readers have it.
fn write(disk: &OnDisk, content: &Rendered, seen: &Sight) -> Result<Timestamp, Failure> {
    let path = &disk.path;
    let values = set::unpack(&content.bytes).ok_or_else(|| changed(path))?;
    let keys = values.keys().cloned().collect();
    let directory = place::ready(disk, seen, &keys)?;
    // What this write replaces is not for the next look to remove.
    disk.first_look.take();
    let record = disk.state.file(path);
    sweep::all((&directory, path), record.as_ref(), Keep::Previous)?;
    let before = seen.live.as_ref().zip(record.as_ref());
    let before = before.and_then(|(live, record)| previous(record, &live.name));
    let staged = Staged::create(&directory, disk, &values)?;
    let own = seen
        .live
        .as_ref()
        .and_then(|live| own(disk, live, content.fingerprint));
    let mut generations: Vec<_> = own.into_iter().collect();
    generations.push(staged.generation().clone());
    let delivery = delivery(disk, content.fingerprint, generations);
    let found = seen.live.as_ref();
    let found_ours = found.is_some_and(|live| is_recorded(record.as_ref(), live));
    let until_swapped = before.into_iter().chain(&delivery.generations);
    disk.state.set_file_intent(FileIntent {
        delivery: FileDelivery {
            generations: until_swapped.cloned().collect(),
            ..delivery.clone()
        },
        found: match seen.content() {
            Some(Content::Of(found)) => Some(found),
            Some(Content::Unknown | Content::Staged) | None => None,
        },
        found_ours,
        temporary: staged.temporary(),
        mark: disk.mark_of(seen.content() != Some(Content::Of(content.fingerprint))),
    })?;
    let files = staged.fill(&values)?;
    check(disk, (&directory, &staged), (content, &files))?;
    let number = staged.number();
    let at = staged.swap(seen.data.as_ref())?;
    links::put_right((&directory, path), &keys, &seen.files, number)?;
    tell_of_others(disk, seen);
    if let Some(before) = before {
        sweep::one((&directory, path), before)?;
    }
    let delivery = given::sealed(delivery, &files, disk.state.fingerprint_key());
    disk.state.set_file_delivered(delivery)?;
    Ok(at)
}

/// Whether the ledger names this very generation.
fn is_recorded(record: Option<&FileRecord>, live: &Inside) -> bool {
    let found = live.generation();
    let mut known = record
        .iter()
        .filter(|record| !record.removing)
        .flat_map(|record| &record.generations);
    known.any(|it| (&it.name, it.inode) == (&found.name, found.inode))
}

/// The generation that is replaced, where we made it or were told to take it over. Any other stays where it is.
fn own(disk: &OnDisk, live: &Inside, wanted: Fingerprint) -> Option<Generation> {
    let found = live.generation();
    let record = disk.state.file(&disk.path);
    let mut known = record.iter().flat_map(|record| &record.generations);
    if let Some(known) = known.find(|it| (&it.name, it.inode) == (&found.name, found.inode)) {
        return Some(known.clone());
    }
    let holds = live.content == Content::Of(wanted)
        || record.is_some_and(|record| was_put_there(&record, live.content));
    (disk.adopt && holds).then_some(found)
}

/// Runs the check on a generation that nobody reads yet, which has to leave it as it was.
fn check(
    disk: &OnDisk,
    (directory, staged): (&OwnedFd, &Staged<'_>),
    (content, written): (&Rendered, &BTreeMap<SecretKey, Stamp>),
) -> Result<(), Failure> {
    if disk.check.is_none() {
        return Ok(());
    }
    let name = &staged.generation().name;
    disk.run_check(&disk.path.join(name))?;
    let failed = |errno| refused("read the new content of", &disk.path, errno);
    let seen = (&*disk.state, &disk.ownership);
    let found = inside(directory, name, seen).map_err(failed)?;
    let wanted = (content.fingerprint, written);
    if found.is_some_and(|found| found.is_just(wanted, disk.mode)) {
        return Ok(());
    }
    Err(disk.changed_by_check())
}

/// Puts modes and links right around content that was seen to be `fingerprint`.
fn mend(disk: &OnDisk, fingerprint: Fingerprint, seen: &Sight) -> Result<(), Failure> {
    let path = &disk.path;
    let Some(live) = &seen.live else {
        return Err(changed(path));
    };
    let keys = live.files.keys().cloned().collect();
    let directory = place::ready(disk, seen, &keys)?;
    set_modes(disk, &directory, live)?;
    links::put_right((&directory, path), &keys, &seen.files, fastrand::u64(..))?;
    record(disk, &directory, fingerprint, live)
}

fn set_modes(disk: &OnDisk, directory: &OwnedFd, live: &Inside) -> Result<(), Failure> {
    let failed = |errno| refused("set the modes in", &disk.path, errno);
    let generation = place::open_directory(directory, live.name.as_ref()).map_err(failed)?;
    let inode = Inode::of_descriptor(&generation).map_err(failed)?;
    if inode.id() != live.id {
        return Err(changed(&disk.path));
    }
    if inode.mode & !INHERITED != disk.dir_mode {
        parents::set_mode(&generation, disk.dir_mode, inode.mode & INHERITED).map_err(failed)?;
    }
    for (key, stamp) in &live.files {
        let name = OsStr::new(key.as_str());
        let is_same = |inode: &Inode| inode.kind == FileType::RegularFile && inode.stamp == *stamp;
        let named = Inode::of_name(&generation, name).map_err(failed)?;
        let named = named.filter(is_same).ok_or_else(|| changed(&disk.path))?;
        if named.mode == disk.mode {
            continue;
        }
        let file = File::from(open_file(&generation, name).map_err(failed)?);
        if !is_same(&Inode::of_descriptor(&file).map_err(failed)?) {
            return Err(changed(&disk.path));
        }
        fs::fchmod(&file, Mode::from_raw_mode(disk.mode))
            .and_then(|()| fs::fsync(&file))
            .map_err(failed)?;
    }
    fs::fsync(&generation).map_err(failed)
}

/// Records what was found to be in place already, unless the ledger says so.
fn settle(disk: &OnDisk, fingerprint: Fingerprint, seen: &Sight) -> Result<(), Failure> {
    let Some(live) = &seen.live else {
        return Err(changed(&disk.path));
    };
    sweep_once(disk)?;
    let whose = whose(disk, live);
    let settled = disk.state.file(&disk.path).is_some_and(|record| {
        record.entry == disk.entry
            && record.delivered == Some(fingerprint)
            && record.intent.is_none()
            && record.mode == modes(disk).recorded()
            && record.whose == whose
            && (whose != Whose::Ours || is_settled(disk, &record, live))
            && !record.left
    });
    if settled {
        return Ok(());
    }
    match place::find(&disk.path, &disk.ownership)? {
        place::Place::Directory(directory, _) => record(disk, &directory, fingerprint, live),
        place::Place::Absent | place::Place::Symlink | place::Place::Other => {
            Err(changed(&disk.path))
        }
    }
}

fn is_settled(disk: &OnDisk, record: &FileRecord, live: &Inside) -> bool {
    let mut known = record.generations.iter();
    known.any(|it| it.name == live.name && given::is_known(it, disk.ownership.owner()))
}

/// Records what is in place, when nothing of an earlier write is left beside it.
fn record(
    disk: &OnDisk,
    directory: &OwnedFd,
    fingerprint: Fingerprint,
    live: &Inside,
) -> Result<(), Failure> {
    let before = disk.state.file(&disk.path);
    let whose = whose(disk, live);
    sweep::all((directory, &disk.path), before.as_ref(), Keep::Previous)?;
    // No swap has ended its time.
    let previous = before.as_ref().and_then(|it| previous(it, &live.name));
    let mut generations: Vec<_> = previous.cloned().into_iter().collect();
    if whose == Whose::Ours {
        generations.push(given::found(disk, directory, (fingerprint, live))?);
    }
    disk.state.set_file_delivered(FileDelivery {
        whose,
        ..delivery(disk, fingerprint, generations)
    })
}

/// Whose the set is that is in place already.
fn whose(disk: &OnDisk, live: &Inside) -> Whose {
    if disk.adopt {
        return Whose::Ours;
    }
    let record = disk.state.file(&disk.path);
    decide::directory::whose(record.as_ref(), (&live.name, live.id.inode()))
}

/// How the directory differs from what was delivered. The first look of a process also removes what an earlier one left:
/// its last swap is long over for whoever read across it.
pub(in crate::target::file) fn drift(disk: &OnDisk) -> Result<Option<Drift>, Failure> {
    sweep_once(disk)?;
    let seen = look(&disk.path, &disk.state, &disk.ownership)?;
    drift_of(disk, &seen)
}

fn drift_of(disk: &OnDisk, seen: &Sight) -> Result<Option<Drift>, Failure> {
    let record = disk.state.file(&disk.path);
    let modes = modes(disk);
    decide::directory::drift(&disk.path, &seen.observed, record.as_ref(), modes)
}

fn sweep_once(disk: &OnDisk) -> Result<(), Failure> {
    let record = disk.state.file(&disk.path);
    if !disk.first_look.take() || record.as_ref().is_none_or(|record| record.left) {
        return Ok(());
    }
    match place::find(&disk.path, &disk.ownership)? {
        place::Place::Directory(directory, _) => {
            sweep::all((&directory, &disk.path), record.as_ref(), Keep::Nothing)
        }
        place::Place::Absent | place::Place::Symlink | place::Place::Other => Ok(()),
    }
}

/// The same of one that no entry writes, as long as nobody else uses it: readers are led to what we delivered.
pub(in crate::target::file) fn sweep_left(
    disk: &OnDisk,
    record: &FileRecord,
) -> Result<(), Failure> {
    if !disk.first_look.take() {
        return Ok(());
    }
    let place::Place::Directory(directory, _) = place::find(&disk.path, &disk.ownership)? else {
        return Ok(());
    };
    let failed = |errno| refused("read directory", &disk.path, errno);
    let data = names::link_at(&directory, DATA.as_ref()).map_err(failed)?;
    let mut known = record.generations.iter();
    if data.is_some_and(|data| known.any(|it| data.text == *it.name)) {
        sweep::all((&directory, &disk.path), Some(record), Keep::Nothing)?;
    }
    Ok(())
}

/// Puts back modes, links and access where nothing else drifted.
pub(in crate::target::file) fn repair(disk: &OnDisk) -> Result<Effect, Failure> {
    let seen = look(&disk.path, &disk.state, &disk.ownership)?;
    let found = match (drift_of(disk, &seen)?, &seen.observed) {
        (Some(Drift::Metadata), Observed::Directory(found)) => found,
        (None, _) => return Ok(Effect::Unchanged),
        _ => return Err(changed(&disk.path)),
    };
    let Some(Content::Of(content)) = seen.content() else {
        return Err(changed(&disk.path));
    };
    decide::directory::may_mend(&disk.path, found, disk.adopt)?;
    let record = disk.state.file(&disk.path);
    let (modes, owner) = (modes(disk), disk.ownership.owner());
    let effect = decide::directory::modes_effect(record.as_ref(), modes, owner);
    if found.takes_fresh_files(modes) {
        let bytes = super::bytes(disk)?;
        let bytes = bytes.filter(|(_, found)| *found == Content::Of(content));
        let (bytes, _) = bytes.ok_or_else(|| changed(&disk.path))?;
        write(disk, &Rendered::of(bytes, content), &seen)?;
    } else {
        mend(disk, content, &seen)?;
    }
    Ok(effect)
}

pub(in crate::target::file) fn probe(disk: &OnDisk) -> Result<(), Failure> {
    let (parent, _) = parents::split(&disk.path)?;
    match place::find(&disk.path, &disk.ownership)? {
        place::Place::Directory(directory, _) => {
            parents::check_writable(&directory, &disk.path)?;
        }
        place::Place::Absent => {
            return match disk.way(Missing::Stop)? {
                Way::Whole(directory) => parents::check_writable(&directory, &parent),
                Way::Until(directory, path) => parents::check_writable(&directory, &path),
            };
        }
        place::Place::Symlink | place::Place::Other => {}
    }
    let seen = look(&disk.path, &disk.state, &disk.ownership)?;
    drift_of(disk, &seen).map(|_| ())
}

fn tell_of_others(disk: &OnDisk, seen: &Sight) {
    if !seen.others.is_empty() {
        tracing::info!(
            entry = %disk.entry, path = %disk.path.display(), names = ?seen.others,
            "what is not ours in the directory was left as it is"
        );
    }
}

pub(in crate::target::file) fn modes(disk: &OnDisk) -> Modes {
    Modes {
        file: disk.mode,
        directory: disk.dir_mode,
    }
}

fn delivery(disk: &OnDisk, fingerprint: Fingerprint, generations: Vec<Generation>) -> FileDelivery {
    FileDelivery {
        path: disk.path.clone(),
        entry: disk.entry.clone(),
        fingerprint,
        mode: modes(disk).recorded(),
        placed: None,
        generations,
        whose: Whose::Ours,
    }
}
