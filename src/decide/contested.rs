//! Whether somebody else writes the same target, again and again.
//!
//! Pure, and the same for both kinds of targets. A contested target is not fought over: what is new is written once,
//! what was put there is put back once an hour, until it stays.

use std::time::Duration;

use tokio::time::Instant;

use super::Effect;

/// So many repairs in a short time are a fight.
const FIGHT: usize = 3;

/// No time span of the rule is shorter than this, however short the interval.
const AT_LEAST: Duration = Duration::from_mins(10);

/// Between two repairs of a contested target.
const BETWEEN: Duration = Duration::from_hours(1);

/// The latest repairs of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Repairs {
    /// Oldest first, at most [`FIGHT`].
    times: Vec<Instant>,
    contested: bool,
    /// Since when the target is as we left it, as far as looks tell.
    in_place: Option<Instant>,
}

impl Repairs {
    pub fn is_contested(&self) -> bool {
        self.contested
    }

    /// Whether a verdict with this effect may be carried out now. Only repairs wait: an update is a new source
    /// version, or a new configuration, and after it was written once, writing it again is a repair.
    pub fn may(&self, effect: Effect, now: Instant) -> bool {
        match effect {
            Effect::Unchanged
            | Effect::Created
            | Effect::Updated
            | Effect::Deleted
            | Effect::Away => true,
            Effect::Repaired(_) => self.next_repair().is_none_or(|at| at <= now),
        }
    }

    /// As it was before a restart. Repairs that are long over are no part of a fight that goes on.
    pub fn recalled(times: Vec<Instant>, contested: bool) -> Self {
        let skip = times.len().saturating_sub(FIGHT);
        Self {
            times: times.into_iter().skip(skip).collect(),
            contested,
            in_place: None,
        }
    }

    /// When the target was last put back; oldest first.
    pub fn times(&self) -> &[Instant] {
        &self.times
    }

    /// The time in which so many repairs are a fight.
    pub fn window(interval: Duration) -> Duration {
        interval.saturating_mul(3).max(AT_LEAST)
    }

    /// When a contested target may be repaired again; `None` for any time.
    pub fn next_repair(&self) -> Option<Instant> {
        let last = self.times.last().filter(|_| self.contested);
        last.map(|last| *last + BETWEEN)
    }

    /// What an apply or a look did. The third repair within max(10 min, 3 intervals) makes the target contested; being
    /// in place for max(10 min, interval) ends that.
    pub fn did(&mut self, effect: Effect, now: Instant, interval: Duration) {
        match effect {
            Effect::Unchanged => {
                let since = *self.in_place.get_or_insert(now);
                let stood = now.saturating_duration_since(since) >= interval.max(AT_LEAST);
                if self.contested && stood {
                    self.end();
                }
            }
            Effect::Created | Effect::Updated | Effect::Deleted | Effect::Away => {
                self.in_place = Some(now);
            }
            Effect::Repaired(_) => {
                self.in_place = Some(now);
                self.count(now, interval);
            }
        }
    }

    /// A repair came to nothing, because somebody wrote at the same moment. Whoever is too fast for us fights, too.
    pub fn overtaken(&mut self, now: Instant, interval: Duration) {
        self.in_place = None;
        self.count(now, interval);
    }

    fn count(&mut self, now: Instant, interval: Duration) {
        if self.times.len() == FIGHT {
            self.times.remove(0);
        }
        self.times.push(now);
        self.contested |= self.times.len() == FIGHT
            && now.saturating_duration_since(self.times[0]) <= Self::window(interval);
    }

    /// A look found the target other than we left it.
    pub fn drifted(&mut self) {
        self.in_place = None;
    }

    /// The fight is over: `sync NAME` says so, or a repair stood. The next three repairs are another one.
    pub fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Drift;

    const MINUTE: Duration = Duration::from_mins(1);
    const REPAIR: Effect = Effect::Repaired(Drift::Content);

    fn fought(start: Instant) -> Repairs {
        let mut repairs = Repairs::default();
        for _ in 0..3 {
            repairs.did(REPAIR, start, MINUTE);
        }
        assert!(repairs.is_contested());
        repairs
    }

    #[test]
    fn three_repairs_within_ten_minutes_or_three_intervals_are_a_fight() {
        let start = Instant::now();
        for (interval, window) in [(MINUTE, MINUTE * 10), (MINUTE * 20, MINUTE * 60)] {
            for (third, contested) in [(window, true), (window + MINUTE, false)] {
                let mut repairs = Repairs::default();
                repairs.did(REPAIR, start, interval);
                repairs.did(REPAIR, start + MINUTE, interval);
                assert!(!repairs.is_contested() && repairs.may(REPAIR, start + MINUTE));
                repairs.did(REPAIR, start + third, interval);
                assert_eq!(repairs.is_contested(), contested, "{interval:?} {third:?}");
            }
        }
    }

    #[test]
    fn only_the_latest_three_repairs_count() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        for minutes in [0, 11, 20] {
            repairs.did(REPAIR, start + MINUTE * minutes, MINUTE);
            assert!(!repairs.is_contested());
        }
        repairs.did(REPAIR, start + MINUTE * 21, MINUTE);
        assert!(repairs.is_contested());
    }

    #[test]
    fn new_versions_are_no_repairs_and_are_written_in_a_fight() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        for _ in 0..9 {
            repairs.did(Effect::Updated, start, MINUTE);
        }
        assert!(!repairs.is_contested());
        let repairs = fought(start);
        assert!(repairs.may(Effect::Updated, start) && repairs.may(Effect::Created, start));
        assert!(!repairs.may(REPAIR, start));
    }

    #[test]
    fn a_fight_is_one_repair_an_hour() {
        let start = Instant::now();
        let mut repairs = fought(start);
        let hour = MINUTE * 60;
        assert_eq!(repairs.next_repair(), Some(start + hour));
        assert!(!repairs.may(REPAIR, start + hour - MINUTE));
        assert!(repairs.may(REPAIR, start + hour));
        // A new version does not put off the repair, and the repair does not end the fight.
        repairs.did(Effect::Updated, start + MINUTE, MINUTE);
        assert_eq!(repairs.next_repair(), Some(start + hour));
        repairs.did(REPAIR, start + hour, MINUTE);
        assert!(repairs.is_contested());
        assert_eq!(repairs.next_repair(), Some(start + hour * 2));
    }

    #[test]
    fn a_repair_that_stands_ends_it() {
        let start = Instant::now();
        for (interval, long) in [(MINUTE, MINUTE * 10), (MINUTE * 20, MINUTE * 20)] {
            let mut repairs = fought(start);
            repairs.did(Effect::Unchanged, start + long - MINUTE, interval);
            assert!(repairs.is_contested());
            repairs.did(Effect::Unchanged, start + long, interval);
            assert!(!repairs.is_contested());
            assert_eq!(repairs.next_repair(), None);
        }
    }

    #[test]
    fn what_ended_needs_three_more_repairs_to_begin_anew() {
        let start = Instant::now();
        let mut repairs = fought(start);
        let interval = MINUTE * 20;
        repairs.did(Effect::Unchanged, start + interval, interval);
        for minutes in [21, 22] {
            repairs.did(REPAIR, start + MINUTE * minutes, interval);
            assert!(!repairs.is_contested());
        }
        repairs.did(REPAIR, start + MINUTE * 23, interval);
        assert!(repairs.is_contested());
    }

    #[test]
    fn a_repair_that_was_undone_does_not_stand() {
        let start = Instant::now();
        let mut repairs = fought(start);
        repairs.drifted();
        // Somebody put our content back: it has to stay from then on.
        repairs.did(Effect::Unchanged, start + MINUTE * 30, MINUTE);
        assert!(repairs.is_contested());
        repairs.did(Effect::Unchanged, start + MINUTE * 39, MINUTE);
        assert!(repairs.is_contested());
        repairs.did(Effect::Unchanged, start + MINUTE * 40, MINUTE);
        assert!(!repairs.is_contested());
    }

    #[test]
    fn whoever_is_too_fast_for_us_fights_too() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        repairs.did(REPAIR, start, MINUTE);
        repairs.overtaken(start + MINUTE, MINUTE);
        assert!(!repairs.is_contested());
        repairs.overtaken(start + MINUTE * 2, MINUTE);
        assert!(repairs.is_contested());
        let hour = MINUTE * 62;
        assert!(!repairs.may(REPAIR, start + hour - MINUTE) && repairs.may(REPAIR, start + hour));
    }

    #[test]
    fn sync_ends_it_and_forgets_the_repairs() {
        let start = Instant::now();
        let mut repairs = fought(start);
        repairs.end();
        assert!(repairs.may(REPAIR, start));
        repairs.did(REPAIR, start, MINUTE);
        assert!(!repairs.is_contested());
    }
}
