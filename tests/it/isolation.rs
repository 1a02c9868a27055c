//! One entry's trouble stays its own: the others are fresh, and what was delivered stays byte for byte.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use crate::support::daemon::{Daemon, Home, PATIENCE, free_port, wait_content};
use crate::support::kubernetes::{Fault as ClusterFault, Kubernetes, Rule, Verb};
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::wait::wait_until;

fn file_entry(home: &Home, name: &str, store: &str, path: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"{store}\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/{name}\" }} }}]
[[secrets.{name}.file]]
path = {path}
key = \"v\"

",
        path = home.quoted(path),
    )
}

/// The entry fails for that reason and says what to do; `good` is fresh all the same.
fn fails_alone(daemon: &Daemon<'_>, entry: &str, reasons: &[&str]) {
    let status = daemon.wait_state(entry, "failing");
    let trouble = status
        .entry(entry)
        .trouble()
        .expect("a failing entry has an error");
    assert!(reasons.contains(&trouble.reason.as_str()), "{trouble:?}");
    assert!(!trouble.help.trim().is_empty() && !trouble.message.trim().is_empty());
    assert_eq!(status.entry("good").state(), "fresh");
    let failing = [("secret", entry), ("state", "failing")];
    let metrics = daemon.metrics();
    assert!(metrics.value("secretsyncd_secret_state", &failing) > 0.0);
}

/// A rotation still arrives at the healthy entry.
fn good_still_follows(aws: &SecretsManager, home: &Home) {
    aws.put("prod/good", "good, rotated");
    wait_content(home, "targets/good", "good, rotated");
}

#[test]
fn an_unreachable_store() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/good", "good");
    home.write("targets/bad", "delivered before");
    let dead = format!(
        "[stores.dead.aws_secrets_manager]\nregion = \"eu-central-1\"\nendpoint_url = \"http://127.0.0.1:{}\"\n\n",
        free_port()
    );
    home.configure(
        &[
            aws.store("prod"),
            dead,
            file_entry(&home, "good", "prod", "targets/good"),
            file_entry(&home, "bad", "dead", "targets/bad"),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    fails_alone(&daemon, "bad", &["network"]);
    good_still_follows(&aws, &home);
    assert_eq!(home.read_text("targets/bad").unwrap(), "delivered before");
}

#[test]
fn a_store_that_hangs() {
    let (aws, silent, home) = (
        SecretsManager::start(),
        SecretsManager::start(),
        Home::new(),
    );
    aws.put("prod/good", "good");
    silent.put("prod/bad", "first");
    home.configure(
        &[
            aws.store("prod"),
            silent.store("silent"),
            file_entry(&home, "good", "prod", "targets/good"),
            file_entry(&home, "bad", "silent", "targets/bad"),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_content(&home, "targets/bad", "first");
    silent.put("prod/bad", "second");
    silent.fail_all(Fault::Hang);
    let reads = silent.log().read_count("prod/bad");
    wait_until(PATIENCE, "the next read", || {
        silent.log().read_count("prod/bad") > reads
    });
    good_still_follows(&aws, &home);
    fails_alone(&daemon, "bad", &["timeout"]);
    assert_eq!(home.read_text("targets/bad").unwrap(), "first");
    silent.heal();
    wait_content(&home, "targets/bad", "second");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_cluster_that_forbids() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("prod/good", "good");
    aws.put("prod/bad", "first");
    let bad = file_entry(&home, "bad", "prod", "targets/bad")
        + "[[secrets.bad.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n";
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            file_entry(&home, "good", "prod", "targets/good"),
            bad,
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    daemon.wait_state("bad", "fresh");
    kubernetes.fail(
        Rule::namespace("app").verb(Verb::Apply),
        ClusterFault::Forbidden,
    );
    let before = kubernetes.object("app", "bad");
    aws.put("prod/bad", "second");
    // The file beside it is a target of the same entry and gets its value all the same.
    wait_content(&home, "targets/bad", "second");
    fails_alone(&daemon, "bad", &["target_denied"]);
    assert_eq!(kubernetes.object("app", "bad"), before);
    good_still_follows(&aws, &home);
}

#[test]
fn paths_that_cannot_be_written() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    for name in ["good", "under-file", "anyones", "link"] {
        aws.put(&format!("prod/{name}"), name);
    }
    // These hold for root too: a parent that is a file, a directory anybody may write, a symlink on the way.
    home.write("a-file", "not a directory");
    fs::create_dir(home.path("anyones")).unwrap();
    fs::set_permissions(home.path("anyones"), Permissions::from_mode(0o777)).unwrap();
    if rustix::process::getuid().is_root() {
        chown(home.path("anyones"), Some(12345), Some(12345)).unwrap();
    }
    fs::create_dir(home.path("real")).unwrap();
    std::os::unix::fs::symlink(home.path("real"), home.path("linked")).unwrap();
    home.configure(
        &[
            aws.store("prod"),
            file_entry(&home, "good", "prod", "targets/good"),
            file_entry(&home, "under-file", "prod", "a-file/x"),
            file_entry(&home, "anyones", "prod", "anyones/x"),
            file_entry(&home, "link", "prod", "linked/x"),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    for name in ["under-file", "anyones", "link"] {
        fails_alone(
            &daemon,
            name,
            &["target_missing", "target_denied", "conflict"],
        );
    }
    good_still_follows(&aws, &home);
    assert_eq!(home.read_text("a-file").unwrap(), "not a directory");
    assert!(home.read("anyones/x").is_none() && home.read("real/x").is_none());
}

#[test]
fn an_empty_value_is_never_written() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("prod/good", "good");
    aws.put("prod/bad", r#"{"v":"first"}"#);
    let bad = file_entry(&home, "bad", "prod", "targets/bad")
        .replace("key = \"prod/bad\"", "key = \"prod/bad\", property = \"v\"")
        + "[[secrets.bad.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n";
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            file_entry(&home, "good", "prod", "targets/good"),
            bad,
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_content(&home, "targets/bad", "first");
    let before = kubernetes.data("app", "bad").unwrap();
    aws.put("prod/bad", r#"{"v":""}"#);
    fails_alone(&daemon, "bad", &["invalid", "malformed"]);
    assert_eq!(home.read_text("targets/bad").unwrap(), "first");
    assert_eq!(kubernetes.data("app", "bad").unwrap(), before);
}

#[test]
fn a_cluster_that_hangs() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("prod/good", "good");
    aws.put("prod/bad", "bad");
    kubernetes.fail(Rule::any(), ClusterFault::Hang);
    let bad = file_entry(&home, "bad", "prod", "targets/bad")
        + "[[secrets.bad.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n";
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            file_entry(&home, "good", "prod", "targets/good"),
            bad,
        ]
        .concat(),
    );
    let mut daemon = home.start();
    wait_content(&home, "targets/good", "good");
    good_still_follows(&aws, &home);
    daemon.wait_ready(PATIENCE * 2);
    fails_alone(&daemon, "bad", &["timeout"]);
    kubernetes.heal();
    wait_until(PATIENCE * 3, "the Secret", || {
        kubernetes.data("app", "bad").is_some()
    });
}
