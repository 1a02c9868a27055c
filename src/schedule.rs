//! When what is due. Over opaque ids: nothing here knows what a secret is.
//!
//! Pure: it is told the time and returns what is due; whoever owns it sleeps.

pub mod backoff;
pub mod cohorts;
pub mod line;
pub mod pace;
pub mod pause;
pub mod rate;
pub mod rhythm;

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use tokio::time::Instant;

/// Due times by id; an id is due at most once at a time.
#[derive(Debug)]
pub struct Schedule<Id> {
    in_order: BTreeSet<(Instant, Id)>,
    at: HashMap<Id, Instant>,
}

impl<Id> Default for Schedule<Id> {
    fn default() -> Self {
        Self {
            in_order: BTreeSet::new(),
            at: HashMap::new(),
        }
    }
}

impl<Id: Clone + Ord + Hash> Schedule<Id> {
    /// `id` is due at `at`, and no longer at any other time.
    pub fn set(&mut self, id: Id, at: Instant) {
        if let Some(before) = self.at.insert(id.clone(), at) {
            self.in_order.remove(&(before, id.clone()));
        }
        self.in_order.insert((at, id));
    }

    pub fn cancel(&mut self, id: &Id) {
        if let Some(at) = self.at.remove(id) {
            self.in_order.remove(&(at, id.clone()));
        }
    }

    /// When `id` is due.
    pub fn at(&self, id: &Id) -> Option<Instant> {
        self.at.get(id).copied()
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Takes out everything due by `now`, earliest first, each with the time it was due.
    pub fn take_due(&mut self, now: Instant) -> Vec<(Instant, Id)> {
        let mut due = Vec::new();
        while self.in_order.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((at, id)) = self.in_order.pop_first() {
                self.at.remove(&id);
                due.push((at, id));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn an_id_is_due_once_at_its_latest_setting() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        schedule.set("a", after(10));
        schedule.set("b", after(5));
        schedule.set("a", after(2));
        assert_eq!(schedule.next(), Some(after(2)));
        assert_eq!(schedule.take_due(after(1)), []);
        assert_eq!(
            schedule.take_due(after(7)),
            [(after(2), "a"), (after(5), "b")]
        );
        assert_eq!(schedule.next(), None);
        schedule.set("a", after(9));
        schedule.cancel(&"a");
        assert_eq!(schedule.take_due(after(99)), []);
    }
}
