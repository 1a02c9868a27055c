//! What is known of each entry: how its targets stand, what they hold, and what it waits for.
//!
//! Pure bookkeeping: the engine asks it what to do and starts the work.

pub(super) mod aim;
mod laggards;
mod proofs;
mod remembered;
mod standing;
mod target;
mod terms;
mod wishes;

pub(super) use self::laggards::SoFar;
pub(super) use self::remembered::{RawEntry, Recalled};
pub(super) use self::target::{Alarms, Peace, PendingAction, Streak, TargetState};
pub(super) use self::wishes::{Occasion, Wish};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::laggards::Laggard;
use crate::config::{DeletionPolicy, RefreshPolicy};
use crate::decide::change::{Change, Version, change};
use crate::decide::missing::Evidence;
use crate::decide::state::Turn;
use crate::few::{self, Seldom};
use crate::names::ClusterName;
use crate::report::{Condition, Stage};
use crate::schedule::rhythm::Rhythm;
use crate::store::{Match, Read};
use crate::sync::{Entry, Heard, read_of};

#[derive(Debug)]
pub(super) struct EntryState {
    pub entry: Arc<Entry>,
    /// Which of the entries that had this name it is: what an earlier one began is none of its business.
    pub generation: u64,
    pub targets: Vec<TargetState>,
    /// Targets of before a restart that no list of namespaces has confirmed yet, by what they are called.
    remembered: Seldom<BTreeMap<String, TargetState>>,
    /// What takes the place of `entry` when the work that is under way has ended.
    pub next: Option<Box<Entry>>,
    /// What was last told of each selection; nothing of those that found something.
    selections_shown: Box<[Option<Condition>]>,
    /// Whether it is this machine's turn to write its Kubernetes targets.
    pub clusters: Turn,
    /// What its finds match, each by the read that says so.
    found: Seldom<BTreeMap<Read, BTreeSet<Read>>>,
    /// Its own reads, and what its finds match.
    reads: few::Set<Read>,
    /// Of each read that is gone, or lists less than before: the direct reads that may prove it.
    proofs: Seldom<BTreeMap<Read, BTreeSet<Read>>>,
    /// What those add up to; the read that is in question comes first.
    evidence: Seldom<BTreeMap<(Read, Read), Evidence>>,
    /// By what is certain, the entry may leave something out, or is held back by the brake.
    allowed: Seldom<BTreeSet<Read>>,
    held: Seldom<BTreeSet<Read>>,
    /// The newest version any target holds, per read.
    pub delivered: few::Map<Read, Version>,
    /// What the last run that got past its reads used, delivered or not; a read that still says it wakes nobody.
    pub attempted: few::Map<Read, Heard>,
    /// What was missing when it was last delivered.
    pub without: Seldom<BTreeSet<Read>>,
    /// Reads that fail now.
    pub failing_reads: Seldom<BTreeMap<Read, Streak>>,
    /// Why the last run wrote nothing, where that was not a read.
    pub trouble: Option<(Stage, Streak)>,
    /// What the last delivery did without: it holds the values from before.
    pub kept: Option<Streak>,
    /// When such a run is tried again; `None` where only a change of the sources can help.
    pub retry: Option<Instant>,
    /// A run was cut short by its reads, or drift was found: a run has to be made.
    pub unfinished: bool,
    pub tried: bool,
    pub work: Work,
    /// Tells the run that is under way, or was disowned, that nothing is to be deleted for it any more.
    dismissed: Option<CancellationToken>,
    /// What is under way at targets that are set apart, by its number.
    laggards: Seldom<BTreeMap<u64, Laggard>>,
    /// Targets that the run under way leaves to those.
    left_out: Seldom<BTreeSet<usize>>,
    /// When the work that is or was last under way began.
    pub began: Instant,
    /// Reads that answered since the entry last counted as synced.
    pub answered: few::Set<Read>,
    pub last_success: Option<(Instant, Timestamp)>,
    /// The same, but for actions that fail: it is one when they have run.
    pub unacted: Option<Box<(Instant, Timestamp)>>,
    pub first_seen: Instant,
    /// The grid of its drift checks.
    pub rhythm: Rhythm,
    /// When drift is next checked.
    pub check: Option<Instant>,
    pub next_sync: Option<Timestamp>,
    pub condition: Condition,
    /// When the version was made that is known and not everywhere yet.
    pub undelivered: Option<Timestamp>,
}

/// Why nothing happens to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Suspended,
    /// Another machine writes all its targets.
    StandsBy,
    /// It is delivered once, and it was.
    Delivered,
    /// No namespace matches.
    Nowhere,
}

/// Whether a run or a check of an entry is under way: at most one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Idle,
    UnderWay,
}

impl EntryState {
    pub(super) fn new(entry: Arc<Entry>, rhythm: Rhythm, now: Instant) -> Self {
        Self {
            targets: entry.targets.iter().map(|_| TargetState::new()).collect(),
            remembered: Seldom::none(),
            next: None,
            selections_shown: entry.selected.iter().map(|_| None).collect(),
            reads: entry.reads.iter().cloned().collect(),
            entry,
            generation: 0,
            clusters: Turn::Ours,
            found: Seldom::none(),
            proofs: Seldom::none(),
            evidence: Seldom::none(),
            allowed: Seldom::none(),
            held: Seldom::none(),
            delivered: few::Map::new(),
            attempted: few::Map::new(),
            without: Seldom::none(),
            failing_reads: Seldom::none(),
            trouble: None,
            kept: None,
            retry: None,
            unfinished: true,
            tried: false,
            work: Work::Idle,
            dismissed: None,
            laggards: Seldom::none(),
            left_out: Seldom::none(),
            began: now,
            answered: few::Set::new(),
            last_success: None,
            unacted: None,
            first_seen: now,
            rhythm,
            check: None,
            next_sync: None,
            condition: Condition::Pending,
            undelivered: None,
        }
    }

    pub(super) fn reads(&self) -> impl Iterator<Item = &Read> {
        self.reads.iter()
    }

    /// Its reads, and those that prove something about them; of an entry that sleeps, none.
    pub(super) fn wanted(&self) -> BTreeSet<Read> {
        if self.rest().is_some() {
            return BTreeSet::new();
        }
        self.everything()
    }

    /// The same, whether it sleeps or not.
    pub(super) fn everything(&self) -> BTreeSet<Read> {
        let proofs = self.proofs.values().flatten();
        self.reads.iter().chain(proofs).cloned().collect()
    }

    /// Of each read the newest version that a target holds: an older one than that is never written without a second
    /// look, to whichever target.
    pub(super) fn newest_delivered(&self) -> few::Map<Read, Version> {
        let mut newest: few::Map<Read, Version> = few::Map::new();
        let targets = self.targets.iter().chain(self.remembered.values());
        for (read, version) in targets.flat_map(|it| it.delivered.iter()) {
            let known = newest.get(read);
            if matches!(change(known, version), Change::First | Change::Newer) {
                newest.insert(read.clone(), version.clone());
            }
        }
        newest
    }

    /// Why nothing is to happen to it.
    pub(super) fn rest(&self) -> Option<Rest> {
        if self.entry.suspended {
            return Some(Rest::Suspended);
        }
        if self.is_nowhere() {
            return Some(Rest::Nowhere);
        }
        if self.ours().is_empty() && !self.targets.is_empty() {
            return Some(Rest::StandsBy);
        }
        let once = self.entry.refresh_policy == RefreshPolicy::CreatedOnce;
        let done = self.tried && self.is_done() && !self.is_partial() && self.was_everywhere();
        (once && done && self.last_success.is_some()).then_some(Rest::Delivered)
    }

    /// Whether nothing of it is to begin, whoever asks.
    pub(super) fn is_asleep(&self) -> bool {
        matches!(self.rest(), Some(Rest::Suspended | Rest::StandsBy))
    }

    /// What was delivered stays known; everything else was of another configuration.
    pub(super) fn begin_anew(&mut self) {
        let before = std::mem::replace(
            self,
            Self::new(Arc::clone(&self.entry), self.rhythm, self.first_seen),
        );
        self.generation = before.generation;
        self.laggards = before.laggards;
        self.clusters = before.clusters;
        self.last_success = before.last_success;
        for (target, before) in self.targets.iter_mut().zip(before.targets) {
            target.delivered = before.delivered;
            target.away = before.away;
        }
        self.forget_returned();
        self.remembered = aim::anew(before.remembered.into_inner()).into();
        self.delivered = before.delivered;
    }

    /// Begins with what the targets of an entry of the same name hold.
    pub(super) fn succeed_to(&mut self, before: &Self) {
        self.generation = before.generation + 1;
        self.last_success = before.last_success;
        self.first_seen = before.first_seen;
        for (target, state) in self.entry.targets.iter().zip(&mut self.targets) {
            let name = target.to_string();
            let mut known = before.entry.targets.iter().zip(&before.targets);
            if let Some((_, known)) = known.find(|(target, _)| target.to_string() == name) {
                state.delivered.clone_from(&known.delivered);
                state.away = known.away;
            }
        }
        self.forget_returned();
        self.remember_from(before);
        self.delivered = self.newest_delivered();
    }

    /// A target that is not to go any more is not away by its policy.
    fn forget_returned(&mut self) {
        for (target, state) in self.entry.targets.iter().zip(&mut self.targets) {
            state.away = state
                .away
                .filter(|_| target.deletion_policy() == DeletionPolicy::Delete);
        }
    }

    /// When the newest version was made that a target holds of what the entry reads.
    pub(super) fn version_created(&self) -> Option<Timestamp> {
        let held = self.delivered.iter().filter(|(read, _)| self.uses(read));
        held.filter_map(|(_, version)| version.created).max()
    }

    /// Targets that are away by their policy.
    pub(super) fn away(&self) -> BTreeSet<usize> {
        self.indices(|target| target.away.is_some())
            .into_iter()
            .collect()
    }

    /// A `find` of it matches these now. Returns the reads that it has gained and lost by that.
    pub(super) fn found(&mut self, find: &Read, matches: &[Match]) -> (Vec<Read>, Vec<Read>) {
        let now = matches.iter().map(|found| read_of(find, found));
        self.found
            .change(|it| it.insert(find.clone(), now.collect()));
        // A match may be one of its own reads, or that of another find.
        let own = self.entry.reads.iter();
        let after: few::Set<Read> = own.chain(self.found.values().flatten()).cloned().collect();
        let before = std::mem::replace(&mut self.reads, after);
        let lost = before.iter().filter(|read| !self.uses(read));
        let lost: Vec<Read> = lost.cloned().collect();
        let mut unwanted: BTreeSet<Read> = lost.iter().cloned().collect();
        for read in &lost {
            self.failing_reads.change(|it| it.remove(read));
            self.answered.remove(read);
            // Nobody asks any more whether it is gone.
            self.evidence
                .change(|it| it.retain(|(about, _), _| about != read));
            let proofs = self.proofs.change(|it| it.remove(read));
            unwanted.extend(proofs.into_iter().flatten());
        }
        let gained = self.reads.iter().filter(|read| !before.contains(read));
        let gained = gained.cloned().collect();
        unwanted.retain(|read| !self.reads.contains(read) && !self.is_proof(read));
        (gained, unwanted.into_iter().collect())
    }

    /// Whether the entry can do without this read when what it asks for is gone.
    pub(super) fn tolerates(&self, read: &Read) -> bool {
        let finds = self.found.iter().filter(|(_, found)| found.contains(read));
        self.entry.tolerates(read, finds.map(|(find, _)| find))
    }

    /// Whether its content comes from this read.
    pub(super) fn uses(&self, read: &Read) -> bool {
        self.reads.contains(read)
    }

    /// The targets where what was put there is not put back now.
    pub(super) fn withheld(&self, now: Instant) -> BTreeSet<usize> {
        self.indices(|target| target.is_withheld(now))
            .into_iter()
            .collect()
    }

    /// Its targets there that fail with what strikes a whole cluster.
    fn struck<'a>(
        &'a mut self,
        cluster: &'a ClusterName,
    ) -> impl Iterator<Item = &'a mut TargetState> {
        let targets = self.entry.targets.iter().zip(&mut self.targets);
        let there = targets.filter(|(target, _)| target.cluster() == Some(cluster));
        let struck = there.filter(|(_, state)| state.fails_with_all());
        struck.map(|(_, state)| state)
    }

    /// Whether it failed as a whole at a target that could not be asked.
    fn is_struck(&self, cluster: &ClusterName) -> bool {
        let mut targets = self.entry.targets.iter();
        let goes_there = targets.any(|target| target.cluster() == Some(cluster));
        let trouble = self
            .trouble
            .as_ref()
            .filter(|(stage, _)| *stage == Stage::Apply);
        goes_there && trouble.is_some_and(|(_, streak)| streak.failure.reason.is_shared())
    }

    /// What fails for want of the cluster is tried at that time, and not at its own; `None`: once the cluster is back.
    /// True where anything does.
    pub(super) fn retry_with(&mut self, cluster: &ClusterName, at: Option<Instant>) -> bool {
        let mut any = false;
        for target in self.struck(cluster) {
            target.retry = at;
            any = true;
        }
        if self.is_struck(cluster) {
            self.retry = at;
            any = true;
        }
        any
    }

    /// The targets that can be looked at for drift.
    pub(super) fn healthy(&self) -> Vec<usize> {
        let healthy = self
            .indices(|target| target.trouble.is_none() && target.away.is_none() && !target.lags);
        let ours = |index: &usize| self.turn(*index) == Turn::Ours;
        healthy.into_iter().filter(ours).collect()
    }

    fn indices(&self, wanted: impl Fn(&TargetState) -> bool) -> Vec<usize> {
        let targets = self.targets.iter().enumerate();
        targets
            .filter(|(_, target)| wanted(target))
            .map(|(index, _)| index)
            .collect()
    }
}

#[cfg(test)]
mod tests;
