//! What a page says before and after everything has happened once, and how long it gets.

mod every;
mod size;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Metrics;
use crate::config::{self, Config, Surroundings};
use crate::names::{ClusterName, EntryName, StoreName};

/// Two stores and two clusters.
const TABLES: &str = r#"
[stores.prod.aws_secrets_manager]
region = "eu-west-1"
[stores.params.aws_parameter_store]
region = "eu-west-1"
[clusters.main]
kubeconfig = "/nowhere/main"
[clusters.edge]
kubeconfig = "/nowhere/edge"
[secrets.app]
store = "prod"
data = [{ secret_key = "v", remote_ref = { key = "app" } }]
[[secrets.app.kubernetes]]
cluster = "main"
namespace = "app"
"#;

fn loaded(tables: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secretsyncd.toml");
    std::fs::write(&path, tables).unwrap();
    let loaded = config::load(&path, &Surroundings::from_process());
    loaded.unwrap().config
}

fn metrics(per_secret: bool) -> Arc<Metrics> {
    let daemon = format!("[daemon]\nper_secret_metrics = {per_secret}\n");
    Arc::new(Metrics::new(&loaded(&(daemon + TABLES))).unwrap())
}

struct Names {
    entry: EntryName,
    store: StoreName,
    cluster: ClusterName,
}

impl Names {
    fn new() -> Self {
        Self {
            entry: EntryName::new("app").unwrap(),
            store: StoreName::new("prod").unwrap(),
            cluster: ClusterName::new("main").unwrap(),
        }
    }
}

/// A family as a page shows it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
}

/// By name, with the labels of all its series.
fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut name = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (of, kind) = rest.split_once(' ').unwrap();
            of.clone_into(&mut name);
            families.entry(name.clone()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            // No name in these tests holds what would have to be escaped.
            let labels = line.split_once('{').map_or("", |(_, rest)| rest);
            let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
            let labels = labels.split(',').filter_map(|pair| pair.split_once('='));
            let labels = labels.map(|(label, _)| label.to_owned());
            let labels = labels.filter(|label| label != "le");
            families.get_mut(&name).unwrap().labels.extend(labels);
        }
    }
    families
}

fn series(page: &str) -> usize {
    page.lines().filter(|line| !line.starts_with('#')).count()
}
