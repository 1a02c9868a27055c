//! What may be asked of a running daemon.

use tokio::sync::{oneshot, watch};

use crate::names::EntryName;
use crate::status::{Adoption, EntryStatus, Leftovers, Status};

/// One question to the engine, with the way back for its answer. Whoever asks may go away meanwhile.
#[derive(Debug)]
pub enum Ask {
    Status(oneshot::Sender<Status>),
    /// Read and deliver these now, whatever their schedule.
    Sync {
        which: Wanted,
        progress: watch::Sender<Progress>,
        done: oneshot::Sender<Result<Vec<EntryStatus>, Unknown>>,
    },
    Prune(Prune, oneshot::Sender<Leftovers>),
    /// Take over what others wrote at the targets that go by these names, of an entry or a target; without names, at every
    /// target.
    Adopt(Vec<String>, oneshot::Sender<Adoption>),
}

/// Which entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Names(Vec<EntryName>),
    /// Neither fresh nor waiting for their first try.
    Failing,
    All,
}

/// What is to be done about what is left behind or held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prune {
    List,
    /// Everything that is left, as far as the brake lets it.
    All,
    /// What goes by the name of these entries or targets.
    Named(Vec<String>),
}

/// How far something long has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub done: usize,
    pub all: usize,
}

/// There is no such entry; beside it the one that may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub name: EntryName,
    pub near: Option<EntryName>,
}

impl Unknown {
    /// `known`: the names that there are.
    pub fn new<'a>(name: EntryName, known: impl Iterator<Item = &'a EntryName>) -> Self {
        let likeness = |known: &EntryName| strsim::jaro_winkler(known.as_str(), name.as_str());
        let near = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let near = near.filter(|near| likeness(near) > 0.8).cloned();
        Self { name, near }
    }
}
