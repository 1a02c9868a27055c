//! Which of several machines leads: what a Lease's record says, and what this machine may do about it.
//!
//! Pure: records and times come in, records to be written go out. A machine believes no other one's clock. Another's
//! lease is over when the record stood unchanged for its duration, by our own clock since we first saw it; our own is
//! counted from before the renewal was sent, and is used up some time before others may take it. All times are since the
//! boot, so that they count what a suspended machine or a stopped process slept through; the wall clock is only written
//! down for people.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use crate::config::LeaderTiming;
use crate::kube::{Lease, LeaseRecord};
use crate::names::{Candidate as Name, Instance};

/// How many writes of which nobody knows the end are remembered.
const UNANSWERED: usize = 16;

/// One moment, since the boot and by the wall.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub since_boot: Duration,
    pub wall: Timestamp,
}

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub record: LeaseRecord,
    /// Whose it is, where it says so. Others' text.
    pub instance: Option<String>,
}

impl From<&Lease> for Seen {
    fn from(lease: &Lease) -> Self {
        Self {
            record: lease.record.clone(),
            instance: lease.instance.clone(),
        }
    }
}

/// How this machine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may write until then, a time since the boot.
    Leads { until: Duration },
    /// Another does, or nobody knows yet. The name is there where it is one that can be shown.
    StandsBy { holder: Option<Name> },
    /// The Lease is not for us to take.
    Barred(Bar),
}

/// Why a Lease is not for us to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bar {
    /// It is another instance's. The name is there where it is one that can be shown.
    Instance(Option<Instance>),
    /// Somebody holds it who is no secretsyncd.
    Stranger,
}

/// Whether anybody else may have led since this machine, or this `state_dir`, did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    NobodyElse,
    Others,
}

/// A machine that wants to lead.
#[derive(Debug)]
pub struct Candidate {
    name: Name,
    instance: Instance,
    timing: LeaderTiming,
    /// The Lease as it was last read or written; `None`: it is not known, or there is none.
    seen: Option<Seen>,
    /// Since when its record is the same, by our clock.
    unchanged_since: Duration,
    looked: bool,
    /// It was another's when it was last seen, and is not there any more: its holder may not know that yet.
    vanished: bool,
    /// Our writes that are, or may be, in the Lease: what they say was renewed, and when they were sent. Never empty after
    /// the first.
    sent: Vec<Sent>,
    held: Option<Held>,
    since: Since,
    /// How often the holder had changed when all that follows from leading was last done here.
    settled: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    renewed: Timestamp,
    at: Duration,
    /// What it was, when it was sent, to take the Lease.
    since: Since,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    until: Duration,
}

impl Candidate {
    /// `settled` is what [`Self::settle`] said last, perhaps in an earlier process.
    pub fn new(name: Name, instance: Instance, timing: LeaderTiming, settled: Option<u32>) -> Self {
        Self {
            name,
            instance,
            timing,
            seen: None,
            unchanged_since: Duration::ZERO,
            looked: false,
            vanished: false,
            sent: Vec::new(),
            held: None,
            since: Since::Others,
            settled,
        }
    }

    /// All that follows from leading in this term is done. Returns what says so.
    pub fn settle(&mut self) -> u32 {
        let term = self.record().map_or(0, |record| record.transitions);
        self.settled = Some(term);
        term
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What was last seen.
    pub fn record(&self) -> Option<&LeaseRecord> {
        self.seen.as_ref().map(|seen| &seen.record)
    }

    /// Of the present term, as it began: whether anybody else led before it, after our last one.
    pub fn began(&self) -> Since {
        self.since
    }

    /// Whether to read the Lease before anything is decided. Who leads knows what it wrote.
    pub fn has_to_look(&self) -> bool {
        self.held.is_none() || !self.looked
    }

    /// The Lease was read, or written: that is what it is now.
    pub fn saw(&mut self, seen: Option<Seen>, now: Duration) {
        let (before, record) = (self.record(), seen.as_ref().map(|seen| &seen.record));
        if before != record {
            self.vanished = record.is_none()
                && before.is_some_and(|it| !it.holder.is_empty() && !self.is_ours(it));
            self.unchanged_since = now;
        }
        self.seen = seen;
        self.looked = true;
        match self.own_write().copied() {
            // The answer to it was lost; it counts from when it was sent.
            Some(sent) => self.hold(sent, now),
            None => self.held = None,
        }
    }

    /// The record to be written now, if any: the request must be sent after `now`.
    pub fn wish(&mut self, now: Moment) -> Option<LeaseRecord> {
        let (acquired, transitions, since) = match self.record() {
            None if self.vanished && !self.has_lasted(None, now.since_boot) => return None,
            None => (now.wall, 0, Since::Others),
            Some(_) if self.bar().is_some() => return None,
            Some(record) if self.is_ours(record) => {
                let since = match self.held {
                    Some(_) => self.since,
                    None => self.since(record),
                };
                let acquired = record.acquired.unwrap_or(now.wall);
                (acquired, record.transitions, since)
            }
            Some(record)
                if record.holder.is_empty() || self.has_lasted(Some(record), now.since_boot) =>
            {
                let own = record.holder.is_empty()
                    && record.released_by.as_deref() == Some(self.name.as_str());
                let since = if own {
                    self.since(record)
                } else {
                    Since::Others
                };
                (now.wall, record.transitions.saturating_add(1), since)
            }
            Some(_) => return None,
        };
        // In microseconds, as it will be read.
        let micro = |at: Timestamp| Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at);
        let renewed = self.unlike_others(micro(now.wall));
        if self.sent.len() >= UNANSWERED {
            self.sent.remove(0);
        }
        self.sent.push(Sent {
            renewed,
            at: now.since_boot,
            since,
        });
        Some(LeaseRecord {
            holder: self.name.to_string(),
            seconds: Some(self.timing.lease_seconds()),
            acquired: Some(micro(acquired)),
            renewed: Some(renewed),
            transitions,
            released_by: None,
        })
    }

    /// Somebody else wrote the Lease since it was read: it has to be read again.
    pub fn raced(&mut self) {
        self.looked = false;
    }

    /// Time went by.
    pub fn standing(&mut self, now: Duration) -> Standing {
        if let Some(Held { until }) = self.held {
            if now < until {
                return Standing::Leads { until };
            }
            self.held = None;
        }
        if let Some(bar) = self.bar() {
            return Standing::Barred(bar);
        }
        let holder = self.record().map(|record| record.holder.as_str());
        Standing::StandsBy {
            holder: holder.and_then(|holder| Name::new(holder).ok()),
        }
    }

    /// Whether somebody else is known to be alive: the record changed while we looked.
    pub fn is_another_alive(&self, first: Option<&LeaseRecord>) -> bool {
        self.record().is_some_and(|record| {
            !record.holder.is_empty() && !self.is_ours(record) && first != Some(record)
        })
    }

    /// What gives the Lease back, where it is ours: nothing of ours is written any more.
    pub fn release(&mut self, now: Timestamp) -> Option<LeaseRecord> {
        self.held.take()?;
        let record = self.record()?;
        Some(LeaseRecord {
            holder: String::new(),
            seconds: Some(1),
            acquired: Some(now),
            renewed: Some(now),
            transitions: record.transitions,
            released_by: Some(self.name.to_string()),
        })
    }

    /// A clock that stands still, or was set back, makes no two of our writes alike.
    fn unlike_others(&self, at: Timestamp) -> Timestamp {
        let last = self.sent.iter().map(|sent| sent.renewed).max();
        let next =
            last.and_then(|last| Timestamp::from_microsecond(last.as_microsecond() + 1).ok());
        next.map_or(at, |next| at.max(next))
    }

    /// Which write of ours the Lease's record is.
    fn own_write(&self) -> Option<&Sent> {
        let record = self.record()?;
        if record.holder != self.name.as_str() {
            return None;
        }
        self.sent
            .iter()
            .find(|sent| Some(sent.renewed) == record.renewed)
    }

    /// What was ours before: whether it still is as it was settled.
    fn since(&self, record: &LeaseRecord) -> Since {
        if self.settled == Some(record.transitions) {
            Since::NobodyElse
        } else {
            Since::Others
        }
    }

    fn hold(&mut self, sent: Sent, now: Duration) {
        let until = sent.at + self.timing.renew_deadline();
        self.held = (now < until).then_some(Held { until });
        self.since = sent.since;
        // What was sent before it is overwritten; what was sent after it may still arrive, and fails.
        self.sent.retain(|other| other.at >= sent.at);
    }

    /// Whether the record is this machine's: what it wrote itself, or, before it wrote anything, what an earlier process
    /// of it did. One that carries our name later on, and is not from us, comes from another machine that was given the
    /// same.
    fn is_ours(&self, record: &LeaseRecord) -> bool {
        record.holder == self.name.as_str() && (self.sent.is_empty() || self.own_write().is_some())
    }

    /// Whether it stood as it is for as long as it says; without a word of that, for as long as ours.
    fn has_lasted(&self, record: Option<&LeaseRecord>, now: Duration) -> bool {
        let seconds = record.and_then(|record| record.seconds);
        let seconds = seconds.filter(|seconds| *seconds > 0);
        let lasts = seconds.unwrap_or(self.timing.lease_seconds());
        let lasts = Duration::from_secs(lasts.into());
        now.saturating_sub(self.unchanged_since) >= lasts
    }

    fn bar(&self) -> Option<Bar> {
        let Seen { record, instance } = self.seen.as_ref()?;
        if self.own_write().is_some() {
            return None;
        }
        match instance {
            Some(instance) if instance == self.instance.as_str() => None,
            Some(instance) => Some(Bar::Instance(Instance::new(instance.as_str()).ok())),
            // One that was made for us and never used.
            None if record.holder.is_empty() => None,
            None => Some(Bar::Stranger),
        }
    }
}
