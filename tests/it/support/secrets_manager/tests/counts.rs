//! Counting calls by time, on times of the test's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::log::{Log, Operation, Request};
use super::super::quota::Quota;

fn after(start: Instant, milliseconds: u64) -> Instant {
    start + Duration::from_millis(milliseconds)
}

fn log(operation: Operation, times: impl Iterator<Item = Instant>) -> Log {
    let request = |at| Request {
        at,
        operation,
        secrets: Vec::new(),
        version_stage: None,
        version_id: None,
        access_key_id: None,
        user_agent: None,
    };
    Log(times.map(|at| Arc::new(request(at))).collect())
}

#[test]
fn calls_by_operation_and_span() {
    let (start, get) = (Instant::now(), Operation::GetSecretValue);
    let times = [0, 400, 999, 1000, 1399, 3000];
    let log = log(get, times.into_iter().map(|time| after(start, time)));
    assert_eq!(log.calls(get), 6);
    assert_eq!(log.calls(Operation::ListSecrets), 0);
    assert_eq!(
        log.calls_between(get, after(start, 400), after(start, 1000)),
        2
    );
    assert_eq!(log.most_in_a_second(get), 4);
    assert_eq!(log.most_in_a_second(Operation::ListSecrets), 0);
}

#[test]
fn a_quota_holds_in_every_window_and_what_it_turns_away_is_free() {
    let (start, mut quota) = (Instant::now(), Quota::new(2));
    let times = [0, 500, 600, 999, 1000, 1499, 1500, 1501];
    let taken = times.map(|time| quota.takes(after(start, time)));
    assert_eq!(taken, [true, true, false, false, true, false, true, false]);
}
