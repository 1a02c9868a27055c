//! Which secrets batches do not answer, and until when. Pure: told the time.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::names::RemoteKey;

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
    /// It was not answered alone either.
    failed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Apart(HashMap<RemoteKey, Alone>);

impl Apart {
    /// Whether it goes alone now.
    pub(super) fn holds(&self, key: &RemoteKey, now: Instant) -> bool {
        self.0.get(key).is_some_and(|alone| now < alone.until)
    }

    /// A batch did not answer it. True when it is to be asked alone; false when that has failed before, so that one
    /// call says as much as two.
    pub(super) fn set(&mut self, key: &RemoteKey, why: Why, now: Instant) -> bool {
        let failed = self.0.get(key).is_some_and(|alone| alone.failed);
        let alone = Alone {
            why,
            until: now + TOGETHER_AGAIN,
            failed,
        };
        self.0.insert(key.clone(), alone);
        !failed
    }

    /// It was answered, alone or in a batch.
    pub(super) fn answered(&mut self, key: &RemoteKey, now: Instant) {
        let stays = |alone: &Alone| alone.why == Why::Denied && now < alone.until;
        if let Some(alone) = self.0.get_mut(key) {
            if stays(alone) {
                alone.failed = false;
            } else {
                self.0.remove(key);
            }
        }
    }

    /// It was not answered alone.
    pub(super) fn failed(&mut self, key: &RemoteKey) {
        if let Some(alone) = self.0.get_mut(key) {
            alone.failed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_denied_in_a_batch_goes_alone_for_an_hour() {
        let now = Instant::now();
        let key = RemoteKey::new("prod/db").unwrap();
        let mut apart = Apart::default();
        assert!(!apart.holds(&key, now));
        assert!(apart.set(&key, Why::Denied, now));
        apart.answered(&key, now);
        assert!(apart.holds(&key, now + Duration::from_mins(59)));
        let later = now + Duration::from_mins(60);
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
        apart.failed(&key);
        assert!(!apart.set(&key, Why::Denied, now + Duration::from_hours(2)));
        apart.answered(&key, now + Duration::from_hours(2));
        assert!(apart.set(&key, Why::Denied, now + Duration::from_hours(4)));
    }
}
