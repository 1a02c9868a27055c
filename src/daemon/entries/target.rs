//! How one target of an entry stands: what it holds, what troubles it, and who fights over it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::decide::Effect;
use crate::decide::change::Version;
use crate::decide::contested::Repairs;
use crate::failure::{Failure, Retry};
use crate::few::{self, Seldom};
use crate::report::{ActionKind, Condition};
use crate::schedule::backoff;
use crate::status::{ActionStatus, Trouble};
use crate::store::Read;

/// A retry that waits for the next routine answer comes due a little before it: reads may come early by their jitter.
const BEFORE_THE_ANSWER: f64 = 0.85;

/// With intervals up to this, somebody's mistake is tried again with the routine reads; above, by a timer.
const RARELY: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub(in crate::daemon) struct TargetState {
    pub tried: bool,
    /// Something is under way at it that its entry does not wait for.
    pub lags: bool,
    pub trouble: Option<Streak>,
    /// When it is tried again; `None` with a trouble: once its cluster is back.
    pub retry: Option<Instant>,
    /// What this target holds, per read; of one that is away, what it held.
    pub delivered: few::Map<Read, Version>,
    /// Since when it is away, because all that it was made of is gone.
    pub away: Option<Timestamp>,
    /// What was last told of it, the entry's own troubles included.
    pub shown: Condition,
    pub repairs: Repairs,
    /// Who keeps changing it, and what to do; only while it is contested.
    pub fight: Option<Failure>,
    pub alarms: Alarms,
    /// What has to run for its last change and has not, or not well.
    pub action: Option<Box<PendingAction>>,
    /// Workloads that were to be restarted because of it and are not, and why. What it holds is delivered all the same.
    pub failing_restarts: Seldom<BTreeMap<String, Failure>>,
}

/// What has to run, as it is shown.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct PendingAction {
    pub kind: ActionKind,
    /// Without arguments.
    pub name: String,
    pub since: Timestamp,
    /// Why it failed last.
    pub trouble: Option<Failure>,
}

impl PendingAction {
    pub(in crate::daemon) fn status(&self) -> ActionStatus {
        ActionStatus {
            kind: self.kind.as_str().into(),
            action: self.name.clone(),
            pending_since: self.since,
            error: self.trouble.as_ref().map(Trouble::from),
        }
    }
}

/// Looks at a target that somebody's change caused, and that found nothing to put back, or nothing that could be: each
/// makes the next one wait longer, for whoever writes something else in a Secret may do so every second.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::daemon) struct Alarms {
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
    pub(in crate::daemon) fn end(&mut self, effect: Effect, interval: Duration, now: Instant) {
        match effect {
            Effect::Unchanged if self.open => self.again(interval, now),
            Effect::Unchanged => {}
            Effect::Created
            | Effect::Updated
            | Effect::Repaired(_)
            | Effect::Deleted
            | Effect::Away => *self = Self::default(),
        }
        self.open = false;
    }

    /// One more came to nothing, or is looked into because something happened to what fails.
    pub(in crate::daemon) fn again(&mut self, interval: Duration, now: Instant) {
        if self.calm_until.is_some_and(|calm| now > calm + self.wait) {
            self.false_ones = 0;
        }
        self.wait = Duration::from_secs(1 << self.false_ones.min(20)).min(interval);
        self.false_ones += 1;
        self.calm_until = Some(now + self.wait);
    }
}

/// What a target that was done to has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::daemon) enum Peace {
    AsBefore,
    Broken,
    Made,
}

/// The same trouble, time after time.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Streak {
    pub failure: Failure,
    pub count: u32,
    /// Whether this time is worth a log line: the first, another reason, and then at doubling counts.
    pub loud: bool,
}

impl Streak {
    pub(in crate::daemon) fn next(before: Option<&Self>, failure: Failure) -> Self {
        let count = before.map_or(1, |streak| streak.count.saturating_add(1));
        let another = before.is_none_or(|streak| streak.failure.reason != failure.reason);
        Self {
            loud: another || count.is_power_of_two(),
            failure,
            count,
        }
    }

    /// The wait before the next try, a server's own wish first.
    pub(in crate::daemon) fn wait(&self, interval: Duration) -> Duration {
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
    pub(super) fn new() -> Self {
        Self {
            tried: false,
            lags: false,
            trouble: None,
            retry: None,
            delivered: few::Map::new(),
            away: None,
            shown: Condition::Pending,
            repairs: Repairs::default(),
            fight: None,
            alarms: Alarms::default(),
            action: None,
            failing_restarts: Seldom::none(),
        }
    }

    /// Why its action failed, while that has to run.
    pub(in crate::daemon) fn failing_action(&self) -> Option<&Failure> {
        let action = self.action.as_ref();
        action
            .and_then(|action| action.trouble.as_ref())
            .or_else(|| self.failing_restarts.values().next())
    }

    /// An apply or a look ended like that.
    pub(in crate::daemon) fn did(
        &mut self,
        effect: Effect,
        interval: Duration,
        now: Instant,
    ) -> Peace {
        let before = self.repairs.is_contested();
        self.repairs.did(effect, now, interval);
        self.peace_since(before)
    }

    /// Somebody else wrote it while it was being put back.
    pub(in crate::daemon) fn overtaken(&mut self, interval: Duration, now: Instant) -> Peace {
        let before = self.repairs.is_contested();
        self.repairs.overtaken(now, interval);
        self.peace_since(before)
    }

    fn peace_since(&mut self, before: bool) -> Peace {
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
    pub(in crate::daemon) fn end_fight(&mut self) {
        self.repairs.end();
        self.fight = None;
    }

    /// Whether what was put there has to stay as others left it, for now.
    pub(in crate::daemon) fn is_withheld(&self, now: Instant) -> bool {
        self.repairs.next_repair().is_some_and(|at| at > now)
    }

    /// Its policy is to leave it as it is while something is gone: only when that changes, it is tried again.
    pub(in crate::daemon) fn stay(&mut self, failure: Failure) -> &Streak {
        self.tried = true;
        self.retry = None;
        let streak = Streak::next(self.trouble.as_ref(), failure);
        self.trouble.insert(streak)
    }

    /// One more failure; the next try is set by its reason.
    pub(in crate::daemon) fn fail(
        &mut self,
        failure: Failure,
        interval: Duration,
        now: Instant,
    ) -> &Streak {
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

    pub(in crate::daemon) fn succeed(&mut self) {
        self.tried = true;
        self.trouble = None;
        self.retry = None;
    }

    /// Another machine writes it, and meets what there is to meet.
    pub(super) fn rest(&mut self) {
        self.trouble = None;
        self.retry = None;
        self.repairs = Repairs::default();
        self.fight = None;
        self.alarms = Alarms::default();
        self.failing_restarts = Seldom::none();
    }

    pub(super) fn waits_for_an_answer(&self, interval: Duration) -> bool {
        let trouble = self.trouble.as_ref();
        trouble.is_some_and(|streak| waits_for_an_answer(&streak.failure, interval))
    }

    /// It fails with what strikes a whole cluster.
    pub(in crate::daemon) fn fails_with_all(&self) -> bool {
        let trouble = self.trouble.as_ref();
        trouble.is_some_and(|streak| streak.failure.reason.is_shared())
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.trouble.is_some() && !self.lags && self.retry.is_some_and(|retry| retry <= now)
    }
}

/// Somebody has to act: the next routine answer is early enough, and costs no read of its own.
pub(super) fn waits_for_an_answer(failure: &Failure, interval: Duration) -> bool {
    failure.reason.retry() == Retry::Rarely && interval <= RARELY
}
