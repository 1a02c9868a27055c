//! Which reads there are, who uses them, and with whom each comes round.

use std::time::Duration;

use tokio::time::Instant;

use super::{Due, Engine, Mode};
use crate::daemon::entries::Streak;
use crate::daemon::raw::RawRead;
use crate::daemon::reads::ReadState;
use crate::decide::missing::Gone;
use crate::names::EntryName;
use crate::store::{Match, Read};

impl Engine {
    /// A `find` of these entries matches that: their reads follow.
    pub(super) fn found(&mut self, find: &Read, matches: &[Match], users: &[EntryName]) {
        for name in users {
            let Some(entry) = self.entries.get_mut(name) else {
                continue;
            };
            let (gained, lost) = entry.found(find, matches);
            self.fail_what_is_tolerated_no_longer(name);
            self.ask_brake(name);
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

    /// What a `find` matches has to be there, if it says so, whatever else of the entry can do without it.
    fn fail_what_is_tolerated_no_longer(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let failing = entry.reads().filter_map(|read| {
            let streak = self.reads.get(read)?.failing.as_ref()?;
            let gone = Gone::of(streak.failure.reason, &read.source).is_some();
            (!(gone && entry.tolerates(read))).then(|| (read.clone(), silent(streak)))
        });
        for (read, streak) in failing.collect::<Vec<_>>() {
            entry
                .failing_reads
                .change(|it| _ = it.entry(read).or_insert(streak));
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
            .or_insert_with(|| Box::new(ReadState::new(interval)));
        state.users.insert(user.clone());
        let failing = state.failing.as_ref().map(silent);
        let shorter = interval < state.interval;
        state.interval = interval.min(state.interval);
        if let (Some(streak), Some(entry)) = (failing, self.entries.get_mut(user)) {
            let gone = Gone::of(streak.failure.reason, &read.source).is_some();
            if entry.uses(read) && !(gone && entry.tolerates(read)) {
                entry
                    .failing_reads
                    .change(|it| it.insert(read.clone(), streak));
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
            None => self.let_go(read),
        }
    }

    /// Nothing is known of it any more. A call for it that is under way answers nobody but those who wait for it.
    pub(super) fn let_go(&mut self, read: &Read) {
        self.reads.remove(read);
        self.schedule.cancel(&Due::Read(read.clone()));
        self.leave_cohort(read);
        self.unsaved.forget_read(RawRead::from(read).key());
    }

    /// The interval that its entries have by now. True where that is another one.
    pub(super) fn renew_interval(&mut self, read: &Read) -> bool {
        let Some(state) = self.reads.get_mut(read) else {
            return false;
        };
        let entries = &self.entries;
        let interval_of = |name: &EntryName| Some(entries.get(name)?.entry.refresh_interval);
        let shortest = state.users.iter().filter_map(interval_of).min();
        let before = state.interval;
        state.interval = shortest.unwrap_or(before);
        state.interval != before
    }

    fn leave_cohort(&mut self, read: &Read) {
        let cohort = self.cohorts.of(read);
        let round = cohort.and_then(|cohort| self.round_of(cohort));
        let Some(left) = self.cohorts.leave(read) else {
            return;
        };
        if let Some(round) = round {
            self.unsaved.forget_round(&round);
        }
        self.schedule.cancel(&Due::Cohort(left));
        if let Some(slot) = self.stores.get_mut(&read.store) {
            slot.mean.remove(&left);
        }
    }

    /// Puts the read among those that travel as it does, at its interval.
    pub(super) fn join_cohort(&mut self, read: &Read) {
        self.travel(read, None);
    }

    /// The same, where it was before a restart.
    pub(super) fn rejoin_cohort(&mut self, read: &Read, place: u32) {
        self.travel(read, Some(place));
    }

    fn travel(&mut self, read: &Read, place: Option<u32>) {
        let (Some(state), Some(slot)) = (self.reads.get(read), self.stores.get(&read.store)) else {
            return;
        };
        let lane = slot.store.usual_lane(read);
        let kind = (read.store.clone(), lane);
        let interval = state.interval;
        // Of what has said nothing yet, its place is kept with its first answer.
        let known = state.last.is_some() || state.failing.is_some();
        self.leave_cohort(read);
        if known {
            self.unsaved.read(read);
        }
        let new = match place {
            Some(place) => {
                let seat = (place, lane.size);
                self.cohorts.rejoin(read.clone(), kind, interval, seat)
            }
            None => self.cohorts.join(read.clone(), kind, interval, lane.size),
        };
        if let Some(cohort) = new.filter(|_| self.mode == Mode::Forever)
            && let Some(at) = self.cohorts.next(cohort, Instant::now(), fastrand::f64())
        {
            self.schedule.set(Due::Cohort(cohort), at);
        }
    }
}

/// It fails for one more, too; that was said by those who used it before.
fn silent(streak: &Streak) -> Streak {
    Streak {
        loud: false,
        ..streak.clone()
    }
}
