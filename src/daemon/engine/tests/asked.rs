//! What is asked for while a read is on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::super::{Mode, Urgency};
use super::with_a_broken_entry;
use crate::daemon::ask::{Ask, Progress, Unknown, Wanted};
use crate::names::EntryName;
use crate::report::{Condition, Fact, Reporter};
use crate::status::EntryStatus;

type Over = oneshot::Receiver<Result<Vec<EntryStatus>, Unknown>>;

fn sync(names: &[&str]) -> (Ask, watch::Receiver<Progress>, Over) {
    let names = names.iter().map(|name| EntryName::new(*name).unwrap());
    let (progress, seen) = watch::channel(Progress::default());
    let (done, over) = oneshot::channel();
    let ask = Ask::Sync {
        which: Wanted::Names(names.collect()),
        progress,
        done,
    };
    (ask, seen, over)
}

/// What is under way when a sync is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Earlier {
    Nothing,
    Read,
    Run,
}

/// How often `good` ran until the sync was over.
async fn runs(earlier: Earlier) -> u32 {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let reporter = Reporter::new(move |fact| {
        if matches!(fact, Fact::Run { took: Some(_), .. }) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut engine = with_a_broken_entry(&dir, Mode::Forever, reporter);
    engine.entries.remove("broken").unwrap();
    engine.untried.remove("broken");
    let (ask, progress, over) = sync(&["good"]);
    let (asks, asked) = mpsc::channel(1);
    if earlier == Earlier::Read {
        let read = engine.entries["good"].reads().next().unwrap().clone();
        engine.call(&read, None, Urgency::Now);
        tokio::time::sleep(Duration::from_millis(20)).await;
        engine.start_due();
    }
    match earlier {
        Earlier::Nothing | Earlier::Read => engine.asked(ask),
        // The loop begins with the first pass.
        Earlier::Run => asks.send(ask).await.unwrap(),
    }
    let stop = CancellationToken::new();
    let (_orders, ordered) = mpsc::channel(1);
    let asking = async {
        let entries = over.await.unwrap().unwrap();
        stop.cancel();
        entries
    };
    let ((), entries) = tokio::join!(engine.run(stop.clone(), asked, ordered), asking);
    assert_eq!(entries[0].state, Condition::Fresh);
    assert_eq!(*progress.borrow(), Progress { done: 1, all: 1 });
    runs.load(Ordering::Relaxed)
}

/// What was read before the wish may be older than what made somebody wish it.
#[tokio::test]
async fn what_began_earlier_is_followed_by_another_run() {
    assert_eq!(runs(Earlier::Nothing).await, 1);
    assert_eq!(runs(Earlier::Read).await, 2);
    assert_eq!(runs(Earlier::Run).await, 2);
}

#[tokio::test]
async fn one_that_fails_holds_back_no_other_and_nobody_has_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let mut engine = with_a_broken_entry(&dir, Mode::Forever, Reporter::new(|_| {}));
    let (gone, _, over) = sync(&["broken", "good"]);
    drop(over);
    engine.asked(gone);
    let (ask, _, over) = sync(&["good", "broken", "good"]);
    engine.asked(ask);
    let (unknown, _, refused) = sync(&["good", "goood"]);
    engine.asked(unknown);
    let (_asks, asked) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let (_orders, ordered) = mpsc::channel(1);
    let asking = async {
        let entries = over.await.unwrap().unwrap();
        stop.cancel();
        entries
    };
    let ((), entries) = tokio::join!(engine.run(stop.clone(), asked, ordered), asking);
    let states: Vec<_> = entries.iter().map(|it| (&*it.name, it.state)).collect();
    assert_eq!(
        states,
        [("broken", Condition::Failing), ("good", Condition::Fresh)]
    );
    let refused = refused.await.unwrap().unwrap_err();
    assert_eq!(refused.near, Some(EntryName::new("good").unwrap()));
}
