//! Targets: where secrets are delivered.
//!
//! A target renders, observes and applies; what may be applied is `decide`'s to say and `sync`'s to ask. The set of
//! targets is closed, so it is an enum. Sees no store.

pub mod file;
pub mod holdings;
pub mod kubernetes;

use std::fmt;
use std::sync::Arc;

use self::file::{FileTarget, Seats};
use self::kubernetes::KubernetesTarget;
use crate::config;
use crate::failure::Failure;
use crate::kube;
use crate::names::{ClusterName, EntryName, Instance};
use crate::report::TargetKind;
use crate::state::{SecretId, State};

#[derive(Debug)]
pub enum Target {
    Kubernetes(Box<KubernetesTarget>, SecretId),
    File(Box<FileTarget>),
}

impl Target {
    pub fn file(
        spec: config::FileTarget,
        entry: &EntryName,
        state: &Arc<State>,
        seats: &Seats,
    ) -> Self {
        Self::File(Box::new(FileTarget::new(
            spec,
            entry.clone(),
            Arc::clone(state),
            seats,
        )))
    }

    pub fn kubernetes(
        spec: config::KubernetesTarget,
        entry: &EntryName,
        instance: &Instance,
        client: &Arc<kube::Client>,
        state: &Arc<State>,
    ) -> Self {
        let id = SecretId {
            cluster: spec.cluster.clone(),
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
        };
        let target = KubernetesTarget::new(
            spec,
            entry.clone(),
            instance.clone(),
            Arc::clone(client),
            state.fingerprint_key().clone(),
        );
        Self::Kubernetes(Box::new(target), id)
    }

    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Kubernetes(..) => TargetKind::Kubernetes,
            Self::File(_) => TargetKind::File,
        }
    }

    pub fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::Kubernetes(_, id) => Some(&id.cluster),
            Self::File(_) => None,
        }
    }

    /// Whether a write would be possible, without having a value.
    pub async fn probe(&self) -> Result<(), Failure> {
        match self {
            Self::Kubernetes(target, _) => target.probe().await,
            Self::File(target) => target.probe().await,
        }
    }
}

/// A path, or `cluster/namespace/name`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(_, id) => id.fmt(f),
            Self::File(target) => write!(f, "{}", target.path().display()),
        }
    }
}
