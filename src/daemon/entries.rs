//! What is known of each entry: how its targets stand, what they hold, and what it waits for.
//!
//! Pure bookkeeping: the engine asks it what to do and starts the work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::decide::change::Version;
use crate::failure::{Failure, Reason, Retry};
use crate::report::{Condition, Stage};
use crate::schedule::backoff;
use crate::schedule::rhythm::Rhythm;
use crate::store::{Identity, Match, Read};
use crate::sync::{Entry, Which, read_of};

/// A retry that waits for the next routine answer comes due a little before it: reads may come early by their jitter.
const BEFORE_THE_ANSWER: f64 = 0.85;

/// With intervals up to this, somebody's mistake is tried again with the routine reads; above, by a timer.
const RARELY: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub(super) struct EntryState {
    pub entry: Arc<Entry>,
    pub targets: Vec<TargetState>,
    /// What its finds match, each by the read that says so.
    found: BTreeMap<Read, BTreeSet<Read>>,
    /// Its own reads, and what its finds match.
    reads: BTreeSet<Read>,
    /// The newest version any target holds, per read.
    pub delivered: BTreeMap<Read, Version>,
    /// What the last run that got past its reads used, delivered or not; a read that still answers it wakes nobody.
    pub attempted: BTreeMap<Read, Identity>,
    /// Reads that fail now.
    pub failing_reads: BTreeMap<Read, Streak>,
    /// Why the last run wrote nothing, where that was not a read.
    pub trouble: Option<(Stage, Streak)>,
    /// When such a run is tried again; `None` where only a change of the sources can help.
    pub retry: Option<Instant>,
    /// A run was cut short by its reads, or drift was found: a run has to be made.
    pub unfinished: bool,
    pub tried: bool,
    pub work: Work,
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
    /// When it is tried again.
    pub retry: Option<Instant>,
    /// What this target holds, per read.
    pub delivered: BTreeMap<Read, Version>,
    /// What was last told of it, the entry's own troubles included.
    pub shown: Condition,
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
            shown: Condition::Pending,
        }
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

    fn waits_for_an_answer(&self, interval: Duration) -> bool {
        let trouble = self.trouble.as_ref();
        trouble.is_some_and(|streak| waits_for_an_answer(&streak.failure, interval))
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
            reads: entry.reads.iter().cloned().collect(),
            entry,
            found: BTreeMap::new(),
            delivered: BTreeMap::new(),
            attempted: BTreeMap::new(),
            failing_reads: BTreeMap::new(),
            trouble: None,
            retry: None,
            unfinished: true,
            tried: false,
            work: Work::Idle,
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
        for read in &lost {
            self.failing_reads.remove(read);
            self.answered.remove(read);
        }
        (self.reads.difference(&before).cloned().collect(), lost)
    }

    /// A read answered with `identity`; what now?
    pub(super) fn answered(
        &mut self,
        read: &Read,
        identity: &Identity,
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
        let changed = self.attempted.get(read) != Some(identity);
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
        if self.work == Work::UnderWay
            || !self.tried
            || self.unfinished
            || !self.failing_reads.is_empty()
        {
            return Wish::Nothing;
        }
        if self.trouble.is_some() {
            let due = self.retry.is_some_and(|retry| retry <= now);
            return if due {
                Wish::Run(Which::All)
            } else {
                Wish::Nothing
            };
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

    /// The targets that can be looked at for drift.
    pub(super) fn healthy(&self) -> Vec<usize> {
        self.indices(|target| target.trouble.is_none())
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
        if self.unfinished || !self.failing_reads.is_empty() {
            return None;
        }
        if self.trouble.is_some() {
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

    /// The failure to show: what stops the whole entry before what stops one target.
    pub(super) fn shown_failure(&self) -> Option<&Failure> {
        let reads = self.failing_reads.values();
        let own = self.trouble.iter().map(|(_, streak)| streak);
        let targets = self
            .targets
            .iter()
            .filter_map(|target| target.trouble.as_ref());
        let worst = reads.chain(own).chain(targets).next();
        worst.map(|streak| &streak.failure)
    }

    /// How target `index` stands, the entry's own troubles included.
    pub(super) fn target_condition(&self, index: usize, now: Instant) -> Condition {
        let target = &self.targets[index];
        let own = match (&target.trouble, target.tried) {
            (Some(_), _) => Condition::Failing,
            (None, true) => Condition::Fresh,
            (None, false) => Condition::Pending,
        };
        let shared = if self.stale_at() <= now {
            Condition::Stale
        } else if !self.failing_reads.is_empty() || self.trouble.is_some() {
            Condition::Failing
        } else {
            Condition::Fresh
        };
        own.min(shared)
    }

    /// When it becomes stale unless it succeeds before.
    pub(super) fn stale_at(&self) -> Instant {
        let since = self.last_success.map_or(self.first_seen, |(at, _)| at);
        since + self.entry.max_stale
    }
}

#[cfg(test)]
mod tests;
