//! A cluster in trouble: it is asked once for all, delays nobody else, and is caught up with at once when it is back.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use axum::http::Version;

use crate::support::daemon::{Daemon, Home, PATIENCE, wait_content};
use crate::support::kubernetes::{Fault, Kubernetes, Login, Rule, TOKEN, Verb};
use crate::support::relay::Relay;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

const REQUESTS: &str = "secretsyncd_cluster_requests_total";
const PAUSED: &str = "secretsyncd_cluster_paused";
const INTERVAL: Duration = Duration::from_secs(10);

/// `e0` to `eN`, each with the value of `shared` in a Secret of its own in `cluster`.
fn entries(cluster: &str, count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let name = format!("{cluster}-e{number}");
        write!(
            text,
            "[secrets.{name}]
store = \"prod\"
refresh_interval = \"{}s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"shared\" }} }}]
[[secrets.{name}.kubernetes]]
cluster = \"{cluster}\"
namespace = \"app\"
",
            INTERVAL.as_secs()
        )
        .unwrap();
    }
    text
}

/// A cluster that is reached through a port that may be cut off.
fn behind(kubernetes: &Kubernetes, relay: &Relay, name: &str) -> String {
    let path = kubernetes.kubeconfig(Login::Token);
    let text = fs::read_to_string(&path).unwrap();
    let (own, other) = (kubernetes.port(), relay.port());
    let text = text.replace(&format!(":{own}\n"), &format!(":{other}\n"));
    fs::write(&path, text).unwrap();
    format!(
        "[clusters.{name}]\nkubeconfig = {:?}\n\n",
        path.display().to_string()
    )
}

fn all_hold(kubernetes: &Kubernetes, cluster: &str, count: usize, value: &str) -> bool {
    (0..count).all(|number| {
        let data = kubernetes.data("app", &format!("{cluster}-e{number}"));
        data.is_some_and(|data| data["v"] == value.as_bytes())
    })
}

fn wait_all(kubernetes: &Kubernetes, cluster: &str, count: usize, value: &str) {
    wait_until(PATIENCE, &format!("{value} in all of {cluster}"), || {
        all_hold(kubernetes, cluster, count, value)
    });
}

fn paused(daemon: &Daemon<'_>, cluster: &str, reason: &str) -> bool {
    let labels = [("cluster", cluster), ("reason", reason)];
    daemon.metrics().value(PAUSED, &labels) > 0.5
}

fn wait_paused(daemon: &Daemon<'_>, cluster: &str, reason: &str) {
    wait_until(PATIENCE, "the pause", || paused(daemon, cluster, reason));
}

fn lines(daemon: &Daemon<'_>, part: &str) -> usize {
    let log = daemon.output();
    log.lines().filter(|line| line.contains(part)).count()
}

#[test]
fn a_cluster_that_is_down_is_probed_for_all_and_delays_nobody() {
    let (aws, main, other, home) = (
        SecretsManager::start(),
        Kubernetes::start(),
        Kubernetes::start(),
        Home::new(),
    );
    let mut relay = Relay::start(main.port());
    aws.put("shared", "one");
    let file = home.quoted("targets/file");
    home.configure(
        &[
            aws.store("prod"),
            behind(&main, &relay, "main"),
            other.cluster("other"),
            entries("main", 40),
            format!("[[secrets.main-e0.file]]\npath = {file}\nkey = \"v\"\n"),
            entries("other", 2),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_all(&main, "main", 40, "one");
    assert!(main.log().0.iter().all(|it| it.http == Version::HTTP_2));
    assert!(!paused(&daemon, "main", "network") && !paused(&daemon, "other", "network"));

    relay.cut();
    let cut = Instant::now();
    aws.put("shared", "two");
    wait_paused(&daemon, "main", "network");
    // Everything else arrives, in the same entry, too.
    wait_content(&home, "targets/file", "two");
    wait_all(&other, "other", 2, "two");
    stays_paused_and_is_asked_little(&daemon, &aws, cut);
    assert_eq!(daemon.status().entry("other-e0").state(), "fresh");

    relay.mend();
    wait_all(&main, "main", 40, "two");
    wait_until(PATIENCE, "all to be fresh", || {
        let status = daemon.status();
        status.states().iter().all(|state| *state == "fresh")
    });
    assert!(!paused(&daemon, "main", "network"));
    assert_eq!(daemon.status().0["paused_clusters"], serde_json::json!([]));
    let said = (
        lines(&daemon, "paused: "),
        lines(&daemon, "no longer paused"),
    );
    assert_eq!(said, (1, 1));
    let failures = lines(&daemon, "refuses connections");
    assert!(failures <= 3, "said once, not by every entry: {failures}");
}

/// The cluster `main` was cut off at `cut`.
fn stays_paused_and_is_asked_little(daemon: &Daemon<'_>, aws: &SecretsManager, cut: Instant) {
    let runs = || {
        let failed = [("store", "prod"), ("outcome", "failed")];
        daemon.metrics().value("secretsyncd_syncs_total", &failed)
    };
    wait_until(PATIENCE, "a run of each entry", || runs() > 39.5);
    let (reads, before) = (aws.log().read_count("shared"), runs());
    let start = Instant::now();
    stays_true(Duration::from_secs(6), "it is paused", || {
        paused(daemon, "main", "network")
    });
    // One probe a second at most, after what was under way.
    let most = 3.0 + cut.elapsed().as_secs_f64();
    let page = daemon.status().0;
    let named = &page["paused_clusters"];
    assert_eq!(named.as_array().map(Vec::len), Some(1), "{named}");
    assert_eq!(named[0]["cluster"], "main");
    assert_eq!(named[0]["error"]["reason"], "network");
    let time = |field: &str| named[0][field].as_str().unwrap().parse::<jiff::Timestamp>();
    assert!(
        time("since").unwrap() < time("next_probe").unwrap(),
        "{named}"
    );
    let failed = [("cluster", "main"), ("code", "network")];
    let asked = daemon.metrics().value(REQUESTS, &failed);
    assert!(
        (1.0..=most).contains(&asked),
        "{asked} requests to a cluster that is down"
    );
    let again = runs() - before;
    assert!(again < 40.0, "{again} runs, and nothing has changed");
    // What the interval asks for, and nothing for retries.
    let more = aws.log().read_count("shared") - reads;
    let usual = start.elapsed().as_secs() / INTERVAL.as_secs() + 2;
    assert!(u64::try_from(more).unwrap() <= usual, "{more} reads");
    let status = daemon.wait_state("main-e7", "failing");
    let reason = status.entry("main-e7").reason();
    assert_eq!(reason.as_deref(), Some("network"));
}

#[test]
fn a_start_with_a_cluster_that_is_down_is_ready_and_asks_it_once() {
    let (aws, main, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let mut relay = Relay::start(main.port());
    aws.put("shared", "one");
    home.configure(
        &[
            aws.store("prod"),
            behind(&main, &relay, "main"),
            entries("main", 40),
        ]
        .concat(),
    );
    relay.cut();
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1));
    let start = Instant::now();
    let daemon = home.start_ready();
    wait_paused(&daemon, "main", "network");
    let asked = daemon.metrics().value(REQUESTS, &[("cluster", "main")]);
    let most = 1.0 + start.elapsed().as_secs_f64();
    assert!(asked <= most, "{asked} requests");
    relay.mend();
    wait_all(&main, "main", 40, "one");
}

#[test]
fn a_servers_wish_to_be_left_alone_is_obeyed_by_all() {
    let (aws, main, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("shared", "one");
    home.configure(&[aws.store("prod"), main.cluster("main"), entries("main", 30)].concat());
    let daemon = home.start_ready();
    wait_all(&main, "main", 30, "one");
    main.fail(Rule::any(), Fault::TooManyRequests(5));
    aws.put("shared", "two");
    wait_paused(&daemon, "main", "throttled");
    main.heal();
    wait_all(&main, "main", 30, "two");
    let log = main.log();
    let refused = log.0.iter().filter(|it| it.status == 429);
    let first = refused.clone().map(|it| it.at).min().unwrap();
    // What was under way when the first refusal came arrives soon after it.
    let after = |since: u64| {
        let (from, until) = (Duration::from_secs(since), Duration::from_millis(4900));
        let there = |at: Instant| (first + from..first + until).contains(&at);
        log.0.iter().filter(|it| there(it.at)).count()
    };
    assert_eq!(
        after(2),
        0,
        "requests in the time that the server asked for"
    );
    assert!(refused.count() <= 32);
}

#[test]
fn three_hundred_targets_start_at_the_rate() {
    let (aws, main, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("shared", "one");
    home.configure(
        &[
            aws.store("prod"),
            main.cluster("main"),
            entries("main", 300),
        ]
        .concat(),
    );
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE * 2);
    assert!(all_hold(&main, "main", 300, "one"));
    let times: Vec<Instant> = main.log().0.iter().map(|request| request.at).collect();
    let took = *times.last().unwrap() - times[0];
    assert!(times.len() >= 600, "{} requests", times.len());
    // After the first one, five may leave at once, and all others at 50 in a second. Slower is no fault.
    let others = u32::try_from(times.len() - 6).unwrap();
    let least = Duration::from_millis(20) * others;
    assert!(
        took >= least.mul_f64(0.98),
        "{} requests in {took:?}",
        times.len()
    );
}

#[test]
fn another_rate_changes_nothing_but_the_rate() {
    let (aws, main, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let relay = Relay::start(main.port());
    aws.put("shared", "one");
    let tables = [
        aws.store("prod"),
        behind(&main, &relay, "main"),
        entries("main", 3),
    ]
    .concat();
    home.configure(&tables);
    let daemon = home.start_ready();
    wait_all(&main, "main", 3, "one");
    let writes = main.log().write_count();
    home.configure(&tables.replace("kubeconfig =", "requests_per_second = 7\nkubeconfig ="));
    wait_until(PATIENCE, "the reload", || {
        daemon
            .metrics()
            .value("secretsyncd_config_reloads_total", &[])
            > 0.5
    });
    let reloaded = lines(&daemon, "unchanged=3");
    assert_eq!(reloaded, 1, "{}", daemon.output());
    let last = main.log().0.last().unwrap().at;
    assert_eq!(home.finish(&["sync", "--all"]).code, Some(0));
    // Connections that were idle for 20 s are closed.
    let idle = last.elapsed() > Duration::from_secs(15);
    assert!(
        relay.accepted() == 1 || idle,
        "{} connections",
        relay.accepted()
    );
    aws.put("shared", "two");
    wait_all(&main, "main", 3, "two");
    assert_eq!(main.log().write_count(), writes + 3);

    // A cluster that is gone takes its series along.
    home.configure(
        &tables
            .replace("clusters.main", "clusters.next")
            .replace("\"main\"", "\"next\""),
    );
    wait_until(PATIENCE, "the other cluster's series", || {
        daemon
            .metrics()
            .sum(PAUSED, &[("cluster", "next")])
            .is_some()
    });
    wait_until(PATIENCE, "the old series to go", || {
        daemon
            .metrics()
            .sum(PAUSED, &[("cluster", "main")])
            .is_none()
    });
}

#[test]
fn a_token_that_is_refused_pauses_its_cluster_until_it_is_renewed() {
    let (aws, main, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("shared", "one");
    let kubeconfig = main.kubeconfig(Login::Token);
    let cluster = format!(
        "[clusters.main]\nkubeconfig = {:?}\n\n",
        kubeconfig.display().to_string()
    );
    home.configure(&[aws.store("prod"), cluster, entries("main", 20)].concat());
    let daemon = home.start_ready();
    wait_all(&main, "main", 20, "one");
    main.set_token("another");
    let start = Instant::now();
    aws.put("shared", "two");
    wait_paused(&daemon, "main", "credentials");
    stays_true(Duration::from_secs(4), "it is paused", || {
        paused(&daemon, "main", "credentials")
    });
    let refused = main.log().0.iter().filter(|it| it.status == 401).count();
    let most = start.elapsed().as_secs() + 32;
    assert!(
        u64::try_from(refused).unwrap() <= most,
        "{refused} requests"
    );
    let text = fs::read_to_string(&kubeconfig).unwrap();
    fs::write(&kubeconfig, text.replace(TOKEN, "another")).unwrap();
    wait_all(&main, "main", 20, "two");
    wait_until(PATIENCE, "the end of the pause", || {
        !paused(&daemon, "main", "credentials")
    });
}

/// A webhook that fails or hangs for one object says nothing of the others.
#[test]
fn one_object_that_is_refused_leaves_its_cluster_open() {
    let (aws, main, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("shared", "one");
    home.configure(&[aws.store("prod"), main.cluster("main"), entries("main", 5)].concat());
    let daemon = home.start_ready();
    wait_all(&main, "main", 5, "one");
    for name in ["main-e0", "main-e1"] {
        let rule = Rule::namespace("app").name(name).verb(Verb::Apply);
        main.fail(rule, Fault::InternalError);
    }
    for value in ["two", "three"] {
        aws.put("shared", value);
        wait_until(PATIENCE, "the other Secrets", || {
            (2..5).all(|number| {
                let data = main.data("app", &format!("main-e{number}"));
                data.is_some_and(|data| data["v"] == value.as_bytes())
            })
        });
        daemon.wait_state("main-e0", "failing");
    }
    assert_eq!(lines(&daemon, "paused: "), 0);
    main.heal();
    wait_all(&main, "main", 5, "three");
}

/// A write whose answer never came may have happened: it is looked at before anything is written again.
#[test]
fn a_write_that_nobody_heard_of_is_not_made_twice() {
    let (aws, main, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("shared", "one");
    home.configure(&[aws.store("prod"), main.cluster("main"), entries("main", 1)].concat());
    let daemon = home.start_ready();
    wait_all(&main, "main", 1, "one");
    let writes = main.log().write_count();
    main.fail(Rule::any().verb(Verb::Apply), Fault::Truncated);
    aws.put("shared", "two");
    daemon.wait_state("main-e0", "failing");
    wait_all(&main, "main", 1, "two");
    main.heal();
    daemon.wait_state("main-e0", "fresh");
    assert_eq!(main.log().write_count(), writes + 1);
}
