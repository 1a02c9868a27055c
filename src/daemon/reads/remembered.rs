//! What is known of a read, as bytes for the state and back.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Last, ReadState};
use crate::daemon::raw::{RawStreak, RawVersion};
use crate::daemon::times::Now;
use crate::secret::Fingerprint;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(in crate::daemon) struct RawState {
    version: u32,
    /// Of the store that it was asked of.
    store: [u8; 32],
    last: Option<RawLast>,
    failing: Option<RawStreak>,
    /// When it is next asked for, where that is not its cohort's time.
    next: Option<Timestamp>,
    interval_ms: u64,
    place: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct RawLast {
    version: RawVersion,
    at: Timestamp,
    before: Option<Timestamp>,
}

/// A read as it was left, and where it travelled.
#[derive(Debug)]
pub(in crate::daemon) struct Recalled {
    pub state: ReadState,
    /// Where it travelled: among the reads of that interval, at that place.
    pub seat: Option<(Duration, u32)>,
}

impl RawState {
    pub(in crate::daemon) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self)
            .expect("these structures have string keys and no floats, so JSON can hold them")
    }
}

impl ReadState {
    pub(in crate::daemon) fn to_raw(
        &self,
        store: Fingerprint,
        place: Option<u32>,
        now: &Now,
    ) -> RawState {
        RawState {
            version: VERSION,
            store: *store.as_bytes(),
            last: self.last.as_ref().map(|last| RawLast {
                version: (&last.version).into(),
                at: last.at,
                before: last.before,
            }),
            failing: self.failing.as_ref().map(RawStreak::from),
            next: self
                .next
                .filter(|_| self.failing.is_some())
                .map(|at| now.wall_of(at)),
            interval_ms: u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX),
            place,
        }
    }

    /// `None` for what says nothing about this store, or cannot be read.
    pub(in crate::daemon) fn recalled(
        bytes: &[u8],
        (store, interval): (Fingerprint, Duration),
        now: &Now,
    ) -> Option<Recalled> {
        let raw: RawState = serde_json::from_slice(bytes).ok()?;
        if raw.version != VERSION || Fingerprint::from_bytes(raw.store) != store {
            return None;
        }
        let mut state = Self::new(interval);
        state.last = raw.last.map(|last| Last {
            version: last.version.version(),
            // A clock that was set back makes no answer come from the future.
            at: last.at.min(now.wall),
            before: last.before,
        });
        state.failing = match raw.failing {
            Some(streak) => Some(streak.streak()?),
            None => None,
        };
        state.next = raw.next.map(|at| now.instant_of(at, interval));
        let travelled = Duration::from_millis(raw.interval_ms);
        Some(Recalled {
            state,
            seat: raw.place.map(|place| (travelled, place)),
        })
    }
}
