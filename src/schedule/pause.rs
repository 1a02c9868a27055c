//! One pause for everything that fails together, and one probe instead of a failure each. Pure: told the time.
//!
//! A failure is taken for a shared one unless something else was answered after the failing call began: then the way
//! and the service are well, and it stays the trouble of whoever met it.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff;
use crate::failure::{Failure, Reason, Retry};

/// A pause that begins this soon after another one is the same trouble: what a probe may do, others may not.
const RELAPSE: Duration = Duration::from_mins(1);

/// What is known of something that many share.
#[derive(Debug, Default)]
pub struct Health {
    /// When a call last came back with an answer, be it a refusal.
    answered: Option<Instant>,
    pause: Option<Pause>,
    /// When the last pause ended.
    resumed: Option<Instant>,
    /// Pauses that began soon after another one, in a row: each begins with a longer wait.
    relapses: u32,
}

#[derive(Debug)]
pub struct Pause {
    pub failure: Failure,
    /// Probes that failed, and the call that began it.
    pub failures: u32,
    pub until: Instant,
    since: Instant,
    probing: bool,
}

/// Whether a call may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Gate {
    Open,
    /// It is the probe.
    Probe,
    Paused(Failure),
}

/// What the end of a call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum News {
    Nothing,
    /// It is paused from now on, or longer.
    Paused,
    /// What was held may leave.
    Resumed,
}

impl Reason {
    /// Whether it usually strikes everything behind the same account role, region and way.
    pub fn is_shared(self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::Credentials | Self::Clock | Self::Network | Self::Timeout
        )
    }

    /// Whether one call may meet it while all others do well.
    pub fn may_be_lonely(self) -> bool {
        matches!(self, Self::Throttled | Self::Network | Self::Timeout)
    }
}

impl Health {
    pub fn pause(&self) -> Option<&Pause> {
        self.pause.as_ref()
    }

    /// Whether a call may leave now. At the end of a pause one may, as its probe.
    pub fn gate(&mut self, now: Instant) -> Gate {
        match &mut self.pause {
            None => Gate::Open,
            Some(pause) if now >= pause.until && !pause.probing => {
                pause.probing = true;
                Gate::Probe
            }
            Some(pause) => Gate::Paused(pause.failure.clone()),
        }
    }

    /// What it waits for may be over: the next call may leave now, as its probe.
    pub fn hasten(&mut self, now: Instant) {
        if let Some(pause) = &mut self.pause {
            pause.until = pause.until.min(now);
        }
    }

    /// The probe came back without an answer to anybody's question: another one may leave.
    pub fn lose_probe(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.probing = false;
        }
    }

    /// When the next probe may leave; `None` where nothing is paused, or one is on its way.
    pub fn next_probe(&self) -> Option<Instant> {
        let pause = self.pause.as_ref().filter(|pause| !pause.probing)?;
        Some(pause.until)
    }

    /// A call that began at `began` was answered. One that left before the pause says nothing of its end.
    pub fn answered(&mut self, began: Instant, now: Instant) -> News {
        self.answered = Some(now);
        if self.pause.as_ref().is_none_or(|pause| began < pause.since) {
            return News::Nothing;
        }
        self.pause = None;
        self.resumed = Some(now);
        News::Resumed
    }

    /// Whether something was answered after a call began at `began`.
    pub fn does_well_since(&self, began: Instant) -> bool {
        self.answered.is_some_and(|at| at > began)
    }

    /// A call that began at `began` failed for a reason that may be shared. `longest` bounds the pause; `random` is in
    /// `[0, 1)`.
    pub fn failed(
        &mut self,
        failure: &Failure,
        (began, now): (Instant, Instant),
        longest: Duration,
        random: f64,
    ) -> News {
        let is_lonely = failure.reason.may_be_lonely() && self.does_well_since(began);
        if !failure.reason.is_shared() || is_lonely {
            return News::Nothing;
        }
        self.struck(failure, (began, now), longest, random)
    }

    /// The same, where the failure is everybody's beyond doubt.
    pub fn struck(
        &mut self,
        failure: &Failure,
        (began, now): (Instant, Instant),
        longest: Duration,
        random: f64,
    ) -> News {
        // Calls that left before the pause say nothing new.
        if let Some(pause) = &self.pause
            && !(pause.probing && began >= pause.until)
        {
            return News::Nothing;
        }
        let failures = match self.pause.as_ref().map(|pause| pause.failures) {
            Some(failures) => failures.saturating_add(1),
            None => self.first_failures(now),
        };
        let wait = backoff::delay(Retry::Soon, failures, longest, random);
        let wait = failure.retry_after.map_or(wait, |wish| wish.max(wait));
        self.pause = Some(Pause {
            failure: failure.clone(),
            failures,
            since: now,
            until: now + wait,
            probing: false,
        });
        News::Paused
    }

    /// How many failures a pause that begins now counts from.
    fn first_failures(&mut self, now: Instant) -> u32 {
        let relapse = self.resumed.is_some_and(|at| now < at + RELAPSE);
        self.relapses = if relapse {
            self.relapses.saturating_add(1)
        } else {
            0
        };
        self.relapses.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_mins(5);

    fn failure(reason: Reason) -> Failure {
        Failure::new(reason, "x")
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_leaves_at_the_end_of_a_pause() {
        let now = Instant::now();
        let mut health = Health::default();
        let down = failure(Reason::Network);
        assert_eq!(health.gate(now), Gate::Open);
        assert_eq!(health.failed(&down, (now, now), LONGEST, 0.0), News::Paused);
        // What left before says nothing new.
        assert_eq!(
            health.failed(&down, (now, now), LONGEST, 0.0),
            News::Nothing
        );
        assert_eq!(health.gate(now), Gate::Paused(down.clone()));
        let later = now + Duration::from_secs(1);
        assert_eq!(health.gate(later), Gate::Probe);
        assert_eq!(health.gate(later), Gate::Paused(down.clone()));
        assert_eq!(
            health.failed(&down, (later, later), LONGEST, 0.5),
            News::Paused
        );
        assert_eq!(health.pause().unwrap().failures, 2);
        assert_eq!(
            health.gate(later + Duration::from_secs(1)),
            Gate::Paused(down)
        );
        let last = later + Duration::from_secs(2);
        assert_eq!(health.gate(last), Gate::Probe);
        // What left before the pause does not end it.
        assert_eq!(health.answered(now, last), News::Nothing);
        assert_eq!(health.answered(last, last), News::Resumed);
        assert_eq!(health.gate(last), Gate::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn one_calls_trouble_pauses_nobody_while_others_are_answered() {
        let began = Instant::now();
        let (answered, now) = (
            began + Duration::from_secs(1),
            began + Duration::from_secs(20),
        );
        let mut health = Health::default();
        assert_eq!(health.answered(began, answered), News::Nothing);
        for reason in [Reason::Timeout, Reason::Network, Reason::Throttled] {
            let failed = health.failed(&failure(reason), (began, now), LONGEST, 0.0);
            assert_eq!(failed, News::Nothing, "{reason}");
        }
        let denied = health.failed(&failure(Reason::AccessDenied), (now, now), LONGEST, 0.0);
        assert_eq!(denied, News::Nothing);
        // Credentials and clock are everybody's at once.
        let expired = health.failed(&failure(Reason::Credentials), (began, now), LONGEST, 0.0);
        assert_eq!(expired, News::Paused);
    }

    /// Else a probe that is answered would let in, once a second, everything that the same trouble awaits.
    #[tokio::test(start_paused = true)]
    async fn a_pause_that_comes_back_at_once_begins_with_a_longer_wait() {
        let mut now = Instant::now();
        let mut health = Health::default();
        let busy = failure(Reason::Throttled);
        for failures in 1..=4 {
            assert_eq!(
                health.struck(&busy, (now, now), LONGEST, 0.999),
                News::Paused
            );
            let pause = health.pause().unwrap();
            assert_eq!(pause.failures, failures);
            now = pause.until;
            assert_eq!(health.gate(now), Gate::Probe);
            assert_eq!(health.answered(now, now), News::Resumed);
        }
        now += RELAPSE;
        assert_eq!(
            health.struck(&busy, (now, now), LONGEST, 0.999),
            News::Paused
        );
        assert_eq!(health.pause().unwrap().failures, 1);
    }

    /// Bug: a probe that could not leave, or said nothing, was the last one.
    #[tokio::test(start_paused = true)]
    async fn a_pause_may_end_sooner_and_survives_a_probe_that_says_nothing() {
        let now = Instant::now();
        let mut health = Health::default();
        let expired = failure(Reason::Credentials);
        assert_eq!(
            health.failed(&expired, (now, now), LONGEST, 0.9),
            News::Paused
        );
        assert!(health.next_probe().is_some_and(|at| at > now));
        health.hasten(now);
        assert_eq!(health.next_probe(), Some(now));
        assert_eq!(health.gate(now), Gate::Probe);
        assert_eq!(health.next_probe(), None);
        assert_eq!(health.gate(now), Gate::Paused(expired));
        health.lose_probe();
        assert_eq!(health.gate(now), Gate::Probe);
    }
}
