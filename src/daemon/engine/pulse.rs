//! What others may know of the engine without asking it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::daemon::ask::Progress;

/// What others may know of the engine without asking it.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// Seconds from `start` to the last round.
    last_round: AtomicU64,
    rounds: AtomicU64,
    pub(super) ready: AtomicBool,
    told: AtomicBool,
    pub(super) summary: Mutex<String>,
    pub(super) tried: AtomicUsize,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last_round: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
            summary: Mutex::default(),
            ready: AtomicBool::new(false),
            told: AtomicBool::new(false),
            tried: AtomicUsize::new(0),
        }
    }
}

impl Pulse {
    /// True while the loop went round in the last half minute.
    pub fn is_alive(&self) -> bool {
        let now = self.start.elapsed().as_secs();
        now.saturating_sub(self.last_round.load(Ordering::Relaxed)) < 30
    }

    /// The loop went round.
    pub(in crate::daemon) fn beat(&self) {
        let round = self.start.elapsed().as_secs();
        self.last_round.store(round, Ordering::Relaxed);
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the loop went round.
    pub(in crate::daemon) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// How the entries stand, in a line.
    pub(in crate::daemon) fn summary(&self) -> String {
        self.summary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// True once every entry was tried; it does not go back.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The service manager was told so, where there is one: from then on units that wait for us may start.
    pub(in crate::daemon) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    pub(in crate::daemon) fn tell(&self) {
        self.told.store(true, Ordering::Release);
    }

    /// How many of `all` entries were tried.
    pub(in crate::daemon) fn progress(&self, all: usize) -> Progress {
        let done = self.tried.load(Ordering::Relaxed);
        Progress { done, all }
    }
}
