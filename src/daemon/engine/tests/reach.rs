use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::super::removals::{Loser, brake_from_bytes};
use super::super::{Engine, Mode, Parts};
use crate::daemon::entries::Work;
use crate::daemon::entries::aim::tests::Maker;
use crate::daemon::house::Supply;
use crate::daemon::times::Now;
use crate::decide::Effect;
use crate::failure::{Failure, Reason};
use crate::names::{EntryName, Instance};
use crate::report::{Fact, Reporter};
use crate::state::State;
use crate::sync::{Delivery, End, Handled, Job, Report, Standing};

fn engine(dir: &std::path::Path, make: &Maker, reporter: Reporter) -> Engine {
    Engine::new(Parts {
        seats: crate::target::file::Seats::default(),
        instance: Instance::new("test").unwrap(),
        supply: Supply {
            stores: [].into(),
            entries: vec![make.entry(&["a", "b"], Standing::Found(2))],
            clusters: [].into(),
            prune: None,
        },
        state: Arc::new(State::open(dir).unwrap()),
        reporter,
        pulse: Arc::default(),
        pauses: crate::kube::Pauses::default().listen(),
        reload: Arc::default(),
        lead: crate::daemon::leading::Lead::default(),
        mode: Mode::Forever,
    })
}

fn ended(results: Vec<Result<Effect, Failure>>) -> Report {
    let at = crate::clock::now();
    let targets = results.into_iter().enumerate();
    Report {
        end: End::Delivered {
            seen: Vec::new(),
            heard: Vec::new(),
            kept: None,
            targets: targets
                .map(|(index, result)| {
                    let result = result.map(Handled::Did);
                    (index, Delivery { result, at })
                })
                .collect(),
            stays: Vec::new(),
            everywhere: true,
        },
        took: Duration::ZERO,
    }
}

/// A run knows targets by their place: while it is under way, they stay where they are.
#[tokio::test(start_paused = true)]
async fn namespaces_that_come_and_go_during_a_run_count_when_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let make = Maker::new();
    let failures = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let reporter = Reporter::new(move |fact| {
        if matches!(fact, Fact::Failed { .. }) {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let mut engine = engine(dir.path(), &make, reporter);
    let name = EntryName::new("e").unwrap();
    engine.entries.get_mut(&name).unwrap().work = Work::UnderWay;
    engine.reach(vec![make.entry(&["b", "c"], Standing::Found(2))]);
    let names = |engine: &Engine| {
        let status = engine.status();
        let targets = status.entries[0].targets.iter();
        targets.map(|it| it.target.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&engine), ["main/a/db", "main/b/db"]);
    // The first one fails because its namespace has gone: that is no news.
    let gone = Failure::new(Reason::TargetMissing, "x");
    let job = Job {
        entry: name.clone(),
        generation: engine.entries[&name].generation,
        number: 1,
    };
    engine.run_ended(&job, ended(vec![Err(gone), Ok(Effect::Created)]));
    assert_eq!(names(&engine), ["main/b/db", "main/c/db"]);
    assert_eq!(failures.load(std::sync::atomic::Ordering::Relaxed), 0);
    let entry = &engine.entries[&name];
    let tried: Vec<bool> = entry.targets.iter().map(|it| it.tried).collect();
    assert_eq!(tried, [true, false]);
    assert_eq!(entry.work, Work::UnderWay, "the new one is on its way");
}

/// Places in a list change when others come and go.
#[tokio::test(start_paused = true)]
async fn what_the_brake_holds_of_a_target_stays_with_it_and_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let make = Maker::new();
    let mut engine = engine(dir.path(), &make, Reporter::new(|_| {}));
    let name = EntryName::new("e").unwrap();
    let target = |namespace: &str| Loser::Target(name.clone(), format!("main/{namespace}/db"));
    engine.brake.hold([target("a"), target("b")]);
    engine.reach(vec![make.entry(&["0", "b"], Standing::Found(2))]);
    let held = [(name.clone(), vec!["main/b/db".to_owned()])];
    assert_eq!(engine.held_entries(), held);
    let now = Now::read();
    engine.brake = brake_from_bytes(&engine.brake_to_bytes(&now), &now).unwrap();
    assert_eq!(engine.held_entries(), held);
}

/// What hangs is seen by that, also where its reads go on.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_and_does_not_end_is_overdue_since_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let make = Maker::new();
    let mut engine = engine(dir.path(), &make, Reporter::new(|_| {}));
    let name = EntryName::new("e").unwrap();
    let entry = engine.entries.get_mut(&name).unwrap();
    entry.work = Work::UnderWay;
    entry.began = tokio::time::Instant::now();
    entry.retry = Some(entry.began + Duration::from_mins(30));
    tokio::time::advance(Duration::from_mins(20)).await;
    engine.settle(&name);
    let overdue = |engine: &Engine| {
        let next = engine.status().entries[0].next_sync.unwrap();
        crate::clock::now().duration_since(next)
    };
    assert!(overdue(&engine) >= SignedDuration::from_mins(20));
    engine.entries.get_mut(&name).unwrap().work = Work::Idle;
    engine.settle(&name);
    assert!(overdue(&engine) < SignedDuration::ZERO);
}
