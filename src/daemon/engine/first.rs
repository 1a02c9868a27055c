//! The first pass: everything is tried once after a start, in portions. Thousands of runs at a time would be done no
//! sooner, for stores and clusters take only so many calls, and what they need together would stay with the daemon.

use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::names::EntryName;

/// So many entries begin together, and with them all that share their first read: that is made once for all of them.
const PORTION: usize = 200;

/// When no more than that are under way, the next portion begins: enough that stores, disks and clusters are kept busy.
const FEW: usize = 2 * PORTION;

/// The longest that a portion keeps the next one waiting: what hangs is its own trouble.
const LONGEST: Duration = Duration::from_secs(2);

/// What has not begun yet.
#[derive(Debug)]
pub(super) struct First {
    /// Those of a group share their first read. The last ones begin first.
    waiting: Vec<Vec<EntryName>>,
    /// How many are in all of those.
    left: usize,
    /// How many begin next; twice as many each time that something hangs, or thousands that do would hold up everything
    /// behind them.
    portion: usize,
    /// When a portion last began.
    began: Option<Instant>,
    /// How many are under way that nobody waits for any more.
    hanging: usize,
}

impl First {
    pub(super) fn none() -> Self {
        Self::of(Vec::new())
    }

    fn of(mut groups: Vec<Vec<EntryName>>) -> Self {
        groups.reverse();
        Self {
            left: groups.iter().map(Vec::len).sum(),
            waiting: groups,
            portion: PORTION,
            began: None,
            hanging: 0,
        }
    }

    /// Who begins now; `untried`: how many there are that were not tried yet, those that wait here among them.
    fn next(&mut self, untried: usize, now: Instant) -> Vec<EntryName> {
        let under_way = untried.saturating_sub(self.left);
        self.hanging = self.hanging.min(under_way);
        if let Some(began) = self.began
            && under_way - self.hanging > FEW
        {
            if now - began < LONGEST {
                return Vec::new();
            }
            self.hanging = under_way;
            self.portion = self.portion.saturating_mul(2);
        }
        self.began = Some(now);
        let mut next = Vec::new();
        while next.len() < self.portion
            && let Some(group) = self.waiting.pop()
        {
            next.extend(group);
        }
        self.left -= next.len();
        if self.left == 0 {
            self.waiting = Vec::new();
        }
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
        let read = |name: &EntryName| self.entries.get(name)?.reads().next().cloned();
        names.sort_by_cached_key(read);
        let groups = names.chunk_by(|one, next| read(one) == read(next));
        self.first = First::of(groups.map(<[EntryName]>::to_vec).collect());
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

    /// Each has a read of its own.
    fn apart(all: &[EntryName]) -> First {
        First::of(all.chunks(1).map(<[EntryName]>::to_vec).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_share_a_read_begin_together() {
        let all = names(PORTION * 3);
        let (alone, shared) = all.split_at(PORTION - 1);
        let mut groups: Vec<_> = alone.chunks(1).map(<[EntryName]>::to_vec).collect();
        groups.push(shared.to_vec());
        assert_eq!(First::of(groups).next(all.len(), Instant::now()), all);
    }

    #[tokio::test(start_paused = true)]
    async fn a_portion_begins_when_few_are_under_way() {
        let (all, now) = (names(PORTION * 6), Instant::now());
        let mut first = apart(&all);
        for portion in all.chunks(PORTION).take(3) {
            assert_eq!(first.next(all.len(), now), portion);
        }
        assert_eq!(first.next(all.len(), now), []);
        assert_eq!(first.next(all.len() - PORTION + 1, now), []);
        let next = first.next(all.len() - PORTION, now);
        assert_eq!(next, all[PORTION * 3..PORTION * 4]);
        assert_eq!(first.next(PORTION * 2, now), all[PORTION * 4..PORTION * 5]);
        assert_eq!(first.next(PORTION, now), all[PORTION * 5..]);
        assert_eq!(first.next(0, now), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_keeps_the_next_ones_for_a_while_and_the_others_for_none() {
        let (all, now) = (names(PORTION * 8), Instant::now());
        let mut first = apart(&all);
        for _ in 0..3 {
            assert_eq!(first.next(all.len(), now).len(), PORTION);
        }
        assert_eq!(first.next(all.len(), now + LONGEST / 2), []);
        let later = now + LONGEST;
        let next = first.next(all.len(), later);
        assert_eq!(next, all[PORTION * 3..PORTION * 5], "twice as many");
        // Those three hang on, and nobody waits for them.
        assert_eq!(first.next(all.len(), later), all[PORTION * 5..PORTION * 7]);
        assert_eq!(first.next(all.len(), later), []);
        let rest = first.next(all.len() - 2 * PORTION, later);
        assert_eq!(rest, all[PORTION * 7..]);
    }
}
