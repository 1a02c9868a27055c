//! What the selectors of a cluster find now.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Reviewed;
use crate::command::permissions::{Permission, Scope, Verb};
use crate::config::{Config, KubernetesTarget, Selection};
use crate::failure::{Failure, Reason};
use crate::kube::{Client, Collection, Event, Object, Resource};
use crate::names::Namespace;

/// How long one list of namespaces may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The targets that they make, or why that is not known. Nothing where namespaces must not be listed: that was said.
pub(super) async fn targets(
    client: &Client,
    reviewed: &Reviewed,
    config: &Config,
) -> (Vec<KubernetesTarget>, Option<Failure>) {
    let mut targets = Vec::new();
    let list = Permission {
        scope: Scope::Cluster,
        resource: Resource::Namespace,
        verb: Verb::List,
        name: None,
    };
    if !reviewed.allowed.contains(&list) {
        return (targets, None);
    }
    let selections = config.entries.values().flat_map(|entry| &entry.selections);
    for selection in selections.filter(|it| *it.cluster() == reviewed.cluster) {
        match namespaces(client, selection).await {
            Ok(found) => targets.extend(found.into_iter().map(|it| selection.target(it))),
            Err(failure) => return (targets, Some(failure)),
        }
    }
    (targets, None)
}

async fn namespaces(client: &Client, selection: &Selection) -> Result<Vec<Namespace>, Failure> {
    let collection = Collection::Namespaces {
        selector: selection.selector.clone(),
    };
    let (tell, mut events) = mpsc::channel(1);
    let listed = async {
        tokio::select! {
            biased;
            Some(event) = events.recv() => match event {
                Event::Listed(objects) => Ok(objects),
                // A watch begins with its list.
                Event::Changed(_) | Event::Gone(_) => Ok(Vec::new()),
            },
            failure = client.watch(&collection, &tell) => Err(failure),
        }
    };
    let objects = timeout(LIMIT, listed).await.unwrap_or_else(|_| {
        let fact = "the namespaces were not listed in time";
        Err(Failure::new(Reason::Timeout, fact))
    })?;
    let living = objects.into_iter().filter(|it: &Object| !it.deleting);
    Ok(living
        .filter_map(|it| Namespace::new(it.name.as_str()).ok())
        .collect())
}
