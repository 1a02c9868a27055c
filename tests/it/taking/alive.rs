//! An old controller that is still at work: seen before it is too late, and told of when it comes back.

use serde_json::{Value, json};

use super::{ALL, DB, Old, Stage, ends};
use crate::support::kubernetes::{Deletion, ESO, Eso, KES, Pace, Rule, STORES, Verb};

fn patches() -> Rule {
    Rule::namespace("app")
        .name("db")
        .resource("secrets")
        .verb(Verb::Patch)
        .dry_run(false)
}

#[test]
fn one_that_writes_while_it_is_watched_keeps_its_secret() {
    for old in ALL {
        for pace in [Pace::AtOnce, Pace::AtGet(1)] {
            let stage = Stage::new(old);
            let owners = stage.metadata()["ownerReferences"].clone();
            stage.kubernetes.controller_lives(DB, pace);
            let done = stage.apply(&[]);
            ends(
                &done,
                1,
                &["is still at work: it wrote the Secret while we watched"],
            );
            assert!(!done.stdout.contains("kubectl delete"), "{done:?}");
            stage.is_theirs();
            assert_eq!(stage.metadata()["ownerReferences"], owners);
        }
    }
}

#[test]
fn one_that_is_seen_to_run_is_not_even_tried() {
    for old in ALL {
        let stage = Stage::new(old);
        stage.kubernetes.run_controllers("old", stage.app());
        let before = stage.secret();
        ends(&stage.apply(&[]), 1, &["still has it"]);
        assert_eq!(stage.secret(), before);
        stage.kubernetes.pods_go();
        ends(&stage.apply(&[]), 1, &["still has it"]);
        stage.kubernetes.scale_down("old", stage.app());
        ends(&stage.apply(&[]), 0, &["taken over: main/app/db"]);
        stage.is_ours();
    }
}

#[test]
fn one_that_comes_back_is_told_of_and_no_deletion_is_advised() {
    for old in ALL {
        let stage = Stage::new(old);
        // Just after the patch that takes it over, of which the canary is the one before.
        stage
            .kubernetes
            .after(patches().after(1), move |store| match old {
                Old::Kes => {
                    // By then nothing of what KES compares is as it wants it.
                    store.kes_polls(DB);
                }
                Old::Eso(_) => store.eso_reconciles(DB),
            });
        let done = stage.apply(&[]);
        assert!(stage.kubernetes.all_happened());
        ends(
            &done,
            1,
            &[
                "has put its marks on the Secret again",
                "do not delete its ExternalSecret",
            ],
        );
        assert!(!done.stdout.contains("kubectl delete"), "{done:?}");
        stage.kubernetes.was_always_there(DB);
        // Once it is quiet, the second try is like the first.
        ends(&stage.apply(&[]), 0, &["taken over: main/app/db"]);
        stage.is_ours();
        stage.old_goes();
        stage.is_ours();
    }
}

#[test]
fn one_that_is_told_to_let_go_does() {
    for (old, app, of) in [
        (Old::Kes, "kubernetes-external-secrets", KES),
        (Old::Eso(Eso::V1), "external-secrets", ESO),
    ] {
        let stage = Stage::new(old);
        stage.kubernetes.run_controllers("old", app);
        stage.kubernetes.controller_lives(DB, Pace::AtOnce);
        let told = Rule::namespace("app").resource(&format!("{}.{}", of.1, of.0));
        let told = told.verb(Verb::Patch).dry_run(false);
        // It hears of it at once: KES by the poll that is due, ESO by an event.
        stage.kubernetes.after(told, move |store| match old {
            Old::Kes => store.kes_polls(DB),
            Old::Eso(_) => store.eso_reconciles(DB),
        });
        let done = stage.apply(&["--quiesce"]);
        ends(&done, 0, &["taken over: main/app/db"]);
        assert!(stage.kubernetes.all_happened());
        stage.is_ours();
        // It rests for good: at the end of its interval it leaves the Secret alone.
        stage.step();
        stage.is_ours();
    }
}

/// Bug: a poll that was due later than the window took its Secret back, once nothing was left that would have kept it.
#[test]
fn a_poll_that_may_come_after_the_window_is_not_risked() {
    let stage = Stage::new(Old::Kes);
    stage.kubernetes.run_controllers("old", stage.app());
    let interval = |milliseconds| {
        let variable = ("POLLER_INTERVAL_MILLISECONDS", milliseconds);
        stage
            .kubernetes
            .set_variable(("old", stage.app()), variable);
    };
    interval("60000");
    let spec = stage.kubernetes.thing(KES, DB).unwrap()["spec"].clone();
    let done = stage.apply(&["--quiesce"]);
    ends(
        &done,
        1,
        &["polls every 60s", "give `--watch` more than 60s"],
    );
    assert_eq!(stage.kubernetes.thing(KES, DB).unwrap()["spec"], spec);
    stage.is_theirs();
    interval("10");
    let done = stage.adopt(&["--apply", "--quiesce", "--watch", "20ms"]);
    ends(&done, 0, &["taken over: main/app/db"]);
    stage.is_ours();
}

#[test]
fn one_that_is_parked_by_its_store_writes_nothing() {
    let stage = Stage::new(Old::Eso(Eso::V1));
    let parked = json!({"spec": {"controller": "parked"}});
    stage
        .kubernetes
        .patch_thing(STORES, ("app", "store"), &parked);
    stage.kubernetes.controller_lives(DB, Pace::AtOnce);
    ends(&stage.apply(&[]), 0, &["taken over: main/app/db"]);
    stage.step();
    stage.is_ours();
}

#[test]
fn a_write_of_somebody_else_in_between_is_looked_at_again() {
    let stage = Stage::new(Old::Kes);
    let label = json!({"metadata": {"labels": {"team": "a"}}});
    for n in 0..2 {
        let label = label.clone();
        // Between the look and the patch: its version is no longer the live one.
        stage.kubernetes.before(patches().after(n), move |store| {
            store.patch_as("kubectl-label", DB, &label);
        });
    }
    ends(&stage.apply(&[]), 0, &["taken over: main/app/db"]);
    assert!(stage.kubernetes.all_happened());
    stage.is_ours();
    assert_eq!(stage.metadata()["labels"]["team"], "a");
}

#[test]
fn what_is_gone_meanwhile_is_never_made_anew() {
    for again in [false, true] {
        let stage = Stage::new(Old::Kes);
        stage.kubernetes.before(patches().after(1), move |store| {
            store.delete("app", "db", &Deletion::default()).unwrap();
            if again {
                store.kes_polls(DB);
            }
        });
        let done = stage.apply(&[]);
        let why = if again {
            "was deleted and made anew meanwhile"
        } else {
            "the Secret is gone"
        };
        ends(&done, 1, &[why]);
        let live = stage.kubernetes.object("app", "db");
        assert_eq!(live.is_some(), again, "{done:?}");
        let controlled =
            |live: &Value| live["metadata"]["ownerReferences"][0]["controller"] == true;
        assert!(live.is_none_or(|live| controlled(&live)));
    }
}

#[test]
fn what_another_object_makes_is_not_told_to_let_go() {
    let stage = Stage::new(Old::Eso(Eso::V1));
    stage.kubernetes.run_controllers("old", "external-secrets");
    let maker = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret", "name": "all", "uid": "0-0",
        "controller": true,
    });
    let made = json!({"metadata": {"ownerReferences": [maker]}});
    stage.kubernetes.patch_thing(ESO, DB, &made);
    let before = stage.kubernetes.thing(ESO, DB);
    let done = stage.apply(&["--quiesce"]);
    ends(
        &done,
        1,
        &[
            "is made by a ClusterExternalSecret",
            "scale External Secrets Operator to 0",
        ],
    );
    let look = stage.look(&["--quiesce"]);
    ends(&look, 1, &["is made by a ClusterExternalSecret"]);
    assert_eq!(stage.kubernetes.thing(ESO, DB), before);
    stage.is_theirs();
}

#[test]
fn a_daemon_that_runs_delivers_what_was_taken_over() {
    let stage = Stage::new(Old::Kes);
    let daemon = stage.home.start_ready();
    assert_eq!(
        daemon.status().entry("db").reason().as_deref(),
        Some("conflict")
    );
    ends(&stage.apply(&[]), 0, &["taken over: main/app/db", "fresh"]);
    assert_eq!(daemon.status().entry("db").state(), "fresh");
    stage.is_ours();
    stage.old_goes();
    stage.is_ours();
}
