//! Values that stand in the input, in templates of every kind, and stores that are not for every namespace.

use super::json;
use crate::support::daemon::{Finished, Home};

const STORE: [&str; 2] = ["--store", "elsewhere=ours"];
/// More on the command line.
const NOTHING: &[&str] = &[];

/// One of ESO, with one key made by a template.
fn eso(template: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {{name: good, namespace: app}}
spec:
  secretStoreRef: {{name: elsewhere, kind: ClusterSecretStore}}
  target:
    template:
      data:
        tok: |-
          {template}
  data: [{{secretKey: a, remoteRef: {{key: a}}}}]
"
    )
}

/// One of KES, with one key made by a template.
fn kes(template: &str) -> String {
    format!(
        "apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {{name: good, namespace: app}}
spec:
  backendType: secretsManager
  region: us-east-1
  data: [{{key: a, name: a}}]
  template:
    stringData:
      tok: |-
        {template}
"
    )
}

fn import(home: &Home, manifest: &str, more: &[&str]) -> Finished {
    home.write("m.yaml", manifest);
    home.finish(&[&["import", "m.yaml"][..], &STORE, more].concat())
}

/// It is in neither output, and nothing was converted.
fn is_refused(done: &Finished, says: &str) {
    assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{}", done.stderr);
    assert!(done.stderr.contains(says), "{says}\n{}", done.stderr);
    assert!(!done.stderr.contains("Marker"), "{}", done.stderr);
}

/// Alone or made of text alone, a value is one.
#[test]
fn what_asks_for_no_key_goes_to_the_file_of_values_or_nowhere() {
    for (manifest, value) in [
        (eso("Marker one"), "Marker one"),
        (eso("{{ \"Marker one\" | b64enc }}"), "TWFya2VyIG9uZQ=="),
        (eso("{{ \"Marker one\" | upper }}!"), "MARKER ONE!"),
        (eso("{{ \"Marker one\" | squote }}"), "'Marker one'"),
        (
            eso("{{ printf \"%s, %s\" \"Marker one\" \"Two\" }}"),
            "Marker one, Two",
        ),
        (eso("{{ \"\" | default \"Marker one\" }}"), "Marker one"),
        (eso("{{ htpasswd \"Ann\" \"Marker one\" }}"), "Ann:$2"),
        (eso("{{ 471147 }}"), "471147"),
        (kes("Marker ${one"), "Marker ${one"),
        (kes("Marker <%= one"), "Marker <%= one"),
    ] {
        let home = Home::new();
        is_refused(&import(&home, &manifest, &[]), "`--literals FILE` moves it");
        let done = import(&home, &manifest, &["--literals", "values.json"]);
        assert_eq!(done.code, Some(0), "{manifest}\n{}", done.stderr);
        let values = home.read_text("values.json").unwrap();
        assert!(values.contains(value), "{manifest}\n{values}");
        let said = (done.stdout + &done.stderr).to_lowercase();
        let value = value.to_lowercase();
        assert!(
            !said.contains("marker") && !said.contains(&value),
            "{manifest}\n{said}"
        );
    }
    let binary = import(&Home::new(), &eso("{{ \"/01hcmtlcg==\" | b64dec }}"), &[]);
    is_refused(&binary, "a value that cannot be computed here");
    assert!(!binary.stderr.contains("/01h"), "{}", binary.stderr);
}

#[test]
fn a_value_beside_a_lookup_is_refused_and_not_repeated() {
    let home = Home::new();
    for template in [
        "{{ .a | default \"Marker one\" }}",
        "{{ htpasswd .a \"Marker one\" }}",
        "{{ printf \"%s:%s\" .a \"Marker one\" }}",
        "{{ \"Marker one\" | trimSuffix .a }}",
    ] {
        for more in [NOTHING, &["--literals", "values.json"]] {
            let done = import(&home, &eso(template), more);
            is_refused(&done, "a value stands here beside a lookup");
        }
    }
}

#[test]
fn text_beside_a_lookup_is_warned_of_and_not_repeated() {
    let home = Home::new();
    for (manifest, warned) in [
        (eso("postgres://admin:Marker@{{ .a }}"), true),
        (eso("{{ printf \"Marker %s\" .a }}"), true),
        (eso("{{ .a | replace \"x\" \"Marker\" }}"), true),
        (eso("{{ htpasswd \"Marker\" .a }}"), true),
        (kes("postgres://admin:Marker@<%= data.a %>"), true),
        (eso("{{ .a }}:{{ .a | replace \"-\" \"_\" }}"), false),
        (kes("<%= data.a %>:<%= data.a %>"), false),
    ] {
        let done = import(&home, &manifest, &[]);
        assert_eq!(done.code, Some(0), "{manifest}\n{}", done.stderr);
        let sentence = "text of the template stands in the output";
        assert_eq!(done.stderr.contains(sentence), warned, "{}", done.stderr);
        assert_eq!(done.stdout.contains("Marker"), warned, "{}", done.stdout);
        assert!(!done.stderr.contains("Marker"), "{}", done.stderr);
    }
    // A label is no value.
    let label = eso("{{ .a }}").replace(
        "template:\n",
        "template:\n      metadata: {labels: {x: \"one-{{ .a }}\"}}\n",
    );
    let done = import(&home, &label, &[]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        !done.stderr.contains("text of the template"),
        "{}",
        done.stderr
    );
}

/// What has no end is no code; and in what has one, texts may be values.
#[test]
fn no_part_of_a_value_is_in_a_refusal() {
    let home = Home::new();
    for (manifest, says) in [
        (eso("x{{ Marker"), "no `}}`"),
        (
            eso("{{ .a | trunc \"Marker\" }}"),
            "`trunc` is not converted",
        ),
        (eso("x{{Marker {{ .a }}"), "this is more than lookups"),
        (kes("x${Marker <%= data.a %>}"), "only lookups"),
        (kes("<%= data.a + 'Marker' %>"), "`<%= data.a + …`"),
        (
            kes("x").replace(
                "stringData:\n      tok: |-\n        x",
                "data: {tok: 'Marker${x'}",
            ),
            "without lookups",
        ),
    ] {
        is_refused(&import(&home, &manifest, &[]), says);
    }
}

/// A store for some namespaces, and one object that many get.
fn spread(conditions: &str, places: &str) -> String {
    format!(
        "apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {{name: shared}}
spec:
  conditions: {conditions}
  provider: {{aws: {{service: SecretsManager, region: us-east-1}}}}
---
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {{name: spread}}
spec:
  {places}
  externalSecretSpec:
    secretStoreRef: {{name: shared, kind: ClusterSecretStore}}
    data: [{{secretKey: a, remoteRef: {{key: a}}}}]
"
    )
}

#[test]
fn a_selector_does_not_widen_a_store_with_conditions() {
    const NAMED: &str = "[{namespaces: [trusted]}]";
    const LABELS: &str = "[{namespaces: [trusted]}, {namespaceSelector: {matchLabels: {a: b}}}]";
    const ALL: &str = "namespaceSelectors: [{}]";
    let refusals = [
        (NAMED, ALL, "take the conditions away"),
        (NAMED, "namespaceSelector: {}", "take the conditions away"),
        (
            NAMED,
            "namespaces: [trusted]\n  namespaceSelectors: [{}]",
            "take the conditions away",
        ),
        (LABELS, ALL, "take the conditions away"),
        (NAMED, "namespaces: [trusted, other]", "do not admit this"),
        ("[{}]", "namespaces: [trusted]", "do not admit this"),
    ];
    let home = Home::new();
    // Also where a store of the user takes the place of it.
    for more in [NOTHING, &["--store", "cluster/shared=ours"]] {
        for (conditions, places, says) in refusals {
            let done = import(&home, &spread(conditions, places), more);
            assert_eq!(done.code, Some(1), "{}", done.stderr);
            assert!(!done.stdout.contains("[secrets."), "{}", done.stdout);
            assert!(done.stderr.contains(says), "{says}\n{}", done.stderr);
        }
        for (conditions, places) in [
            ("[]", ALL),
            (NAMED, "namespaces: [trusted]"),
            (LABELS, "namespaces: [other]"),
        ] {
            let done = import(&home, &spread(conditions, places), more);
            assert_eq!(done.code, Some(0), "{conditions}\n{}", done.stderr);
            let unsure = done.stderr.contains("look whether ESO delivers there");
            assert_eq!(unsure, conditions == LABELS, "{}", done.stderr);
        }
    }
}

#[test]
fn a_name_with_its_scope_says_more_whatever_the_order() {
    let home = Home::new();
    let reference = |namespace: &str, kind: &str| {
        format!(
            "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {{name: a, namespace: {namespace}}}
spec:
  secretStoreRef: {{name: db, kind: {kind}}}
  data: [{{secretKey: a, remoteRef: {{key: a}}}}]
"
        )
    };
    let manifest = [
        reference("team", "SecretStore"),
        reference("other", "SecretStore"),
        reference("third", "ClusterSecretStore"),
    ]
    .join("---\n");
    let mut pairs = ["db=generic", "team/db=special", "cluster/db=whole"];
    for _ in 0..2 {
        let stores: Vec<&str> = pairs.iter().flat_map(|it| ["--store", *it]).collect();
        let done = import(
            &home,
            &manifest,
            &[&stores[..], &["--report", "json"]].concat(),
        );
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(json(&done)["objects"].as_array().unwrap().len(), 3);
        let read: toml::Table = toml::from_str(&done.stdout).unwrap();
        let store = |name: &str| read["secrets"][name]["store"].as_str().unwrap().to_owned();
        let chosen = ["team/a", "other/a", "third/a"].map(store);
        assert_eq!(chosen, ["special", "generic", "whole"]);
        pairs.reverse();
    }
}
