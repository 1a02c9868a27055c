//! Waiting for something to become true, always with an end.
//!
//! No scenario sleeps and hopes: it either waits for a fact with a deadline, or it watches that something does
//! *not* happen for a stated time.

use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(50);

/// Polls until `probe` has an answer; fails the test at the deadline.
pub fn wait_for<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            start.elapsed() < deadline,
            "waited {deadline:?} for {what}, in vain"
        );
        std::thread::sleep(STEP);
    }
}

/// Polls until `probe` holds; fails the test at the deadline.
pub fn wait_until(deadline: Duration, what: &str, mut probe: impl FnMut() -> bool) {
    wait_for(deadline, what, || probe().then_some(()));
}

/// Watches for the whole of `span` that `holds` stays true.
pub fn stays_true(span: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < span {
        assert!(holds(), "no longer true: {what}");
        std::thread::sleep(STEP);
    }
}
