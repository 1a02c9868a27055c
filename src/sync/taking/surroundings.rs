//! What of the old controllers is in a cluster: their objects, and how many of their pods.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::Seat;
use crate::decide::kubernetes::adoption::Keeper;
use crate::failure::{Failure, Reason};
use crate::kube::{Client, ExternalSecret};
use crate::names::{ClusterName, Namespace};
use crate::sync::deliver::in_time;

const KEEPERS: [Keeper; 2] = [Keeper::Kes, Keeper::Eso];

#[derive(Debug, Default)]
pub(super) struct Surroundings {
    objects: BTreeMap<(ClusterName, Namespace, Keeper), Result<Vec<ExternalSecret>, Failure>>,
    /// Where we may see them.
    pods: BTreeMap<(ClusterName, Keeper), usize>,
}

impl Surroundings {
    pub(super) async fn of(seats: impl Iterator<Item = &Seat>) -> Self {
        let mut places = BTreeMap::new();
        let mut clusters = BTreeMap::new();
        for seat in seats {
            let (cluster, namespace) = (&seat.id.cluster, &seat.id.namespace);
            places
                .entry((cluster.clone(), namespace.clone()))
                .or_insert(seat.target.client());
            clusters
                .entry(cluster.clone())
                .or_insert(seat.target.client());
        }
        let places: Vec<_> = places.into_iter().collect();
        let lists = places.iter().flat_map(|((cluster, namespace), client)| {
            KEEPERS.map(|keeper| {
                let key = (cluster.clone(), namespace.clone(), keeper);
                async move {
                    let found = in_time(client.external_secrets(namespace, keeper.versions()));
                    (key, found.await)
                }
            })
        });
        let counts = clusters.into_iter().flat_map(|(cluster, client)| {
            KEEPERS.map(|keeper| {
                let key = (cluster.clone(), keeper);
                async move { Some((key, pods(client, keeper).await?)) }
            })
        });
        let (objects, pods) = tokio::join!(join_all(lists), join_all(counts));
        Self {
            objects: objects.into_iter().collect(),
            pods: pods.into_iter().flatten().collect(),
        }
    }

    /// The objects that make this Secret, or would.
    pub(super) fn makers(&self, seat: &Seat, from: Keeper) -> Result<Vec<ExternalSecret>, Failure> {
        let mut makers = Vec::new();
        for keeper in KEEPERS {
            let (cluster, namespace) = (&seat.id.cluster, &seat.id.namespace);
            let key = (cluster.clone(), namespace.clone(), keeper);
            match self.objects.get(&key) {
                Some(Ok(objects)) => {
                    let its = objects.iter().filter(|it| it.target == seat.id.name);
                    makers.extend(its.cloned());
                }
                // Who may see one kind only is not asked for the other: the mark on the Secret tells, too.
                Some(Err(failure)) if keeper == from => return Err(hidden(failure, seat, keeper)),
                Some(Err(_)) | None => {}
            }
        }
        Ok(makers)
    }

    pub(super) fn pods(&self, seat: &Seat) -> BTreeMap<Keeper, usize> {
        let cluster = &seat.id.cluster;
        let pods = KEEPERS.into_iter().filter_map(|keeper| {
            let count = self.pods.get(&(cluster.clone(), keeper))?;
            Some((keeper, *count))
        });
        pods.collect()
    }
}

/// `None` where we may not see them, which is no trouble.
async fn pods(client: &Client, keeper: Keeper) -> Option<usize> {
    in_time(client.count_pods(&[keeper.app()])).await.ok()
}

/// What cannot be seen may be at work.
fn hidden(failure: &Failure, seat: &Seat, keeper: Keeper) -> Failure {
    if failure.reason != Reason::TargetDenied {
        return failure.clone();
    }
    let fact = format!(
        "whether {keeper} still writes the Secret cannot be seen: {}",
        failure.fact
    );
    Failure::new(Reason::TargetDenied, fact).with_help(format!(
        "adopt with credentials that may `list` {} in namespace `{}`, in a copy of the configuration whose cluster names \
         another kubeconfig",
        keeper.resource(),
        seat.id.namespace
    ))
}
