//! What the watcher tells of the files that entries deliver to.
//!
//! That something happened to a file is no more than a reason to look at it: most often it was our own write, and a look
//! tells. What fails is tried again, for what was in the way may be gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::{Due, Engine, Look, Which};
use crate::daemon::entries::EntryState;
use crate::decide::state::Turn;
use crate::names::EntryName;
use crate::target::Target;

/// Whose the files are, and which of them were stirred and not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Stirs {
    owners: HashMap<PathBuf, EntryName>,
    waiting: BTreeMap<EntryName, BTreeSet<PathBuf>>,
}

/// What is to be done about the stirred files of one entry.
#[derive(Debug, Default)]
struct Sorted {
    /// To be looked at.
    look: Vec<usize>,
    /// They fail, and are to be tried again.
    retry: Vec<usize>,
    /// Too much happened to these lately.
    later: BTreeSet<PathBuf>,
    /// Until then.
    calm: Option<Instant>,
}

impl Engine {
    /// Whose files there are is known anew.
    pub(super) fn index_files(&mut self) {
        self.stirs.owners.clear();
        for (name, entry) in &self.entries {
            for target in &entry.entry.targets {
                if let Target::File(target) = target {
                    let path = target.path().to_owned();
                    self.stirs.owners.insert(path, name.clone());
                }
            }
        }
        let entries = &self.entries;
        let waiting = &mut self.stirs.waiting;
        waiting.retain(|name, _| entries.contains_key(name));
    }

    /// Something may have happened to the targets at these paths.
    pub(super) fn stirred(&mut self, paths: BTreeSet<PathBuf>) {
        let mut names = BTreeSet::new();
        for path in paths {
            if let Some(name) = self.stirs.owners.get(&path) {
                let waiting = self.stirs.waiting.entry(name.clone()).or_default();
                waiting.insert(path);
                names.insert(name.clone());
            }
        }
        for name in names {
            self.look_at_files(&name);
        }
    }

    /// Looks at what was told of its targets while it was at work.
    pub(super) fn look_again(&mut self, name: &EntryName) {
        self.look_at_secrets(name);
        self.look_at_files(name);
    }

    /// Looks at what was stirred, unless something is under way that may have done it.
    pub(super) fn look_at_files(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name).filter(|_| self.may_look(name)) else {
            return;
        };
        let Some(paths) = self.stirs.waiting.remove(name) else {
            return;
        };
        if entry.rest().is_some() {
            return;
        }
        let Sorted {
            look,
            retry,
            later,
            calm,
        } = sort(entry, &paths, Instant::now());
        if let Some(calm) = calm {
            self.schedule.set(Due::Stirs(name.clone()), calm);
        }
        if !later.is_empty() {
            self.stirs.waiting.insert(name.clone(), later);
        }
        if !look.is_empty() {
            // What fails is tried when that look has ended.
            self.wait_for_the_look(name, &retry);
            self.check_these(name, look, Look::Sight);
        } else if !retry.is_empty() {
            self.try_stirred(name, retry);
        }
    }

    fn wait_for_the_look(&mut self, name: &EntryName, which: &[usize]) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let paths = which.iter().filter_map(|index| path_of(entry, *index));
        let paths: BTreeSet<PathBuf> = paths.map(Path::to_owned).collect();
        if !paths.is_empty() {
            let waiting = self.stirs.waiting.entry(name.clone()).or_default();
            waiting.extend(paths);
        }
    }

    /// Where the whole entry waits for something else, its next run comes to them.
    fn try_stirred(&mut self, name: &EntryName, which: Vec<usize>) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let (now, interval) = (Instant::now(), entry.entry.refresh_interval);
        for index in &which {
            let target = &mut entry.targets[*index];
            target.alarms.again(interval, now);
            target.retry = Some(now);
        }
        let waits = entry.unfinished || entry.trouble.is_some() || !entry.failing_reads.is_empty();
        if !waits {
            self.start_run(name, None, Which::Retry(which));
        }
    }
}

fn sort(entry: &EntryState, paths: &BTreeSet<PathBuf>, now: Instant) -> Sorted {
    let mut sorted = Sorted::default();
    for (index, target) in entry.targets.iter().enumerate() {
        // What is no target any more is nobody's to look at.
        let Some(path) = path_of(entry, index).filter(|path| paths.contains(*path)) else {
            continue;
        };
        if target.away.is_some() || entry.turn(index) == Turn::Waits {
            continue;
        }
        // What somebody else writes all the time has a time of its own.
        if target.trouble.is_some() && target.is_withheld(now) {
            continue;
        }
        match target.alarms.calm_until.filter(|calm| *calm > now) {
            Some(calm) => {
                sorted.calm = Some(sorted.calm.map_or(calm, |first| first.min(calm)));
                sorted.later.insert(path.to_owned());
            }
            None if target.trouble.is_some() => sorted.retry.push(index),
            None => sorted.look.push(index),
        }
    }
    sorted
}

fn path_of(entry: &EntryState, index: usize) -> Option<&Path> {
    match entry.entry.targets.get(index)? {
        Target::File(target) => Some(target.path()),
        Target::Kubernetes(..) => None,
    }
}
