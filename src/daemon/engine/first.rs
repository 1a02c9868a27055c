//! The first pass: everything is tried once after a start, in portions. Thousands of runs at a time would be done no
//! sooner, for stores and clusters take only so many calls, and what they need together would stay with the daemon.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::names::EntryName;

/// So many entries begin together. A read that others of another portion share is made once more.
const PORTION: usize = 500;

/// When no more of a portion are left, the next one begins.
const FEW: usize = PORTION / 2;

/// The longest that a portion keeps the next one waiting: what hangs is its own trouble.
const LONGEST: Duration = Duration::from_secs(3);

/// What has not begun yet.
#[derive(Debug)]
pub(super) struct First {
    /// The last ones begin first.
    waiting: Vec<EntryName>,
    /// When a portion last began.
    began: Option<Instant>,
}

impl First {
    pub(super) fn none() -> Self {
        Self::of(Vec::new())
    }

    fn of(mut all: Vec<EntryName>) -> Self {
        all.reverse();
        Self {
            waiting: all,
            began: None,
        }
    }

    /// Who begins now; `untried`: how many there are that were not tried yet, those that wait here among them.
    fn next(&mut self, untried: usize, now: Instant) -> Vec<EntryName> {
        let under_way = untried.saturating_sub(self.waiting.len());
        let is_late = self.began.is_some_and(|began| now - began >= LONGEST);
        if self.began.is_some() && under_way > FEW && !is_late {
            return Vec::new();
        }
        self.began = Some(now);
        let rest = self.waiting.len().saturating_sub(PORTION);
        let mut next = if rest == 0 {
            mem::take(&mut self.waiting)
        } else {
            self.waiting.split_off(rest)
        };
        next.reverse();
        next
    }
}

impl Engine {
    /// Everything that nothing is known of runs; the reads of a portion meet at the desk. Of the rest, files are looked
    /// at: after a reboot, what lay in memory is gone.
    pub(super) fn start_first_pass(&mut self) {
        let mut names: Vec<EntryName> = self.entries.keys().cloned().collect();
        for name in &names {
            self.settle(name);
        }
        // Those that share a read are neighbours.
        names.sort_by_cached_key(|name| {
            let entry = self.entries.get(name)?;
            entry.reads().next().cloned()
        });
        self.first = First::of(names);
        self.begin_next();
        self.recall_actions();
        self.look_at_cut_short();
        self.sweep_left();
        self.recall_restarts();
        self.mark_ready();
    }

    /// Goes on with the first pass, where it is time to. The loop comes by here each time round.
    pub(super) fn begin_next(&mut self) {
        loop {
            let names = self.first.next(self.untried.len(), Instant::now());
            if names.is_empty() {
                return;
            }
            for name in names {
                // Somebody may have asked for it meanwhile, or it has gone.
                if self.untried.contains(&name) {
                    self.begin(&name);
                    self.settle(&name);
                }
            }
            self.mark_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<EntryName> {
        let name = |number| EntryName::new(format!("e{number:04}")).unwrap();
        (0..count).map(name).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_portion_begins_when_few_of_the_last_one_are_left() {
        let (all, now) = (names(PORTION * 5 / 2), Instant::now());
        let (waits, rest) = (PORTION * 3 / 2, PORTION / 2);
        let mut first = First::of(all.clone());
        assert_eq!(first.next(all.len(), now), all[..PORTION]);
        assert_eq!(first.next(waits + FEW + 1, now), []);
        assert_eq!(first.next(waits + FEW, now), all[PORTION..PORTION * 2]);
        assert_eq!(first.next(rest, now), all[PORTION * 2..]);
        assert_eq!(first.next(0, now), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_portion_that_hangs_does_not_keep_the_next_one() {
        let (all, now) = (names(PORTION * 3), Instant::now());
        let mut first = First::of(all.clone());
        assert_eq!(first.next(all.len(), now).len(), PORTION);
        assert_eq!(first.next(all.len(), now + LONGEST / 2), []);
        let later = now + LONGEST;
        assert_eq!(first.next(all.len(), later), all[PORTION..PORTION * 2]);
        assert_eq!(first.next(all.len(), later), []);
    }
}
