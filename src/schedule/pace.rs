//! Keeps routine flat: no one-second window holds more than twice the mean, or two where the mean is below one.
//! Pure: told the time.
//!
//! A fixed grid with little jitter is nearly flat by itself; what is left are grids of different intervals that meet.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Pace {
    /// When the calls of the last second left.
    left: VecDeque<Instant>,
}

impl Pace {
    /// Whether the window has room for one more call; else when it will. `mean`: calls in a second.
    pub fn room(&mut self, mean: f64, now: Instant) -> Result<(), Instant> {
        while self.left.front().is_some_and(|at| *at + WINDOW <= now) {
            self.left.pop_front();
        }
        let after = f64::from(u32::try_from(self.left.len()).unwrap_or(u32::MAX)) + 1.0;
        match self.left.front() {
            Some(first) if after > (2.0 * mean).max(2.0) => Err(*first + WINDOW),
            Some(_) | None => Ok(()),
        }
    }

    /// A call leaves.
    pub fn left(&mut self, now: Instant) {
        self.left.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// When calls that are due at these times leave.
    fn leave(due: &[u64], mean: f64, start: Instant) -> Vec<Duration> {
        let mut pace = Pace::default();
        let mut now = start;
        let mut left = Vec::new();
        for due in due {
            now = now.max(start + Duration::from_millis(*due));
            while let Err(at) = pace.room(mean, now) {
                assert!(at > now, "it never waits for the past");
                now = at;
            }
            pace.left(now);
            left.push(now - start);
        }
        left
    }

    proptest! {
        #[test]
        fn no_second_holds_more_than_twice_the_mean(
            mut due in prop::collection::vec(0_u64..20_000, 1..200), mean in 0.1_f64..20.0,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().start_paused(true).enable_time().build().unwrap();
            let _inside = runtime.enter();
            due.sort_unstable();
            let left = leave(&due, mean, Instant::now());
            for (i, first) in left.iter().enumerate() {
                let window = left[i..].iter().take_while(|at| **at < *first + WINDOW).count();
                let window = f64::from(u32::try_from(window).unwrap());
                prop_assert!(window <= (2.0 * mean).max(2.0), "{window} at a mean of {mean}");
            }
        }
    }
}
