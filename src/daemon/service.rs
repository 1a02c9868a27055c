//! What systemd is told while the daemon runs: that it is ready, that it makes progress, how its entries stand.
//!
//! Everything comes from the scheduler's pulse: a scheduler that hangs falls silent here, and systemd starts the daemon
//! anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Pulse;
use crate::systemd::Notifier;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long systemd is asked to wait on for the first pass, and how often.
const EXTENSION: Duration = Duration::from_mins(1);
const EXTEND_EVERY: Duration = Duration::from_secs(15);

/// Never returns.
pub(super) async fn tend(notifier: Arc<Notifier>, pulse: Arc<Pulse>) -> &'static str {
    let feed = notifier.watchdog_interval();
    let mut look = interval(feed.map_or(LOOK, |feed| feed.min(LOOK)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut teller = Teller::default();
    loop {
        look.tick().await;
        teller.tell(&notifier, &pulse);
    }
}

/// What was told already.
#[derive(Default)]
struct Teller {
    ready: bool,
    summary: String,
    rounds: u64,
    waited: Duration,
    last: Option<tokio::time::Instant>,
}

impl Teller {
    fn tell(&mut self, notifier: &Notifier, pulse: &Pulse) {
        let rounds = pulse.rounds();
        if rounds != self.rounds {
            self.rounds = rounds;
            notifier.watchdog();
        }
        let now = tokio::time::Instant::now();
        let summary = pulse.summary();
        if !self.ready && pulse.is_ready() {
            self.ready = true;
            notifier.ready(&summary);
            pulse.tell();
        } else if summary != self.summary {
            notifier.status(&summary);
        }
        self.summary = summary;
        if !self.ready {
            self.waited += self.last.map_or(EXTEND_EVERY, |last| now - last);
            if self.waited >= EXTEND_EVERY {
                self.waited = Duration::ZERO;
                notifier.extend_timeout(EXTENSION);
            }
        }
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::systemd::Environment;

    /// Everything that was said so far.
    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            all.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        all
    }

    #[test]
    fn a_scheduler_that_stands_still_feeds_no_watchdog() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let environment = Environment {
            notify_socket: Some(path.into()),
            watchdog_usec: Some("3000000".into()),
            watchdog_pid: None,
        };
        let notifier = Notifier::new(&environment, std::process::id());
        let (pulse, mut teller) = (Pulse::default(), Teller::default());
        let fed = |heard: &[String]| heard.iter().filter(|it| it.contains("WATCHDOG=1")).count();
        pulse.beat();
        teller.tell(&notifier, &pulse);
        assert_eq!(fed(&heard(&socket)), 1);
        for _ in 0..10 {
            teller.tell(&notifier, &pulse);
        }
        assert_eq!(fed(&heard(&socket)), 0, "it went round no more");
        pulse.beat();
        teller.tell(&notifier, &pulse);
        assert_eq!(fed(&heard(&socket)), 1);
    }
}
