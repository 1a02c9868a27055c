//! The series of a configuration, before anything happened to them.

use super::{Families, Metrics};
use crate::config::{Config, Store};
use crate::failure::Reason;
use crate::report::{ClusterVerb, Condition, Outcome, Stage, StoreOperation, TargetKind};

impl Metrics {
    /// Makes the series of every store and cluster. Codes are no closed set: those come with the first request that ends so.
    pub fn begin(&self, config: &Config) {
        for (name, store) in &config.stores {
            of_store(&self.families, name.as_str());
            for operation in operations(store) {
                let labels = [name.as_str(), operation.as_str()];
                let durations = &self.families.store_request_duration;
                durations.with_label_values(&labels);
            }
        }
        for cluster in config.clusters.keys() {
            of_cluster(&self.families, cluster.as_str());
        }
        for condition in Condition::ALL {
            let labels = ["file", "", condition.as_str()];
            self.families.targets.with_label_values(&labels);
        }
        self.families.begin_closed();
    }
}

fn of_store(families: &Families, store: &str) {
    for outcome in Outcome::ALL {
        let labels = [store, outcome.as_str()];
        families.syncs.with_label_values(&labels);
        families.sync_duration.with_label_values(&labels);
    }
    for condition in Condition::ALL {
        let labels = [store, condition.as_str()];
        families.secrets.with_label_values(&labels);
    }
    for reason in Reason::ALL.iter().filter(|it| it.is_shared()) {
        let labels = [store, reason.as_str()];
        families.store_paused.with_label_values(&labels);
    }
    for kind in TargetKind::ALL {
        let labels = [store, kind.as_str()];
        families.propagation.with_label_values(&labels);
    }
    for stage in Stage::ALL {
        for reason in Reason::ALL {
            let labels = [store, stage.as_str(), reason.as_str()];
            families.sync_errors.with_label_values(&labels);
        }
    }
}

fn of_cluster(families: &Families, cluster: &str) {
    for reason in Reason::ALL.iter().filter(|it| it.is_shared()) {
        let labels = [cluster, reason.as_str()];
        families.cluster_paused.with_label_values(&labels);
    }
    for verb in ClusterVerb::ALL {
        let labels = [cluster, verb.as_str()];
        families.cluster_request_duration.with_label_values(&labels);
    }
    for condition in Condition::ALL {
        let labels = ["kubernetes", cluster, condition.as_str()];
        families.targets.with_label_values(&labels);
    }
}

/// What is ever asked of such a store.
fn operations(store: &Store) -> &'static [StoreOperation] {
    match store {
        Store::SecretsManager(_) => &[
            StoreOperation::BatchGetSecretValue,
            StoreOperation::GetSecretValue,
            StoreOperation::DescribeSecret,
            StoreOperation::ListSecrets,
        ],
        Store::ParameterStore(_) => &[
            StoreOperation::GetParameters,
            StoreOperation::GetParameter,
            StoreOperation::GetParametersByPath,
            StoreOperation::DescribeParameters,
            StoreOperation::ListTagsForResource,
        ],
        Store::File(_) => &[StoreOperation::ReadFile],
    }
}
