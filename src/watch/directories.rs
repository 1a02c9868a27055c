//! Which directories are to be watched for whom, and which are. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Watched;
use super::inotify::{Outcome, Why};
use super::trace::{DirectoryId, Look, Name};

/// Beyond this many directories the rest is polled.
pub(super) const MOST_WATCHED: usize = 4096;

/// Beyond this many files the rest is left to their directories.
pub(super) const MOST_FILES: usize = 1024;

#[derive(Debug)]
pub(super) struct Directories {
    most: usize,
    wanted: BTreeMap<DirectoryId, Wanted>,
    /// By identity, because inotify knows no paths: one directory under two of them would be told of under one.
    watched: BTreeMap<DirectoryId, PathBuf>,
    by_path: BTreeMap<PathBuf, DirectoryId>,
    /// Files that could not be watched for themselves; their directories tell of most of what happens to them.
    spared: BTreeSet<DirectoryId>,
    /// What counts as not watched, but inotify was not told so.
    forgotten: Vec<PathBuf>,
    polled: BTreeMap<DirectoryId, Why>,
    /// What was already said to be polled.
    said: BTreeSet<(PathBuf, Why)>,
}

#[derive(Debug, Default)]
struct Wanted {
    path: PathBuf,
    remote: bool,
    /// No directory, but a file that is watched for itself.
    itself: bool,
    names: BTreeMap<OsString, BTreeSet<Watched>>,
    /// Who wants to know of any name.
    any: BTreeSet<Watched>,
}

impl Wanted {
    fn everybody(&self) -> impl Iterator<Item = &Watched> {
        self.names.values().flatten().chain(&self.any)
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) remove: Vec<PathBuf>,
    pub(super) add: Vec<(DirectoryId, PathBuf)>,
}

impl Directories {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            wanted: BTreeMap::new(),
            watched: BTreeMap::new(),
            by_path: BTreeMap::new(),
            spared: BTreeSet::new(),
            forgotten: Vec::new(),
            polled: BTreeMap::new(),
            said: BTreeSet::new(),
        }
    }

    /// Replaces what is wanted. Returns who has to look again: two saw different directories under one path, so that what
    /// one of them saw is out of date. Until then the first is believed.
    pub(super) fn want<'a>(
        &mut self,
        looks: impl Iterator<Item = (&'a Watched, &'a [Look])>,
    ) -> BTreeSet<Watched> {
        self.wanted.clear();
        let mut claims: BTreeMap<&Path, DirectoryId> = BTreeMap::new();
        let mut again = BTreeSet::new();
        for (watched, look) in looks.flat_map(|(who, looks)| looks.iter().map(move |it| (who, it)))
        {
            let first = *claims.entry(&look.directory).or_insert(look.id);
            if first != look.id {
                let believed = self.wanted.get(&first).into_iter();
                again.extend(believed.flat_map(Wanted::everybody).cloned());
                again.insert(watched.clone());
                continue;
            }
            let wanted = self.wanted.entry(look.id).or_insert_with(|| Wanted {
                path: look.directory.clone(),
                remote: look.remote,
                ..Wanted::default()
            });
            let askers = match &look.name {
                Name::One(name) => wanted.names.entry(name.clone()).or_default(),
                Name::Any => &mut wanted.any,
                Name::Itself => {
                    wanted.itself = true;
                    &mut wanted.any
                }
            };
            askers.insert(watched.clone());
        }
        self.polled.retain(|id, _| self.wanted.contains_key(id));
        self.spared.retain(|id| self.wanted.contains_key(id));
        again
    }

    /// What inotify has to be told. From here on the removed ones count as not watched.
    pub(super) fn plan(&mut self) -> Plan {
        let mut remove = std::mem::take(&mut self.forgotten);
        self.watched.retain(|id, path| {
            let stays = self.wanted.get(id).is_some_and(|it| it.path == *path);
            if !stays {
                self.by_path.remove(path);
                remove.push(std::mem::take(path));
            }
            stays
        });
        let mut add = Vec::new();
        let directories = self.wanted.iter().filter(|(_, wanted)| !wanted.itself);
        for (id, wanted) in directories {
            if self.watched.contains_key(id) || self.polled.contains_key(id) {
                continue;
            }
            if wanted.remote {
                self.polled.insert(*id, Why::Remote);
            } else if self.watched.len() + add.len() >= self.most {
                self.polled.insert(*id, Why::TooMany);
            } else {
                add.push((*id, wanted.path.clone()));
            }
        }
        self.add_files(&mut add);
        Plan { remove, add }
    }

    /// Those that are watched for themselves come last, and stand back where there are many.
    fn add_files(&self, add: &mut Vec<(DirectoryId, PathBuf)>) {
        let is_file = |id: &DirectoryId| self.wanted.get(id).is_some_and(|it| it.itself);
        let watched = self.watched.keys().filter(|id| is_file(id)).count();
        let all = self.watched.len() + add.len();
        let room = MOST_FILES.saturating_sub(watched);
        let room = room.min(self.most.saturating_sub(all));
        let files = self.wanted.iter().filter(|(id, wanted)| {
            let known = self.watched.contains_key(id) || self.spared.contains(id);
            wanted.itself && !wanted.remote && !known
        });
        add.extend(files.take(room).map(|(id, it)| (*id, it.path.clone())));
    }

    /// Returns whose paths have to be looked at again: what happened before a directory was watched was not told.
    pub(super) fn done(&mut self, outcomes: Vec<(DirectoryId, Outcome)>) -> BTreeSet<Watched> {
        let mut again = BTreeSet::new();
        for (id, outcome) in outcomes {
            let Some(wanted) = self.wanted.get(&id) else {
                continue;
            };
            match outcome {
                Outcome::Watched => {
                    self.by_path.insert(wanted.path.clone(), id);
                    self.watched.insert(id, wanted.path.clone());
                }
                Outcome::Moved => {}
                Outcome::Not(_) if wanted.itself => {
                    self.spared.insert(id);
                    continue;
                }
                Outcome::Not(why) => {
                    self.polled.insert(id, why);
                    continue;
                }
            }
            again.extend(wanted.everybody().cloned());
        }
        again
    }

    /// Whom it concerns that something happened to `path`: a name in a watched directory, or such a directory itself.
    pub(super) fn concerned(&self, path: &Path) -> BTreeSet<Watched> {
        let wanted = |path: &Path| {
            let id = self.by_path.get(path)?;
            self.wanted.get(id)
        };
        let mut concerned = BTreeSet::new();
        if let Some(itself) = wanted(path) {
            concerned.extend(itself.everybody().cloned());
        }
        if let Some(around) = path.parent().and_then(wanted) {
            let askers = path.file_name().and_then(|name| around.names.get(name));
            let askers = askers.into_iter().flatten();
            concerned.extend(askers.chain(&around.any).cloned());
        }
        concerned
    }

    /// What is watched at `path` and below counts as not watched. Returns whose it was.
    pub(super) fn forget_below(&mut self, path: &Path) -> BTreeSet<Watched> {
        let below = |(at, _): &(&PathBuf, &DirectoryId)| at.starts_with(path);
        let first = self.by_path.range(path.to_owned()..);
        let gone: Vec<_> = first
            .take_while(below)
            .map(|(at, id)| (at.clone(), *id))
            .collect();
        let mut concerned = BTreeSet::new();
        for (at, id) in gone {
            self.by_path.remove(&at);
            self.watched.remove(&id);
            self.forgotten.push(at);
            let wanted = self.wanted.get(&id).into_iter();
            concerned.extend(wanted.flat_map(Wanted::everybody).cloned());
        }
        concerned
    }

    /// Lets what is polled be tried again.
    pub(super) fn try_polled_again(&mut self) -> bool {
        let any = !self.polled.is_empty() || !self.spared.is_empty();
        self.polled.clear();
        self.spared.clear();
        any
    }

    /// For each reason the directories that are polled for it and were not when this was last asked.
    pub(super) fn newly_polled(&mut self) -> BTreeMap<Why, Vec<PathBuf>> {
        let path = |id| self.wanted.get(id).map(|it| it.path.clone());
        let polled = self.polled.iter();
        let now: BTreeSet<_> = polled
            .filter_map(|(id, why)| Some((path(id)?, *why)))
            .collect();
        let mut new: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (path, why) in now.difference(&self.said) {
            new.entry(*why).or_default().push(path.clone());
        }
        self.said = now;
        new
    }

    /// Whose paths lead through directories that are not watched.
    pub(super) fn to_poll(&self) -> BTreeSet<Watched> {
        let polled = self.polled.keys().filter_map(|id| self.wanted.get(id));
        polled.flat_map(Wanted::everybody).cloned().collect()
    }
}
