//! What goes, and what does not: by the policy of a target, and by `prune`.

mod files;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::support::daemon::{Finished, Home, PATIENCE};
use crate::support::kubernetes::{Fault as KubeFault, Kubernetes, Rule, Verb};
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::wait::{stays_true, wait_until};

struct Stage {
    aws: SecretsManager,
    kubernetes: Kubernetes,
    home: Home,
}

/// An entry of one key, from the secret of its name into the Secret of its name.
fn entry(name: &str, more: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"{name}\" }} }}]
[[secrets.{name}.kubernetes]]
cluster = \"main\"
namespace = \"app\"
{more}
"
    )
}

impl Stage {
    fn new(names: &[&str]) -> Self {
        let stage = Self {
            aws: SecretsManager::start(),
            kubernetes: Kubernetes::start(),
            home: Home::new(),
        };
        for name in names {
            stage.aws.put(name, "x");
        }
        stage
    }

    fn configure(&self, entries: &[String]) {
        self.home.configure(
            &[
                self.aws.store("prod"),
                self.kubernetes.cluster("main"),
                entries.concat(),
            ]
            .concat(),
        );
    }

    /// As [`Self::configure`], with more under `[daemon]`.
    fn configure_daemon(&self, entries: &[String], more: &str) {
        self.configure(entries);
        let text = self.home.read_text("secretsyncd.toml").unwrap();
        let text = text.replace("[daemon]\n", &format!("[daemon]\n{more}\n"));
        self.home.configure_whole(&text);
    }

    fn delivered(names: &[&str], more: &str) -> Self {
        let stage = Self::new(names);
        let entries: Vec<String> = names.iter().map(|name| entry(name, more)).collect();
        stage.configure(&entries);
        let done = stage.home.once(&[]);
        assert_eq!(done.code, Some(0), "{done:?}");
        stage
    }

    fn holds(&self, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        self.kubernetes.data("app", name)
    }

    fn prune(&self, arguments: &[&str]) -> Finished {
        self.home.finish(&[&["prune"], arguments].concat())
    }

    fn deletes(&self) -> usize {
        let log = self.kubernetes.log();
        log.0
            .iter()
            .filter(|call| call.verb == Verb::Delete)
            .count()
    }
}

fn value(text: &str) -> BTreeMap<String, Vec<u8>> {
    [("value".to_owned(), text.as_bytes().to_vec())].into()
}

const DELETE: &str = "deletion_policy = \"delete\"";

#[test]
fn neither_a_first_not_found_nor_trouble_deletes() {
    let stage = Stage::delivered(&["a", "b", "c"], DELETE);
    let daemon = stage.home.start_ready();
    stage.aws.delete("a");
    stage.aws.fail("b", Fault::AccessDenied);
    let status = daemon.wait_state("a", "failing");
    let trouble = status.entry("a").trouble().unwrap();
    assert_eq!(trouble.reason, "not_found");
    assert!(
        trouble.message.contains("at least ten minutes"),
        "{trouble:?}"
    );
    daemon.wait_state("b", "failing");
    stage.aws.put("c", "y");
    wait_until(PATIENCE, "c", || stage.holds("c") == Some(value("y")));
    stays_true(Duration::from_secs(12), "both are there", || {
        stage.holds("a") == Some(value("x")) && stage.holds("b") == Some(value("x"))
    });
    assert_eq!(stage.deletes(), 0);
    // It is back before it is certain.
    stage.aws.put("a", "anew");
    wait_until(PATIENCE * 2, "a", || {
        stage.holds("a") == Some(value("anew"))
    });
    daemon.wait_state("a", "fresh");
}

#[test]
fn prune_removes_without_a_daemon_what_an_entry_left() {
    let stage = Stage::delivered(&["a", "b"], "");
    stage.configure(&[entry("b", "")]);
    let listed = stage.prune(&[]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(
        listed
            .stdout
            .starts_with("kubernetes  main/app/a  a  delete  since 20"),
        "{listed:?}"
    );
    assert!(listed.stdout.ends_with("1 orphaned target\n"), "{listed:?}");
    assert_eq!(stage.holds("a"), Some(value("x")));
    let unknown = stage.prune(&["--apply", "b"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(
        unknown.stderr.contains("nothing is left or held under `b`"),
        "{unknown:?}"
    );
    let done = stage.prune(&["--apply"]);
    assert_eq!(
        (done.code, done.stderr.contains("error")),
        (Some(0), false),
        "{done:?}"
    );
    assert_eq!(
        done.stdout,
        "deleted: main/app/a, of entry a\n0 orphaned targets\n"
    );
    assert_eq!(
        (stage.holds("a"), stage.holds("b")),
        (None, Some(value("x")))
    );
    assert_eq!(stage.deletes(), 1);
    assert_eq!(stage.prune(&["--apply"]).stdout, "0 orphaned targets\n");
    // Whoever writes it again makes it again.
    stage.configure(&[entry("a", ""), entry("b", "")]);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    assert_eq!(stage.holds("a"), Some(value("x")));
}

#[test]
fn prune_removes_through_the_daemon_and_tells_of_it() {
    let stage = Stage::delivered(&["a", "b"], "");
    let daemon = stage.home.start_ready();
    stage.configure(&[entry("b", "")]);
    wait_until(PATIENCE, "an orphan", || {
        let metrics = daemon.metrics();
        metrics.value("secretsyncd_targets_orphaned", &[]) > 0.5
    });
    stage
        .kubernetes
        .fail(Rule::any().verb(Verb::Delete), KubeFault::Forbidden);
    let denied = stage.prune(&["--apply", "a"]);
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(
        denied.stderr.contains("grant `delete` on `secrets`"),
        "{denied:?}"
    );
    assert!(denied.stdout.ends_with("1 orphaned target\n"), "{denied:?}");
    assert_eq!(stage.holds("a"), Some(value("x")));
    stage.kubernetes.heal();
    let done = stage.prune(&["--apply", "main/app/a"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(stage.holds("a"), None);
    let labels = [("target_kind", "kubernetes"), ("result", "deleted")];
    let metrics = daemon.metrics();
    let counted = metrics.value("secretsyncd_target_writes_total", &labels);
    assert!((counted - 1.0).abs() < 0.1, "{counted}");
    assert!(metrics.value("secretsyncd_targets_orphaned", &[]) < 0.5);
    let said = daemon.output();
    assert!(
        said.contains("deleted") && said.contains("cause=\"prune\""),
        "{said}"
    );
    assert!(said.contains("action=\"prune\""), "{said}");
    daemon.wait_state("b", "fresh");
}

#[test]
fn what_others_have_a_share_in_stays_and_is_named() {
    let stage = Stage::delivered(&["edited", "added", "anew", "theirs", "ours"], "");
    stage.configure(&[]);
    let kubernetes = &stage.kubernetes;
    kubernetes.edit("app", "edited", "value", "mine");
    kubernetes.edit("app", "added", "extra", "mine");
    kubernetes.delete("app", "anew");
    kubernetes.put_data("helm", "app", "anew", &[("value", "mine")]);
    let mut object = kubernetes.object("app", "theirs").unwrap();
    object["metadata"]["annotations"]["secretsyncd/instance"] = json!("there");
    kubernetes.put("kubectl-annotate", "app", "theirs", object);
    let done = stage.prune(&["--apply", "edited", "added", "anew", "theirs", "ours"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let refused = [
        ("edited", "`kubectl-edit` has content in the Secret, too"),
        ("added", "`kubectl-edit` has content in the Secret, too"),
        ("theirs", "does not say any more that it is ours"),
    ];
    for (name, why) in refused {
        let mut lines = done.stderr.lines();
        let line = lines.find(|line| line.contains(&format!("main/app/{name},")));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{name}: {done:?}"
        );
        assert!(stage.holds(name).is_some(), "{name}");
    }
    assert!(done.stdout.contains("was gone: main/app/anew,"), "{done:?}");
    assert_eq!(stage.holds("anew"), Some(value("mine")));
    assert_eq!(stage.holds("ours"), None);
    assert_eq!(stage.deletes(), 1);
}

#[test]
fn a_renamed_instance_removes_what_it_wrote_under_its_old_name() {
    let stage = Stage::new(&["a", "b"]);
    let entries = [entry("a", ""), entry("b", "")];
    stage.configure_daemon(&entries, "instance = \"before\"");
    assert_eq!(stage.home.once(&[]).code, Some(0));
    stage.configure_daemon(&entries[1..], "instance = \"after\"");
    let done = stage.prune(&["--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        (stage.holds("a"), stage.holds("b")),
        (None, Some(value("x")))
    );
}

#[test]
fn a_suspended_entry_leaves_nothing_and_another_entry_takes_over() {
    let stage = Stage::delivered(&["a", "b"], "");
    let suspended = entry("a", "").replace("store =", "suspend = true\nstore =");
    let another = entry("c", "name = \"b\"").replace("key = \"c\"", "key = \"b\"");
    stage.configure(&[suspended, another]);
    let done = stage.prune(&["--apply"]);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "0 orphaned targets\n")
    );
    assert_eq!(stage.home.once(&[]).code, Some(0));
    assert_eq!(
        (stage.holds("a"), stage.holds("b")),
        (Some(value("x")), Some(value("x")))
    );
    assert_eq!(stage.deletes(), 0);
}

#[test]
fn merged_keys_are_taken_out_and_the_secret_stays() {
    let stage = Stage::new(&["a"]);
    stage
        .kubernetes
        .put_data("helm", "app", "a", &[("own", "0")]);
    stage.configure(&[entry("a", "creation_policy = \"merge\"")]);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    assert_eq!(stage.holds("a").unwrap().len(), 2);
    stage.configure(&[]);
    let done = stage.prune(&["--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stdout
            .contains("our keys removed: main/app/a, of entry a"),
        "{done:?}"
    );
    let own = BTreeMap::from([("own".to_owned(), b"0".to_vec())]);
    assert_eq!(stage.holds("a"), Some(own));
    assert_eq!(stage.deletes(), 0);
}

#[test]
fn without_its_cluster_a_secret_stays_and_a_file_goes_all_the_same() {
    let stage = Stage::new(&["a", "f"]);
    let file = format!(
        "[secrets.f]\nstore = \"prod\"\ndata = [{{ secret_key = \"value\", remote_ref = {{ key = \"f\" }} }}]\n[[secrets.f.file]]\npath = {}\nkey = \"value\"\n",
        stage.home.quoted("targets/f")
    );
    stage.configure(&[entry("a", ""), file]);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    stage.home.configure(&stage.aws.store("prod"));
    let done = stage.prune(&["--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("stays: no such cluster"), "{done:?}");
    assert!(done.stdout.ends_with("1 orphaned target\n"), "{done:?}");
    assert_eq!(stage.home.read_text("targets/f"), None);
    let done = stage.prune(&["--apply", "a"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr
            .contains("its cluster is not configured any more"),
        "{done:?}"
    );
    assert_eq!(stage.holds("a"), Some(value("x")));
}

/// Its cluster has a new name, and the old one is configured for the orphans there.
#[test]
fn a_secret_in_use_under_another_name_of_its_cluster_stays() {
    for policy in ["owner", "merge"] {
        let stage = Stage::new(&["a"]);
        stage
            .kubernetes
            .put_data("helm", "app", "b", &[("own", "0")]);
        let target = match policy {
            "owner" => String::new(),
            _ => format!("name = \"b\"\ncreation_policy = \"{policy}\""),
        };
        let name = if policy == "owner" { "a" } else { "b" };
        let before = entry("a", &target);
        stage.configure(std::slice::from_ref(&before));
        assert_eq!(stage.home.once(&[]).code, Some(0), "{policy}");
        let held = stage.holds(name);
        let renamed = before.replace("cluster = \"main\"", "cluster = \"eu\"");
        stage.configure(&[stage.kubernetes.cluster("eu"), renamed]);
        let orphan = format!("main/app/{name}");
        for said in ["may be that very Secret", "is that very Secret"] {
            let done = stage.prune(&["--apply", &orphan]);
            assert_eq!(done.code, Some(1), "{policy}: {done:?}");
            assert!(done.stderr.contains(said), "{policy}: {done:?}");
            assert!(
                done.stderr.contains(&format!("`eu/app/{name}`")),
                "{done:?}"
            );
            assert_eq!(stage.holds(name), held, "{policy}");
            assert_eq!(stage.home.once(&[]).code, Some(0), "{policy}");
        }
        assert_eq!(stage.deletes(), 0);
    }
}

#[test]
fn an_entry_that_is_split_loses_no_key_to_the_first_of_its_followers() {
    let stage = Stage::new(&["a", "b"]);
    stage
        .kubernetes
        .put_data("helm", "app", "s", &[("own", "0")]);
    let merged = |name: &str| entry(name, "name = \"s\"\ncreation_policy = \"merge\"");
    let other = "data = [{ secret_key = \"other\", remote_ref = { key = \"b\" } }, ";
    stage.configure(&[merged("a").replace("data = [", other)]);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    let whole = stage.holds("s").unwrap();
    assert_eq!(whole.len(), 3);
    let b = merged("b").replace("\"value\"", "\"other\"");
    let c = merged("c").replace("key = \"c\"", "key = \"a\"");
    let suspended = c.replace("store =", "suspend = true\nstore =");
    for second in [suspended, c] {
        stage.configure(&[b.clone(), second]);
        let done = stage.home.once(&[]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(stage.holds("s").as_ref(), Some(&whole));
    }
}

#[test]
fn without_names_no_more_goes_than_the_brake_allows() {
    let names = ["a", "b", "c", "d", "e"];
    let stage = Stage::delivered(&names, "");
    stage.configure(&[]);
    let done = stage.prune(&["--apply"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("held, because more than three"),
        "{done:?}"
    );
    assert_eq!(stage.deletes(), 3);
    let left: Vec<&str> = names
        .into_iter()
        .filter(|name| stage.holds(name).is_some())
        .collect();
    // Over every restart it stays held.
    assert_eq!(stage.prune(&["--apply"]).code, Some(1));
    assert_eq!(stage.deletes(), 3);
    let done = stage.prune(&["--apply", left[0]]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(stage.deletes(), 4);
}
