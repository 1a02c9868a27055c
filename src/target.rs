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
use crate::config::{self, DeletionPolicy};
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
        spec: impl Into<Arc<config::KubernetesTarget>>,
        entry: &EntryName,
        instance: &Instance,
        client: &Arc<kube::Client>,
        state: &Arc<State>,
    ) -> Self {
        let spec = spec.into();
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

    /// What becomes of it when its sources are gone.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        match self {
            Self::Kubernetes(target, _) => target.spec().deletion_policy,
            Self::File(target) => target.deletion_policy(),
        }
    }

    /// Whether changes by others are to be seen at once.
    pub fn is_watched(&self) -> bool {
        match self {
            Self::Kubernetes(target, _) => target.spec().drift == config::DriftPolicy::Watch,
            Self::File(_) => false,
        }
    }

    /// Waits for its turn among all targets of its cluster; a file has no others to wait for.
    pub async fn turn(&self) -> Result<Option<kube::Visit>, Failure> {
        match self {
            Self::Kubernetes(target, _) => target.turn().await.map(Some),
            Self::File(_) => Ok(None),
        }
    }

    /// What its cluster's pause waits for may be over.
    pub fn hasten(&self) {
        match self {
            Self::Kubernetes(target, _) => target.hasten(),
            Self::File(_) => {}
        }
    }

    /// Whether both are written in the same way; they are at one place.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Kubernetes(one, _), Self::Kubernetes(other, _)) => one.spec() == other.spec(),
            (Self::File(_), Self::File(_)) => true,
            (Self::Kubernetes(..), Self::File(_)) | (Self::File(_), Self::Kubernetes(..)) => false,
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
