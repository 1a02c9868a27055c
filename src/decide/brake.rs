//! The brake: no fault, mistake or mischief upstream removes more than a few targets in an hour.
//!
//! Pure. Every removal asks first, whatever its proof: a target that goes, keys that go by policy, an orphan that
//! `daemon.prune` or `prune --apply` without names would remove.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Removals count this long.
const WINDOW: Duration = Duration::from_hours(1);

/// So many are never held.
const ALWAYS: usize = 3;

/// One in so many targets is never held: 20 %.
const ONE_IN: usize = 5;

/// What was removed lately, and what is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Brake<Id> {
    /// When something was last removed from a target, or the target itself. Each counts once, however often.
    removed: BTreeMap<Id, Instant>,
    held: BTreeMap<Id, Hold>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Hold {
    Held,
    /// By a person, at that time. Unused for long, it is held again: the person looked at what was the case then.
    Released(Instant),
}

impl Hold {
    fn is_released(self, now: Instant) -> bool {
        match self {
            Self::Held => false,
            Self::Released(at) => is_recent(at, now),
        }
    }
}

/// The answer to a request to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Answer<Id> {
    /// May go. Counted from now on, whether or not the removal then succeeds.
    pub allowed: Vec<Id>,
    /// Stays as it is.
    pub held: Vec<Id>,
}

impl<Id: Ord + Clone> Brake<Id> {
    pub fn new() -> Self {
        Self {
            removed: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// What was known before a restart: removals with their times by a clock that nobody sets, and what is held.
    pub fn recalled(
        removed: impl IntoIterator<Item = (Id, Instant)>,
        held: impl IntoIterator<Item = Id>,
    ) -> Self {
        Self {
            removed: removed.into_iter().collect(),
            held: held.into_iter().map(|id| (id, Hold::Held)).collect(),
        }
    }

    /// What was removed lately, and when.
    pub fn removed(&self) -> impl Iterator<Item = (&Id, Instant)> {
        self.removed.iter().map(|(id, at)| (id, *at))
    }

    /// Asks to remove from these targets, the first first. `targets` is how many there are of all entries.
    ///
    /// Once held, a target stays held after the hour is over, until [`Self::release`] or [`Self::withdraw`]. What a
    /// person released counts like any other removal.
    pub fn ask(
        &mut self,
        targets: usize,
        wanted: impl IntoIterator<Item = Id>,
        now: Instant,
    ) -> Answer<Id> {
        self.removed.retain(|_, at| is_recent(*at, now));
        let bound = ALWAYS.max(targets / ONE_IN);
        let mut answer = Answer {
            allowed: Vec::new(),
            held: Vec::new(),
        };
        for id in wanted {
            let counted = self.removed.contains_key(&id);
            let may = match self.held.get(&id) {
                Some(hold) => hold.is_released(now),
                None => counted || self.removed.len() < bound,
            };
            if may {
                self.held.remove(&id);
                self.removed.insert(id.clone(), now);
                answer.allowed.push(id);
            } else {
                self.held.insert(id.clone(), Hold::Held);
                answer.held.push(id);
            }
        }
        answer
    }

    /// `prune --apply NAME`: what is held under that name may go when it asks within an hour. Returns what was held.
    pub fn release(&mut self, is_named: impl Fn(&Id) -> bool, now: Instant) -> Vec<Id> {
        let named = self.held.iter_mut().filter(|(id, _)| is_named(id));
        named
            .map(|(id, hold)| {
                *hold = Hold::Released(now);
                id.clone()
            })
            .collect()
    }

    /// What a person released and that did not go yet, and when.
    pub fn released(&self, now: Instant) -> impl Iterator<Item = (&Id, Instant)> {
        self.held.iter().filter_map(move |(id, hold)| match hold {
            Hold::Released(at) if is_recent(*at, now) => Some((id, *at)),
            Hold::Released(_) | Hold::Held => None,
        })
    }

    /// None of these may go, though they did not ask one by one.
    pub fn hold(&mut self, ids: impl IntoIterator<Item = Id>) {
        for id in ids {
            self.held.entry(id).or_insert(Hold::Held);
        }
    }

    /// Whether one of these is known to be held, or to have been released.
    pub fn knows_any(&self, is_it: impl Fn(&Id) -> bool) -> bool {
        self.held.keys().any(is_it)
    }

    /// The source is back: nothing is to be removed from the target any more. A later removal asks anew.
    pub fn withdraw(&mut self, id: &Id) {
        self.held.remove(id);
    }

    /// What is held now, for `/status` and `deletions_held`.
    pub fn held(&self, now: Instant) -> impl Iterator<Item = &Id> {
        let held = self.held.iter();
        held.filter(move |(_, hold)| !hold.is_released(now))
            .map(|(id, _)| id)
    }
}

impl<Id: Ord + Clone> Default for Brake<Id> {
    fn default() -> Self {
        Self::new()
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn answer(allowed: &[u8], held: &[u8]) -> Answer<u8> {
        Answer {
            allowed: allowed.to_vec(),
            held: held.to_vec(),
        }
    }

    fn held(brake: &Brake<u8>, now: Instant) -> Vec<u8> {
        brake.held(now).copied().collect()
    }

    #[test]
    fn three_or_a_fifth_of_all_targets_go_and_the_rest_is_held() {
        // All targets, and how many of nine may go.
        for (targets, may) in [(0, 3), (9, 3), (19, 3), (20, 4), (24, 4), (25, 5), (45, 9)] {
            let now = Instant::now();
            let mut brake = Brake::new();
            let answer = brake.ask(targets, 0..9_u8, now);
            assert_eq!(answer.allowed, (0..may).collect::<Vec<u8>>(), "{targets}");
            assert_eq!(answer.held, (may..9).collect::<Vec<u8>>(), "{targets}");
            assert_eq!(held(&brake, now), answer.held);
        }
    }

    #[test]
    fn an_hour_later_others_may_go_but_what_is_held_stays_held() {
        let start = Instant::now();
        let mut brake = Brake::new();
        assert_eq!(brake.ask(4, 0..4, start), answer(&[0, 1, 2], &[3]));
        let early = start + MINUTE * 60 - Duration::from_nanos(1);
        assert_eq!(brake.ask(9, [4], early), answer(&[], &[4]));
        let later = start + MINUTE * 60;
        assert_eq!(brake.ask(9, [5, 3, 4, 6], later), answer(&[5, 6], &[3, 4]));
        assert_eq!(held(&brake, later), [3, 4]);
    }

    #[test]
    fn a_target_counts_once_and_as_long_as_something_of_it_was_removed_within_the_hour() {
        let start = Instant::now();
        let mut brake = Brake::new();
        assert_eq!(brake.ask(9, [0, 0, 1], start), answer(&[0, 0, 1], &[]));
        let later = start + MINUTE * 50;
        assert_eq!(brake.ask(9, [0, 2], later), answer(&[0, 2], &[]));
        assert_eq!(brake.ask(9, [3, 0], later), answer(&[0], &[3]));
        // `1` no longer counts, `0` does.
        let after = start + MINUTE * 60;
        assert_eq!(brake.ask(9, [4, 5], after), answer(&[4], &[5]));
    }

    #[test]
    fn a_person_releases_what_is_held_for_an_hour() {
        let start = Instant::now();
        let mut brake = Brake::new();
        let _ = brake.ask(9, 0..6, start);
        assert_eq!(brake.release(|id| *id == 4 || *id == 1, start), [4]);
        assert_eq!(held(&brake, start), [3, 5]);
        assert_eq!(brake.ask(9, [3, 4], start), answer(&[4], &[3]));
        // Tried again within the hour, the same removal goes on.
        assert_eq!(brake.ask(9, [4], start + MINUTE), answer(&[4], &[]));
        assert_eq!(brake.release(|id| *id == 5, start), [5]);
        let late = start + MINUTE * 60;
        assert_eq!(held(&brake, late), [3, 5]);
        assert_eq!(brake.ask(9, [5], late), answer(&[], &[5]));
    }

    #[test]
    fn what_is_back_is_no_longer_held_and_asks_anew() {
        let start = Instant::now();
        let mut brake = Brake::new();
        let _ = brake.ask(9, 0..4, start);
        brake.withdraw(&3);
        assert!(held(&brake, start).is_empty());
        assert_eq!(brake.ask(9, [3], start), answer(&[], &[3]));
        brake.release(|_| true, start);
        brake.withdraw(&3);
        assert_eq!(brake.ask(9, [3], start), answer(&[], &[3]));
    }
}
