//! What `check` has against the output is said at the key of the input that it is about.

use super::json;
use crate::support::daemon::Home;

const ESO: &str = "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: app}
spec:
  secretStoreRef: {name: elsewhere, kind: ClusterSecretStore}
  target: {name: db}
  data:
    - {secretKey: a, remoteRef: {key: a}}
    - {secretKey: b, remoteRef: {key: b}}
";

const KES: &str = "apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: app}
spec:
  backendType: secretsManager
  region: us-east-1
  dataFrom: [x]
  data:
    - {key: a, name: a}
    - {key: b, name: b}
";

const SPREAD: &str = "apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {name: spread}
spec:
  namespaces: [app]
  externalSecretSpec:
    secretStoreRef: {name: elsewhere, kind: ClusterSecretStore}
    data:
      - {secretKey: a, remoteRef: {key: a}}
";

const STORE: &str = "apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: own, namespace: app}
spec: {provider: {aws: {service: SecretsManager, region: us-east-1}}}
";

/// What is changed to what, and at which path and line that is told.
type Case = (&'static str, &'static str, &'static str, i32);

const OF_ESO: &[Case] = &[
    ("key: b}", "key: \"b b\"}", "spec.data[1].remoteRef.key", 9),
    (
        "key: b}",
        "key: b, property: \"b.#(x\"}",
        "spec.data[1].remoteRef.property",
        9,
    ),
    (
        "secretKey: b",
        "secretKey: b/b",
        "spec.data[1].secretKey",
        9,
    ),
    (
        "  data:",
        "  dataFrom: [{extract: {key: x}}, {find: {name: {regexp: \"(\"}}}]\n  data:",
        "spec.dataFrom[1].find.name.regexp",
        7,
    ),
    (
        "{name: db}\n",
        "{template: {data: {k: \"{{ .missing }}\"}}}\n",
        "spec.target.template.data.k",
        1,
    ),
    (
        "{name: db}\n",
        "{template: {data: {\"k k\": \"{{ .a }}\"}}}\n",
        "spec.target.template.data.\"k k\"",
        1,
    ),
    (
        "{name: db}\n",
        "{template: {metadata: {labels: {a: \"b c\"}}}}\n",
        "spec.target.template.metadata.labels.a",
        1,
    ),
    (
        "namespace: app}",
        "namespace: app, labels: {a: \"b c\"}}",
        "metadata.labels.a",
        1,
    ),
    ("{name: db}\n", "{name: DB}\n", "spec.target.name", 1),
    (
        "{name: db}\n",
        "{creationPolicy: Merge, deletionPolicy: Delete}\n",
        "spec.target.deletionPolicy",
        1,
    ),
];

const OF_SPREAD: &[Case] = &[
    (
        "key: a}",
        "key: \"a a\"}",
        "spec.externalSecretSpec.data[0].remoteRef.key",
        9,
    ),
    ("[app]", "[App]", "spec.namespaces", 1),
];

const OF_KES: &[Case] = &[
    ("key: b,", "key: \"b b\",", "spec.data[1].key", 10),
    ("name: b}", "name: b/b}", "spec.data[1].name", 10),
    // Of two of one name the later one counts.
    (
        "- {key: a, name: a}\n",
        "- {key: b, name: b}\n    - {key: a, name: a}\n    - {key: \"c c\", name: a}\n",
        "spec.data[2].key",
        11,
    ),
    ("[x]", "[x, \"y y\"]", "spec.dataFrom[1]", 7),
];

const OF_LEGACY: &[Case] = &[(
    "key: b,",
    "key: \"b b\",",
    "secretDescriptor.properties[1].key",
    10,
)];

const OF_STORE: &[Case] = &[
    (
        "region: us-east-1",
        "region: us-east-1, role: nobody",
        "spec.provider.aws.role",
        1,
    ),
    (
        "region: us-east-1",
        "region: \"us east\"",
        "spec.provider.aws.region",
        1,
    ),
];

#[test]
fn a_refusal_of_check_is_said_at_its_key() {
    let home = Home::new();
    let legacy = KES.replace("spec:", "secretDescriptor:");
    let legacy = legacy.replace("  data:", "  properties:");
    for (manifest, cases) in [
        (ESO, OF_ESO),
        (SPREAD, OF_SPREAD),
        (KES, OF_KES),
        (&legacy, OF_LEGACY),
        (STORE, OF_STORE),
    ] {
        for (change, to, path, line) in cases {
            assert!(manifest.contains(change), "{change}");
            home.write("m.yaml", manifest.replace(change, to));
            let store = ["--store", "elsewhere=ours"];
            let done =
                home.finish(&[&["import", "m.yaml", "--report", "json"][..], &store].concat());
            let report = json(&done);
            let findings = report["objects"][0]["findings"].as_array().unwrap();
            let refused = findings.iter().find(|it| it["verdict"] == "refused");
            let refused = refused.unwrap_or_else(|| panic!("{to}: {report:#}"));
            let sentence = refused["sentence"].as_str().unwrap();
            assert!(
                sentence.starts_with("`check` refuses it: "),
                "{to}: {refused}"
            );
            let told = (refused["path"].as_str(), refused["line"].as_i64());
            assert_eq!(
                told,
                (Some(*path), Some(i64::from(*line))),
                "{to}: {refused}"
            );
        }
    }
}
