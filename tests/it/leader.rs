//! Several machines on one Lease: one of them writes to Kubernetes, each writes its own files.

mod clusters;
mod handover;
mod selected;

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::kubernetes::{Fault, Kubernetes, Rule};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

const LOCKS: &str = "locks";

/// A Lease that is over after two seconds.
fn lease(who: &str) -> String {
    format!(
        "[daemon.leader]
cluster = \"main\"
namespace = \"{LOCKS}\"
identity = \"{who}\"
lease_duration = \"2s\"
renew_deadline = \"1600ms\"
retry_period = \"200ms\"

"
    )
}

/// A Kubernetes API server that has a place for the Lease.
fn cluster() -> Kubernetes {
    let kubernetes = Kubernetes::start();
    kubernetes.create_namespace(LOCKS);
    kubernetes
}

fn holder(kubernetes: &Kubernetes) -> String {
    let lease = kubernetes.lease(LOCKS, "secretsyncd").unwrap_or_default();
    let holder = lease["spec"]["holderIdentity"].as_str();
    holder.unwrap_or_default().to_owned()
}

fn wait_holder(kubernetes: &Kubernetes, who: &str) {
    wait_until(PATIENCE, &format!("{who} to hold the Lease"), || {
        holder(kubernetes) == who
    });
}

fn value(kubernetes: &Kubernetes, name: &str) -> Option<String> {
    let data = kubernetes.data("app", name)?;
    Some(String::from_utf8(data["value"].clone()).unwrap())
}

fn wait_value(kubernetes: &Kubernetes, name: &str, text: &str) {
    wait_until(PATIENCE, &format!("{name} to be {text}"), || {
        value(kubernetes, name).as_deref() == Some(text)
    });
}

/// One entry for a Secret only, one for a Secret and a file.
fn entries(home: &Home) -> String {
    let entry = |name: &str| {
        format!(
            "[secrets.{name}]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"{name}\" }} }}]
[[secrets.{name}.kubernetes]]
cluster = \"main\"
namespace = \"app\"
"
        )
    };
    let file = format!(
        "[[secrets.both.file]]\npath = {}\nkey = \"value\"\n",
        home.quoted("both")
    );
    entry("db") + &entry("both") + &file
}

fn machine(who: &'static str, aws: &SecretsManager, kubernetes: &Kubernetes) -> Home {
    let home = Home::new();
    let cluster = kubernetes.cluster_for("main", who);
    home.configure(&[lease(who), aws.store("prod"), cluster, entries(&home)].concat());
    home
}

fn source() -> SecretsManager {
    let aws = SecretsManager::start();
    aws.put("db", "1");
    aws.put("both", "1");
    aws
}

fn writers(kubernetes: &Kubernetes) -> Vec<String> {
    let log = kubernetes.log();
    let writes = log.writes().filter(|it| it.namespace == "app");
    let mut who: Vec<String> = writes.filter_map(|it| it.who.clone()).collect();
    who.dedup();
    who
}

#[test]
fn the_standby_is_ready_reads_nothing_for_secrets_and_writes_its_files() {
    let (aws, kubernetes) = (source(), cluster());
    let (a, b) = (
        machine("a", &aws, &kubernetes),
        machine("b", &aws, &kubernetes),
    );
    let leader = a.start_ready();
    leader.wait_state("both", "fresh");
    wait_value(&kubernetes, "db", "1");
    let reads = aws.log().read_count("db");
    let standby = b.start_ready();
    assert_eq!(b.read_text("both").as_deref(), Some("1"));
    let status = standby.status();
    for name in ["db", "both"] {
        let target = format!("main/app/{name}");
        assert_eq!(status.entry(name).target_state(&target), "pending");
        assert_eq!(status.entry(name).state(), "pending");
    }
    let file = b.path("both").display().to_string();
    assert_eq!(status.entry("both").target_state(&file), "fresh");
    assert!(status.entry("both").last_success().is_some());
    assert!(status.entry("db").last_success().is_none());
    let said = &status.0["leader"];
    assert_eq!(said["leads"], json!(false));
    assert_eq!(said["holder"], json!("a"));
    assert_eq!(leader.status().0["leader"]["leads"], json!(true));
    let leads = |daemon: &crate::support::daemon::Daemon<'_>| {
        daemon.metrics().value("secretsyncd_leader", &[])
    };
    assert!(leads(&leader) > 0.5 && leads(&standby) < 0.5);
    // It reads its file's source only.
    assert_eq!(aws.log().read_count("db"), reads);
    let finished = b.finish(&["status"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished.stdout.contains("`a` holds the Lease"),
        "{finished:?}"
    );
    aws.put("both", "2");
    wait_content(&b, "both", "2");
    wait_value(&kubernetes, "both", "2");
    assert_eq!(writers(&kubernetes), ["a"]);
    assert_eq!(standby.stop(), Some(0));
    assert_eq!(leader.stop(), Some(0));
}

#[test]
fn a_stopped_leader_hands_over_at_once_and_what_is_unchanged_costs_no_write() {
    let (aws, kubernetes) = (source(), cluster());
    let (a, b) = (
        machine("a", &aws, &kubernetes),
        machine("b", &aws, &kubernetes),
    );
    let leader = a.start_ready();
    leader.wait_state("db", "fresh");
    let standby = b.start_ready();
    wait_holder(&kubernetes, "a");
    let writes = kubernetes
        .log()
        .writes()
        .filter(|it| it.namespace == "app")
        .count();
    assert_eq!(leader.stop(), Some(0));
    wait_holder(&kubernetes, "b");
    standby.wait_state("db", "fresh");
    standby.wait_state("both", "fresh");
    let log = kubernetes.log();
    let after = log.writes().filter(|it| it.namespace == "app").count();
    assert_eq!(after, writes, "the same content was written again");
    aws.put("db", "2");
    wait_value(&kubernetes, "db", "2");
    assert_eq!(writers(&kubernetes), ["a", "b"]);
    assert!(standby.output().contains("this machine leads"));
    // Back and forth: what a knew is old by now.
    let other = a.start_ready();
    assert_eq!(standby.stop(), Some(0));
    wait_holder(&kubernetes, "a");
    other.wait_state("db", "fresh");
    assert_eq!(value(&kubernetes, "db").as_deref(), Some("2"));
    assert_eq!(writers(&kubernetes), ["a", "b"]);
}

#[test]
fn a_killed_leader_takes_its_own_lease_back_at_once_and_knows_what_it_knew() {
    let (aws, kubernetes) = (source(), cluster());
    let home = machine("a", &aws, &kubernetes);
    let text = home.read_text("secretsyncd.toml").unwrap();
    let long = text
        .replace("\"2s\"", "\"1h\"")
        .replace("\"1600ms\"", "\"10m\"")
        .replace("\"10s\"", "\"1h\"")
        .replace("identity = \"a\"\n", "");
    home.configure_whole(&long);
    let mut daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    daemon.wait_state("both", "fresh");
    let named = holder(&kubernetes);
    assert!(named.contains('_'), "{named}");
    daemon.signal(Signal::KILL);
    daemon.wait_exit(PATIENCE);
    let (reads, writes) = (aws.log().0.len(), writers(&kubernetes).len());
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(daemon.status().0["leader"]["leads"], json!(true));
    assert_eq!(holder(&kubernetes), named);
    assert_eq!(aws.log().0.len(), reads, "nothing was due");
    assert_eq!(writers(&kubernetes).len(), writes);
    // Given back and taken again: nobody else led meanwhile.
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(holder(&kubernetes), "");
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(aws.log().0.len(), reads, "nothing was due");
}

#[test]
fn nobody_writes_while_the_lease_is_out_of_reach_and_somebody_does_afterwards() {
    let (aws, kubernetes) = (source(), cluster());
    let home = machine("a", &aws, &kubernetes);
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    kubernetes.fail(Rule::namespace(LOCKS), Fault::Hang);
    wait_until(PATIENCE, "the end of the lease", || {
        daemon.metrics().value("secretsyncd_leader", &[]) < 0.5
    });
    let before = kubernetes
        .log()
        .writes()
        .filter(|it| it.namespace == "app")
        .count();
    aws.put("db", "2");
    aws.put("both", "2");
    // Files go on; their read says that the Secret's would have come by now.
    wait_content(&home, "both", "2");
    stays_true(Duration::from_secs(2), "no write", || {
        let log = kubernetes.log();
        log.writes().filter(|it| it.namespace == "app").count() == before
    });
    let status = daemon.status();
    assert_eq!(status.entry("db").state(), "pending");
    assert_eq!(status.0["leader"]["error"]["reason"], json!("timeout"));
    assert!(daemon.output().contains("this machine leads no more"));
    kubernetes.heal();
    wait_value(&kubernetes, "db", "2");
    wait_value(&kubernetes, "both", "2");
    daemon.wait_state("db", "fresh");
    assert!(daemon.output().contains("within reach again"));
}

/// A key that was ours before another machine led, and that somebody else has written since.
#[test]
fn what_a_machine_knew_before_another_led_takes_nothing_away() {
    let (aws, kubernetes) = (source(), cluster());
    let (a, b) = (
        machine("a", &aws, &kubernetes),
        machine("b", &aws, &kubernetes),
    );
    let more = "data = [{ secret_key = \"extra\", remote_ref = { key = \"both\" } }, ";
    for home in [&a, &b] {
        let text = home.read_text("secretsyncd.toml").unwrap();
        home.write("without.toml", &text);
        home.write("secretsyncd.toml", text.replacen("data = [", more, 1));
    }
    let keys = || -> Vec<String> {
        let data = kubernetes.data("app", "db").unwrap_or_default();
        data.into_keys().collect()
    };
    let daemon = a.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(keys(), ["extra", "value"]);
    assert_eq!(daemon.stop(), Some(0));
    for home in [&a, &b] {
        let text = home.read_text("without.toml").unwrap();
        home.configure_whole(&text);
    }
    let daemon = b.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(
        keys(),
        ["value"],
        "the other machine knows by the Secret what was ours"
    );
    assert_eq!(daemon.stop(), Some(0));
    kubernetes.edit("app", "db", "extra", "somebody's");
    let daemon = a.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(keys(), ["extra", "value"], "it is not ours any more");
}

#[test]
fn once_takes_the_lease_or_says_who_holds_it() {
    let (aws, kubernetes) = (source(), cluster());
    let (a, b) = (
        machine("a", &aws, &kubernetes),
        machine("b", &aws, &kubernetes),
    );
    let alone = b.once(&[]);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert_eq!(value(&kubernetes, "db").as_deref(), Some("1"));
    assert_eq!(holder(&kubernetes), "", "it was given back");
    let leader = a.start_ready();
    wait_holder(&kubernetes, "a");
    leader.wait_state("db", "fresh");
    aws.put("both", "2");
    let held = b.once(&[]);
    assert_eq!(held.code, Some(0), "{held:?}");
    assert!(held.stderr.contains("`a` holds the Lease"), "{held:?}");
    assert!(held.stdout.contains("pending"), "{held:?}");
    assert_eq!(b.read_text("both").as_deref(), Some("2"));
    wait_value(&kubernetes, "both", "2");
    assert_eq!(writers(&kubernetes), ["b", "a"]);
}

#[test]
fn another_instances_lease_is_left_alone() {
    let (aws, kubernetes) = (source(), cluster());
    let (a, b) = (
        machine("a", &aws, &kubernetes),
        machine("b", &aws, &kubernetes),
    );
    let text = b.read_text("secretsyncd.toml").unwrap();
    b.configure_whole(&text.replacen("[daemon]", "[daemon]\ninstance = \"test\"", 1));
    let first = a.start_ready();
    wait_holder(&kubernetes, "a");
    first.wait_state("db", "fresh");
    assert_eq!(first.stop(), Some(0));
    let second = b.start_ready();
    wait_until(PATIENCE, "a word about it", || {
        let status = second.status();
        let said: &Value = &status.0["leader"];
        said["error"]["reason"] == json!("conflict")
    });
    assert!(second.output().contains("instance `default`"));
    assert_eq!(holder(&kubernetes), "");
    assert_eq!(writers(&kubernetes), ["a"]);
    assert_eq!(b.read_text("both").as_deref(), Some("1"));
}
