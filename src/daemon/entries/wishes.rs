//! What an entry wants: after an answer, when its time has come, and when that is.

use std::time::Duration;

use tokio::time::Instant;

use super::{EntryState, Streak, TargetState, Work};
use crate::failure::{Failure, Reason};
use crate::report::Stage;
use crate::store::Read;
use crate::sync::{Heard, Which};

/// The wait after a run that ended at a read which fails no more.
const UNEXPLAINED_AGAIN: Duration = Duration::from_secs(1);

/// What an entry wants after one of its reads answered, or when its time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::daemon) enum Wish {
    Nothing,
    Run(Which),
    /// Everything that can be is delivered and unchanged, and the interval is over: look for drift.
    Check,
}

/// What an entry is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Occasion {
    /// One of its reads answered.
    Answer,
    /// Its time has come.
    Timer,
}

impl EntryState {
    /// A read said that; what now?
    pub(in crate::daemon) fn answered(
        &mut self,
        read: &Read,
        heard: &Heard,
        doubted: bool,
        now: Instant,
    ) -> Wish {
        self.failing_reads.change(|it| it.remove(read));
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
    pub(in crate::daemon) fn wish(&self, now: Instant, occasion: Occasion) -> Wish {
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

    /// When a timer has to look at this entry again; `None` while only a read's answer can move it. What [`Self::wish`]
    /// would not start at that time is never set, or the timer would come due at once, for ever.
    pub(in crate::daemon) fn timer(&self, now: Instant) -> Option<Instant> {
        if !self.failing_reads.is_empty() {
            return None;
        }
        if self.unfinished || self.trouble.is_some() {
            return self.retry;
        }
        let interval = self.entry.refresh_interval;
        let timed = |target: &&TargetState| {
            target.trouble.is_some() && !target.waits_for_an_answer(interval) && !target.lags
        };
        let targets = self.targets.iter().filter(timed);
        let targets = targets.filter_map(|target| target.retry);
        // A check that is due waits for the reads that have not answered yet.
        let check = self.check.filter(|check| *check > now);
        targets.chain(check).min()
    }

    /// Nothing is retried before a doubted version had its second read.
    pub(in crate::daemon) fn wait_for_confirmation(&mut self, until: Instant) {
        let retries = self
            .targets
            .iter_mut()
            .filter_map(|target| target.retry.as_mut());
        for retry in retries.chain(self.retry.as_mut()) {
            *retry = until.max(*retry);
        }
    }

    /// Whether the next step waits for a read to come round.
    pub(in crate::daemon) fn waits_for_reads(&self, now: Instant) -> bool {
        self.unfinished || !self.failing_reads.is_empty() || self.timer(now).is_none()
    }

    /// A run ended at a read. Where none fails any more, it is made again, but never at once: whatever it was that the
    /// run met and nobody knows of, it may meet again.
    pub(in crate::daemon) fn not_read(&mut self, now: Instant) {
        self.unfinished = true;
        self.retry = self
            .failing_reads
            .is_empty()
            .then(|| now + UNEXPLAINED_AGAIN);
    }

    /// A run wrote nothing, for a reason of the entry's own. Equal answers give equal content, so only a panic, which
    /// is nobody's content, and what is no matter of content are tried again by themselves.
    pub(in crate::daemon) fn fail(
        &mut self,
        stage: Stage,
        failure: Failure,
        now: Instant,
    ) -> &Streak {
        let before = self.trouble.take().map(|(_, streak)| streak);
        let streak = Streak::next(before.as_ref(), failure);
        let interval = self.entry.refresh_interval;
        let by_itself = streak.failure.reason == Reason::Panic || stage == Stage::Apply;
        self.retry = by_itself.then(|| now + streak.wait(interval));
        self.unfinished = false;
        &self.trouble.insert((stage, streak)).1
    }
}
