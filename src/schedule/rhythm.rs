//! When a routine read comes round: a fixed place in its interval, moved by a little jitter each time.
//!
//! Places are spread by the golden ratio, which keeps any number of them even over the interval; a fixed grid keeps
//! the mean distance exactly the interval, however late a single read was.

use std::time::Duration;

use tokio::time::Instant;

/// Jitter as a share of the interval (at most 10 %).
pub const JITTER: f64 = 0.1;

const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The grid of one read.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    interval: Duration,
    first: Instant,
}

impl Rhythm {
    /// The `place`-th read of a schedule that begins at `start`.
    pub fn new(interval: Duration, start: Instant, place: u32) -> Self {
        let share = (f64::from(place) * GOLDEN).fract();
        Self {
            interval,
            first: start + interval.mul_f64(share),
        }
    }

    /// The same on a grid that began `age` before `start`.
    pub fn aged(interval: Duration, (start, age): (Instant, Duration), place: u32) -> Self {
        let into = age.as_nanos() % interval.as_nanos().max(1);
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or(0));
        let rhythm = Self::new(interval, start, place);
        let phase = rhythm.first - start;
        let until = match phase.checked_sub(into) {
            Some(until) => until,
            None => (phase + interval).saturating_sub(into),
        };
        let first = start + until;
        Self { interval, first }
    }

    /// The last slot at or before `now`, before the grid of this process too.
    pub fn last(&self, now: Instant) -> Option<Instant> {
        if now < self.first {
            return self.first.checked_sub(self.interval);
        }
        let slots = (now - self.first).as_nanos() / self.interval.as_nanos().max(1);
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        Some(self.first + self.interval.saturating_mul(slots))
    }

    /// The first time after `now`. `random` is in `[0, 1)`.
    pub fn next(&self, now: Instant, random: f64) -> Instant {
        self.next_within(now, self.interval.mul_f64(JITTER), random)
    }

    /// The same with less jitter than usual: at most `most`.
    pub fn next_within(&self, now: Instant, most: Duration, random: f64) -> Instant {
        let passed = now.saturating_duration_since(self.first);
        let slot = if now < self.first {
            self.first
        } else {
            let slots = passed.as_nanos() / self.interval.as_nanos().max(1) + 1;
            let slots = u32::try_from(slots).unwrap_or(u32::MAX);
            self.first + self.interval.saturating_mul(slots)
        };
        slot + most.min(self.interval.mul_f64(JITTER)).mul_f64(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test(start_paused = true)]
    async fn gaps_stay_within_interval_and_jitter_and_keep_the_mean() {
        let start = Instant::now();
        let interval = Duration::from_secs(10);
        let rhythm = Rhythm::new(interval, start, 3);
        let mut random = fastrand::Rng::with_seed(7);
        let first = rhythm.next(start, random.f64());
        assert!(first <= start + interval.mul_f64(1.1));
        let mut at = first;
        for _ in 0..1000 {
            let next = rhythm.next(at, random.f64());
            let gap = next - at;
            assert!(
                gap >= interval.mul_f64(0.9) && gap <= interval.mul_f64(1.1),
                "{gap:?}"
            );
            at = next;
        }
        let drift = (at - first).abs_diff(interval * 1000);
        assert!(drift <= interval.mul_f64(0.1), "{drift:?}");
    }

    proptest! {
        #[test]
        fn places_are_spread_evenly(count in 50_u32..2000) {
            let runtime = tokio::runtime::Builder::new_current_thread().start_paused(true).enable_time().build().unwrap();
            let _inside = runtime.enter();
            let start = Instant::now();
            let interval = Duration::from_secs(100);
            let mut tenths = [0_u32; 10];
            for place in 0..count {
                let at = Rhythm::new(interval, start, place).first - start;
                tenths[usize::try_from(at.as_secs() / 10).unwrap().min(9)] += 1;
            }
            let even = count / 10;
            prop_assert!(tenths.iter().all(|&n| n <= even * 2 && n * 2 >= even), "{:?}", tenths);
        }
    }
}
