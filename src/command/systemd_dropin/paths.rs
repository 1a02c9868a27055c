//! The paths that a configuration names, each with whose it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::place;
use super::polkit::Verb;
use crate::config::{
    Action, AwsBase, AwsStore, Cluster, ClusterAccess, ClusterAuth, Config, FileTarget, SignalTo,
    Store, Target, ValueSource,
};
use crate::kube::{self, NamedFile, PLUGIN};

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

/// Every program that is run, and for whom.
pub(super) fn programs(config: &Config) -> Vec<(PathBuf, String)> {
    let clusters = config.clusters.iter();
    let programs = clusters.flat_map(|(name, cluster)| {
        let plugins = named(cluster).into_iter().filter(|it| it.what == PLUGIN);
        plugins.map(move |it| (it.path, format!("cluster {name}")))
    });
    let checks = files(config).flat_map(|(file, whose)| {
        let check = file.check.iter().map(|check| &check.argv);
        let command = file.on_change.iter().filter_map(|it| match &it.action {
            Action::Command(argv) => Some(argv),
            Action::ReloadUnit(_) | Action::RestartUnit(_) | Action::Signal(..) => None,
        });
        check
            .chain(command)
            .map(move |argv| (argv.program.clone(), whose.clone()))
    });
    programs.chain(checks).collect()
}

/// Every unit that something is done to, and for whom.
pub(super) fn units(config: &Config) -> Vec<(String, Verb, String)> {
    let actions = files(config).filter_map(|(file, whose)| {
        let (unit, verb) = match &file.on_change.as_ref()?.action {
            Action::ReloadUnit(unit) => (unit, Verb::Reload),
            Action::RestartUnit(unit) => (unit, Verb::Restart),
            Action::Signal(SignalTo::Unit(unit), _) => (unit, Verb::Signal),
            Action::Signal(SignalTo::PidFile(_), _) | Action::Command(_) => return None,
        };
        Some((unit.to_string(), verb, whose))
    });
    actions.collect()
}

fn files(config: &Config) -> impl Iterator<Item = (&FileTarget, String)> {
    config.entries.iter().flat_map(|(name, entry)| {
        entry.targets.iter().filter_map(move |target| match target {
            Target::File(file) => Some((&**file, format!("entry {name}"))),
            Target::Kubernetes(_) => None,
        })
    })
}

/// What a kubeconfig names; nothing of one that cannot be read, which is its cluster's trouble.
fn named(cluster: &Cluster) -> Vec<NamedFile> {
    match &cluster.access {
        ClusterAccess::Kubeconfig { path, context, tls } => {
            let access = kube::survey(path, context.as_deref(), *tls).access;
            access.map(|access| access.files).unwrap_or_default()
        }
        ClusterAccess::Server { .. } | ClusterAccess::InCluster(_) => Vec::new(),
    }
}

fn cluster_files(cluster: &Cluster) -> Vec<PathBuf> {
    match &cluster.access {
        ClusterAccess::Kubeconfig { path, .. } => {
            let named = named(cluster).into_iter();
            let read = named.filter(|it| it.what != PLUGIN).map(|it| it.path);
            [path.clone()].into_iter().chain(read).collect()
        }
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
