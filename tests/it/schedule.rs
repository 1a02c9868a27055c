//! Reads happen when they are due: none missing, none bunched, whatever their number.

use std::time::{Duration, Instant};

use crate::support::daemon::Home;
use crate::support::secrets_manager::SecretsManager;
use crate::support::suite::in_ci;
use crate::support::wait::stays_true;

const ENTRIES: usize = 500;
const INTERVAL: Duration = Duration::from_secs(10);
/// Interval, at most a tenth of jitter, and a second for a machine that is busy with other tests.
const LONGEST_GAP: Duration = Duration::from_secs(12);

#[test]
fn five_hundred_entries_are_read_every_interval() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let mut config = aws.store("prod");
    for i in 0..ENTRIES {
        aws.put(&format!("s{i}"), &format!("value {i}"));
        let entry = format!(
            "[secrets.s{i}]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"s{i}\" }} }}]\n[[secrets.s{i}.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted(&format!("targets/s{i}"))
        );
        config += &entry;
    }
    home.configure(&config);
    let span = Duration::from_secs(if in_ci() { 120 } else { 35 });
    let daemon = home.start_ready();
    let start = Instant::now();
    stays_true(span, "the daemon answers", || {
        daemon.status().states().len() == ENTRIES
    });
    let (log, end) = (aws.log(), Instant::now());

    let mut late = Vec::new();
    for i in 0..ENTRIES {
        let name = format!("s{i}");
        let last = log.last_read(&name).expect("every entry is read");
        let longest = log
            .gaps(&name)
            .into_iter()
            .chain([end - last])
            .max()
            .unwrap();
        if longest > LONGEST_GAP {
            late.push((name, longest));
        }
    }
    assert!(
        late.is_empty(),
        "{} entries waited too long: {:?}",
        late.len(),
        &late[..late.len().min(5)]
    );
    routine_reads_are_spread(&log, start);
    let states = daemon.status();
    assert!(states.states().iter().all(|state| *state == "fresh"));
    assert_eq!(daemon.stop(), Some(0));
}

/// No one-second window of routine reads above twice the mean, a second's worth of noise allowed for.
fn routine_reads_are_spread(log: &crate::support::secrets_manager::Log, start: Instant) {
    let routine = start + INTERVAL + Duration::from_secs(2);
    let times: Vec<Instant> = log
        .0
        .iter()
        .map(|r| r.at)
        .filter(|at| *at >= routine)
        .collect();
    let mean = ENTRIES as u128 / u128::from(INTERVAL.as_secs());
    for (i, first) in times.iter().enumerate() {
        let window = times[i..]
            .iter()
            .take_while(|at| **at - *first < Duration::from_secs(1));
        let count = window.count() as u128;
        assert!(
            count <= mean * 3,
            "{count} reads in one second, the mean is {mean}"
        );
    }
}
