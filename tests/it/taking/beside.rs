//! Two runs of `adopt` at the same time: one of them ends, and neither calls what the other did the old controller's.

use serde_json::json;

use super::{ALL, DB, Old, Stage, ends};
use crate::support::kubernetes::{Rule, Verb};

/// The second of them takes the Secret over.
fn taking() -> Rule {
    let patches = Rule::namespace("app").name("db").resource("secrets");
    patches.verb(Verb::Patch).dry_run(false).after(1)
}

/// Bug: it said that the old controller had written the Secret, and took off what the other run watched.
#[test]
fn one_that_meets_another_at_work_leaves_it_all() {
    for old in ALL {
        let stage = Stage::new(old);
        let mark = json!({"metadata": {"annotations": {"secretsyncd/adopting": "1"}}});
        stage.kubernetes.before(taking(), move |store| {
            store.patch_as("secretsyncd:adopt", DB, &mark);
        });
        let done = stage.apply(&[]);
        assert!(stage.kubernetes.all_happened());
        ends(&done, 1, &["another run of `adopt` is at work"]);
        let annotations = &stage.metadata()["annotations"];
        assert_eq!(annotations["secretsyncd/adopting"], "1");
        if let Old::Eso(_) = old {
            assert_eq!(annotations["reconcile.external-secrets.io/data-hash"], "");
        }
        stage.kubernetes.was_always_there(DB);
        // Where that one was killed, the next run finishes.
        ends(&stage.apply(&[]), 0, &["taken over: main/app/db"]);
        stage.is_ours();
    }
}

/// Bug: it printed how to take back what the old controller was told, of a Secret that was ours.
#[test]
fn one_that_another_was_quicker_than_takes_nothing_back() {
    for old in [ALL[0], ALL[3]] {
        let stage = Stage::new(old);
        stage.kubernetes.run_controllers("old", stage.app());
        let taken = json!({"metadata": {
            "ownerReferences": null,
            "labels": {
                "reconcile.external-secrets.io/created-by": null, "reconcile.external-secrets.io/managed": null,
            },
            "annotations": {
                "secretsyncd/adopting": null, "secretsyncd/adopted-from": "{}", "secretsyncd/instance": "default",
                "reconcile.external-secrets.io/data-hash": null,
            },
        }});
        stage.kubernetes.before(taking(), move |store| {
            store.patch_as("secretsyncd:adopt", DB, &taken);
        });
        let done = stage.apply(&["--quiesce"]);
        assert!(stage.kubernetes.all_happened());
        ends(&done, 1, &["has taken the Secret over meanwhile"]);
        assert!(!done.stdout.contains("take that back"), "{done:?}");
        stage.kubernetes.was_always_there(DB);
    }
}
