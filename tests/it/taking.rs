//! `adopt` for Secrets, through the real binary, in a cluster where the old controllers are: nothing of a Secret is lost
//! whatever becomes of them, and nothing is taken from under a hand that is still on it.

mod absent;
mod alive;
mod beside;
mod crash;
mod kubectl;
mod merged;
mod real;
mod ties;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::daemon::{Finished, Home};
use crate::support::kubernetes::{Dependents, ESO, Eso, KES, Kubernetes};
use crate::support::leak::Markers;
use crate::support::secrets_manager::SecretsManager;

const VALUE: &str = "MARKER-value-4e1d90ab";
const OTHER: &str = "MARKER-other-c27b5f03";
const NEW: &str = "MARKER-new-88d1f6e2";
const DATA: [(&str, &str); 2] = [("a", VALUE), ("b", OTHER)];
const DB: (&str, &str) = ("app", "db");

/// Who has the Secret before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Old {
    Kes,
    Eso(Eso),
}

const ALL: [Old; 4] = [
    Old::Kes,
    Old::Eso(Eso::V1Alpha1),
    Old::Eso(Eso::V1Beta1),
    Old::Eso(Eso::V1),
];

struct Stage {
    aws: SecretsManager,
    kubernetes: Kubernetes,
    home: Home,
    old: Old,
}

impl Stage {
    /// With the Secret of an old controller whose pods are gone, and an entry that writes the same bytes.
    fn new(old: Old) -> Self {
        let stage = Self {
            aws: SecretsManager::start(),
            kubernetes: Kubernetes::start(),
            home: Home::new(),
            old,
        };
        stage.aws.put("db", &object(&DATA));
        match old {
            Old::Kes => stage.kubernetes.kes_keeps(DB, &DATA, &json!({})),
            Old::Eso(eso) => stage.kubernetes.eso_keeps(eso, DB, &DATA, &json!({})),
        }
        stage.kubernetes.scale_down("old", stage.app());
        stage.configure("");
        stage.kubernetes.watch_presence(DB, &DATA);
        stage
    }

    fn configure(&self, more: &str) {
        let entry = format!(
            "[secrets.db]\nstore = \"prod\"\ndata_from = [{{ extract = {{ key = \"db\" }} }}]\n\
             [[secrets.db.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n{more}\n"
        );
        let tables = [
            self.aws.store("prod"),
            self.kubernetes.cluster("main"),
            entry,
        ];
        self.home.configure(&tables.concat());
    }

    /// As its own Helm chart calls it.
    fn app(&self) -> &'static str {
        match self.old {
            Old::Kes => "kubernetes-external-secrets",
            Old::Eso(_) => "external-secrets",
        }
    }

    fn of(&self) -> (&'static str, &'static str) {
        match self.old {
            Old::Kes => KES,
            Old::Eso(_) => ESO,
        }
    }

    fn step(&self) {
        match self.old {
            Old::Kes => self.kubernetes.kes_polls(DB),
            Old::Eso(_) => self.kubernetes.eso_reconciles(DB),
        }
    }

    fn adopt(&self, arguments: &[&str]) -> Finished {
        let done = self.home.finish(&[&["adopt"], arguments].concat());
        clean(&done);
        done
    }

    /// For as long as a machine needs to have told somebody.
    fn apply(&self, arguments: &[&str]) -> Finished {
        self.adopt(&[&["--apply", "--watch", "1ms"], arguments].concat())
    }

    /// Looks, and holds it to having changed nothing.
    fn look(&self, arguments: &[&str]) -> Finished {
        let before = self.secret();
        let sent = self.kubernetes.log().0.len();
        let done = self.adopt(arguments);
        let log = self.kubernetes.log();
        let kept = log
            .writes()
            .filter(|it| it.at >= log.0[sent].at && !it.dry_run);
        assert_eq!(kept.count(), 0, "{:?}", log.0);
        assert_eq!(self.secret(), before);
        done
    }

    fn secret(&self) -> Value {
        self.kubernetes.object("app", "db").unwrap()
    }

    fn metadata(&self) -> Value {
        self.secret()["metadata"].clone()
    }

    /// Nothing ties it to whoever had it, or has it go with anything.
    fn is_ours(&self) {
        let metadata = self.metadata();
        assert!(metadata["ownerReferences"].is_null(), "{metadata}");
        assert_eq!(
            metadata["labels"]["app.kubernetes.io/managed-by"],
            "secretsyncd"
        );
        for kind in ["labels", "annotations"] {
            let keys = metadata[kind].as_object().into_iter().flatten();
            let mut keys = keys.map(|(key, _)| key);
            let left = keys.find(|key| {
                key.starts_with("reconcile.external-secrets.io/") || *key == "secretsyncd/adopting"
            });
            assert_eq!(left, None, "{metadata}");
        }
        self.kubernetes.was_always_there(DB);
    }

    /// It is exactly as its old controller left it, but for what a patch of no consequence may have counted up.
    fn is_theirs(&self) {
        let metadata = self.metadata();
        assert!(metadata["ownerReferences"].is_array(), "{metadata}");
        assert!(
            metadata["labels"]["app.kubernetes.io/managed-by"].is_null(),
            "{metadata}"
        );
        assert!(
            metadata["annotations"]["secretsyncd/adopting"].is_null(),
            "{metadata}"
        );
        self.kubernetes.was_always_there(DB);
    }

    /// Everything of the old controller goes, in the way that takes most along.
    fn old_goes(&self) {
        self.kubernetes.delete_thing(self.of(), DB, Dependents::Go);
        self.kubernetes.undefine(self.of());
        self.kubernetes.collect_garbage();
    }

    /// What AWS has next is delivered, and what it has no more goes.
    fn delivers(&self) {
        self.aws.put("db", &object(&[("a", NEW)]));
        let done = self.home.once(&[]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let wanted = BTreeMap::from([("a".to_owned(), NEW.as_bytes().to_vec())]);
        assert_eq!(self.kubernetes.data("app", "db"), Some(wanted));
    }
}

fn object(pairs: &[(&str, &str)]) -> String {
    let pairs: BTreeMap<&str, &str> = pairs.iter().copied().collect();
    serde_json::to_string(&pairs).unwrap()
}

fn clean(done: &Finished) {
    let output = format!("{}{}", done.stdout, done.stderr);
    Markers::new([VALUE, OTHER, NEW]).absent("output", output);
}

fn ends(done: &Finished, code: i32, texts: &[&str]) {
    assert_eq!(done.code, Some(code), "{done:?}");
    let output = format!("{}{}", done.stdout, done.stderr);
    for text in texts {
        assert!(output.contains(text), "{text} is not in {done:?}");
    }
}

#[test]
fn the_bytes_are_there_at_every_instant_while_all_that_was_the_old_controllers_goes() {
    for old in ALL {
        let stage = Stage::new(old);
        ends(
            &stage.look(&[]),
            0,
            &["adopt ", "main/app/db", "keys as they are"],
        );
        let done = stage.apply(&[]);
        ends(
            &done,
            0,
            &["taken over: main/app/db", "delete nothing", "the way back"],
        );
        assert!(!done.stdout.contains("kubectl delete"), "{done:?}");
        stage.is_ours();
        // So is what the next delivery makes of it, until there is something else to deliver.
        assert_eq!(stage.home.once(&[]).code, Some(0));
        stage.is_ours();
        ends(&stage.look(&[]), 0, &["ours already", "is still there"]);
        let done = stage.apply(&[]);
        ends(
            &done,
            0,
            &[
                "taken over already: main/app/db",
                "may go now",
                "the way back",
            ],
        );
        stage.old_goes();
        stage.is_ours();
        ends(&stage.look(&[]), 0, &["0 targets"]);
        stage.delivers();
    }
}

/// Without `adopt` the very same steps lose the Secret: what the test above sees is not the stand-in's kindness.
#[test]
fn what_was_not_taken_over_goes_with_its_old_controller() {
    for old in ALL {
        let stage = Stage::new(old);
        stage
            .kubernetes
            .delete_thing(stage.of(), DB, Dependents::Go);
        assert!(stage.kubernetes.object("app", "db").is_none(), "{old:?}");
    }
}

#[test]
fn what_is_rehearsed_is_what_is_done() {
    let stage = Stage::new(Old::Eso(Eso::V1));
    stage.apply(&[]);
    let log = stage.kubernetes.log().of("secrets");
    let patches: Vec<_> = log.writes().map(|it| (it.dry_run, it.status)).collect();
    assert_eq!(
        patches,
        [(true, 200), (false, 200), (false, 200)],
        "{:?}",
        log.0
    );
    for patch in log.writes() {
        assert_eq!(patch.preconditions, ["uid", "resourceVersion"]);
        assert!(patch.keys.is_empty(), "no value is sent");
    }
    // It is ours, so that nothing is left to take over.
    let again = stage.apply(&[]);
    ends(&again, 0, &["taken over already"]);
    assert_eq!(stage.kubernetes.log().of("secrets").write_count(), 3);
}

#[test]
fn content_changes_only_where_that_is_accepted() {
    for old in ALL {
        let stage = Stage::new(old);
        stage.aws.put("db", &object(&[("a", NEW), ("c", OTHER)]));
        for arguments in [&[][..], &["--create"]] {
            ends(
                &stage.look(arguments),
                1,
                &["keys +c ~a -b", "--accept-changes"],
            );
        }
        ends(&stage.apply(&[]), 1, &["keys +c ~a -b"]);
        stage.is_theirs();
        let done = stage.apply(&["--accept-changes"]);
        ends(&done, 0, &["taken over: main/app/db"]);
        stage.is_ours();
        stage.old_goes();
        stage.delivers();
    }
}

/// Bug: "0 targets" is what tells people that everything may go, and it was said while this one's owner would have taken
/// it along.
#[test]
fn what_a_suspended_entry_has_is_counted_and_stays() {
    for old in [ALL[0], ALL[3]] {
        let stage = Stage::new(old);
        stage.configure("");
        let text = stage.home.read_text("secretsyncd.toml").unwrap();
        let asleep = "[secrets.db]\n";
        let text = text.replace(asleep, &format!("{asleep}suspend = true\n"));
        stage.home.configure_whole(&text);
        let counted = ["suspended  main/app/db", "1 target: 1 suspended"];
        ends(&stage.look(&[]), 0, &counted);
        let stays = ["suspended: main/app/db", "it stays its old controller's"];
        ends(&stage.apply(&[]), 0, &stays);
        ends(&stage.apply(&["db"]), 1, &["is suspended"]);
        stage.is_theirs();
    }
}
