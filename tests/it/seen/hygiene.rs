//! The shipped dashboard can be imported anywhere and says what it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::dashboard::{Dashboard, array, text};

/// Prometheus's own, of every target.
const OF_PROMETHEUS: [&str; 2] = ["up", "scrape_duration_seconds"];

fn shown(dashboard: &Dashboard) -> Vec<&Value> {
    let panels = dashboard.panels().into_iter();
    let panels: Vec<&Value> = panels.filter(|panel| panel["type"] != "row").collect();
    assert!(panels.len() > 20, "{}", panels.len());
    panels
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let dashboard = Dashboard::shipped();
    for panel in shown(&dashboard) {
        let title = text(&panel["title"]);
        assert!(!title.is_empty(), "{panel}");
        assert!(text(&panel["description"]).len() > 20, "{title}");
        let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
        assert!(!unit.is_empty(), "{title}");
        assert!(!array(&panel["targets"]).is_empty(), "{title}");
    }
}

#[test]
fn nothing_on_it_belongs_to_one_installation() {
    let dashboard = Dashboard::shipped();
    let by_variable = json!({ "type": "prometheus", "uid": "${datasource}" });
    for panel in shown(&dashboard) {
        assert_eq!(panel["datasource"], by_variable, "{}", panel["title"]);
        for target in array(&panel["targets"]) {
            assert!(target.get("datasource").is_none(), "{target}");
        }
    }
    let names: Vec<&str> = dashboard
        .variables()
        .iter()
        .map(|it| text(&it["name"]))
        .collect();
    assert_eq!(
        names,
        ["datasource", "instance", "store", "cluster", "secret"]
    );
    for variable in &dashboard.variables()[1..] {
        assert_eq!(variable["datasource"], by_variable, "{}", variable["name"]);
    }
    // Grafana gives the dashboard a number of its own.
    assert!(dashboard.0.get("id").is_none());
    assert!(dashboard.0["schemaVersion"].as_u64() >= Some(39));
}

#[test]
fn panels_are_told_apart_and_do_not_cover_one_another() {
    let dashboard = Dashboard::shipped();
    let mut ids = BTreeSet::new();
    let mut titles = BTreeSet::new();
    let mut cells = BTreeMap::new();
    for panel in dashboard.panels() {
        let title = text(&panel["title"]);
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        assert!(titles.insert(title), "{title} is there twice");
        let letters: BTreeSet<&str> = array(&panel["targets"])
            .iter()
            .map(|it| text(&it["refId"]))
            .collect();
        assert_eq!(letters.len(), array(&panel["targets"]).len(), "{title}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_u64().unwrap());
        assert!(x + w <= 24, "{title}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            let before = cells.insert(cell, title);
            assert_eq!(before, None, "{title} covers it");
        }
    }
}

/// The text of every file that names a metric.
fn sources(place: &Path) -> String {
    let entries = fs::read_dir(place)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            fs::read_to_string(path).unwrap()
        }
    });
    texts.collect()
}

/// Metrics by their full names, without what Prometheus adds to those of histograms.
fn named(expression: &str) -> BTreeSet<String> {
    let label = regex::Regex::new(r"\{[^}]*\}|\b(by|without|on|ignoring) \([^)]*\)").unwrap();
    let name = regex::Regex::new(r"\b(secretsyncd|process|scrape)_[a-z_]+|\bup\b").unwrap();
    let bare = label.replace_all(expression, "");
    let names = name.find_iter(&bare).map(|it| it.as_str());
    names
        .map(|it| it.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn every_metric_it_names_exists_and_every_metric_of_ours_is_on_it() {
    let dashboard = Dashboard::shipped();
    let queries = dashboard.queries();
    let named: BTreeSet<String> = queries
        .iter()
        .flat_map(|it| named(&it.expression))
        .collect();
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics"));
    for metric in &named {
        let own = metric.strip_prefix("secretsyncd_").unwrap_or(metric);
        let known = OF_PROMETHEUS.contains(&own) || sources.contains(&format!("\"{own}\""));
        assert!(known, "{metric} does not exist");
    }
    let registered =
        regex::Regex::new(r#"\b(?:make|secret)\s*\.(?:counter|gauge|histogram)s?\(\s*"([a-z_]+)""#)
            .unwrap();
    // Those of an entry are made as they are fetched.
    let told = regex::Regex::new(r#"=>\s*\(\s*"([a-z_]+)",\s*""#).unwrap();
    let all = [registered, told];
    let ours: Vec<&str> = all
        .iter()
        .flat_map(|pattern| pattern.captures_iter(&sources))
        .map(|it| it.get(1).unwrap().as_str())
        .collect();
    assert!(ours.len() > 30, "{ours:?}");
    for metric in ours {
        let full = format!("secretsyncd_{metric}");
        assert!(named.contains(&full), "{full} is not on the dashboard");
    }
}
