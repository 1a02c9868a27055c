//! Killed before or after any of its requests, it leaves a Secret that is still the old controller's or already ours, and
//! a second try finishes.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::{DB, Old, Stage, ends};
use crate::support::daemon::PATIENCE;
use crate::support::kubernetes::{Eso, Fault, Rule};
use crate::support::wait::wait_until;

/// Nothing in it is by chance but names of versions and times.
fn told_apart_by(secret: &Value) -> Value {
    let mut said = secret.clone();
    let metadata = said["metadata"].as_object_mut().unwrap();
    for key in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
    ] {
        metadata.remove(key);
    }
    let kept = metadata["annotations"].as_object_mut().unwrap();
    assert!(kept.remove("secretsyncd/adopted-from").is_some());
    said
}

fn start(stage: &Stage) -> Child {
    let mut command = stage.home.command(&["adopt", "--apply", "--watch", "1ms"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Kills it at its request of that number, done or not; returns whether there was one.
fn killed(stage: &Stage, number: usize, fault: Fault) {
    stage.kubernetes.fail(Rule::any().after(number), fault);
    let mut child = start(stage);
    wait_until(PATIENCE, "that request", || {
        stage.kubernetes.log().0.len() > number
    });
    child.kill().unwrap();
    child.wait().unwrap();
    stage.kubernetes.heal();
}

fn at_every_request(old: Old) {
    let undisturbed = Stage::new(old);
    ends(&undisturbed.apply(&[]), 0, &["taken over: main/app/db"]);
    let wanted = told_apart_by(&undisturbed.secret());
    let log = undisturbed.kubernetes.log().0;
    let writes: Vec<bool> = log
        .iter()
        .map(|it| it.status == 200 && is_write(it))
        .collect();
    assert_eq!(writes.iter().filter(|it| **it).count(), 2);
    let last = writes.iter().rposition(|it| *it).unwrap();
    for (number, writes) in writes.into_iter().enumerate() {
        for fault in [Fault::Hang, Fault::Lost] {
            // Whether a read was made is nothing that anybody can tell.
            if !writes && matches!(fault, Fault::Lost) {
                continue;
            }
            let is_done = number > last || number == last && matches!(fault, Fault::Lost);
            let stage = Stage::new(old);
            killed(&stage, number, fault);
            stage.kubernetes.was_always_there(DB);
            if is_done {
                stage.is_ours();
                stage.old_goes();
            } else {
                assert!(stage.metadata()["ownerReferences"].is_array());
            }
            let done = stage.apply(&[]);
            ends(
                &done,
                0,
                &[if is_done {
                    "nothing is to be"
                } else {
                    "taken over"
                }],
            );
            stage.is_ours();
            assert_eq!(told_apart_by(&stage.secret()), wanted, "{old:?} {number}");
        }
    }
}

fn is_write(request: &crate::support::kubernetes::Request) -> bool {
    use crate::support::kubernetes::Verb;
    request.verb == Verb::Patch && !request.dry_run
}

#[test]
fn a_kill_at_any_request_leaves_a_secret_of_kes_safe() {
    at_every_request(Old::Kes);
}

#[test]
fn a_kill_at_any_request_leaves_a_secret_of_eso_safe() {
    at_every_request(Old::Eso(Eso::V1));
}
