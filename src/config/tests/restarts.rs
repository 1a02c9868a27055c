//! `restart`: which workloads a Secret's change restarts.

use super::{config, with, wrong};
use crate::config::Target;

fn restarts(place: &str, line: &str) -> Vec<String> {
    let config = config(&with(place, line));
    let targets = config.entries.values().flat_map(|entry| &entry.targets);
    let secrets = targets.filter_map(|target| match target {
        Target::Kubernetes(target) => Some(&target.restart),
        Target::File(_) => None,
    });
    secrets.flatten().map(ToString::to_string).collect()
}

#[test]
fn workloads_are_named_as_kubectl_names_them_each_once() {
    let line = "restart = [\"deployment/api\", \"StatefulSet/db\", \"ds/a.b\", \"deploy/api\"]";
    let expected = ["deployment/api", "statefulset/db", "daemonset/a.b"];
    assert_eq!(restarts("kubernetes", line), expected);
    assert_eq!(restarts("defaults.kubernetes", line), expected);
    assert!(restarts("kubernetes", "restart = []").is_empty());
}

#[test]
fn what_is_no_workload_is_refused_where_it_stands() {
    let shape = "a workload is written `deployment/NAME`, `statefulset/NAME` or `daemonset/NAME`";
    for text in ["api", "pod/api", "job/api"] {
        let line = format!("restart = [\"{text}\"]");
        assert_eq!(wrong("kubernetes", &line), [shape], "{text}");
    }
    let named = wrong("kubernetes", "restart = [\"deployment/A\"]");
    assert!(
        named[0].starts_with("the workload's name must be"),
        "{named:?}"
    );
    let many: Vec<String> = (0..65).map(|n| format!("\"deployment/d{n}\"")).collect();
    let many = format!("restart = [{}]", many.join(", "));
    let expected = "`restart` names more than 64 workloads";
    assert_eq!(wrong("kubernetes", &many), [expected]);
}
