use std::time::Duration;

use super::*;
use crate::command::fixture::{aws, cluster, config, entry, secret, value};
use crate::config::{
    AwsAuth, AwsStore, CreationPolicy, Leader, LeaderTiming, SecretRef, Selection, Workload,
};
use crate::names::SecretKey;

fn with(targets: impl IntoIterator<Item = KubernetesTarget>) -> Config {
    let mut one = entry("prod", Duration::from_hours(1), [value("a")]);
    let targets = targets.into_iter().map(Into::into);
    one.targets = targets.map(Target::Kubernetes).collect();
    let mut config = config([("prod", Store::SecretsManager(aws()))], [one]);
    let name = ClusterName::new("c").unwrap();
    config.clusters.insert(name, cluster());
    config
}

/// `scope resource verb name`, each for what.
fn listed(config: &Config, watching: Watching) -> Vec<String> {
    let needs = of(config, watching).remove(&ClusterName::new("c").unwrap());
    let needs = needs.unwrap_or_default().into_iter();
    let line = |(permission, reasons): (Permission, Reasons)| {
        let scope = permission.namespace().map_or("*", |it| it.as_str());
        let name = permission.name.as_ref().map_or("*", |it| it.as_str());
        let why: Vec<String> = reasons.keys().map(|why| format!("{why:?}")).collect();
        let (resource, verb) = (permission.resource.plural(), permission.verb.as_str());
        format!("{scope} {resource} {verb} {name}: {}", why.join(" "))
    };
    needs.map(line).collect()
}

#[test]
fn what_makes_secrets_needs_create_without_a_name() {
    let merged = KubernetesTarget {
        creation_policy: CreationPolicy::Merge,
        ..secret("c/app/chart")
    };
    assert_eq!(
        listed(&with([merged.clone()]), Watching::EachNamespace),
        [
            "app secrets get chart: Look",
            "app secrets patch chart: Apply"
        ]
    );
    assert_eq!(
        listed(&with([merged, secret("c/app/db")]), Watching::EachNamespace),
        [
            "app secrets get chart: Look",
            "app secrets get db: Look",
            "app secrets create *: Make",
            "app secrets patch chart: Apply",
            "app secrets patch db: Apply",
        ]
    );
}

#[test]
fn deletes_watches_and_restarts_are_needed_where_they_are_asked_for() {
    let target = KubernetesTarget {
        creation_policy: CreationPolicy::Merge,
        deletion_policy: DeletionPolicy::Delete,
        drift: DriftPolicy::Watch,
        restart: vec![Workload {
            kind: WorkloadKind::StatefulSet,
            name: ObjectName::new("api").unwrap(),
        }],
        ..secret("c/app/db")
    };
    assert_eq!(
        listed(&with([target.clone()]), Watching::EachNamespace),
        [
            "app secrets get db: Look",
            "app secrets list *: Follow",
            "app secrets watch *: Follow",
            "app secrets patch db: Apply",
            "app secrets delete db: Remove",
            "app statefulsets patch api: Restart",
        ]
    );
    let wide = listed(&with([target]), Watching::WholeCluster);
    assert_eq!(
        wide[..2],
        ["* secrets list *: Follow", "* secrets watch *: Follow"]
    );
    assert_eq!(wide.len(), 6);
}

#[test]
fn what_prunes_by_itself_may_delete_what_it_owns_and_nothing_else() {
    let target = |policy, at| KubernetesTarget {
        creation_policy: policy,
        ..secret(at)
    };
    let mut config = with([
        target(CreationPolicy::Owner, "c/app/owned"),
        target(CreationPolicy::Orphan, "c/app/left"),
        target(CreationPolicy::Merge, "c/app/chart"),
    ]);
    let deletes = |config: &Config| {
        let mut needs = listed(config, Watching::EachNamespace);
        needs.retain(|need| need.contains(" delete "));
        needs
    };
    assert_eq!(deletes(&config), [""; 0]);
    config.daemon.prune = true;
    assert_eq!(deletes(&config), ["app secrets delete owned: Prune"]);
}

#[test]
fn who_takes_turns_needs_the_lease_in_its_cluster() {
    let mut config = with([]);
    config.daemon.leader = Some(Leader {
        cluster: ClusterName::new("c").unwrap(),
        namespace: Namespace::new("locks").unwrap(),
        name: ObjectName::new("sync").unwrap(),
        identity: None,
        timing: LeaderTiming::DEFAULT,
    });
    assert_eq!(
        listed(&config, Watching::EachNamespace),
        [
            "locks leases get sync: Lead",
            "locks leases create *: Lead",
            "locks leases update sync: Lead",
        ]
    );
}

#[test]
fn keys_of_a_store_are_read_where_they_are() {
    let at = |key: &str| {
        ValueSource::Kubernetes(SecretRef {
            cluster: ClusterName::new("c").unwrap(),
            namespace: Namespace::new("ops").unwrap(),
            name: ObjectName::new("aws").unwrap(),
            key: SecretKey::new(key).unwrap(),
        })
    };
    let spec = AwsStore {
        auth: AwsAuth {
            base: AwsBase::Static {
                access_key_id: at("id"),
                secret_access_key: at("key"),
                session_token: None,
            },
            ..AwsAuth::DEFAULT
        },
        ..aws()
    };
    let mut config = with([]);
    let store = crate::names::StoreName::new("prod").unwrap();
    config.stores.insert(store, Store::ParameterStore(spec));
    assert_eq!(
        listed(&config, Watching::EachNamespace),
        ["ops secrets get aws: Keys"]
    );
}

#[test]
fn what_a_selector_may_find_is_allowed_everywhere_but_by_name() {
    let like = KubernetesTarget {
        drift: DriftPolicy::Watch,
        restart: vec![Workload {
            kind: WorkloadKind::Deployment,
            name: ObjectName::new("api").unwrap(),
        }],
        ..secret("c/anywhere/db")
    };
    let mut config = with([secret("c/app/db")]);
    let selector = crate::selector::Selector::parse("team=a").unwrap();
    let entry = config.entries.values_mut().next().unwrap();
    entry.selections = [Selection::new(selector, like)].into();
    let everywhere = [
        "* secrets get db: Look",
        "* secrets list *: Follow",
        "* secrets watch *: Follow",
        "* secrets create *: Make",
        "* secrets patch db: Apply",
        "* namespaces list *: Select",
        "* namespaces watch *: Select",
        "* deployments patch api: Restart",
    ];
    let own = [
        "app secrets get db: Look",
        "app secrets create *: Make",
        "app secrets patch db: Apply",
    ];
    for watching in [Watching::EachNamespace, Watching::WholeCluster] {
        assert_eq!(listed(&config, watching), [&everywhere[..], &own].concat());
    }
}
