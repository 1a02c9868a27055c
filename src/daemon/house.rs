//! What outlives a configuration: the state, the sessions, the clients; and what each configuration makes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use zeroize::Zeroizing;

use super::Stopped;
use super::delivered;
use super::ends::{Ends, Holder};
use super::engine::{Mode, Parts};
use super::following::Plan;
use super::leading::{Lead, Leading};
use super::namespaces::News;
use super::territory::{Territory, selected_by, selected_in};
use crate::aws::{Aws, ClusterKeys, Service};
use crate::config::{self, Config, RefreshPolicy};
use crate::failure::{Failure, Reason};
use crate::kube::{self, Tenure};
use crate::metrics::Metrics;
use crate::names::{ClusterName, EntryName, Instance, StoreName};
use crate::report::Reporter;
use crate::secret::Fingerprint;
use crate::state::State;
use crate::status::ReloadStatus;
use crate::store::Store;
use crate::sync::Entry;
use crate::target::Target;
use crate::target::file::{Seats, watched};

/// What one configuration gives the engine to work with.
#[derive(Debug)]
pub(super) struct Supply {
    pub stores: BTreeMap<StoreName, Supplied>,
    pub entries: Vec<Entry>,
    /// Those that no entry writes to, too: something may be left there.
    pub clusters: BTreeMap<ClusterName, Arc<kube::Client>>,
    /// After which time orphans are taken away, if they are.
    pub prune: Option<Duration>,
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
    pub ends: Ends,
    instance: Instance,
    seats: Seats,
    clusters: Arc<RwLock<Clusters>>,
    pauses: kube::Pauses,
    pub territory: Territory,
    stores: BTreeMap<StoreName, config::Store>,
    reload: LastReload,
    lead: Lead,
    /// Under which whoever says nothing else writes to clusters.
    tenure: Tenure,
}

/// How the last reload ended, for whoever is asked.
pub(super) type LastReload = Arc<Mutex<Option<ReloadStatus>>>;

impl House {
    /// With what takes part in choosing a leader, where one is configured.
    pub(super) fn open(config: &Config) -> Result<(Self, Option<Leading>), Stopped> {
        let directory = &config.daemon.state_dir;
        let state =
            State::open(directory).map_err(|error| Stopped::not_opened(error, directory))?;
        Self::over(state, config)
    }

    /// Over a state that is open, or a copy.
    pub(super) fn over(state: State, config: &Config) -> Result<(Self, Option<Leading>), Stopped> {
        let metrics = Metrics::new(config).map_err(|_| Stopped::CannotStart {
            fact: "the metrics could not be registered".to_owned(),
            help: "this is a bug in secretsyncd; please report it".to_owned(),
        })?;
        let metrics = Arc::new(metrics);
        let clusters = Arc::default();
        let (state, reporter) = (Arc::new(state), metrics.reporter());
        let aws = Arc::new(Aws::new(cluster_keys(&clusters)));
        let leading = leading(config, &aws, (&state, &reporter));
        let lead = leading.as_ref().map(Leading::lead);
        let house = Self {
            state,
            reporter,
            metrics,
            aws,
            ends: Ends::default(),
            instance: config.daemon.instance.clone(),
            seats: Seats::default(),
            clusters,
            pauses: kube::Pauses::default(),
            territory: Territory::default(),
            stores: BTreeMap::new(),
            reload: LastReload::default(),
            // Where machines take turns, only a run that is this one's turn may write.
            tenure: match lead {
                Some(_) => Tenure::never(),
                None => Tenure::always(),
            },
            lead: lead.unwrap_or_default(),
        };
        Ok((house, leading))
    }

    /// What this configuration needs; what is the same as in the one before stays.
    pub(super) fn supply(&mut self, config: &Config) -> Supply {
        self.metrics.begin(config);
        self.territory = self.territory_under(config);
        self.renew_clusters(config);
        let key = self.state.fingerprint_key();
        let stores = config.stores.iter().map(|(name, spec)| {
            let same = self.stores.get(name) == Some(spec);
            let make = || Store::new(name, spec, (&self.aws, key), self.reporter.clone());
            let supplied = Supplied {
                store: (!same).then(make),
                identity: key.of([spec.essence().as_bytes()]),
            };
            (name.clone(), supplied)
        });
        let stores: BTreeMap<_, _> = stores.collect();
        self.follow_credentials(config);
        let entries = config.entries.iter();
        let entries = entries.map(|(name, spec)| self.entry(config, name, spec));
        let entries = entries.collect();
        self.stores.clone_from(&config.stores);
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        let clusters = clusters.iter();
        let clusters = clusters.map(|(name, (_, client))| (name.clone(), Arc::clone(client)));
        Supply {
            stores,
            entries,
            clusters: clusters.collect(),
            prune: config.daemon.prune.then_some(config.daemon.prune_after),
        }
    }

    /// Of stores that are supplied, and of the clusters.
    fn follow_credentials(&self, config: &Config) {
        let stores = config.stores.iter().filter_map(|(name, spec)| {
            let (service, spec) = match spec {
                config::Store::SecretsManager(spec) => (Service::SecretsManager, spec),
                config::Store::ParameterStore(spec) => (Service::ParameterStore, spec),
                config::Store::File(_) => return None,
            };
            Some(Holder::Store(name.clone(), self.aws.login(service, spec)?))
        });
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        let clusters = clusters.iter();
        let clusters =
            clusters.map(|(name, (_, client))| Holder::Cluster(name.clone(), Arc::clone(client)));
        self.ends
            .follow(stores.chain(clusters).collect(), &self.reporter);
    }

    /// A connection stays where only the rate of its cluster is another one.
    pub(super) fn renew_clusters(&self, config: &Config) {
        let mut clusters = self
            .clusters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *clusters);
        let mut next = Clusters::new();
        for (name, (known, client)) in before {
            let spec = config.clusters.get(&name);
            match spec.filter(|spec| spec.without_pace() == known.without_pace()) {
                Some(spec) => {
                    if spec.requests_per_second != known.requests_per_second {
                        client.set_rate(spec.requests_per_second);
                    }
                    next.insert(name, (spec.clone(), client));
                }
                None => client.retire(),
            }
        }
        for (name, spec) in &config.clusters {
            let (_, client) = next.entry(name.clone()).or_insert_with(|| {
                let says = (self.reporter.clone(), self.tenure.clone());
                let client = client((name, spec), &self.aws, says);
                (spec.clone(), Arc::new(client.telling(&self.pauses)))
            });
            client.set_longest_pause(shortest_interval(config, name));
        }
        *clusters = next;
    }

    fn entry(&self, config: &Config, name: &EntryName, spec: &config::Entry) -> Entry {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        let target = |target: &config::Target| match target {
            config::Target::File(spec) => Some(Target::file(
                (**spec).clone(),
                name,
                &self.state,
                &self.seats,
            )),
            config::Target::Kubernetes(spec) => {
                // The configuration has resolved the reference.
                let (_, client) = clusters.get(&spec.cluster)?;
                let spec = Arc::clone(spec);
                Some(Target::kubernetes(
                    spec,
                    name,
                    &self.instance,
                    client,
                    &self.state,
                ))
            }
        };
        let (found, selected) = self.territory.select(spec);
        let found = found.into_iter().map(Arc::new);
        let found: Vec<_> = found.map(config::Target::Kubernetes).collect();
        let targets = spec.targets.iter().chain(&found).filter_map(target);
        let mut targets: Vec<Target> = targets.collect();
        targets.shrink_to_fit();
        let key = self.state.fingerprint_key();
        let configuration = key.of([config.essence(spec, &self.instance).as_bytes()]);
        Entry {
            selected,
            ..Entry::new(name.clone(), spec, targets, configuration)
        }
    }

    /// Takes note of the namespaces of a cluster; true where that is news. What somebody says who follows another cluster
    /// of this name counts for nothing.
    pub(super) fn learn(&mut self, news: News) -> bool {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        let client = clusters.get(&news.cluster).map(|(_, client)| client);
        let current = client.is_some_and(|client| Arc::ptr_eq(client, &news.client));
        drop(clusters);
        current && self.territory.learn(news.cluster, news.known)
    }

    /// The entries that select in this cluster, with the targets that follow from what is known now.
    pub(super) fn reach(&self, config: &Config, cluster: &ClusterName) -> Vec<Entry> {
        let entries = config.entries.iter();
        let selecting = entries.filter(|(_, spec)| selected_in([*spec]).contains(cluster));
        selecting
            .map(|(name, spec)| self.entry(config, name, spec))
            .collect()
    }

    /// What is known of namespaces that still counts under this configuration: of clusters that are the same, and that
    /// something is selected in.
    pub(super) fn territory_under(&self, config: &Config) -> Territory {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        let selected = selected_by(config);
        let mut territory = self.territory.clone();
        territory.retain(|name| {
            let before = clusters.get(name).map(|(spec, _)| spec.without_pace());
            let now = config.clusters.get(name).map(config::Cluster::without_pace);
            before == now && selected.contains(name)
        });
        territory
    }

    /// Whoever is to be asked for namespaces under this configuration, once it is supplied.
    pub(super) fn followed(&self, config: &Config) -> BTreeMap<ClusterName, Arc<kube::Client>> {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        let followed = selected_by(config).into_iter().filter_map(|name| {
            let (_, client) = clusters.get(name)?;
            Some((name.clone(), Arc::clone(client)))
        });
        followed.collect()
    }

    /// Which Secrets are watched.
    pub(super) fn plan(&self, config: &Config) -> Plan {
        let clusters = self.clusters.read().unwrap_or_else(PoisonError::into_inner);
        let mut plan = Plan::default();
        for entry in config.entries.values() {
            // What was delivered once is compared no more.
            if entry.suspended || entry.refresh_policy == RefreshPolicy::CreatedOnce {
                continue;
            }
            let (found, _) = self.territory.select(entry);
            let listed = entry.targets.iter().filter_map(|target| match target {
                config::Target::Kubernetes(target) => Some(&**target),
                config::Target::File(_) => None,
            });
            for target in listed.chain(&found) {
                if target.drift == config::DriftPolicy::Watch
                    && let Some((_, client)) = clusters.get(&target.cluster)
                {
                    plan.add(client, target.namespace.clone());
                }
            }
        }
        plan
    }

    /// Which paths are watched for what happens to delivered files.
    pub(super) fn delivered(config: &Config) -> delivered::Plan {
        let mut plan = delivered::Plan::default();
        for entry in config.entries.values() {
            // What was delivered once is compared no more.
            if entry.suspended || entry.refresh_policy == RefreshPolicy::CreatedOnce {
                continue;
            }
            for target in &entry.targets {
                match target {
                    config::Target::File(spec) => plan.add(&spec.path, watched(spec)),
                    config::Target::Kubernetes(_) => {}
                }
            }
        }
        plan
    }

    /// What an engine is built from.
    pub(super) fn parts(&mut self, config: &Config, mode: Mode) -> Parts {
        Parts {
            instance: self.instance.clone(),
            supply: self.supply(config),
            state: Arc::clone(&self.state),
            reporter: self.reporter.clone(),
            pulse: Arc::default(),
            pauses: self.pauses.listen(),
            reload: Arc::clone(&self.reload),
            lead: self.lead.clone(),
            seats: self.seats.clone(),
            mode,
        }
    }

    /// For `/status`.
    pub(super) fn tell_reload(&self, status: ReloadStatus) {
        let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        *reload = Some(status);
    }
}

/// Nothing that goes to a cluster waits longer for the end of a pause than its own interval.
fn shortest_interval(config: &Config, cluster: &ClusterName) -> Duration {
    let entries = config.entries.values();
    let entries = entries.filter(|entry| entry.goes_to().any(|name| name == cluster));
    let shortest = entries.map(|entry| entry.refresh_interval).min();
    shortest.unwrap_or(Duration::MAX)
}

fn leading(
    config: &Config,
    aws: &Aws,
    (state, reporter): (&Arc<State>, &Reporter),
) -> Option<Leading> {
    let lease = config.daemon.leader.clone()?;
    // The configuration has resolved the reference.
    let cluster = config.clusters.get(&lease.cluster)?;
    // The Lease is the one thing that is written by whoever does not lead.
    let says = (reporter.clone(), Tenure::always());
    let client = client((&lease.cluster, cluster), aws, says);
    let ours = (config.daemon.instance.clone(), client);
    Some(Leading::new(
        lease,
        ours,
        Arc::clone(state),
        reporter.clone(),
    ))
}

/// What stores share of AWS, with the clusters that keys may come from; for whoever asks stores without being the daemon.
pub(crate) fn aws(config: &Config, reporter: &Reporter) -> Aws {
    let clusters = Arc::<RwLock<Clusters>>::default();
    let aws = Aws::new(cluster_keys(&clusters));
    // Keys are read, nothing is written.
    let made = config.clusters.iter().map(|(name, spec)| {
        let client = client((name, spec), &aws, (reporter.clone(), Tenure::never()));
        (name.clone(), (spec.clone(), Arc::new(client)))
    });
    let made: Clusters = made.collect();
    clusters
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(made);
    aws
}

/// A client that signs as a store where its cluster says so. Whatever is asked is told there; written is only for as
/// long as that tenure lasts.
pub(crate) fn client(
    (name, spec): (&ClusterName, &config::Cluster),
    aws: &Aws,
    (reporter, tenure): (Reporter, Tenure),
) -> kube::Client {
    let client = kube::Client::new(name.clone(), spec.clone(), reporter, tenure);
    match spec.access.eks() {
        None => client,
        Some(eks) => client.with_signer(aws.eks_signer(&eks.auth, &eks.region, &eks.cluster_name)),
    }
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
