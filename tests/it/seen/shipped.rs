//! The shipped configuration and rules of Prometheus, with every duration shorter by one factor.
//!
//! The files are read as they are shipped. What is a duration: `for`, `interval` and the like, and in expressions ranges,
//! offsets, and thresholds, which the rules write as minutes with the factor `* 60`.

use std::time::Duration;

use regex::{Captures, Regex};
use serde_json::{Value, json};

use crate::support::real_prometheus::Prometheus;

/// An hour is a minute.
pub const FACTOR: f64 = 60.0;

/// After this long without a scrape Prometheus holds a series for gone.
const LOOKBACK: Duration = Duration::from_mins(5);

pub const NAME: &str = "prometheus.yml";

const CONFIG: &str = include_str!("../../../config/prometheus/prometheus.yml");

const RULES: [(&str, &str); 2] = [
    (
        "recording.yml",
        include_str!("../../../config/prometheus/recording.yml"),
    ),
    (
        "alerts.yml",
        include_str!("../../../config/prometheus/alerts.yml"),
    ),
];

/// One rule of the files.
pub struct Rule {
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Alert,
    Recording,
}

/// Starts a Prometheus with all that is shipped, and nobody to scrape yet.
pub fn start() -> Prometheus {
    let rules = RULES.map(|(name, text)| (name, scaled(text).to_string()));
    let files = [&[(NAME, config(&[]))], &rules[..]].concat();
    Prometheus::start(&files, &shorter(LOOKBACK))
}

/// The configuration for these instances, each with its fleet.
pub fn config(instances: &[(String, &str)]) -> String {
    let mut config = scaled(CONFIG);
    let files = RULES.map(|(name, _)| name);
    assert_eq!(config["rule_files"], json!(files), "all rules are loaded");
    let jobs = config["scrape_configs"].as_array().map_or(0, Vec::len);
    assert_eq!(jobs, 1, "one job");
    let groups = instances
        .iter()
        .map(|(address, fleet)| json!({ "targets": [address], "labels": { "fleet": fleet } }));
    config["scrape_configs"][0]["static_configs"] = groups.collect();
    // The one time that is not to scale: it is also how long an answer may take.
    config["global"]["scrape_interval"] = json!("1s");
    config.to_string()
}

/// All rules that are shipped.
pub fn rules() -> Vec<Rule> {
    let files = RULES.iter().map(|(_, text)| parsed(text));
    let rules: Vec<Rule> = files.flat_map(|file| groups(&file)).collect();
    assert!(rules.iter().any(|rule| rule.kind == Kind::Alert));
    assert!(rules.iter().any(|rule| rule.kind == Kind::Recording));
    rules
}

fn groups(file: &Value) -> Vec<Rule> {
    let groups = file["groups"].as_array().into_iter().flatten();
    let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let rule = |rule: &Value| {
        let of = |key: &str, kind| Some((rule[key].as_str()?.to_owned(), kind));
        let (name, kind) = of("alert", Kind::Alert)
            .or_else(|| of("record", Kind::Recording))
            .expect("a rule has a name");
        Rule { name, kind }
    };
    rules.map(rule).collect()
}

fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("it is YAML")
}

fn scaled(text: &str) -> Value {
    let mut file = parsed(text);
    shorten(&mut file);
    file
}

/// Everything below that is a duration.
fn shorten(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), &*value) {
                    ("labels" | "annotations", _) => {}
                    ("expr", Value::String(text)) => *value = json!(shorter_expression(text)),
                    ("for" | "interval" | "keep_firing_for", Value::String(text)) => {
                        *value = json!(shorter_durations(text));
                    }
                    (key, Value::String(text))
                        if key.ends_with("_interval") || key.ends_with("_timeout") =>
                    {
                        *value = json!(shorter_durations(text));
                    }
                    _ => shorten(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn shorter_expression(text: &str) -> String {
    let ranges = Regex::new(r"\[[^\]]*\]|offset \S+").unwrap();
    let text = ranges.replace_all(text, |found: &Captures<'_>| shorter_durations(&found[0]));
    let minutes = Regex::new(r"\* 60\b").unwrap();
    let minute = format!("* {}", 60.0 / FACTOR);
    minutes.replace_all(&text, minute).into_owned()
}

fn shorter_durations(text: &str) -> String {
    let duration = Regex::new(r"(\d+)(ms|s|m|h|d|w)").unwrap();
    let shorter = duration.replace_all(text, |found: &Captures<'_>| {
        let number: u64 = found[1].parse().unwrap();
        let unit = match &found[2] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            "d" => Duration::from_hours(24),
            _ => Duration::from_hours(7 * 24),
        };
        shorter(unit * u32::try_from(number).unwrap())
    });
    shorter.into_owned()
}

fn shorter(duration: Duration) -> String {
    format!("{}ms", duration.div_f64(FACTOR).as_millis())
}

#[test]
fn durations_are_shorter_and_nothing_else_is_another() {
    let before =
        "time() - a_timestamp_seconds{le=\"5m\"} > 15 * 60 and rate(b[10m:1m] offset 13h) > 2";
    let after = "time() - a_timestamp_seconds{le=\"5m\"} > 15 * 1 and rate(b[10000ms:1000ms] offset 780000ms) > 2";
    assert_eq!(shorter_expression(before), after);
    let rules = "groups: [{ name: g, interval: 1m, rules: [{ alert: A, expr: up == 0, for: 15m, annotations: { for: 5m } }] }]";
    let rule = &scaled(rules)["groups"][0];
    assert_eq!(rule["interval"], "1000ms");
    assert_eq!(rule["rules"][0]["for"], "15000ms");
    assert_eq!(rule["rules"][0]["annotations"]["for"], "5m");
}
