//! Killed before or after any of its requests, it leaves a Secret that is still the old controller's or already ours, and
//! a second try finishes.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::{DB, Old, Stage, ends};
use crate::support::daemon::PATIENCE;
use crate::support::kubernetes::{Eso, Fault, Request, Rule, Verb};
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

/// Kills it at its request of that number, done or not.
pub(super) fn killed(stage: &Stage, number: usize, fault: Fault) {
    stage.kubernetes.fail(Rule::any().after(number), fault);
    let mut child = start(stage);
    wait_until(PATIENCE, "that request", || {
        stage.kubernetes.log().0.len() > number
    });
    child.kill().unwrap();
    child.wait().unwrap();
    stage.kubernetes.heal();
}

/// Which requests are worth it: those about the Secret, and the first after one; what is merely looked at is looked at again.
fn worth(log: &[Request], only_writes: bool) -> Vec<usize> {
    let is_secret = |number: usize| log[number].resource == "secrets";
    let all = 0..log.len();
    all.filter(|&number| match number {
        _ if only_writes => is_write(&log[number]),
        0 => true,
        _ => is_secret(number) || is_secret(number - 1),
    })
    .collect()
}

fn at_requests(old: Old, only_writes: bool) {
    let undisturbed = Stage::new(old);
    ends(&undisturbed.apply(&[]), 0, &["taken over: main/app/db"]);
    let wanted = told_apart_by(&undisturbed.secret());
    let log = undisturbed.kubernetes.log().0;
    assert_eq!(log.iter().filter(|it| is_write(it)).count(), 2);
    let last = log.iter().rposition(is_write).unwrap();
    for number in worth(&log, only_writes) {
        for fault in [Fault::Hang, Fault::Lost] {
            let done = matches!(fault, Fault::Lost);
            // Whether a read was made is nothing that anybody can tell.
            if done && !is_write(&log[number]) {
                continue;
            }
            let is_ours = number > last || number == last && done;
            let stage = Stage::new(old);
            killed(&stage, number, fault);
            if is_ours {
                stage.is_ours();
                stage.old_goes();
            } else {
                stage.kubernetes.was_always_there(DB);
                assert!(stage.metadata()["ownerReferences"].is_array());
            }
            let said = if is_ours {
                "nothing is to be"
            } else {
                "taken over"
            };
            ends(&stage.apply(&[]), 0, &[said]);
            stage.is_ours();
            assert_eq!(told_apart_by(&stage.secret()), wanted, "{old:?} {number}");
        }
    }
}

pub(super) fn is_write(request: &Request) -> bool {
    request.verb == Verb::Patch && !request.dry_run
}

#[test]
fn a_kill_at_any_request_leaves_a_secret_of_kes_safe() {
    at_requests(Old::Kes, false);
}

#[test]
fn a_kill_at_any_write_leaves_a_secret_of_eso_safe() {
    at_requests(Old::Eso(Eso::V1), true);
}
