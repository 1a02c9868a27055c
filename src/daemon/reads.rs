//! What is known of each read: when it comes round, what it last answered, whether it is failing or doubted.
//!
//! Pure bookkeeping; the engine makes the calls.

mod remembered;

pub(super) use self::remembered::RawState;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::entries::Streak;
use crate::decide::change::Version;
use crate::failure::Failure;
use crate::few;
use crate::names::EntryName;
use crate::store::desk::Seen;
use crate::store::{Answer, Identity};

/// A version older than the delivered one is believed when a second read this much later agrees.
pub(super) const CONFIRM_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct ReadState {
    /// The shortest of its entries.
    pub interval: Duration,
    /// The entries that use it.
    pub users: few::Set<EntryName>,
    pub last: Option<Last>,
    pub failing: Option<Streak>,
    /// It waits for the end of a pause.
    pub held: bool,
    /// When it is next due, where that is not its cohort's time.
    pub next: Option<Instant>,
    doubt: Option<Box<Doubt>>,
}

/// The last successful answer, without its value.
#[derive(Clone, Debug)]
pub(super) struct Last {
    pub version: Version,
    pub at: Timestamp,
    /// Our last successful read before this version.
    before: Option<Timestamp>,
}

#[derive(Debug)]
struct Doubt {
    identity: Identity,
    since: Instant,
    confirmed: bool,
}

impl ReadState {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            users: few::Set::new(),
            last: None,
            failing: None,
            held: false,
            next: None,
            doubt: None,
        }
    }

    /// Takes an answer in; returns what waiting runs are to be given.
    pub(super) fn answered(&mut self, answer: Arc<Answer>, now: Instant, wall: Timestamp) -> Seen {
        let known = self.last.as_ref().map(|last| &last.version);
        let known =
            known.filter(|it| it.identity == answer.identity && it.created == answer.created);
        // Whoever has the version keeps it once, however often it is answered with.
        let version = known.cloned();
        let version =
            version.unwrap_or_else(|| Version::new(answer.identity.clone(), answer.created));
        let before = match &self.last {
            Some(last) if last.version.identity == version.identity => last.before,
            Some(last) => Some(last.at),
            None => None,
        };
        match &mut self.doubt {
            Some(doubt) if doubt.identity == version.identity => {
                doubt.confirmed |= now.duration_since(doubt.since) >= CONFIRM_AFTER;
            }
            _ => self.doubt = None,
        }
        self.failing = None;
        self.last = Some(Last {
            version,
            at: wall,
            before,
        });
        Seen { answer, before }
    }

    /// One more failure. Returns the wait before the next try.
    pub(super) fn failed(&mut self, failure: Failure) -> Duration {
        let streak = Streak::next(self.failing.as_ref(), failure);
        let wait = streak.wait(self.interval);
        self.failing = Some(streak);
        wait
    }

    /// A run met `identity` as an older version. Returns when to read again; `None` when it is doubted already.
    pub(super) fn doubt(&mut self, identity: &Identity, now: Instant) -> Option<Instant> {
        if self
            .doubt
            .as_ref()
            .is_some_and(|doubt| doubt.identity == *identity)
        {
            return None;
        }
        self.doubt = Some(Box::new(Doubt {
            identity: identity.clone(),
            since: now,
            confirmed: false,
        }));
        Some(now + CONFIRM_AFTER)
    }

    /// When a doubted answer is read again.
    pub(super) fn second_read(&self) -> Option<Instant> {
        let doubt = self.doubt.as_ref().filter(|doubt| !doubt.confirmed)?;
        Some(doubt.since + CONFIRM_AFTER)
    }

    /// True while the last answer waits for a second read to agree.
    pub(super) fn is_doubted(&self) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| !doubt.confirmed)
    }

    /// Whether its cohort's time is its own, and no other is set.
    pub(super) fn is_routine(&self) -> bool {
        self.failing.is_none() && !self.is_doubted()
    }

    pub(super) fn confirmed(&self) -> Option<&Identity> {
        self.doubt
            .as_ref()
            .filter(|doubt| doubt.confirmed)
            .map(|doubt| &doubt.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Reason;
    use crate::secret::SecretBytes;

    fn answer(id: &str) -> Arc<Answer> {
        Arc::new(Answer {
            identity: identity(id),
            created: None,
            content: crate::store::Content::Value(SecretBytes::new(b"x".to_vec())),
        })
    }

    fn identity(id: &str) -> Identity {
        Identity::Version {
            arn: "arn".into(),
            version_id: id.into(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_read_before_a_version_is_remembered_while_it_stays() {
        let now = Instant::now();
        let mut read = state();
        assert_eq!(read.answered(answer("a"), now, at(10)).before, None);
        assert_eq!(read.answered(answer("a"), now, at(20)).before, None);
        assert_eq!(read.answered(answer("b"), now, at(30)).before, Some(at(20)));
        assert_eq!(read.answered(answer("b"), now, at(40)).before, Some(at(20)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_doubt_needs_the_same_answer_five_seconds_later() {
        let now = Instant::now();
        let mut read = state();
        read.answered(answer("old"), now, at(0));
        assert_eq!(read.doubt(&identity("old"), now), Some(now + CONFIRM_AFTER));
        assert_eq!(read.doubt(&identity("old"), now), None);
        read.answered(answer("old"), now + Duration::from_secs(4), at(4));
        assert!(read.is_doubted() && read.confirmed().is_none());
        read.answered(answer("old"), now + Duration::from_secs(5), at(5));
        assert_eq!(read.confirmed(), Some(&identity("old")));
        read.answered(answer("new"), now + Duration::from_secs(6), at(6));
        assert!(read.confirmed().is_none() && !read.is_doubted());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_until_an_answer() {
        let now = Instant::now();
        let mut read = state();
        let failure = || Failure::new(Reason::Network, "x");
        let count = |read: &ReadState| read.failing.as_ref().map(|streak| streak.count);
        read.failed(failure());
        read.failed(failure());
        assert_eq!(count(&read), Some(2));
        read.answered(answer("a"), now, at(0));
        assert_eq!(count(&read), None);
        read.failed(failure());
        assert_eq!(count(&read), Some(1));
    }

    fn state() -> ReadState {
        let interval = Duration::from_mins(1);
        ReadState::new(interval)
    }
}
