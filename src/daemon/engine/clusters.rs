//! A cluster that is paused, as its client says: what waits for it waits for one probe, and is due at once when it is
//! back.
//!
//! The client refuses requests by itself meanwhile. Here is only what follows for entries: none is tried, and so none
//! reads its sources, for the sake of a cluster that is known to answer nobody.

use std::sync::Arc;

use tokio::time::Instant;

use super::calls::Voice;
use super::{Done, Due, Engine, Mode, Task};
use crate::clock;
use crate::daemon::entries::EntryState;
use crate::daemon::times::Now;
use crate::decide::state::Turn;
use crate::names::{ClusterName, EntryName};
use crate::report::Fact;
use crate::status::{PausedCluster, Trouble};
use crate::sync;

/// A probe that said nothing is followed by another one after this.
const PROBE_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

impl Engine {
    /// What clusters say of themselves by now.
    pub(super) fn hear_clusters(&mut self) {
        let now = self.pauses.borrow_and_update().clone();
        if now == self.paused {
            return;
        }
        let before = std::mem::replace(&mut self.paused, now.clone());
        self.paused_since
            .retain(|cluster, _| now.contains_key(cluster));
        for cluster in before.keys().filter(|it| !now.contains_key(*it)) {
            self.cluster_back(cluster);
        }
        for (cluster, pause) in &now {
            let known = before.get(cluster);
            if known == Some(pause) {
                continue;
            }
            let since = self.paused_since.entry(cluster.clone());
            since.or_insert_with(clock::now);
            let reason = pause.failure.reason;
            self.reporter.record(&Fact::ClusterPaused {
                cluster,
                reason: Some(reason),
            });
            if self.mode == Mode::Once {
                continue;
            }
            if known.is_none() {
                tracing::warn!(
                    cluster = %cluster, reason = %reason, help = pause.failure.help(), "paused: {}", pause.failure
                );
            }
            self.schedule
                .set(Due::Cluster(cluster.clone()), pause.until);
            self.retry_with(cluster, None);
        }
    }

    /// For the status.
    pub(super) fn paused_clusters(&self) -> Vec<PausedCluster> {
        let now = Now::read();
        let paused = self.paused.iter().filter_map(|(cluster, pause)| {
            Some(PausedCluster {
                cluster: cluster.to_string(),
                since: *self.paused_since.get(cluster)?,
                next_probe: now.wall_of(pause.until),
                error: Trouble::from(&pause.failure),
            })
        });
        paused.collect()
    }

    fn cluster_back(&mut self, cluster: &ClusterName) {
        self.reporter.record(&Fact::ClusterPaused {
            cluster,
            reason: None,
        });
        self.schedule.cancel(&Due::Cluster(cluster.clone()));
        if self.mode == Mode::Once {
            return;
        }
        tracing::info!(cluster = %cluster, "no longer paused");
        let now = Instant::now();
        self.back.insert(cluster.clone(), now);
        self.rollouts
            .hasten(|rollout, _| rollout.cluster == *cluster);
        for name in self.retry_with(cluster, Some(now)) {
            self.settle(&name);
        }
    }

    /// Everything that fails for want of the cluster is tried at that time; `None`: once it is back.
    fn retry_with(&mut self, cluster: &ClusterName, at: Option<Instant>) -> Vec<EntryName> {
        let struck = self
            .entries
            .iter_mut()
            .filter_map(|(name, entry)| entry.retry_with(cluster, at).then(|| name.clone()));
        let struck: Vec<EntryName> = struck.collect();
        self.unsettled.extend(struck.iter().cloned());
        struck
    }

    /// An entry has failed at a cluster: where that is paused, it waits with all others, and the log has said so.
    pub(super) fn wait_with(&mut self, name: &EntryName, cluster: &ClusterName) -> Voice {
        // What the failure itself has done is not heard yet.
        self.hear_clusters();
        let paused = self.paused.contains_key(cluster);
        let Some(entry) = self
            .entries
            .get_mut(name)
            .filter(|_| self.mode == Mode::Forever)
        else {
            return Voice::Own;
        };
        if paused {
            entry.retry_with(cluster, None);
            return Voice::Shared;
        }
        // It began while the cluster was paused, and has missed that it is back.
        let now = Instant::now();
        if self.back.get(cluster).is_some_and(|at| *at >= entry.began) {
            entry.retry_with(cluster, Some(now));
        }
        Voice::Own
    }

    /// When a cluster that the entry waits for is next asked.
    pub(super) fn probe_of(&self, entry: &EntryState) -> Option<Instant> {
        let waits = entry.entry.targets.iter().zip(&entry.targets);
        let waits = waits.filter(|(_, state)| state.fails_with_all());
        let until = waits.filter_map(|(target, _)| Some(self.paused.get(target.cluster()?)?.until));
        until.min()
    }

    /// The end of a pause: one of the targets there is looked at, without a value. Any of them will do, and which one is
    /// left to chance: one that fails by itself must not be asked for ever. Where there is none, nothing waits, and
    /// whoever asks next is the probe.
    pub(super) fn cluster_due(&mut self, cluster: &ClusterName) {
        if self.draining || !self.paused.contains_key(cluster) {
            return;
        }
        let awake = self.entries.values().filter(|it| !it.is_asleep());
        let targets = awake.flat_map(|entry| {
            let targets = entry.entry.targets.iter().enumerate();
            let there = targets.filter(|(index, target)| {
                target.cluster() == Some(cluster) && entry.turn(*index) == Turn::Ours
            });
            there.map(|(index, _)| (Arc::clone(&entry.entry), index))
        });
        let mut targets: Vec<_> = targets.collect();
        if targets.is_empty() {
            return;
        }
        let (entry, index) = targets.swap_remove(fastrand::usize(..targets.len()));
        let task = self.tasks.spawn(async move {
            // What comes of it the cluster's client says to all.
            let _ = sync::look(&entry.targets[index]).await;
            Done::Probed
        });
        self.running.insert(task.id(), Task::Probe(cluster.clone()));
    }

    /// Where the probe was none, for whatever reason, another one has to leave.
    pub(super) fn cluster_probed(&mut self, cluster: &ClusterName) {
        self.hear_clusters();
        let due = Due::Cluster(cluster.clone());
        if let Some(pause) = self.paused.get(cluster)
            && self.schedule.at(&due).is_none()
        {
            let again = pause.until.max(Instant::now() + PROBE_AGAIN);
            self.schedule.set(due, again);
        }
    }

    /// Something changed that a pause may be waiting for.
    pub(super) fn hasten_clusters(&mut self) {
        for cluster in self.paused.keys() {
            let mut targets = self.entries.values().flat_map(|entry| &entry.entry.targets);
            if let Some(target) = targets.find(|target| target.cluster() == Some(cluster)) {
                target.hasten();
            }
        }
        self.hear_clusters();
    }
}
