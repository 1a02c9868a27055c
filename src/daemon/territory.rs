//! What namespaces the clusters have, and which targets follow from that.
//!
//! What could not be listed is never taken for not being there: before its first list a cluster says nothing, and one
//! whose namespaces cannot be followed any more keeps those that were known last.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::config::{self, Config, Selection};
use crate::failure::Failure;
use crate::names::{ClusterName, Namespace};
use crate::selector::Selector;
use crate::sync::{Selected, Standing};

/// A namespace, as far as it decides what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub labels: BTreeMap<String, String>,
    /// Nothing can be made in it any more, and what is in it goes with it.
    pub deleting: bool,
}

pub(super) type Namespaces = BTreeMap<Namespace, Seen>;

/// What is known of the namespaces of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Absent: they were never listed.
    pub namespaces: Option<Arc<Namespaces>>,
    /// Why they cannot be followed now.
    pub trouble: Option<Failure>,
}

/// What is known of each cluster that something is selected in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Territory(BTreeMap<ClusterName, Known>);

impl Territory {
    /// False where that is no news.
    pub(super) fn learn(&mut self, cluster: ClusterName, known: Known) -> bool {
        let news = self.0.get(&cluster) != Some(&known);
        self.0.insert(cluster, known);
        news
    }

    /// What still counts of some clusters.
    pub(super) fn retain(&mut self, mut still: impl FnMut(&ClusterName) -> bool) {
        self.0.retain(|cluster, _| still(cluster));
    }

    fn namespaces(&self, cluster: &ClusterName) -> Option<&Namespaces> {
        self.0.get(cluster)?.namespaces.as_deref()
    }

    /// Whether there is no such namespace; false where nobody knows.
    pub(super) fn lacks(&self, cluster: &ClusterName, namespace: &Namespace) -> bool {
        let known = self.namespaces(cluster);
        known.is_some_and(|known| !known.contains_key(namespace))
    }

    pub(super) fn is_listed(&self, cluster: &ClusterName) -> bool {
        self.namespaces(cluster).is_some()
    }

    /// The namespaces that match, those that are being deleted among them.
    pub(super) fn matching(
        &self,
        selection: &Selection,
    ) -> impl Iterator<Item = (&Namespace, &Seen)> {
        let known = self.namespaces(selection.cluster()).into_iter().flatten();
        let selector: Selector = selection.selector.clone();
        known.filter(move |(_, seen)| selector.matches(&seen.labels))
    }

    /// What an entry's selections find and it does not list, each once; and how each selection stands.
    pub(super) fn select(
        &self,
        entry: &config::Entry,
    ) -> (Vec<config::KubernetesTarget>, Vec<Selected>) {
        let listed = entry.targets.iter().filter_map(|target| match target {
            config::Target::Kubernetes(spec) => Some((
                spec.cluster.clone(),
                spec.namespace.clone(),
                spec.name.clone(),
            )),
            config::Target::File(_) => None,
        });
        let mut taken: HashSet<_> = listed.collect();
        let (mut targets, mut selected) = (Vec::new(), Vec::new());
        for selection in &entry.selections {
            let like = selection.like();
            let mut found = 0;
            let living = self.matching(selection).filter(|(_, seen)| !seen.deleting);
            for (namespace, _) in living {
                found += 1;
                let id = (like.cluster.clone(), namespace.clone(), like.name.clone());
                if taken.insert(id) {
                    targets.push(selection.target(namespace.clone()));
                }
            }
            selected.push(Selected {
                cluster: like.cluster.clone(),
                selector: selection.selector.clone(),
                name: like.name.clone(),
                standing: self.standing(&like.cluster, found),
            });
        }
        (targets, selected)
    }

    fn standing(&self, cluster: &ClusterName, found: usize) -> Standing {
        match self.0.get(cluster) {
            Some(Known {
                namespaces,
                trouble: Some(failure),
            }) => Standing::Failing {
                failure: failure.clone(),
                known: namespaces.is_some(),
            },
            Some(Known {
                namespaces: Some(_),
                trouble: None,
            }) => Standing::Found(found),
            Some(Known {
                namespaces: None,
                trouble: None,
            })
            | None => Standing::Unknown,
        }
    }
}

/// The clusters in which these entries select.
pub(super) fn selected_in<'a>(
    entries: impl IntoIterator<Item = &'a config::Entry>,
) -> HashSet<&'a ClusterName> {
    let selections = entries.into_iter().flat_map(|entry| &entry.selections);
    selections.map(Selection::cluster).collect()
}

/// The same of a whole configuration.
pub(super) fn selected_by(config: &Config) -> HashSet<&ClusterName> {
    selected_in(config.entries.values())
}

#[cfg(test)]
pub(super) mod tests;
