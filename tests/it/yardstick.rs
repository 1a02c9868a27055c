//! How late a change was, as the daemon tells it and as somebody tells who watches from outside.
//!
//! Outside is who the daemon cannot fool, and who is not late himself: the file system, which notes when a name was put
//! in place, and the API server, which notes when it was asked.
//!
//! Timed, so it waits until nobody else runs: at the end of the alphabet it keeps few threads waiting.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant, SystemTime};

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::Kubernetes;
use crate::support::machine::Alone;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

const PROPAGATION: &str = "secretsyncd_propagation_seconds";

/// Each has a store of its own, and with that its own series: what one change took is told from what another took.
const SOURCES: usize = 50;
const ROUNDS: usize = 2;
const KINDS: [&str; 2] = ["file", "kubernetes"];

/// How far the two may be apart.
const APART: Duration = Duration::from_millis(50);

/// How often the targets are looked at, for what they hold and not for since when: seldom, so that who looks is no load.
const LOOK: Duration = Duration::from_millis(250);

/// A machine that keeps a thread waiting for so long tells nothing about who takes the time: the round counts for nothing,
/// and there is another one, but not for ever.
const STALL: Duration = Duration::from_millis(20);
const MOST_ROUNDS: usize = 6;

/// The puts of a round are spread over so long, so that reads meet them at any age.
const SPREAD: Duration = Duration::from_secs(5);

struct World {
    aws: SecretsManager,
    kubernetes: Kubernetes,
    home: Home,
    /// In memory, so that nobody waits for a disk between the change and its time.
    place: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self {
            aws: SecretsManager::start(),
            kubernetes: Kubernetes::start(),
            home: Home::new(),
            place: place.unwrap(),
        }
    }

    fn path(&self, source: usize) -> PathBuf {
        self.place.path().join(format!("e{source}"))
    }

    fn configuration(&self) -> String {
        let mut config = self.kubernetes.cluster("main");
        for source in 0..SOURCES {
            config += &self.aws.store(&format!("s{source}"));
            let path = self.path(source).display().to_string();
            let format = if is_set(source) {
                "format = \"directory\""
            } else {
                "key = \"value\""
            };
            let entry = format!(
                "[secrets.e{source}]
store = \"s{source}\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"k{source}\" }} }}]
[[secrets.e{source}.file]]
path = {path:?}
{format}
[[secrets.e{source}.kubernetes]]
cluster = \"main\"
namespace = \"app\"
"
            );
            config += &entry;
        }
        config
    }

    /// Whether both targets have the value.
    fn holds(&self, source: usize, value: &str) -> bool {
        let mut path = self.path(source);
        if is_set(source) {
            path = path.join("value");
        }
        let data = self.kubernetes.data("app", &format!("e{source}"));
        fs::read(path).is_ok_and(|bytes| bytes == value.as_bytes())
            && data.is_some_and(|data| data["value"] == value.as_bytes())
    }

    /// Since when its file, or what leads to its set of files, is in place.
    fn renamed(&self, source: usize) -> SystemTime {
        let mut path = self.path(source);
        if is_set(source) {
            path = path.join("..data");
        }
        let found = fs::symlink_metadata(path).unwrap();
        let seconds = u64::try_from(found.ctime()).unwrap();
        let rest = u32::try_from(found.ctime_nsec()).unwrap();
        SystemTime::UNIX_EPOCH + Duration::new(seconds, rest)
    }

    /// When each Secret was written last.
    fn applied(&self) -> Vec<SystemTime> {
        let log = self.kubernetes.log();
        let at = |source: usize| {
            let name = format!("e{source}");
            let write = log.writes().filter(|request| request.name == name).last();
            SystemTime::now() - write.unwrap().at.elapsed()
        };
        (0..SOURCES).map(at).collect()
    }

    /// Puts a value at every source, one after the other, and says how long each took to both of its targets.
    fn round(&self, round: usize) -> Vec<[Duration; 2]> {
        let value = format!("value of round {round}");
        let step = SPREAD / u32::try_from(SOURCES).unwrap();
        let mut puts = Vec::new();
        for source in 0..SOURCES {
            puts.push(SystemTime::now());
            self.aws.put(&format!("k{source}"), &value);
            sleep(step);
        }
        let (start, mut open) = (Instant::now(), (0..SOURCES).collect::<Vec<_>>());
        while !open.is_empty() {
            assert!(start.elapsed() < PATIENCE, "not there yet: {open:?}");
            sleep(LOOK);
            open.retain(|source| !self.holds(*source, &value));
        }
        let took = |at: SystemTime, put: SystemTime| at.duration_since(put).unwrap_or_default();
        let applied = self.applied().into_iter();
        let times = puts.into_iter().zip(applied).enumerate();
        times
            .map(|(source, (put, applied))| [took(self.renamed(source), put), took(applied, put)])
            .collect()
    }
}

/// Every other source goes to a directory of files.
fn is_set(source: usize) -> bool {
    source % 2 == 1
}

/// Of every source and kind: how many changes were told, and how many seconds they took together.
fn told(daemon: &Daemon<'_>) -> Vec<[(f64, f64); 2]> {
    let metrics = daemon.metrics();
    let of = |source: usize, kind: &str| {
        let store = format!("s{source}");
        let labels = [("store", store.as_str()), ("target_kind", kind)];
        let value = |what: &str| metrics.value(&format!("{PROPAGATION}_{what}"), &labels);
        (value("count"), value("sum"))
    };
    let sources = 0..SOURCES;
    sources
        .map(|source| KINDS.map(|kind| of(source, kind)))
        .collect()
}

#[test]
fn two_hundred_changes_took_as_long_as_the_daemon_says() {
    let _alone = Alone::wait();
    let world = World::new();
    for source in 0..SOURCES {
        world.aws.put(&format!("k{source}"), "first");
    }
    world.home.configure(&world.configuration());
    let daemon = world.home.start_ready();
    wait_until(PATIENCE, "everything fresh", || {
        daemon.status().states().iter().all(|it| *it == "fresh")
    });
    let mut before = told(&daemon);
    assert!(before.iter().flatten().all(|(count, _)| *count < 0.5));
    let (mut changes, mut furthest, mut longest) = (0, Duration::ZERO, Duration::ZERO);
    let mut rounds = 0..MOST_ROUNDS;
    while changes < ROUNDS * SOURCES * KINDS.len() {
        let round = rounds.next().expect("a machine that keeps nobody waiting");
        let (outside, stall) = beside_a_clock(|| world.round(round));
        let now = all_told(&daemon, round + 1);
        let compared = compare(&outside, &before, &now);
        before = now;
        let late = compared.iter().filter(|it| it.apart() > APART);
        let late: Vec<String> = late.map(Compared::to_string).collect();
        if !late.is_empty() && stall > STALL {
            eprintln!("round {round} counts for nothing: a thread waited for {stall:?}");
            continue;
        }
        assert!(late.is_empty(), "round {round}: {late:#?}");
        let seconds = |of: fn(&Compared) -> Duration| compared.iter().map(of).max().unwrap();
        furthest = furthest.max(seconds(Compared::apart));
        longest = longest.max(seconds(|it| it.outside));
        changes += compared.len();
    }
    assert_eq!(changes, 200);
    // They waited for their reads: what is told is no constant.
    assert!(longest > Duration::from_millis(500), "{longest:?}");
    eprintln!("{changes} changes, at most {furthest:?} apart, the longest took {longest:?}");
}

/// How long one change took.
struct Compared {
    source: usize,
    kind: &'static str,
    inside: Duration,
    outside: Duration,
}

impl Compared {
    fn apart(&self) -> Duration {
        self.inside.abs_diff(self.outside)
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            kind,
            inside,
            outside,
        } = self;
        let set = if is_set(*source) { " (a set)" } else { "" };
        write!(
            f,
            "{kind} of e{source}{set}: {inside:?} inside, {outside:?} outside"
        )
    }
}

fn compare(
    outside: &[[Duration; 2]],
    before: &[[(f64, f64); 2]],
    now: &[[(f64, f64); 2]],
) -> Vec<Compared> {
    let sources = 0..SOURCES;
    let both = sources.flat_map(|source| [0, 1].map(|kind| (source, kind)));
    let compared = both.map(|(source, kind)| Compared {
        source,
        kind: KINDS[kind],
        inside: Duration::from_secs_f64((now[source][kind].1 - before[source][kind].1).max(0.0)),
        outside: outside[source][kind],
    });
    compared.collect()
}

/// What is told once every change is, each for the so-manieth time.
fn all_told(daemon: &Daemon<'_>, times: usize) -> Vec<[(f64, f64); 2]> {
    let wanted = f64::from(u32::try_from(times).unwrap());
    let mut now = told(daemon);
    wait_until(PATIENCE, "every change told", || {
        now = told(daemon);
        now.iter().flatten().all(|(count, _)| *count > wanted - 0.5)
    });
    let once = |(count, _): &(f64, f64)| (count - wanted).abs() < 0.5;
    assert!(now.iter().flatten().all(once), "once for each change");
    now
}

/// Runs it, and says for how long the machine kept a thread waiting meanwhile that wanted to run.
fn beside_a_clock<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    const TICK: Duration = Duration::from_millis(1);
    let ends = AtomicBool::new(false);
    scope(|scope| {
        let clock = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !ends.load(Ordering::Relaxed) {
                let start = Instant::now();
                sleep(TICK);
                longest = longest.max(start.elapsed().saturating_sub(TICK));
            }
            longest
        });
        let done = run();
        ends.store(true, Ordering::Relaxed);
        (done, clock.join().unwrap())
    })
}
