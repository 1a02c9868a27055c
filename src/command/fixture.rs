//! Configurations as typed values, for tests.

use std::time::Duration;

use crate::assemble::bulk::Shape;
use crate::assemble::decode::Decoding;
use crate::assemble::json_format::JsonFormat;
use crate::config::{
    AwsAuth, AwsStore, BulkSource, Cluster, ClusterAccess, Config, CreationPolicy, Daemon,
    DataFrom, DataItem, DeletionPolicy, DriftPolicy, Entry, Fetch, FileStore, Find,
    KubernetesTarget, OnMissing, Rates, Source, Store, Tls, Version,
};
use crate::names::{
    ClusterName, EntryName, Instance, Namespace, ObjectName, RemoteKey, SecretKey, StoreName,
};

pub(super) fn config(
    stores: impl IntoIterator<Item = (&'static str, Store)>,
    entries: impl IntoIterator<Item = Entry>,
) -> Config {
    let stores = stores.into_iter();
    let entries = entries.into_iter().enumerate();
    Config {
        daemon: Daemon {
            instance: Instance::new("default").unwrap(),
            listen: "127.0.0.1:9785".parse().unwrap(),
            state_dir: "/nowhere/state".into(),
            control_socket: "/nowhere/control.sock".into(),
            control_group: None,
            shutdown_grace: Duration::from_secs(20),
            prune: false,
            prune_after: Duration::from_hours(24),
            per_secret_metrics: true,
            leader: None,
        },
        stores: stores
            .map(|(name, store)| (StoreName::new(name).unwrap(), store))
            .collect(),
        clusters: [].into(),
        entries: entries
            .map(|(n, entry)| (EntryName::new(format!("e{n}")).unwrap(), entry))
            .collect(),
        files: Vec::new(),
        included: Vec::new(),
        inputs: std::collections::BTreeSet::new(),
    }
}

pub(super) fn entry(
    store: &str,
    refresh_interval: Duration,
    sources: impl IntoIterator<Item = Source>,
) -> Entry {
    let store = StoreName::new(store).unwrap();
    let mut entry = Entry {
        store: store.clone(),
        refresh_interval,
        refresh_policy: crate::config::RefreshPolicy::Periodic,
        suspended: false,
        max_stale: refresh_interval,
        data_from: Vec::new(),
        data: Vec::new(),
        json_format: JsonFormat::Raw,
        templates: None,
        template_files: Box::default(),
        targets: Vec::new(),
        selections: Box::default(),
    };
    for (n, source) in sources.into_iter().enumerate() {
        let store = store.clone();
        match source {
            Source::Find(find) => entry.data_from.push(DataFrom {
                store,
                bulk: BulkSource::Find(*find),
                shape: Shape::default(),
                on_missing: OnMissing::Fail,
            }),
            Source::Value { .. } | Source::Metadata { .. } => entry.data.push(DataItem {
                secret_key: SecretKey::new(format!("k{n}")).unwrap(),
                store,
                source,
                property: None,
                decoding: Decoding::None,
                on_missing: OnMissing::Fail,
            }),
        }
    }
    entry
}

/// The Secret at `cluster/namespace/name`, owned.
pub(super) fn secret(at: &str) -> KubernetesTarget {
    let parts: Vec<&str> = at.split('/').collect();
    let [cluster, namespace, name] = parts[..] else {
        panic!("{at} is not cluster/namespace/name");
    };
    KubernetesTarget {
        cluster: ClusterName::new(cluster).unwrap(),
        namespace: Namespace::new(namespace).unwrap(),
        name: ObjectName::new(name).unwrap(),
        secret_type: "Opaque".into(),
        labels: [].into(),
        annotations: [].into(),
        creation_policy: CreationPolicy::Owner,
        deletion_policy: DeletionPolicy::Retain,
        immutable: false,
        adopt: false,
        drift: DriftPolicy::Refresh,
        restart: Vec::new(),
    }
}

pub(super) fn cluster() -> Cluster {
    Cluster {
        access: ClusterAccess::Kubeconfig {
            path: "/nowhere/kubeconfig".into(),
            context: None,
            tls: Tls::Verified,
        },
        requests_per_second: Cluster::REQUESTS_PER_SECOND,
    }
}

pub(super) fn aws() -> AwsStore {
    AwsStore {
        region: Some("eu-west-1".to_owned()),
        account: None,
        fetch: Fetch::Auto,
        requests_per_second: Rates::SECRETS_MANAGER,
        endpoint_url: None,
        auth: AwsAuth::DEFAULT,
    }
}

pub(super) fn secrets_manager() -> Store {
    Store::SecretsManager(aws())
}

pub(super) fn file() -> Store {
    Store::File(FileStore {
        path: "/nowhere/secrets".into(),
    })
}

pub(super) fn value(key: &str) -> Source {
    Source::Value {
        key: RemoteKey::new(key).unwrap(),
        version: Version::Current,
    }
}

pub(super) fn metadata(key: &str) -> Source {
    Source::Metadata {
        key: RemoteKey::new(key).unwrap(),
    }
}

pub(super) fn find<const N: usize>(path: &str, tags: [(&str, &str); N]) -> Source {
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Source::Find(Box::new(Find {
        path: Some(path.to_owned()).filter(|path| !path.is_empty()),
        name: None,
        keys: None,
        tags: tags.into(),
    }))
}
