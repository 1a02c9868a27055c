//! Controllers that are alive, and steps in between requests.

use reqwest::Method;
use serde_json::json;

use super::super::super::{Fault, Pace, Rule, Store, Verb};
use super::super::{MERGE, send};
use super::{DB, PATH, annotation, canary, kes, metadata};

#[test]
fn one_that_lives_answers_a_change_at_once() {
    let kubernetes = kes();
    kubernetes.controller_lives(DB, Pace::AtOnce);
    canary(&kubernetes, "a", "b");
    assert!(annotation(&kubernetes, "a").is_null());
    // A rehearsal changes nothing, so nobody answers.
    let version = metadata(&kubernetes)["resourceVersion"].clone();
    let body = json!({"metadata": {"annotations": {"a": "b"}}});
    send(
        &kubernetes,
        Method::PATCH,
        &format!("{PATH}?dryRun=All"),
        MERGE,
        &body,
    );
    assert_eq!(metadata(&kubernetes)["resourceVersion"], version);
    kubernetes.controllers_end();
    canary(&kubernetes, "a", "b");
    assert_eq!(annotation(&kubernetes, "a"), "b");
}

#[test]
fn one_that_lives_answers_at_the_end_of_its_interval() {
    let kubernetes = kes();
    kubernetes.controller_lives(DB, Pace::AtGet(3));
    canary(&kubernetes, "a", "b");
    let seen = [(); 3].map(|()| annotation(&kubernetes, "a").is_null());
    assert_eq!(seen, [false, false, true]);
    canary(&kubernetes, "a", "b");
    assert!(!annotation(&kubernetes, "a").is_null());
}

#[test]
fn one_lives_while_its_pod_does() {
    let kubernetes = kes();
    kubernetes.run_controllers("old", "kes");
    kubernetes.controller_lives(DB, Pace::AtOnce);
    canary(&kubernetes, "a", "b");
    assert!(annotation(&kubernetes, "a").is_null());
    kubernetes.pods_go();
    canary(&kubernetes, "a", "b");
    assert_eq!(annotation(&kubernetes, "a"), "b");
}

#[test]
fn a_step_may_come_between_two_requests_of_which_the_first_is_not_answered_yet() {
    let kubernetes = kes();
    let patch = Rule::namespace("app").resource("secrets").verb(Verb::Patch);
    kubernetes.after(patch.clone(), |store| store.kes_polls(DB));
    canary(&kubernetes, "a", "b");
    assert!(annotation(&kubernetes, "a").is_null());
    canary(&kubernetes, "a", "b");
    assert_eq!(annotation(&kubernetes, "a"), "b");
    let deed = |store: &mut Store| store.pods_go();
    kubernetes.before(
        Rule::any().resource("externalsecrets.kubernetes-client.io"),
        deed,
    );
    assert!(!kubernetes.all_happened());
    // The second of two is struck, and done all the same.
    kubernetes.fail(patch.after(1), Fault::Forbidden);
    canary(&kubernetes, "c", "d");
    let body = json!({"metadata": {"annotations": {"e": "f"}}});
    assert_eq!(
        send(&kubernetes, Method::PATCH, PATH, MERGE, &body).status,
        403
    );
    assert!(annotation(&kubernetes, "e").is_null());
}
