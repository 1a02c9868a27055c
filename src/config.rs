//! The configuration, lowered: every default filled in, every name checked, every reference resolved.
//!
//! `text -> tree (spanned TOML) -> lower (all checks) -> Config`. Raw TOML types stay inside this module. Nothing
//! outside can hold a `Config` that was not checked, and nothing here makes a call.

mod aws;
mod diagnostic;
mod include;
mod load;
mod lower;
mod problems;
mod remote;
mod source;
mod surroundings;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::assemble::Templates;
use crate::names::{
    ClusterName, EntryName, Instance, LabelValue, MetadataKey, Namespace, ObjectName, SecretKey,
    StoreName,
};

pub use self::aws::{AwsAuth, AwsBase, AwsRole, AwsStore, Fetch, Rates, SecretRef, ValueSource};
pub use self::diagnostic::{Diagnostic, Diagnostics, Severity};
pub use self::include::Included;
pub use self::load::{Loaded, load, load_daemon};
pub use self::remote::{
    BulkSource, DataFrom, DataItem, Find, NamePattern, OnMissing, Source, Version,
};
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
    pub prune_after: Duration,
    pub per_secret_metrics: bool,
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
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAccess {
    Kubeconfig {
        path: PathBuf,
        /// May be left out only if the file has exactly one.
        context: Option<String>,
    },
    Server {
        server: String,
        certificate_authority: Option<PathBuf>,
        auth: ClusterAuth,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAuth {
    TokenFile(PathBuf),
    ClientCertificate { certificate: PathBuf, key: PathBuf },
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
    /// Absent: what was fetched is delivered as it is.
    pub templates: Option<Templates>,
    /// The files that hold some of them. Absolute.
    pub template_files: Vec<PathBuf>,
    pub targets: Vec<Target>,
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
    Kubernetes(KubernetesTarget),
    File(FileTarget),
}

/// One Secret in one namespace of one cluster.
#[derive(Clone, Debug)]
pub struct KubernetesTarget {
    pub cluster: ClusterName,
    pub namespace: Namespace,
    pub name: ObjectName,
    /// The Secret's `type`; `Opaque` by default.
    pub secret_type: String,
    pub labels: BTreeMap<MetadataKey, LabelValue>,
    pub annotations: BTreeMap<MetadataKey, String>,
    pub creation_policy: CreationPolicy,
    pub adopt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreationPolicy {
    /// The whole Secret is ours.
    Owner,
    /// Only our keys are ours; the Secret is made by somebody else.
    Merge,
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
    pub adopt: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// The bytes of one key, nothing added.
    Raw {
        key: SecretKey,
    },
    Dotenv,
    Json,
}

#[cfg(test)]
mod tests;
