//! When actions run that others have to hear of a change by: the restart of a workload, the reload of a unit. Pure: over
//! opaque actions and sources, a source being what has changed.
//!
//! Several sources that change together make an action run once. Which change of each source a run was for goes with
//! it, so a change that comes while it runs makes it run again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Retry;
use crate::schedule::backoff;

/// Whatever goes on changing, an action waits no longer than so many times its debounce.
const AT_MOST: u32 = 5;
/// The longest wait after a run that failed.
const LONGEST: Duration = Duration::from_mins(5);

/// Which change of its source a run is for.
pub type Change = Box<str>;

/// The actions that wait, and the sources that they wait for.
#[derive(Debug)]
pub struct Queue<A, S> {
    actions: BTreeMap<A, Waiting<S>>,
    sources: BTreeMap<S, Source<A>>,
}

#[derive(Debug)]
struct Waiting<S> {
    debounce: Duration,
    marks: BTreeMap<S, Change>,
    since: Instant,
    due: Instant,
    failures: u32,
    under_way: bool,
}

#[derive(Debug)]
struct Source<A> {
    change: Change,
    left: BTreeSet<A>,
}

impl<A, S> Default for Queue<A, S> {
    fn default() -> Self {
        Self {
            actions: BTreeMap::new(),
            sources: BTreeMap::new(),
        }
    }
}

impl<A: Clone + Ord, S: Clone + Ord> Queue<A, S> {
    /// A source has changed. A later change of it takes the place of an earlier one. For `debounce` after it, others
    /// that belong to it are waited for; of several wishes for one action the shortest counts.
    pub fn want(
        &mut self,
        (source, change): (&S, &Change),
        actions: &[A],
        debounce: Duration,
        now: Instant,
    ) {
        if self
            .sources
            .get(source)
            .is_some_and(|known| known.change == *change)
        {
            return;
        }
        if let Some(before) = self.sources.remove(source) {
            let dropped = before.left.iter().filter(|it| !actions.contains(it));
            dropped.for_each(|action| self.take_mark(action, source));
        }
        for action in actions {
            let waiting = self.actions.entry(action.clone());
            let waiting = waiting.or_insert_with(|| Waiting {
                debounce,
                marks: BTreeMap::new(),
                since: now,
                due: now,
                failures: 0,
                under_way: false,
            });
            waiting.marks.insert(source.clone(), change.clone());
            waiting.debounce = waiting.debounce.min(debounce);
            // What failed keeps its wait: a change is no reason to hurry an action that fails.
            if waiting.failures == 0 {
                waiting.due =
                    (now + waiting.debounce).min(waiting.since + waiting.debounce * AT_MOST);
            }
        }
        let left: BTreeSet<A> = actions.iter().cloned().collect();
        if !left.is_empty() {
            let change = change.clone();
            self.sources.insert(source.clone(), Source { change, left });
        }
    }

    /// Nothing is to run for this source any more.
    pub fn forget(&mut self, source: &S) {
        let Some(known) = self.sources.remove(source) else {
            return;
        };
        for action in known.left {
            self.take_mark(&action, source);
        }
    }

    fn take_mark(&mut self, action: &A, source: &S) {
        if let Some(waiting) = self.actions.get_mut(action) {
            waiting.marks.remove(source);
            if waiting.marks.is_empty() && !waiting.under_way {
                self.actions.remove(action);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Every action that waits or is under way, with its marks.
    pub fn waiting(&self) -> impl Iterator<Item = (&A, &BTreeMap<S, Change>)> {
        self.actions.iter().map(|(action, it)| (action, &it.marks))
    }

    /// Whether each action that waits has failed before.
    pub fn is_tried(&self) -> bool {
        let mut waiting = self.actions.values();
        waiting.all(|it| it.failures > 0 && !it.under_way)
    }

    /// Those of these that failed and wait are due now: what they failed for may be over. Each is told to
    /// [`Self::ended`], unless nothing waits for it any more.
    pub fn hasten(
        &mut self,
        now: Instant,
        which: impl Fn(&A, &BTreeMap<S, Change>) -> bool,
    ) -> Vec<A> {
        let failed = self.actions.iter_mut().filter(|(_, it)| it.failures > 0);
        let hastened = failed.filter(|(action, it)| which(action, &it.marks));
        hastened
            .map(|(action, waiting)| {
                waiting.due = waiting.due.min(now);
                action.clone()
            })
            .collect()
    }

    /// Whether it waits or is under way.
    pub fn holds(&self, action: &A) -> bool {
        self.actions.contains_key(action)
    }

    pub fn next(&self) -> Option<Instant> {
        self.next_of(|_| true)
    }

    /// Of these alone.
    pub fn next_of(&self, which: impl Fn(&A) -> bool) -> Option<Instant> {
        let waiting = self.actions.iter();
        let waiting = waiting.filter(|(action, it)| !it.under_way && which(action));
        waiting.map(|(_, it)| it.due).min()
    }

    /// When it is tried next; absent while it is under way.
    pub fn due(&self, action: &A) -> Option<Instant> {
        let waiting = self.actions.get(action).filter(|it| !it.under_way);
        waiting.map(|it| it.due)
    }

    /// The actions to run now, each with its marks. Each is told to [`Self::ended`] once.
    pub fn take_due(&mut self, now: Instant) -> Vec<(A, BTreeMap<S, Change>)> {
        let due = self
            .actions
            .iter_mut()
            .filter(|(_, it)| !it.under_way && it.due <= now);
        due.map(|(action, waiting)| {
            waiting.under_way = true;
            (action.clone(), waiting.marks.clone())
        })
        .collect()
    }

    /// Of these, the action that is due first and is by now, with its marks. Told to [`Self::ended`] once.
    pub fn take_next(
        &mut self,
        now: Instant,
        which: impl Fn(&A) -> bool,
    ) -> Option<(A, BTreeMap<S, Change>)> {
        let waiting = self.actions.iter_mut();
        let due = waiting.filter(|(action, it)| !it.under_way && it.due <= now && which(action));
        let (action, waiting) = due.min_by_key(|(_, it)| it.due)?;
        waiting.under_way = true;
        Some((action.clone(), waiting.marks.clone()))
    }

    /// A run has ended: the sources whose actions have all run for their change now.
    pub fn ended(
        &mut self,
        (action, marks): (&A, &BTreeMap<S, Change>),
        result: Result<(), Retry>,
        (now, random): (Instant, f64),
    ) -> Vec<(S, Change)> {
        let Some(waiting) = self.actions.get_mut(action) else {
            return Vec::new();
        };
        waiting.under_way = false;
        if let Err(retry) = result {
            waiting.failures = waiting.failures.saturating_add(1);
            waiting.due = now + backoff::delay(retry, waiting.failures, LONGEST, random);
            if waiting.marks.is_empty() {
                self.actions.remove(action);
            }
            return Vec::new();
        }
        waiting.failures = 0;
        waiting
            .marks
            .retain(|source, change| marks.get(source) != Some(change));
        if waiting.marks.is_empty() {
            self.actions.remove(action);
        } else {
            waiting.since = now;
            waiting.due = now + waiting.debounce;
        }
        let mut done = Vec::new();
        for (source, change) in marks {
            let Some(known) = self
                .sources
                .get_mut(source)
                .filter(|it| it.change == *change)
            else {
                continue;
            };
            known.left.remove(action);
            if known.left.is_empty() {
                self.sources.remove(source);
                done.push((source.clone(), change.clone()));
            }
        }
        done
    }
}

#[cfg(test)]
mod tests;
