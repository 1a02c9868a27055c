//! What is known from before a restart: entries stand as they stood, and what is not due is not read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::remembrance::{BRAKE, GRID, ORPHANS, Round};
use super::removals::{Loser, brake_from_bytes};
use super::{Due, Engine, Look, Mode, StoreSlot};
use crate::daemon::entries::{EntryState, Recalled};
use crate::daemon::house::Supplied;
use crate::daemon::raw::RawRead;
use crate::daemon::reads::ReadState;
use crate::daemon::times::Now;
use crate::decide::brake::Brake;
use crate::decide::state::Turn;
use crate::names::{EntryName, StoreName};
use crate::schedule::cohorts::CohortId;
use crate::schedule::pace::Pace;
use crate::schedule::rhythm::Rhythm;
use crate::state::State;
use crate::store::Read;
use crate::sync::{Entry, Which};
use crate::target::Target;

/// What the state remembers.
pub(super) struct Past {
    /// How long ago the grid of all routine reads began.
    pub age: Duration,
    pub brake: Brake<Loser>,
    pub orphans: Option<Vec<u8>>,
    entries: HashMap<EntryName, Vec<u8>>,
    reads: HashMap<String, Vec<u8>>,
    /// When every routine member of a cohort had answered.
    rounds: HashMap<Round, Timestamp>,
}

impl Past {
    /// Takes it out of the state: it is kept in memory once.
    pub(super) fn of(state: &State, now: &Now) -> Self {
        let mut remembered = state.take_remembered();
        let grid = remembered.meta.remove(GRID);
        let grid: Option<Timestamp> = grid.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let age = grid.map(|grid| Duration::try_from(now.wall.duration_since(grid)));
        let brake = remembered.meta.remove(BRAKE);
        let orphans = remembered.meta.remove(ORPHANS);
        let (rounds, reads): (HashMap<_, _>, HashMap<_, _>) = remembered
            .reads
            .into_iter()
            .partition(|(key, _)| Round::is_key(key));
        let rounds = rounds.into_iter().filter_map(|(key, bytes)| {
            let at = serde_json::from_slice(&bytes).ok()?;
            Some((Round::from_key(&key)?, at))
        });
        Self {
            age: age.and_then(Result::ok).unwrap_or_default(),
            brake: brake
                .and_then(|bytes| brake_from_bytes(&bytes, now))
                .unwrap_or_default(),
            orphans,
            entries: remembered.entries,
            reads,
            rounds: rounds.collect(),
        }
    }

    /// Whether the grid is one from before.
    fn has_grid(&self) -> bool {
        self.age > Duration::ZERO
    }
}

impl Engine {
    pub(super) fn open_store(&mut self, name: StoreName, supplied: Supplied) {
        let identity = supplied.identity;
        let Some(store) = supplied.store.map(Arc::new) else {
            return;
        };
        let slot = StoreSlot {
            store,
            identity,
            pace: Pace::default(),
            mean: HashMap::new(),
        };
        self.stores.insert(name, slot);
    }

    /// An entry that nothing was read for yet, as a new one.
    pub(super) fn new_entry(&mut self, entry: Entry, now: Instant) -> EntryState {
        let place = u32::try_from(self.generations).unwrap_or(u32::MAX);
        self.generations += 1;
        let rhythm = Rhythm::new(entry.refresh_interval, now, place);
        let mut state = EntryState::new(Arc::new(entry), rhythm, now);
        state.generation = self.generations;
        state.clusters = self.turn();
        state
    }

    pub(super) fn recall_entry(&mut self, entry: Entry, past: &Past, now: &Now) {
        let name = entry.name.clone();
        let mut state = self.new_entry(entry, now.instant);
        let recalled = past
            .entries
            .get(&name)
            .map_or(Recalled::Nothing, |bytes| state.recall(bytes, now));
        // Whose turn it was is not remembered: the Lease says it.
        state.clusters = self.turn();
        state.forgive();
        if self.mode == Mode::Once {
            // Whatever is known, it is delivered now.
            state.unfinished = true;
            state.tried = false;
            state.retry = None;
        }
        if recalled != Recalled::AsItWas {
            self.unsaved.entry(&name);
        }
        if !state.entry.suspended {
            self.untried.insert(name.clone());
        }
        self.entries.insert(name, state);
    }

    /// What a person let go before a restart and that did not go yet is judged anew with the first run.
    pub(super) fn recall_holds(&mut self) {
        if self.mode == Mode::Forever && self.turn() == Turn::Waits {
            let names: Vec<EntryName> = self.entries.keys().cloned().collect();
            for name in names {
                self.hold_no_longer(&name);
            }
        }

        let released = self.brake.released(Instant::now());
        let names: BTreeSet<EntryName> = released
            .filter_map(|(id, _)| match id {
                Loser::Target(name, _) => Some(name.clone()),
                Loser::Orphan(_) => None,
            })
            .collect();
        for name in names {
            let Some(entry) = self.entries.get_mut(&name) else {
                continue;
            };
            entry.release();
            entry.unfinished = true;
            entry.tried = false;
            self.ask_brake(&name);
        }
    }

    /// Every entry's reads, in order, so that the members of a cohort are neighbours; those that are known, where they
    /// were.
    pub(super) fn recall_reads(&mut self, past: &Past, now: &Now) {
        let uses: Vec<(Read, EntryName)> = self
            .entries
            .iter()
            .flat_map(|(name, entry)| {
                let reads = entry.wanted();
                reads.into_iter().map(|read| (read, name.clone()))
            })
            .collect();
        let mut seats: BTreeMap<Read, Option<(Duration, u32)>> = BTreeMap::new();
        for (read, name) in uses {
            if !self.reads.contains_key(&read) {
                let seat = self.recall_read(&read, &name, past, now);
                seats.insert(read.clone(), seat);
            }
            let _ = self.adopt(&read, &name);
        }
        // The known ones first: they find their places free.
        let (known, new): (Vec<_>, Vec<_>) = seats.into_iter().partition(|(_, it)| it.is_some());
        let mut seated = BTreeSet::new();
        for (read, seat) in known.into_iter().chain(new) {
            if self.seat(&read, seat) {
                seated.insert(read);
            }
        }
        self.forget_the_rest(past);
        if self.mode == Mode::Forever {
            self.set_own_times(now);
        }
        if past.has_grid() {
            self.catch_up_rounds(past, &seated, now);
        } else {
            self.unsaved.grid(now.wall);
        }
    }

    /// What was known of a read; returns its place.
    fn recall_read(
        &mut self,
        read: &Read,
        user: &EntryName,
        past: &Past,
        now: &Now,
    ) -> Option<(Duration, u32)> {
        let interval = self.entries.get(user)?.entry.refresh_interval;
        let store = self.stores.get(&read.store)?.identity;
        let bytes = past.reads.get(&RawRead::from(read).key())?;
        let recalled = ReadState::recalled(bytes, (store, interval), now)?;
        // `once` reads whatever is known.
        if self.mode == Mode::Forever {
            self.reads.insert(read.clone(), Box::new(recalled.state));
        }
        recalled.seat
    }

    /// True where it travels with whom it did.
    fn seat(&mut self, read: &Read, seat: Option<(Duration, u32)>) -> bool {
        let interval = self.reads.get(read).map(|state| state.interval);
        let Some((_, place)) = seat.filter(|(travelled, _)| Some(*travelled) == interval) else {
            self.join_cohort(read);
            return false;
        };
        self.rejoin_cohort(read, place);
        let now = self.cohorts.of(read).and_then(|it| self.cohorts.seat(it));
        now.is_some_and(|(_, _, now)| now == place)
    }

    /// Rounds that were missed begin now; what has a time of its own, or was never answered, gets it.
    fn catch_up_rounds(&mut self, past: &Past, seated: &BTreeSet<Read>, now: &Now) {
        let ids: Vec<CohortId> = self.cohorts.ids().collect();
        for id in ids {
            let round = self.round_of(id).and_then(|round| past.rounds.get(&round));
            let members = self.cohorts.members(id).to_vec();
            for read in members.iter().filter(|read| seated.contains(read)) {
                let Some(state) = self.reads.get_mut(read) else {
                    continue;
                };
                if let (Some(last), Some(round)) = (&mut state.last, round)
                    && state.failing.is_none()
                {
                    last.at = last.at.max((*round).min(now.wall));
                }
            }
            let due = self.cohorts.last(id, now.instant).map(|at| now.wall_of(at));
            let is_late = |read: &Read| {
                let state = self.reads.get(read).filter(|state| state.is_routine());
                let last = state.and_then(|state| state.last.as_ref());
                last.is_some_and(|last| due.is_some_and(|due| last.at < due))
            };
            if self.mode == Mode::Forever && members.iter().any(is_late) {
                self.schedule.set(Due::Cohort(id), now.instant);
            }
        }
    }

    /// What has a time of its own gets it; what was never answered, and no run waits for, has to ask for itself.
    fn set_own_times(&mut self, now: &Now) {
        let waits_for_no_run = |state: &ReadState| {
            let mut users = state.users.iter().filter_map(|it| self.entries.get(it));
            users.all(|entry| entry.tried)
        };
        let own = self.reads.iter().filter(|(_, state)| {
            state.failing.is_some() || (state.last.is_none() && waits_for_no_run(state))
        });
        // In order, so that neighbours travel together.
        let own: BTreeMap<Read, Instant> = own
            .map(|(read, state)| (read.clone(), state.next.unwrap_or(now.instant)))
            .collect();
        for (read, at) in own {
            self.due_at(&read, at);
        }
    }

    /// What is remembered of reads that nobody wants and of rounds that nobody makes is of no more use.
    fn forget_the_rest(&mut self, past: &Past) {
        if self.mode == Mode::Once {
            return;
        }
        let wanted: std::collections::HashSet<String> = self
            .reads
            .keys()
            .map(|read| RawRead::from(read).key())
            .collect();
        for key in past.reads.keys().filter(|key| !wanted.contains(*key)) {
            self.unsaved.forget_read(key.clone());
        }
        let ids: Vec<CohortId> = self.cohorts.ids().collect();
        let rounds: std::collections::HashSet<Round> =
            ids.into_iter().filter_map(|id| self.round_of(id)).collect();
        for round in past.rounds.keys().filter(|it| !rounds.contains(*it)) {
            self.unsaved.forget_read(round.key());
        }
        for name in past.entries.keys() {
            if !self.entries.contains_key(name) {
                self.unsaved.forget_entry(name);
            }
        }
    }

    /// An entry's first step in this process.
    pub(super) fn begin(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        if entry.rest().is_some() || entry.waits_for_namespaces() {
            self.untried.remove(name);
            return;
        }
        let missed = entry.reads().any(|read| {
            let heard = self.heard(entry, read);
            heard.is_some_and(|heard| Some(&heard) != entry.attempted.get(read))
        });
        if !entry.tried || (missed && entry.failing_reads.is_empty()) {
            self.start_run(name, None, Which::All);
            return;
        }
        let new = entry.new_targets();
        if !new.is_empty() {
            self.start_run(name, None, Which::New(new));
            return;
        }
        let targets = entry.entry.targets.iter().enumerate();
        let files = targets.filter(|(_, target)| matches!(target, Target::File(_)));
        let files: Vec<usize> = files.map(|(index, _)| index).collect();
        let healthy = entry.healthy();
        let which: Vec<usize> = files
            .into_iter()
            .filter(|it| healthy.contains(it))
            .collect();
        if which.is_empty() {
            self.untried.remove(name);
        } else {
            self.check_these(name, which, Look::Routine);
        }
    }
}
