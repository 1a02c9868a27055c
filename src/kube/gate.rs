//! Whether a request to a cluster may leave: its rate, its first contact, its pauses. Pure: told the time.
//!
//! What strikes everything behind an API server pauses the whole cluster: one probe leaves instead of a failure for
//! each. What one object meets stays its own. An admission webhook or a key that encrypts it can make one object fail
//! or hang for ever while all others do well, so a 5xx (but for 503, by which a server speaks of itself) pauses
//! nothing, nor does a write that is not answered, nor a single read.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::session::{CONNECT_TIMEOUT, IDLE_TIMEOUT};
use crate::failure::Failure;
use crate::schedule::pause::{self, Health, News, Pause};
use crate::schedule::rate::Bucket;

/// After a silence one request goes first, as far ahead as a connection takes: a cluster that is down costs one request,
/// and all others share the connection that it made.
const HEAD_START: Duration = CONNECT_TIMEOUT.saturating_add(Duration::from_secs(1));

/// Different objects in a row whose reads were not answered: then it is not about them.
const SUSPECTS: usize = 2;

#[derive(Debug)]
pub(super) struct Gate {
    health: Health,
    bucket: Bucket,
    /// The longest wait for a probe.
    longest: Duration,
    /// When an answer last came, of whatever kind: the connection that brought it is still there.
    met: Option<Instant>,
    /// When the request left that goes first.
    scout: Option<Instant>,
    /// What was not answered since the last answer.
    suspects: BTreeSet<String>,
    /// What the pause began with.
    culprits: BTreeSet<String>,
    /// What was not answered while something else was. Until it is, it pauses nobody.
    lonely: BTreeSet<String>,
}

/// Whether a request may leave.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Departure {
    Now(Ticket),
    /// Then, or when something happens before.
    At(Instant),
    Closed(Failure),
}

/// A request that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    left: Instant,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ordinary,
    /// It goes first after a silence.
    Scout,
    /// Its end decides whether the pause is over.
    Probe,
}

/// What the end of a request says of the cluster.
#[derive(Debug)]
pub(super) enum End<'a> {
    /// It does its work.
    Answered,
    /// It works for nobody: it says so itself, or we cannot even ask.
    Refused(&'a Failure),
    /// There was no connection. Where others were answered meanwhile, that was one way of several.
    Unreached(&'a Failure),
    /// This read was sent and no answer came.
    Silent(&'a Failure),
    /// It may be about this object alone.
    Own(&'a Failure),
}

impl Gate {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        Self {
            health: Health::default(),
            bucket: Bucket::new(per_second, now),
            longest: Duration::MAX,
            met: None,
            scout: None,
            suspects: BTreeSet::new(),
            culprits: BTreeSet::new(),
            lonely: BTreeSet::new(),
        }
    }

    pub(super) fn set_rate(&mut self, per_second: u32, now: Instant) {
        self.bucket = Bucket::new(per_second, now);
    }

    pub(super) fn set_longest_pause(&mut self, longest: Duration) {
        self.longest = longest;
    }

    pub(super) fn pause(&self) -> Option<&Pause> {
        self.health.pause()
    }

    /// Why nothing may leave, the probe included.
    pub(super) fn closed(&self, now: Instant) -> Option<Failure> {
        let pause = self.health.pause()?;
        let probe = self.health.next_probe().is_some_and(|at| at <= now);
        (!probe).then(|| pause.failure.clone())
    }

    /// What the pause waits for may be over.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.health.hasten(now);
    }

    /// Whether a request may leave now; if so, it does.
    pub(super) fn leave(&mut self, now: Instant) -> Departure {
        let ticket = |role| Departure::Now(Ticket { left: now, role });
        match self.health.gate(now) {
            pause::Gate::Paused(failure) => return Departure::Closed(failure),
            pause::Gate::Probe => return ticket(Role::Probe),
            pause::Gate::Open => {}
        }
        let met = self.met.is_some_and(|at| now < at + IDLE_TIMEOUT);
        if let Some(ahead) = self.scout.filter(|_| !met)
            && now < ahead + HEAD_START
        {
            return Departure::At(ahead + HEAD_START);
        }
        if let Err(at) = self.bucket.take(now) {
            return Departure::At(at);
        }
        if met || self.scout.is_some() {
            return ticket(Role::Ordinary);
        }
        self.scout = Some(now);
        ticket(Role::Scout)
    }

    /// A request leaves, whatever the rate and the pause are.
    pub(super) fn leave_at_once(&mut self, now: Instant) -> Ticket {
        let role = match self.health.gate(now) {
            pause::Gate::Probe => Role::Probe,
            pause::Gate::Open | pause::Gate::Paused(_) => Role::Ordinary,
        };
        Ticket { left: now, role }
    }

    /// A request about `object` has ended. `random` is in `[0, 1)`.
    pub(super) fn ended(
        &mut self,
        (ticket, object): (Ticket, &str),
        end: &End<'_>,
        now: Instant,
        random: f64,
    ) -> News {
        self.arrived(ticket);
        let times = (ticket.left, now);
        let probe = ticket.role == Role::Probe;
        match *end {
            End::Answered => self.answered(object, times),
            End::Refused(failure) => self.health.struck(failure, times, self.longest, random),
            End::Silent(failure) | End::Own(failure) | End::Unreached(failure) if probe => {
                self.health.struck(failure, times, self.longest, random)
            }
            End::Unreached(failure) => self.health.failed(failure, times, self.longest, random),
            End::Silent(failure) => self.silent(object, failure, times, random),
            End::Own(_) => News::Nothing,
        }
    }

    /// Nobody waits any more for the end of a request, so it says nothing.
    pub(super) fn lost(&mut self, ticket: Ticket) {
        self.arrived(ticket);
        if ticket.role == Role::Probe {
            self.health.lose_probe();
        }
    }

    fn arrived(&mut self, ticket: Ticket) {
        if ticket.role == Role::Scout {
            self.scout = None;
        }
    }

    fn answered(&mut self, object: &str, times: (Instant, Instant)) -> News {
        self.met = Some(times.1);
        self.suspects.clear();
        self.lonely.remove(object);
        let news = self.health.answered(times.0, times.1);
        if news == News::Resumed {
            let culprits = std::mem::take(&mut self.culprits);
            if !culprits.contains(object) {
                self.lonely.extend(culprits);
            }
        }
        news
    }

    fn silent(
        &mut self,
        object: &str,
        failure: &Failure,
        times: (Instant, Instant),
        random: f64,
    ) -> News {
        let excused = self.lonely.contains(object) || self.health.does_well_since(times.0);
        if excused || self.health.pause().is_some() {
            return News::Nothing;
        }
        self.suspects.insert(object.to_owned());
        if self.suspects.len() < SUSPECTS {
            return News::Nothing;
        }
        self.culprits = std::mem::take(&mut self.suspects);
        self.health.failed(failure, times, self.longest, random)
    }
}

#[cfg(test)]
mod tests;
