//! Which secrets batches do not answer, and until when. Pure: told the time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{Failure, Reason};

/// A secret that a batch does not answer is tried in one again after this long.
const TOGETHER_AGAIN: Duration = Duration::from_hours(1);

/// Why a secret goes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It may not be read in a batch; alone it may all the same (a condition on the stage).
    Denied,
    /// Something is wrong with it, or with one of those it travelled with.
    Unclear,
}

#[derive(Debug)]
struct Alone {
    why: Why,
    until: Instant,
    /// Why it was not answered alone either.
    failed: Option<Reason>,
}

/// By what names a read in a batch.
#[derive(Debug)]
pub(super) struct Apart<K>(HashMap<K, Alone>);

/// What becomes of the reads of a batch that came to nothing as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoilt {
    /// Each is to be asked alone now.
    Alone,
    /// They share the failure.
    Failed,
}

impl<K> Default for Apart<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Apart<K> {
    /// Whether it goes alone now.
    pub(super) fn holds(&self, key: &K, now: Instant) -> bool {
        self.0.get(key).is_some_and(|alone| now < alone.until)
    }

    /// A batch did not answer it. True when it is to be asked alone; false when that has failed before, so that one
    /// call says as much as two.
    pub(super) fn set(&mut self, key: &K, why: Why, now: Instant) -> bool {
        let failed = self.0.get(key).and_then(|alone| alone.failed);
        let alone = Alone {
            why,
            until: now + TOGETHER_AGAIN,
            failed,
        };
        self.0.insert(key.clone(), alone);
        failed.is_none()
    }

    /// It was answered, alone or in a batch.
    pub(super) fn answered(&mut self, key: &K, now: Instant) {
        let stays = |alone: &Alone| alone.why == Why::Denied && now < alone.until;
        if let Some(alone) = self.0.get_mut(key) {
            if stays(alone) {
                alone.failed = None;
            } else {
                self.0.remove(key);
            }
        }
    }

    /// Why it was not answered alone either, when it was last asked.
    pub(super) fn failure(&self, key: &K) -> Option<Reason> {
        self.0.get(key).and_then(|alone| alone.failed)
    }

    /// A whole batch was refused (no failure), or failed. What spoils a call may be in one answer of it.
    pub(super) fn spoilt(&mut self, keys: &[K], failure: Option<&Failure>, now: Instant) -> Spoilt {
        let many = keys.len() > 1;
        let (apart, end) = match failure.map(|failure| failure.reason) {
            None => (true, Spoilt::Alone),
            Some(Reason::Malformed) if many => (true, Spoilt::Alone),
            Some(Reason::Network | Reason::Timeout) => (many, Spoilt::Failed),
            Some(_) => (false, Spoilt::Failed),
        };
        for key in keys.iter().filter(|_| apart) {
            let _ = self.set(key, Why::Unclear, now);
        }
        end
    }

    /// It was not answered alone. What may strike everything says nothing of this one.
    pub(super) fn failed(&mut self, key: &K, why: Reason) {
        if why.is_shared() {
            return;
        }
        if let Some(alone) = self.0.get_mut(key) {
            alone.failed = Some(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RemoteKey;

    #[tokio::test(start_paused = true)]
    async fn what_is_denied_in_a_batch_goes_alone_for_an_hour() {
        let now = Instant::now();
        let key = RemoteKey::new("prod/db").unwrap();
        let mut apart = Apart::default();
        assert!(!apart.holds(&key, now));
        assert!(apart.set(&key, Why::Denied, now));
        apart.answered(&key, now);
        assert!(apart.holds(&key, now + Duration::from_mins(59)));
        let later = now + Duration::from_hours(1);
        assert!(!apart.holds(&key, later));
        apart.answered(&key, later);
        assert!(apart.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_unclear_and_is_answered_travels_with_the_others_again() {
        let now = Instant::now();
        let key = RemoteKey::new("prod/db").unwrap();
        let mut apart = Apart::default();
        assert!(apart.set(&key, Why::Unclear, now));
        apart.answered(&key, now);
        assert!(!apart.holds(&key, now));
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_alone_is_not_asked_twice_when_a_batch_refuses_it_again() {
        let now = Instant::now();
        let key = RemoteKey::new("prod/db").unwrap();
        let mut apart = Apart::default();
        assert!(apart.set(&key, Why::Denied, now));
        apart.failed(&key, Reason::AccessDenied);
        assert!(!apart.set(&key, Why::Denied, now + Duration::from_hours(2)));
        apart.answered(&key, now + Duration::from_hours(2));
        assert!(apart.set(&key, Why::Denied, now + Duration::from_hours(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_spoilt_a_batch_goes_alone() {
        let now = Instant::now();
        let held = |reason: Option<Reason>, keys: &[&str]| {
            let mut apart = Apart::default();
            let failure = reason.map(|reason| Failure::new(reason, "x"));
            let end = apart.spoilt(keys, failure.as_ref(), now);
            (end, keys.iter().all(|key| apart.holds(key, now)))
        };
        let many = ["a", "b"];
        assert_eq!(held(None, &many), (Spoilt::Alone, true));
        assert_eq!(held(None, &["a"]), (Spoilt::Alone, true));
        assert_eq!(held(Some(Reason::Malformed), &many), (Spoilt::Alone, true));
        assert_eq!(
            held(Some(Reason::Malformed), &["a"]),
            (Spoilt::Failed, false)
        );
        assert_eq!(held(Some(Reason::Timeout), &many), (Spoilt::Failed, true));
        assert_eq!(
            held(Some(Reason::Throttled), &many),
            (Spoilt::Failed, false)
        );
    }

    /// Bug: after an outage, a secret that is denied in batches and readable alone was not asked alone any more.
    #[tokio::test(start_paused = true)]
    async fn an_outage_is_no_reason_not_to_ask_alone() {
        let now = Instant::now();
        let key = "prod/db";
        let mut apart = Apart::default();
        assert!(apart.set(&key, Why::Denied, now));
        apart.answered(&key, now);
        apart.failed(&key, Reason::Network);
        let later = now + Duration::from_hours(1);
        assert!(!apart.holds(&key, later));
        assert!(apart.set(&key, Why::Denied, later));
    }
}
