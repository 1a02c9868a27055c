//! Looks at paths without ever waiting for a file system that does not answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Watched;
use super::trace::Trace;

/// A path that takes longer is left to its thread, and the others go on without it.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Glance {
    look: fn(&Watched) -> Trace,
    /// Directories in which a look has not come back, with what its thread holds as long as it lives.
    hung: BTreeMap<PathBuf, Weak<()>>,
    most_hung: usize,
}

impl Glance {
    /// Beyond `most_hung` nothing at all is looked at until a thread comes back.
    pub(super) fn new(look: fn(&Watched) -> Trace, most_hung: usize) -> Self {
        Self {
            look,
            hung: BTreeMap::new(),
            most_hung,
        }
    }

    /// What does not answer is not in the result.
    pub(super) async fn at(&mut self, paths: BTreeSet<Watched>) -> BTreeMap<Watched, Trace> {
        self.hung.retain(|_, thread| thread.strong_count() > 0);
        let mut seen = BTreeMap::new();
        let mut queue = VecDeque::from_iter(paths);
        while self.hung.len() < self.most_hung {
            queue.retain(|path| !self.hung.contains_key(&around(path)));
            if queue.is_empty() {
                break;
            }
            let (tell, mut told) = mpsc::unbounded_channel();
            let alive = Arc::new(());
            let thread = Arc::downgrade(&alive);
            let (look, batch) = (self.look, queue.clone());
            let work = move || {
                // Ends as soon as nobody waits any more.
                for path in batch {
                    if tell.send(look(&path)).is_err() {
                        break;
                    }
                }
                drop(alive);
            };
            drop(tokio::task::spawn_blocking(work));
            while let Ok(Some(trace)) = timeout(PATIENCE, told.recv()).await {
                if let Some(path) = queue.pop_front() {
                    seen.insert(path, trace);
                }
            }
            if let Some(path) = queue.pop_front() {
                self.hung.insert(around(&path), thread);
            }
        }
        seen
    }
}

fn around(path: &Watched) -> PathBuf {
    path.path().parent().unwrap_or(path.path()).to_owned()
}
