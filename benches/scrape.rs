//! How long `/metrics` is with 10,000 entries, with and without series of their own, and `/status` and the page with 5,000;
//! and how long each takes to make and to fetch, beside the smallest answer of the same run.
//!
//! `cargo bench --bench scrape`, or with `--profile dev` for the ratios, which need no optimised build. The engine's part
//! is played by one that knows its answer.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement stops at the first surprise, and is there to be read"
)]

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secretsyncd::config::{self, Config, Surroundings};
use secretsyncd::daemon::{Ask, Pulse};
use secretsyncd::metrics::Metrics;
use secretsyncd::names::{EntryName, StoreName};
use secretsyncd::report::{Condition, Fact, TargetKind};
use secretsyncd::server::{self, Site};
use secretsyncd::status::{self, EntryStatus, Status, TargetStatus};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const ENTRIES: usize = 10_000;
const SHOWN: usize = 5000;
const TIMES: usize = 20;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    for per_secret in [false, true] {
        measure(per_secret).await;
    }
}

async fn measure(per_secret: bool) {
    let metrics = Arc::new(Metrics::new(&configured(per_secret)).unwrap());
    tell(&metrics);
    println!("{ENTRIES} entries, per_secret_metrics = {per_secret}");
    let text = metrics.text().unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    let made = median((0..TIMES).map(|_| make(&metrics)).collect());
    let (address, stop) = serve(metrics).await;
    let (least, _) = fetch(address, "/healthz").await;
    println!("  /healthz: {least:?} to fetch");
    println!(
        "  /metrics: {series} series, {} bytes, {made:?} to make",
        text.len()
    );
    let paths = if per_secret {
        &["/metrics", "/status", "/"][..]
    } else {
        &["/metrics"]
    };
    for path in paths {
        let (took, bytes) = fetch(address, path).await;
        let ratio = took.as_secs_f64() / least.as_secs_f64();
        println!("  {path}: {bytes} bytes, {took:?} to fetch, {ratio:.0} times /healthz");
    }
    stop.cancel();
}

fn make(metrics: &Metrics) -> Duration {
    let start = Instant::now();
    let text = metrics.text().unwrap();
    let took = start.elapsed();
    assert!(!text.is_empty());
    took
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

/// The median, and how long the answer is.
async fn fetch(address: SocketAddr, path: &str) -> (Duration, usize) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}{path}");
    let (mut took, mut bytes) = (Vec::new(), 0);
    for _ in 0..TIMES {
        let start = Instant::now();
        let answer = client.get(&url).send().await.unwrap();
        let answer = answer.error_for_status().unwrap();
        bytes = answer.bytes().await.unwrap().len();
        took.push(start.elapsed());
    }
    (median(took), bytes)
}

async fn serve(metrics: Arc<Metrics>) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = listener.local_addr().unwrap();
    let (asks, mut asked) = mpsc::channel(1);
    tokio::spawn(async move {
        let status = status();
        while let Some(ask) = asked.recv().await {
            if let Ask::Status(reply) = ask {
                reply.send(status.clone()).unwrap();
            }
        }
    });
    let pulse = Arc::new(Pulse::default());
    let site = Site {
        metrics,
        pulse,
        asks,
        listen,
    };
    let stop = CancellationToken::new();
    tokio::spawn(server::serve(listener, site, stop.clone()));
    (listen, stop)
}

/// Of entries that are well, each with one target.
fn status() -> Status {
    let at = Timestamp::now();
    let entry = |name: String| EntryStatus {
        store: "prod".to_owned(),
        state: Condition::Fresh,
        refresh_interval_seconds: 3600,
        version_created: Some(at),
        undelivered_version_created: None,
        last_success: Some(at),
        next_sync: Some(at),
        error: None,
        waits: false,
        targets: vec![TargetStatus {
            kind: TargetKind::Kubernetes,
            target: format!("main/app/{name}"),
            state: Condition::Fresh,
            removed_since: None,
            waits: false,
            action: None,
            error: None,
        }],
        name,
    };
    Status {
        version: status::VERSION,
        at,
        release: "1.2.3".to_owned(),
        instance: "default".to_owned(),
        reload: None,
        leader: None,
        paused_clusters: Vec::new(),
        paused_stores: Vec::new(),
        held: Vec::new(),
        entries: (0..SHOWN).map(|it| entry(name(it))).collect(),
    }
}

fn name(number: usize) -> String {
    format!("team-{:03}.application-{number:05}", number % 200)
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
        let name = EntryName::new(name(number)).unwrap();
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
