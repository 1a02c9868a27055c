//! The one place wall time comes from.
//!
//! Everything that waits uses `tokio::time`; wall time is only for what people and metrics read, and for what outlives
//! the process.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The present wall time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that may ask"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Since the machine booted, time asleep included (`CLOCK_BOOTTIME`).
pub fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// Seconds since the Unix epoch, with fraction, as Prometheus wants them.
#[expect(
    clippy::cast_precision_loss,
    reason = "a double holds milliseconds of this century exactly enough"
)]
pub fn unix_seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
