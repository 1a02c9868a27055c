//! What stores share fails for all at once: then everything behind it is held, and one probe leaves instead.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{Due, Engine, Mode};
use crate::aws::UpstreamId;
use crate::failure::{Failure, Reason};
use crate::names::StoreName;
use crate::report::Fact;
use crate::schedule::line::Urgency;
use crate::schedule::pause::{Gate, Health, News};
use crate::store::{Fetched, Read};

/// What is known of one upstream, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub health: Health,
    held: VecDeque<Read>,
}

impl Engine {
    fn upstream(&self, store: &StoreName) -> Option<UpstreamId> {
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
        let longest = fetched
            .iter()
            .filter_map(|(read, _)| Some(self.reads.get(read)?.interval));
        let longest = longest.min().unwrap_or(Duration::MAX);
        let failure = shared_failure(fetched);
        let now = Instant::now();
        let health = &mut self.shared.entry(id).or_default().health;
        let news = match failure {
            Some(failure) => health.failed(failure, (began, now), longest, fastrand::f64()),
            None => health.answered(now),
        };
        match news {
            News::Nothing => {}
            News::Paused => self.paused(id),
            News::Resumed => self.tell_pause(id, None),
        }
        news == News::Resumed
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
    }

    /// The end of a pause: one of the held leaves. Where none is held, the next that is due does.
    pub(super) fn probe_due(&mut self, id: UpstreamId) {
        while let Some(read) = self.shared.get_mut(&id).and_then(|it| it.held.pop_front()) {
            if self.release(&read) {
                self.call(&read, None, Urgency::Now);
                return;
            }
        }
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
            if self.release(&read) {
                self.call(&read, None, Urgency::Now);
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
        let users: std::collections::BTreeSet<_> = users
            .flat_map(|state| state.users.iter().cloned())
            .collect();
        for name in users {
            self.settle(&name);
        }
    }
}

/// The failure that all of a call have in common, where it may be shared by more.
fn shared_failure(fetched: &[(Read, Fetched)]) -> Option<&Failure> {
    let shared = fetched.iter().map(|(_, fetched)| match fetched {
        Fetched::Done(Err(failure)) if failure.reason.is_shared() => Some(failure),
        Fetched::Done(_) | Fetched::Alone => None,
    });
    shared.collect::<Option<Vec<_>>>()?.into_iter().next()
}
