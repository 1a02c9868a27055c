//! What outlives a configuration: the state, the sessions, the clients; and what each configuration makes of them.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::Stopped;
use super::engine::{Mode, Parts};
use crate::assemble;
use crate::aws::{Aws, ClusterKeys};
use crate::config::{self, Config, RefreshPolicy};
use crate::failure::{Failure, Reason};
use crate::kube;
use crate::metrics::Metrics;
use crate::names::{ClusterName, EntryName, Instance, StoreName};
use crate::report::Reporter;
use crate::secret::{Fingerprint, FingerprintKey};
use crate::state::{SecretId, SecretPart, State};
use crate::status::ReloadStatus;
use crate::store::Store;
use crate::sync::Entry;
use crate::target::Target;
use crate::target::file::Seats;

/// What one configuration gives the engine to work with.
#[derive(Debug)]
pub(super) struct Supply {
    pub stores: BTreeMap<StoreName, Supplied>,
    pub entries: Vec<Entry>,
}

#[derive(Debug)]
pub(super) struct Supplied {
    /// Absent: it is the one from before.
    pub store: Option<Store>,
    /// Of what is read there: with another one, nothing that was read before counts.
    pub identity: Fingerprint,
}

type Clusters = BTreeMap<ClusterName, (config::Cluster, Arc<kube::Client>)>;

/// Everything that is shared by one configuration and the next.
pub(super) struct House {
    pub state: Arc<State>,
    pub metrics: Arc<Metrics>,
    pub reporter: Reporter,
    pub aws: Arc<Aws>,
    instance: Instance,
    seats: Seats,
    clusters: Arc<RwLock<Clusters>>,
    stores: BTreeMap<StoreName, config::Store>,
    reload: LastReload,
}

/// How the last reload ended, for whoever is asked.
pub(super) type LastReload = Arc<Mutex<Option<ReloadStatus>>>;

impl House {
    pub(super) fn open(config: &Config) -> Result<Self, Stopped> {
        let directory = &config.daemon.state_dir;
        let state =
            State::open(directory).map_err(|error| Stopped::not_opened(error, directory))?;
        let metrics = Metrics::new(config).map_err(|_| Stopped::CannotStart {
            fact: "the metrics could not be registered".to_owned(),
            help: "this is a bug in secretsyncd; please report it".to_owned(),
        })?;
        let metrics = Arc::new(metrics);
        let clusters = Arc::default();
        Ok(Self {
            state: Arc::new(state),
            reporter: metrics.reporter(),
            metrics,
            aws: Arc::new(Aws::new(cluster_keys(&clusters))),
            instance: config.daemon.instance.clone(),
            seats: Seats::default(),
            clusters,
            stores: BTreeMap::new(),
            reload: LastReload::default(),
        })
    }

    /// What this configuration needs; what is the same as in the one before stays.
    pub(super) fn supply(&mut self, config: &Config) -> Supply {
        self.metrics.begin(config);
        self.renew_clusters(config);
        let key = self.state.fingerprint_key();
        let stores = config.stores.iter().map(|(name, spec)| {
            let same = self.stores.get(name) == Some(spec);
            let make = || Store::new(name, spec, (&self.aws, key), self.reporter.clone());
            let supplied = Supplied {
                store: (!same).then(make),
                identity: key.of([identity(spec).as_bytes()]),
            };
            (name.clone(), supplied)
        });
        let stores = stores.collect();
        let entries = config.entries.iter();
        let entries = entries.map(|(name, spec)| self.entry(config, name, spec));
        let entries = entries.collect();
        self.stores.clone_from(&config.stores);
        Supply { stores, entries }
    }

    fn renew_clusters(&self, config: &Config) {
        let mut clusters = self
            .clusters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let next = config.clusters.iter().map(|(name, spec)| {
            let known = clusters.get(name).filter(|(known, _)| known == spec);
            let client = known.map_or_else(
                || {
                    let (name, spec) = (name.clone(), spec.clone());
                    Arc::new(kube::Client::new(name, spec, self.reporter.clone()))
                },
                |(_, client)| Arc::clone(client),
            );
            (name.clone(), (spec.clone(), client))
        });
        *clusters = next.collect();
    }

    fn entry(&self, config: &Config, name: &EntryName, spec: &config::Entry) -> Entry {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        let target = |target: &config::Target| match target {
            config::Target::File(spec) => {
                Some(Target::file(spec.clone(), name, &self.state, &self.seats))
            }
            config::Target::Kubernetes(spec) => {
                // The configuration has resolved the reference.
                let (_, client) = clusters.get(&spec.cluster)?;
                let target =
                    Target::kubernetes(spec.clone(), name, &self.instance, client, &self.state);
                Some(target)
            }
        };
        let targets = spec.targets.iter().filter_map(target);
        let key = self.state.fingerprint_key();
        let configuration = configuration(config, &self.instance, spec, key);
        Entry::new(name.clone(), spec, targets.collect(), configuration)
    }

    /// What an engine is built from.
    pub(super) fn parts(&mut self, config: &Config, mode: Mode) -> Parts {
        Parts {
            instance: self.instance.clone(),
            supply: self.supply(config),
            state: Arc::clone(&self.state),
            reporter: self.reporter.clone(),
            pulse: Arc::default(),
            reload: Arc::clone(&self.reload),
            mode,
        }
    }

    /// For `/status`.
    pub(super) fn tell_reload(&self, status: ReloadStatus) {
        let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        *reload = Some(status);
    }
}

/// Tells the ledger what is configured. Blocks on the disk.
pub(super) fn tell_configured(state: &State, config: &Config) -> Result<(), Failure> {
    let Configured { files, secrets } = Configured::of(config);
    state.keep_only_files(files)?;
    state.keep_only_secrets(secrets)
}

/// What stores share of AWS, with the clusters that keys may come from; for whoever asks stores without being the daemon.
pub(crate) fn aws(config: &Config, reporter: &Reporter) -> Aws {
    let client = |(name, spec): (&ClusterName, &config::Cluster)| {
        let client = kube::Client::new(name.clone(), spec.clone(), reporter.clone());
        (name.clone(), (spec.clone(), Arc::new(client)))
    };
    let clusters: Clusters = config.clusters.iter().map(client).collect();
    Aws::new(cluster_keys(&Arc::new(RwLock::new(clusters))))
}

/// Lets `aws`, which knows no clusters, read keys from their Secrets.
fn cluster_keys(clusters: &Arc<RwLock<Clusters>>) -> ClusterKeys {
    let clusters = Arc::clone(clusters);
    ClusterKeys::new(move |at| {
        let client = {
            let clusters = clusters.read().unwrap_or_else(PoisonError::into_inner);
            clusters.get(&at.cluster).map(|(_, it)| Arc::clone(it))
        };
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

/// Everything of a store that decides what an answer means: not how fast it is asked.
fn identity(spec: &config::Store) -> String {
    let spec = match spec.clone() {
        config::Store::SecretsManager(aws) => config::Store::SecretsManager(without_pace(aws)),
        config::Store::ParameterStore(aws) => config::Store::ParameterStore(without_pace(aws)),
        file @ config::Store::File(_) => file,
    };
    format!("{spec:?}")
}

fn without_pace(aws: config::AwsStore) -> config::AwsStore {
    config::AwsStore {
        fetch: config::Fetch::Auto,
        requests_per_second: config::Rates::SECRETS_MANAGER,
        ..aws
    }
}

/// Of everything that decides what an entry delivers, and where: its stores and clusters, the text of its templates, and
/// what this release makes of it all. Not when it does so.
fn configuration(
    config: &Config,
    instance: &Instance,
    spec: &config::Entry,
    key: &FingerprintKey,
) -> Fingerprint {
    let data = spec.data.iter().map(|item| &item.store);
    let data_from = spec.data_from.iter().map(|item| &item.store);
    let stores: BTreeMap<&StoreName, String> = data
        .chain(data_from)
        .filter_map(|name| Some((name, identity(config.stores.get(name)?))))
        .collect();
    let clusters: BTreeMap<_, _> = spec
        .targets
        .iter()
        .filter_map(|target| match target {
            config::Target::Kubernetes(target) => {
                let cluster = config.clusters.get(&target.cluster)?;
                Some((&target.cluster, (cluster, instance)))
            }
            config::Target::File(_) => None,
        })
        .collect();
    let timeless = config::Entry {
        refresh_interval: std::time::Duration::ZERO,
        max_stale: std::time::Duration::ZERO,
        refresh_policy: RefreshPolicy::Periodic,
        suspended: false,
        template_files: Vec::new(),
        ..spec.clone()
    };
    let text = format!("{:?}", (assemble::REVISION, timeless, stores, clusters));
    key.of([text.as_bytes()])
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
