//! What of the old controllers is in a cluster: their objects, and how much of them runs.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::Seat;
use crate::decide::kubernetes::adoption::Keeper;
use crate::failure::{Failure, Reason};
use crate::kube::{Client, ExternalSecret, ExternalSecretApi, Scale};
use crate::names::{ClusterName, Namespace};
use crate::sync::deliver::in_time;

const KEEPERS: [Keeper; 2] = [Keeper::Kes, Keeper::Eso];

type Kind = (ClusterName, Keeper);

/// How much of a controller runs, or why that cannot be seen: then it may run.
pub(super) type Seen = Result<Scale, Failure>;

#[derive(Debug, Default)]
pub(super) struct Surroundings {
    objects: BTreeMap<(ClusterName, Namespace, Keeper), Result<Vec<ExternalSecret>, Failure>>,
    scales: BTreeMap<Kind, Seen>,
}

impl Surroundings {
    pub(super) async fn of(seats: impl Iterator<Item = &Seat>) -> Self {
        let mut places = BTreeMap::new();
        let mut clusters = BTreeMap::new();
        for seat in seats {
            let (cluster, client) = (seat.id.cluster.clone(), seat.target.client());
            places.insert((cluster.clone(), seat.id.namespace.clone()), client);
            clusters.insert(cluster, client);
        }
        let kinds = clusters.into_iter().flat_map(|(cluster, client)| {
            KEEPERS.map(|keeper| {
                let kind = (cluster.clone(), keeper);
                async move {
                    let served = in_time(client.served(keeper.versions())).await;
                    let scale = in_time(client.scale_of(keeper.app())).await;
                    (kind, (served, scale))
                }
            })
        });
        let kinds: BTreeMap<Kind, _> = join_all(kinds).await.into_iter().collect();
        let lists = places.iter().flat_map(|((cluster, namespace), client)| {
            let kinds = &kinds;
            KEEPERS.map(|keeper| async move {
                let served = kinds.get(&(cluster.clone(), keeper)).map(|(it, _)| it);
                let found = match served {
                    Some(Ok(Some(api))) => list(client, namespace, *api).await,
                    Some(Ok(None)) | None => Ok(Vec::new()),
                    Some(Err(failure)) => Err(failure.clone()),
                };
                ((cluster.clone(), namespace.clone(), keeper), found)
            })
        });
        let objects = join_all(lists).await.into_iter().collect();
        let scales = kinds.into_iter().map(|(kind, (_, scale))| (kind, scale));
        Self {
            objects,
            scales: scales.collect(),
        }
    }

    /// The objects that make this Secret, or would, of whichever controller: one that waits for the other to go takes the
    /// Secret as soon as it has no owner.
    pub(super) fn makers(&self, seat: &Seat) -> Result<Vec<ExternalSecret>, Failure> {
        let mut makers = Vec::new();
        for keeper in KEEPERS {
            let (cluster, namespace) = (&seat.id.cluster, &seat.id.namespace);
            let key = (cluster.clone(), namespace.clone(), keeper);
            match self.objects.get(&key) {
                Some(Ok(objects)) => {
                    let its = objects.iter().filter(|it| it.target == seat.id.name);
                    makers.extend(its.cloned());
                }
                Some(Err(failure)) => return Err(hidden(failure, seat, keeper)),
                None => {}
            }
        }
        Ok(makers)
    }

    pub(super) fn scales(&self, seat: &Seat) -> BTreeMap<Keeper, Seen> {
        let scales = KEEPERS.into_iter().filter_map(|keeper| {
            let scale = self.scales.get(&(seat.id.cluster.clone(), keeper))?;
            Some((keeper, scale.clone()))
        });
        scales.collect()
    }
}

async fn list(
    client: &Client,
    namespace: &Namespace,
    api: ExternalSecretApi,
) -> Result<Vec<ExternalSecret>, Failure> {
    in_time(client.external_secrets(namespace, api)).await
}

/// What cannot be seen may be at work.
fn hidden(failure: &Failure, seat: &Seat, keeper: Keeper) -> Failure {
    let fact = format!(
        "whether {keeper} writes the Secret cannot be seen: {}",
        failure.fact
    );
    let failure = Failure::new(failure.reason, fact);
    if failure.reason != Reason::TargetDenied {
        return failure;
    }
    failure.with_help(format!(
        "adopt with credentials that may `list` {} in namespace `{}`, in a copy of the configuration whose cluster names \
         another kubeconfig",
        keeper.resource(),
        seat.id.namespace
    ))
}
