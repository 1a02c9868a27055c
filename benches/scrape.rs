//! How long a page of `/metrics` is with 10,000 entries, and how long it takes to make.
//!
//! `cargo bench --bench scrape`. In process, so that it tells of the page alone and of nobody who fetches it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement stops at the first surprise, and is there to be read"
)]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secretsyncd::config::{self, Config, Surroundings};
use secretsyncd::metrics::Metrics;
use secretsyncd::names::{EntryName, StoreName};
use secretsyncd::report::{Condition, Fact};

const ENTRIES: usize = 10_000;
const SCRAPES: usize = 50;

fn main() {
    for per_secret in [false, true] {
        measure(per_secret);
    }
}

fn measure(per_secret: bool) {
    let metrics = Arc::new(Metrics::new(&configured(per_secret)).unwrap());
    tell(&metrics);
    let page = metrics.text().unwrap();
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    let mut took: Vec<Duration> = (0..SCRAPES).map(|_| scrape(&metrics)).collect();
    took.sort_unstable();
    println!(
        "{ENTRIES} entries, per_secret_metrics = {per_secret}: {series} series, {} KiB, {:?} in the median of {SCRAPES}, {:?} at most",
        page.len() >> 10,
        took[SCRAPES / 2],
        took[SCRAPES - 1]
    );
}

fn scrape(metrics: &Metrics) -> Duration {
    let start = Instant::now();
    let page = metrics.text().unwrap();
    let took = start.elapsed();
    assert!(!page.is_empty());
    took
}

fn configured(per_secret: bool) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secretsyncd.toml");
    let entry = "[secrets.app]\nstore = \"prod\"\ndata = [{ secret_key = \"v\", remote_ref = { key = \"app\" } }]\n[[secrets.app.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n";
    let tables = format!(
        "[daemon]\nper_secret_metrics = {per_secret}\n[stores.prod.aws_secrets_manager]\nregion = \"eu-west-1\"\n[clusters.main]\nkubeconfig = \"/nowhere\"\n{entry}"
    );
    fs::write(&path, tables).unwrap();
    let loaded = config::load(&path, &Surroundings::from_process());
    loaded.unwrap().config
}

/// All that there is to tell of each entry.
fn tell(metrics: &Arc<Metrics>) {
    let (reporter, at) = (metrics.reporter(), Timestamp::now());
    let store = StoreName::new("prod").unwrap();
    for number in 0..ENTRIES {
        let name = format!("team-{:03}.application-{number:05}", number % 200);
        let name = EntryName::new(name).unwrap();
        let (entry, at_last) = (&name, Some(at));
        reporter.record(&Fact::EntryCondition {
            entry,
            store: &store,
            was: None,
            now: Some(Condition::Fresh),
        });
        reporter.record(&Fact::Success { entry, at });
        reporter.record(&Fact::NextSync { entry, at: at_last });
        let created = at_last;
        reporter.record(&Fact::Undelivered { entry, created });
    }
}
