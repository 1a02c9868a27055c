//! What is known of each entry: how its targets stand, what they hold, and what it waits for.
//!
//! Pure bookkeeping: the engine asks it what to do and starts the work.

pub(super) mod aim;
mod remembered;

pub(super) use self::remembered::{RawEntry, Recalled};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{DeletionPolicy, RefreshPolicy, Source};
use crate::decide::Effect;
use crate::decide::change::{Change, Version, change};
use crate::decide::contested::Repairs;
use crate::decide::missing::{Evidence, Gone, Proof};
use crate::decide::state::{self, EntryFacts, Sources, TargetFacts, Try, Turn};
use crate::failure::{Failure, Reason, Retry};
use crate::leader::Since;
use crate::names::{AccountId, ClusterName};
use crate::report::{Condition, Stage};
use crate::schedule::backoff;
use crate::schedule::rhythm::Rhythm;
use crate::store::{Match, Read};
use crate::sync::{Entry, Heard, Proofs, Selected, Which, read_of};
use crate::target::Target;

/// A retry that waits for the next routine answer comes due a little before it: reads may come early by their jitter.
const BEFORE_THE_ANSWER: f64 = 0.85;

/// With intervals up to this, somebody's mistake is tried again with the routine reads; above, by a timer.
const RARELY: Duration = Duration::from_hours(1);

/// The wait after a run that ended at a read which fails no more.
const UNEXPLAINED_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct EntryState {
    pub entry: Arc<Entry>,
    /// Which of the entries that had this name it is: what an earlier one began is none of its business.
    pub generation: u64,
    pub targets: Vec<TargetState>,
    /// Targets of before a restart that no list of namespaces has confirmed yet, by what they are called.
    remembered: BTreeMap<String, TargetState>,
    /// What takes the place of `entry` when the work that is under way has ended.
    pub next: Option<Box<Entry>>,
    /// What was last told of each selection; nothing of those that found something.
    selections_shown: Vec<Option<Condition>>,
    /// Whether it is this machine's turn to write its Kubernetes targets.
    pub clusters: Turn,
    /// What its finds match, each by the read that says so.
    found: BTreeMap<Read, BTreeSet<Read>>,
    /// Its own reads, and what its finds match.
    reads: BTreeSet<Read>,
    /// Of each read that is gone, or lists less than before: the direct reads that may prove it.
    proofs: BTreeMap<Read, BTreeSet<Read>>,
    /// What those add up to; the read that is in question comes first.
    evidence: BTreeMap<(Read, Read), Evidence>,
    /// By what is certain, the entry may leave something out, or is held back by the brake.
    allowed: BTreeSet<Read>,
    held: BTreeSet<Read>,
    /// The newest version any target holds, per read.
    pub delivered: BTreeMap<Read, Version>,
    /// What the last run that got past its reads used, delivered or not; a read that still says it wakes nobody.
    pub attempted: BTreeMap<Read, Heard>,
    /// What was missing when it was last delivered.
    pub without: BTreeSet<Read>,
    /// Reads that fail now.
    pub failing_reads: BTreeMap<Read, Streak>,
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
    /// Tells the run that is or was last under way that nothing is to be deleted for it any more.
    pub dismissed: CancellationToken,
    /// When the work that is or was last under way began.
    pub began: Instant,
    /// Reads that answered since the entry last counted as synced.
    pub answered: BTreeSet<Read>,
    pub last_success: Option<(Instant, Timestamp)>,
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

#[derive(Debug)]
pub(super) struct TargetState {
    pub tried: bool,
    pub trouble: Option<Streak>,
    /// When it is tried again; `None` with a trouble: once its cluster is back.
    pub retry: Option<Instant>,
    /// What this target holds, per read; of one that is away, what it held.
    pub delivered: BTreeMap<Read, Version>,
    /// Since when it is away, because all that it was made of is gone.
    pub away: Option<Timestamp>,
    /// What was last told of it, the entry's own troubles included.
    pub shown: Condition,
    pub repairs: Repairs,
    /// Who keeps changing it, and what to do; only while it is contested.
    pub fight: Option<Failure>,
    pub alarms: Alarms,
}

/// Looks at a target that somebody's change caused, and that found nothing to put back: each makes the next one wait
/// longer, for whoever writes something else in a Secret may do so every second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarms {
    /// In a row.
    false_ones: u32,
    /// The last wait; as long again without one, and the row is over.
    wait: Duration,
    /// One is being looked into.
    pub open: bool,
    /// The next one is not looked into before this.
    pub calm_until: Option<Instant>,
}

impl Alarms {
    /// A run found everything as we left it, or not.
    pub(super) fn end(&mut self, effect: Effect, interval: Duration, now: Instant) {
        match effect {
            Effect::Unchanged if self.open => {
                if self.calm_until.is_some_and(|calm| now > calm + self.wait) {
                    self.false_ones = 0;
                }
                self.wait = Duration::from_secs(1 << self.false_ones.min(20)).min(interval);
                self.false_ones += 1;
                self.calm_until = Some(now + self.wait);
            }
            Effect::Unchanged => {}
            Effect::Created
            | Effect::Updated
            | Effect::Repaired(_)
            | Effect::Deleted
            | Effect::Away => *self = Self::default(),
        }
        self.open = false;
    }
}

/// What a target that was done to has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Peace {
    AsBefore,
    Broken,
    Made,
}

/// The same trouble, time after time.
#[derive(Clone, Debug)]
pub(super) struct Streak {
    pub failure: Failure,
    pub count: u32,
    /// Whether this time is worth a log line: the first, another reason, and then at doubling counts.
    pub loud: bool,
}

/// What an entry wants after one of its reads answered, or when its time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Wish {
    Nothing,
    Run(Which),
    /// Everything that can be is delivered and unchanged, and the interval is over: look for drift.
    Check,
}

impl Streak {
    pub(super) fn next(before: Option<&Self>, failure: Failure) -> Self {
        let count = before.map_or(1, |streak| streak.count.saturating_add(1));
        let another = before.is_none_or(|streak| streak.failure.reason != failure.reason);
        Self {
            loud: another || count.is_power_of_two(),
            failure,
            count,
        }
    }

    /// The wait before the next try, a server's own wish first.
    pub(super) fn wait(&self, interval: Duration) -> Duration {
        let retry = self.failure.reason.retry();
        let usual = backoff::delay(retry, self.count, interval, fastrand::f64());
        match retry {
            Retry::Soon => self
                .failure
                .retry_after
                .map_or(usual, |wish| wish.max(usual)),
            Retry::Rarely => usual,
        }
    }
}

impl TargetState {
    fn new() -> Self {
        Self {
            tried: false,
            trouble: None,
            retry: None,
            delivered: BTreeMap::new(),
            away: None,
            shown: Condition::Pending,
            repairs: Repairs::default(),
            fight: None,
            alarms: Alarms::default(),
        }
    }

    /// An apply or a look ended like that.
    pub(super) fn did(&mut self, effect: Effect, interval: Duration, now: Instant) -> Peace {
        let before = self.repairs.is_contested();
        self.repairs.did(effect, now, interval);
        match (before, self.repairs.is_contested()) {
            (false, true) => Peace::Broken,
            (true, false) => {
                self.fight = None;
                Peace::Made
            }
            (true, true) | (false, false) => Peace::AsBefore,
        }
    }

    /// Somebody who wants it all put back now has said so.
    pub(super) fn end_fight(&mut self) {
        self.repairs.end();
        self.fight = None;
    }

    /// Whether what was put there has to stay as others left it, for now.
    pub(super) fn is_withheld(&self, now: Instant) -> bool {
        self.repairs.next_repair().is_some_and(|at| at > now)
    }

    /// Its policy is to leave it as it is while something is gone: only when that changes, it is tried again.
    pub(super) fn stay(&mut self, failure: Failure) -> &Streak {
        self.tried = true;
        self.retry = None;
        let streak = Streak::next(self.trouble.as_ref(), failure);
        self.trouble.insert(streak)
    }

    /// One more failure; the next try is set by its reason.
    pub(super) fn fail(&mut self, failure: Failure, interval: Duration, now: Instant) -> &Streak {
        self.tried = true;
        let streak = Streak::next(self.trouble.as_ref(), failure);
        let wait = streak.wait(interval);
        let wait = if waits_for_an_answer(&streak.failure, interval) {
            wait.mul_f64(BEFORE_THE_ANSWER)
        } else {
            wait
        };
        self.retry = Some(now + wait);
        self.trouble.insert(streak)
    }

    pub(super) fn succeed(&mut self) {
        self.tried = true;
        self.trouble = None;
        self.retry = None;
    }

    /// Another machine writes it, and meets what there is to meet.
    fn rest(&mut self) {
        self.trouble = None;
        self.retry = None;
        self.repairs = Repairs::default();
        self.fight = None;
        self.alarms = Alarms::default();
    }

    fn waits_for_an_answer(&self, interval: Duration) -> bool {
        let trouble = self.trouble.as_ref();
        trouble.is_some_and(|streak| waits_for_an_answer(&streak.failure, interval))
    }

    /// It fails with what strikes a whole cluster.
    pub(super) fn fails_with_all(&self) -> bool {
        let trouble = self.trouble.as_ref();
        trouble.is_some_and(|streak| streak.failure.reason.is_shared())
    }

    fn is_due(&self, now: Instant) -> bool {
        self.trouble.is_some() && self.retry.is_some_and(|retry| retry <= now)
    }
}

/// What an entry is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// One of its reads answered.
    Answer,
    /// Its time has come.
    Timer,
}

/// Somebody has to act: the next routine answer is early enough, and costs no read of its own.
fn waits_for_an_answer(failure: &Failure, interval: Duration) -> bool {
    failure.reason.retry() == Retry::Rarely && interval <= RARELY
}

impl EntryState {
    pub(super) fn new(entry: Arc<Entry>, rhythm: Rhythm, now: Instant) -> Self {
        Self {
            targets: entry.targets.iter().map(|_| TargetState::new()).collect(),
            remembered: BTreeMap::new(),
            next: None,
            selections_shown: entry.selected.iter().map(|_| None).collect(),
            reads: entry.reads.iter().cloned().collect(),
            entry,
            generation: 0,
            clusters: Turn::Ours,
            found: BTreeMap::new(),
            proofs: BTreeMap::new(),
            evidence: BTreeMap::new(),
            allowed: BTreeSet::new(),
            held: BTreeSet::new(),
            delivered: BTreeMap::new(),
            attempted: BTreeMap::new(),
            without: BTreeSet::new(),
            failing_reads: BTreeMap::new(),
            trouble: None,
            kept: None,
            retry: None,
            unfinished: true,
            tried: false,
            work: Work::Idle,
            dismissed: CancellationToken::new(),
            began: now,
            answered: BTreeSet::new(),
            last_success: None,
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

    /// Whether anything of it may be gone.
    pub(super) fn has_questions(&self) -> bool {
        !self.proofs.is_empty()
    }

    /// Of each read the newest version that a target holds: an older one than that is never written without a second
    /// look, to whichever target.
    pub(super) fn newest_delivered(&self) -> BTreeMap<Read, Version> {
        let mut newest: BTreeMap<Read, Version> = BTreeMap::new();
        let targets = self.targets.iter().chain(self.remembered.values());
        for (read, version) in targets.flat_map(|it| &it.delivered) {
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

    /// Whose turn it is to write target `index`.
    pub(super) fn turn(&self, index: usize) -> Turn {
        match self.entry.targets.get(index) {
            Some(Target::Kubernetes(..)) => self.clusters,
            Some(Target::File(_)) | None => Turn::Ours,
        }
    }

    /// The targets that this machine writes.
    pub(super) fn ours(&self) -> Vec<usize> {
        let targets = 0..self.targets.len();
        targets
            .filter(|index| self.turn(*index) == Turn::Ours)
            .collect()
    }

    fn has_clusters(&self) -> bool {
        let mut targets = self.entry.targets.iter();
        targets.any(|target| matches!(target, Target::Kubernetes(..)))
    }

    /// This machine leads: it begins anew with what it has delivered itself, and where others led since, not with what it
    /// removed: it may be there again. False where it has nothing to do with that.
    pub(super) fn begin_term(&mut self, since: Since) -> bool {
        if !self.has_clusters() {
            return false;
        }
        self.clusters = Turn::Ours;
        if since == Since::Others {
            for (target, state) in self.entry.targets.iter().zip(&mut self.targets) {
                if matches!(target, Target::Kubernetes(..)) {
                    state.away = None;
                }
            }
        }
        if self.rest().is_some() {
            return true;
        }
        let shown: Vec<Condition> = self.targets.iter().map(|target| target.shown).collect();
        let (work, condition, undelivered) = (self.work, self.condition, self.undelivered);
        self.begin_anew();
        (self.work, self.condition, self.undelivered) = (work, condition, undelivered);
        for (target, shown) in self.targets.iter_mut().zip(shown) {
            target.shown = shown;
        }
        // Until now it was another's to keep fresh.
        self.first_seen = Instant::now();
        true
    }

    /// Another machine leads. False where the entry has nothing to do with that.
    pub(super) fn end_term(&mut self) -> bool {
        if !self.has_clusters() {
            return false;
        }
        self.clusters = Turn::Waits;
        self.forgive();
        true
    }

    /// What another machine writes is no trouble of this one.
    pub(super) fn forgive(&mut self) {
        for index in 0..self.targets.len() {
            if self.turn(index) == Turn::Waits {
                self.targets[index].rest();
            }
        }
        if self.rest() == Some(Rest::StandsBy) {
            self.failing_reads.clear();
            self.trouble = None;
            self.kept = None;
            self.retry = None;
        }
    }

    /// What was delivered stays known; everything else was of another configuration.
    pub(super) fn begin_anew(&mut self) {
        let before = std::mem::replace(
            self,
            Self::new(Arc::clone(&self.entry), self.rhythm, self.first_seen),
        );
        self.generation = before.generation;
        self.clusters = before.clusters;
        self.last_success = before.last_success;
        for (target, before) in self.targets.iter_mut().zip(before.targets) {
            target.delivered = before.delivered;
            target.away = before.away;
        }
        self.forget_returned();
        self.remembered = aim::anew(before.remembered);
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

    /// Targets that are away by their policy.
    pub(super) fn away(&self) -> BTreeSet<usize> {
        self.indices(|target| target.away.is_some())
            .into_iter()
            .collect()
    }

    /// The targets that may go as a whole now, as far as what is certain goes.
    pub(super) fn ripe(&self) -> Vec<usize> {
        let targets = self.entry.targets.iter().zip(&self.targets).enumerate();
        let deletable = targets.filter(|(_, (target, state))| {
            target.deletion_policy() == DeletionPolicy::Delete && state.away.is_none()
        });
        let deletable = deletable.map(|(index, _)| index);
        let deletable: Vec<usize> = deletable
            .filter(|index| self.turn(*index) == Turn::Ours)
            .collect();
        if deletable.is_empty() || !self.is_all_certain() {
            return Vec::new();
        }
        deletable
    }

    /// Whether everything that it is made of is gone for certain.
    fn is_all_certain(&self) -> bool {
        let interval = self.entry.refresh_interval;
        let certain = |about: &Read, proof: &Read| {
            let evidence = self.evidence.get(&(about.clone(), proof.clone()));
            evidence.is_some_and(|it| it.is_confirmed(interval)) && self.allowed.contains(proof)
        };
        self.reads.iter().all(|read| {
            let mut proofs = self.proofs.get(read).into_iter().flatten();
            match read.source {
                // What it lists is among the reads.
                Source::Find(_) => proofs.all(|proof| certain(read, proof)),
                Source::Value { .. } | Source::Metadata { .. } => {
                    proofs.any(|proof| certain(read, proof))
                }
            }
        })
    }

    /// What the brake held may be asked for again.
    pub(super) fn release(&mut self) {
        self.held.clear();
    }

    /// A `find` of it matches these now. Returns the reads that it has gained and lost by that.
    pub(super) fn found(&mut self, find: &Read, matches: &[Match]) -> (Vec<Read>, Vec<Read>) {
        let now = matches.iter().map(|found| read_of(find, found));
        self.found.insert(find.clone(), now.collect());
        // A match may be one of its own reads, or that of another find.
        let own = self.entry.reads.iter();
        let after: BTreeSet<Read> = own.chain(self.found.values().flatten()).cloned().collect();
        let before = std::mem::replace(&mut self.reads, after);
        let after = &self.reads;
        let lost: Vec<Read> = before.difference(after).cloned().collect();
        let mut unwanted: BTreeSet<Read> = lost.iter().cloned().collect();
        for read in &lost {
            self.failing_reads.remove(read);
            self.answered.remove(read);
            // Nobody asks any more whether it is gone.
            self.evidence.retain(|(about, _), _| about != read);
            unwanted.extend(self.proofs.remove(read).into_iter().flatten());
        }
        let gained = self.reads.difference(&before).cloned().collect();
        unwanted.retain(|read| !self.reads.contains(read) && !self.is_proof(read));
        (gained, unwanted.into_iter().collect())
    }

    /// Whether the entry can do without this read when what it asks for is gone.
    pub(super) fn tolerates(&self, read: &Read) -> bool {
        let finds = self.found.iter().filter(|(_, found)| found.contains(read));
        self.entry.tolerates(read, finds.map(|(find, _)| find))
    }

    pub(super) fn is_proof(&self, read: &Read) -> bool {
        self.proofs.values().any(|proofs| proofs.contains(read))
    }

    pub(super) fn is_in_question(&self, read: &Read) -> bool {
        self.proofs.contains_key(read)
    }

    /// Whether its content comes from this read.
    pub(super) fn uses(&self, read: &Read) -> bool {
        self.reads.contains(read)
    }

    /// The reads in question that this one may prove something about.
    pub(super) fn in_question(&self, proof: &Read) -> Vec<Read> {
        let proofs = self.proofs.iter();
        let about = proofs.filter(|(_, proofs)| proofs.contains(proof));
        about.map(|(read, _)| read.clone()).collect()
    }

    /// From now on these prove what is in question about `read`. Returns the reads that it has gained and lost by that.
    pub(super) fn prove(&mut self, read: &Read, proofs: BTreeSet<Read>) -> (Vec<Read>, Vec<Read>) {
        let before = self.proofs.remove(read).unwrap_or_default();
        self.evidence
            .retain(|(about, proof), _| about != read || proofs.contains(proof));
        let used = |entry: &Self, read: &Read| entry.reads.contains(read) || entry.is_proof(read);
        let gained = proofs
            .difference(&before)
            .filter(|proof| !used(self, proof));
        let gained = gained.cloned().collect();
        let lost: Vec<Read> = before.difference(&proofs).cloned().collect();
        if !proofs.is_empty() {
            self.proofs.insert(read.clone(), proofs);
        }
        let lost = lost.into_iter().filter(|proof| !used(self, proof));
        (gained, lost.collect())
    }

    /// A direct read has answered about what is in question.
    pub(super) fn take_evidence(
        &mut self,
        about: &Read,
        proof: &Read,
        gone: Option<(Gone, AccountId)>,
        now: Instant,
    ) {
        let key = (about.clone(), proof.clone());
        let before = self.evidence.remove(&key);
        if let Some(next) = Evidence::next(before, gone, now) {
            self.evidence.insert(key, next);
        }
    }

    /// What is known of everything that is in question.
    pub(super) fn all_proofs(&self) -> BTreeMap<Read, Proofs> {
        let reads = self.proofs.keys();
        reads
            .map(|read| (read.clone(), self.proofs_about(read)))
            .collect()
    }

    /// What the direct reads say about what was read from `read`. What the brake holds is as good as not certain.
    pub(super) fn proofs_about(&self, read: &Read) -> Proofs {
        let interval = self.entry.refresh_interval;
        let evidence = self.evidence.iter();
        let about = evidence.filter(|((about, _), _)| about == read);
        about
            .map(|((_, proof), evidence)| {
                let said = match evidence.proof(interval) {
                    Proof::Confirmed if !self.allowed.contains(proof) => Proof::Held,
                    said @ (Proof::None | Proof::Confirmed | Proof::Held | Proof::NeverThere) => {
                        said
                    }
                };
                (proof.clone(), (evidence.gone(), said))
            })
            .collect()
    }

    /// What has become certain since the last time; what no longer is was forgotten.
    pub(super) fn newly_certain(&mut self) -> BTreeSet<Read> {
        let interval = self.entry.refresh_interval;
        let certain = self.evidence.iter();
        let certain = certain.filter(|(_, evidence)| evidence.is_confirmed(interval));
        let certain: BTreeSet<Read> = certain.map(|((_, proof), _)| proof.clone()).collect();
        self.allowed.retain(|proof| certain.contains(proof));
        self.held.retain(|proof| certain.contains(proof));
        let known = |proof: &Read| self.allowed.contains(proof) || self.held.contains(proof);
        certain.into_iter().filter(|proof| !known(proof)).collect()
    }

    /// What the brake said of what is certain.
    pub(super) fn brake(&mut self, certain: BTreeSet<Read>, may: bool) {
        if may {
            self.allowed.extend(certain);
        } else {
            self.held.extend(certain);
        }
    }

    /// A read said that; what now?
    pub(super) fn answered(
        &mut self,
        read: &Read,
        heard: &Heard,
        doubted: bool,
        now: Instant,
    ) -> Wish {
        self.failing_reads.remove(read);
        if self.reads.contains(read) {
            self.answered.insert(read.clone());
        }
        if self.work == Work::UnderWay || !self.tried || doubted {
            return Wish::Nothing;
        }
        let changed = self.attempted.get(read) != Some(heard);
        if !self.failing_reads.is_empty() {
            // A run would end at the read that fails; its recovery starts one.
            self.unfinished |= changed;
            return Wish::Nothing;
        }
        // What is tried again by itself is not tried with every answer.
        let waits = self.retry.is_some_and(|retry| retry > now);
        if (changed && !waits) || self.unfinished {
            return Wish::Run(Which::All);
        }
        let wish = self.wish(now, Occasion::Answer);
        let retries = matches!(wish, Wish::Run(Which::Retry(_)));
        if retries && self.is_check_due(now) {
            // With the answer at hand, one run looks at those that are well too: a retry every time round must not keep
            // that away for ever.
            return Wish::Run(Which::All);
        }
        wish
    }

    fn is_check_due(&self, now: Instant) -> bool {
        // Only its own reads are among those that answered.
        let all_answered = self.answered.len() == self.reads.len();
        all_answered && self.check.is_some_and(|check| check <= now)
    }

    /// What is due by now.
    pub(super) fn wish(&self, now: Instant, occasion: Occasion) -> Wish {
        if self.work == Work::UnderWay || !self.tried || !self.failing_reads.is_empty() {
            return Wish::Nothing;
        }
        if self.unfinished || self.trouble.is_some() {
            let due = self.retry.is_some_and(|retry| retry <= now);
            return if due {
                Wish::Run(Which::All)
            } else {
                Wish::Nothing
            };
        }
        let new = self.new_targets();
        if !new.is_empty() {
            return Wish::Run(Which::New(new));
        }
        let interval = self.entry.refresh_interval;
        let answer_at_hand = occasion == Occasion::Answer;
        let due: Vec<usize> = self.indices(|target| {
            target.is_due(now) && (answer_at_hand || !target.waits_for_an_answer(interval))
        });
        if !due.is_empty() {
            Wish::Run(Which::Retry(due))
        } else if self.is_check_due(now) {
            Wish::Check
        } else {
            Wish::Nothing
        }
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
        let healthy = self.indices(|target| target.trouble.is_none() && target.away.is_none());
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

    /// When a timer has to look at this entry again; `None` while only a read's answer can move it. What [`Self::wish`]
    /// would not start at that time is never set, or the timer would come due at once, for ever.
    pub(super) fn timer(&self, now: Instant) -> Option<Instant> {
        if !self.failing_reads.is_empty() {
            return None;
        }
        if self.unfinished || self.trouble.is_some() {
            return self.retry;
        }
        let interval = self.entry.refresh_interval;
        let timed = |target: &&TargetState| {
            target.trouble.is_some() && !target.waits_for_an_answer(interval)
        };
        let targets = self.targets.iter().filter(timed);
        let targets = targets.filter_map(|target| target.retry);
        // A check that is due waits for the reads that have not answered yet.
        let check = self.check.filter(|check| *check > now);
        targets.chain(check).min()
    }

    /// Nothing is retried before a doubted version had its second read.
    pub(super) fn wait_for_confirmation(&mut self, until: Instant) {
        let retries = self
            .targets
            .iter_mut()
            .filter_map(|target| target.retry.as_mut());
        for retry in retries.chain(self.retry.as_mut()) {
            *retry = until.max(*retry);
        }
    }

    /// Whether the next step waits for a read to come round.
    pub(super) fn waits_for_reads(&self, now: Instant) -> bool {
        self.unfinished || !self.failing_reads.is_empty() || self.timer(now).is_none()
    }

    /// A run ended at a read. Where none fails any more, it is made again, but never at once: whatever it was that the
    /// run met and nobody knows of, it may meet again.
    pub(super) fn not_read(&mut self, now: Instant) {
        self.unfinished = true;
        self.retry = self
            .failing_reads
            .is_empty()
            .then(|| now + UNEXPLAINED_AGAIN);
    }

    /// A run wrote nothing, for a reason of the entry's own. Equal answers give equal content, so only a panic, which
    /// is nobody's content, and what is no matter of content are tried again by themselves.
    pub(super) fn fail(&mut self, stage: Stage, failure: Failure, now: Instant) -> &Streak {
        let before = self.trouble.take().map(|(_, streak)| streak);
        let streak = Streak::next(before.as_ref(), failure);
        let interval = self.entry.refresh_interval;
        let by_itself = streak.failure.reason == Reason::Panic || stage == Stage::Apply;
        self.retry = by_itself.then(|| now + streak.wait(interval));
        self.unfinished = false;
        &self.trouble.insert((stage, streak)).1
    }

    /// Everything is delivered.
    pub(super) fn is_done(&self) -> bool {
        !self.unfinished
            && self.trouble.is_none()
            && self.targets.iter().all(|target| target.trouble.is_none())
    }

    /// Every target holds what there is, and of what is gone the last value.
    pub(super) fn is_partial(&self) -> bool {
        self.is_done() && self.kept.is_some()
    }

    /// The failure to show: what stops the whole entry before what stops one target.
    pub(super) fn shown_failure(&self) -> Option<&Failure> {
        let reads = self.failing_reads.values();
        let own = self.trouble.iter().map(|(_, streak)| streak);
        let targets = self
            .targets
            .iter()
            .filter_map(|target| target.trouble.as_ref());
        let worst = reads.chain(own).chain(targets).chain(&self.kept).next();
        let fights = self.targets.iter().filter_map(|it| it.fight.as_ref());
        let mut selected = self.entry.selected.iter().filter_map(Selected::failure);
        worst
            .map(|streak| &streak.failure)
            .or(fights.min_by_key(|it| &it.fact))
            .or_else(|| selected.next())
    }

    /// How target `index` stands, the entry's own troubles included.
    pub(super) fn target_condition(&self, index: usize, now: Instant) -> Condition {
        let target = &self.targets[index];
        let last = match (&target.trouble, target.tried) {
            (Some(_), _) => Try::Failed,
            (None, true) => Try::Delivered,
            (None, false) => Try::Never,
        };
        let facts = TargetFacts {
            turn: self.turn(index),
            last,
            contested: target.repairs.is_contested(),
        };
        state::of_target(self.facts(now), facts)
    }

    fn facts(&self, now: Instant) -> EntryFacts {
        let failing = !self.failing_reads.is_empty() || self.trouble.is_some();
        EntryFacts {
            age: now.saturating_duration_since(self.success_or_appearance()),
            max_stale: self.entry.max_stale,
            sources: match (failing, &self.kept) {
                (true, _) => Sources::Failing,
                (false, Some(_)) => Sources::Partial,
                (false, None) => Sources::Good,
            },
        }
    }

    /// When it becomes stale unless it succeeds before.
    pub(super) fn stale_at(&self) -> Instant {
        self.success_or_appearance() + self.entry.max_stale
    }

    fn success_or_appearance(&self) -> Instant {
        // Where targets came after a time without any, that time does not count.
        let success = self.last_success.map(|(at, _)| at);
        success.map_or(self.first_seen, |at| at.max(self.first_seen))
    }
}

#[cfg(test)]
mod tests;
