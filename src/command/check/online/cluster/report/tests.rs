use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::command::permissions::{Verb, Why};
use crate::failure::Reason;
use crate::kube::Resource;
use crate::names::{ClusterName, Namespace};

fn permission(verb: Verb, name: Option<&str>) -> Permission {
    Permission {
        scope: Scope::Namespace(Namespace::new("app").unwrap()),
        resource: Resource::Secret,
        verb,
        name: name.map(|name| ObjectName::new(name).unwrap()),
    }
}

fn reviewed() -> Reviewed {
    Reviewed {
        cluster: ClusterName::new("prod").unwrap(),
        all: 2,
        allowed: BTreeSet::from(["a", "b"].map(|name| permission(Verb::Get, Some(name)))),
        missing: BTreeMap::new(),
        absent: Vec::new(),
        given_up: None,
    }
}

#[test]
fn what_is_in_order_takes_one_line() {
    assert!(reviewed().in_order());
    assert_eq!(
        reviewed().to_string(),
        "cluster prod: reached, 2 of 2 permissions granted\n"
    );
    let unused = Reviewed {
        all: 0,
        allowed: BTreeSet::new(),
        ..reviewed()
    };
    assert_eq!(unused.to_string(), "cluster prod: nothing of it is used\n");
}

#[test]
fn what_is_missing_alike_is_said_once_with_what_for() {
    let reasons = |why, whose: &str| Reasons::from([(why, BTreeSet::from([whose.to_owned()]))]);
    let mut some = reviewed();
    some.all = 12;
    some.missing.insert(
        permission(Verb::Create, None),
        reasons(Why::Make, "entry db"),
    );
    for n in 0..7 {
        let name = format!("s{n}");
        let missing = permission(Verb::Patch, Some(&name));
        some.missing
            .insert(missing, reasons(Why::Apply, &format!("entry e{n}")));
    }
    some.absent = vec![Failure::new(
        Reason::TargetMissing,
        "namespace `x` does not exist in cluster `prod`",
    )];
    assert!(!some.in_order());
    insta::assert_snapshot!(some.to_string(), @r#"
    cluster prod: reached, 2 of 12 permissions granted
      not allowed: `create` on `secrets` in namespace `app`
        needed: to make a Secret that is not there; by entry db
      not allowed: `patch` on `secrets` in namespace `app`: `s0`, `s1`, `s2`, `s3`, `s4` and 2 more
        needed: to write the Secret (server-side apply); by entry e0, entry e1, entry e2, entry e3, entry e4 and 2 more
      target_missing: namespace `x` does not exist in cluster `prod`
        help: create what the target needs, or correct the name
      `secretsyncd rbac --cluster prod` prints all that this cluster needs
    "#);
}

#[test]
fn what_strikes_the_whole_cluster_is_said_once() {
    let dead = Reviewed {
        allowed: BTreeSet::new(),
        given_up: Some(Failure::new(
            Reason::Network,
            "cluster `prod` refuses connections",
        )),
        ..reviewed()
    };
    assert!(!dead.in_order());
    insta::assert_snapshot!(dead.to_string(), @r#"
    cluster prod: given up, 0 of 2 permissions known to be granted
      network: cluster `prod` refuses connections
        help: check that the endpoint is reachable from this machine: name resolution, routes, firewalls, proxies
    "#);
}
