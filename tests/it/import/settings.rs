//! Settings of a Deployment count for the objects that it served, and for no others.

use crate::support::daemon::Home;

fn deployment(name: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: kes}}
spec:
  template:
    spec:
      containers:
        - image: ghcr.io/external-secrets/kubernetes-external-secrets:8.5.5
          env:
            - {{name: AWS_REGION, value: eu-west-1}}
            {more}
---
"
    )
}

fn object(namespace: &str) -> String {
    format!(
        "apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {{name: k, namespace: {namespace}}}
spec: {{backendType: secretsManager, data: [{{key: a, name: a}}]}}
---
"
    )
}

/// Bug: the last Deployment decided for the objects of all, and what it did not serve was left out.
#[test]
fn objects_of_two_kes_are_not_converted_by_the_settings_of_one() {
    let home = Home::new();
    let (a, b) = (
        deployment("a", "- {name: WATCHED_NAMESPACES, value: team-a}"),
        deployment("b", "- {name: WATCHED_NAMESPACES, value: team-b}"),
    );
    let objects = object("team-a") + &object("team-b");
    home.write("both.yaml", format!("{a}{b}{objects}"));
    let done = home.finish(&["import", "both.yaml"]);
    assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{}", done.stderr);
    assert!(done.stderr.contains("more than one KES"), "{}", done.stderr);
    assert!(!done.stderr.contains("becomes ["), "{}", done.stderr);

    // The same one twice, as two exports have it, is one.
    home.write("same.yaml", format!("{a}{a}{objects}"));
    let done = home.finish(&["import", "same.yaml"]);
    assert!(
        done.stdout.contains("[secrets.\"team-a/k\"]"),
        "{}",
        done.stderr
    );
    assert!(
        !done.stderr.contains("more than one KES"),
        "{}",
        done.stderr
    );
}
