//! Between the clock that waits and the clocks that outlive a process.
//!
//! What is only due is remembered by the wall clock: where that jumps, something comes early or one interval late. What
//! proves something is remembered by the time since the boot, and counts for nothing after another boot or after a
//! jump of the wall clock: no jump may make two reads lie further apart than they did.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock;

/// How far the wall clock may have been adjusted within a boot.
const SLEW: i64 = 60;

/// One moment on all clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub instant: Instant,
    pub wall: Timestamp,
    since_boot: Duration,
}

impl Now {
    pub(super) fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: clock::now(),
            since_boot: clock::since_boot(),
        }
    }

    pub(super) fn wall_of(&self, at: Instant) -> Timestamp {
        let later = at.saturating_duration_since(self.instant);
        let earlier = self.instant.saturating_duration_since(at);
        let wall = self.wall.checked_add(later).unwrap_or(Timestamp::MAX);
        wall.checked_sub(earlier).unwrap_or(Timestamp::MIN)
    }

    /// At most `most` from now, whatever the wall clock did meanwhile.
    pub(super) fn instant_of(&self, at: Timestamp, most: Duration) -> Instant {
        if let Ok(later) = Duration::try_from(at.duration_since(self.wall)) {
            return self.instant + later.min(most);
        }
        let earlier = Duration::try_from(self.wall.duration_since(at));
        let at = self.instant.checked_sub(earlier.unwrap_or_default());
        at.unwrap_or(self.instant)
    }

    /// When the machine booted, in seconds of the wall clock.
    pub(super) fn boot(&self) -> i64 {
        let since = i64::try_from(self.since_boot.as_secs()).unwrap_or(i64::MAX);
        self.wall.as_second().saturating_sub(since)
    }

    pub(super) fn is_same_boot(&self, boot: i64) -> bool {
        self.boot().saturating_sub(boot).saturating_abs() <= SLEW
    }

    /// Milliseconds from the boot to `at`; `None` where that is before it.
    pub(super) fn since_boot(&self, at: Instant) -> Option<u64> {
        let later = at.saturating_duration_since(self.instant);
        let earlier = self.instant.saturating_duration_since(at);
        let since = (self.since_boot + later).checked_sub(earlier)?;
        u64::try_from(since.as_millis()).ok()
    }

    /// `None` for what is not in the past.
    pub(super) fn at_boot_plus(&self, milliseconds: u64) -> Option<Instant> {
        let ago = self
            .since_boot
            .checked_sub(Duration::from_millis(milliseconds))?;
        self.instant.checked_sub(ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn now() -> Now {
        Now {
            instant: Instant::now(),
            wall: Timestamp::from_second(1_800_000_000).unwrap(),
            since_boot: HOUR,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn due_times_come_back_and_are_never_far_ahead() {
        let before = now();
        let due = before.instant + Duration::from_mins(5);
        let kept = before.wall_of(due);
        assert_eq!(before.instant_of(kept, HOUR), due);
        let mut back = before;
        // The clock was set back by a day.
        back.wall = before.wall - Duration::from_hours(24);
        assert_eq!(back.instant_of(kept, HOUR), before.instant + HOUR);
        let past = before.wall_of(before.instant - Duration::from_mins(1));
        assert_eq!(
            before.instant_of(past, HOUR),
            before.instant - Duration::from_mins(1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_proves_something_counts_by_the_boot_alone() {
        let before = now();
        let read = before.instant - Duration::from_mins(4);
        let kept = before.since_boot(read).unwrap();
        assert_eq!(before.at_boot_plus(kept), Some(read));
        // Minutes later, in another process.
        let mut after = before;
        after.instant += Duration::from_mins(3);
        after.wall += Duration::from_mins(3);
        after.since_boot += Duration::from_mins(3);
        assert!(after.is_same_boot(before.boot()));
        assert_eq!(after.at_boot_plus(kept), Some(read));
        // The wall clock was set ahead, or this is another boot.
        after.wall += HOUR;
        assert!(!after.is_same_boot(before.boot()));
        after.since_boot = Duration::from_secs(5);
        assert_eq!(after.at_boot_plus(kept), None);
    }
}
