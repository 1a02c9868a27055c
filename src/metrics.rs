//! Facts turned into series. The only place that names a metric.
//!
//! Everything comes from [`Fact`]s. Label sets are closed and present from the start, so that a series that reads 0
//! is told apart from one that is missing; what never happened has no timestamp.

mod begin;
mod families;
mod process;
mod secrets;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{CounterVec, GaugeVec, HistogramVec, Registry, TextEncoder};

use self::families::Families;
use self::process::Process;
use self::secrets::{Numbers, Secrets, Time};
use crate::clock::unix_seconds;
use crate::config::Config;
use crate::failure::Reason;
use crate::names::EntryName;
use crate::report::{Condition, Fact, Reporter, RequestCode, Stage};

/// All metrics of one process, in a registry of their own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    /// Named by convention, without our prefix.
    unprefixed: Registry,
    process: Process,
    /// Absent where entries have no series of their own.
    secrets: Option<Secrets>,
    /// Held while a page is made: with thousands of entries, two at a time take much room.
    page: Mutex<()>,
}

impl Metrics {
    pub fn new(config: &Config) -> Result<Self, prometheus::Error> {
        let registry = registry()?;
        let families = Families::register(&registry)?;
        let unprefixed = Registry::new();
        let process = Process::register(&unprefixed)?;
        let metrics = Self {
            registry,
            families,
            unprefixed,
            process,
            secrets: config
                .daemon
                .per_secret_metrics
                .then(Secrets::new)
                .transpose()?,
            page: Mutex::default(),
        };
        metrics.begin(config);
        metrics.families.reload_successful.set(1.0);
        metrics
            .families
            .reload_success
            .set(unix_seconds(crate::clock::now()));
        Ok(metrics)
    }

    /// Of stores and clusters that are gone no series stays. Only once nothing is told of them any more.
    pub fn forget_others(&self, config: &Config) {
        let of_stores = |store: &str| config.stores.keys().any(|it| it.as_str() == store);
        let of_clusters = |cluster: &str| {
            cluster.is_empty() || config.clusters.keys().any(|it| it.as_str() == cluster)
        };
        self.families.keep("store", of_stores);
        self.families.keep("cluster", of_clusters);
    }

    /// Where facts for these metrics go.
    pub fn reporter(self: &Arc<Self>) -> Reporter {
        let metrics = Arc::clone(self);
        Reporter::new(move |fact| metrics.record(fact))
    }

    /// The exposition text, format 0.0.4. With thousands of entries it takes tens of milliseconds.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let _alone = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        self.process.read();
        let mut page = String::new();
        let of_secrets = self.secrets.iter().flat_map(Secrets::registries);
        for registry in [&self.registry, &self.unprefixed]
            .into_iter()
            .chain(of_secrets)
        {
            TextEncoder::new().encode_utf8(&registry.gather(), &mut page)?;
        }
        Ok(page)
    }

    #[expect(clippy::too_many_lines, reason = "one flat match over a closed set")]
    fn record(&self, fact: &Fact<'_>) {
        let f = &self.families;
        match *fact {
            Fact::StoreRequest {
                store,
                operation,
                code,
                took,
            } => request(
                (&f.store_requests, &f.store_request_duration),
                [store.as_str(), operation.as_str()],
                code,
                took,
            ),
            Fact::StorePaused { store, reason } => {
                paused(&f.store_paused, store.as_str(), reason);
            }
            Fact::ClusterPaused { cluster, reason } => {
                paused(&f.cluster_paused, cluster.as_str(), reason);
            }
            Fact::ClusterRequest {
                cluster,
                verb,
                code,
                took,
            } => request(
                (&f.cluster_requests, &f.cluster_request_duration),
                [cluster.as_str(), verb.as_str()],
                code,
                took,
            ),
            Fact::Run {
                store,
                outcome,
                took,
            } => {
                let labels = [store.as_str(), outcome.as_str()];
                f.syncs.with_label_values(&labels).inc();
                if let Some(took) = took {
                    observe(&f.sync_duration, &labels, took);
                }
            }
            Fact::Stage { stage, took } => observe(&f.stage_duration, &[stage.as_str()], took),
            Fact::Failed {
                store,
                stage,
                reason,
            } => f
                .sync_errors
                .with_label_values(&[store.as_str(), stage.as_str(), reason.as_str()])
                .inc(),
            Fact::Propagated {
                store,
                target,
                took,
            } => {
                observe(&f.propagation, &[store.as_str(), target.as_str()], took);
            }
            Fact::TargetWritten { target, result } => f
                .target_writes
                .with_label_values(&[target.as_str(), result.as_str()])
                .inc(),
            Fact::DriftRepaired { target, drift } => f
                .drift_repairs
                .with_label_values(&[target.as_str(), drift.as_str()])
                .inc(),
            Fact::Action { kind, result, took } => {
                f.actions
                    .with_label_values(&[kind.as_str(), result.as_str()])
                    .inc();
                observe(&f.stage_duration, &[Stage::Action.as_str()], took);
            }
            Fact::ActionsPending {
                kind,
                count,
                oldest,
            } => {
                let labels = [kind.as_str()];
                f.actions_pending
                    .with_label_values(&labels)
                    .set(whole(count));
                set_time(&f.actions_oldest, &labels, oldest);
            }
            Fact::EntryCondition {
                entry,
                store,
                was,
                now,
            } => {
                moved(&f.secrets, &[store.as_str()], was, now);
                self.of_entry(entry, |numbers| numbers.state = now);
            }
            Fact::TargetCondition {
                target,
                cluster,
                was,
                now,
            } => {
                let cluster = cluster.map_or("", |cluster| cluster.as_str());
                moved(&f.targets, &[target.as_str(), cluster], was, now);
            }
            Fact::Success { entry, at } => self.time(entry, Time::LastSuccess, Some(at)),
            Fact::NextSync { entry, at } => self.time(entry, Time::NextSync, at),
            Fact::EntryGone { entry } => {
                for time in Time::ALL {
                    self.time(entry, time, None);
                }
            }
            Fact::Undelivered { entry, created } => self.time(entry, Time::Undelivered, created),
            Fact::Reloaded { successful, at } => {
                f.reloads.inc();
                f.reload_successful.set(f64::from(u8::from(successful)));
                if successful {
                    f.reload_success.set(unix_seconds(at));
                }
            }
            Fact::DeletionsHeld(count) => f.deletions_held.set(whole(count)),
            Fact::TargetsOrphaned(count) => f.targets_orphaned.set(whole(count)),
            Fact::CredentialsEnd { of, at } => {
                set_time(&f.credentials_expire, &of.labels(), at);
            }
            Fact::Leads(leads) => f.leader.set(f64::from(u8::from(leads))),
            Fact::Lag(late) => f.schedule_lag.observe(late.as_secs_f64()),
            Fact::Progress { at } => set_time(&f.progress, &[], Some(at)),
        }
    }

    fn time(&self, entry: &EntryName, time: Time, at: Option<Timestamp>) {
        self.of_entry(entry, |numbers| numbers.set(time, at));
    }

    fn of_entry(&self, entry: &EntryName, change: impl FnOnce(&mut Numbers)) {
        if let Some(secrets) = &self.secrets {
            secrets.amend(entry, change);
        }
    }
}

/// One in which our prefix goes before every name.
fn registry() -> Result<Registry, prometheus::Error> {
    Registry::new_custom(Some("secretsyncd".to_owned()), None)
}

/// A series that is absent where there is no time: never 0.
fn set_time(family: &GaugeVec, labels: &[&str], at: Option<Timestamp>) {
    match at {
        Some(at) => family.with_label_values(labels).set(unix_seconds(at)),
        // An error only says that it was absent already.
        None => drop(family.remove_label_values(labels)),
    }
}

fn whole(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn request(
    (total, duration): (&CounterVec, &HistogramVec),
    [of, operation]: [&str; 2],
    code: RequestCode,
    took: Duration,
) {
    total
        .with_label_values(&[of, operation, &code.to_string()])
        .inc();
    observe(duration, &[of, operation], took);
}

/// Of all shared reasons one at most holds.
fn paused(family: &GaugeVec, what: &str, reason: Option<Reason>) {
    for shared in Reason::ALL.iter().filter(|it| it.is_shared()) {
        let paused = family.with_label_values(&[what, shared.as_str()]);
        paused.set(f64::from(u8::from(reason == Some(*shared))));
    }
}

fn observe(family: &HistogramVec, labels: &[&str], took: Duration) {
    family.with_label_values(labels).observe(took.as_secs_f64());
}

/// One thing left the gauge of `was` and entered that of `now`.
fn moved(family: &GaugeVec, labels: &[&str], was: Option<Condition>, now: Option<Condition>) {
    let gauge = |condition: Condition| {
        let mut labels = labels.to_vec();
        labels.push(condition.as_str());
        family.with_label_values(&labels)
    };
    if let Some(was) = was {
        gauge(was).dec();
    }
    if let Some(now) = now {
        gauge(now).inc();
    }
}
