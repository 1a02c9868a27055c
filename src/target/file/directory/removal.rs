//! Taking a directory away: what we made in it, and nothing else.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{self, AtFlags};

use super::look::look;
use super::{DATA, links, place, sweep};
use crate::decide::directory::Keep;
use crate::decide::directory::removal::orphaned;
use crate::decide::file::removal::Removal;
use crate::failure::Failure;
use crate::state::State;
use crate::target::file::ownership::Ownership;
use crate::target::file::parents;
use crate::target::file::refusal::refused;
use crate::target::file::removal::too_late;

/// What is there afterwards. The directory itself stays: it says nothing any more, and others may have made it.
#[derive(Debug, PartialEq, Eq)]
pub enum Removed {
    /// Nothing of ours is left; so it may have been before.
    Gone,
    /// The same, and these are somebody else's.
    Beside(Vec<String>),
}

/// Removes `..data`, our links and our generations, where the ledger knows the generation by its inode and its content
/// is what we put there. `..data` goes first, so that no reader sees a part of the set. Blocks.
pub(in crate::target::file) fn remove(
    (path, ownership): (&Path, &Ownership),
    state: &State,
    becomes_certain: impl FnOnce() -> bool,
) -> Result<Removed, Failure> {
    let place::Place::Directory(directory, _) = place::find(path, ownership)? else {
        return Ok(Removed::Gone);
    };
    parents::check_writable(&directory, path)?;
    let failed = |errno| refused("remove", path, errno);
    let seen = look(path, state, ownership)?;
    let found = seen.found(path);
    let Some(record) = state.file(path) else {
        return Err(found.stays("is not known to the ledger"));
    };
    if orphaned(&record, &found)? == Removal::Gone {
        return Ok(Removed::Gone);
    }
    if !becomes_certain() {
        return Err(too_late(path));
    }
    if let Some(data) = &seen.data {
        let present = super::names::link_at(&directory, OsStr::new(DATA)).map_err(failed)?;
        if present.as_ref() != Some(data) {
            return Err(found.stays("was changed meanwhile"));
        }
        fs::unlinkat(&directory, DATA, AtFlags::empty()).map_err(failed)?;
        fs::fsync(&directory).map_err(failed)?;
    }
    let (none, unseen) = (
        std::collections::BTreeSet::new(),
        std::collections::BTreeMap::new(),
    );
    links::put_right((&directory, path), &none, &unseen, 0)?;
    sweep::all((&directory, path), Some(&record), Keep::Nothing)?;
    fs::fsync(&directory).map_err(failed)?;
    let others = seen.others.iter().map(|name| name.to_string_lossy());
    let files = seen.files.keys().map(|key| key.as_str().into());
    let mut left: Vec<String> = others.chain(files).map(Into::into).collect();
    left.sort_unstable();
    Ok(if left.is_empty() {
        Removed::Gone
    } else {
        Removed::Beside(left)
    })
}
