//! How many threads may wait for one directory's disk.
//!
//! A thread that waits for a disk that hangs cannot be ended, and all share one pool: without a bound, the targets on
//! one dead network file system would hold every thread, and those on healthy disks would wait with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// A healthy disk gains nothing from more; the pool has hundreds.
pub(super) const PER_DIRECTORY: usize = 8;

/// The seats of every directory that a target lies in.
#[derive(Debug, Default)]
pub struct Seats {
    directories: Mutex<HashMap<PathBuf, Arc<Semaphore>>>,
    /// By path, so that an operation of an earlier configuration is not overtaken either.
    turns: Mutex<HashMap<PathBuf, Arc<Turn>>>,
}

/// Held by an operation on one path.
pub(super) type Turn = tokio::sync::Mutex<()>;

impl Seats {
    /// Whose turn it is at `path`.
    pub(super) fn turn(&self, path: &Path) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(path.to_owned()).or_default())
    }

    /// Those of the directory in which `path` lies.
    pub(super) fn beside(&self, path: &Path) -> Arc<Semaphore> {
        let mut directories = self
            .directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let directory = path.parent().unwrap_or(path).to_owned();
        let seats = directories
            .entry(directory)
            .or_insert_with(|| Arc::new(Semaphore::new(PER_DIRECTORY)));
        Arc::clone(seats)
    }
}
