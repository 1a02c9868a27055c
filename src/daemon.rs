//! Builds everything, owns every task, decides the order of stopping.
//!
//! On a stop the scheduler hands out nothing more, what is under way ends within `shutdown_grace`, and the HTTP
//! server goes last, so that the end can be watched.

mod engine;
mod entries;
mod reads;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub use self::engine::Pulse;
use self::engine::{Engine, Mode, Parts};
use crate::aws::{Aws, ClusterKeys};
use crate::config::{self, Config};
use crate::failure::{Failure, Reason};
use crate::kube;
use crate::metrics::Metrics;
use crate::names::{ClusterName, EntryName};
use crate::report::Reporter;
use crate::server;
use crate::state::{OpenError, SecretId, SecretPart, State};
use crate::status::{EntryStatus, Status};
use crate::store::Store;
use crate::sync::Entry;
use crate::target::Target;
use crate::target::file::Seats;

/// Questions to the engine that wait for their turn; one more asker waits.
const QUERIES: usize = 16;

const RENEW_AFTER_PANIC: Duration = Duration::from_mins(1);

/// Why the daemon did not start or did not stay.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error("another secretsyncd holds {}\n  help: stop it first, or give this configuration a `state_dir` of its own", .0.display())]
    StateHeld(PathBuf),
    #[error("{fact}\n  help: {help}")]
    CannotStart { fact: String, help: String },
    #[error("a vital task ended: {0}")]
    VitalTask(&'static str),
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), Stopped> {
    let built = Built::new(&config, Mode::Forever, Configured::of(&config))?;
    let listen = config.daemon.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Stopped::CannotStart {
            fact: format!("cannot listen on {listen}: {}", error.kind()),
            help: "choose another `listen` in [daemon], or stop what uses it".to_owned(),
        })?;
    let mut signals = Signals::new()?;
    let (stop, server_stop) = (CancellationToken::new(), CancellationToken::new());
    let (queries, asked) = mpsc::channel(QUERIES);
    let site = server::Site {
        metrics: Arc::clone(&built.metrics),
        pulse: Arc::clone(&built.parts.pulse),
        queries,
        listen,
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), listen = %listen, entries = config.entries.len(),
        "secretsyncd started"
    );
    let mut vital = JoinSet::new();
    vital.spawn(keep_fresh(built.aws));
    let mut engine = Engine::new(built.parts);
    let engine_stop = stop.clone();
    let engine = vital.spawn(async move {
        engine.run(engine_stop, asked).await;
        "the scheduler"
    });
    vital.spawn(server::serve(listener, site, server_stop.clone()));
    tokio::select! {
        () = signals.stop() => {}
        Some(ended) = vital.join_next() => {
            return Err(Stopped::VitalTask(ended.unwrap_or("a task panicked")));
        }
    }
    tracing::info!(
        "stopping: runs under way may end within {:?}",
        config.daemon.shutdown_grace
    );
    stop.cancel();
    let drained = tokio::time::timeout(config.daemon.shutdown_grace, async {
        while !engine.is_finished() {
            if vital.join_next().await.is_none() {
                break;
            }
        }
    });
    if drained.await.is_err() {
        tracing::warn!(
            "some runs did not end in time and were broken off; what they were to replace is unchanged"
        );
    }
    server_stop.cancel();
    Ok(())
}

/// Delivers the entries named (all without names) once. Returns how each ended.
pub async fn once(config: Config, names: &[EntryName]) -> Result<Vec<EntryStatus>, Stopped> {
    let mut config = config;
    // Of the whole configuration: what is not named this time is still configured.
    let configured = Configured::of(&config);
    if !names.is_empty() {
        config.entries.retain(|name, _| names.contains(name));
    }
    let built = Built::new(&config, Mode::Once, configured)?;
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let (_queries, asked) = mpsc::channel(1);
    let mut engine = Engine::new(built.parts);
    let grace = config.daemon.shutdown_grace;
    {
        let mut round = std::pin::pin!(engine.run(stop.clone(), asked));
        tokio::select! {
            () = &mut round => {}
            () = signals.stop() => {
                stop.cancel();
                // Whatever does not end in time is left as it was.
                let _ = tokio::time::timeout(grace, round).await;
            }
        }
    }
    let Status { entries, .. } = engine.status();
    Ok(entries)
}

struct Built {
    parts: Parts,
    metrics: Arc<Metrics>,
    aws: Arc<Aws>,
}

impl Built {
    fn new(config: &Config, mode: Mode, configured: Configured) -> Result<Self, Stopped> {
        let directory = &config.daemon.state_dir;
        let cannot = |failure: Failure| Stopped::CannotStart {
            help: failure.help().to_owned(),
            fact: failure.fact,
        };
        let state = State::open(directory).map_err(|error| match error {
            OpenError::HeldByAnother => Stopped::StateHeld(directory.clone()),
            OpenError::Failed(failure) => cannot(failure),
        })?;
        let Configured { files, secrets } = configured;
        state.keep_only_files(files).map_err(cannot)?;
        state.keep_only_secrets(secrets).map_err(cannot)?;
        let metrics = Metrics::new(config).map_err(|_| Stopped::CannotStart {
            fact: "the metrics could not be registered".to_owned(),
            help: "this is a bug in secretsyncd; please report it".to_owned(),
        })?;
        let (state, metrics) = (Arc::new(state), Arc::new(metrics));
        let reporter = metrics.reporter();
        let clusters = clusters(config, &reporter);
        let aws = Arc::new(Aws::new(cluster_keys(&clusters)));
        let parts = Parts {
            instance: config.daemon.instance.clone(),
            stores: stores(config, &aws, &state, &reporter),
            entries: entries(config, &state, &clusters),
            state,
            reporter,
            pulse: Arc::default(),
            mode,
        };
        Ok(Self {
            parts,
            metrics,
            aws,
        })
    }
}

/// Renews credentials ahead of their end. What panics there is not vital: reads load what they need themselves.
async fn keep_fresh(aws: Arc<Aws>) -> &'static str {
    let mut renewal = JoinSet::new();
    loop {
        let aws = Arc::clone(&aws);
        renewal.spawn(async move { aws.keep_fresh().await });
        if let Some(Err(_)) = renewal.join_next().await {
            tracing::error!("the renewal of credentials panicked; it begins again in a minute");
        }
        tokio::time::sleep(RENEW_AFTER_PANIC).await;
    }
}

/// What stores share of AWS, with the clusters that keys may come from; for whoever asks stores without being the daemon.
pub(crate) fn aws(config: &Config, reporter: &Reporter) -> Aws {
    Aws::new(cluster_keys(&clusters(config, reporter)))
}

type Clusters = BTreeMap<ClusterName, Arc<kube::Client>>;

fn clusters(config: &Config, reporter: &Reporter) -> Clusters {
    let client = |(name, cluster): (&ClusterName, &config::Cluster)| {
        let client = kube::Client::new(name.clone(), cluster.clone(), reporter.clone());
        (name.clone(), Arc::new(client))
    };
    config.clusters.iter().map(client).collect()
}

/// Lets `aws`, which knows no clusters, read keys from their Secrets.
fn cluster_keys(clusters: &Clusters) -> ClusterKeys {
    let clusters = clusters.clone();
    ClusterKeys::new(move |at| {
        let client = clusters.get(&at.cluster).cloned();
        Box::pin(async move {
            let missing = |fact: String| Failure::new(Reason::Credentials, fact);
            // What the setting says is not repeated: the key itself may have been typed into it.
            let absent = || missing(format!("there is no such Secret in cluster {}", at.cluster));
            let client = client.ok_or_else(absent)?;
            let secret = client.get_secret(&at.namespace, &at.name).await?;
            let text = secret.ok_or_else(absent)?.data.remove(&at.key);
            text.and_then(|text| String::from_utf8(text.expose().to_vec()).ok())
                .map(Zeroizing::new)
                .ok_or_else(|| missing("it holds no text under the `key` that is named".to_owned()))
        })
    })
}

fn stores(
    config: &Config,
    aws: &Aws,
    state: &State,
    reporter: &Reporter,
) -> BTreeMap<crate::names::StoreName, Store> {
    let make = |(name, spec)| {
        let store = Store::new(name, spec, (aws, state.fingerprint_key()), reporter.clone());
        (name.clone(), store)
    };
    config.stores.iter().map(make).collect()
}

/// Everything that the configuration writes.
#[derive(Default)]
struct Configured {
    files: HashSet<PathBuf>,
    secrets: HashSet<SecretPart>,
}

impl Configured {
    fn of(config: &Config) -> Self {
        let mut all = Self::default();
        for (entry, spec) in &config.entries {
            for target in &spec.targets {
                match target {
                    config::Target::File(spec) => {
                        all.files.insert(spec.path.clone());
                    }
                    config::Target::Kubernetes(spec) => {
                        let id = SecretId {
                            cluster: spec.cluster.clone(),
                            namespace: spec.namespace.clone(),
                            name: spec.name.clone(),
                        };
                        let entry = entry.clone();
                        all.secrets.insert(SecretPart { id, entry });
                    }
                }
            }
        }
        all
    }
}

fn entries(config: &Config, state: &Arc<State>, clusters: &Clusters) -> Vec<Entry> {
    let instance = &config.daemon.instance;
    let seats = Seats::default();
    let target = |entry: &EntryName, target: &config::Target| match target {
        config::Target::File(spec) => Some(Target::file(spec.clone(), entry, state, &seats)),
        config::Target::Kubernetes(spec) => {
            // The configuration has resolved the reference.
            let client = clusters.get(&spec.cluster)?;
            Some(Target::kubernetes(
                spec.clone(),
                entry,
                instance,
                client,
                state,
            ))
        }
    };
    config
        .entries
        .iter()
        .map(|(name, spec)| {
            let targets = spec.targets.iter().filter_map(|it| target(name, it));
            Entry::new(name.clone(), spec, targets.collect())
        })
        .collect()
}

/// SIGTERM, SIGINT and SIGHUP.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Stopped> {
        let open = |kind| {
            signal(kind).map_err(|_| Stopped::CannotStart {
                fact: "signals cannot be received".to_owned(),
                help: "check the process's limits".to_owned(),
            })
        };
        Ok(Self {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hangup: open(SignalKind::hangup())?,
        })
    }

    /// Waits for a wish to stop. SIGHUP, whose default is to kill, is kept for reloading.
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP: reloading is not supported yet; restart to apply a changed configuration");
                }
            }
        }
    }
}
