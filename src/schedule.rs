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
use std::time::Duration;

use tokio::time::Instant;

/// Due times by id; an id is due at most once at a time.
#[derive(Debug)]
pub struct Schedule<Id> {
    in_order: BTreeSet<(Moment, Id)>,
    at: HashMap<Id, Moment>,
    /// The first time that anything was set to.
    origin: Option<Instant>,
}

/// Nanoseconds from the origin on, or before it: half of what an [`Instant`] takes, and each of thousands of entries has
/// several. Some three hundred years away it ends, and what is later is due then.
type Moment = i64;

impl<Id> Default for Schedule<Id> {
    fn default() -> Self {
        Self {
            in_order: BTreeSet::new(),
            at: HashMap::new(),
            origin: None,
        }
    }
}

impl<Id: Clone + Ord + Hash> Schedule<Id> {
    /// `id` is due at `at`, and no longer at any other time.
    pub fn set(&mut self, id: Id, at: Instant) {
        let origin = *self.origin.get_or_insert(at);
        let at = moment(origin, at);
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
        Some(instant(self.origin?, *self.at.get(id)?))
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        let (at, _) = self.in_order.first()?;
        Some(instant(self.origin?, *at))
    }

    /// Takes out everything due by `now`, earliest first, each with the time it was due.
    pub fn take_due(&mut self, now: Instant) -> Vec<(Instant, Id)> {
        let mut due = Vec::new();
        let Some(origin) = self.origin else {
            return due;
        };
        let now = moment(origin, now);
        while self.in_order.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((at, id)) = self.in_order.pop_first() {
                self.at.remove(&id);
                due.push((instant(origin, at), id));
            }
        }
        due
    }
}

fn moment(origin: Instant, at: Instant) -> Moment {
    let nanos = |long: Duration| i64::try_from(long.as_nanos()).unwrap_or(i64::MAX);
    match at.checked_duration_since(origin) {
        Some(after) => nanos(after),
        None => -nanos(origin - at),
    }
}

fn instant(origin: Instant, at: Moment) -> Instant {
    let long = Duration::from_nanos(at.unsigned_abs());
    if at < 0 { origin - long } else { origin + long }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test(start_paused = true)]
    async fn times_before_the_first_one_and_to_the_nanosecond_are_kept() {
        let first = Instant::now() + Duration::from_secs(100);
        let times = [
            first,
            first - Duration::from_secs(90),
            first + Duration::from_nanos(1),
        ];
        let mut schedule = Schedule::default();
        for (id, at) in times.into_iter().enumerate() {
            schedule.set(id, at);
            assert_eq!(schedule.at(&id), Some(at));
        }
        assert_eq!(schedule.next(), Some(times[1]));
        assert_eq!(schedule.take_due(first), [(times[1], 1), (times[0], 0)]);
        assert_eq!(schedule.next(), Some(times[2]));
    }
}
