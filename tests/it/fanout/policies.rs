//! What else goes by what a selector finds: watches, removals, `plan`, `rbac` and `check --online`.

use std::time::Duration;

use super::{Scene, selected, targets, wait_targets};
use crate::support::daemon::{Finished, PATIENCE};
use crate::support::kubernetes::{Fault, Grant, Grants, Rule};
use crate::support::wait::{stays_true, wait_until};

const WATCH: &str = "drift = \"watch\"";

fn says(done: &Finished, texts: &[&str]) {
    for text in texts {
        let all = done.stdout.clone() + &done.stderr;
        assert!(all.contains(text), "{text} is not in\n{all}");
    }
}

/// The interval is an hour: nothing here is the work of a routine check.
#[test]
fn what_a_selector_finds_is_watched_from_then_on_and_what_it_loses_no_longer() {
    let scene = Scene::new();
    scene.team("one");
    scene.team("two");
    scene.configure(&selected("main", WATCH));
    let daemon = scene.home.start_ready();
    let watched = |count: usize| {
        wait_until(PATIENCE, &format!("{count} watches"), || {
            scene.cluster.watches() == count
        });
    };
    watched(2);
    daemon.wait_state("db", "fresh");
    // One that would be the first of the list, so that all others move.
    scene.team("app-2");
    scene.wait_for("app-2");
    wait_targets(
        &daemon,
        &[
            ("main/app-2/db", "fresh"),
            ("main/one/db", "fresh"),
            ("main/two/db", "fresh"),
        ],
    );
    for namespace in ["app-2", "two"] {
        scene.cluster.delete(namespace, "db");
        scene.wait_for(namespace);
    }
    let counts = |line: &str| daemon.page("/metrics").contains(line);
    wait_until(PATIENCE, "two repairs", || {
        counts("secretsyncd_drift_repairs_total{kind=\"missing\",target_kind=\"kubernetes\"} 2\n")
    });
    // The watch of the cluster goes on; one list of namespaces, and one of Secrets.
    for verb in ["list", "watch"] {
        let line = format!(
            "secretsyncd_cluster_requests_total{{cluster=\"main\",code=\"200\",verb=\"{verb}\"}} 2\n"
        );
        assert!(counts(&line), "{line}");
    }
    scene.cluster.label_namespace("one", "team", None);
    wait_targets(
        &daemon,
        &[("main/app-2/db", "fresh"), ("main/two/db", "fresh")],
    );
    scene.cluster.delete("one", "db");
    stays_true(Duration::from_secs(1), "nobody puts it back", || {
        !scene.holds("one")
    });
}

#[test]
fn the_watch_of_one_namespace_becomes_one_of_the_cluster_and_without_leave_one_of_each() {
    let scene = Scene::new();
    scene.team("one");
    scene.configure(&selected("main", WATCH));
    let printed = scene.home.finish(&["rbac", "--user", "sync"]);
    let grants = Grants::read(&printed.stdout);
    let (lists, mut rest): (Vec<Grant>, Vec<Grant>) = grants
        .0
        .into_iter()
        .partition(|it| it.resource == "secrets" && ["list", "watch"].contains(&&*it.verb));
    assert_eq!(lists.len(), 2, "{lists:?}");
    for namespace in ["one", "two", "three"] {
        rest.extend(lists.iter().map(|it| Grant {
            namespace: Some(namespace.to_owned()),
            ..it.clone()
        }));
    }
    scene.cluster.grant(&Grants(rest.into_iter().collect()));
    let daemon = scene.home.start_ready();
    scene.wait_for("one");
    for namespace in ["two", "three"] {
        scene.team(namespace);
        scene.wait_for(namespace);
    }
    wait_until(PATIENCE, "a watch of each", || scene.cluster.watches() == 4);
    wait_until(PATIENCE, "fresh", || {
        targets(&daemon).values().all(|state| state == "fresh")
    });
    for namespace in ["one", "two", "three"] {
        scene.cluster.delete(namespace, "db");
        scene.wait_for(namespace);
    }
}

#[test]
fn an_orphan_of_a_namespace_that_no_longer_matches_can_be_removed_and_comes_back_when_it_matches() {
    let scene = Scene::new();
    scene.team("one");
    scene.team("two");
    scene.configure(&selected("main", ""));
    let daemon = scene.home.start_ready();
    scene.wait_for("two");
    daemon.wait_state("db", "fresh");
    scene.cluster.label_namespace("two", "team", None);
    wait_targets(&daemon, &[("main/one/db", "fresh")]);
    let pruned = scene.home.finish(&["prune", "--apply", "main/one/db"]);
    assert_ne!(pruned.code, Some(0), "it is a target: {}", pruned.stdout);
    let pruned = scene.home.finish(&["prune", "--apply", "main/two/db"]);
    assert_eq!(pruned.code, Some(0), "{}{}", pruned.stdout, pruned.stderr);
    assert!(scene.cluster.object("two", "db").is_none());
    assert!(scene.holds("one"));
    scene
        .cluster
        .label_namespace("two", "team", Some("payments"));
    scene.wait_for("two");
    wait_targets(
        &daemon,
        &[("main/one/db", "fresh"), ("main/two/db", "fresh")],
    );
}

#[test]
fn a_plan_knows_what_a_selector_finds_and_says_where_it_cannot() {
    let scene = Scene::new();
    scene.configure(&selected("main", ""));
    let plan = || {
        let planned = scene.home.finish(&["plan"]);
        assert!(scene.cluster.log().writes().all(|it| it.dry_run));
        planned
    };
    let none = plan();
    assert_eq!(none.code, Some(0), "{none:?}");
    says(
        &none,
        &[
            "unchanged  main/{team=payments}/db  db  no namespace matches",
            "1 target: 1 unchanged\n",
        ],
    );
    scene.team("one");
    scene.team("two");
    let planned = plan();
    assert_eq!(planned.code, Some(0), "{planned:?}");
    says(
        &planned,
        &[
            "create     main/one/db  db  keys +value",
            "create     main/two/db  db  keys +value",
            "2 targets: 2 create\n",
        ],
    );
    scene.cluster.fail(Rule::cluster_wide(), Fault::Forbidden);
    scene.configure(&selected("main", "namespace = \"app\""));
    let planned = plan();
    assert_eq!(planned.code, Some(1), "{planned:?}");
    says(
        &planned,
        &[
            "create     main/app/db              db  keys +value",
            "error      main/{team=payments}/db  db",
            "help: a `namespace_selector` needs `list` and `watch` on `namespaces`",
        ],
    );
}

#[test]
fn what_rbac_prints_for_a_selector_is_enough_and_what_is_missing_is_named() {
    let scene = Scene::new();
    scene.team("one");
    scene.configure(&selected("main", WATCH));
    let printed = scene.home.finish(&["rbac", "--user", "sync"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    says(
        &printed,
        &[
            "kind: ClusterRole\n",
            "resources: [\"namespaces\"]",
            "`namespace_selector`: to know which namespaces match",
            "allowed in every namespace of the\n# cluster, `kube-system` among them",
        ],
    );
    let grants = Grants::read(&printed.stdout);
    scene.cluster.grant(&grants);
    let checked = scene.home.finish(&["check", "--online"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    says(&checked, &["7 of 7 permissions granted"]);
    let daemon = scene.home.start_ready();
    scene.wait_for("one");
    scene.team("two");
    scene.wait_for("two");
    daemon.wait_state("db", "fresh");
    wait_until(PATIENCE, "both watches", || scene.cluster.watches() == 2);
    scene.cluster.delete("two", "db");
    scene.wait_for("two");
    assert_eq!(daemon.stop(), Some(0));
    let mut fewer = grants.clone();
    fewer
        .0
        .retain(|it| it.resource != "namespaces" || it.verb != "list");
    scene.cluster.grant(&fewer);
    let checked = scene.home.finish(&["check", "--online"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    says(
        &checked,
        &[
            "6 of 7 permissions granted",
            "not allowed: `list` on `namespaces`",
            "by entry db",
        ],
    );
}

#[test]
fn a_check_looks_into_the_namespaces_that_a_selector_finds() {
    let scene = Scene::new();
    for namespace in ["one", "two"] {
        scene.team(namespace);
    }
    scene.configure(&selected("main", "creation_policy = \"merge\""));
    scene
        .cluster
        .put_data("helm", "one", "db", &[("theirs", "value")]);
    let checked = scene.home.finish(&["check", "--online"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    says(&checked, &["Secret `two/db` does not exist"]);
    assert!(!checked.stdout.contains("`one/db`"), "{checked:?}");
    scene
        .cluster
        .put_data("helm", "two", "db", &[("theirs", "value")]);
    let checked = scene.home.finish(&["check", "--online"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}
