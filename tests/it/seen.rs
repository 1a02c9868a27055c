//! What a person sees who is paged: a real Prometheus scrapes the real daemon, whose troubles are made, and the shipped
//! rules and dashboard are asked what they make of them. An hour of theirs is a minute here.

mod dashboard;
mod holdup;
mod hygiene;
mod machines;
mod shipped;
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::daemon::PATIENCE;
use crate::support::real_prometheus::Prometheus;
use crate::support::suite::{in_ci, not_run};
use crate::support::wait::wait_until;
use dashboard::Dashboard;
use machines::Machines;
use shipped::Kind;

/// In which every alert has to fire, and then every one to be resolved: an hour and a half of the rules.
const LIMIT: Duration = Duration::from_secs(90);

/// So long ago the first trouble began, at most.
const SPAN: Duration = Duration::from_mins(4);

#[test]
fn every_alert_fires_and_resolves_and_every_query_has_data() {
    if !Prometheus::is_installed() {
        assert!(!in_ci(), "there is no Prometheus");
        return not_run("Prometheus", 1, "it is not installed");
    }
    let machines = Machines::new();
    let mut running = machines.start();
    let prometheus = shipped::start();
    wait_fired(&prometheus, &["SecretsyncdAbsent".to_owned()].into());

    let watched = machines.watched();
    prometheus.reload(shipped::NAME, &shipped::config(&watched));
    let up = || prometheus.query("sum(up)").first().map(|it| it.value);
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let all = watched.len() as f64;
    wait_until(PATIENCE, "every one to be scraped", || up() == Some(all));
    wait_resolved(&prometheus);

    if let Err(errno) = running.break_all(&prometheus) {
        assert!(!in_ci(), "no process can be followed: {errno}");
        return not_run("Prometheus", 1, "no process can be followed");
    }
    wait_fired(&prometheus, &names(Kind::Alert));
    let down = prometheus.query("ALERTS{alertname=\"SecretsyncdDown\",alertstate=\"firing\"}");
    assert_eq!(down.len(), 2, "one is killed, one is stopped: {down:?}");
    let instances: Vec<String> = watched.into_iter().map(|(address, _)| address).collect();
    every_query_has_data(&prometheus, &instances);

    running.mend_all();
    wait_resolved(&prometheus);
}

fn names(kind: Kind) -> BTreeSet<String> {
    let rules = shipped::rules().into_iter();
    rules
        .filter(|rule| rule.kind == kind)
        .map(|rule| rule.name)
        .collect()
}

/// Alerts that match.
fn alerts(prometheus: &Prometheus, expression: &str) -> BTreeSet<String> {
    let found = prometheus.query(expression).into_iter();
    found
        .map(|alert| alert.labels["alertname"].clone())
        .collect()
}

/// Waits until each of these has fired; what has fired by itself counts from the beginning.
fn wait_fired(prometheus: &Prometheus, wanted: &BTreeSet<String>) {
    let fired = "count_over_time(ALERTS{alertstate=\"firing\"}[1h])";
    let start = Instant::now();
    loop {
        let missing: BTreeSet<_> = wanted - &alerts(prometheus, fired);
        if missing.is_empty() {
            return;
        }
        assert!(start.elapsed() < LIMIT, "never fired: {missing:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn wait_resolved(prometheus: &Prometheus) {
    let start = Instant::now();
    loop {
        let left = alerts(prometheus, "ALERTS");
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < LIMIT, "not resolved: {left:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Of the dashboard, and what the recording rules record. All that are without data are told at once.
fn every_query_has_data(prometheus: &Prometheus, instances: &[String]) {
    let queries = Dashboard::shipped().queries().into_iter();
    let of_dashboard = queries.map(|query| (query.place.clone(), query.filled(instances)));
    let recorded = names(Kind::Recording).into_iter();
    let of_rules = recorded.map(|name| (format!("rule {name}"), name));
    let without: Vec<String> = of_dashboard
        .chain(of_rules)
        .filter_map(
            |(place, expression)| match prometheus.range(&expression, SPAN) {
                Ok(found) if found.is_empty() => Some(format!("{place}: no data: {expression}")),
                Ok(_) => None,
                Err(error) => Some(format!("{place}: {error}: {expression}")),
            },
        )
        .collect();
    assert!(without.is_empty(), "{without:#?}");
}
