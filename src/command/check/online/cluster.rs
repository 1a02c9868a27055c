//! One cluster: whether it is reached, what of all that is needed there is allowed, and whether there is a place for
//! every target.

mod report;
mod selected;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};

use crate::command::permissions::{self, Needs, Permission, Reasons, Scope, Verb};
use crate::config::{Config, KubernetesTarget};
use crate::failure::{Failure, Reason};
use crate::kube::{ApplyError, Client, Resource};
use crate::names::{ClusterName, Namespace};

/// Questions under way at once: few, for the API server has others to answer.
const AT_ONCE: usize = 8;

/// What came of it.
#[derive(Debug)]
pub(super) struct Reviewed {
    pub(super) cluster: ClusterName,
    pub(super) all: usize,
    pub(super) allowed: BTreeSet<Permission>,
    pub(super) missing: BTreeMap<Permission, Reasons>,
    /// Namespaces and Secrets that are not there and that nothing of ours makes.
    pub(super) absent: Vec<Failure>,
    /// Why the rest was not asked, where that is so.
    pub(super) given_up: Option<Failure>,
}

impl Reviewed {
    pub(super) fn in_order(&self) -> bool {
        self.missing.is_empty() && self.absent.is_empty() && self.given_up.is_none()
    }
}

/// Asks everything once. Tells `progress` how many questions have been answered, and of how many.
pub(super) async fn review(
    client: &Client,
    needs: Needs,
    config: &Config,
    progress: impl Fn((usize, usize)),
) -> Reviewed {
    let mut reviewed = Reviewed {
        cluster: client.name().clone(),
        all: needs.len(),
        allowed: BTreeSet::new(),
        missing: BTreeMap::new(),
        absent: Vec::new(),
        given_up: None,
    };
    permitted(client, &mut reviewed, needs, progress).await;
    if reviewed.given_up.is_none() {
        reviewed.absent = absent(client, &reviewed, config).await;
    }
    reviewed
}

async fn permitted(
    client: &Client,
    reviewed: &mut Reviewed,
    mut needs: Needs,
    progress: impl Fn((usize, usize)),
) {
    // A cluster that cannot be reached is found out by one question, not by many.
    let first = needs.pop_first().into_iter();
    for (group, at_once) in [(first.collect::<Needs>(), 1), (needs, AT_ONCE)] {
        if reviewed.given_up.is_some() {
            return;
        }
        let questions = group.into_iter().map(async |(permission, reasons)| {
            let answer = client.may(permission.access()).await;
            (permission, reasons, answer)
        });
        let mut answers = stream::iter(questions).buffer_unordered(at_once);
        while let Some((permission, reasons, answer)) = answers.next().await {
            match answer {
                Ok(true) => drop(reviewed.allowed.insert(permission)),
                Ok(false) => drop(reviewed.missing.insert(permission, reasons)),
                Err(failure) => {
                    reviewed.given_up = Some(failure);
                    break;
                }
            }
            progress((
                reviewed.allowed.len() + reviewed.missing.len(),
                reviewed.all,
            ));
        }
    }
}

/// Only what is allowed is asked: what is not, was said.
async fn absent(client: &Client, reviewed: &Reviewed, config: &Config) -> Vec<Failure> {
    let targets = permissions::targets(config).map(|(_, target)| target);
    let targets = targets.filter(|target| target.cluster == reviewed.cluster);
    let (found, not_listed) = selected::targets(client, reviewed, config).await;
    let may = |target: &KubernetesTarget, scope, verb, named: bool| {
        let permission = Permission {
            scope,
            resource: Resource::Secret,
            verb,
            name: named.then(|| target.name.clone()),
        };
        reviewed.allowed.contains(&permission)
    };
    let mut made: BTreeMap<&Namespace, &KubernetesTarget> = BTreeMap::new();
    let mut merged = BTreeMap::new();
    for target in targets {
        let scope = || Scope::Namespace(target.namespace.clone());
        if !target.creation_policy.may_create() {
            if may(target, scope(), Verb::Get, true) {
                merged.insert((&target.namespace, &target.name), target);
            }
        } else if may(target, scope(), Verb::Create, false)
            && may(target, scope(), Verb::Patch, true)
        {
            made.entry(&target.namespace).or_insert(target);
        }
    }
    // A namespace that is found is there.
    for target in found.iter().filter(|it| !it.creation_policy.may_create()) {
        if may(target, Scope::Cluster, Verb::Get, true) {
            merged.insert((&target.namespace, &target.name), target);
        }
    }
    let places = made.into_values().map(|it| (it, true));
    let all = places.chain(merged.into_values().map(|it| (it, false)));
    let looks = all.map(async |(target, makes)| {
        if makes {
            no_place(client, target).await
        } else {
            no_secret(client, target).await
        }
    });
    let mut absent: Vec<Failure> = stream::iter(looks)
        .buffer_unordered(AT_ONCE)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    absent.sort_by(|a, b| a.fact.cmp(&b.fact));
    absent.extend(not_listed);
    absent
}

/// Whether the namespace is there is told by an apply of nothing, which needs no permission beyond those of the target.
async fn no_place(client: &Client, target: &KubernetesTarget) -> Option<Failure> {
    let rehearsed = client.rehearse_empty(&target.namespace, &target.name).await;
    match rehearsed {
        Err(ApplyError::Failed(failure)) if failure.reason == Reason::TargetMissing => {
            Some(failure)
        }
        // An admission policy may refuse a Secret without anything; it says nothing of those with something.
        Ok(_) | Err(ApplyError::Raced | ApplyError::Fields(..) | ApplyError::Failed(_)) => None,
    }
}

async fn no_secret(client: &Client, target: &KubernetesTarget) -> Option<Failure> {
    let KubernetesTarget {
        namespace, name, ..
    } = target;
    match client.get_metadata(namespace, name).await {
        Ok(Some(_)) => None,
        Ok(None) => {
            let fact = format!(
                "Secret `{namespace}/{name}` does not exist, and `creation_policy = \"merge\"` never makes one"
            );
            Some(Failure::new(Reason::TargetMissing, fact).with_help(
                "create it, correct its name or namespace, or set `creation_policy = \"create_or_merge\"`",
            ))
        }
        Err(failure) => Some(failure),
    }
}
