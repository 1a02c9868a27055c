//! One upstream read for everybody who wants it at the same time.
//!
//! Pure bookkeeping of who waits for what; whoever owns it makes the call.

use std::collections::HashMap;
use std::hash::Hash;

/// Room for so many calls more than there are is kept.
const SPARE: usize = 256;

/// What the caller has to do after joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Joined {
    /// Nobody is asking yet: start the call.
    First,
    /// A call is under way; its answer will serve this one too.
    Waiting,
}

/// Calls under way by what they ask, with everybody who waits for the answer.
#[derive(Debug)]
pub struct Coalesce<K, W> {
    under_way: HashMap<K, Vec<W>>,
}

impl<K, W> Default for Coalesce<K, W> {
    fn default() -> Self {
        Self {
            under_way: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash + Clone, W> Coalesce<K, W> {
    /// Wants `key`. `waiter` is absent where only the answer's side effects matter (a routine read).
    pub fn join(&mut self, key: &K, waiter: Option<W>) -> Joined {
        let (joined, waiters) = match self.under_way.get_mut(key) {
            Some(waiters) => (Joined::Waiting, waiters),
            None => (
                Joined::First,
                self.under_way.entry(key.clone()).or_default(),
            ),
        };
        waiters.extend(waiter);
        joined
    }

    /// The call for `key` ended: everybody who waits for it.
    pub fn finish(&mut self, key: &K) -> Vec<W> {
        self.under_way.remove(key).unwrap_or_default()
    }

    /// Keeps no more room than it may need soon: where much was wanted at once, little is later.
    pub fn give_back(&mut self) {
        let enough = self.under_way.len() + SPARE;
        self.under_way.shrink_to(enough);
    }

    pub fn is_under_way(&self, key: &K) -> bool {
        self.under_way.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_that_want_the_same_share_one_call() {
        let mut reads = Coalesce::default();
        assert_eq!(reads.join(&"db", Some(0)), Joined::First);
        for waiter in 1..20 {
            assert_eq!(reads.join(&"db", Some(waiter)), Joined::Waiting);
        }
        assert_eq!(reads.join(&"other", Some(99)), Joined::First);
        assert_eq!(reads.finish(&"db"), (0..20).collect::<Vec<_>>());
        assert!(!reads.is_under_way(&"db"));
        assert_eq!(reads.join(&"db", None), Joined::First);
        assert!(reads.finish(&"db").is_empty());
    }
}
