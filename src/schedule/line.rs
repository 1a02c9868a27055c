//! Who waits to leave next: what is wanted now before what is routine, in groups as large as one call takes. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// How long the first of a group waits for others: runs that start together ask within this.
const GATHER: Duration = Duration::from_millis(10);

/// Room for so many more than wait is kept.
const SPARE: usize = 256;

/// How soon something is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    Routine,
    /// Somebody waits for it.
    Now,
}

#[derive(Debug)]
pub struct Line<T> {
    now: VecDeque<T>,
    routine: VecDeque<T>,
    /// Who waits, and since when the oldest may have.
    waiting: HashMap<T, Urgency>,
    since: Option<Instant>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            now: VecDeque::new(),
            routine: VecDeque::new(),
            waiting: HashMap::new(),
            since: None,
        }
    }
}

impl<T: Clone + Eq + Hash> Line<T> {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Joins the line; who is in it already may only come further to the front.
    pub fn push(&mut self, what: T, urgency: Urgency, now: Instant) {
        if self
            .waiting
            .get(&what)
            .is_some_and(|known| *known >= urgency)
        {
            return;
        }
        self.since.get_or_insert(now);
        self.waiting.insert(what.clone(), urgency);
        match urgency {
            Urgency::Now => self.now.push_back(what),
            Urgency::Routine => self.routine.push_back(what),
        }
    }

    /// Keeps no more room than it may need soon: where many waited at once, few do later.
    pub fn give_back(&mut self) {
        let enough = self.waiting.len() + SPARE;
        self.now.shrink_to(enough);
        self.routine.shrink_to(enough);
        self.waiting.shrink_to(enough);
    }

    /// When the next group may leave, as far as the line has a say: at once where it is full.
    pub fn ready(&self, size: usize) -> Option<Instant> {
        let since = self.since.filter(|_| !self.is_empty())?;
        Some(if self.waiting.len() >= size {
            since
        } else {
            since + GATHER
        })
    }

    /// Whether somebody waits for one of the next group.
    pub fn urgency(&self) -> Urgency {
        let pressing = |urgency: &Urgency| *urgency == Urgency::Now;
        if self.waiting.values().any(pressing) {
            Urgency::Now
        } else {
            Urgency::Routine
        }
    }

    /// The next group, at most `size`. Those left behind have waited long enough already.
    pub fn take(&mut self, size: usize) -> Vec<T> {
        let mut group = Vec::new();
        while group.len() < size {
            let (next, urgency) = if let Some(next) = self.now.pop_front() {
                (next, Urgency::Now)
            } else if let Some(next) = self.routine.pop_front() {
                (next, Urgency::Routine)
            } else {
                break;
            };
            // Who came further to the front stands in its old place, too.
            if self.waiting.get(&next) == Some(&urgency) {
                self.waiting.remove(&next);
                group.push(next);
            }
        }
        if self.is_empty() {
            self.since = None;
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_somebody_waits_for_leaves_first_and_a_full_group_at_once() {
        let start = Instant::now();
        let mut line = Line::default();
        assert_eq!(line.ready(3), None);
        for routine in [1, 2, 3] {
            line.push(routine, Urgency::Routine, start);
        }
        assert_eq!(line.ready(3), Some(start));
        assert_eq!(line.ready(4), Some(start + GATHER));
        assert_eq!(line.urgency(), Urgency::Routine);
        line.push(9, Urgency::Now, start);
        line.push(3, Urgency::Now, start);
        assert_eq!(line.urgency(), Urgency::Now);
        assert_eq!(line.take(3), [9, 3, 1]);
        assert_eq!(line.urgency(), Urgency::Routine);
        assert_eq!(line.take(3), [2]);
        assert!(line.is_empty() && line.ready(1).is_none());
        line.push(3, Urgency::Routine, start);
        assert_eq!(line.take(3), [3]);
    }
}
