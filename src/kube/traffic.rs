//! How requests to one cluster flow: some at a time, at a rate, none while the cluster is paused.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::client::Client;
use super::gate::{Departure, End, Gate, Ticket};
use super::pauses::{Paused, Pauses, Seat};
use crate::failure::{Failure, Reason};
use crate::names::ClusterName;
use crate::schedule::pause::News;

/// Requests to one cluster at a time.
const CONCURRENT_REQUESTS: u16 = 32;

/// The longest that a target waits for its turn: ten thousand of them at 50 requests a second take half of that.
const TURN_LIMIT: Duration = Duration::from_mins(15);

pub(super) struct Traffic {
    cluster: ClusterName,
    gate: Mutex<Gate>,
    /// A pause began, or ended.
    news: Notify,
    /// A request has ended: where it went first, the others may leave.
    arrived: Notify,
    slots: Semaphore,
    /// Only the first of those who wait looks at the gate.
    line: tokio::sync::Mutex<()>,
    visits: Mutex<Arc<Semaphore>>,
    seat: OnceLock<Seat>,
}

/// A request that is on its way. Where it is dropped before it [`Passage::ended`], it says nothing.
pub(super) struct Passage<'a> {
    traffic: &'a Traffic,
    ticket: Option<Ticket>,
}

/// One of the targets whose requests may be under way at a time: so few that each request leaves within about a second.
#[derive(Debug)]
pub struct Visit {
    _permit: OwnedSemaphorePermit,
}

impl Client {
    /// From here on, its pauses are heard there.
    #[must_use]
    pub fn telling(self, pauses: &Pauses) -> Self {
        self.traffic.tell(pauses);
        self
    }

    /// Another client speaks for the cluster from now on.
    pub fn retire(&self) {
        self.traffic.retire();
    }

    pub fn set_rate(&self, requests_per_second: u32) {
        self.traffic.set_rate(requests_per_second);
    }

    /// No pause lasts longer without a probe, nor longer than 5 min.
    pub fn set_longest_pause(&self, longest: Duration) {
        self.traffic.set_longest_pause(longest);
    }

    /// Something changed that a pause may be waiting for: its probe may leave now.
    pub fn hasten(&self) {
        self.traffic.hasten();
    }

    /// Waits until requests for one more target may begin; while the cluster is paused, says why at once. Targets that
    /// are at it have little to wait for, so their time can be bounded.
    pub async fn visit(&self) -> Result<Visit, Failure> {
        self.traffic.visit().await
    }
}

impl Traffic {
    pub(super) fn new(cluster: ClusterName, per_second: u32) -> Self {
        Self {
            cluster,
            gate: Mutex::new(Gate::new(per_second, Instant::now())),
            news: Notify::new(),
            arrived: Notify::new(),
            slots: Semaphore::new(usize::from(CONCURRENT_REQUESTS)),
            line: tokio::sync::Mutex::default(),
            visits: Mutex::new(visits(per_second)),
            seat: OnceLock::new(),
        }
    }

    /// From here on, what becomes of the cluster is heard there.
    pub(super) fn tell(&self, pauses: &Pauses) {
        // A second listener there is not.
        let _ = self.seat.set(pauses.seat(&self.cluster));
    }

    pub(super) fn retire(&self) {
        if let Some(seat) = self.seat.get() {
            seat.leave();
        }
    }

    pub(super) fn set_rate(&self, per_second: u32) {
        self.gate().set_rate(per_second, Instant::now());
        *self.visits() = visits(per_second);
    }

    pub(super) fn set_longest_pause(&self, longest: Duration) {
        self.gate().set_longest_pause(longest);
    }

    /// What the pause waits for may be over.
    pub(super) fn hasten(&self) {
        self.gate().hasten(Instant::now());
        self.say();
    }

    /// A target's turn.
    pub(super) async fn visit(&self) -> Result<Visit, Failure> {
        let visits = Arc::clone(&self.visits());
        let permit = timeout(TURN_LIMIT, self.while_open(visits.acquire_owned()));
        let permit = permit.await.map_err(|_| self.too_many())??;
        let permit = permit.map_err(|_| self.too_many())?;
        Ok(Visit { _permit: permit })
    }

    /// A request's turn; the permit makes it one of those that may be under way.
    pub(super) async fn turn(&self) -> Result<(Passage<'_>, SemaphorePermit<'_>), Failure> {
        let permit = self.while_open(self.slots.acquire()).await?;
        let permit = permit.map_err(|_| self.too_many())?;
        Ok((self.passage().await?, permit))
    }

    /// The turn of one that may go on for long, and only counts where it begins.
    pub(super) async fn passage(&self) -> Result<Passage<'_>, Failure> {
        let _first = self.while_open(self.line.lock()).await?;
        loop {
            let mut arrived = std::pin::pin!(self.arrived.notified());
            arrived.as_mut().enable();
            let departure = self.gate().leave(Instant::now());
            match departure {
                Departure::Now(ticket) => {
                    return Ok(Passage {
                        traffic: self,
                        ticket: Some(ticket),
                    });
                }
                Departure::Closed(failure) => return Err(failure),
                // Either way it is looked at again.
                Departure::At(at) => drop(timeout_at(at, arrived).await),
            }
        }
    }

    /// The turn of what has no time to wait, and asks at an even pace of its own.
    pub(super) fn at_once(&self) -> Passage<'_> {
        let ticket = self.gate().leave_at_once(Instant::now());
        Passage {
            traffic: self,
            ticket: Some(ticket),
        }
    }

    /// Waits, but not behind a gate that is closed or closes meanwhile.
    async fn while_open<T>(&self, turn: impl Future<Output = T>) -> Result<T, Failure> {
        let mut turn = std::pin::pin!(turn);
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if let Some(failure) = self.gate().closed(Instant::now()) {
                return Err(failure);
            }
            tokio::select! {
                biased;
                turn = &mut turn => return Ok(turn),
                () = news => {}
            }
        }
    }

    fn too_many(&self) -> Failure {
        let fact = format!("cluster `{}` had no turn for it in time", self.cluster);
        Failure::new(Reason::Timeout, fact)
            .with_help("raise `requests_per_second` of the cluster, or find what slows it down")
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visits(&self) -> MutexGuard<'_, Arc<Semaphore>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how the cluster stands.
    fn say(&self) {
        self.news.notify_waiters();
        let Some(seat) = self.seat.get() else { return };
        let gate = self.gate();
        // Under the lock: of two who speak at once, the later one is right.
        seat.say(gate.pause().map(|pause| Paused {
            failure: pause.failure.clone(),
            until: pause.until,
        }));
    }
}

/// As many as leave in a second, so that no request of theirs waits much longer than that.
fn visits(per_second: u32) -> Arc<Semaphore> {
    let most = u16::try_from(per_second).unwrap_or(u16::MAX);
    Arc::new(Semaphore::new(usize::from(
        most.clamp(1, CONCURRENT_REQUESTS),
    )))
}

impl Passage<'_> {
    /// `object`: what it asked about.
    pub(super) fn ended(mut self, object: &str, end: &End<'_>) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let now = Instant::now();
        let news = self
            .traffic
            .gate()
            .ended((ticket, object), end, now, fastrand::f64());
        match news {
            News::Nothing => {}
            News::Paused | News::Resumed => self.traffic.say(),
        }
        self.traffic.arrived.notify_waiters();
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.traffic.gate().lost(ticket);
            self.traffic.arrived.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
