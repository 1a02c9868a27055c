//! Tells the ledger what is configured, so that what is not can be listed and removed.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::territory::Territory;
use crate::config::{self, Config, Selection};
use crate::failure::Failure;
use crate::names::{EntryName, Uid};
use crate::state::{self, KnownSecret, SecretId, SecretPart, State};

/// Tells the ledger what is configured. Blocks on the disk.
pub(super) fn tell_configured(
    state: &State,
    config: &Config,
    territory: &Territory,
) -> Result<(), Failure> {
    Configured::of(config, territory, state).tell(state)
}

/// Everything that the configuration writes.
#[derive(Debug, Default)]
pub(super) struct Configured {
    entries: HashSet<EntryName>,
    files: HashSet<PathBuf>,
    secrets: HashSet<SecretPart>,
    /// What went with its namespace.
    gone: Vec<(SecretPart, Uid)>,
}

impl Configured {
    pub(super) fn of(config: &Config, territory: &Territory, state: &State) -> Self {
        let mut all = Self {
            entries: config.entries.keys().cloned().collect(),
            files: files_of(config),
            ..Self::default()
        };
        for (entry, spec) in &config.entries {
            for target in &spec.targets {
                match target {
                    config::Target::File(_) => {}
                    config::Target::Kubernetes(spec) => all.write(entry, spec),
                }
            }
        }
        let selecting = config.entries.iter();
        let selecting: Vec<_> = selecting
            .filter(|(_, spec)| !spec.selections.is_empty())
            .collect();
        if selecting.is_empty() {
            return all;
        }
        let delivered = by_entry(state.secrets());
        for (entry, spec) in selecting {
            let delivered = delivered.get(entry).map_or(&[][..], Vec::as_slice);
            for selection in &spec.selections {
                all.select(entry, (selection, territory), delivered);
            }
        }
        // A list may name what a selector would have found.
        let secrets = &all.secrets;
        all.gone.retain(|(part, _)| !secrets.contains(part));
        all
    }

    fn write(&mut self, entry: &EntryName, spec: &config::KubernetesTarget) {
        self.secrets.insert(SecretPart {
            id: SecretId {
                cluster: spec.cluster.clone(),
                namespace: spec.namespace.clone(),
                name: spec.name.clone(),
            },
            entry: entry.clone(),
        });
    }

    /// What a selection finds. Before the first list, what was delivered to it and not left since may be found again.
    fn select(
        &mut self,
        entry: &EntryName,
        (selection, territory): (&Selection, &Territory),
        delivered: &[KnownSecret],
    ) {
        for (namespace, _) in territory.matching(selection) {
            self.write(entry, &selection.target(namespace.clone()));
        }
        let like = selection.like();
        let own = delivered.iter().filter(|known| {
            let id = &known.part.id;
            id.cluster == like.cluster && id.name == like.name
        });
        for known in own {
            let part = &known.part;
            if !territory.is_listed(&like.cluster) {
                if !known.is_left {
                    self.secrets.insert(part.clone());
                }
            } else if territory.lacks(&like.cluster, &part.id.namespace) {
                self.gone.push((part.clone(), known.uid.clone()));
            }
        }
    }

    /// As far as it is in memory only, which a copy of the state takes in, too.
    pub(super) fn remember(self, state: &State) {
        state.set_configured(state::Configured {
            entries: self.entries,
            files: self.files,
            secrets: Arc::new(self.secrets.into_iter().collect()),
        });
    }

    /// Blocks on the disk.
    pub(super) fn tell(self, state: &State) -> Result<(), Failure> {
        let secrets = Arc::new(self.secrets.into_iter().collect());
        state.set_configured(state::Configured {
            entries: self.entries,
            files: self.files.clone(),
            secrets: Arc::clone(&secrets),
        });
        for (part, uid) in self.gone {
            state.forget_secret(part, uid)?;
        }
        state.keep_only_files(self.files)?;
        state.keep_only_secrets(secrets)
    }
}

/// The files and directories that it writes.
pub(super) fn files_of(config: &Config) -> HashSet<PathBuf> {
    let targets = config.entries.values().flat_map(|spec| &spec.targets);
    let files = targets.filter_map(|target| match target {
        config::Target::File(spec) => Some(spec.path.clone()),
        config::Target::Kubernetes(_) => None,
    });
    files.collect()
}

fn by_entry(delivered: Vec<KnownSecret>) -> HashMap<EntryName, Vec<KnownSecret>> {
    let mut by_entry: HashMap<EntryName, Vec<KnownSecret>> = HashMap::new();
    for known in delivered {
        let entry = known.part.entry.clone();
        by_entry.entry(entry).or_default().push(known);
    }
    by_entry
}
