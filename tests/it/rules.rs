//! The shipped rules of Prometheus: what promtool says of them, and what it does not look at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::support::suite::{self, Scenario, in_ci};

/// Rules, as far as these tests look at them.
#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A file of tests for promtool.
#[derive(Deserialize)]
struct Cases {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    alert_rule_test: Vec<Look>,
    #[serde(default)]
    promql_expr_test: Vec<Query>,
}

/// At one alert at one time.
#[derive(Deserialize)]
struct Look {
    alertname: String,
    eval_time: String,
    exp_alerts: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Query {
    expr: String,
    exp_samples: Vec<serde_json::Value>,
}

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prometheus")
}

fn parsed<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rules(file: &str) -> Vec<Rule> {
    let rules: Rules = parsed(&place().join(file));
    let rules = rules.groups.into_iter().flat_map(|group| group.rules);
    let rules: Vec<Rule> = rules.collect();
    assert!(rules.len() > 10, "{}", rules.len());
    rules
}

fn files_of_cases() -> Vec<PathBuf> {
    let files = fs::read_dir(place().join("tests")).unwrap();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 3, "{files:?}");
    files
}

fn cases() -> Vec<Case> {
    let all = files_of_cases().into_iter();
    all.flat_map(|file| parsed::<Cases>(&file).tests).collect()
}

/// Hands the arguments to promtool, beside the configuration.
fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(place())
        .output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        said.join("\n")
    );
}

const JUDGED: &[Scenario<()>] = &[
    ("the configuration and its rules", |()| {
        promtool(&["check", "config", "prometheus.yml"]);
        let files = ["recording.yml", "alerts.yml"];
        promtool(
            &[
                &["check", "rules", "--lint=all", "--lint-fatal"],
                &files[..],
            ]
            .concat(),
        );
    }),
    ("every case of an alert or a recorded series", |()| {
        let files = files_of_cases();
        let files = files.iter().map(|file| file.to_str().unwrap());
        promtool(
            &["test", "rules"]
                .into_iter()
                .chain(files)
                .collect::<Vec<_>>(),
        );
    }),
];

#[test]
fn promtool_takes_the_rules_and_proves_their_cases() {
    const SUITE: &str = "promtool";
    match Command::new("promtool").arg("--version").output() {
        Ok(_) => suite::run(SUITE, JUDGED, &()),
        Err(error) if in_ci() => panic!("promtool is needed: {error}"),
        Err(error) => suite::not_run(SUITE, JUDGED.len(), &error.to_string()),
    }
}

/// As in the address of a heading.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|line| line.trim_start_matches('#').trim());
    let plain = |text: &str| {
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(plain).collect()
}

/// Whoever is paged at night learns what it is, where, and what to do.
#[test]
fn every_alert_says_how_bad_it_is_where_and_what_to_do() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let readme = readme.unwrap();
    let anchors = anchors(&readme);
    let runbook = Regex::new(r"^[A-Z].* \(README\.md#([a-z-]+)\)\.$").unwrap();
    for rule in rules("alerts.yml") {
        let name = rule.alert.expect("only alerts are in this file");
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(
            matches!(severity, Some("critical" | "warning" | "info")),
            "{name}: {severity:?}"
        );
        let annotation = |key: &str| rule.annotations.get(key).map_or("", String::as_str);
        for key in ["summary", "description"] {
            assert!(annotation(key).len() > 20, "{name}: {key}");
        }
        assert!(annotation("description").contains("{{ $labels."), "{name}");
        let found = runbook.captures(annotation("runbook"));
        let anchor = found.unwrap_or_else(|| panic!("{name}: {}", annotation("runbook")));
        assert!(anchors.contains(&anchor[1]), "{name}: #{}", &anchor[1]);
        assert!(
            readme.contains(&format!("`{name}`")),
            "{name} is not in README.md"
        );
    }
}

/// In minutes, of what promtool takes.
fn minutes(time: &str) -> u32 {
    let (number, unit) = time.split_at(time.len() - 1);
    let number: u32 = number.parse().unwrap();
    match unit {
        "m" => number,
        "h" => number * 60,
        _ => panic!("{time}"),
    }
}

/// In one story: silent, then firing, then silent again.
fn fires_and_resolves(case: &Case, alert: &str) -> bool {
    let looks = case
        .alert_rule_test
        .iter()
        .filter(|it| it.alertname == alert);
    let looks: Vec<(u32, bool)> = looks
        .map(|it| (minutes(&it.eval_time), !it.exp_alerts.is_empty()))
        .collect();
    let fires = looks.iter().find(|(_, fires)| *fires);
    fires.is_some_and(|(at, _)| {
        let silent = |before: bool| {
            looks
                .iter()
                .any(|(when, fires)| !fires && when != at && (when < at) == before)
        };
        silent(true) && silent(false)
    })
}

#[test]
fn every_alert_is_seen_silent_then_firing_then_resolved_and_every_recorded_series_is_asked_for() {
    let cases = cases();
    for rule in rules("alerts.yml") {
        let alert = rule.alert.unwrap();
        let seen = cases.iter().any(|case| fires_and_resolves(case, &alert));
        assert!(seen, "{alert} has no case in which it fires and resolves");
    }
    let queries = || cases.iter().flat_map(|case| &case.promql_expr_test);
    for rule in rules("recording.yml") {
        let series = rule.record.expect("only recorded series are in this file");
        let asked =
            queries().any(|query| query.expr.contains(&series) && !query.exp_samples.is_empty());
        assert!(asked, "no case asks for {series}");
    }
}

/// The text of every file that names a metric.
fn sources(place: &Path) -> String {
    let files = fs::read_dir(place)
        .unwrap()
        .map(|file| file.unwrap().path());
    let texts = files.map(|path| {
        if path.is_dir() {
            return sources(&path);
        }
        fs::read_to_string(path).unwrap()
    });
    texts.collect()
}

/// A rule over a name that nobody writes is silent for ever.
#[test]
fn every_metric_that_a_rule_names_is_one_of_ours() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics"));
    let name = Regex::new(r"[a-z_0-9:]*\b(?:secretsyncd|process)_[a-z_0-9:]+").unwrap();
    let recorded = rules("recording.yml").into_iter();
    let recorded: BTreeSet<String> = recorded.filter_map(|rule| rule.record).collect();
    let all = rules("alerts.yml")
        .into_iter()
        .chain(rules("recording.yml"));
    let mut seen = BTreeSet::new();
    for rule in all {
        for found in name.find_iter(&rule.expr).map(|it| it.as_str().to_owned()) {
            let family = found.strip_suffix("_bucket").unwrap_or(&found);
            let own = family.strip_prefix("secretsyncd_").unwrap_or(family);
            let known = recorded.contains(&found) || sources.contains(&format!("\"{own}\""));
            assert!(known, "{found} does not exist: {}", rule.expr);
            seen.insert(found);
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
}

/// Times can be scaled as text: seconds are minutes with one factor of sixty.
#[test]
fn every_threshold_in_seconds_is_a_number_of_minutes() {
    let compared = Regex::new(r"(?:<|>|==)=?\s*(-?[0-9.]+)((?: \* 1440)? \* 60\b)?").unwrap();
    let mut products = 0;
    for rule in rules("alerts.yml") {
        for found in compared.captures_iter(&rule.expr) {
            let number: f64 = found[1].parse().unwrap();
            let product = found.get(2).is_some();
            assert!(product || number.abs() < 10.0, "{}", rule.expr);
            products += usize::from(product);
        }
    }
    assert!(products > 5, "{products}");
}
