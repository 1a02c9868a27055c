use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::command::fixture::{cluster, config, entry, file, secret, value};
use crate::config::{CreationPolicy, DriftPolicy, KubernetesTarget, Target};
use crate::names::{Namespace, ObjectName};

fn with(targets: impl IntoIterator<Item = KubernetesTarget>) -> Config {
    let mut one = entry("local", Duration::from_hours(1), [value("a")]);
    let targets = targets.into_iter().map(Into::into);
    one.targets = targets.map(Target::Kubernetes).collect();
    let mut config = config([("local", file())], [one]);
    for name in ["prod", "test"] {
        let name = ClusterName::new(name).unwrap();
        config.clusters.insert(name, cluster());
    }
    config
}

fn printed(config: &Config, subject: &Subject, watching: Watching) -> String {
    let prod = ClusterName::new("prod").unwrap();
    text(config, (Some(&prod), subject), watching)
}

/// Every document, read back.
fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("---\n").skip(1);
    documents
        .map(|text| serde_saphyr::from_str(text).unwrap_or_else(|_| panic!("no YAML:\n{text}")))
        .collect()
}

#[test]
fn each_namespace_has_a_role_with_its_reasons_and_a_binding() {
    let merged = KubernetesTarget {
        creation_policy: CreationPolicy::Merge,
        ..secret("prod/app/chart")
    };
    let config = with([merged, secret("prod/app/db"), secret("prod/app/web")]);
    let user = Subject::User("sync@example.com".to_owned());
    insta::assert_snapshot!(printed(&config, &user, Watching::EachNamespace), @r#"
    # Cluster prod: what this configuration needs, and no more. To apply it there:
    #   secretsyncd rbac --cluster prod ... | kubectl apply -f -
    # RBAC cannot limit `create` to names: where it stands, any Secret of the namespace can be made.
    # To remove what the configuration no longer names, `delete` on those Secrets is needed too.
    ---
    apiVersion: rbac.authorization.k8s.io/v1
    kind: Role
    metadata:
      name: "secretsyncd:default"
      namespace: "app"
    rules:
    - apiGroups: [""]
      resources: ["secrets"]
      resourceNames:
      - "chart"  # entry e0
      - "db"  # entry e0
      - "web"  # entry e0
      verbs:
      - get  # to see what the Secret is before it is written, and at each refresh
      - patch  # to write the Secret (server-side apply)
    - # entry e0
      apiGroups: [""]
      resources: ["secrets"]
      verbs:
      - create  # to make a Secret that is not there
    ---
    apiVersion: rbac.authorization.k8s.io/v1
    kind: RoleBinding
    metadata:
      name: "secretsyncd:default"
      namespace: "app"
    roleRef:
      apiGroup: rbac.authorization.k8s.io
      kind: Role
      name: "secretsyncd:default"
    subjects:
    - apiGroup: rbac.authorization.k8s.io
      kind: User
      name: "sync@example.com"
    "#);
}

#[test]
fn what_is_printed_is_yaml_whatever_the_names() {
    // Each is something else than a text where it stands without quotes.
    let names = ["null", "true", "1e3", "0x1f", "123", "no"];
    let targets = names.map(|name| KubernetesTarget {
        drift: DriftPolicy::Watch,
        ..secret(&format!("prod/{name}/{name}"))
    });
    let mut config = with(targets);
    config.daemon.instance = crate::names::Instance::new("a/b").unwrap();
    let subjects = [
        Subject::Unsaid,
        Subject::User("CN=\"x\" \\ 'y': # z".to_owned()),
        Subject::Group("oidc:sync".to_owned()),
        Subject::ServiceAccount(ServiceAccount {
            namespace: Namespace::new("123").unwrap(),
            name: ObjectName::new("true").unwrap(),
        }),
    ];
    for subject in subjects {
        let documents = documents(&printed(&config, &subject, Watching::EachNamespace));
        assert_eq!(documents.len(), 2 * names.len());
        for pair in documents.chunks(2) {
            let (role, binding) = (&pair[0], &pair[1]);
            let namespace = role["metadata"]["namespace"].as_str().unwrap();
            assert!(names.contains(&namespace));
            assert_eq!(role["rules"][0]["resourceNames"][0], namespace);
            assert_eq!(role["metadata"]["name"], "secretsyncd:a:b");
            assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
            assert_eq!(binding["metadata"]["namespace"], namespace);
            let name = binding["subjects"][0]["name"].as_str().unwrap();
            match &subject {
                Subject::User(expected) | Subject::Group(expected) => assert_eq!(name, expected),
                Subject::ServiceAccount(_) => assert_eq!(name, "true"),
                Subject::Unsaid => assert_eq!(name, "FILL-IN"),
            }
        }
    }
}

#[test]
fn one_watch_of_all_namespaces_is_a_cluster_role() {
    let targets = ["a", "b"].map(|namespace| KubernetesTarget {
        drift: DriftPolicy::Watch,
        ..secret(&format!("prod/{namespace}/db"))
    });
    let text = printed(&with(targets), &Subject::Unsaid, Watching::WholeCluster);
    let documents = documents(&text);
    let kinds: Vec<&str> = documents
        .iter()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    assert_eq!(kinds[..2], ["ClusterRole", "ClusterRoleBinding"]);
    assert_eq!(kinds.iter().filter(|kind| **kind == "Role").count(), 2);
    let list = |it: &&Value| it["rules"].to_string().contains("\"list\"");
    assert_eq!(documents.iter().filter(list).count(), 1, "{text}");
    assert!(
        text.contains("every Secret of the\n# scope can be read"),
        "{text}"
    );
}

#[test]
fn every_cluster_is_printed_and_one_without_targets_says_so() {
    let config = with([secret("prod/app/db")]);
    let all = text(&config, (None, &Subject::Unsaid), Watching::EachNamespace);
    assert!(
        all.contains("# Cluster test: nothing of it is used.\n"),
        "{all}"
    );
    assert_eq!(documents(&all).len(), 2);
}
