//! The configuration, lowered: every default filled in, every name checked, every reference resolved.
//!
//! `text -> tree (spanned TOML) -> lower (all checks) -> Config`. Raw TOML types stay inside this module. Nothing
//! outside can hold a `Config` that was not checked, and nothing here makes a call.

mod action;
mod aws;
mod diagnostic;
mod essence;
mod include;
mod leader;
mod load;
mod lower;
mod problems;
mod remote;
mod selection;
mod source;
mod surroundings;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::account::Account;
use crate::assemble::Templates;
use crate::assemble::json_format::JsonFormat;
use crate::names::{
    ClusterName, EntryName, Instance, LabelValue, MetadataKey, Namespace, ObjectName, SecretKey,
    StoreName,
};

pub use self::action::{Action, Argv, Check, OnChange, STAGED, Signal, SignalTo};
pub use self::aws::{AwsAuth, AwsBase, AwsRole, AwsStore, Fetch, Rates, SecretRef, ValueSource};
pub use self::diagnostic::{Diagnostic, Diagnostics, Severity};
pub use self::include::Included;
pub use self::leader::{Leader, LeaderTiming};
pub use self::load::{Loaded, find_socket, judge, load};
pub use self::lower::parse_duration;
pub use self::remote::{
    BulkSource, DataFrom, DataItem, Find, NamePattern, OnMissing, Source, Version,
};
pub use self::selection::Selection;
pub use self::surroundings::Surroundings;

/// A whole configuration: the main file and everything it includes.
#[derive(Clone, Debug)]
pub struct Config {
    pub daemon: Daemon,
    pub stores: BTreeMap<StoreName, Store>,
    pub clusters: BTreeMap<ClusterName, Cluster>,
    pub entries: BTreeMap<EntryName, Entry>,
    /// Every file that was read, the main file first.
    pub files: Vec<PathBuf>,
    pub included: Vec<Included>,
    /// Every other file that the daemon reads: templates, keys, tokens, kubeconfigs, file stores. Absolute.
    pub inputs: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Daemon {
    pub instance: Instance,
    pub listen: SocketAddr,
    /// Absolute.
    pub state_dir: PathBuf,
    pub control_socket: PathBuf,
    pub control_group: Option<String>,
    pub shutdown_grace: Duration,
    /// Whether orphans are taken away by themselves.
    pub prune: bool,
    pub prune_after: Duration,
    pub per_secret_metrics: bool,
    /// Absent: this machine alone writes to Kubernetes.
    pub leader: Option<Leader>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    SecretsManager(AwsStore),
    ParameterStore(AwsStore),
    File(FileStore),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStore {
    /// Absolute. A directory, or a TOML or JSON file by its ending.
    pub path: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub access: ClusterAccess,
    pub requests_per_second: u32,
}

impl Cluster {
    /// Where nothing else is said.
    pub const REQUESTS_PER_SECOND: u32 = 50;

    /// Reached so, at the usual rate.
    pub fn of(access: ClusterAccess) -> Self {
        Self {
            access,
            requests_per_second: Self::REQUESTS_PER_SECOND,
        }
    }

    /// The same cluster, whatever its rate is.
    #[must_use]
    pub fn without_pace(&self) -> Self {
        Self::of(self.access.clone())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAccess {
    Kubeconfig {
        path: PathBuf,
        /// May be left out only if the file has exactly one.
        context: Option<String>,
        tls: Tls,
    },
    Server {
        server: String,
        certificate_authority: Option<PathBuf>,
        auth: ClusterAuth,
    },
    /// As the service account of the pod that we run in.
    InCluster(ServiceAccount),
}

impl ClusterAccess {
    pub fn eks(&self) -> Option<&EksAuth> {
        match self {
            Self::Server {
                auth: ClusterAuth::Eks(eks),
                ..
            } => Some(eks),
            Self::Server {
                auth: ClusterAuth::TokenFile(_) | ClusterAuth::ClientCertificate { .. },
                ..
            }
            | Self::Kubeconfig { .. }
            | Self::InCluster(_) => None,
        }
    }
}

/// Whether the kubeconfig decides that the API server need not prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    Verified,
    /// Unverified where the kubeconfig says so, too.
    AsTheKubeconfigSays,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAuth {
    TokenFile(PathBuf),
    ClientCertificate { certificate: PathBuf, key: PathBuf },
    Eks(Box<EksAuth>),
}

/// Tokens that are signed with AWS credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EksAuth {
    /// What EKS calls the cluster.
    pub cluster_name: String,
    pub region: String,
    /// Of the store whose credentials sign.
    pub auth: AwsAuth,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Absent: this is no pod.
    pub server: Option<String>,
    /// Where a pod finds what belongs to it. Absolute.
    pub directory: PathBuf,
}

impl ServiceAccount {
    pub fn authority(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    pub fn token(&self) -> PathBuf {
        self.directory.join("token")
    }
}

/// One `[secrets.NAME]` table: what is read, and every target it is written to.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The `store` label of this entry's metrics: its `store`, else that of its first source.
    pub store: StoreName,
    pub refresh_interval: Duration,
    pub refresh_policy: RefreshPolicy,
    /// Nothing happens to it, and nothing of it is an orphan.
    pub suspended: bool,
    pub max_stale: Duration,
    /// Before `data`; later items win.
    pub data_from: Vec<DataFrom>,
    pub data: Vec<DataItem>,
    /// How JSON that is no string is written.
    pub json_format: JsonFormat,
    /// Absent: what was fetched is delivered as it is.
    pub templates: Option<Arc<Templates>>,
    /// The files that hold some of them. Absolute.
    pub template_files: Box<[PathBuf]>,
    /// Those that the configuration names.
    pub targets: Vec<Target>,
    /// More of them, by what namespaces there are. One that `targets` has, too, is as it says there; of two selections
    /// that find one, the first counts.
    pub selections: Box<[Selection]>,
}

/// How often what is delivered is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// Once in every interval.
    #[default]
    Periodic,
    /// Never after it was delivered, until its configuration changes.
    CreatedOnce,
}

#[derive(Clone, Debug)]
pub enum Target {
    /// What writes it shares what it is to be.
    Kubernetes(Arc<KubernetesTarget>),
    File(Box<FileTarget>),
}

/// One Secret in one namespace of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesTarget {
    pub cluster: ClusterName,
    pub namespace: Namespace,
    pub name: ObjectName,
    /// The Secret's `type`; `Opaque` by default.
    pub secret_type: Box<str>,
    pub labels: BTreeMap<MetadataKey, LabelValue>,
    pub annotations: BTreeMap<MetadataKey, String>,
    pub creation_policy: CreationPolicy,
    pub deletion_policy: DeletionPolicy,
    pub immutable: bool,
    pub adopt: bool,
    pub drift: DriftPolicy,
    /// What is restarted when the Secret's data changed.
    pub restart: Vec<Workload>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreationPolicy {
    /// The whole Secret is ours.
    Owner,
    /// As `Owner`, but nothing of ours ever deletes it.
    Orphan,
    /// Only our keys are ours; the Secret is made by somebody else.
    Merge,
    /// As `Merge`, but it is made where there is none.
    CreateOrMerge,
}

impl CreationPolicy {
    /// Whether the Secret is ours as a whole, and not only the keys that we write.
    pub fn is_whole(self) -> bool {
        match self {
            Self::Owner | Self::Orphan => true,
            Self::Merge | Self::CreateOrMerge => false,
        }
    }

    /// Whether that may become of a Secret whose sources are gone: what is not ours as a whole is never deleted, nor
    /// what we said we would leave.
    pub fn allows(self, deletion: DeletionPolicy) -> bool {
        match (self, deletion) {
            (Self::Owner, _) | (_, DeletionPolicy::Retain | DeletionPolicy::Merge) => true,
            (Self::Orphan | Self::Merge | Self::CreateOrMerge, DeletionPolicy::Delete) => false,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Orphan => "orphan",
            Self::Merge => "merge",
            Self::CreateOrMerge => "create_or_merge",
        }
    }

    /// Whether a Secret that is not there is made.
    pub fn may_create(self) -> bool {
        match self {
            Self::Owner | Self::Orphan | Self::CreateOrMerge => true,
            Self::Merge => false,
        }
    }
}

/// What becomes of a target whose sources are proven gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    /// The keys of a source that is gone go.
    Merge,
    /// The target goes once all its sources are gone.
    Delete,
}

/// When it is noticed that somebody else wrote a Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DriftPolicy {
    /// Once in every interval.
    #[default]
    Refresh,
    /// At once, too.
    Watch,
}

/// What runs pods that read a Secret, in the Secret's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub name: ObjectName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

/// As the configuration writes it.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            WorkloadKind::Deployment => "deployment",
            WorkloadKind::StatefulSet => "statefulset",
            WorkloadKind::DaemonSet => "daemonset",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

/// One file on disk.
#[derive(Clone, Debug)]
pub struct FileTarget {
    /// Absolute.
    pub path: PathBuf,
    pub format: FileFormat,
    /// Permission bits, at most 0o777.
    pub mode: u32,
    /// Permission bits of parents that have to be made.
    pub dir_mode: u32,
    /// Whose it is to be; ours where this is left out.
    pub owner: Option<Account>,
    /// Which group it is to have, and parents that have to be made; where this is left out, the one that new files get.
    pub group: Option<Account>,
    pub adopt: bool,
    /// [`DeletionPolicy::Retain`] or [`DeletionPolicy::Delete`]: of a file, no single keys go.
    pub deletion_policy: DeletionPolicy,
    pub check: Option<Check>,
    pub on_change: Option<OnChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// The bytes of one key, nothing added.
    Raw {
        key: SecretKey,
    },
    Dotenv(Dialect),
    Json,
    Yaml,
    Properties,
    /// One file per key, in a directory that is swapped as a whole.
    Directory,
}

/// For whom a dotenv file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Shells, and systemd's `EnvironmentFile=`.
    Shell,
    /// `docker run --env-file`, which does not unquote.
    Docker,
}

#[cfg(test)]
mod tests;
