//! What comes round together: members of one kind and interval, in groups that fill one call. Pure.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use super::rhythm::{JITTER, Rhythm};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CohortId(u64);

#[derive(Debug)]
struct Cohort<K, T> {
    kind: (K, Duration),
    place: u32,
    rhythm: Rhythm,
    members: Vec<T>,
    size: usize,
}

/// All cohorts. `K`: what members must have in common besides the interval.
#[derive(Debug)]
pub struct Cohorts<K, T> {
    start: Instant,
    /// How old the grid was at `start`: places keep their times over restarts.
    age: Duration,
    by_id: BTreeMap<CohortId, Cohort<K, T>>,
    of: HashMap<T, CohortId>,
    /// Cohorts of one kind that have room.
    open: BTreeMap<(K, Duration), Vec<CohortId>>,
    /// How many cohorts of one kind there are, and how many places were given out.
    count: BTreeMap<(K, Duration), (u32, u32)>,
    at: BTreeMap<((K, Duration), u32), CohortId>,
    next: u64,
}

impl<K: Clone + Ord, T: Clone + Eq + Hash> Cohorts<K, T> {
    pub fn new(start: Instant) -> Self {
        Self::aged(start, Duration::ZERO)
    }

    /// The same, of a grid that began `age` before `start`.
    pub fn aged(start: Instant, age: Duration) -> Self {
        Self {
            start,
            age,
            by_id: BTreeMap::new(),
            of: HashMap::new(),
            open: BTreeMap::new(),
            count: BTreeMap::new(),
            at: BTreeMap::new(),
            next: 0,
        }
    }

    /// Puts it into a cohort of its kind with room for at most `size`. Returns the cohort where it is a new one.
    pub fn join(
        &mut self,
        member: T,
        kind: K,
        interval: Duration,
        size: usize,
    ) -> Option<CohortId> {
        self.leave(&member);
        let kind = (kind, interval);
        let open = self.open.entry(kind.clone()).or_default();
        if let Some(id) = open.last().copied()
            && let Some(cohort) = self.by_id.get_mut(&id)
        {
            cohort.members.push(member.clone());
            if cohort.members.len() >= cohort.size {
                open.pop();
            }
            self.of.insert(member, id);
            return None;
        }
        let (_, places) = self.count.get(&kind).copied().unwrap_or_default();
        Some(self.begin(member, kind, (places, size)))
    }

    /// Puts it where it was before a restart. Returns the cohort where it is the first one in it.
    pub fn rejoin(
        &mut self,
        member: T,
        kind: K,
        interval: Duration,
        (place, size): (u32, usize),
    ) -> Option<CohortId> {
        self.leave(&member);
        let kind = (kind, interval);
        let known = self.at.get(&(kind.clone(), place)).copied();
        match known.and_then(|id| Some((id, self.by_id.get_mut(&id)?))) {
            Some((id, cohort)) if cohort.members.len() < cohort.size => {
                cohort.members.push(member.clone());
                if cohort.members.len() >= cohort.size
                    && let Some(open) = self.open.get_mut(&kind)
                {
                    open.retain(|it| *it != id);
                }
                self.of.insert(member, id);
                None
            }
            // Smaller groups than before: no matter, somebody has to move.
            Some(_) => self.join(member, kind.0, interval, size),
            None => Some(self.begin(member, kind, (place, size))),
        }
    }

    fn begin(&mut self, member: T, kind: (K, Duration), (place, size): (u32, usize)) -> CohortId {
        let id = CohortId(self.next);
        self.next += 1;
        let (count, places) = self.count.entry(kind.clone()).or_default();
        (*count, *places) = (*count + 1, (*places).max(place.saturating_add(1)));
        let interval = kind.1;
        let rhythm = Rhythm::aged(interval, (self.start, self.age), place);
        if size > 1 {
            self.open.entry(kind.clone()).or_default().push(id);
        }
        self.at.insert((kind.clone(), place), id);
        self.of.insert(member.clone(), id);
        let cohort = Cohort {
            kind,
            place,
            rhythm,
            members: vec![member],
            size,
        };
        self.by_id.insert(id, cohort);
        id
    }

    /// Takes it out of its cohort. Returns the cohort where it was the last one.
    pub fn leave(&mut self, member: &T) -> Option<CohortId> {
        let id = self.of.remove(member)?;
        let cohort = self.by_id.get_mut(&id)?;
        cohort.members.retain(|it| it != member);
        let open = self.open.entry(cohort.kind.clone()).or_default();
        if !cohort.members.is_empty() {
            if !open.contains(&id) {
                open.push(id);
            }
            return None;
        }
        open.retain(|it| *it != id);
        if let Some((count, _)) = self.count.get_mut(&cohort.kind) {
            *count = count.saturating_sub(1);
        }
        self.at.remove(&(cohort.kind.clone(), cohort.place));
        self.by_id.remove(&id);
        Some(id)
    }

    pub fn of(&self, member: &T) -> Option<CohortId> {
        self.of.get(member).copied()
    }

    pub fn members(&self, id: CohortId) -> &[T] {
        self.by_id.get(&id).map_or(&[], |cohort| &cohort.members)
    }

    /// What its members have in common, and its place among the cohorts of its kind.
    pub fn seat(&self, id: CohortId) -> Option<(&K, Duration, u32)> {
        let cohort = self.by_id.get(&id)?;
        Some((&cohort.kind.0, cohort.kind.1, cohort.place))
    }

    /// The last time before `now` at which the cohort had to come round, jitter aside.
    pub fn last(&self, id: CohortId, now: Instant) -> Option<Instant> {
        self.by_id.get(&id)?.rhythm.last(now)
    }

    pub fn interval(&self, id: CohortId) -> Option<Duration> {
        Some(self.by_id.get(&id)?.kind.1)
    }

    pub fn ids(&self) -> impl Iterator<Item = CohortId> {
        self.by_id.keys().copied()
    }

    /// When the cohort comes round after `now`. Jitter never moves it past its neighbour, so the whole stays as flat as
    /// the grid. `random` is in `[0, 1)`.
    pub fn next(&self, id: CohortId, now: Instant, random: f64) -> Option<Instant> {
        let cohort = self.by_id.get(&id)?;
        let (count, _) = self.count.get(&cohort.kind).copied().unwrap_or((1, 1));
        let interval = cohort.kind.1;
        let most = interval.mul_f64(JITTER).min(interval / count.max(1));
        Some(cohort.rhythm.next_within(now, most, random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(5);

    #[tokio::test(start_paused = true)]
    async fn members_of_one_kind_fill_one_cohort_after_the_other() {
        let mut cohorts = Cohorts::new(Instant::now());
        let new: Vec<_> = (0..45)
            .filter_map(|i| cohorts.join(i, "batch", INTERVAL, 20))
            .collect();
        assert_eq!(new.len(), 3);
        let sizes: Vec<_> = new.iter().map(|id| cohorts.members(*id).len()).collect();
        assert_eq!(sizes, [20, 20, 5]);
        assert!(cohorts.join(99, "single", INTERVAL, 1).is_some());
        assert!(cohorts.join(98, "single", INTERVAL, 1).is_some());
        assert!(cohorts.join(97, "batch", INTERVAL * 2, 20).is_some());
        // A place that was left is taken again, and an empty cohort goes.
        assert_eq!(cohorts.leave(&3), None);
        assert_eq!(cohorts.join(50, "batch", INTERVAL, 20), None);
        assert_eq!(cohorts.members(new[0]).len(), 20);
        assert!(cohorts.leave(&99).is_some());
        assert_eq!(cohorts.leave(&99), None);
        // Who joins again moves.
        assert!(cohorts.join(98, "batch", INTERVAL, 20).is_none());
        assert_eq!(cohorts.ids().count(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn five_hundred_cohorts_are_flat() {
        let start = Instant::now();
        let mut cohorts = Cohorts::new(start);
        let ids: Vec<_> = (0..500)
            .filter_map(|i| cohorts.join(i, (), INTERVAL, 1))
            .collect();
        let mut random = fastrand::Rng::with_seed(3);
        let mut times = Vec::new();
        for id in ids {
            let mut at = start;
            for _ in 0..4 {
                at = cohorts.next(id, at, random.f64()).unwrap();
                times.push(at - start);
            }
        }
        times.sort();
        let routine: Vec<_> = times
            .into_iter()
            .filter(|at| *at >= INTERVAL && *at < INTERVAL * 3)
            .collect();
        assert!((990..=1010).contains(&routine.len()), "{}", routine.len());
        let busiest = (0..routine.len()).map(|i| {
            let window = routine[i..]
                .iter()
                .take_while(|at| **at < routine[i] + Duration::from_secs(1));
            window.count()
        });
        // The mean is 1.7.
        assert!(busiest.max().unwrap() <= 5);
    }
}
