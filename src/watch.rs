//! The one watcher of files: says which of the paths it was given may have changed.
//!
//! It knows paths, not what they are for; it never reads a file, and looks only at what the paths themselves lead
//! through. Where inotify is not told of changes, or cannot be had, stamps are compared instead, and all stamps are
//! compared from time to time, because events get lost.
//!
//! Watches are put on directories: a file that is replaced by a rename takes its watch with it, and many files are one
//! watch. A path may lead through symbolic links (a mounted `ConfigMap` is made of them); the directory of every link on
//! the way is watched. What moves a directory further up is noticed by the comparison only. Of a [`Watched::Place`] the
//! file is watched, too, as far as there are watches to spare: what is done to it by another of its names, and that it
//! has got one, no directory is told of.

mod debounce;
mod directories;
mod glance;
mod inotify;
mod lookout;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::glance::Glance;
use self::lookout::Lookout;
use self::trace::Sight;

/// `set` waits for no more file systems than this that do not answer.
const MOST_HUNG_AT_SET: usize = 2;

/// When as many directories hang, nothing is looked at until one answers: each has a thread.
const MOST_HUNG: usize = 32;

/// What is watched. The path need not exist; a relative one counts from the working directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// Whatever the path leads to.
    File(PathBuf),
    /// A directory with everything directly in it. Links in it are looked at, not followed.
    Directory(PathBuf),
    /// What lies at the path itself: a link there is looked at, not followed. Whom the file and the directory around it
    /// let in counts, too, and so does how far the way exists.
    Place(PathBuf),
}

impl Watched {
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Directory(path) | Self::Place(path) => path,
        }
    }
}

/// How changes come to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// inotify, and comparing where that does not work.
    Events,
    /// Comparing alone.
    Polling,
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub by: By,
    /// How often stamps are compared where inotify does not work.
    pub poll: Duration,
    /// How often all stamps are compared, and inotify is tried again where it could not be had.
    pub compare_all: Duration,
    /// How long it has to be quiet before changes are told, and after which time they are told all the same.
    pub silence: Duration,
    pub at_most: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            by: By::Events,
            poll: Duration::from_secs(30),
            compare_all: Duration::from_mins(1),
            silence: Duration::from_millis(200),
            at_most: Duration::from_secs(2),
        }
    }
}

/// Paths with how they looked when they were named; nothing where looking took too long.
type Orders = Arc<BTreeMap<Watched, Option<Sight>>>;

/// Says what is to be watched.
pub struct Watch {
    orders: watch::Sender<Orders>,
    glance: Glance,
}

/// Says what may have changed. Nothing is watched while nobody waits for `next`; what happens meanwhile is not lost.
pub struct Changes {
    reports: mpsc::Receiver<BTreeSet<Watched>>,
    /// Driven by whoever waits, so that watching needs no task of its own.
    lookout: Pin<Box<dyn Future<Output = Infallible> + Send>>,
}

/// Never fails: where inotify cannot be had, the paths are polled.
pub fn start(options: Options) -> (Watch, Changes) {
    let (orders, ordered) = watch::channel(Orders::default());
    let (report, reports) = mpsc::channel(1);
    let watch = Watch {
        orders,
        glance: Glance::new(trace::trace, MOST_HUNG_AT_SET),
    };
    let glance = Glance::new(trace::trace, MOST_HUNG);
    let lookout = Lookout::new(options, ordered, report, glance);
    let changes = Changes {
        reports,
        lookout: Box::pin(lookout.run()),
    };
    (watch, changes)
}

impl Watch {
    /// Replaces what is watched. Every change after this returns is reported, so that whoever reads a path does so
    /// afterwards. May be dropped half-way: then nothing was replaced.
    pub async fn set(&mut self, paths: BTreeSet<Watched>) {
        let present = Arc::clone(&self.orders.borrow());
        if present.keys().eq(&paths) {
            return;
        }
        let new = paths.iter().filter(|path| !present.contains_key(path));
        let mut seen: BTreeMap<_, _> = self.glance.at(new.cloned().collect()).await;
        let sight = |path: Watched| {
            let sight = match present.get(&path) {
                Some(sight) => sight.clone(),
                None => seen.remove(&path).map(|trace| trace.sight),
            };
            (path, sight)
        };
        let orders = Arc::new(paths.into_iter().map(sight).collect());
        self.orders.send_replace(orders);
    }
}

impl Changes {
    /// Waits until some of the paths may have changed, and until it is quiet. May be dropped and called again at any time.
    pub async fn next(&mut self) -> BTreeSet<Watched> {
        tokio::select! {
            biased;
            changed = self.reports.recv() => changed.unwrap_or_default(),
            never = &mut self.lookout => match never {},
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
