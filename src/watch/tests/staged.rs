//! What takes an exact moment: the look at a path is replaced by one that does something at that moment.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::watch::trace::{Stamp, Trace};

fn staged(look: fn(&Watched) -> Trace) -> (Watch, Changes) {
    let (orders, ordered) = watch::channel(Orders::default());
    let (report, reports) = mpsc::channel(1);
    let lookout = Lookout::new(EVENTS, ordered, report, Glance::new(look, 1));
    let watch = Watch {
        orders,
        glance: Glance::new(trace::trace, 1),
    };
    let changes = Changes {
        reports,
        lookout: Box::pin(lookout.run()),
    };
    (watch, changes)
}

#[tokio::test]
async fn what_happens_between_looking_and_watching_is_reported() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let root = tempfile::tempdir().unwrap();
    let path = file(root.path().join("app.toml"));
    fs::write(path.path(), "one").unwrap();
    settle(std::slice::from_ref(&path)).await;
    let (mut watch, mut changes) = staged(|path| {
        let seen = trace::trace(path);
        if LOOKS.fetch_add(1, Ordering::Relaxed) == 0 {
            fs::write(path.path(), "two").unwrap();
        }
        seen
    });
    watch.set(BTreeSet::from([path.clone()])).await;
    let told = timeout(PATIENCE, changes.next()).await.unwrap();
    assert_eq!(told, BTreeSet::from([path]));
}

#[tokio::test]
async fn what_was_seen_too_soon_after_a_write_is_reported_once_more() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let (mut watch, mut changes) = staged(|_| Trace {
        looks: Vec::new(),
        sight: Sight {
            stamp: Stamp::Unreadable,
            fresh: LOOKS.fetch_add(1, Ordering::Relaxed) == 0,
        },
    });
    let path = file("/nonexistent/app.toml");
    let all = BTreeSet::from([path]);
    watch.set(all.clone()).await;
    for _ in 0..2 {
        let told = timeout(PATIENCE, changes.next()).await.unwrap();
        assert_eq!(told, all);
    }
    assert!(timeout(SILENCE, changes.next()).await.is_err());
}
