//! What is imported delivers what KES and ESO delivered, by the semantics of theirs.

use crate::support::daemon::Home;
use crate::support::kubernetes::Kubernetes;
use crate::support::secrets_manager::SecretsManager;

const MANIFESTS: &str = r#"
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: eso, namespace: app}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: prod, kind: ClusterSecretStore}
  target:
    name: from-eso
    template:
      data:
        url: 'postgres://{{ .user }}:{{ .pw | urlquery }}@{{ (.raw | fromJson).host }}'
        cfg: '{"auth":"{{ printf "%s:%s" .user .pw | b64enc }}"}'
        kind: git
  dataFrom:
    - extract: {key: eso/app}
      rewrite:
        - transform: {template: 'x_{{ .value | lower }}'}
  data:
    - {secretKey: user, remoteRef: {key: db, property: user.name}}
    - {secretKey: pw, remoteRef: {key: db, property: pw, decodingStrategy: Base64}}
    - {secretKey: raw, remoteRef: {key: db}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: all, namespace: app, labels: {team: a}}
spec:
  secretStoreRef: {name: prod, kind: ClusterSecretStore}
  dataFrom:
    - extract: {key: eso/app}
      rewrite:
        - regexp: {source: ^(.*)$, target: APP_$1}
  data:
    - {secretKey: APP_ONE, remoteRef: {key: db, property: user.name}}
---
apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {name: kes, namespace: app}
spec:
  backendType: secretsManager
  region: us-east-1
  dataFrom: [kes/app]
  data:
    - {key: db, name: user, property: user.name}
    - {key: db, name: host, property: 'list[1]["h.h"]'}
    - {key: b64, name: binary, isBinary: true}
    - {key: db, name: override}
  template:
    metadata: {labels: {l: static}}
    stringData:
      override: '<%= JSON.parse(data.override).host %>!'
      fixed: text
"#;

/// With what the manifests become.
fn configure(home: &Home, aws: &SecretsManager, kubernetes: &Kubernetes) {
    home.write("m.yaml", MANIFESTS);
    let stores = ["--store", "prod=prod", "--store", "kes/us-east-1=prod"];
    let done = home.finish(
        &[
            &[
                "import",
                "m.yaml",
                "--cluster",
                "main",
                "--literals",
                "values.toml",
            ][..],
            &stores,
        ]
        .concat(),
    );
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // In place of the kubeconfig that the user is to put there.
    let (before, rest) = done.stdout.split_once("[clusters.main]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let tables = [
        aws.store("prod"),
        kubernetes.cluster("main"),
        before.to_owned(),
        after.to_owned(),
    ];
    home.configure(&tables.concat());
}

/// Whether a Secret has just this.
fn is(kubernetes: &Kubernetes, name: &str, expected: &[(&str, &str)]) {
    let data = kubernetes.data("app", name);
    let data = data.unwrap_or_else(|| panic!("there is no {name}"));
    let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
    let data = data.into_iter().map(|(key, value)| (key, text(value)));
    let expected = expected.iter();
    let expected = expected.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    assert_eq!(
        data.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "{name}"
    );
}

#[test]
fn what_is_imported_delivers_what_was_delivered() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put(
        "db",
        r#"{"user":{"name":"ann"},"pw":"cEBzcw==","host":"db1","list":[0,{"h.h":"two"}]}"#,
    );
    aws.put("eso/app", r#"{"ONE":"1","TWO":"2"}"#);
    aws.put("kes/app", r#"{"user":"lost","more":"kept"}"#);
    aws.put("b64", "aGk=");
    configure(&home, &aws, &kubernetes);
    let once = home.once(&[]);
    assert_eq!(once.code, Some(0), "{once:?}");
    let is = |name: &str, expected: &[(&str, &str)]| is(&kubernetes, name, expected);
    is(
        "from-eso",
        &[
            ("cfg", "{\"auth\":\"YW5uOnBAc3M=\"}"),
            ("kind", "git"),
            ("url", "postgres://ann:p%40ss@db1"),
        ],
    );
    is("all", &[("APP_ONE", "ann"), ("APP_TWO", "2")]);
    is(
        "kes",
        &[
            ("binary", "hi"),
            ("fixed", "text"),
            ("host", "two"),
            ("more", "kept"),
            ("override", "db1!"),
            ("user", "ann"),
        ],
    );
    let labels = |name: &str| kubernetes.object("app", name).unwrap()["metadata"]["labels"].clone();
    assert_eq!(
        (&labels("all")["team"], &labels("kes")["l"]),
        (&"a".into(), &"static".into())
    );
}
