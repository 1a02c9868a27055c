use std::time::Duration;

use super::*;
use crate::assemble::json_format::JsonFormat;
use crate::config::{CreationPolicy, DeletionPolicy, DriftPolicy, KubernetesTarget, Target};
use crate::failure::Reason;
use crate::names::{ObjectName, StoreName};

pub(in crate::daemon) fn target(cluster: &str, namespace: &str) -> KubernetesTarget {
    KubernetesTarget {
        cluster: ClusterName::new(cluster).unwrap(),
        namespace: Namespace::new(namespace).unwrap(),
        name: ObjectName::new("db").unwrap(),
        secret_type: "Opaque".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        creation_policy: CreationPolicy::Owner,
        deletion_policy: DeletionPolicy::Retain,
        immutable: false,
        adopt: false,
        drift: DriftPolicy::Refresh,
        restart: Vec::new(),
    }
}

pub(in crate::daemon) fn selecting(selectors: &[&str]) -> config::Entry {
    let selection =
        |text: &&str| Selection::new(Selector::parse(text).unwrap(), target("main", "x"));
    config::Entry {
        store: StoreName::new("s").unwrap(),
        refresh_interval: Duration::from_mins(1),
        refresh_policy: config::RefreshPolicy::Periodic,
        suspended: false,
        max_stale: Duration::from_mins(1),
        data_from: Vec::new(),
        data: Vec::new(),
        json_format: JsonFormat::Raw,
        templates: None,
        template_files: Box::default(),
        targets: Vec::new(),
        selections: selectors.iter().map(selection).collect(),
    }
}

pub(in crate::daemon) fn namespaces(all: &[(&str, &str)]) -> Known {
    let seen = |(name, team): &(&str, &str)| {
        let labels = [("team".to_owned(), (*team).to_owned())].into();
        let deleting = *team == "deleting";
        (Namespace::new(*name).unwrap(), Seen { labels, deleting })
    };
    Known {
        namespaces: Some(Arc::new(all.iter().map(seen).collect())),
        trouble: None,
    }
}

fn main() -> ClusterName {
    ClusterName::new("main").unwrap()
}

fn places(territory: &Territory, entry: &config::Entry) -> (Vec<String>, Vec<Standing>) {
    let (targets, selected) = territory.select(entry);
    let targets = targets.iter().map(|it| it.namespace.to_string()).collect();
    (
        targets,
        selected.into_iter().map(|it| it.standing).collect(),
    )
}

#[test]
fn what_matches_is_found_once_and_what_is_being_deleted_is_not() {
    let mut territory = Territory::default();
    assert!(territory.learn(
        main(),
        namespaces(&[("a", "x"), ("b", "y"), ("c", "z"), ("d", "deleting")])
    ));
    let mut entry = selecting(&["team in (x,y)", "team in (y,z,deleting)", "team=w"]);
    entry
        .targets
        .push(Target::Kubernetes(target("main", "a").into()));
    let (found, standing) = places(&territory, &entry);
    assert_eq!(found, ["b", "c"]);
    let expected = [2, 2, 0].map(Standing::Found);
    assert_eq!(standing, expected);
}

#[test]
fn before_the_first_list_nothing_is_known_and_after_a_failure_the_last_list_counts() {
    let mut territory = Territory::default();
    let entry = selecting(&["team=x"]);
    assert_eq!(
        places(&territory, &entry),
        (vec![], vec![Standing::Unknown])
    );
    let a = Namespace::new("a").unwrap();
    assert!(!territory.lacks(&main(), &a));
    let failure = Failure::new(Reason::Network, "x");
    let failing = |known: Option<Known>| Known {
        namespaces: known.and_then(|known| known.namespaces),
        trouble: Some(failure.clone()),
    };
    territory.learn(main(), failing(None));
    let unknown = Standing::Failing {
        failure: failure.clone(),
        known: false,
    };
    assert_eq!(places(&territory, &entry), (vec![], vec![unknown]));
    assert!(!territory.lacks(&main(), &a) && !territory.is_listed(&main()));
    let listed = namespaces(&[("b", "x")]);
    territory.learn(main(), listed.clone());
    assert!(territory.lacks(&main(), &a));
    territory.learn(main(), failing(Some(listed)));
    let known = Standing::Failing {
        failure,
        known: true,
    };
    assert_eq!(
        places(&territory, &entry),
        (vec!["b".to_owned()], vec![known])
    );
}
