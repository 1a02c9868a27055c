//! The connections that watches have for themselves.
//!
//! An API server takes 100 requests at a time on one connection, and the next one hangs without a word. A watch is a
//! request that never ends, so watches stay away from connections that carry anything else, and from that bound.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::failure::{Failure, Reason};
use crate::kube::session::{Door, Traffic};

/// Half of what a server takes: a stream may take a while to be forgotten at the other end.
const STREAMS_PER_LANE: usize = 50;

/// Streams that begin at a time: those that find no connection yet open one each, to keep the first.
const BEGIN_AT_ONCE: usize = 4;

/// Everything that one way into the cluster has for watches. Made anew with that way; streams that are open stay.
pub(in crate::kube) struct Lanes {
    door: Door,
    lanes: Mutex<Vec<Lane>>,
}

#[derive(Clone)]
struct Lane {
    http: reqwest::Client,
    streams: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Room for one stream.
pub(super) struct Taken {
    pub(super) http: reqwest::Client,
    turns: Arc<Semaphore>,
    room: OwnedSemaphorePermit,
}

/// A stream that has begun, in its room.
pub(super) struct Opened {
    pub(super) response: reqwest::Response,
    _room: OwnedSemaphorePermit,
}

impl Lanes {
    pub(in crate::kube) fn new(door: Door) -> Self {
        Self {
            door,
            lanes: Mutex::default(),
        }
    }

    /// Room on a connection that is not full; on a new one where all are.
    pub(super) async fn take(&self) -> Result<Taken, Failure> {
        let mut lanes = self.lanes.lock().await;
        for lane in lanes.iter() {
            if let Ok(room) = Arc::clone(&lane.streams).try_acquire_owned() {
                return Ok(lane.taken(room));
            }
        }
        let door = self.door.clone();
        let made = tokio::task::spawn_blocking(move || door.connector(Traffic::Watches));
        let broken = || Failure::new(Reason::Panic, "opening a connection for watches broke off");
        let lane = Lane {
            http: made.await.map_err(|_| broken())??,
            streams: Arc::new(Semaphore::new(STREAMS_PER_LANE)),
            turns: Arc::new(Semaphore::new(BEGIN_AT_ONCE)),
        };
        let room = Arc::clone(&lane.streams).try_acquire_owned();
        let room = room.map_err(|_| broken())?;
        let taken = lane.taken(room);
        lanes.push(lane);
        Ok(taken)
    }
}

impl Lane {
    fn taken(&self, room: OwnedSemaphorePermit) -> Taken {
        Taken {
            http: self.http.clone(),
            turns: Arc::clone(&self.turns),
            room,
        }
    }
}

impl Taken {
    /// To be held while the stream begins. Nobody closes the semaphore.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    pub(super) fn opened(self, response: reqwest::Response) -> Opened {
        Opened {
            response,
            _room: self.room,
        }
    }
}
