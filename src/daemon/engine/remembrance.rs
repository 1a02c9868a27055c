//! What the state is told, as soon as it is news: a kill loses what is under way and nothing else.
//!
//! One transaction is under way at a time and takes everything that came up meanwhile. A routine answer that says the
//! same as before writes one small record for all who travel together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Done, Due, Engine, Mode, Task};
use crate::daemon::entries::RawEntry;
use crate::daemon::raw::RawRead;
use crate::daemon::reads::RawState;
use crate::daemon::times::Now;
use crate::failure::Failure;
use crate::names::{EntryName, StoreName};
use crate::schedule::cohorts::CohortId;
use crate::state::Remember;
use crate::store::{Lane, Read};

/// When the grid of routine reads began.
pub(super) const GRID: &str = "grid";
pub(super) const BRAKE: &str = "brake";
pub(super) const ORPHANS: &str = "orphans";
/// The last term in which this machine led, and what followed from its beginning was done.
pub(in crate::daemon) const LED: &str = "led";

/// Between two transactions, however long the first one took: a call is under way until its answer is on disk, and this
/// prolongs that by less than most calls take.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// After the disk refused it.
const AGAIN: Duration = Duration::from_secs(5);

/// What is not on disk yet.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    entries: BTreeSet<EntryName>,
    gone_entries: BTreeSet<EntryName>,
    reads: BTreeSet<Read>,
    gone_reads: BTreeSet<String>,
    rounds: BTreeMap<Round, Timestamp>,
    grid: Option<Timestamp>,
    brake: bool,
    orphans: bool,
    led: Option<u32>,
    /// Changes that their action has run for.
    acted: BTreeMap<PathBuf, u64>,
    /// A transaction is under way, and what it holds.
    under_way: Option<Box<Unsaved>>,
    /// Since the disk refused: when to try again, and how often it did.
    refused: Option<(Instant, u32)>,
    /// When the last transaction began.
    began: Option<Instant>,
    /// No transaction before.
    rests_until: Option<Instant>,
}

impl Unsaved {
    pub(super) fn entry(&mut self, name: &EntryName) {
        self.gone_entries.remove(name);
        self.entries.insert(name.clone());
    }

    pub(super) fn forget_entry(&mut self, name: &EntryName) {
        self.entries.remove(name);
        self.gone_entries.insert(name.clone());
    }

    pub(super) fn read(&mut self, read: &Read) {
        self.reads.insert(read.clone());
    }

    pub(super) fn forget_read(&mut self, key: String) {
        self.gone_reads.insert(key);
    }

    pub(super) fn round(&mut self, round: Round, at: Timestamp) {
        self.rounds.insert(round, at);
    }

    pub(super) fn forget_round(&mut self, round: &Round) {
        self.rounds.remove(round);
        self.gone_reads.insert(round.key());
    }

    pub(super) fn grid(&mut self, at: Timestamp) {
        self.grid = Some(at);
    }

    pub(super) fn acted(&mut self, path: &Path, change: u64) {
        self.acted.insert(path.to_owned(), change);
    }

    /// The action of that change has run; the ledger may not know it yet.
    pub(super) fn is_acted(&self, path: &Path, change: u64) -> bool {
        let under_way = self.under_way.as_ref();
        self.acted.get(path) == Some(&change)
            || under_way.is_some_and(|it| it.is_acted(path, change))
    }

    pub(super) fn brake(&mut self) {
        self.brake = true;
    }

    pub(super) fn orphans(&mut self) {
        self.orphans = true;
    }

    /// With it goes, or went before it, what the term's beginning has changed.
    pub(super) fn led(&mut self, term: u32) {
        self.led = Some(term);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.has_nothing_new() && self.under_way.is_none()
    }

    fn has_nothing_new(&self) -> bool {
        self.entries.is_empty()
            && self.gone_entries.is_empty()
            && self.reads.is_empty()
            && self.gone_reads.is_empty()
            && self.rounds.is_empty()
            && self.grid.is_none()
            && self.led.is_none()
            && !self.brake
            && !self.orphans
            && self.acted.is_empty()
    }

    /// The disk takes nothing: nobody waits for it at the end.
    pub(super) fn is_stuck(&self) -> bool {
        self.refused.is_some() && self.under_way.is_none()
    }

    /// What was refused is still to be told; what came up meanwhile is newer.
    fn take_back(&mut self, before: Self) {
        self.entries.extend(before.entries);
        self.gone_entries.extend(before.gone_entries);
        self.reads.extend(before.reads);
        self.gone_reads.extend(before.gone_reads);
        for (round, at) in before.rounds {
            self.rounds.entry(round).or_insert(at);
        }
        self.grid = self.grid.or(before.grid);
        self.led = self.led.or(before.led);
        for (path, change) in before.acted {
            self.acted.entry(path).or_insert(change);
        }
        self.brake |= before.brake;
        self.orphans |= before.orphans;
    }
}

/// The reads that come round together, by what they have in common over restarts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Round {
    store: String,
    operation: String,
    size: usize,
    interval_ms: u64,
    place: u32,
}

impl Round {
    fn new((store, lane): &(StoreName, Lane), interval: Duration, place: u32) -> Self {
        Self {
            store: store.to_string(),
            operation: lane.operation.to_string(),
            size: lane.size,
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            place,
        }
    }

    const PREFIX: &str = "round ";

    pub(super) fn key(&self) -> String {
        let text = serde_json::to_string(self)
            .expect("this structure has string keys and no floats, so JSON can hold it");
        format!("{}{text}", Self::PREFIX)
    }

    pub(super) fn is_key(text: &str) -> bool {
        text.starts_with(Self::PREFIX)
    }

    pub(super) fn from_key(text: &str) -> Option<Self> {
        serde_json::from_str(text.strip_prefix(Self::PREFIX)?).ok()
    }
}

/// One thing to tell the state. What is long is written down by the thread that tells it.
enum Change {
    Entry(EntryName, Box<RawEntry>),
    Read(RawRead, Option<Box<RawState>>),
    Ready(Remember),
}

impl Change {
    fn into_remember(self) -> Remember {
        match self {
            Self::Entry(name, raw) => Remember::Entry(name, Some(raw.to_bytes())),
            Self::Read(read, raw) => Remember::Read(read.key(), raw.map(|raw| raw.to_bytes())),
            Self::Ready(remember) => remember,
        }
    }
}

impl Engine {
    pub(super) fn round_of(&self, cohort: CohortId) -> Option<Round> {
        let (kind, interval, place) = self.cohorts.seat(cohort)?;
        Some(Round::new(kind, interval, place))
    }

    /// Reads of a call have answered; where with them a round is complete, that is remembered.
    pub(super) fn note_rounds(&mut self, reads: &[Read]) {
        // `once` may read some of those that travel together, and none of the others.
        if self.mode == Mode::Once {
            return;
        }
        let cohorts: BTreeSet<CohortId> =
            reads.iter().filter_map(|it| self.cohorts.of(it)).collect();
        for cohort in cohorts {
            let members = self.cohorts.members(cohort).iter();
            let routine = members.filter_map(|read| {
                let state = self.reads.get(read)?;
                state
                    .is_routine()
                    .then_some(state.last.as_ref().map(|last| last.at))
            });
            let complete: Option<Vec<Timestamp>> = routine.collect();
            let oldest = complete.and_then(|times| times.into_iter().min());
            if let (Some(at), Some(round)) = (oldest, self.round_of(cohort)) {
                self.unsaved.round(round, at);
            }
        }
    }

    /// Tells the state what it does not know, unless it is being told something.
    pub(super) fn save(&mut self) {
        let now = Instant::now();
        let refused = self.unsaved.refused;
        let waits = refused.is_some_and(|(until, _)| until > now);
        let rests = self.unsaved.rests_until.filter(|until| *until > now);
        if self.unsaved.under_way.is_some() || self.unsaved.has_nothing_new() || waits {
            return;
        }
        if let Some(until) = rests.filter(|_| !self.draining) {
            return self.schedule.set(Due::Save, until);
        }
        let unsaved = std::mem::take(&mut self.unsaved);
        let changes = self.changes(&unsaved, &Now::read());
        let acted: Vec<(PathBuf, u64)> = unsaved.acted.clone().into_iter().collect();
        self.unsaved.refused = refused;
        self.unsaved.began = Some(now);
        self.unsaved.under_way = Some(Box::new(unsaved));
        let state = Arc::clone(&self.state);
        let task = self.tasks.spawn_blocking(move || {
            let changes = changes.into_iter().map(Change::into_remember);
            let told = state.set_acted(acted);
            Done::Saved(told.and_then(|()| state.remember(changes.collect())))
        });
        self.running.insert(task.id(), Task::Save);
    }

    fn changes(&self, unsaved: &Unsaved, now: &Now) -> Vec<Change> {
        let mut changes = Vec::new();
        for name in &unsaved.entries {
            if let Some(entry) = self.entries.get(name) {
                changes.push(Change::Entry(name.clone(), Box::new(entry.to_raw(now))));
            }
        }
        let gone = unsaved.gone_entries.iter();
        let gone = gone.map(|name| Remember::Entry(name.clone(), None));
        changes.extend(gone.map(Change::Ready));
        let gone = unsaved.gone_reads.iter();
        let gone = gone.map(|key| Remember::Read(key.clone(), None));
        changes.extend(gone.map(Change::Ready));
        for read in &unsaved.reads {
            let state = self.reads.get(read).and_then(|state| {
                let slot = self.stores.get(&read.store)?;
                let seat = self.cohorts.of(read).and_then(|id| self.cohorts.seat(id));
                let place = seat.map(|(_, _, place)| place);
                Some(Box::new(state.to_raw(slot.identity, place, now)))
            });
            changes.push(Change::Read(read.into(), state));
        }
        for (round, at) in &unsaved.rounds {
            let bytes = serde_json::to_vec(at).unwrap_or_default();
            let remember = Remember::Read(round.key(), Some(bytes));
            changes.push(Change::Ready(remember));
        }
        if let Some(grid) = unsaved.grid {
            let bytes = serde_json::to_vec(&grid).unwrap_or_default();
            changes.push(Change::Ready(Remember::Meta(GRID, bytes)));
        }
        if let Some(led) = unsaved.led {
            let bytes = serde_json::to_vec(&led).unwrap_or_default();
            changes.push(Change::Ready(Remember::Meta(LED, bytes)));
        }
        if unsaved.brake {
            let remember = Remember::Meta(BRAKE, self.brake_to_bytes(now));
            changes.push(Change::Ready(remember));
        }
        if unsaved.orphans {
            let remember = Remember::Meta(ORPHANS, self.orphans_to_bytes(now));
            changes.push(Change::Ready(remember));
        }
        changes
    }

    pub(super) fn saved(&mut self, result: Result<(), Failure>) {
        let told = self.unsaved.under_way.take();
        // As long as it took: under load, telling the state takes at most half of the time.
        let now = Instant::now();
        let took = self.unsaved.began.map(|began| now - began);
        self.unsaved.rests_until = Some(now + took.unwrap_or_default().min(LONGEST_REST));
        match result {
            Ok(()) => {
                if self.unsaved.refused.take().is_some() {
                    tracing::info!("the state is written again");
                }
            }
            Err(failure) => {
                let count = self.unsaved.refused.map_or(1, |(_, count)| count + 1);
                if count.is_power_of_two() {
                    tracing::warn!(
                        reason = %failure.reason, failures = count, help = failure.help(),
                        "what a restart would need cannot be kept: {failure}"
                    );
                }
                self.unsaved.refused = Some((Instant::now() + AGAIN, count));
                if let Some(mut told) = told {
                    told.gone_entries
                        .retain(|it| !self.entries.contains_key(it));
                    self.unsaved.take_back(*told);
                }
            }
        }
    }
}
