use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::assemble::decode::Decoding;
use crate::assemble::json_format::JsonFormat;
use crate::config::{
    self, Cluster, ClusterAccess, CreationPolicy, DriftPolicy, OnMissing, RefreshPolicy, Source,
    Version,
};
use crate::failure::Reason;
use crate::kube::{Client, Tenure};
use crate::names::{
    ClusterName, EntryName, Instance, Namespace, ObjectName, RemoteKey, SecretKey, StoreName,
};
use crate::report::Reporter;
use crate::secret::Fingerprint;
use crate::store::desk::Desk;
use crate::sync::{Item, Which};

fn state() -> Arc<State> {
    let nowhere = tempfile::tempdir().unwrap();
    Arc::new(State::copy(nowhere.path()).unwrap().state)
}

fn target(name: &EntryName, state: &Arc<State>, deletion_policy: DeletionPolicy) -> Target {
    let cluster = ClusterName::new("c").unwrap();
    let access = ClusterAccess::Kubeconfig {
        path: "/nowhere/kubeconfig".into(),
        context: None,
        tls: config::Tls::Verified,
    };
    let reporter = Reporter::new(|_| {});
    let client = Client::new(
        cluster.clone(),
        Cluster::of(access),
        reporter,
        Tenure::never(),
    );
    let spec = config::KubernetesTarget {
        cluster,
        namespace: Namespace::new("app").unwrap(),
        name: ObjectName::new("db").unwrap(),
        secret_type: "Opaque".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        creation_policy: CreationPolicy::Owner,
        deletion_policy,
        immutable: false,
        adopt: false,
        drift: DriftPolicy::Refresh,
        restart: Vec::new(),
    };
    let instance = Instance::new("default").unwrap();
    Target::kubernetes(spec, name, &instance, &Arc::new(client), state)
}

/// What becomes of an entry whose only source fails so.
async fn outlook(reason: Reason, on_missing: OnMissing, policies: &[DeletionPolicy]) -> Outlook {
    let (name, state) = (EntryName::new("db").unwrap(), state());
    let store = StoreName::new("prod").unwrap();
    let source = Source::Value {
        key: RemoteKey::new("db").unwrap(),
        version: Version::Current,
    };
    let targets = policies.iter().map(|it| target(&name, &state, *it));
    let entry = Entry {
        name: name.clone(),
        configuration: Fingerprint::from_bytes([0; 32]),
        refresh_policy: RefreshPolicy::Periodic,
        suspended: false,
        store: store.clone(),
        refresh_interval: Duration::from_hours(1),
        max_stale: Duration::from_hours(2),
        reads: vec![Read::new(store, source)],
        items: vec![Item::One {
            secret_key: SecretKey::new("k").unwrap(),
            property: None,
            decoding: Decoding::None,
            on_missing,
            read: 0,
        }],
        json_format: JsonFormat::Raw,
        templates: None,
        targets: targets.collect(),
        selected: Vec::new(),
    };
    let (desk, mut wants) = Desk::new();
    let run = Run {
        dismissed: tokio_util::sync::CancellationToken::new(),
        impatient: None,
        entry: Arc::new(entry),
        desk,
        state,
        reporter: Reporter::new(|_| {}),
        handed: None,
        delivered: crate::few::Map::new(),
        confirmed: BTreeMap::new(),
        known: BTreeMap::new(),
        without: BTreeSet::new(),
        proofs: BTreeMap::new(),
        which: Which::All,
        away: BTreeSet::new(),
        may_go: BTreeSet::new(),
        ours: (0..policies.len()).collect(),
        tenure: Tenure::never(),
        contested: BTreeSet::new(),
    };
    let answering = async {
        while let Some(want) = wants.recv().await {
            let _ = want.reply.send(Err(Failure::new(reason, "no")));
        }
    };
    let gates = Gates::new([]);
    let (outlook, ()) = tokio::join!(Box::pin(plan(run, &gates, View::Run)), answering);
    outlook
}

/// For which targets it is asked whether they may be deleted: of those, their cluster, which is nowhere.
async fn deletes(reason: Reason, on_missing: OnMissing, policies: &[DeletionPolicy]) -> Vec<bool> {
    let looked = outlook(reason, on_missing, policies).await.targets;
    assert_eq!(looked.len(), policies.len());
    let asked = |looked: &Result<Step, Failure>| {
        let failure = looked.as_ref().err();
        failure.is_some_and(|failure| failure.reason == Reason::Credentials)
    };
    looked.iter().map(asked).collect()
}

#[tokio::test]
async fn only_what_is_gone_and_is_to_go_with_its_sources_would_be_deleted() {
    use DeletionPolicy::{Delete, Retain};
    for on_missing in [OnMissing::Fail, OnMissing::Drop] {
        assert_eq!(
            deletes(Reason::NotFound, on_missing, &[Delete]).await,
            [true]
        );
        // Whatever else it is, it is not gone.
        assert_eq!(
            deletes(Reason::AccessDenied, on_missing, &[Delete]).await,
            [false]
        );
    }
    let (fail, gone) = (OnMissing::Fail, Reason::NotFound);
    assert_eq!(deletes(gone, fail, &[Retain]).await, [false]);
    assert_eq!(deletes(gone, fail, &[Delete, Retain]).await, [false, false]);
}
