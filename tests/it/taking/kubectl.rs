//! The commands that are printed, as `kubectl` would do them: what a person copies has to be right.

use serde_json::Value;

use super::{DB, Old, Stage, ends};
use crate::support::kubernetes::{Dependents, Eso, Fault, KES, Rule, Verb};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Patch(String, String, Value),
    Delete(String, String),
}

/// Every line that is one of `kubectl patch` or `kubectl delete`.
pub(super) fn commands(output: &str) -> Vec<Command> {
    let lines = output.lines().flat_map(|line| line.split(" && "));
    let lines = lines.filter_map(|line| line.trim().strip_prefix("kubectl "));
    lines.filter_map(command).collect()
}

fn command(line: &str) -> Option<Command> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [
            "patch",
            kind,
            name,
            "--namespace",
            "app",
            "--type",
            "merge",
            "--patch",
            ..,
        ] => {
            let (_, patch) = line.split_once("--patch ").unwrap();
            let patch = patch
                .strip_prefix('\'')
                .unwrap()
                .strip_suffix('\'')
                .unwrap();
            let patch = serde_json::from_str(patch).unwrap();
            Some(Command::Patch(kind.to_owned(), name.to_owned(), patch))
        }
        [
            "delete",
            kind,
            name,
            "--namespace",
            "app",
            "--cascade=orphan",
            "--wait=false",
        ] => Some(Command::Delete(kind.to_owned(), name.to_owned())),
        _ => None,
    }
}

impl Stage {
    pub(super) fn run(&self, command: &Command) {
        let of = |kind: &str| {
            let (plural, group) = kind.split_once('.').unwrap();
            assert_eq!((group, plural), self.of());
            self.of()
        };
        match command {
            Command::Patch(kind, name, patch) if kind == "secret" => {
                self.kubernetes.patch("kubectl-patch", ("app", name), patch);
            }
            Command::Patch(kind, name, patch) => {
                self.kubernetes.patch_thing(of(kind), ("app", name), patch);
            }
            Command::Delete(kind, name) => {
                self.kubernetes
                    .delete_thing(of(kind), ("app", name), Dependents::Stay);
            }
        }
    }
}

#[test]
fn what_is_printed_before_lets_it_go_and_what_is_printed_after_removes_it() {
    for (old, app) in [
        (Old::Kes, "kubernetes-external-secrets"),
        (Old::Eso(Eso::V1), "external-secrets"),
    ] {
        let stage = Stage::new(old);
        stage.kubernetes.run_controllers("old", app);
        ends(&stage.apply(&[]), 1, &["still has it"]);
        stage.is_theirs();
        let look = stage.look(&[]);
        ends(&look, 0, &[" runs\n", "has a hand on it"]);
        let told = commands(&look.stdout);
        assert_eq!(told.len(), 1, "{look:?}");
        stage.run(&told[0]);
        // What is told is heard: KES writes once more at most, ESO gives the Secret up.
        stage.step();
        let done = stage.apply(&[]);
        ends(&done, 0, &["taken over: main/app/db"]);
        stage.is_ours();
        stage.step();
        stage.is_ours();
        assert_eq!(stage.home.once(&[]).code, Some(0));
        let done = stage.apply(&[]);
        let deletion = commands(&done.stdout);
        let deletion = deletion.iter().find(|it| matches!(it, Command::Delete(..)));
        stage.run(deletion.unwrap());
        stage.step();
        assert!(stage.kubernetes.thing(stage.of(), DB).is_none());
        stage.kubernetes.undefine(stage.of());
        stage.is_ours();
        stage.delivers();
    }
}

#[test]
fn the_way_back_leads_back_while_the_owner_is_there() {
    for old in super::ALL {
        let stage = Stage::new(old);
        let before = stage.metadata();
        let done = stage.apply(&[]);
        ends(&done, 0, &["the way back"]);
        let back = commands(&done.stdout);
        let back = back
            .iter()
            .find(|it| matches!(it, Command::Patch(kind, ..) if kind == "secret"));
        stage.run(back.unwrap());
        stage.kubernetes.collect_garbage();
        let after = stage.metadata();
        assert_eq!(
            after["ownerReferences"], before["ownerReferences"],
            "{old:?}"
        );
        let labels = before["labels"].as_object().into_iter().flatten();
        for (key, value) in labels {
            assert_eq!(after["labels"][key], *value, "{old:?}");
        }
        // It has it again, and keeps it.
        stage.step();
        stage.kubernetes.was_always_there(DB);
        assert_eq!(
            stage.metadata()["ownerReferences"],
            before["ownerReferences"]
        );
        // And where it no longer is, the way back is what loses the Secret, as it says.
        stage.apply(&[]);
        stage
            .kubernetes
            .delete_thing(stage.of(), DB, Dependents::Stay);
        let said = "only as long as its ExternalSecret is there";
        assert!(done.stdout.contains(said), "{done:?}");
        let gone = stage.apply(&[]);
        assert!(!gone.stdout.contains("the way back"), "{gone:?}");
        stage.run(back.unwrap());
        stage.kubernetes.collect_garbage();
        assert!(stage.kubernetes.object("app", "db").is_none());
    }
}

/// Bug: `prune` listed what had been given back as to be deleted, for good, and refused to delete it.
#[test]
fn what_was_given_back_is_forgotten_and_stays() {
    for old in super::ALL {
        let stage = Stage::new(old);
        stage.apply(&[]);
        assert_eq!(stage.home.once(&[]).code, Some(0));
        let done = stage.apply(&[]);
        let back = commands(&done.stdout);
        let is_back = |it: &&Command| matches!(it, Command::Patch(kind, ..) if kind == "secret");
        stage.run(back.iter().find(is_back).unwrap());
        let tables = [stage.aws.store("prod"), stage.kubernetes.cluster("main")];
        stage.home.configure(&tables.concat());
        let before = stage.secret();
        let pruned = stage.home.finish(&["prune", "--apply"]);
        ends(&pruned, 0, &["left to others: main/app/db"]);
        ends(&stage.home.finish(&["prune"]), 0, &["0 orphaned targets"]);
        assert_eq!(stage.secret(), before);
        stage.kubernetes.was_always_there(DB);
    }
}

/// Bug: a second run knew nothing of what the first had told, and so did not say how to take it back.
#[test]
fn what_was_told_for_nothing_is_taken_back_by_what_is_printed_then_and_in_a_second_run() {
    for old in [Old::Kes, Old::Eso(Eso::V1)] {
        for again in [false, true] {
            let stage = Stage::new(old);
            stage.kubernetes.run_controllers("old", stage.app());
            let before = stage.kubernetes.thing(stage.of(), DB).unwrap()["spec"].clone();
            let marks = Rule::namespace("app").resource("secrets").verb(Verb::Patch);
            stage
                .kubernetes
                .fail(marks.dry_run(false), Fault::Forbidden);
            let mut done = stage.apply(&["--quiesce"]);
            if again {
                done = stage.apply(&[]);
            }
            ends(&done, 1, &["does not let us patch", "to take that back:"]);
            let told = stage.kubernetes.thing(stage.of(), DB).unwrap();
            assert_ne!(told["spec"], before);
            for command in commands(&done.stdout) {
                stage.run(&command);
            }
            let mut back = stage.kubernetes.thing(stage.of(), DB).unwrap();
            let spec = back["spec"].as_object_mut().unwrap();
            // A patch that takes away all of it leaves it empty, which says the same.
            spec.retain(|_, it| *it != serde_json::json!({}));
            assert_eq!(back["spec"], before);
            let kept = &back["metadata"]["annotations"]["secretsyncd/spec-before"];
            assert!(kept.is_null(), "{back}");
            stage.is_theirs();
        }
    }
}

/// Bug: what the API server had refused was said to have been told.
#[test]
fn what_was_not_told_is_not_to_be_taken_back() {
    let stage = Stage::new(Old::Kes);
    stage.kubernetes.run_controllers("old", stage.app());
    let of = stage.of();
    for dry_run in [true, false] {
        let told = Rule::namespace("app").resource(&format!("{}.{}", of.1, of.0));
        let told = told.verb(Verb::Patch).dry_run(dry_run);
        stage.kubernetes.fail(told, Fault::Forbidden);
        let done = stage.apply(&["--quiesce"]);
        ends(&done, 1, &["does not let us patch ExternalSecret"]);
        assert!(!done.stdout.contains("take that back"), "{done:?}");
        assert!(!done.stderr.contains("waiting for"), "{done:?}");
        stage.is_theirs();
        // That it would be refused is seen before.
        let code = i32::from(dry_run);
        ends(&stage.look(&["--quiesce"]), code, &[]);
        stage.kubernetes.heal();
    }
}

/// Bug: where a proxy answered in place of the API server, nothing said how to take back what may have been told.
#[test]
fn what_may_have_been_told_is_to_be_taken_back() {
    for fault in [Fault::Lost, Fault::Unparsable, Fault::Page(502)] {
        let stage = Stage::new(Old::Eso(Eso::V1));
        stage.kubernetes.run_controllers("old", stage.app());
        let of = stage.of();
        let told = Rule::namespace("app").resource(&format!("{}.{}", of.1, of.0));
        let told = told.verb(Verb::Patch).dry_run(false);
        stage.kubernetes.fail(told, fault);
        let done = stage.apply(&["--quiesce"]);
        ends(&done, 1, &["to take that back:"]);
        stage.is_theirs();
    }
}

/// Bug: who had told it by hand got no command that takes that back, and between the two nothing said that it was told.
#[test]
fn what_was_told_by_hand_is_taken_back_like_what_was_told_here() {
    for old in [Old::Kes, Old::Eso(Eso::V1)] {
        let stage = Stage::new(old);
        stage.kubernetes.run_controllers("old", stage.app());
        let before = stage.kubernetes.thing(stage.of(), DB).unwrap()["spec"].clone();
        let look = stage.look(&[]);
        stage.run(&commands(&look.stdout)[0]);
        ends(
            &stage.look(&[]),
            0,
            &["was told to let go", "to take that back:"],
        );
        let done = stage.apply(&[]);
        let line = done
            .stdout
            .lines()
            .find(|it| it.contains("kubectl patch secret "));
        // The object comes first, and the Secret only where that was right.
        let back = commands(line.unwrap());
        assert!(
            matches!(&back[..], [Command::Patch(kind, ..), Command::Patch(last, ..)]
            if kind != "secret" && last == "secret")
        );
        for command in &back {
            stage.run(command);
        }
        let mut after = stage.kubernetes.thing(stage.of(), DB).unwrap();
        let spec = after["spec"].as_object_mut().unwrap();
        spec.retain(|_, it| *it != serde_json::json!({}));
        assert_eq!(after["spec"], before);
        assert!(stage.metadata()["ownerReferences"].is_array());
    }
}

#[test]
fn no_deletion_is_advised_while_another_secret_would_go_along() {
    let stage = Stage::new(Old::Kes);
    let uid = stage.kubernetes.thing(KES, DB).unwrap()["metadata"]["uid"].clone();
    let owner = serde_json::json!({
        "apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "name": "db", "uid": uid,
    });
    let more = serde_json::json!({"metadata": {"ownerReferences": [owner]}});
    stage.kubernetes.put("helm", "app", "copy", more);
    ends(&stage.apply(&[]), 0, &["taken over: main/app/db"]);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    let done = stage.apply(&[]);
    ends(
        &done,
        0,
        &[
            "taken over already: main/app/db",
            "do not delete its ExternalSecret yet",
            "copy",
        ],
    );
    assert!(
        !commands(&done.stdout)
            .iter()
            .any(|it| matches!(it, Command::Delete(..)))
    );
    stage.is_ours();
}
