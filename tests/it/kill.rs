//! Killed at any moment, the state opens again, nothing is torn, and no work is done twice but what was under way.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::daemon::{Home, PATIENCE};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

const ENTRIES: usize = 40;
const KILLS: usize = 200;
/// A batch of them is read in one call.
const BATCH: usize = 20;

fn value(entry: usize, version: usize) -> String {
    format!("{entry}:{version}:{}", "x".repeat(500))
}

fn configuration(aws: &SecretsManager, home: &Home) -> String {
    let entries = (0..ENTRIES).map(|n| {
        format!(
            "[secrets.e{n}]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"e{n}\" }} }}]
[[secrets.e{n}.file]]
path = {path}
key = \"value\"
",
            path = home.quoted(&format!("targets/e{n}")),
        )
    });
    aws.store("prod") + &entries.collect::<String>()
}

#[test]
fn two_hundred_kills_tear_nothing_and_repeat_only_what_was_under_way() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let mut versions = [0_usize; ENTRIES];
    for (n, version) in versions.iter().enumerate() {
        aws.put(&format!("e{n}"), &value(n, *version));
    }
    home.configure(&configuration(&aws, &home));
    home.start_ready().stop();
    let mut random = fastrand::Rng::with_seed(17);
    let mut repeated = 0;
    for kill in 0..KILLS {
        for _ in 0..4 {
            let n = random.usize(..ENTRIES);
            versions[n] += 1;
            aws.put(&format!("e{n}"), &value(n, versions[n]));
        }
        let before = aws.log().0.len();
        let mut daemon = home.start();
        sleep(Duration::from_millis(random.u64(..400)));
        daemon.signal(Signal::KILL);
        assert_eq!(
            daemon.wait_exit(PATIENCE),
            None,
            "it was killed, it did not end"
        );
        let log = daemon.output();
        assert!(!log.contains("damaged") && !log.contains("panic"), "{log}");
        let calls = aws.log().0.len() - before;
        // Two batches are due in ten seconds; more can only be what a kill cut short, made once more.
        repeated += calls;
        for (n, newest) in versions.iter().enumerate() {
            let text = home.read_text(&format!("targets/e{n}")).unwrap();
            let whole = (0..=*newest).any(|version| value(n, version) == text);
            assert!(
                whole,
                "kill {kill}: entry {n} holds {} bytes of no version",
                text.len()
            );
        }
    }
    let log = aws.log();
    let (first, last) = (log.0.first().unwrap().at, log.0.last().unwrap().at);
    let rounds = usize::try_from((last - first).as_secs() / 10 + 2).unwrap();
    let due = rounds * ENTRIES.div_ceil(BATCH);
    // Each life may cut short at most one call for each batch, and a change that came may be read once more.
    assert!(
        repeated <= due + KILLS * ENTRIES.div_ceil(BATCH),
        "{repeated} calls where {due} were due"
    );
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the newest versions", || {
        let newest = |(n, version): (usize, &usize)| {
            home.read_text(&format!("targets/e{n}")).as_deref() == Some(&value(n, *version))
        };
        versions.iter().enumerate().all(newest)
    });
    assert_eq!(daemon.status().states(), ["fresh"; ENTRIES]);
    daemon.stop();
}

#[test]
fn nothing_unchanged_is_written_after_a_kill() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    for n in 0..ENTRIES {
        aws.put(&format!("e{n}"), &value(n, 0));
    }
    home.configure(&configuration(&aws, &home).replace("\"10s\"", "\"1h\""));
    home.start_ready().stop();
    let written = || -> Vec<_> {
        let files = (0..ENTRIES).map(|n| home.path(&format!("targets/e{n}")));
        files
            .map(|path| fs::metadata(path).unwrap().modified().unwrap())
            .collect()
    };
    let (before, calls) = (written(), aws.log().0.len());
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..30 {
        let mut daemon = home.start();
        sleep(Duration::from_millis(random.u64(..150)));
        daemon.signal(Signal::KILL);
        daemon.wait_exit(PATIENCE);
    }
    home.start_ready().stop();
    assert_eq!(written(), before);
    assert_eq!(aws.log().0.len(), calls);
}
