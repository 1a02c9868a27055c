//! What only the engine can show: that a run that panics is one entry's trouble.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Engine, Mode, Parts};
use crate::config;
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
        adopt: false,
    };
    let target = Target::file(target, &name, state, &Seats::default());
    Entry {
        name,
        store: store.clone(),
        refresh_interval: Duration::from_secs(10),
        max_stale: Duration::from_mins(1),
        reads: vec![Read {
            store,
            source: config::Source::Value {
                key: RemoteKey::new("token").unwrap(),
                version: config::Version::Current,
            },
        }],
        items: vec![Item::One {
            secret_key: key,
            property: None,
            read: 0,
        }],
        targets: vec![target],
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
    broken.items.push(Item::Found { read: 7 });
    Engine::new(Parts {
        instance: Instance::new("test").unwrap(),
        stores: [(name, store)].into(),
        entries: vec![broken, entry("good", dir, &state)],
        state,
        reporter,
        pulse: Arc::default(),
        mode,
    })
}

#[tokio::test]
async fn a_panic_in_one_run_fails_only_that_entry() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let mut engine = with_a_broken_entry(&dir, Mode::Once, Reporter::new(|_| {}));
    let (_queries, asked) = mpsc::channel(1);
    engine.run(CancellationToken::new(), asked).await;
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
    let stop = CancellationToken::new();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        stop.cancel();
    };
    tokio::join!(engine.run(stop.clone(), asked), stopping);
    assert_eq!(
        runs.load(Ordering::Relaxed),
        1,
        "a retry waits a second at least"
    );
}
