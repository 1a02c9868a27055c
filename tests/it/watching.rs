//! Secrets that others change, seen at once by a watch: what comes back, how soon, and what it costs.
//!
//! Intervals are long, so that nothing here can be the work of a routine check, unless a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Fault, Gone, Kubernetes, Rule, Shape, TOKEN, Verb};
use crate::support::machine::Alone;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

const SOON: Duration = Duration::from_secs(2);

/// One entry of one key, `value`, from the secret `db`, into `db` of these namespaces.
fn entry(name: &str, interval: &str, namespaces: &[&str], more: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"prod\"
refresh_interval = \"{interval}\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"db\" }} }}]
[[secrets.{name}.kubernetes]]
cluster = \"main\"
namespaces = {namespaces:?}
name = \"db\"
{more}
"
    )
}

const WATCH: &str = "drift = \"watch\"";

struct World {
    aws: SecretsManager,
    kubernetes: Kubernetes,
    home: Home,
}

impl World {
    fn new() -> Self {
        let world = Self {
            aws: SecretsManager::start(),
            kubernetes: Kubernetes::start(),
            home: Home::new(),
        };
        world.aws.put("db", "value");
        world
    }

    fn configure(&self, entries: &str) {
        // Hundreds of lists, watches and Secrets at the start are not what these scenarios wait for.
        let cluster = self.kubernetes.cluster("main");
        let cluster = cluster.replace("kubeconfig =", "requests_per_second = 500\nkubeconfig =");
        self.home
            .configure(&[&self.aws.store("prod"), &*cluster, entries].concat());
    }

    /// Delivered and watched.
    fn start(&self, watches: usize) -> Daemon<'_> {
        let daemon = self.home.start_ready();
        self.wait_watched(watches);
        wait_until(PATIENCE, "everything fresh", || {
            daemon
                .status()
                .states()
                .iter()
                .all(|state| *state == "fresh")
        });
        daemon
    }

    fn wait_watched(&self, watches: usize) {
        wait_until(PATIENCE, &format!("{watches} watches"), || {
            self.kubernetes.watches() == watches
        });
    }

    fn holds(&self, namespace: &str, value: &str) -> bool {
        let data = self.kubernetes.data(namespace, "db");
        data.is_some_and(|data| data["value"] == value.as_bytes())
    }

    fn wait_back(&self, namespace: &str, value: &str) {
        let what = format!("{value} in {namespace}");
        wait_until(PATIENCE, &what, || self.holds(namespace, value));
    }
}

#[test]
fn a_deleted_and_an_edited_secret_are_back_in_two_seconds_for_one_read_each() {
    let _alone = Alone::wait();
    let world = World::new();
    world.configure(&entry("db", "1h", &["app"], WATCH));
    let daemon = world.start(1);
    let (read, kubernetes) = (|| world.aws.log().read_count("db"), &world.kubernetes);
    let others: [(&str, &dyn Fn()); 3] = [
        ("deleted", &|| kubernetes.delete("app", "db")),
        ("edited", &|| kubernetes.edit("app", "db", "value", "other")),
        ("deleted again", &|| kubernetes.delete("app", "db")),
    ];
    for (index, (what, change)) in others.into_iter().enumerate() {
        // A fight would be another matter.
        if index > 0 {
            assert_eq!(world.home.finish(&["sync", "db"]).code, Some(0));
        }
        let (reads, before) = (read(), Instant::now());
        change();
        world.wait_back("app", "value");
        assert!(before.elapsed() < SOON, "{what}: {:?}", before.elapsed());
        assert!(read() <= reads + 1, "{what} cost {} reads", read() - reads);
    }
    let metrics = daemon.page("/metrics");
    for line in [
        "secretsyncd_drift_repairs_total{kind=\"missing\",target_kind=\"kubernetes\"} 2",
        "secretsyncd_drift_repairs_total{kind=\"content\",target_kind=\"kubernetes\"} 1",
        "secretsyncd_cluster_requests_total{cluster=\"main\",code=\"200\",verb=\"list\"} 1",
        "secretsyncd_cluster_requests_total{cluster=\"main\",code=\"200\",verb=\"watch\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(kubernetes.watches(), 0, "the daemon hangs up");
}

#[test]
fn what_is_watched_is_not_asked_about() {
    let world = World::new();
    world.configure(&entry("db", "10s", &["app", "default"], WATCH));
    let daemon = world.start(1);
    let before = world.kubernetes.log().0.len();
    let reads = world.aws.log().read_count("db");
    let success = daemon
        .status()
        .entry("db")
        .last_success()
        .unwrap()
        .to_owned();
    wait_until(PATIENCE * 2, "three intervals", || {
        world.aws.log().read_count("db") >= reads + 3
    });
    assert_eq!(world.kubernetes.log().0.len(), before, "not one request");
    daemon.wait_success_after("db", &success);
    // Our own write is seen, and known to be ours.
    world.aws.put("db", "next");
    world.wait_back("app", "next");
    world.wait_back("default", "next");
    stays_true(Duration::from_secs(1), "no look at our own write", || {
        let log = world.kubernetes.log().0;
        let looks = log[before..].iter();
        looks
            .filter(|it| it.verb == Verb::Get && it.shape == Shape::Metadata)
            .count()
            == 0
    });
}

#[test]
fn three_hundred_namespaces_are_watched_while_writes_go_on() {
    let world = World::new();
    let names: Vec<String> = (0..300).map(|number| format!("n{number}")).collect();
    for name in &names {
        world.kubernetes.create_namespace(name);
    }
    let scope = Rule::cluster_wide().verb(Verb::List);
    world.kubernetes.fail(scope, Fault::Forbidden);
    let groups = names.chunks(10).enumerate();
    let entries = groups.map(|(number, names)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        entry(&format!("e{number}"), "1h", &names, WATCH)
    });
    world.configure(&entries.collect::<String>());
    let daemon = world.start(300);
    let mut connections: BTreeMap<u64, BTreeSet<bool>> = BTreeMap::new();
    let mut streams: BTreeMap<u64, usize> = BTreeMap::new();
    for request in world.kubernetes.log().0 {
        let watches = request.verb == Verb::Watch;
        connections
            .entry(request.connection)
            .or_default()
            .insert(watches);
        *streams.entry(request.connection).or_default() += usize::from(watches);
    }
    assert!(
        connections.values().all(|uses| uses.len() == 1),
        "shared: {connections:?}"
    );
    assert!(streams.values().all(|count| *count <= 50), "{streams:?}");
    world.aws.put("db", "next");
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| world.home.finish(&["sync", "--all"]).code);
        for (number, name) in names.iter().enumerate().step_by(7) {
            match number % 2 {
                0 => world.kubernetes.delete(name, "db"),
                _ => world.kubernetes.edit(name, "db", "value", "other"),
            }
        }
        assert_eq!(sync.join().unwrap(), Some(0));
    });
    wait_until(PATIENCE * 2, "everything is back", || {
        names.iter().all(|name| world.holds(name, "next"))
    });
    assert_eq!(world.kubernetes.watches(), 300);
    drop(daemon);
}

#[test]
fn a_watch_goes_on_whatever_ends_it() {
    let world = World::new();
    world.configure(&entry("db", "1h", &["app"], WATCH));
    let daemon = world.start(1);
    let kubernetes = &world.kubernetes;
    let gone = |gone| {
        kubernetes.forget_history(gone);
        kubernetes.cut_watches();
    };
    let ends: [(&str, &dyn Fn()); 5] = [
        ("ended", &|| kubernetes.end_watches()),
        ("cut", &|| kubernetes.cut_watches()),
        ("gone", &|| gone(Gone::Status)),
        ("gone by an event", &|| gone(Gone::Event)),
        ("rubbish", &|| kubernetes.babble("MARKER{\n")),
    ];
    for (what, end) in ends {
        if what == "rubbish" {
            // It waits for long after that; a bookmark and a plain change come first.
            kubernetes.bookmark();
        }
        end();
        kubernetes.edit("app", "db", "value", what);
        if what == "rubbish" {
            let told = || daemon.output().contains("not watched for now");
            wait_until(PATIENCE, "the log says so", told);
            assert!(!daemon.output().contains("MARKER"));
            break;
        }
        world.wait_back("app", "value");
        world.wait_watched(1);
        assert_eq!(world.home.finish(&["sync", "db"]).code, Some(0));
    }
}

#[test]
fn what_changed_while_nobody_watched_is_found_when_somebody_does_again() {
    let world = World::new();
    world.configure(&entry("db", "1h", &["app", "default"], WATCH));
    let daemon = world.start(1);
    world
        .kubernetes
        .fail(Rule::any().verb(Verb::Watch), Fault::Close);
    world.kubernetes.cut_watches();
    let told = || daemon.output().contains("not watched for now");
    wait_until(PATIENCE, "the log says so", told);
    world.kubernetes.delete("app", "db");
    world.kubernetes.edit("default", "db", "value", "other");
    world.kubernetes.heal();
    world.wait_back("app", "value");
    world.wait_back("default", "value");
    let told = || daemon.output().contains("watched again");
    wait_until(PATIENCE, "the log says so", told);
}

#[test]
fn a_namespace_that_may_not_be_watched_fails_no_other_and_is_looked_at_in_each_interval() {
    let world = World::new();
    let kubernetes = &world.kubernetes;
    kubernetes.fail(Rule::cluster_wide().verb(Verb::List), Fault::Forbidden);
    kubernetes.fail(
        Rule::namespace("default").verb(Verb::Watch),
        Fault::Forbidden,
    );
    world.configure(&entry("db", "10s", &["app", "default"], WATCH));
    let daemon = world.start(1);
    let told = || daemon.output().matches("cannot be watched").count();
    wait_until(PATIENCE, "the log says so", || told() == 1);
    let before = kubernetes.log().0.len();
    kubernetes.delete("default", "db");
    world.wait_back("default", "value");
    let log = kubernetes.log().0;
    let looks: Vec<&str> = log[before..]
        .iter()
        .filter(|it| it.verb == Verb::Get && it.shape == Shape::Metadata)
        .map(|it| it.namespace.as_str())
        .collect();
    // The run that puts it back looks at both; what looks in each interval does not.
    let of_app = looks.iter().filter(|it| **it == "app").count();
    assert!(looks[0] == "default" && of_app <= 1, "{looks:?}");
    kubernetes.delete("app", "db");
    world.wait_back("app", "value");
    assert_eq!(told(), 1);
    assert_eq!(world.home.finish(&["status"]).code, Some(0));
}

#[test]
fn a_new_token_is_used_for_the_next_watch() {
    let world = World::new();
    let token = world.home.write("token", TOKEN);
    let authority = world.home.write("ca.crt", world.kubernetes.authority());
    let table = format!(
        "[clusters.main]\nserver = \"{}\"\ncertificate_authority = {:?}\ntoken_file = {:?}\n\n",
        world.kubernetes.url(),
        authority.display().to_string(),
        token.display().to_string()
    );
    let tables = world.aws.store("prod") + &table;
    world
        .home
        .configure(&(tables + &entry("db", "1h", &["app"], WATCH)));
    let daemon = world.start(1);
    world.home.write("token", "MARKER-another-token");
    world.kubernetes.set_token("MARKER-another-token");
    world.kubernetes.end_watches();
    world.wait_watched(1);
    world.kubernetes.delete("app", "db");
    world.wait_back("app", "value");
    assert!(!daemon.output().contains("MARKER"));
}

#[test]
fn a_fight_is_not_fought_and_is_named() {
    let world = World::new();
    world.configure(&entry("db", "1h", &["app"], WATCH));
    let daemon = world.start(1);
    for round in 0..3 {
        world
            .kubernetes
            .edit("app", "db", "value", &format!("theirs-{round}"));
        world.wait_back("app", "value");
    }
    daemon.wait_state("db", "contested");
    world.kubernetes.edit("app", "db", "value", "theirs");
    wait_until(PATIENCE, "the status says so", || {
        let status = daemon.status();
        let entry = status.entry("db");
        let trouble = entry.trouble();
        trouble.is_some_and(|it| {
            it.reason == "conflict"
                && it.message.contains("`kubectl-edit`")
                && it.help.contains("at its source")
        })
    });
    let reads = world.aws.log().read_count("db");
    stays_true(SOON, "it stays as it is, and costs nothing", || {
        world.holds("app", "theirs") && world.aws.log().read_count("db") == reads
    });
    let log = daemon.output();
    assert!(log.contains("the target is contested"));
    assert!(
        log.contains("others=\"`kubectl-edit`\"") || log.contains("others=`kubectl-edit`"),
        "{log}"
    );
    assert!(!log.contains("theirs"));
    // Whoever asks for it gets it back, and it is a fight no more.
    assert_eq!(world.home.finish(&["sync", "db"]).code, Some(0));
    assert!(world.holds("app", "value"));
    daemon.wait_state("db", "fresh");
}

#[test]
fn a_new_version_is_written_into_a_fight() {
    let world = World::new();
    world.configure(&entry("db", "10s", &["app"], WATCH));
    let daemon = world.start(1);
    for round in 0..3 {
        world
            .kubernetes
            .edit("app", "db", "value", &format!("theirs-{round}"));
        world.wait_back("app", "value");
    }
    daemon.wait_state("db", "contested");
    world.kubernetes.edit("app", "db", "value", "theirs");
    world.aws.put("db", "next");
    world.wait_back("app", "next");
    assert_eq!(daemon.status().entry("db").state(), "contested");
}

#[test]
fn somebody_who_writes_something_else_every_moment_costs_few_reads() {
    let world = World::new();
    world.configure(&entry("db", "1h", &["app"], WATCH));
    let daemon = world.start(1);
    let reads = world.aws.log().read_count("db");
    for number in 0..40 {
        let mut object = world.kubernetes.object("app", "db").unwrap();
        object["metadata"]["annotations"]["touched"] = json!(number.to_string());
        world.kubernetes.put("toucher", "app", "db", object);
        stays_true(Duration::from_millis(100), "the value stays", || {
            world.holds("app", "value")
        });
    }
    let more = world.aws.log().read_count("db") - reads;
    assert!((1..=5).contains(&more), "{more} reads");
    assert_eq!(daemon.status().entry("db").state(), "fresh");
}

#[test]
fn a_reload_begins_and_ends_watches() {
    let world = World::new();
    world.configure(&entry("db", "1h", &["app"], ""));
    let daemon = world.start(0);
    world.configure(&entry("db", "1h", &["app", "default"], WATCH));
    daemon.signal(Signal::HUP);
    world.wait_watched(1);
    world.wait_back("default", "value");
    world.kubernetes.delete("default", "db");
    world.wait_back("default", "value");
    world.configure(&entry("db", "1h", &["app", "default"], ""));
    let before = daemon.status();
    daemon.signal(Signal::HUP);
    world.wait_watched(0);
    // What it began with has to be over: it would put back what it finds gone.
    daemon.wait_success_after("db", before.entry("db").last_success().unwrap());
    world.kubernetes.delete("app", "db");
    stays_true(SOON, "nobody sees it", || !world.holds("app", "value"));
}
