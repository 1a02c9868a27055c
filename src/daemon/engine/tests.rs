//! What only the engine can show: that a run that panics is one entry's trouble.

mod asked;
mod reach;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Engine, Mode, Parts};
use crate::assemble::bulk::Shape;
use crate::assemble::decode::Decoding;
use crate::assemble::json_format::JsonFormat;
use crate::config;
use crate::config::{OnMissing, RefreshPolicy};
use crate::daemon::house::{Supplied, Supply};
use crate::failure::Reason;
use crate::names::{EntryName, Instance, RemoteKey, SecretKey, StoreName};
use crate::report::{Condition, Fact, Reporter};
use crate::state::State;
use crate::store::{Read, Store};
use crate::sync::{Entry, Item};
use crate::target::Target;
use crate::target::file::Seats;

fn entry(name: &str, dir: &Path, state: &Arc<State>) -> Entry {
    let name = EntryName::new(name).unwrap();
    let key = SecretKey::new("value").unwrap();
    let store = StoreName::new("local").unwrap();
    let target = config::FileTarget {
        path: dir.join(name.as_str()),
        format: config::FileFormat::Raw { key: key.clone() },
        mode: 0o600,
        dir_mode: 0o700,
        owner: None,
        group: None,
        adopt: false,
        deletion_policy: config::DeletionPolicy::Retain,
        check: None,
        on_change: None,
    };
    let target = Target::file(target, &name, state, &Seats::default());
    Entry {
        name,
        configuration: state.fingerprint_key().of([b"a".as_slice()]),
        refresh_policy: RefreshPolicy::Periodic,
        suspended: false,
        store: store.clone(),
        refresh_interval: Duration::from_secs(10),
        max_stale: Duration::from_mins(1),
        reads: vec![Read::new(
            store,
            config::Source::Value {
                key: RemoteKey::new("token").unwrap(),
                version: config::Version::Current,
            },
        )],
        items: vec![Item::One {
            secret_key: key,
            property: None,
            decoding: Decoding::None,
            on_missing: OnMissing::Fail,
            read: 0,
        }],
        json_format: JsonFormat::Raw,
        templates: None,
        targets: vec![target],
        selected: Vec::new(),
    }
}

/// One store and these entries.
fn supply(state: &State, (name, store): (StoreName, Store), entries: Vec<Entry>) -> Supply {
    let supplied = Supplied {
        store: Some(store),
        identity: state.fingerprint_key().of([name.as_str().as_bytes()]),
    };
    Supply {
        stores: [(name, supplied)].into(),
        entries,
        clusters: std::collections::BTreeMap::new(),
        prune: None,
    }
}

fn found(read: usize) -> Item {
    Item::Found {
        shape: Shape::default(),
        on_missing: OnMissing::Fail,
        read,
    }
}

/// An engine over two entries of one file store; the runs of the first panic.
fn with_a_broken_entry(dir: &Path, mode: Mode, reporter: Reporter) -> Engine {
    let path = dir.join("secrets.toml");
    std::fs::write(&path, "token = 'value'\n").unwrap();
    let state = Arc::new(State::open(&dir.join("state")).unwrap());
    let name = StoreName::new("local").unwrap();
    let spec = config::Store::File(config::FileStore { path });
    let store = Store::new(
        &name,
        &spec,
        (&crate::aws::Aws::default(), state.fingerprint_key()),
        reporter.clone(),
    );
    let mut broken = entry("broken", dir, &state);
    // An item over a read that is not there: no configuration makes one, so its run panics.
    broken.items.push(found(7));
    Engine::new(Parts {
        seats: Seats::default(),
        instance: Instance::new("test").unwrap(),
        supply: supply(
            &state,
            (name, store),
            vec![broken, entry("good", dir, &state)],
        ),
        state,
        reporter,
        pulse: Arc::default(),
        pauses: crate::kube::Pauses::default().listen(),
        reload: Arc::default(),
        lead: crate::daemon::leading::Lead::default(),
        mode,
    })
}

#[tokio::test]
async fn a_panic_in_one_run_fails_only_that_entry() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let mut engine = with_a_broken_entry(&dir, Mode::Once, Reporter::new(|_| {}));
    let (_queries, asked) = mpsc::channel(1);
    let (_orders, ordered) = mpsc::channel(1);
    engine.run(CancellationToken::new(), asked, ordered).await;
    let status = engine.status();
    let [broken, good] = &status.entries[..] else {
        panic!("two entries");
    };
    assert_eq!(broken.state, Condition::Failing);
    assert_eq!(broken.error.as_ref().unwrap().reason, "panic");
    assert_eq!(good.state, Condition::Fresh);
    assert_eq!(std::fs::read(dir.join("good")).unwrap(), b"value");
    assert!(!dir.join("broken").exists());
}

#[tokio::test]
async fn a_run_that_panics_is_not_started_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let reporter = Reporter::new(move |fact| {
        if matches!(
            fact,
            Fact::Failed {
                reason: Reason::Panic,
                ..
            }
        ) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut engine = with_a_broken_entry(&dir, Mode::Forever, reporter);
    let (_queries, asked) = mpsc::channel(1);
    let (_orders, ordered) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        stop.cancel();
    };
    tokio::join!(engine.run(stop.clone(), asked, ordered), stopping);
    assert_eq!(
        runs.load(Ordering::Relaxed),
        1,
        "a retry waits a second at least"
    );
}

mod absences;

mod finds {
    use tokio::time::Instant;

    use super::*;
    use crate::aws::{Aws, Service, Upstream};
    use crate::config::{AwsAuth, AwsStore, Fetch, Find, Rates, Source};
    use crate::daemon::engine::traffic::Whereabouts;
    use crate::daemon::entries::Work;
    use crate::failure::Failure;
    use crate::report::Stage;
    use crate::secret::SecretBytes;
    use crate::store::{Answer, Content, Identity, Match};
    use crate::sync::{End, Job, Report};

    fn find() -> Read {
        Read::new(
            StoreName::new("local").unwrap(),
            Source::Find(Box::new(Find {
                path: Some("app/".into()),
                ..Find::default()
            })),
        )
    }

    fn with_finds(dir: &Path, names: &[&str]) -> (Engine, Arc<Upstream>) {
        let state = Arc::new(State::open(&dir.join("state")).unwrap());
        let aws = Aws::default();
        let spec = AwsStore {
            region: Some("eu-west-1".into()),
            account: None,
            fetch: Fetch::Auto,
            requests_per_second: Rates::SECRETS_MANAGER,
            endpoint_url: Some("http://127.0.0.1:9".into()),
            auth: AwsAuth::DEFAULT,
        };
        let name = StoreName::new("local").unwrap();
        let reporter = Reporter::new(|_| {});
        let store = Store::new(
            &name,
            &config::Store::SecretsManager(spec.clone()),
            (&aws, state.fingerprint_key()),
            reporter.clone(),
        );
        let upstream = aws.upstream(Service::SecretsManager, &spec);
        let entries = names.iter().map(|name| {
            let mut entry = entry(name, dir, &state);
            entry.refresh_interval = Duration::from_mins(5);
            entry.reads = vec![find()];
            entry.items = vec![found(0)];
            entry
        });
        let entries = entries.collect();
        let engine = Engine::new(Parts {
            seats: Seats::default(),
            instance: Instance::new("test").unwrap(),
            supply: supply(&state, (name, store), entries),
            state,
            reporter,
            pulse: Arc::default(),
            pauses: crate::kube::Pauses::default().listen(),
            reload: Arc::default(),
            lead: crate::daemon::leading::Lead::default(),
            mode: Mode::Forever,
        });
        (engine, upstream)
    }

    fn matches(count: usize) -> Vec<Match> {
        let key = |text: String| RemoteKey::new(text).unwrap();
        let one = |i| Match {
            name: key(format!("app/{i}")),
            arn: key(format!(
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/{i:05}-abcdef"
            )),
        };
        (0..count).map(one).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_while_batches_were_refused_travels_together_later() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (mut engine, upstream) = with_finds(&dir, &["one"]);
        let one = EntryName::new("one").unwrap();
        upstream.refused_batches(Instant::now());
        engine.found(&find(), &matches(200), std::slice::from_ref(&one));
        tokio::time::advance(Duration::from_hours(3)).await;
        // The find comes round again, too.
        engine.found(&find(), &matches(200), std::slice::from_ref(&one));
        let now = Instant::now();
        let slot = engine.stores.values().next().unwrap();
        let read = engine.entries[&one].reads().nth(1).unwrap();
        assert_eq!(
            slot.store.lane(read, now).size,
            20,
            "batches are tried again"
        );
        let cohorts = engine.cohorts.ids().count();
        assert!(
            cohorts <= 11,
            "{cohorts} cohorts for 200 secrets and a list"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn cohorts_that_went_count_no_longer_for_the_pace() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (mut engine, _upstream) = with_finds(&dir, &["one"]);
        let one = EntryName::new("one").unwrap();
        for round in 0..5 {
            let of_round: Vec<Match> = matches(1000 * (round + 1)).split_off(1000 * round);
            engine.found(&find(), &of_round, std::slice::from_ref(&one));
            let ids: Vec<_> = engine.cohorts.ids().collect();
            for id in ids {
                engine.cohort_due(id, Instant::now());
            }
        }
        let slot = engine.stores.values().next().unwrap();
        let mean: f64 = slot.mean.values().sum();
        assert!(
            mean * 300.0 < 60.0,
            "{} calls an interval for 1,000 secrets",
            mean * 300.0
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_ledger_that_cannot_be_written_is_not_tried_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (mut engine, _upstream) = with_finds(&dir, &["one"]);
        let one = EntryName::new("one").unwrap();
        let answer = Answer {
            identity: Identity::Arns(["arn".to_owned()].into()),
            created: None,
            content: Content::Matches(Vec::new()),
        };
        engine.entries.get_mut(&one).unwrap().work = Work::UnderWay;
        engine.call_ended(&find(), Ok(answer));
        // What `sync::content` returns when `remember_found` fails.
        let job = Job {
            entry: one.clone(),
            generation: engine.entries[&one].generation,
            number: 1,
        };
        engine.run_ended(
            &job,
            Report {
                end: End::NotAssembled {
                    stage: Stage::Apply,
                    heard: Vec::new(),
                    failure: Failure::new(Reason::Io, "the ledger could not be written"),
                },
                took: Duration::ZERO,
            },
        );
        assert_eq!(
            engine.entries[&one].work,
            Work::Idle,
            "started again at once"
        );
        let _ = SecretBytes::new(Vec::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_a_call_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (mut engine, _upstream) = with_finds(&dir, &["one"]);
        let one = EntryName::new("one").unwrap();
        engine.found(&find(), &matches(1), std::slice::from_ref(&one));
        let value = engine.entries[&one]
            .reads()
            .find(|read| **read != find())
            .unwrap()
            .clone();
        // The list is under way for minutes: it has many pages.
        engine.call(&find(), None, crate::schedule::line::Urgency::Now);
        tokio::time::advance(Duration::from_millis(20)).await;
        engine.start_due();
        let began = Instant::now();
        // Somebody else meets a failure that is shared.
        let down = Failure::new(Reason::Network, "x");
        tokio::time::advance(Duration::from_millis(20)).await;
        let failed = vec![(value.clone(), crate::store::Fetched::Done(Err(down)))];
        let _ = engine.hear(&value.store, &failed, began);
        // A run wants the list, which is under way: it is held all the same. Then the value comes round.
        engine.call(&find(), None, crate::schedule::line::Urgency::Now);
        engine.call(&value, None, crate::schedule::line::Urgency::Routine);
        tokio::time::advance(Duration::from_secs(3)).await;
        engine.start_due();
        tokio::time::advance(Duration::from_millis(20)).await;
        engine.start_due();
        let calls = engine.running.len();
        let held = engine.reads[&value].held;
        assert!(
            calls == 2 && !held,
            "{calls} call under way, the old one; the pause is over, no probe has left"
        );
    }

    /// An engine in whose line a value waits, whose time has come while somebody asked for another one of that line:
    /// whether both leave. Which of the two is heard first is chance.
    async fn leave_together(dir: &Path) -> bool {
        let (mut engine, _upstream) = with_finds(dir, &["one"]);
        let one = EntryName::new("one").unwrap();
        engine.found(&find(), &matches(2), std::slice::from_ref(&one));
        let values = engine.entries[&one].reads().filter(|it| **it != find());
        let values: Vec<Read> = values.cloned().collect();
        let [first, second] = &values[..] else {
            panic!("{values:?}");
        };
        engine.call(first, None, crate::schedule::line::Urgency::Now);
        let desk = engine.desk.clone();
        let (_asks, asked) = mpsc::channel(1);
        let (_orders, ordered) = mpsc::channel(1);
        {
            let mut round = std::pin::pin!(engine.run(CancellationToken::new(), asked, ordered));
            tokio::select! {
                biased;
                () = &mut round => panic!("it has ended"),
                () = std::future::ready(()) => {}
            }
            drop(desk.ask(second));
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::select! {
                biased;
                () = &mut round => panic!("it has ended"),
                () = std::future::ready(()) => {}
            }
        }
        let under_way = |read: &Read| match &engine.whereabouts[read] {
            Whereabouts::InLine(_) => false,
            Whereabouts::UnderWay => true,
        };
        assert!(under_way(first));
        under_way(second)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_leaves_with_everybody_who_has_asked_for_it_already() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for number in 0..16 {
            let dir = dir.join(number.to_string());
            std::fs::create_dir(&dir).unwrap();
            assert!(leave_together(&dir).await, "{number}");
        }
    }
}
