//! A Secret that somebody else made and External Secrets Operator merges into: our keys change hands, all else stays.

use std::collections::BTreeMap;

use serde_json::json;

use super::crash::{is_write, killed};
use super::kubectl::{Command, commands};
use super::{DATA, DB, NEW, Old, Stage, ends, object};
use crate::support::daemon::{Finished, Home};
use crate::support::kubernetes::{ESO, Eso, Fault, How, Kubernetes, Pace};
use crate::support::secrets_manager::SecretsManager;

const BASE: (&str, &str) = ("base", "of helm");
const APP: &str = "external-secrets";

/// The operator is alive.
fn stage(policy: &str) -> Stage {
    let stage = Stage {
        aws: SecretsManager::start(),
        kubernetes: Kubernetes::start(),
        home: Home::new(),
        old: Old::Eso(Eso::V1),
    };
    stage.aws.put("db", &object(&DATA));
    stage.kubernetes.put_data("helm", DB.0, DB.1, &[BASE]);
    let spec = json!({"target": {"creationPolicy": policy}});
    stage.kubernetes.eso_keeps(Eso::V1, DB, &DATA, &spec);
    stage.kubernetes.run_controllers("old", APP);
    stage.configure("creation_policy = \"merge\"");
    stage
        .kubernetes
        .watch_presence(DB, &[DATA[0], DATA[1], BASE]);
    stage
}

impl Stage {
    fn holders(&self, key: &str) -> Vec<(String, How)> {
        self.kubernetes.owners(DB.0, DB.1, key)
    }

    fn has_no_mark(&self) {
        let metadata = self.metadata();
        for kind in ["labels", "annotations"] {
            let keys = metadata[kind].as_object().into_iter().flatten();
            let mut keys = keys.map(|(key, _)| key);
            let is_mark = |key: &&String| {
                key.starts_with("reconcile.external-secrets.io/") || *key == "secretsyncd/adopting"
            };
            assert_eq!(keys.find(is_mark), None, "{metadata}");
        }
    }

    fn goes_back(&self, done: &Finished) {
        let mut lines = done.stdout.lines();
        let line = lines.find(|it| it.contains("kubectl patch secret "));
        let back = commands(line.unwrap());
        assert_eq!(back.len(), 2, "{done:?}");
        for command in &back {
            self.run(command);
        }
        let labels = &self.metadata()["labels"];
        assert_eq!(labels["reconcile.external-secrets.io/managed"], "true");
    }

    /// The first new value after all of the operator is gone.
    fn renewed(&self) -> Option<i32> {
        self.aws.put("db", &object(&[("a", NEW)]));
        self.home.once(&[]).code
    }
}

fn ours() -> Vec<(String, How)> {
    vec![("secretsyncd:default:db".to_owned(), How::Apply)]
}

/// Bug: it was refused, and the advice would have taken the keys of others.
#[test]
fn its_keys_change_hands_and_those_of_others_stay() {
    let stage = stage("Merge");
    assert_eq!(stage.home.once(&[]).code, Some(0), "beside the operator");
    let look = stage.look(&[]);
    ends(
        &look,
        0,
        &["has a hand on it", "the hold of", "on a, b", "None"],
    );
    assert!(!look.stdout.contains("wrote keys, too"), "{look:?}");
    ends(&stage.apply(&[]), 1, &["still has it"]);
    stage.kubernetes.controller_lives(DB, Pace::AtOnce);
    let spec = stage.kubernetes.thing(ESO, DB).unwrap()["spec"].clone();
    let done = stage.apply(&["--quiesce"]);
    ends(&done, 0, &["taken over: main/app/db", "the way back"]);
    stage.has_no_mark();
    assert_eq!(stage.holders("a"), ours());
    assert_eq!(stage.holders("base"), [("helm".to_owned(), How::Update)]);
    let annotations = &stage.metadata()["annotations"];
    assert!(annotations["argocd.argoproj.io/sync-options"].is_null());
    stage.step();
    stage.has_no_mark();
    // Bug: what our own apply had written was said to be somebody's drift.
    let once = stage.home.once(&[]);
    assert!(!once.stderr.contains("put back"), "{once:?}");
    // Back and there again.
    stage.goes_back(&done);
    let told = stage.kubernetes.thing(ESO, DB).unwrap();
    assert_eq!(told["spec"]["target"]["creationPolicy"], "Merge");
    assert_eq!(told["spec"]["refreshInterval"], spec["refreshInterval"]);
    stage.step();
    ends(
        &stage.apply(&["--quiesce"]),
        0,
        &["taken over: main/app/db"],
    );
    assert_eq!(stage.home.once(&[]).code, Some(0));
    let done = stage.apply(&[]);
    ends(&done, 0, &["taken over already", "may go now"]);
    for command in commands(&done.stdout) {
        // The first line of them is what removes it; the way back is not gone.
        match command {
            Command::Delete(..) => stage.run(&command),
            Command::Patch(..) => {}
        }
    }
    assert!(stage.kubernetes.thing(ESO, DB).is_none());
    stage.kubernetes.undefine(ESO);
    stage.kubernetes.collect_garbage();
    stage.kubernetes.was_always_there(DB);
    assert_eq!(stage.renewed(), Some(0));
    let bytes = |(key, value): (&str, &str)| (key.to_owned(), value.as_bytes().to_vec());
    let wanted = BTreeMap::from([("a", NEW), BASE].map(bytes));
    assert_eq!(stage.kubernetes.data("app", "db"), Some(wanted));
}

/// What the test above sees is not the stand-in's kindness.
#[test]
fn what_was_not_taken_over_is_held_long_after_the_operator_is_gone() {
    let stage = stage("Merge");
    assert_eq!(stage.home.once(&[]).code, Some(0));
    stage.old_goes();
    assert_eq!(stage.renewed(), Some(1));
    // By name: nothing else says that there was an operator, once its marks were taken off by hand.
    stage.kubernetes.patch(
        "kubectl-edit",
        DB,
        &json!({"metadata": {
            "labels": {"reconcile.external-secrets.io/managed": null},
            "annotations": {"reconcile.external-secrets.io/data-hash": null},
        }}),
    );
    stage.aws.put("db", &object(&DATA));
    let done = stage.apply(&["db"]);
    ends(&done, 0, &["taken over: main/app/db"]);
    assert_eq!(stage.holders("b"), ours());
    stage.kubernetes.was_always_there(DB);
    assert_eq!(stage.renewed(), Some(0));
}

/// Bug: `prune` took the keys away that the operator counts on again.
#[test]
fn what_was_given_back_stays_when_its_entry_goes() {
    let stage = stage("Merge");
    assert_eq!(stage.home.once(&[]).code, Some(0));
    let done = stage.apply(&["--quiesce"]);
    ends(&done, 0, &["taken over: main/app/db"]);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    let tables = [stage.aws.store("prod"), stage.kubernetes.cluster("main")];
    stage.home.configure(&tables.concat());
    stage.goes_back(&done);
    let pruned = stage.home.finish(&["prune", "--apply"]);
    ends(&pruned, 0, &["left to others: main/app/db"]);
    stage.kubernetes.was_always_there(DB);
}

/// Bug: a key that the entry had merged and lost since went with the operator's hold on it.
#[test]
fn keys_that_nobody_will_renew_are_named_and_stay_where_that_is_accepted() {
    for delivered in [false, true] {
        let stage = stage("Merge");
        if delivered {
            assert_eq!(stage.home.once(&[]).code, Some(0));
        }
        stage.aws.put("db", &object(&DATA[..1]));
        let told = "has keys of External Secrets Operator that no entry writes: b";
        ends(&stage.look(&[]), 1, &[told, "--accept-changes"]);
        ends(&stage.apply(&["--quiesce"]), 1, &[told]);
        let spec = stage.kubernetes.thing(ESO, DB).unwrap()["spec"].clone();
        assert_eq!(spec["target"]["creationPolicy"], "Merge");
        stage.kubernetes.pods_go();
        stage.kubernetes.scale_down("old", APP);
        let done = stage.apply(&["--accept-changes"]);
        ends(&done, 0, &["taken over: main/app/db"]);
        assert_eq!(stage.home.once(&[]).code, Some(0));
        let eso = "externalsecrets.external-secrets.io/db".to_owned();
        assert_eq!(stage.holders("b"), [(eso, How::Update)]);
        stage.kubernetes.was_always_there(DB);
    }
}

/// Bug: an operator that writes other keys of the Secret for others was told to let go, and its object to be deleted.
#[test]
fn an_operator_that_writes_none_of_its_keys_is_let_alone() {
    let stage = stage("Merge");
    stage.aws.put("db", &object(&[("c", NEW)]));
    assert_eq!(stage.home.once(&[]).code, Some(0));
    let before = (stage.secret(), stage.kubernetes.thing(ESO, DB));
    ends(&stage.look(&[]), 0, &["0 targets"]);
    ends(&stage.apply(&["--quiesce"]), 0, &["nothing is to be"]);
    ends(&stage.apply(&["db", "--quiesce"]), 0, &["nothing is to be"]);
    assert_eq!((stage.secret(), stage.kubernetes.thing(ESO, DB)), before);
}

#[test]
fn what_goes_with_its_owner_is_not_taken_in_part() {
    let stage = stage("Owner");
    let before = stage.secret();
    let told = "is owned by an ExternalSecret, and this entry only merges into it";
    ends(&stage.look(&[]), 1, &[told, "keep the ExternalSecret"]);
    ends(&stage.apply(&[]), 1, &[told]);
    assert_eq!(stage.secret(), before);
}

#[test]
fn entries_that_merge_into_one_secret_take_turns() {
    let stage = stage("Merge");
    stage.aws.put("other", &object(&DATA[1..]));
    stage.aws.put("db", &object(&DATA[..1]));
    let entry = |name: &str, more: &str| {
        format!(
            "[secrets.{name}]\nstore = \"prod\"\ndata_from = [{{ extract = {{ key = \"{name}\" }} }}]\n\
             [[secrets.{name}.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\nname = \"db\"\n\
             creation_policy = \"merge\"\n{more}\n"
        )
    };
    let tables = [
        stage.aws.store("prod"),
        stage.kubernetes.cluster("main"),
        entry("db", "labels = { team = \"db\" }"),
        entry("other", ""),
    ];
    stage.home.configure(&tables.concat());
    let label = |value: Option<&str>| {
        let patch = json!({"metadata": {"labels": {"team": value}}});
        stage.kubernetes.patch("kubectl-label", DB, &patch);
    };
    let told = "that no entry writes: b";
    ends(&stage.look(&["db"]), 1, &[told, "deliver the entry"]);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    label(Some("helm"));
    stage.kubernetes.pods_go();
    stage.kubernetes.scale_down("old", APP);
    let turns = [
        "taken over: main/app/db, for db",
        "another entry takes over its own keys of the same Secret",
    ];
    ends(&stage.apply(&[]), 1, &turns);
    // Nobody said that this is ours.
    assert_eq!(stage.metadata()["labels"]["team"], "helm");
    label(None);
    ends(&stage.apply(&[]), 0, &["taken over: main/app/db"]);
    let ours = |name: &str| vec![(format!("secretsyncd:default:{name}"), How::Apply)];
    let held = [stage.holders("a"), stage.holders("b")];
    assert_eq!(held, [ours("db"), ours("other")]);
    stage.kubernetes.was_always_there(DB);
}

#[test]
fn a_kill_at_any_write_leaves_its_keys_to_somebody_and_a_second_run_finishes() {
    let quiet = || {
        let stage = stage("Merge");
        stage.kubernetes.pods_go();
        stage.kubernetes.scale_down("old", APP);
        stage
    };
    let undisturbed = quiet();
    ends(&undisturbed.apply(&[]), 0, &["taken over: main/app/db"]);
    let log = undisturbed.kubernetes.log().0;
    let writes: Vec<usize> = (0..log.len()).filter(|&at| is_write(&log[at])).collect();
    assert_eq!(writes.len(), 2);
    for number in writes {
        for fault in [Fault::Hang, Fault::Lost] {
            let stage = quiet();
            killed(&stage, number, fault);
            stage.kubernetes.was_always_there(DB);
            assert!(!stage.holders("a").is_empty());
            assert_eq!(stage.apply(&["db"]).code, Some(0));
            stage.has_no_mark();
            assert_eq!([stage.holders("a"), stage.holders("b")], [ours(), ours()]);
            stage.kubernetes.was_always_there(DB);
        }
    }
}
