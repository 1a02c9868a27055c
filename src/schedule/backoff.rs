//! How long to wait after a failure. Pure: the random number comes from outside.
//!
//! There is no retry loop anywhere; a failure only means "due again at".

use std::time::Duration;

use crate::failure::Retry;

const FIRST: Duration = Duration::from_secs(1);
const SOON_AT_MOST: Duration = Duration::from_mins(5);
const RARELY: Duration = Duration::from_hours(1);

/// The wait before the next try.
///
/// `Soon`: exponential from 1 s to min(`interval`, 5 min) with full jitter, never below 1 s. `Rarely`: min(`interval`,
/// 1 h), so that a permanent error costs at most one call in that time. `failures` counts from 1; `random` is in
/// `[0, 1)`.
pub fn delay(retry: Retry, failures: u32, interval: Duration, random: f64) -> Duration {
    match retry {
        Retry::Soon => {
            let doubled =
                FIRST.saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX));
            let most = doubled.min(interval).min(SOON_AT_MOST).max(FIRST);
            most.mul_f64(random).max(FIRST)
        }
        Retry::Rarely => interval.min(RARELY).max(FIRST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_a_second_nor_longer_than_its_bound(
            failures in 1_u32..10_000, seconds in 1_u64..100_000, random in 0.0_f64..1.0,
        ) {
            let interval = Duration::from_secs(seconds);
            let soon = delay(Retry::Soon, failures, interval, random);
            prop_assert!(soon >= FIRST && soon <= interval.min(SOON_AT_MOST));
            let rarely = delay(Retry::Rarely, failures, interval, random);
            prop_assert_eq!(rarely, interval.min(RARELY));
        }
    }

    #[test]
    fn waits_grow_with_failures() {
        let longest = |failures| delay(Retry::Soon, failures, Duration::from_hours(1), 0.999_999);
        assert!(longest(1) < longest(2) && longest(2) < longest(5));
        assert!(longest(40) <= SOON_AT_MOST);
    }
}
