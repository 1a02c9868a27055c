//! Every family but those of single entries, with its name, help, labels and buckets.

use std::collections::HashMap;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, Opts, Registry,
};

use crate::decide::Drift;
use crate::report::{ActionKind, ActionResult, Stage, TargetKind, WriteResult};

/// Seconds, from a 5 ms write to an hour of propagation.
const BUCKETS: &[f64] = &[
    0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
    300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0,
];

/// Seconds of one request: nothing waits longer than its timeout.
const REQUEST_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0,
];

#[derive(Debug)]
pub(super) struct Families {
    pub leader: Gauge,
    pub sync_duration: HistogramVec,
    pub stage_duration: HistogramVec,
    pub syncs: CounterVec,
    pub sync_errors: CounterVec,
    pub propagation: HistogramVec,
    pub secrets: GaugeVec,
    pub targets: GaugeVec,
    pub schedule_lag: Histogram,
    /// Without labels: absent until it is set.
    pub progress: GaugeVec,
    pub store_requests: CounterVec,
    pub store_request_duration: HistogramVec,
    pub store_paused: GaugeVec,
    pub cluster_paused: GaugeVec,
    pub cluster_requests: CounterVec,
    pub cluster_request_duration: HistogramVec,
    pub target_writes: CounterVec,
    pub drift_repairs: CounterVec,
    pub actions: CounterVec,
    pub actions_pending: GaugeVec,
    pub actions_oldest: GaugeVec,
    pub credentials_expire: GaugeVec,
    pub deletions_held: Gauge,
    pub targets_orphaned: Gauge,
    pub reloads: Counter,
    pub reload_successful: Gauge,
    pub reload_success: Gauge,
}

impl Families {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Make { registry };
        build_info(&make)?;
        let leader = make.gauge(
            "leader",
            "1 while this process may write Kubernetes targets; always 1 without a Lease",
        )?;
        leader.set(1.0);
        Ok(Self {
            leader,
            sync_duration: make.histograms("sync_duration_seconds", "Time one run of an entry took, reads included", &["store", "outcome"], BUCKETS)?,
            stage_duration: make.histograms("sync_stage_duration_seconds", "Time one stage of a run took", &["stage"], BUCKETS)?,
            syncs: make.counters("syncs_total", "Runs and checks of entries by how they ended", &["store", "outcome"])?,
            sync_errors: make.counters("sync_errors_total", "Failures of entries by stage and reason", &["store", "stage", "reason"])?,
            propagation: make.histograms("propagation_seconds", "Time from the making of a newer version (or our previous read, if that was later) until it was written to a target", &["store", "target_kind"], BUCKETS)?,
            secrets: make.gauges("secrets", "Entries by state", &["store", "state"])?,
            targets: make.gauges("targets", "Targets by state", &["target_kind", "cluster", "state"])?,
            schedule_lag: make.histogram("schedule_lag_seconds", "How late something due was begun", BUCKETS)?,
            progress: make.gauges("scheduler_progress_timestamp_seconds", "When the scheduler last went round", &[])?,
            store_requests: make.counters("store_requests_total", "Calls to stores by how they ended, retries inside a call not counted", &["store", "operation", "code"])?,
            store_request_duration: make.histograms("store_request_duration_seconds", "Time one call to a store took", &["store", "operation"], REQUEST_BUCKETS)?,
            store_paused: make.gauges("store_paused", "1 while everything behind a store's identity and region waits for one probe, for this reason", &["store", "reason"])?,
            cluster_paused: make.gauges("cluster_paused", "1 while nothing is asked of a cluster but one probe now and then, for this reason", &["cluster", "reason"])?,
            cluster_requests: make.counters("cluster_requests_total", "Requests to clusters by how they ended", &["cluster", "verb", "code"])?,
            cluster_request_duration: make.histograms("cluster_request_duration_seconds", "Time one request to a cluster took", &["cluster", "verb"], REQUEST_BUCKETS)?,
            target_writes: make.counters("target_writes_total", "Writes to targets by result", &["target_kind", "result"])?,
            credentials_expire: make.gauges("credentials_expire_timestamp_seconds", "When the present credentials of a store or cluster end, unless they are renewed before; absent where they have no end", &["kind", "name"])?,
            deletions_held: make.gauge("deletions_held", "Targets that would lose something by what is gone upstream, held until a person lets them go")?,
            targets_orphaned: make.gauge("targets_orphaned", "Targets that were delivered to and that no entry writes any more")?,
            reloads: make.counter("config_reloads_total", "Reloads of the configuration, refused ones included")?,
            reload_successful: make.gauge("config_last_reload_successful", "1 unless the last configuration was refused and the one from before goes on")?,
            reload_success: make.gauge("config_last_reload_success_timestamp_seconds", "When the present configuration was loaded")?,
            actions: make.counters("actions_total", "Actions that ran after a change, by how they ended", &["kind", "result"])?,
            actions_pending: make.gauges("actions_pending", "Actions that have to run, those that failed and are tried again among them", &["kind"])?,
            actions_oldest: make.gauges("actions_oldest_pending_timestamp_seconds", "When the first change was made that an action has not run for yet", &["kind"])?,
            drift_repairs: make.counters("drift_repairs_total", "Targets put back after somebody else changed them", &["target_kind", "kind"])?,
        })
    }

    /// Removes every series whose `label` names what is no longer there.
    pub(super) fn keep(&self, label: &str, is_there: impl Fn(&str) -> bool) {
        let gauges = [
            &self.secrets,
            &self.targets,
            &self.store_paused,
            &self.cluster_paused,
        ];
        let counters = [
            &self.syncs,
            &self.sync_errors,
            &self.store_requests,
            &self.cluster_requests,
        ];
        let histograms = [
            &self.sync_duration,
            &self.propagation,
            &self.store_request_duration,
            &self.cluster_request_duration,
        ];
        // An error only says that a series went by itself.
        for family in gauges {
            gone(family, label, &is_there, |labels| {
                drop(family.remove(labels));
            });
        }
        for family in counters {
            gone(family, label, &is_there, |labels| {
                drop(family.remove(labels));
            });
        }
        for family in histograms {
            gone(family, label, &is_there, |labels| {
                drop(family.remove(labels));
            });
        }
    }

    /// Makes the series whose labels need no configuration.
    pub(super) fn begin_closed(&self) {
        for stage in Stage::ALL {
            self.stage_duration.with_label_values(&[stage.as_str()]);
        }
        for kind in ActionKind::ALL {
            for result in ActionResult::ALL {
                self.actions
                    .with_label_values(&[kind.as_str(), result.as_str()]);
            }
            self.actions_pending.with_label_values(&[kind.as_str()]);
        }
        for kind in TargetKind::ALL {
            for result in WriteResult::ALL {
                self.target_writes
                    .with_label_values(&[kind.as_str(), result.as_str()]);
            }
            for drift in Drift::ALL {
                self.drift_repairs
                    .with_label_values(&[kind.as_str(), drift.as_str()]);
            }
        }
    }
}

/// Every series of a family whose `label` names what is no longer there.
fn gone(
    family: &impl Collector,
    label: &str,
    is_there: impl Fn(&str) -> bool,
    remove: impl Fn(&HashMap<&str, &str>),
) {
    for series in family.collect().iter().flat_map(MetricFamily::get_metric) {
        let pairs = series.get_label().iter();
        let labels: HashMap<&str, &str> = pairs.map(|it| (it.name(), it.value())).collect();
        if labels.get(label).is_some_and(|of| !is_there(of)) {
            remove(&labels);
        }
    }
}

fn build_info(make: &Make<'_>) -> Result<(), prometheus::Error> {
    make.gauges("build_info", "1; the version is in the label", &["version"])?
        .with_label_values(&[env!("CARGO_PKG_VERSION")])
        .set(1.0);
    Ok(())
}

/// Makes families and registers them.
struct Make<'a> {
    registry: &'a Registry,
}

impl Make<'_> {
    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, prometheus::Error> {
        let family = CounterVec::new(Opts::new(name, help), labels)?;
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        let family = GaugeVec::new(Opts::new(name, help), labels)?;
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> Result<Counter, prometheus::Error> {
        let counter = Counter::new(name, help)?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        let gauge = Gauge::new(name, help)?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let family = HistogramVec::new(options, labels)?;
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histogram = Histogram::with_opts(options)?;
        self.registry.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }
}
