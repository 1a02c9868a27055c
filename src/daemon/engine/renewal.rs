//! Another configuration while everything goes on: only what changed runs, new entries first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::removals::Loser;
use super::{Due, Engine, Order, Urgency};
use crate::daemon::house::{Supplied, Supply};
use crate::failure::Reason;
use crate::names::{EntryName, StoreName};
use crate::reload::About;
use crate::report::{Condition, Fact};
use crate::secret::Fingerprint;
use crate::store::{Read, Store};
use crate::sync::{Entry, Which};

/// What another configuration changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Renewed {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    pub unchanged: usize,
}

impl Engine {
    pub(super) fn ordered(&mut self, order: Order) {
        match order {
            Order::Renew(supply, done) => {
                // Whoever asked may be stopping.
                let _ = done.send(self.renew(supply));
            }
            Order::Reach(entries) => self.reach(entries),
            Order::Touched(about) => self.touched(&about),
            Order::Seen(scope, sight) => self.seen(&scope, sight),
            Order::Stirred(paths) => self.stirred(paths),
        }
    }

    /// What failed for want of access is tried again; what lies in files is read again.
    fn touched(&mut self, about: &About) {
        for store in &about.stores {
            for read in self.reads_of(store) {
                self.call(&read, None, Urgency::Now);
            }
        }
        if !about.access {
            return;
        }
        let now = Instant::now();
        let denied = |reason: Reason| {
            matches!(
                reason,
                Reason::Credentials | Reason::AccessDenied | Reason::TargetDenied | Reason::Io
            )
        };
        let failing: Vec<(Read, bool)> = self
            .reads
            .iter()
            .filter(|(_, state)| {
                let failing = state.failing.as_ref();
                failing.is_some_and(|streak| denied(streak.failure.reason))
            })
            .map(|(read, state)| (read.clone(), state.held))
            .collect();
        for (read, held) in failing {
            if !held {
                self.due_at(&read, now);
            } else if let Some(id) = self.upstream(&read.store) {
                self.hasten(id);
            }
        }
        self.hasten_clusters();
        self.rollouts.hasten(|_, _| true);
        let names: Vec<EntryName> = self.entries.keys().cloned().collect();
        for name in names {
            let which: Vec<usize> = self.entries.get(&name).map_or_else(Vec::new, |entry| {
                let targets = entry.targets.iter().enumerate();
                let failing = targets.filter(|(_, target)| {
                    let trouble = target.trouble.as_ref();
                    trouble.is_some_and(|streak| denied(streak.failure.reason))
                });
                failing.map(|(index, _)| index).collect()
            });
            if !which.is_empty() {
                self.start_run(&name, None, Which::Retry(which));
            }
        }
    }

    pub(super) fn renew(&mut self, supply: Supply) -> Renewed {
        // What was replaced has said its last word: nothing is told of it once it is gone.
        self.hear_clusters();
        self.clusters = supply.clusters;
        self.orphans.renew(supply.prune);
        let stores: BTreeSet<StoreName> = supply.stores.keys().cloned().collect();
        for (name, supplied) in supply.stores {
            self.renew_store(name, supplied);
        }
        let mut next: BTreeMap<EntryName, Entry> = BTreeMap::new();
        for entry in supply.entries {
            next.insert(entry.name.clone(), entry);
        }
        let gone: Vec<EntryName> = self
            .entries
            .keys()
            .filter(|name| !next.contains_key(*name))
            .cloned()
            .collect();
        let mut renewed = Renewed {
            removed: gone.len(),
            ..Renewed::default()
        };
        for name in gone {
            self.dismiss(&name);
        }
        let (mut added, mut others) = (Vec::new(), Vec::new());
        for (name, entry) in next {
            let Some(known) = self.entries.get(&name) else {
                self.admit(entry);
                added.push(name);
                continue;
            };
            // What waits for the end of a run is what the configuration said last.
            let last = known.next.as_deref().unwrap_or(&known.entry);
            if last.is_configured_as(&entry) {
                renewed.unchanged += 1;
            } else {
                renewed.changed += 1;
            }
            if known.entry.configuration != entry.configuration {
                self.replace(&name, entry);
                others.push(name);
            } else if self.keep(&name, entry) {
                others.push(name);
            }
        }
        renewed.added = added.len();
        self.close_stores(&stores);
        self.index_watched();
        self.index_files();
        for name in added.into_iter().chain(others) {
            self.begin(&name);
            self.settle(&name);
        }
        self.recall_actions();
        self.settle_all();
        self.look_for_orphans();
        self.mark_ready();
        renewed
    }

    fn renew_store(&mut self, name: StoreName, supplied: Supplied) {
        let Some(slot) = self.stores.get_mut(&name) else {
            return self.open_store(name, supplied);
        };
        let Supplied { store, identity } = supplied;
        let Some(store) = store.map(Arc::new) else {
            return;
        };
        let same = slot.identity == identity;
        slot.store = store;
        slot.identity = identity;
        let reads: Vec<Read> = self.reads_of(&name);
        for read in reads {
            if same {
                // It may travel in another way now.
                self.join_cohort(&read);
            } else {
                self.let_go(&read);
            }
        }
    }

    fn reads_of(&self, store: &StoreName) -> Vec<Read> {
        let reads = self.reads.keys().filter(|read| read.store == *store);
        reads.cloned().collect()
    }

    fn close_stores(&mut self, wanted: &BTreeSet<StoreName>) {
        let gone: Vec<StoreName> = self
            .stores
            .keys()
            .filter(|name| !wanted.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            for read in self.reads_of(&name) {
                self.let_go(&read);
            }
            self.stores.remove(&name);
            let lines = self.lines.keys().filter(|line| line.store == name);
            for line in lines.cloned().collect::<Vec<_>>() {
                self.close_line(&line);
            }
        }
    }

    fn admit(&mut self, entry: Entry) {
        let name = entry.name.clone();
        let state = self.new_entry(entry, Instant::now());
        if !state.entry.suspended {
            self.untried.insert(name.clone());
        }
        self.entries.insert(name.clone(), state);
        self.follow(&name, &BTreeSet::new());
        self.tell_standing(&name, Some(Condition::Pending));
        self.unsaved.entry(&name);
    }

    /// The entry leaves; a run of it that is under way ends by itself, and deletes nothing any more.
    fn dismiss(&mut self, name: &EntryName) {
        self.tell_standing(name, None);
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        entry.dismiss();
        let tasks = entry.tasks();
        let targets = Loser::all_of(entry);
        self.rollouts.forget(&entry.entry);
        let wanted = entry.wanted();
        self.leave_alone(name, tasks);
        for read in wanted {
            self.abandon(&read, name);
        }
        for target in targets {
            self.brake.withdraw(&target);
        }
        self.schedule.cancel(&Due::Entry(name.clone()));
        self.schedule.cancel(&Due::Stale(name.clone()));
        self.schedule.cancel(&Due::Look(name.clone()));
        self.schedule.cancel(&Due::Late(name.clone()));
        self.schedule.cancel(&Due::Stirs(name.clone()));
        self.entries.remove(name);
        self.untried.remove(name);
        self.unsettled.remove(name);
        self.nobody_waits(name);
        self.unsaved.forget_entry(name);
        self.unsaved.brake();
    }

    /// The same name, something else to deliver. What its targets hold stays known.
    fn replace(&mut self, name: &EntryName, entry: Entry) {
        let Some(before) = self.entries.remove(name) else {
            return;
        };
        before.dismiss();
        let tasks = before.tasks();
        self.rollouts.forget(&before.entry);
        let mut state = self.new_entry(entry, Instant::now());
        let generation = state.generation;
        state.succeed_to(&before);
        state.generation = generation;
        let wanted = before.wanted();
        self.entries.insert(name.clone(), before);
        self.tell_standing(name, None);
        self.entries.insert(name.clone(), state);
        self.leave_alone(name, tasks);
        self.schedule.cancel(&Due::Entry(name.clone()));
        self.schedule.cancel(&Due::Stale(name.clone()));
        self.untried.insert(name.clone());
        self.tell_standing(name, Some(Condition::Pending));
        self.follow(name, &wanted);
        self.unsaved.entry(name);
    }

    /// Its reads have changed, or their interval has.
    pub(super) fn follow(&mut self, name: &EntryName, before: &BTreeSet<Read>) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let after = entry.wanted();
        for read in &after {
            let grown = self.adopt(read, name);
            if self.renew_interval(read) || grown {
                self.join_cohort(read);
            }
        }
        for read in before.difference(&after) {
            self.abandon(read, name);
        }
    }

    /// What was delivered once is delivered once more.
    pub(super) fn wake(&mut self, name: &EntryName) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.unfinished = true;
        }
        self.follow(name, &BTreeSet::new());
    }

    /// An entry that has nothing to do any more asks for nothing.
    pub(super) fn lie_down(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name).filter(|it| it.rest().is_some()) else {
            return;
        };
        for read in entry.everything() {
            self.abandon(&read, name);
        }
    }

    /// Whether a call was made to what the store of that name is now.
    pub(super) fn is_store(
        &self,
        name: &StoreName,
        (asked, identity): &(Arc<Store>, Fingerprint),
    ) -> bool {
        let slot = self.stores.get(name);
        slot.is_some_and(|slot| Arc::ptr_eq(&slot.store, asked) || slot.identity == *identity)
    }

    pub(super) fn is_current(&self, name: &EntryName, generation: u64) -> bool {
        let entry = self.entries.get(name);
        entry.is_some_and(|entry| entry.generation == generation)
    }

    /// So many tasks of an earlier configuration end by themselves.
    pub(super) fn leave_alone(&mut self, name: &EntryName, tasks: usize) {
        if tasks > 0 {
            *self.leaving.entry(name.clone()).or_default() += tasks;
        }
    }

    /// A run of an earlier configuration has ended.
    pub(super) fn left(&mut self, name: &EntryName) {
        if let Some(tasks) = self.leaving.get_mut(name)
            && *tasks > 1
        {
            *tasks -= 1;
            return;
        }
        self.leaving.remove(name);
        if self.entries.get(name).is_some_and(|entry| !entry.tried) {
            self.start_run(name, None, Which::All);
        } else {
            self.start_new(name);
        }
        self.settle(name);
    }

    fn tell_standing(&mut self, name: &EntryName, now: Option<Condition>) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        for (target, state) in entry.entry.targets.iter().zip(&entry.targets) {
            self.reporter.record(&Fact::TargetCondition {
                target: target.kind(),
                cluster: target.cluster(),
                was: now.is_none().then_some(state.shown),
                now,
            });
        }
        if now.is_none() {
            entry.forget_selected(&self.reporter);
        }
        let store = &entry.entry.store;
        self.reporter.record(&Fact::EntryCondition {
            entry: name,
            store,
            was: now.is_none().then_some(entry.condition),
            now,
        });
        if now.is_none() {
            self.reporter.record(&Fact::EntryGone { entry: name });
        }
    }
}
