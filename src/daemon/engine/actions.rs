//! What has to run when files have changed: what waits, what runs, and what came of it.
//!
//! The ledger says what has changed; here it is heard after every word about a file, so that no way of writing one can
//! forget to tell. Nothing begins before everybody outside was told that we are ready, and nothing here is waited for
//! by a read or a write. What fails keeps its target failing and is tried again; what a stop leaves over is in the ledger.

mod running;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

pub(super) use self::running::Acting;
use super::{Done, Engine, Mode, Task};
use crate::action::lanes::Lanes;
use crate::action::queue::{Change, Queue};
use crate::action::run::{Order, Source};
use crate::config::{Action, OnChange};
use crate::daemon::entries::{PendingAction, Streak};
use crate::names::EntryName;
use crate::state::Mark;
use crate::target::Target;
use crate::target::file::FileTarget;

/// What an action runs for: which change of each file.
pub(super) type Marks = BTreeMap<PathBuf, Change>;

/// What has to run.
#[derive(Debug, Default)]
pub(super) struct Actions {
    queue: Queue<Action, PathBuf>,
    waiting: BTreeMap<PathBuf, Waits>,
    /// What failed when it last ran.
    failing: BTreeMap<Action, Streak>,
    lanes: Lanes,
}

/// A file whose change somebody has to hear of.
#[derive(Debug)]
struct Waits {
    entry: EntryName,
    mark: Mark,
    since: Timestamp,
    settings: OnChange,
}

impl Actions {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether it has to run yet.
    pub(super) fn holds(&self, action: &Action) -> bool {
        self.queue.holds(action)
    }

    /// When what has to run for these is tried next.
    pub(super) fn next_of(&self, targets: &[Target]) -> Option<Instant> {
        let waits = targets.iter().filter_map(|target| match target {
            Target::File(file) => self.waiting.get(file.path()),
            Target::Kubernetes(..) => None,
        });
        waits
            .filter_map(|it| self.queue.due(&it.settings.action))
            .min()
    }

    fn shown(&self, path: &Path) -> Option<PendingAction> {
        let waits = self.waiting.get(path)?;
        let action = &waits.settings.action;
        Some(PendingAction {
            kind: action.kind(),
            name: action.to_string(),
            since: waits.since,
            trouble: self.failing.get(action).map(|it| it.failure.clone()),
        })
    }

    /// The files that wait for it.
    fn waiting_for(&self, action: &Action) -> Vec<PathBuf> {
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(|(_, waits)| waits.settings.action == *action);
        waiting.map(|(path, _)| path.clone()).collect()
    }

    fn forget(&mut self, path: &Path) {
        self.queue.forget(&path.to_owned());
        if let Some(waits) = self.waiting.remove(path)
            && self.waiting_for(&waits.settings.action).is_empty()
        {
            self.failing.remove(&waits.settings.action);
            self.lanes.forget(&waits.settings.action);
        }
    }

    /// When the next action can begin: it is due, and there is room for it.
    fn next(&self, now: Instant) -> Option<Instant> {
        let room = self.lanes.room(now);
        let next = self.queue.next_of(|action| room.is_for(action));
        let frees = self.lanes.frees_at(now);
        let others = self.queue.next_of(|action| !room.is_for(action));
        let later = frees.and_then(|frees| Some(others?.max(frees)));
        next.into_iter().chain(later).min()
    }

    fn take(&mut self, now: Instant) -> Option<(Action, Marks)> {
        let room = self.lanes.room(now);
        self.queue.take_next(now, |action| room.is_for(action))
    }

    /// What runs for these files: nobody's wish is cut short, and whoever wants to hear hears.
    fn order(&self, action: &Action, marks: &Marks) -> Order {
        let waiting = marks.keys().filter_map(|path| {
            let waits = self.waiting.get(path)?;
            Some((path, waits))
        });
        let waiting: Vec<(&PathBuf, &Waits)> = waiting.collect();
        let settings = || waiting.iter().map(|(_, waits)| &waits.settings);
        Order {
            action: action.clone(),
            timeout: settings()
                .map(|it| it.timeout)
                .max()
                .unwrap_or(OnChange::TIMEOUT),
            log_output: settings().any(|it| it.log_output),
            sources: waiting
                .iter()
                .map(|(path, waits)| Source {
                    entry: waits.entry.clone(),
                    path: (*path).clone(),
                })
                .collect(),
        }
    }
}

fn change_of(mark: &Mark) -> Change {
    format!("{:016x}", mark.id).into()
}

impl Engine {
    /// Something was said of a target: its change may have to be told.
    pub(super) fn hear_change(&mut self, name: &EntryName, index: usize) {
        let Some(target) = self.file_target(name, index) else {
            return;
        };
        if let Some(mark) = target.marks().pending {
            let path = target.path().to_owned();
            self.has_changed(name, &path, mark);
        }
    }

    /// A change that a crash cut short was looked at: it came about, or it is not known.
    pub(super) fn cut_short_ended(
        &mut self,
        (name, path): (&EntryName, &Path),
        done: Option<&Done>,
    ) {
        if let Some(Done::CutShort(Some(mark))) = done {
            self.has_changed(name, path, *mark);
        }
    }

    fn has_changed(&mut self, name: &EntryName, path: &Path, mark: Mark) {
        let Some(index) = self.place_of_file(name, path) else {
            return;
        };
        if self.unsaved.is_acted(path, mark.id) {
            return;
        }
        let suspended = self.entries.get(name).is_some_and(|it| it.entry.suspended);
        let settings = self.file_target(name, index).map(|it| it.on_change());
        let settings = match settings {
            Some(Some(settings)) if !suspended => settings.clone(),
            // Nobody wants to hear of it any more.
            Some(None) => return self.unsaved.acted(path, mark.id),
            Some(Some(_)) | None => return,
        };
        let known = self.actions.waiting.get(path);
        let same_action = known.is_none_or(|it| it.settings.action == settings.action);
        if !same_action {
            self.actions.forget(path);
        }
        let since = self.actions.waiting.get(path).map(|it| it.since);
        let debounce = match self.mode {
            Mode::Forever => settings.debounce,
            // It waits for all entries anyway.
            Mode::Once => Duration::ZERO,
        };
        let action = [settings.action.clone()];
        let change = (&path.to_owned(), &change_of(&mark));
        let queue = &mut self.actions.queue;
        queue.want(change, &action, debounce, Instant::now());
        let waits = Waits {
            entry: name.clone(),
            mark,
            since: since.map_or(mark.since, |since| since.min(mark.since)),
            settings,
        };
        self.actions.waiting.insert(path.to_owned(), waits);
        self.show_action(path);
    }

    /// What the ledger knows of files that changed before this process began, or under another configuration; what is
    /// not wanted any more is dropped.
    pub(super) fn recall_actions(&mut self) {
        let waiting = self.actions.waiting.iter();
        let waiting = waiting.map(|(path, waits)| (path.clone(), waits.entry.clone()));
        for (path, name) in waiting.collect::<Vec<_>>() {
            let entry = self.entries.get(&name).filter(|it| !it.entry.suspended);
            if entry.is_none() || self.place_of_file(&name, &path).is_none() {
                self.actions.forget(&path);
            }
        }
        let counts = self.entries.iter();
        let counts = counts.map(|(name, entry)| (name.clone(), entry.targets.len()));
        for (name, count) in counts.collect::<Vec<_>>() {
            for index in 0..count {
                self.hear_change(&name, index);
            }
        }
        for path in self.actions.waiting.keys().cloned().collect::<Vec<_>>() {
            self.show_action(&path);
        }
    }

    /// At the start: looks at the files whose writes a crash cut short.
    pub(super) fn look_at_cut_short(&mut self) {
        let mut looks = Vec::new();
        for (name, entry) in &self.entries {
            for (index, target) in entry.entry.targets.iter().enumerate() {
                if let Target::File(target) = target
                    && let Some(mark) = target.marks().intended
                {
                    looks.push((name.clone(), index, target.path().to_owned(), mark));
                }
            }
        }
        for (name, index, path, mark) in looks {
            let Some(entry) = self.entries.get(&name).map(|it| it.entry.clone()) else {
                continue;
            };
            let task = self.tasks.spawn(async move {
                let Target::File(target) = &entry.targets[index] else {
                    return Done::CutShort(None);
                };
                // Where nobody can tell, it is told: once too often rather than never.
                Done::CutShort(target.cut_short().await.unwrap_or(Some(mark)))
            });
            self.running.insert(task.id(), Task::CutShort(name, path));
        }
    }

    fn show_action(&mut self, path: &Path) {
        let shown = self.actions.shown(path);
        if let Some(name) = self.actions.waiting.get(path).map(|it| it.entry.clone()) {
            self.set_action(&name, path, shown);
            self.unsettled.insert(name);
        }
    }

    fn set_action(&mut self, name: &EntryName, path: &Path, action: Option<PendingAction>) {
        if let Some(index) = self.place_of_file(name, path)
            && let Some(entry) = self.entries.get_mut(name)
        {
            entry.targets[index].action = action.map(Box::new);
        }
    }

    fn place_of_file(&self, name: &EntryName, path: &Path) -> Option<usize> {
        let mut targets = self.entries.get(name)?.entry.targets.iter();
        targets.position(|it| matches!(it, Target::File(target) if target.path() == path))
    }

    fn file_target(&self, name: &EntryName, index: usize) -> Option<&FileTarget> {
        match self.entries.get(name)?.entry.targets.get(index)? {
            Target::File(target) => Some(target),
            Target::Kubernetes(..) => None,
        }
    }
}
