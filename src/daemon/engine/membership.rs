//! Which reads there are, who uses them, and with whom each comes round.

use std::time::Duration;

use tokio::time::Instant;

use super::{Due, Engine, Mode};
use crate::daemon::entries::Streak;
use crate::daemon::reads::ReadState;
use crate::decide::missing::Gone;
use crate::names::EntryName;
use crate::store::{Match, Read};

impl Engine {
    /// Every entry's own reads, in order, so that the members of a cohort are neighbours.
    pub(super) fn begin_reads(&mut self) {
        let uses: Vec<(Read, EntryName)> = self
            .entries
            .iter()
            .flat_map(|(name, entry)| {
                let reads = entry.reads().cloned();
                reads.map(|read| (read, name.clone())).collect::<Vec<_>>()
            })
            .collect();
        let mut touched = Vec::new();
        for (read, name) in uses {
            if self.adopt(&read, &name) {
                touched.push(read);
            }
        }
        touched.sort();
        for read in touched {
            self.join_cohort(&read);
        }
    }

    /// A `find` of these entries matches that: their reads follow.
    pub(super) fn found(&mut self, find: &Read, matches: &[Match], users: &[EntryName]) {
        for name in users {
            let Some(entry) = self.entries.get_mut(name) else {
                continue;
            };
            let (gained, lost) = entry.found(find, matches);
            for read in gained {
                if self.adopt(&read, name) {
                    self.join_cohort(&read);
                }
            }
            for read in lost {
                self.abandon(&read, name);
            }
        }
    }

    /// One more user, which fails with it unless it can do without. True where the read is new or has to come round more often.
    pub(super) fn adopt(&mut self, read: &Read, user: &EntryName) -> bool {
        let Some(entry) = self.entries.get(user) else {
            return false;
        };
        let interval = entry.entry.refresh_interval;
        let known = self.reads.contains_key(read);
        let state = self
            .reads
            .entry(read.clone())
            .or_insert_with(|| ReadState::new(interval));
        state.users.insert(user.clone());
        // It fails for this one, too; that was said by those who used it before.
        let failing = state.failing.clone().map(|streak| Streak {
            loud: false,
            ..streak
        });
        let shorter = interval < state.interval;
        state.interval = interval.min(state.interval);
        if let (Some(streak), Some(entry)) = (failing, self.entries.get_mut(user)) {
            let gone = Gone::of(streak.failure.reason, &read.source).is_some();
            if entry.uses(read) && !(gone && entry.tolerates(read)) {
                entry.failing_reads.insert(read.clone(), streak);
            }
        }
        !known || shorter
    }

    pub(super) fn abandon(&mut self, read: &Read, user: &EntryName) {
        let Some(state) = self.reads.get_mut(read) else {
            return;
        };
        state.users.remove(user);
        let entries = &self.entries;
        let interval_of = |name: &EntryName| Some(entries.get(name)?.entry.refresh_interval);
        let shortest: Option<Duration> = state.users.iter().filter_map(interval_of).min();
        match shortest {
            Some(interval) if interval == state.interval => {}
            Some(interval) => {
                state.interval = interval;
                self.join_cohort(read);
            }
            None => {
                self.reads.remove(read);
                self.schedule.cancel(&Due::Read(read.clone()));
                self.leave_cohort(read);
            }
        }
    }

    fn leave_cohort(&mut self, read: &Read) {
        let Some(left) = self.cohorts.leave(read) else {
            return;
        };
        self.schedule.cancel(&Due::Cohort(left));
        if let Some(slot) = self.stores.get_mut(&read.store) {
            slot.mean.remove(&left);
        }
    }

    /// Puts the read among those that travel as it does, at its interval.
    pub(super) fn join_cohort(&mut self, read: &Read) {
        let (Some(state), Some(slot)) = (self.reads.get(read), self.stores.get(&read.store)) else {
            return;
        };
        let lane = slot.store.usual_lane(read);
        let kind = (read.store.clone(), lane);
        let interval = state.interval;
        self.leave_cohort(read);
        let new = self.cohorts.join(read.clone(), kind, interval, lane.size);
        if let Some(cohort) = new.filter(|_| self.mode == Mode::Forever)
            && let Some(at) = self.cohorts.next(cohort, Instant::now(), fastrand::f64())
        {
            self.schedule.set(Due::Cohort(cohort), at);
        }
    }
}
