//! The paths that a configuration names, each with whose it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::place;
use crate::config::{
    AwsBase, AwsStore, Cluster, ClusterAccess, ClusterAuth, Config, Store, Target, ValueSource,
};

/// Whose the files of the configuration are.
pub(super) const CONFIGURATION: &str = "the configuration";

/// Every directory that is written to, and for whom.
pub(super) fn outputs(config: &Config) -> BTreeMap<PathBuf, Vec<String>> {
    let mut outputs: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut add = |path: &Path, whose: String| {
        if let Some(directory) = path.parent() {
            let all = outputs.entry(directory.to_owned()).or_default();
            all.push(whose);
        }
    };
    add(&config.daemon.control_socket, "`control_socket`".to_owned());
    for (name, entry) in &config.entries {
        for target in &entry.targets {
            match target {
                Target::File(file) => add(&file.path, format!("entry {name}")),
                Target::Kubernetes(_) => {}
            }
        }
    }
    outputs
}

/// Without those that are below another one, which is said once.
pub(super) fn outermost(outputs: &BTreeMap<PathBuf, Vec<String>>) -> BTreeMap<&Path, Vec<&str>> {
    let mut outermost: BTreeMap<&Path, Vec<&str>> = BTreeMap::new();
    for (directory, whose) in outputs {
        let above = directory.ancestors().filter(|it| outputs.contains_key(*it));
        // `/` is refused and so covers nothing.
        let covering = above
            .filter(|it| place::of(it) == place::of(directory))
            .last();
        let all = outermost.entry(covering.unwrap_or(directory)).or_default();
        all.extend(whose.iter().map(String::as_str));
    }
    outermost
}

/// Every file and directory that is read, and for whom.
pub(super) fn inputs(config: &Config) -> Vec<(PathBuf, String)> {
    let mut inputs = Vec::new();
    for file in &config.files {
        inputs.push((file.clone(), CONFIGURATION.to_owned()));
    }
    for (name, store) in &config.stores {
        let paths = match store {
            Store::SecretsManager(spec) | Store::ParameterStore(spec) => login_files(spec),
            Store::File(spec) => vec![&spec.path],
        };
        let paths = paths.into_iter().cloned();
        inputs.extend(paths.map(|path| (path, format!("store {name}"))));
    }
    for (name, cluster) in &config.clusters {
        let paths = cluster_files(cluster).into_iter();
        inputs.extend(paths.map(|path| (path, format!("cluster {name}"))));
    }
    for (name, entry) in &config.entries {
        let paths = entry.template_files.iter().cloned();
        inputs.extend(paths.map(|path| (path, format!("entry {name}"))));
    }
    inputs
}

fn login_files(spec: &AwsStore) -> Vec<&PathBuf> {
    match &spec.auth.base {
        AwsBase::Default | AwsBase::Profile(_) => Vec::new(),
        AwsBase::WebIdentity { token_file, .. } => vec![token_file],
        AwsBase::Static { .. } => {
            let files = keys(spec).into_iter().filter_map(|source| match source {
                ValueSource::File(path) => Some(path),
                ValueSource::Env(_) | ValueSource::Kubernetes(_) => None,
            });
            files.collect()
        }
    }
}

pub(super) fn keys(spec: &AwsStore) -> Vec<&ValueSource> {
    match &spec.auth.base {
        AwsBase::Default | AwsBase::Profile(_) | AwsBase::WebIdentity { .. } => Vec::new(),
        AwsBase::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => {
            let keys = [access_key_id, secret_access_key].into_iter();
            keys.chain(session_token).collect()
        }
    }
}

fn cluster_files(cluster: &Cluster) -> Vec<PathBuf> {
    match &cluster.access {
        ClusterAccess::Kubeconfig { path, .. } => vec![path.clone()],
        ClusterAccess::Server {
            server: _,
            certificate_authority,
            auth,
        } => {
            let mut files: Vec<PathBuf> = certificate_authority.iter().cloned().collect();
            match auth {
                ClusterAuth::TokenFile(path) => files.push(path.clone()),
                ClusterAuth::ClientCertificate { certificate, key } => {
                    files.extend([certificate.clone(), key.clone()]);
                }
                // Those of the store are the store's.
                ClusterAuth::Eks(_) => {}
            }
            files
        }
        ClusterAccess::InCluster(account) => vec![account.authority(), account.token()],
    }
}
