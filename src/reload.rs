//! Another configuration for a daemon that goes on: may it take the place of the one before, and what of it has to wait?
//!
//! Pure. A configuration with an error, or one from which an include's files have vanished, changes nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::{Config, Included, Store};
use crate::names::StoreName;

/// Why a configuration without an error is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Vanished {
    #[error(
        "`include` of `{pattern}` matched {before} file{} and now matches none", if *before == 1 { "" } else { "s" }
    )]
    Files { pattern: String, before: usize },
    /// As when a file was emptied to be written anew.
    #[error("there were {before} entries, and now there is none")]
    Entries { before: usize },
}

impl Vanished {
    pub fn help(&self) -> &'static str {
        match self {
            Self::Files { .. } => {
                "put the files back; if they are meant to be gone, take the pattern out of `include`, or restart"
            }
            Self::Entries { .. } => {
                "write the configuration to another file first and rename that; if no entry is meant to be left, restart"
            }
        }
    }
}

/// What changed beside the entries, stores and clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Keys of `[daemon]` that count from the next start.
    pub at_next_start: Vec<&'static str>,
}

/// Whether `next` may take the place of `now`.
pub fn judge(now: &Config, next: &Config) -> Result<Accepted, Vanished> {
    for Included { pattern, files, .. } in &now.included {
        let after = next.included.iter().find(|it| it.pattern == *pattern);
        if *files > 0 && after.is_some_and(|after| after.files == 0) {
            return Err(Vanished::Files {
                pattern: pattern.clone(),
                before: *files,
            });
        }
    }
    if !now.entries.is_empty() && next.entries.is_empty() {
        let before = now.entries.len();
        return Err(Vanished::Entries { before });
    }
    let (a, b) = (&now.daemon, &next.daemon);
    let differs = [
        ("instance", a.instance != b.instance),
        ("state_dir", a.state_dir != b.state_dir),
        ("control_socket", a.control_socket != b.control_socket),
        ("control_group", a.control_group != b.control_group),
        (
            "per_secret_metrics",
            a.per_secret_metrics != b.per_secret_metrics,
        ),
        ("leader", a.leader != b.leader),
    ];
    let at_next_start = differs.iter().filter(|(_, differs)| *differs);
    Ok(Accepted {
        at_next_start: at_next_start.map(|(key, _)| *key).collect(),
    })
}

/// What a change of a file is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The configuration, or a template in it.
    pub configuration: bool,
    /// File stores whose content changed.
    pub stores: BTreeSet<StoreName>,
    /// A key, token, certificate or kubeconfig.
    pub access: bool,
}

/// Every path that matters to a configuration: single files, and directories with whatever is in them.
pub fn watched(config: &Config) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let mut files: BTreeSet<PathBuf> = config.files.iter().cloned().collect();
    files.extend(config.inputs.iter().cloned());
    let mut directories: BTreeSet<PathBuf> = config
        .included
        .iter()
        .map(|included| included.directory.clone())
        .collect();
    for path in file_stores(config).map(|(_, path)| path) {
        if path.is_dir() {
            files.remove(path);
            directories.insert(path.clone());
        } else {
            files.insert(path.clone());
        }
    }
    (files, directories)
}

/// What a change of these paths is about.
pub fn about<'a>(config: &Config, changed: impl IntoIterator<Item = &'a PathBuf>) -> About {
    let templates: BTreeSet<&PathBuf> = config
        .entries
        .values()
        .flat_map(|entry| &entry.template_files)
        .collect();
    let mut about = About::default();
    for path in changed {
        let stores: Vec<_> = file_stores(config)
            .filter(|(_, store)| *store == path)
            .map(|(name, _)| name.clone())
            .collect();
        let is_configuration = config.files.contains(path)
            || templates.contains(path)
            || config.included.iter().any(|it| it.directory == *path);
        about.configuration |= is_configuration;
        about.access |= !is_configuration && stores.is_empty();
        about.stores.extend(stores);
    }
    about
}

fn file_stores(config: &Config) -> impl Iterator<Item = (&StoreName, &PathBuf)> {
    config
        .stores
        .iter()
        .filter_map(|(name, store)| match store {
            Store::File(store) => Some((name, &store.path)),
            Store::SecretsManager(_) | Store::ParameterStore(_) => None,
        })
}
