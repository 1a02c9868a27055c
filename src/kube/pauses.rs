//! Which clusters are paused, for whoever waits for them: a state, not a stream of events, so nobody can miss one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::names::ClusterName;

/// Why nothing is asked of a cluster, and until when: then one request leaves, as its probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    pub failure: Failure,
    pub until: Instant,
}

/// What every client says of its cluster.
#[derive(Clone, Debug, Default)]
pub struct Pauses(Arc<watch::Sender<BTreeMap<ClusterName, Paused>>>);

impl Pauses {
    pub fn listen(&self) -> watch::Receiver<BTreeMap<ClusterName, Paused>> {
        self.0.subscribe()
    }

    /// For the one client of a cluster that counts.
    pub(super) fn seat(&self, cluster: &ClusterName) -> Seat {
        Seat {
            pauses: self.clone(),
            cluster: cluster.clone(),
            left: AtomicBool::new(false),
        }
    }
}

#[derive(Debug)]
pub(super) struct Seat {
    pauses: Pauses,
    cluster: ClusterName,
    left: AtomicBool,
}

impl Seat {
    pub(super) fn say(&self, paused: Option<Paused>) {
        self.pauses.0.send_if_modified(|all| {
            // Another client speaks for the cluster by now.
            if self.left.load(Ordering::SeqCst) {
                return false;
            }
            match paused {
                Some(paused) => all.insert(self.cluster.clone(), paused.clone()) != Some(paused),
                None => all.remove(&self.cluster).is_some(),
            }
        });
    }

    /// What it said counts no longer, and what its last requests meet is nobody's concern.
    pub(super) fn leave(&self) {
        self.say(None);
        self.left.store(true, Ordering::SeqCst);
        // Something may have been said in between; whoever takes the seat says it again.
        self.pauses
            .0
            .send_if_modified(|all| all.remove(&self.cluster).is_some());
    }
}
