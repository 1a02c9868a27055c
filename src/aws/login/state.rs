//! What a login knows, and when it is due. Pure: told the time.
//!
//! The end of credentials is turned into an instant when they arrive. A wall clock that is set, or is hours off, then
//! neither ends good credentials nor makes every request load new ones; where it hides an end (the machine slept), AWS
//! refuses them, and that loads new ones, too.

use std::time::Duration;

use aws_credential_types::Credentials;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::aws::files::Seen;
use crate::failure::{Failure, Retry};
use crate::schedule::backoff;

/// Credentials are renewed this long before their end.
const AHEAD: Duration = Duration::from_mins(5);

/// Those that live shorter than this are renewed at a third of their life before its end.
const SHORT: Duration = Duration::from_mins(15);

/// What was just loaded is used for this long whatever it says of its end: the clock may be wrong, and the instance
/// metadata hands out what has ended when it cannot do better.
const AT_LEAST: Duration = Duration::from_mins(1);

/// Refused credentials are loaded anew at most this often.
const REFUSED_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct State {
    present: Option<Present>,
    /// How many loads have ended.
    ended: u64,
    /// How many of them failed, since the last that did not.
    failures: u32,
    /// Of the last load.
    failure: Option<Failure>,
    refusal: Option<Refusal>,
    seen: Option<Seen>,
    due: Option<Instant>,
}

#[derive(Debug)]
struct Present {
    credentials: Credentials,
    until: Option<Instant>,
}

/// AWS refused credentials, and they were loaded anew.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    at: Instant,
    replaced: bool,
}

impl State {
    pub(super) fn present(&self) -> Option<Credentials> {
        self.present.as_ref().map(|it| it.credentials.clone())
    }

    pub(super) fn valid(&self, now: Instant) -> Option<Credentials> {
        let present = self.present.as_ref()?;
        let holds = present.until.is_none_or(|until| now < until);
        holds.then(|| present.credentials.clone())
    }

    pub(super) fn is_present(&self, credentials: &Credentials) -> bool {
        let present = self.present.as_ref();
        present.is_some_and(|it| same(&it.credentials, credentials))
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.clone()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The last load failed, or AWS refused what there is.
    pub(super) fn in_trouble(&self) -> bool {
        self.failure.is_some() || self.refusal.is_some_and(|refusal| !refusal.replaced)
    }

    pub(super) fn saw_others(&self, seen: &Seen) -> bool {
        self.seen.as_ref().is_some_and(|before| before != seen)
    }

    /// How the last refusal ended, where that was a moment ago.
    pub(super) fn just_refused(&self, now: Instant) -> Option<bool> {
        let refusal = self.refusal?;
        (now < refusal.at + REFUSED_AGAIN).then_some(refusal.replaced)
    }

    pub(super) fn refused(&mut self, replaced: bool, now: Instant) {
        self.refusal = Some(Refusal { at: now, replaced });
    }

    /// A load ended.
    pub(super) fn settle(
        &mut self,
        found: &Result<Credentials, Failure>,
        seen: Option<Seen>,
        again: Option<Duration>,
        (now, wall): (Instant, Timestamp),
    ) {
        self.ended += 1;
        self.seen = seen.or(self.seen.take());
        match found {
            Ok(credentials) => self.renewed(credentials, again, (now, wall)),
            Err(failure) => self.failed(failure, now),
        }
    }

    fn renewed(
        &mut self,
        credentials: &Credentials,
        again: Option<Duration>,
        (now, wall): (Instant, Timestamp),
    ) {
        // An end that no calendar holds is none.
        let end = credentials
            .expiry()
            .and_then(|end| Timestamp::try_from(end).ok());
        let life = end.map(|end| {
            let left = Duration::try_from(end.duration_since(wall));
            left.unwrap_or_default().max(AT_LEAST)
        });
        self.due = match life {
            Some(life) if life < SHORT => Some(now + life * 2 / 3),
            Some(life) => Some(now + life.saturating_sub(AHEAD)),
            None => again.map(|after| now + after),
        };
        if !self.is_present(credentials) {
            self.refusal = self.refusal.filter(|refusal| refusal.replaced);
        }
        self.present = Some(Present {
            credentials: credentials.clone(),
            until: life.map(|life| now + life),
        });
        self.failures = 0;
        self.failure = None;
    }

    /// Valid credentials stay, and it is tried again while they are; later, whoever needs some tries.
    fn failed(&mut self, failure: &Failure, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(failure.clone());
        // Without jitter: a login has nobody to be in step with.
        let next = now + backoff::delay(Retry::Soon, self.failures, Duration::MAX, 1.0);
        let holds = |present: &Present| present.until.is_none_or(|until| next < until);
        self.due = Some(next).filter(|_| self.present.as_ref().is_some_and(holds));
    }
}

/// What AWS sees is the same.
fn same(one: &Credentials, other: &Credentials) -> bool {
    one.access_key_id() == other.access_key_id()
        && one.secret_access_key() == other.secret_access_key()
        && one.session_token() == other.session_token()
}
