//! What stores share fails for all at once: then everything behind it is held, and one probe leaves instead.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Due, Engine, Mode};
use crate::aws::UpstreamId;
use crate::clock;
use crate::daemon::reads::ReadState;
use crate::daemon::times::Now;
use crate::failure::{Failure, Reason};
use crate::names::StoreName;
use crate::report::Fact;
use crate::schedule::line::Urgency;
use crate::schedule::pause::{Gate, Health, News};
use crate::status::{PausedStore, Trouble};
use crate::store::{Fetched, Read};

/// A probe that could not leave is tried again after this.
const PROBE_AGAIN: Duration = Duration::from_secs(1);

/// What is known of one upstream, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub health: Health,
    /// When the pause began, however often its end was moved.
    since: Option<Timestamp>,
    held: VecDeque<Read>,
    /// The reads of the call that began the pause.
    culprits: BTreeSet<Read>,
    /// Reads that failed like everything, while everything else was well. Until one of them is answered, it pauses nobody.
    lonely: BTreeSet<Read>,
}

impl Engine {
    pub(super) fn upstream(&self, store: &StoreName) -> Option<UpstreamId> {
        self.stores.get(store)?.store.upstream()
    }

    /// Whether a read may leave now.
    pub(super) fn gate(&mut self, read: &Read) -> Gate {
        let shared = self
            .upstream(&read.store)
            .and_then(|id| self.shared.get_mut(&id));
        shared.map_or(Gate::Open, |shared| shared.health.gate(Instant::now()))
    }

    /// When a held read may leave.
    pub(super) fn pause_end(&self, store: &StoreName) -> Option<Instant> {
        let shared = self.shared.get(&self.upstream(store)?)?;
        shared.health.pause().map(|pause| pause.until)
    }

    /// The read fails with what is wrong for all, and waits for its end.
    pub(super) fn hold(&mut self, read: &Read, failure: &Failure) {
        let Some(id) = self.upstream(&read.store) else {
            return;
        };
        let Some(state) = self.reads.get_mut(read) else {
            return;
        };
        self.schedule.cancel(&Due::Read(read.clone()));
        if std::mem::replace(&mut state.held, true) {
            return;
        }
        self.shared
            .entry(id)
            .or_default()
            .held
            .push_back(read.clone());
        self.read_held(read, failure);
    }

    /// What the end of a call says about everything that is shared. True where a pause is over.
    pub(super) fn hear(
        &mut self,
        store: &StoreName,
        fetched: &[(Read, Fetched)],
        began: Instant,
    ) -> bool {
        let Some(id) = self.upstream(store) else {
            return false;
        };
        let longest = self.shortest_interval(id);
        let failure = shared_failure(fetched);
        let shared = self.shared.entry(id).or_default();
        let alone = fetched.iter().all(|(read, _)| shared.lonely.contains(read));
        let now = Instant::now();
        let news = match failure {
            Some(_) if alone => News::Nothing,
            Some(failure) => {
                let random = fastrand::f64();
                let news = shared.health.failed(failure, (began, now), longest, random);
                if news == News::Paused {
                    shared.since.get_or_insert_with(clock::now);
                    if shared.culprits.is_empty() {
                        shared.culprits = reads_of(fetched).collect();
                    }
                }
                news
            }
            None => {
                shared.lonely.retain(|read| !is_answered(read, fetched));
                shared.answered(fetched, (began, now))
            }
        };
        match news {
            News::Nothing => {}
            News::Paused => self.paused(id),
            News::Resumed => self.tell_pause(id, None),
        }
        news == News::Resumed
    }

    fn read_states(&self) -> impl Iterator<Item = (&Read, &ReadState)> {
        self.reads.iter().map(|(read, state)| (read, &**state))
    }

    /// Nothing behind an upstream waits longer for the end of a pause than its own interval.
    fn shortest_interval(&self, id: UpstreamId) -> Duration {
        let behind = |(read, state): (&Read, &ReadState)| {
            (self.upstream(&read.store) == Some(id)).then_some(state.interval)
        };
        let shortest = self.read_states().filter_map(behind).min();
        shortest.unwrap_or(Duration::MAX)
    }

    /// For the status. Stores that share an upstream are paused together.
    pub(super) fn paused_stores(&self) -> Vec<PausedStore> {
        let now = Now::read();
        let paused = self.stores.iter().filter_map(|(store, slot)| {
            let shared = self.shared.get(&slot.store.upstream()?)?;
            let pause = shared.health.pause()?;
            Some(PausedStore {
                store: store.to_string(),
                since: shared.since?,
                next_probe: now.wall_of(pause.until),
                error: Trouble::from(&pause.failure),
            })
        });
        paused.collect()
    }

    /// Everything that waits behind it is held.
    fn paused(&mut self, id: UpstreamId) {
        let Some(pause) = self
            .shared
            .get(&id)
            .and_then(|shared| shared.health.pause())
        else {
            return;
        };
        let (failure, failures, until) = (pause.failure.clone(), pause.failures, pause.until);
        self.schedule.set(Due::Probe(id), until);
        self.tell_pause(id, Some(failure.reason));
        if failures.is_power_of_two() && self.mode == Mode::Forever {
            tracing::warn!(
                stores = self.named(id), reason = %failure.reason, failures,
                help = failure.help(), "paused: {failure}"
            );
        }
        for store in self.stores_of(id) {
            let lines = self
                .lines
                .iter_mut()
                .filter(|(line, _)| line.store == store);
            let waiting: Vec<Read> = lines.flat_map(|(_, it)| it.line.take(usize::MAX)).collect();
            for read in waiting {
                self.whereabouts.remove(&read);
                self.call_ended(&read, Err(failure.clone()));
            }
        }
        self.tell_held(id);
        self.settle_all();
    }

    /// The end of a pause: one read leaves, one that did not begin it where there is one. Where none is held, the next that
    /// is due leaves.
    pub(super) fn probe_due(&mut self, id: UpstreamId) {
        let Some(read) = self.probe(id) else { return };
        if let Some(shared) = self.shared.get_mut(&id) {
            shared.held.retain(|held| *held != read);
        }
        if self.release(&read) {
            self.call(&read, None, Urgency::Now);
        }
        self.arm_probe(id);
    }

    /// Something outside may have ended what a pause waits for.
    pub(super) fn hasten(&mut self, id: UpstreamId) {
        if let Some(shared) = self.shared.get_mut(&id) {
            shared.health.hasten(Instant::now());
        }
        self.arm_probe(id);
    }

    /// A call came back that says nothing: where it was a probe, another one has to leave.
    pub(super) fn lose_probe(&mut self, id: UpstreamId) {
        if let Some(shared) = self.shared.get_mut(&id) {
            shared.health.lose_probe();
        }
        self.arm_probe(id);
    }

    fn arm_probe(&mut self, id: UpstreamId) {
        let shared = self.shared.get(&id);
        if let Some(at) = shared.and_then(|shared| shared.health.next_probe()) {
            // Nothing that is held, and cannot leave, may make this come due at once for ever.
            let at = at.max(Instant::now() + PROBE_AGAIN);
            self.schedule.set(Due::Probe(id), at);
        }
    }

    /// What began the pause may be all that is wrong, and would say so again and again.
    fn probe(&self, id: UpstreamId) -> Option<Read> {
        let shared = self.shared.get(&id)?;
        let held = || {
            let wanted = |read: &&Read| {
                let state = self.reads.get(*read);
                state.is_some_and(|state| state.held) && self.upstream(&read.store) == Some(id)
            };
            shared.held.iter().filter(wanted)
        };
        let innocent = |read: &Read| !shared.culprits.contains(read);
        let well = || {
            let answered = |(read, state): (&Read, &ReadState)| {
                let here = self.upstream(&read.store) == Some(id);
                let free = !self.whereabouts.contains_key(read);
                (here && free && state.last.is_some() && innocent(read)).then(|| read.clone())
            };
            self.read_states().find_map(answered)
        };
        let first = held().find(|read| innocent(read)).cloned();
        first.or_else(well).or_else(|| held().next().cloned())
    }

    /// Everything that was held leaves, under the rate.
    pub(super) fn resume(&mut self, store: &StoreName) {
        let Some(id) = self.upstream(store) else {
            return;
        };
        self.schedule.cancel(&Due::Probe(id));
        if self.mode == Mode::Forever {
            tracing::info!(stores = self.named(id), "no longer paused");
        }
        let held = self
            .shared
            .get_mut(&id)
            .map(|shared| std::mem::take(&mut shared.held));
        for read in held.unwrap_or_default() {
            if !self.release(&read) {
                continue;
            }
            let shared = self.shared.get(&id);
            let lonely = shared.is_some_and(|it| it.lonely.contains(&read));
            match self.reads.get(&read).filter(|_| lonely) {
                // It has its own time again.
                Some(state) => {
                    let wait = state.failing.as_ref().map(|it| it.wait(state.interval));
                    self.due_at(&read, Instant::now() + wait.unwrap_or_default());
                }
                None => self.call(&read, None, Urgency::Now),
            }
        }
    }

    /// It is held no longer. False where nobody wants it any more.
    fn release(&mut self, read: &Read) -> bool {
        let Some(state) = self.reads.get_mut(read) else {
            return false;
        };
        state.held = false;
        true
    }

    fn stores_of(&self, id: UpstreamId) -> Vec<StoreName> {
        let of = |(name, slot): (&StoreName, &super::StoreSlot)| {
            (slot.store.upstream() == Some(id)).then(|| name.clone())
        };
        self.stores.iter().filter_map(of).collect()
    }

    fn named(&self, id: UpstreamId) -> String {
        let stores: Vec<_> = self.stores_of(id).iter().map(ToString::to_string).collect();
        stores.join(", ")
    }

    fn tell_pause(&self, id: UpstreamId, reason: Option<Reason>) {
        for store in self.stores_of(id) {
            let store = &store;
            self.reporter.record(&Fact::StorePaused { store, reason });
        }
    }

    /// The time of the next try has moved for all who wait.
    fn tell_held(&mut self, id: UpstreamId) {
        let Some(shared) = self.shared.get(&id) else {
            return;
        };
        let users = shared.held.iter().filter_map(|read| self.reads.get(read));
        let users: BTreeSet<_> = users
            .flat_map(|state| state.users.iter().cloned())
            .collect();
        self.unsettled.extend(users);
    }
}

impl Shared {
    /// A call was answered. Where another one's failure was taken for everybody's, it was alone with it.
    fn answered(&mut self, fetched: &[(Read, Fetched)], (began, now): (Instant, Instant)) -> News {
        let reason = self.health.pause().map(|pause| pause.failure.reason);
        let news = self.health.answered(began, now);
        if news == News::Resumed {
            self.since = None;
            let culprits = std::mem::take(&mut self.culprits);
            let others = reads_of(fetched).all(|read| !culprits.contains(&read));
            if others && reason.is_some_and(Reason::may_be_lonely) {
                self.lonely.extend(culprits);
            }
        }
        news
    }
}

fn reads_of(fetched: &[(Read, Fetched)]) -> impl Iterator<Item = Read> {
    fetched.iter().map(|(read, _)| read.clone())
}

fn is_answered(read: &Read, fetched: &[(Read, Fetched)]) -> bool {
    let fails =
        |end: &Fetched| matches!(end, Fetched::Done(Err(failure)) if failure.reason.is_shared());
    let answered = |(known, end): &(Read, Fetched)| known == read && !fails(end);
    fetched.iter().any(answered)
}

/// The failure that all of a call have in common, where it may be shared by more.
fn shared_failure(fetched: &[(Read, Fetched)]) -> Option<&Failure> {
    let shared = fetched.iter().map(|(_, fetched)| match fetched {
        Fetched::Done(Err(failure)) if failure.reason.is_shared() => Some(failure),
        Fetched::Done(_) | Fetched::Alone => None,
    });
    shared.collect::<Option<Vec<_>>>()?.into_iter().next()
}
