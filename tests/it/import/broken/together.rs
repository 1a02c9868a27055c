//! Objects that are right by themselves and not beside others.

use std::fmt::Write as _;

use super::super::{OURS, checked};
use crate::support::daemon::{Finished, Home};

/// One more document, which reads these keys.
pub(super) fn secret(name: (&str, &str), target: &str, keys: &[&str]) -> String {
    let (namespace, name) = name;
    let mut text = format!(
        "---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  secretStoreRef: {{name: elsewhere, kind: ClusterSecretStore}}
  target: {{{target}}}
  data:
"
    );
    for key in keys {
        let _ = writeln!(text, "  - {{secretKey: {key}, remoteRef: {{key: a}}}}");
    }
    text
}

/// Several documents that become more than one file has.
pub(super) fn many(namespace: &str) -> String {
    let keys: Vec<String> = (0..100).map(|it| format!("k{it:0>200}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let names = (0..40).map(|it| format!("m{it:0>2}"));
    names
        .map(|name| secret((namespace, &name), "", &keys))
        .collect()
}

/// In every namespace of a team.
fn spread(name: &str, secret: &str) -> String {
    format!(
        "---
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {{name: {name}}}
spec:
  externalSecretName: {secret}
  namespaceSelectors: [{{matchLabels: {{team: a}}}}]
  externalSecretSpec:
    secretStoreRef: {{name: elsewhere, kind: ClusterSecretStore}}
    data: [{{secretKey: a, remoteRef: {{key: a}}}}]
"
    )
}

const SHARED: &str = "name: shared, creationPolicy: Merge";

fn imported(home: &Home, manifest: &str) -> Finished {
    home.write("m.yaml", manifest);
    home.finish(&["import", "m.yaml", "--store", "elsewhere=ours"])
}

/// The names of the entries.
fn entries(done: &Finished) -> Vec<String> {
    let read: toml::Table = toml::from_str(&done.stdout).unwrap();
    let secrets = read["secrets"].as_table().unwrap();
    secrets.keys().cloned().collect()
}

/// Bug: everything whose name came after that of the culprit was refused, too, for what it had no part in.
#[test]
fn what_has_no_part_in_a_quarrel_is_converted() {
    let home = Home::new();
    let manifest = spread("pull", "reg")
        + &secret(("trusted", "reg"), "", &["a"])
        + &secret(("trusted", "zebra"), "", &["a"]);
    let done = imported(&home, &manifest);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_eq!(entries(&done), ["trusted/reg", "trusted/zebra"]);
    let why = "beside the object at m.yaml:2:12 `check` refuses it: two entries write the same";
    assert!(done.stderr.contains(why), "{}", done.stderr);
    assert!(done.stderr.contains(" 1 refused, 0 unrelated"));
    checked(&home, &done.stdout);
}

#[test]
fn of_two_that_select_for_one_secret_the_first_stays() {
    let home = Home::new();
    let manifest =
        spread("one", "reg") + &spread("two", "reg") + &secret(("app", "zebra"), "", &["a"]);
    let done = imported(&home, &manifest);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_eq!(entries(&done), ["app/zebra", "cluster/one"]);
    let why = "beside the object at m.yaml:1:2 `check` refuses it: two entries write the same";
    assert!(done.stderr.contains(why), "{}", done.stderr);
    checked(&home, &done.stdout);
}

/// The last one gets on with all that stay: only with one that goes it does not.
#[test]
fn what_quarrels_only_with_what_goes_stays() {
    let home = Home::new();
    let manifest = secret(("app", "a"), SHARED, &["one"])
        + &secret(("app", "b"), SHARED, &["one", "two"])
        + &secret(("app", "c"), SHARED, &["two"])
        + &secret(("app", "z"), "", &["a"]);
    let done = imported(&home, &manifest);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_eq!(entries(&done), ["app/a", "app/c", "app/z"]);
    let why = "beside the object at m.yaml:1:2 `check` refuses it: two targets write the same";
    assert!(done.stderr.contains(why), "{}", done.stderr);
    checked(&home, &done.stdout);
}

/// The one in the middle gets on with nobody: what selects is judged after it has gone.
#[test]
fn what_selects_stays_where_what_it_quarrels_with_goes() {
    let home = Home::new();
    let all = spread("all", "shared").replace(
        "    data: [{secretKey: a,",
        "    target: {creationPolicy: Merge}\n    data: [{secretKey: s,",
    );
    let manifest = all
        + &secret(("app", "a"), SHARED, &["one"])
        + &secret(("app", "b"), SHARED, &["one", "s"])
        + &secret(("app", "z"), "", &["a"]);
    let done = imported(&home, &manifest);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_eq!(entries(&done), ["app/a", "app/z", "cluster/all"]);
    checked(&home, &done.stdout);
}

/// Bug: what went to different files was never judged beside each other.
#[test]
fn all_files_together_pass_check() {
    let home = Home::new();
    let manifest = secret(("app", "a"), SHARED, &["one"])
        + &many("app")
        + &secret(("app", "z"), SHARED, &["one"]);
    home.write("m.yaml", manifest);
    let done = home.finish(&[
        "import",
        "m.yaml",
        "--store",
        "elsewhere=ours",
        "--out-dir",
        "conf.d",
    ]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let told = "objects: 41 converted, 0 read, 0 left out, 1 refused";
    assert!(done.stderr.contains(told), "{}", done.stderr);
    let why = "beside the object at m.yaml:1:2 `check` refuses it: two targets write the same";
    assert!(done.stderr.contains(why), "{}", done.stderr);
    assert!(home.read("conf.d/namespace-app.part2.toml").is_some());
    home.configure_whole(&format!("include = [\"conf.d/*.toml\"]\n{OURS}"));
    let done = home.check();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}
