//! Which calls leave, and when: reads wait in lines, and leave in groups as soon as rate, pace and pause allow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{CALL_LIMIT, Done, Due, Engine, Task, no_answer};
use crate::failure::{Failure, Reason};
use crate::names::StoreName;
use crate::report::StoreOperation;
use crate::schedule::cohorts::CohortId;
use crate::schedule::line::{Line, Urgency};
use crate::schedule::pause::Gate;
use crate::store::coalesce::Joined;
use crate::store::desk::{Seen, Want};
use crate::store::{Fetched, Lane, Read, Store};

/// Calls under way in one line at a time.
const CALLS_PER_LINE: usize = 32;

/// The longest that a list of many pages may take, its waits for the rate included; each page has its own limit.
const LIST_LIMIT: Duration = Duration::from_hours(1);

pub(super) type Waiter = oneshot::Sender<Result<Seen, Failure>>;

/// Reads of one store that travel in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LineId {
    pub store: StoreName,
    pub lane: Lane,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub line: Line<Read>,
    under_way: usize,
    /// When the rate allows the next call, and when the pace allows the next routine one; where that was refused.
    turn: Option<Instant>,
    paced: Option<Instant>,
    /// Since when it waits for a turn.
    refused: Option<Instant>,
}

/// Where a read is that was asked for.
#[derive(Debug)]
pub(super) enum Whereabouts {
    InLine(LineId),
    UnderWay,
}

impl Waiting {
    /// Nobody waits in it and nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.line.is_empty() && self.under_way == 0
    }

    /// When the next group may leave.
    fn ready(&self, lane: Lane) -> Option<Instant> {
        let ready = self.line.ready(lane.size)?;
        if self.under_way >= CALLS_PER_LINE {
            // The end of a call looks at the line again.
            return None;
        }
        let paced = self
            .paced
            .filter(|_| self.line.urgency() == Urgency::Routine);
        Some(
            ready
                .max(self.turn.unwrap_or(ready))
                .max(paced.unwrap_or(ready)),
        )
    }
}

impl Engine {
    /// A run wants a read: a failing one answers with its last error until it is asked for again.
    pub(super) fn wanted(&mut self, want: Want) {
        let asked_for = self.whereabouts.contains_key(&want.read);
        let failing = match self.reads.get(&want.read) {
            Some(_) if asked_for => None,
            Some(state) => state.failing.as_ref().map(|streak| streak.failure.clone()),
            // A find that wants it no more.
            None => Some(no_answer(&want.read)),
        };
        match failing {
            Some(failure) => drop(want.reply.send(Err(failure))),
            None => self.call(&want.read, Some(want.reply), Urgency::Now),
        }
    }

    /// The members of a cohort that have no time of their own come round.
    pub(super) fn cohort_due(&mut self, cohort: CohortId, now: Instant) {
        let members = self.cohorts.members(cohort).to_vec();
        let is_due = |read: &Read| {
            let state = self.reads.get(read);
            state.is_some_and(|state| state.is_routine()) && !self.whereabouts.contains_key(read)
        };
        let due: Vec<Read> = members.into_iter().filter(is_due).collect();
        self.expect_traffic(cohort, &due, now);
        for read in due {
            self.call(&read, None, Urgency::Routine);
        }
        if let Some(next) = self.cohorts.next(cohort, now, fastrand::f64()) {
            self.schedule.set(Due::Cohort(cohort), next);
        }
    }

    /// How many calls in a second this cohort stands for: where batches are refused, its members go alone.
    fn expect_traffic(&mut self, cohort: CohortId, due: &[Read], now: Instant) {
        let (Some(first), Some(interval)) = (due.first(), self.cohorts.interval(cohort)) else {
            return;
        };
        let Some(slot) = self.stores.get_mut(&first.store) else {
            return;
        };
        let mut by_lane: BTreeMap<Lane, usize> = BTreeMap::new();
        for read in due {
            *by_lane.entry(slot.store.lane(read, now)).or_default() += 1;
        }
        let calls = by_lane
            .iter()
            .map(|(lane, count)| count.div_ceil(lane.size));
        let calls = u32::try_from(calls.sum::<usize>()).unwrap_or(u32::MAX);
        slot.mean
            .insert(cohort, f64::from(calls) / interval.as_secs_f64());
    }

    /// Asks for a read, together with everybody else who does.
    pub(super) fn call(&mut self, read: &Read, waiter: Option<Waiter>, urgency: Urgency) {
        // The configuration has resolved the reference; a waiter that is dropped gets its own answer.
        if !self.stores.contains_key(&read.store) {
            return;
        }
        if self.draining {
            if let Some(waiter) = waiter {
                let _ = waiter.send(Err(stopping()));
            }
            return;
        }
        // What is asked for already costs no call of its own, and is no probe.
        let known = self.whereabouts.contains_key(read);
        if !known && let Gate::Paused(failure) = self.gate(read) {
            self.hold(read, &failure);
            if let Some(waiter) = waiter {
                let _ = waiter.send(Err(failure));
            }
            return;
        }
        if self.calls.join(read, waiter) == Joined::First {
            self.expect_answer(read);
            self.queue(read, urgency);
        } else if let Some(Whereabouts::InLine(line)) = self.whereabouts.get(read) {
            // It may come further to the front.
            let line = line.clone();
            if let Some(waiting) = self.lines.get_mut(&line) {
                waiting.line.push(read.clone(), urgency, Instant::now());
            }
            self.look_at(&line);
        }
    }

    /// Nothing more leaves: whoever waits for what is still in a line is told so.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        let lines = self.lines.values_mut();
        let waiting: Vec<Read> = lines.flat_map(|it| it.line.take(usize::MAX)).collect();
        for read in waiting {
            self.send_away(&read);
        }
    }

    fn send_away(&mut self, read: &Read) {
        self.whereabouts.remove(read);
        for waiter in self.calls.finish(read) {
            let _ = waiter.send(Err(stopping()));
        }
    }

    /// Puts a read into the line that it travels by now.
    pub(super) fn queue(&mut self, read: &Read, urgency: Urgency) {
        if self.draining {
            return self.send_away(read);
        }
        let now = Instant::now();
        let Some(slot) = self.stores.get(&read.store) else {
            return;
        };
        let line = LineId {
            store: read.store.clone(),
            lane: slot.store.lane(read, now),
        };
        let waiting = self.lines.entry(line.clone()).or_default();
        waiting.line.push(read.clone(), urgency, now);
        let here = Whereabouts::InLine(line.clone());
        self.whereabouts.insert(read.clone(), here);
        self.look_at(&line);
    }

    /// Sets when the line is looked at again.
    fn look_at(&mut self, line: &LineId) {
        let ready = self.lines.get(line).and_then(|it| it.ready(line.lane));
        match ready {
            Some(at) => self.schedule.set(Due::Line(line.clone().into()), at),
            None => self.schedule.cancel(&Due::Line(line.clone().into())),
        }
    }

    /// Lets leave what may.
    pub(super) fn line_due(&mut self, line: &LineId) {
        let now = Instant::now();
        while let Some(first) = self.first_in_turn(line, now) {
            let Some(group) = self.next_group(&first, now) else {
                self.look_at(&first);
                break;
            };
            self.leave(&first, group, now);
            self.look_at(&first);
        }
        self.look_at(line);
    }

    /// Of the lines that share this one's rate and may leave: one that somebody waits for, else the one that has waited
    /// longest for a turn. Else the store whose name comes first would take every turn.
    fn first_in_turn(&self, line: &LineId, now: Instant) -> Option<LineId> {
        let upstream = self.stores.get(&line.store)?.store.upstream();
        let shares = |other: &LineId| {
            let slot = self.stores.get(&other.store);
            other == line
                || other.lane.operation == line.lane.operation
                    && upstream.is_some()
                    && slot.is_some_and(|slot| slot.store.upstream() == upstream)
        };
        let ready = |(id, waiting): &(&LineId, &Waiting)| {
            shares(id) && waiting.ready(id.lane).is_some_and(|at| at <= now)
        };
        let turn = |(_, waiting): &(&LineId, &Waiting)| {
            let urgent = waiting.line.urgency() == Urgency::Now;
            (!urgent, waiting.refused.unwrap_or(now))
        };
        let first = self.lines.iter().filter(ready).min_by_key(turn);
        first.map(|(id, _)| id.clone())
    }

    fn next_group(&mut self, line: &LineId, now: Instant) -> Option<Vec<Read>> {
        let slot = self.stores.get_mut(&line.store)?;
        let waiting = self.lines.get_mut(line)?;
        if self.draining || waiting.ready(line.lane)? > now {
            return None;
        }
        let routine = waiting.line.urgency() == Urgency::Routine;
        if routine {
            let mean = slot.mean.values().sum();
            waiting.paced = slot.pace.room(mean, now).err();
            if waiting.paced.is_some() {
                return None;
            }
        }
        waiting.turn = slot.store.turn(line.lane.operation, now).err();
        if waiting.turn.is_some() {
            waiting.refused.get_or_insert(now);
            return None;
        }
        waiting.refused = None;
        if routine {
            slot.pace.left(now);
        }
        Some(waiting.line.take(line.lane.size))
    }

    /// Makes one call for those of the group that still travel by this line; the others change lines.
    fn leave(&mut self, line: &LineId, group: Vec<Read>, began: Instant) {
        let Some(slot) = self.stores.get(&line.store) else {
            return;
        };
        let of = (Arc::clone(&slot.store), slot.identity);
        let (store, operation) = (Arc::clone(&slot.store), line.lane.operation);
        let (reads, elsewhere): (Vec<Read>, Vec<Read>) = group
            .into_iter()
            .partition(|read| store.lane(read, began) == line.lane);
        for read in elsewhere {
            self.queue(&read, Urgency::Now);
        }
        if reads.is_empty() {
            return;
        }
        for read in &reads {
            self.whereabouts.insert(read.clone(), Whereabouts::UnderWay);
        }
        if let Some(waiting) = self.lines.get_mut(line) {
            waiting.under_way += 1;
        }
        let asked = reads.clone();
        let task = self.tasks.spawn(async move {
            let fetch = Box::pin(store.fetch(operation, asked));
            let fetched = tokio::time::timeout(limit(operation), fetch).await;
            // Who is not in it is told so by whoever knows the group.
            Done::Call(fetched.unwrap_or_default())
        });
        let call = Task::Call {
            line: line.clone(),
            reads,
            began,
            of,
        };
        self.running.insert(task.id(), call);
    }

    /// A call has ended; every read of its group is told how.
    pub(super) fn came_back(
        &mut self,
        line: &LineId,
        (reads, began): (Vec<Read>, Instant),
        mut fetched: Vec<(Read, Fetched)>,
    ) {
        for read in reads {
            if !fetched.iter().any(|(known, _)| *known == read) {
                let failure = no_answer(&read);
                fetched.push((read, Fetched::Done(Err(failure))));
            }
        }
        if let Some(waiting) = self.lines.get_mut(line) {
            waiting.under_way -= 1;
        }
        let asked: Vec<Read> = fetched.iter().map(|(read, _)| read.clone()).collect();
        let resumed = self.hear(&line.store, &fetched, began);
        for (read, fetched) in fetched {
            match fetched {
                Fetched::Alone => self.queue(&read, Urgency::Now),
                Fetched::Done(result) => {
                    self.whereabouts.remove(&read);
                    self.call_ended(&read, result);
                }
            }
        }
        if resumed {
            self.resume(&line.store);
        }
        self.note_rounds(&asked);
        self.settle_all();
        self.look_at(line);
    }

    /// A call came back from what is no longer the store of that name: it said nothing. Who waits is asked for anew.
    pub(super) fn came_back_late(&mut self, line: &LineId, reads: Vec<Read>, asked: &Store) {
        if let Some(waiting) = self.lines.get_mut(line) {
            waiting.under_way -= 1;
        }
        if let Some(id) = asked.upstream() {
            self.lose_probe(id);
        }
        for read in reads {
            self.whereabouts.remove(&read);
            let waiters = self.calls.finish(&read);
            if !self.reads.contains_key(&read) {
                continue;
            }
            self.call(&read, None, Urgency::Now);
            for waiter in waiters {
                self.call(&read, Some(waiter), Urgency::Now);
            }
        }
        self.look_at(line);
        self.close_line(line);
    }

    /// A line of a store that is no longer there: whoever waits in it is sent away, and with its last call it goes.
    pub(super) fn close_line(&mut self, line: &LineId) {
        if self.stores.contains_key(&line.store) {
            return;
        }
        let Some(waiting) = self.lines.get_mut(line) else {
            return;
        };
        let reads = waiting.line.take(usize::MAX);
        if waiting.is_idle() {
            self.lines.remove(line);
        }
        for read in reads {
            self.whereabouts.remove(&read);
            // Without an answer, those who wait are told that there is none.
            drop(self.calls.finish(&read));
        }
        self.schedule.cancel(&Due::Line(line.clone().into()));
    }
}

fn stopping() -> Failure {
    Failure::new(Reason::Io, "secretsyncd is stopping")
}

fn limit(operation: StoreOperation) -> Duration {
    match operation {
        StoreOperation::ListSecrets
        | StoreOperation::GetParametersByPath
        | StoreOperation::DescribeParameters => LIST_LIMIT,
        StoreOperation::BatchGetSecretValue
        | StoreOperation::GetSecretValue
        | StoreOperation::DescribeSecret
        | StoreOperation::GetParameters
        | StoreOperation::GetParameter
        | StoreOperation::ListTagsForResource
        | StoreOperation::ReadFile => CALL_LIMIT,
    }
}
