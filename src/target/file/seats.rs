//! How many threads may wait for one directory's disk.
//!
//! A thread that waits for a disk that hangs cannot be ended, and all share one pool: without a bound, the targets on
//! one dead network file system would hold every thread, and those on healthy disks would wait with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::account::Accounts;

/// A healthy disk gains nothing from more; the pool has hundreds.
pub(super) const PER_DIRECTORY: usize = 8;

/// The seats of every directory that a target lies in; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    directories: Arc<Mutex<HashMap<PathBuf, Arc<Semaphore>>>>,
    /// Of targets that somebody else's program looks at before they are written: those without do not wait for it.
    checked: Arc<Mutex<HashMap<PathBuf, Arc<Semaphore>>>>,
    /// By path, so that an operation of an earlier configuration is not overtaken either.
    turns: Arc<Mutex<HashMap<PathBuf, Arc<Turn>>>>,
    /// Whom the targets name, looked up once for all of them.
    accounts: Arc<Accounts>,
    looks: Arc<Mutex<HashMap<PathBuf, FirstLook>>>,
}

/// Whether this process has not yet looked at a path.
#[derive(Clone, Debug)]
pub(super) struct FirstLook(Arc<AtomicBool>);

impl FirstLook {
    /// True once.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Held by an operation on one path.
pub(super) type Turn = tokio::sync::Mutex<()>;

impl Seats {
    pub(super) fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.accounts)
    }

    /// Whose turn it is at `path`.
    pub(super) fn turn(&self, path: &Path) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(path.to_owned()).or_default())
    }

    /// The same for every configuration.
    pub(super) fn first_look(&self, path: &Path) -> FirstLook {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || FirstLook(Arc::new(AtomicBool::new(true)));
        looks.entry(path.to_owned()).or_insert_with(fresh).clone()
    }

    /// Those of the directory in which `path` lies.
    pub(super) fn beside(&self, path: &Path) -> Arc<Semaphore> {
        seats_of(&self.directories, path)
    }

    /// The same, for targets that have a check.
    pub(super) fn checked(&self, path: &Path) -> Arc<Semaphore> {
        seats_of(&self.checked, path)
    }
}

fn seats_of(all: &Mutex<HashMap<PathBuf, Arc<Semaphore>>>, path: &Path) -> Arc<Semaphore> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = path.parent().unwrap_or(path).to_owned();
    let seats = all
        .entry(directory)
        .or_insert_with(|| Arc::new(Semaphore::new(PER_DIRECTORY)));
    Arc::clone(seats)
}
