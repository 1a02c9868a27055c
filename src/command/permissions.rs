//! What the identity of each cluster has to be allowed, and what for: from the configuration alone.
//!
//! `rbac` writes it down and `check --online` asks for it. One function for each concern.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{
    AwsBase, Config, CreationPolicy, DeletionPolicy, DriftPolicy, KubernetesTarget, Store, Target,
    ValueSource, WorkloadKind,
};
use crate::kube::{Access, Resource};
use crate::names::{ClusterName, EntryName, Namespace, ObjectName};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// Where something is allowed: a `Role` or a `ClusterRole`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    Cluster,
    Namespace(Namespace),
}

/// One thing to be allowed. Without a name: all of the scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Permission {
    pub(super) scope: Scope,
    pub(super) resource: Resource,
    pub(super) verb: Verb,
    pub(super) name: Option<ObjectName>,
}

/// What something is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    Look,
    Apply,
    Make,
    Remove,
    Prune,
    Follow,
    Select,
    Restart,
    Keys,
    Lead,
}

impl Why {
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Look => "to see what the Secret is before it is written, and at each refresh",
            Self::Apply => "to write the Secret (server-side apply)",
            Self::Make => "to make a Secret that is not there",
            Self::Remove => "`deletion_policy = \"delete\"`",
            Self::Prune => "`daemon.prune`: to remove the Secret when no entry writes it any more",
            Self::Follow => "`drift = \"watch\"`: to notice at once what others write",
            Self::Select => "`namespace_selector`: to know which namespaces match",
            Self::Restart => "`restart`: to set the annotation of the pod template",
            Self::Keys => "`auth` of a store takes its keys from the Secret",
            Self::Lead => "`daemon.leader`: to take the Lease, renew it and give it back",
        }
    }
}

/// Who needs it, by what for: entries, or stores for their keys.
pub(super) type Reasons = BTreeMap<Why, BTreeSet<String>>;

pub(super) type Needs = BTreeMap<Permission, Reasons>;

/// How far one watch sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watching {
    EachNamespace,
    WholeCluster,
}

/// Of every cluster, whether anything of it is used or not.
pub(super) fn of(config: &Config, watching: Watching) -> BTreeMap<ClusterName, Needs> {
    let names = config.clusters.keys().cloned();
    let mut all: BTreeMap<_, _> = names.map(|name| (name, Needs::new())).collect();
    for (entry, target) in targets(config) {
        let scope = Scope::Namespace(target.namespace.clone());
        let needs = all.entry(target.cluster.clone()).or_default();
        of_target((needs, entry, scope), target, (config, watching));
    }
    for (entry, spec) in &config.entries {
        for selection in &spec.selections {
            let needs = all.entry(selection.cluster().clone()).or_default();
            namespaces(needs, entry);
            // Any namespace may come to match, so it is allowed in all of them.
            let place = (needs, entry, Scope::Cluster);
            of_target(place, selection.like(), (config, watching));
        }
    }
    store_keys(&mut all, config);
    lease(&mut all, config);
    all
}

pub(super) fn targets(config: &Config) -> impl Iterator<Item = (&EntryName, &KubernetesTarget)> {
    let entries = config.entries.iter();
    let all = entries.flat_map(|(name, entry)| entry.targets.iter().map(move |it| (name, it)));
    all.filter_map(|(name, target)| match target {
        Target::Kubernetes(target) => Some((name, &**target)),
        Target::File(_) => None,
    })
}

/// What a target needs, in its namespace or in whichever there are.
fn of_target(
    (needs, entry, scope): (&mut Needs, &EntryName, Scope),
    target: &KubernetesTarget,
    (config, watching): (&Config, Watching),
) {
    let mut need = Need {
        needs,
        scope,
        whose: format!("entry {entry}"),
    };
    content(&mut need, target);
    removal(&mut need, target, config.daemon.prune);
    drift(&mut need, target, watching);
    restarts(&mut need, target);
}

/// RBAC makes no difference between namespaces with one label and others.
fn namespaces(needs: &mut Needs, entry: &EntryName) {
    let mut need = Need {
        needs,
        scope: Scope::Cluster,
        whose: format!("entry {entry}"),
    };
    let verbs = [(Verb::List, Why::Select), (Verb::Watch, Why::Select)];
    need.all(Resource::Namespace, &verbs);
}

/// Somebody's needs in one scope.
struct Need<'a> {
    needs: &'a mut Needs,
    scope: Scope,
    whose: String,
}

impl Need<'_> {
    fn one(&mut self, resource: Resource, name: &ObjectName, verbs: &[(Verb, Why)]) {
        let scope = self.scope.clone();
        self.add((scope, resource, Some(name)), verbs);
    }

    fn all(&mut self, resource: Resource, verbs: &[(Verb, Why)]) {
        let scope = self.scope.clone();
        self.add((scope, resource, None), verbs);
    }

    fn add(
        &mut self,
        (scope, resource, name): (Scope, Resource, Option<&ObjectName>),
        verbs: &[(Verb, Why)],
    ) {
        for (verb, why) in verbs {
            let permission = Permission {
                scope: scope.clone(),
                resource,
                verb: *verb,
                name: name.cloned(),
            };
            let reasons = self.needs.entry(permission).or_default();
            let whose = reasons.entry(*why).or_default();
            whose.insert(self.whose.clone());
        }
    }
}

fn content(need: &mut Need<'_>, target: &KubernetesTarget) {
    let verbs = [(Verb::Get, Why::Look), (Verb::Patch, Why::Apply)];
    need.one(Resource::Secret, &target.name, &verbs);
    if target.creation_policy.may_create() {
        // RBAC knows no name of what is not there yet.
        need.all(Resource::Secret, &[(Verb::Create, Why::Make)]);
    }
}

fn removal(need: &mut Need<'_>, target: &KubernetesTarget, prune: bool) {
    if target.deletion_policy == DeletionPolicy::Delete {
        let verbs = [(Verb::Delete, Why::Remove)];
        need.one(Resource::Secret, &target.name, &verbs);
    }
    if prune && target.creation_policy == CreationPolicy::Owner {
        let verbs = [(Verb::Delete, Why::Prune)];
        need.one(Resource::Secret, &target.name, &verbs);
    }
}

/// A watch selects by label, of which RBAC knows nothing.
fn drift(need: &mut Need<'_>, target: &KubernetesTarget, watching: Watching) {
    let verbs = [(Verb::List, Why::Follow), (Verb::Watch, Why::Follow)];
    match (target.drift, watching) {
        (DriftPolicy::Refresh, _) => {}
        (DriftPolicy::Watch, Watching::EachNamespace) => need.all(Resource::Secret, &verbs),
        (DriftPolicy::Watch, Watching::WholeCluster) => {
            need.add((Scope::Cluster, Resource::Secret, None), &verbs);
        }
    }
}

fn restarts(need: &mut Need<'_>, target: &KubernetesTarget) {
    for workload in &target.restart {
        let resource = match workload.kind {
            WorkloadKind::Deployment => Resource::Deployment,
            WorkloadKind::StatefulSet => Resource::StatefulSet,
            WorkloadKind::DaemonSet => Resource::DaemonSet,
        };
        need.one(resource, &workload.name, &[(Verb::Patch, Why::Restart)]);
    }
}

fn store_keys(all: &mut BTreeMap<ClusterName, Needs>, config: &Config) {
    for (store, spec) in &config.stores {
        let spec = match spec {
            Store::SecretsManager(spec) | Store::ParameterStore(spec) => spec,
            Store::File(_) => continue,
        };
        let keys = match &spec.auth.base {
            AwsBase::Static {
                access_key_id,
                secret_access_key,
                session_token,
            } => [
                Some(access_key_id),
                Some(secret_access_key),
                session_token.as_ref(),
            ],
            AwsBase::Default | AwsBase::Profile(_) | AwsBase::WebIdentity { .. } => continue,
        };
        for key in keys.into_iter().flatten() {
            let at = match key {
                ValueSource::Kubernetes(at) => at,
                ValueSource::File(_) | ValueSource::Env(_) => continue,
            };
            let mut need = Need {
                needs: all.entry(at.cluster.clone()).or_default(),
                scope: Scope::Namespace(at.namespace.clone()),
                whose: format!("store {store}"),
            };
            need.one(Resource::Secret, &at.name, &[(Verb::Get, Why::Keys)]);
        }
    }
}

/// It is made where there is none, and RBAC knows no name of what is not there yet.
fn lease(all: &mut BTreeMap<ClusterName, Needs>, config: &Config) {
    let Some(leader) = &config.daemon.leader else {
        return;
    };
    let mut need = Need {
        needs: all.entry(leader.cluster.clone()).or_default(),
        scope: Scope::Namespace(leader.namespace.clone()),
        whose: "daemon.leader".to_owned(),
    };
    let verbs = [(Verb::Get, Why::Lead), (Verb::Update, Why::Lead)];
    need.one(Resource::Lease, &leader.name, &verbs);
    need.all(Resource::Lease, &[(Verb::Create, Why::Lead)]);
}

impl Permission {
    pub(super) fn namespace(&self) -> Option<&Namespace> {
        match &self.scope {
            Scope::Cluster => None,
            Scope::Namespace(namespace) => Some(namespace),
        }
    }

    pub(super) fn access(&self) -> Access<'_> {
        Access {
            verb: self.verb.as_str(),
            resource: self.resource,
            namespace: self.namespace(),
            name: self.name.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests;
