//! What goes from clusters, what is watched there, and what has to be allowed, where machines take turns.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::{LOCKS, cluster, holder, machine, source, value, wait_holder, wait_value, writers};
use crate::support::daemon::{Home, PATIENCE};
use crate::support::kubernetes::{Grants, Kubernetes};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

/// A machine that knows of a Secret `old` that no entry writes any more, and removes such by itself.
fn with_an_orphan(
    who: &'static str,
    aws: &SecretsManager,
    kubernetes: &Kubernetes,
    daemon: &str,
) -> Home {
    let home = machine(who, aws, kubernetes);
    let text = home.read_text("secretsyncd.toml").unwrap();
    aws.put("old", "1");
    let old = "[secrets.old]\nstore = \"prod\"\ndata = [{ secret_key = \"value\", remote_ref = { key = \"old\" } }]\n\
               [[secrets.old.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n";
    home.configure_whole(&(text.clone() + old));
    let done = home.once(&["old"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(value(kubernetes, "old").as_deref(), Some("1"));
    home.configure_whole(&text.replacen("[daemon]\n", &format!("[daemon]\n{daemon}\n"), 1));
    home
}

#[test]
fn a_standby_removes_nothing_and_says_who_leads() {
    let (aws, kubernetes) = (source(), cluster());
    let a = machine("a", &aws, &kubernetes);
    let b = with_an_orphan("b", &aws, &kubernetes, "prune = true\nprune_after = \"1s\"");
    let leader = a.start_ready();
    wait_holder(&kubernetes, "a");
    leader.wait_state("db", "fresh");
    let standby = b.start_ready();
    stays_true(Duration::from_secs(3), "the orphan is there", || {
        value(&kubernetes, "old").is_some()
    });
    let listed = b.finish(&["prune"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.stdout.contains("main/app/old"), "{listed:?}");
    for arguments in [&["prune", "--apply"][..], &["prune", "--apply", "old"]] {
        let refused = b.finish(arguments);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("`a` leads"), "{refused:?}");
        assert!(refused.stdout.contains("1 orphaned target"), "{refused:?}");
    }
    assert!(value(&kubernetes, "old").is_some());
    assert_eq!(writers(&kubernetes), ["b", "a"]);
    assert_eq!(leader.stop(), Some(0));
    wait_holder(&kubernetes, "b");
    wait_until(PATIENCE, "the orphan to go", || {
        value(&kubernetes, "old").is_none()
    });
    wait_until(PATIENCE, "a word about it", || {
        standby.output().contains("cause=\"daemon.prune\"")
    });
    assert_eq!(writers(&kubernetes), ["b", "a", "b"]);
}

/// Whoever leads: its files are its own.
#[test]
fn a_standby_removes_the_files_that_its_own_entries_left() {
    let (aws, kubernetes) = (source(), cluster());
    let (a, b) = (
        machine("a", &aws, &kubernetes),
        machine("b", &aws, &kubernetes),
    );
    aws.put("old", "1");
    let text = b.read_text("secretsyncd.toml").unwrap();
    let old = format!(
        "[secrets.old]\nstore = \"prod\"\ndata = [{{ secret_key = \"value\", remote_ref = {{ key = \"old\" }} }}]\n\
         [[secrets.old.file]]\npath = {}\nkey = \"value\"\n",
        b.quoted("old")
    );
    b.configure_whole(&(text.clone() + &old));
    let done = b.once(&["old"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    b.configure_whole(&text);
    let leader = a.start_ready();
    wait_holder(&kubernetes, "a");
    let standby = b.start_ready();
    let done = b.finish(&["prune", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with("deleted: "), "{done:?}");
    assert_eq!(b.read_text("old"), None);
    assert_eq!((standby.stop(), leader.stop()), (Some(0), Some(0)));
}

#[test]
fn prune_without_a_daemon_takes_the_lease_or_says_who_holds_it() {
    let (aws, kubernetes) = (source(), cluster());
    let a = machine("a", &aws, &kubernetes);
    let b = with_an_orphan("b", &aws, &kubernetes, "");
    let leader = a.start_ready();
    wait_holder(&kubernetes, "a");
    let refused = b.finish(&["prune", "--apply"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("`a` leads"), "{refused:?}");
    assert!(value(&kubernetes, "old").is_some());
    assert_eq!(leader.stop(), Some(0));
    let done = b.finish(&["prune", "--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(value(&kubernetes, "old").is_none());
    assert_eq!(holder(&kubernetes), "", "it was given back");
}

#[test]
fn what_a_standby_sees_by_its_watch_it_leaves_to_the_leader() {
    let (aws, kubernetes) = (source(), cluster());
    let homes = ["a", "b"].map(|who| {
        let home = machine(who, &aws, &kubernetes);
        let text = home.read_text("secretsyncd.toml").unwrap();
        let watch = "namespace = \"app\"\ndrift = \"watch\"\n";
        let text = text.replace("namespace = \"app\"\n", watch);
        home.configure_whole(&text.replace("\"10s\"", "\"1h\""));
        home
    });
    let [a, b] = &homes;
    let mut leader = a.start_ready();
    wait_holder(&kubernetes, "a");
    let standby = b.start_ready();
    wait_until(PATIENCE, "two watches", || kubernetes.watches() == 2);
    for daemon in [&leader, &standby] {
        wait_until(PATIENCE, "nothing to do", || {
            let states = daemon.status();
            ["db", "both"]
                .iter()
                .all(|name| states.entry(name).state() != "failing")
        });
    }
    leader.wait_state("both", "fresh");
    leader.wait_state("db", "fresh");
    for name in ["db", "both"] {
        kubernetes.delete("app", name);
        wait_value(&kubernetes, name, "1");
    }
    assert_eq!(writers(&kubernetes), ["a"]);
    // Nobody leads for a while: what is seen then is put back by whoever leads next.
    leader.signal(Signal::KILL);
    leader.wait_exit(PATIENCE);
    kubernetes.delete("app", "both");
    wait_holder(&kubernetes, "b");
    wait_value(&kubernetes, "both", "1");
    assert_eq!(writers(&kubernetes), ["a", "b"]);
    // And now it is the one that acts on what it sees.
    standby.wait_state("db", "fresh");
    kubernetes.delete("app", "db");
    wait_value(&kubernetes, "db", "1");
}

#[test]
fn what_rbac_prints_is_enough_to_lead_and_nothing_of_it_is_too_much() {
    let (aws, kubernetes) = (source(), cluster());
    let home = machine("a", &aws, &kubernetes);
    let printed = home.finish(&["rbac", "--user", "sync"]);
    assert!(printed.stdout.contains("daemon.leader"), "{printed:?}");
    let grants = Grants::read(&printed.stdout);
    kubernetes.grant(&grants);
    let checked = home.finish(&["check", "--online"]);
    assert!(
        checked.stdout.contains("8 of 8 permissions granted"),
        "{checked:?}"
    );
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(holder(&kubernetes), "");
    let of_lease = grants.0.iter().filter(|it| it.resource == "leases");
    let of_lease: Vec<_> = of_lease.collect();
    assert_eq!(of_lease.len(), 3);
    for grant in of_lease {
        if grant.verb == "create" {
            kubernetes.forget_lease(LOCKS, "secretsyncd");
        }
        kubernetes.grant(&grants.without(grant));
        let checked = home.finish(&["check", "--online"]);
        let missing = format!("not allowed: `{}` on `leases`", grant.verb);
        assert!(checked.stdout.contains(&missing), "{checked:?}");
        let daemon = home.start_ready();
        wait_until(PATIENCE, "a word about it", || {
            let said = &daemon.status().0["leader"];
            said["leads"] == json!(false) && said["error"]["reason"] == json!("target_denied")
        });
        assert_eq!(daemon.stop(), Some(0));
        kubernetes.grant(&grants);
        assert_eq!(home.once(&[]).code, Some(0));
    }
}
