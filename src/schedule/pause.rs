//! One pause for everything that fails together, and one probe instead of a failure each. Pure: told the time.
//!
//! A failure is taken for a shared one unless something else was answered after the failing call began: then the way
//! and the service are well, and it stays the trouble of whoever met it.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff;
use crate::failure::{Failure, Reason, Retry};

/// What is known of something that many share.
#[derive(Debug, Default)]
pub struct Health {
    /// When a call last came back with an answer, be it a refusal.
    answered: Option<Instant>,
    pause: Option<Pause>,
}

#[derive(Debug)]
pub struct Pause {
    pub failure: Failure,
    /// Probes that failed, and the call that began it.
    pub failures: u32,
    pub until: Instant,
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

    /// A call that began at `began` was answered.
    pub fn answered(&mut self, now: Instant) -> News {
        self.answered = Some(now);
        match self.pause.take() {
            Some(_) => News::Resumed,
            None => News::Nothing,
        }
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
        let lonely = matches!(
            failure.reason,
            Reason::Throttled | Reason::Network | Reason::Timeout
        );
        let others_do_well = self.answered.is_some_and(|at| at > began);
        if !failure.reason.is_shared() || (lonely && others_do_well) {
            return News::Nothing;
        }
        // Calls that left before the pause say nothing new.
        if let Some(pause) = &self.pause
            && !(pause.probing && now >= pause.until)
        {
            return News::Nothing;
        }
        let failures = self.pause.as_ref().map_or(1, |pause| pause.failures + 1);
        let wait = backoff::delay(Retry::Soon, failures, longest, random);
        let wait = failure.retry_after.map_or(wait, |wish| wish.max(wait));
        self.pause = Some(Pause {
            failure: failure.clone(),
            failures,
            until: now + wait,
            probing: false,
        });
        News::Paused
    }

    /// The probe came to nothing either way: another one may leave.
    pub fn probe_lost(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.probing = false;
        }
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
        assert_eq!(health.answered(last), News::Resumed);
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
        assert_eq!(health.answered(answered), News::Nothing);
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
}
