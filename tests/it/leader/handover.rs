//! Hand-overs under constant change: by killing the leader, and by stopping it for longer than its lease.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::{LOCKS, cluster, holder, lease, value};
use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Fault, Kubernetes, Log, Request, Rule, Verb};
use crate::support::suite::in_ci;
use crate::support::wait::{wait_for, wait_until};

const SECRETS: usize = 4;
const MACHINES: [&str; 2] = ["a", "b"];
/// Answers come up to so much late.
const LATE: Duration = Duration::from_millis(250);
const CHANGE_EVERY: Duration = Duration::from_millis(150);

/// What all machines read: every secret has the number of the last change.
struct Source {
    dir: tempfile::TempDir,
    last: AtomicU64,
    over: AtomicBool,
}

impl Source {
    fn new() -> Self {
        let source = Self {
            dir: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
            last: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        source.change();
        source
    }

    fn change(&self) {
        let number = self.last.load(Ordering::Acquire) + 1;
        let lines = (0..SECRETS).map(|n| format!("s{n} = \"{number}\"\n"));
        let next = self.dir.path().join("next");
        fs::write(&next, lines.collect::<String>()).unwrap();
        fs::rename(&next, self.dir.path().join("secrets.toml")).unwrap();
        self.last.store(number, Ordering::Release);
    }

    /// Changes everything again and again, and watches that nothing ever goes back.
    fn keep_changing(&self, kubernetes: &Kubernetes) {
        let mut seen = [0; SECRETS];
        while !self.over.load(Ordering::Acquire) {
            self.change();
            for (n, seen) in seen.iter_mut().enumerate() {
                let now = number(kubernetes, n);
                assert!(now >= *seen, "s{n} went back from {seen} to {now}");
                *seen = now;
            }
            std::thread::sleep(CHANGE_EVERY);
        }
    }

    fn configuration(&self) -> String {
        let path = self.dir.path().join("secrets.toml").display().to_string();
        let entries = (0..SECRETS).map(|n| {
            format!(
                "[secrets.s{n}]
store = \"local\"
refresh_interval = \"1s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"s{n}\" }} }}]
[[secrets.s{n}.kubernetes]]
cluster = \"main\"
namespace = \"app\"
restart = [\"deployment/api\"]
"
            )
        });
        format!("[stores.local.file]\npath = {path:?}\n\n") + &entries.collect::<String>()
    }
}

fn number(kubernetes: &Kubernetes, n: usize) -> u64 {
    value(kubernetes, &format!("s{n}")).map_or(0, |text| text.parse().unwrap())
}

fn wait_delivered(kubernetes: &Kubernetes, least: u64) {
    wait_until(PATIENCE, &format!("every change up to {least}"), || {
        (0..SECRETS).all(|n| number(kubernetes, n) >= least)
    });
}

/// Each Secret's last change was followed by a restart for it, whoever made which.
fn no_restart_was_lost(kubernetes: &Kubernetes) {
    wait_until(
        PATIENCE,
        "every record of a restart to be taken off",
        || {
            (0..SECRETS).all(|n| {
                let object = kubernetes.object("app", &format!("s{n}")).unwrap();
                object["metadata"]["annotations"]["secretsyncd/restart"].is_null()
            })
        },
    );
    let (log, rollouts) = (kubernetes.log(), kubernetes.rollouts());
    for name in (0..SECRETS).map(|n| format!("s{n}")) {
        let taken = |it: &&Request| it.name == name && it.verb == Verb::Apply && it.status == 200;
        let written = log.writes().filter(taken).last().unwrap().at;
        let key = format!("secretsyncd/restart.{name}");
        let last = rollouts.last().unwrap().marks.get(&key);
        let first = rollouts.iter().find(|it| it.marks.get(&key) == last);
        assert!(last.is_some() && first.unwrap().at > written, "{name}");
    }
    eprintln!("{} restarts", rollouts.len());
}

/// Of everything that the API server took, in its order: nobody wrote a Secret after a successor had.
fn nobody_wrote_after_its_successor(log: &Log) -> usize {
    let mut leader = None;
    let mut written: BTreeMap<&str, &str> = BTreeMap::new();
    let mut handovers = 0;
    let accepted = log.writes().filter(|it| (200..300).contains(&it.status));
    for request in accepted {
        let Some(who) = request.who.as_deref() else {
            continue;
        };
        if request.namespace == LOCKS {
            handovers += usize::from(leader.is_some_and(|leader| leader != who));
            leader = Some(who);
            continue;
        }
        let last = written.insert(&request.name, who);
        let deposed = leader != Some(who);
        assert!(
            !(deposed && last == leader),
            "`{who}` wrote `{}` after `{leader:?}` had taken over and written it",
            request.name
        );
    }
    handovers
}

struct Machines<'a> {
    homes: &'a [Home; 2],
    daemons: [Option<Daemon<'a>>; 2],
}

impl Machines<'_> {
    fn signal(&self, which: usize, signal: Signal) {
        self.daemons[which].as_ref().unwrap().signal(signal);
    }

    /// Killed, and started again when its successor leads.
    fn kill(&mut self, which: usize, kubernetes: &Kubernetes) {
        let mut daemon = self.daemons[which].take().unwrap();
        daemon.signal(Signal::KILL);
        daemon.wait_exit(PATIENCE);
        drop(daemon);
        wait_holder_but(which, kubernetes);
        self.daemons[which] = Some(self.homes[which].start_ready());
    }
}

/// The one that leads, once one does.
fn leader(kubernetes: &Kubernetes) -> usize {
    wait_for(PATIENCE, "somebody to lead", || {
        let holder = holder(kubernetes);
        MACHINES.iter().position(|who| *who == holder)
    })
}

fn wait_holder_but(which: usize, kubernetes: &Kubernetes) {
    let other = MACHINES[1 - which];
    wait_until(PATIENCE, &format!("{other} to take over"), || {
        holder(kubernetes) == other
    });
}

#[test]
fn no_deposed_leader_writes_after_its_successor_and_no_change_or_restart_is_lost() {
    let rounds = if in_ci() { 50 } else { 8 };
    let (kubernetes, source) = (cluster(), Source::new());
    kubernetes.deploy("app", "deployments/api");
    let homes = MACHINES.map(|who| {
        let home = Home::new();
        let cluster = kubernetes.cluster_for("main", who);
        home.configure(&[lease(who), cluster, source.configuration()].concat());
        home
    });
    kubernetes.fail(Rule::any(), Fault::Slow(LATE));
    let daemons = homes.each_ref().map(|home| Some(home.start_ready()));
    let mut machines = Machines {
        homes: &homes,
        daemons,
    };
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| source.keep_changing(&kubernetes));
        // However this ends, so does the changing.
        let end = scopeguard(|| source.over.store(true, Ordering::Release));
        for round in 0..rounds {
            let leader = leader(&kubernetes);
            wait_delivered(&kubernetes, source.last.load(Ordering::Acquire));
            if round % 2 == 0 {
                machines.kill(leader, &kubernetes);
            } else {
                machines.signal(leader, Signal::STOP);
                wait_holder_but(leader, &kubernetes);
                // Half of them wake while the successor is at its first writes.
                if round % 4 == 1 {
                    wait_delivered(&kubernetes, source.last.load(Ordering::Acquire));
                }
                machines.signal(leader, Signal::CONT);
            }
        }
        drop(end);
        changing.join().unwrap();
    });
    wait_delivered(&kubernetes, source.last.load(Ordering::Acquire));
    no_restart_was_lost(&kubernetes);
    let handovers = nobody_wrote_after_its_successor(&kubernetes.log());
    assert!(handovers >= rounds, "{handovers} hand-overs");
    let log = kubernetes.log();
    let refused = log
        .0
        .iter()
        .filter(|it| it.status == 409 && it.verb == Verb::Apply);
    eprintln!(
        "{handovers} hand-overs, {} applies refused",
        refused.count()
    );
}

fn scopeguard<F: FnMut()>(end: F) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(end)
}
