//! `--create`: a Secret that is not there, and an `ExternalSecret` that would make it, too.

use super::kubectl::commands;
use super::{ALL, DB, Stage, ends};
use crate::support::kubernetes::Verb;

impl Stage {
    fn has_none(&self) {
        self.kubernetes.delete("app", "db");
    }
}

#[test]
fn what_an_old_controller_may_make_at_any_time_is_not_made_beside_it() {
    for old in ALL {
        let stage = Stage::new(old);
        stage.kubernetes.run_controllers("old", stage.app());
        stage.has_none();
        let text = "may make it at any time: the ExternalSecret `db`";
        for arguments in [&["db", "--create"][..], &["db", "--create", "--apply"]] {
            let done = stage.adopt(arguments);
            ends(&done, 1, &[text, "--quiesce"]);
            assert_eq!(stage.kubernetes.log().of("secrets").write_count(), 0);
        }
    }
}

#[test]
fn what_nobody_is_at_work_for_is_made_and_its_old_object_may_go_then() {
    for old in ALL {
        let stage = Stage::new(old);
        stage.has_none();
        let look = stage.adopt(&["db", "--create"]);
        ends(
            &look,
            0,
            &["create", "ExternalSecret `db` would make it, too"],
        );
        assert!(!look.stdout.contains("kubectl"), "{look:?}");
        let done = stage.apply(&["db", "--create"]);
        let told = "once `secretsyncd status` calls `db` fresh";
        ends(&done, 0, &[told, "may go then"]);
        assert!(!done.stdout.contains("nothing is to be"), "{done:?}");
        assert!(stage.kubernetes.object("app", "db").is_none());
        assert_eq!(stage.home.once(&[]).code, Some(0));
        // Bug: nothing was to be taken over by then, so nothing was said of the other object.
        let ours = ["ours already", "ExternalSecret `db` is still there"];
        ends(&stage.look(&["db"]), 0, &ours);
        let again = stage.apply(&["db"]);
        ends(&again, 0, &["ours already: main/app/db", "may go now"]);
        let commands = commands(&done.stdout);
        assert_eq!(commands.len(), 2, "{done:?}");
        for command in &commands {
            stage.run(command);
        }
        assert!(stage.kubernetes.thing(stage.of(), DB).is_none());
        stage.kubernetes.undefine(stage.of());
        stage.kubernetes.collect_garbage();
        let made = stage.secret();
        assert!(made["metadata"]["ownerReferences"].is_null(), "{made}");
    }
}

#[test]
fn what_is_told_to_let_go_makes_it_no_more() {
    for old in [ALL[0], ALL[3]] {
        let stage = Stage::new(old);
        stage.kubernetes.run_controllers("old", stage.app());
        stage.has_none();
        let done = stage.apply(&["db", "--create", "--quiesce"]);
        // Bug: nothing said how to take that back, once a delivery was all that was to follow.
        let back = "to take that back instead";
        ends(&done, 0, &["may go then", back]);
        let look = stage.adopt(&["db", "--create"]);
        ends(&look, 0, &["was told to let go", "to take that back:"]);
        let log = stage.kubernetes.log();
        let told = log.writes().filter(|it| !it.dry_run);
        let told: Vec<_> = told.map(|it| (it.verb, &*it.resource)).collect();
        let of = stage.of();
        let object = format!("{}.{}", of.1, of.0);
        assert_eq!(told, [(Verb::Patch, &*object)]);
        assert!(stage.kubernetes.thing(of, DB).is_some());
    }
}

/// Bug: its `ExternalSecret` was told to let go for a Secret that no delivery makes.
#[test]
fn what_an_entry_only_merges_into_is_not_promised() {
    let stage = Stage::new(ALL[3]);
    stage.kubernetes.run_controllers("old", stage.app());
    stage.has_none();
    stage.configure("creation_policy = \"merge\"");
    let never = ["never makes one", "create_or_merge"];
    for arguments in [
        &["db", "--create"][..],
        &["db", "--create", "--apply", "--quiesce"],
    ] {
        ends(&stage.adopt(arguments), 1, &never);
    }
    let told = stage.kubernetes.log();
    assert_eq!(told.writes().filter(|it| !it.dry_run).count(), 0);
}
