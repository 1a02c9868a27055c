//! The same entries with other targets, or at other times: what goes on keeps its state, and only what is new runs.

use tokio::time::Instant;

use super::removals::Loser;
use super::{Due, Engine};
use crate::daemon::entries::{Rest, Work};
use crate::names::EntryName;
use crate::report::{Condition, Fact};
use crate::schedule::rhythm::Rhythm;
use crate::sync::{Entry, Which};

impl Engine {
    /// Namespaces have come or gone. An entry of another configuration comes with that.
    pub(super) fn reach(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let name = entry.name.clone();
            let known = self.entries.get(&name);
            if known.is_none_or(|known| known.entry.configuration != entry.configuration) {
                continue;
            }
            let _ = self.keep(&name, entry);
            self.begin_kept(&name);
            self.settle(&name);
            self.unsettled.remove(&name);
        }
        self.look_for_orphans();
        self.mark_ready();
    }

    fn begin_kept(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name).filter(|it| it.work == Work::Idle) else {
            return;
        };
        if entry.rest().is_some() || entry.waits_for_namespaces() {
            self.untried.remove(name);
        } else if !entry.tried || (entry.unfinished && entry.failing_reads.is_empty()) {
            self.start_run(name, None, Which::All);
        } else {
            self.start_new(name);
        }
    }

    /// Targets that nobody has tried are tried, where nothing else of the entry has to come first.
    pub(super) fn start_new(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let first = entry.unfinished || entry.trouble.is_some() || !entry.failing_reads.is_empty();
        let new = entry.new_targets();
        if !first && !new.is_empty() && entry.rest().is_none() {
            self.start_run(name, None, Which::New(new));
        }
    }

    /// What waited for the end of a run or a check.
    pub(super) fn take_next(&mut self, name: &EntryName) {
        let next = self.entries.get_mut(name).and_then(|it| it.next.take());
        if let Some(next) = next {
            let _ = self.keep(name, *next);
        }
    }

    /// The same to deliver, perhaps at other times or to other targets. True where it begins again after a rest.
    pub(super) fn keep(&mut self, name: &EntryName, entry: Entry) -> bool {
        let Some(state) = self.entries.get_mut(name) else {
            return false;
        };
        if state.is_busy() && !state.aims_at(&entry) {
            if entry.suspended {
                state.dismiss();
            }
            state.next = Some(Box::new(entry));
            return false;
        }
        state.next = None;
        let (before, rested) = (state.wanted(), state.rest());
        if state.entry.refresh_interval != entry.refresh_interval {
            let place = u32::try_from(state.generation).unwrap_or(u32::MAX);
            state.rhythm = Rhythm::new(entry.refresh_interval, Instant::now(), place);
            state.check = state
                .check
                .map(|_| state.rhythm.next(Instant::now(), fastrand::f64()));
        }
        self.aim(name, entry);
        let Some(state) = self.entries.get_mut(name) else {
            return false;
        };
        let rests = state.rest();
        if rests.is_some() {
            state.dismiss();
        }
        if state.is_asleep() {
            self.rollouts.forget(&state.entry);
        }
        let wakes = rested.is_some() && rests.is_none();
        // What was delivered once to all others goes to new targets, and the others are not looked at.
        let only_new = rested == Some(Rest::Delivered) && !state.new_targets().is_empty();
        if wakes && !only_new {
            // Nobody looked for long.
            state.unfinished = true;
            state.tried = false;
            self.untried.insert(name.clone());
        }
        if rests.is_some() {
            self.untried.remove(name);
        }
        self.follow(name, &before);
        self.unsettled.insert(name.clone());
        wakes
    }

    /// Changes the targets, and tells of those that came and went.
    fn aim(&mut self, name: &EntryName, entry: Entry) {
        let Some(state) = self.entries.get_mut(name) else {
            return;
        };
        if state.entry.selected.len() != entry.selected.len() {
            state.forget_selected(&self.reporter);
        }
        let ids = Loser::all_of(state);
        let before = std::sync::Arc::clone(&state.entry);
        let aimed = state.aim(entry, Instant::now());
        let targets = |index: &usize| &state.entry.targets[*index];
        for target in aimed.joined.iter().map(targets) {
            self.reporter.record(&Fact::TargetCondition {
                target: target.kind(),
                cluster: target.cluster(),
                was: None,
                now: Some(Condition::Pending),
            });
        }
        for (index, shown) in &aimed.left {
            let target = &before.targets[*index];
            self.reporter.record(&Fact::TargetCondition {
                target: target.kind(),
                cluster: target.cluster(),
                was: Some(*shown),
                now: None,
            });
            self.brake.withdraw(&ids[*index]);
            self.rollouts.forget_target(name, target);
        }
        if !aimed.left.is_empty() {
            self.unsaved.brake();
        }
        if !(aimed.left.is_empty() && aimed.joined.is_empty()) {
            self.unsaved.entry(name);
        }
        if state.targets.is_empty() {
            self.schedule.cancel(&Due::Entry(name.clone()));
        }
        if !(aimed.left.is_empty() && aimed.joined.is_empty()) {
            self.watch_anew(name, &before);
        }
    }
}
