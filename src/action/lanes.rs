//! Room for actions that run at the same time. Pure.
//!
//! Each is a process and may hang as long as its own timeout, so that one which hangs must not have the place of one which
//! does not. Each kind has its own places. A run that lasts gives its place back after a while and goes on beside. What had
//! to be stopped the last time has a lane of its own: those wait for one another and for nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Action;
use crate::report::ActionKind;

/// So many of a kind run at a time.
const AT_ONCE: usize = 16;
/// Of those that were stopped the last time.
const HUNG: usize = 8;
/// With those that have lasted: more would be no better off with a process each.
const MOST: usize = 256;
/// How long a run has its place.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is under way.
#[derive(Debug, Default)]
pub struct Lanes {
    running: BTreeMap<Action, Run>,
    hung: BTreeSet<Action>,
}

#[derive(Debug)]
struct Run {
    lane: Lane,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Usual(ActionKind),
    Hung(ActionKind),
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    ByItself,
    /// It was stopped.
    TooLate,
}

/// Which lanes have room.
#[derive(Debug)]
pub struct Room<'a> {
    lanes: &'a Lanes,
    full: BTreeSet<Lane>,
}

impl Lanes {
    pub fn room(&self, now: Instant) -> Room<'_> {
        let mut count = BTreeMap::<Lane, (usize, usize)>::new();
        for run in self.running.values() {
            let (quick, all) = count.entry(run.lane).or_default();
            *quick += usize::from(run.since + PATIENCE > now);
            *all += 1;
        }
        let full = count.into_iter().filter(|(lane, (quick, all))| match lane {
            Lane::Usual(_) => *quick >= AT_ONCE || *all >= MOST,
            Lane::Hung(_) => *all >= HUNG,
        });
        Room {
            lanes: self,
            full: full.map(|(lane, _)| lane).collect(),
        }
    }

    /// When the next one of those under way gives its place back, if it does not end before.
    pub fn frees_at(&self, now: Instant) -> Option<Instant> {
        let usual = self.running.values();
        let usual = usual.filter(|run| matches!(run.lane, Lane::Usual(_)));
        let ends = usual.map(|run| run.since + PATIENCE);
        ends.filter(|end| *end > now).min()
    }

    pub fn began(&mut self, action: &Action, now: Instant) {
        let run = Run {
            lane: self.lane(action),
            since: now,
        };
        self.running.insert(action.clone(), run);
    }

    pub fn ended(&mut self, action: &Action, ended: Ended) {
        self.running.remove(action);
        match ended {
            Ended::ByItself => {
                self.hung.remove(action);
            }
            Ended::TooLate => {
                self.hung.insert(action.clone());
            }
        }
    }

    /// Nobody waits for it any more.
    pub fn forget(&mut self, action: &Action) {
        self.hung.remove(action);
    }

    fn lane(&self, action: &Action) -> Lane {
        if self.hung.contains(action) {
            Lane::Hung(action.kind())
        } else {
            Lane::Usual(action.kind())
        }
    }
}

impl Room<'_> {
    pub fn is_for(&self, action: &Action) -> bool {
        !self.full.contains(&self.lanes.lane(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::UnitName;

    fn action(verb: fn(UnitName) -> Action, number: usize) -> Action {
        verb(UnitName::new(format!("u{number}.service")).unwrap())
    }

    fn reload(number: usize) -> Action {
        action(Action::ReloadUnit, number)
    }

    fn fill(lanes: &mut Lanes, numbers: std::ops::Range<usize>, now: Instant) {
        for action in numbers.map(reload) {
            assert!(lanes.room(now).is_for(&action));
            lanes.began(&action, now);
        }
    }

    #[test]
    fn those_that_last_keep_the_next_ones_for_a_moment_only() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        assert_eq!(lanes.frees_at(start), None);
        fill(&mut lanes, 0..AT_ONCE, start);
        assert!(!lanes.room(start).is_for(&reload(99)));
        assert_eq!(lanes.frees_at(start), Some(start + PATIENCE));
        let later = start + PATIENCE;
        assert!(lanes.room(later).is_for(&reload(99)));
        assert_eq!(lanes.frees_at(later), None);
        fill(&mut lanes, AT_ONCE..2 * AT_ONCE, later);
        assert!(!lanes.room(later).is_for(&reload(99)));
        lanes.ended(&reload(AT_ONCE), Ended::ByItself);
        assert!(lanes.room(later).is_for(&reload(99)));
    }

    #[test]
    fn no_kind_takes_the_place_of_another() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        fill(&mut lanes, 0..AT_ONCE, start);
        let room = lanes.room(start);
        assert!(!room.is_for(&reload(99)));
        assert!(room.is_for(&action(Action::RestartUnit, 99)));
    }

    #[test]
    fn what_was_stopped_waits_for_its_like_and_takes_nobody_elses_place() {
        let (mut lanes, start) = (Lanes::default(), Instant::now());
        for hung in (0..=HUNG).map(reload) {
            lanes.began(&hung, start);
            lanes.ended(&hung, Ended::TooLate);
        }
        fill(&mut lanes, 0..HUNG, start);
        let later = start + PATIENCE * 9;
        assert!(!lanes.room(later).is_for(&reload(HUNG)));
        assert_eq!(lanes.frees_at(start), None);
        fill(&mut lanes, 100..100 + AT_ONCE, later);
        lanes.ended(&reload(0), Ended::ByItself);
        assert!(lanes.room(later).is_for(&reload(HUNG)));
        assert!(
            !lanes.room(later).is_for(&reload(0)),
            "it is like any other"
        );
        lanes.forget(&reload(HUNG));
        assert!(!lanes.room(later).is_for(&reload(HUNG)), "so is this");
    }

    #[test]
    fn there_is_an_end_to_those_that_last() {
        let (mut lanes, mut now) = (Lanes::default(), Instant::now());
        for round in 0..MOST / AT_ONCE {
            fill(&mut lanes, round * AT_ONCE..(round + 1) * AT_ONCE, now);
            now += PATIENCE;
        }
        assert!(!lanes.room(now).is_for(&reload(MOST)));
    }
}
