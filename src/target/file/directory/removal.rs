//! Taking a directory away: what we made in it, and nothing else.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{self, AtFlags};

use super::look::look;
use super::{DATA, links, place, sweep};
use crate::decide::file::was_put_there;
use crate::failure::{Failure, Reason};
use crate::state::State;
use crate::target::file::ownership::Ownership;
use crate::target::file::parents;
use crate::target::file::refusal::refused;

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
pub fn remove(path: &Path, state: &State) -> Result<Removed, Failure> {
    let place::Place::Directory(directory, _) = place::find(path, &Ownership::default())? else {
        return Ok(Removed::Gone);
    };
    parents::check_writable(&directory, path)?;
    let failed = |errno| refused("remove", path, errno);
    let refuse = |what: &str| {
        let fact = format!("{} {what}, so it is not removed", path.display());
        Err(Failure::new(Reason::Conflict, fact).with_help("remove it by hand"))
    };
    let Some(record) = state.file(path) else {
        return refuse("was not written by secretsyncd");
    };
    let seen = look(path, state, &Ownership::default())?;
    if let Some(data) = &seen.data {
        let Some(live) = &seen.live else {
            return refuse("holds what secretsyncd did not write");
        };
        let is_ours = record
            .generations
            .iter()
            .any(|it| (&it.name, it.inode) == (&live.name, live.id.inode()));
        if !is_ours || !was_put_there(&record, live.content) {
            return refuse("holds what secretsyncd did not write");
        }
        let present = super::names::link_at(&directory, OsStr::new(DATA)).map_err(failed)?;
        if present.as_ref() != Some(data) {
            return refuse("was changed meanwhile");
        }
        fs::unlinkat(&directory, DATA, AtFlags::empty()).map_err(failed)?;
        fs::fsync(&directory).map_err(failed)?;
    }
    let (none, unseen) = (
        std::collections::BTreeSet::new(),
        std::collections::BTreeMap::new(),
    );
    links::put_right((&directory, path), &none, &unseen, 0)?;
    sweep::all(&directory, path, Some(&record))?;
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
