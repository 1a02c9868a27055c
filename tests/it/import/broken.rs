//! Files that are no manifests: each is refused with its place, and the others are converted.

mod together;
mod written;

use std::fmt::Write as _;

use super::json;
use crate::support::daemon::{Finished, Home};

const GOOD: &str = "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: good, namespace: app}
spec:
  secretStoreRef: {name: elsewhere, kind: ClusterSecretStore}
  data: [{secretKey: a, remoteRef: {key: a}}]
";

/// Of one object, what is refused by which sentence.
fn refused(home: &Home, manifest: &str) -> String {
    home.write("m.yaml", manifest);
    let done = home.finish(&["import", "m.yaml", "--store", "elsewhere=ours"]);
    assert_eq!(
        (done.code, &*done.stdout),
        (Some(1), ""),
        "{manifest}\n{}",
        done.stderr
    );
    done.stderr
}

/// Name, text, the line that is told, and what of it.
fn broken_files() -> Vec<(&'static str, String, i32, &'static str)> {
    vec![
        ("tabs", format!("{GOOD}\tx: 1\n"), 7, "a tab"),
        ("twice", format!("{GOOD}kind: Other\n"), 7, "twice"),
        (
            "helm",
            GOOD.replace("name: good", "name: {{ .Release.Name }}"),
            3,
            "helm template",
        ),
        (
            "helm-quoted",
            GOOD.replace("name: good", "name: \"{{ .Release.Name }}\""),
            3,
            "helm template",
        ),
        (
            "helm-if",
            format!("{{{{- if .Values.x }}}}\n{GOOD}{{{{- end }}}}\n"),
            1,
            "helm template",
        ),
        (
            "bomb",
            "a: &a [x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n".to_owned(),
            2,
            "aliases",
        ),
        ("deep", "[".repeat(1 << 20), 1, "nests too deep"),
        ("second", format!("{GOOD}---\na: [\n"), 8, "well-formed"),
        ("tag", format!("{GOOD}extra: !!binary aGk=\n"), 7, "tag"),
    ]
}

#[test]
fn a_broken_file_is_refused_with_its_place_and_the_others_are_converted() {
    let home = Home::new();
    let broken = broken_files();
    for (name, text, ..) in &broken {
        home.write(&format!("all/{name}.yaml"), text);
    }
    home.write("all/latin.yaml", b"a: \xe9\n");
    home.write("all/large.yaml", "# ".repeat((10 << 20) / 2 + 1));
    home.write("all/deeper/good.yml", GOOD);
    home.write("all/notes.txt", "not read");
    let done = home.finish(&[
        "import",
        "all",
        "gone.yaml",
        "--store",
        "elsewhere=ours",
        "--report",
        "json",
    ]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.stdout.contains("[secrets.\"app/good\"]"),
        "{}",
        done.stdout
    );
    let report = json(&done);
    let objects = report["objects"].as_array().unwrap();
    let told = |file: &str, says: &str| {
        let object = objects.iter().find(|it| it["file"] == file).unwrap();
        let sentence = object["findings"][0]["sentence"].as_str().unwrap();
        assert!(sentence.contains(says), "{object}");
        assert_eq!(object["result"], "refused", "{object}");
        object["line"].clone()
    };
    for (name, _, line, says) in &broken {
        assert_eq!(told(&format!("all/{name}.yaml"), says), *line, "{name}");
    }
    told("all/latin.yaml", "UTF-8");
    told("all/large.yaml", "10 MiB");
    told("gone.yaml", "no such file");
    assert_eq!(objects.len(), broken.len() + 4);
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("1 whose names do not end"), "{report}");
}

#[test]
fn what_cannot_be_said_here_is_refused_by_name() {
    let home = Home::new();
    let with = |target: &str| GOOD.replace("  data:", &format!("  {target}\n  data:"));
    for (manifest, says) in [
        (GOOD.replace("elsewhere", "unknown"), "secretStoreRef.name: this store is not in the input"),
        (GOOD.replace("kind: ClusterSecretStore", "kind: Vault"), "must be SecretStore or ClusterSecretStore"),
        (GOOD.replace("/v1\n", "/v9\n"), "this version of the API is not known"),
        (with("syncWindows: {kind: deny}"), "spec.syncWindows: "),
        (with("refreshInterval: 1d"), "spec.refreshInterval: "),
        (with("target: {manifest: {kind: ConfigMap}}"), "spec.target.manifest: only Secrets"),
        (with("target: {template: {templateFrom: [{literal: x}]}}"), "templateFrom: "),
        (with("target: {template: {metadata: {finalizers: [x]}}}"), "finalizers: "),
        (with("target: {template: {data: {a: \"{{ if .a }}x{{ end }}\"}}}"), "`{{ if .a }}`"),
        (with("target: {template: {data: {a: \"{{ .a | trunc 3 }}\"}}}"), "`trunc` is not converted: `{{ .a | trunc 3 }}`"),
        (with("target: {template: {data: {a: \"{{ .missing }}\"}}}"), "`check` refuses it: template `data.a` asks for the key `missing`"),
        (with("target: {deletionPolicy: Delete, creationPolicy: Merge}"), "`check` refuses it"),
        (with("dataFrom: [{sourceRef: {generatorRef: {name: x}}}]"), "generators are not converted"),
        (GOOD.replace("key: a}", "key: [a]}"), "remoteRef.key: this must be a text"),
        (GOOD.replace("secretKey: a", "secretKey: on"), "it needs quotes"),
        (GOOD.replace("key: a}", "key: \"a b\"}"), "`check` refuses it: `key` must be"),
        (GOOD.replace("ExternalSecret", "PushSecret"), "objects of this `apiVersion` and `kind` are not converted"),
        (format!("{GOOD}---\n{GOOD}"), "becomes the entry that the object at m.yaml:1:1 becomes"),
        (
            format!("{GOOD}---\n{}", with("target: {name: good}").replace("name: good, namespace", "name: other, namespace")),
            "writes the same Secret",
        ),
        (
            "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: v, namespace: app}\nspec: {provider: {vault: {server: x}}}\n".to_owned(),
            "spec.provider.vault: only the provider `aws`",
        ),
    ] {
        home.write("m.yaml", &manifest);
        let done = home.finish(&["import", "m.yaml", "--store", "elsewhere=ours"]);
        assert_eq!(done.code, Some(1), "{manifest}");
        assert_eq!(done.stdout.is_empty(), !manifest.contains("---"), "{manifest}");
        let said = done.stderr;
        assert!(said.contains(says), "{says}\n{said}");
    }
}

#[test]
fn kes_code_and_other_backends_are_refused_by_name() {
    let home = Home::new();
    let with = |spec: &str| {
        format!(
            "apiVersion: kubernetes-client.io/v1\nkind: ExternalSecret\nmetadata: {{name: x, namespace: app}}\nspec:\n  backendType: secretsManager\n  region: us-east-1\n  {spec}\n"
        )
    };
    for (manifest, says) in [
        (
            with("data: []").replace("secretsManager", "vault"),
            "spec.backendType: only secretsManager",
        ),
        (with("data: [{key: a}]"), "an item has no `name`"),
        (
            with("data: [{key: a, name: a, property: ''}]"),
            "property: ",
        ),
        (
            with("data: [{key: a, name: a, property: constructor}]"),
            "property: ",
        ),
        (
            with("data: [{path: /a}]"),
            "KES knows paths of Parameter Store only",
        ),
        (
            with("template: {metadata: {namespace: y}}"),
            "namespace: it is not set here",
        ),
        (
            with("template: {metadata: {labels: {a: \"<% x %>\"}}}"),
            "`<% x %>`",
        ),
        (
            with("template: {metadata: {annotations: {a: \"${data.x}\"}}}"),
            "`${data.x}`",
        ),
        (with("template: {data: {a: '%'}}"), "this is no base64"),
        (
            with("template: {data: {a: '<%= data.b %>'}}"),
            "without lookups",
        ),
        (
            with("template: {binaryData: {}}"),
            "template.binaryData: this key is not known",
        ),
    ] {
        let said = refused(&home, &manifest);
        assert!(said.contains(says), "{says}\n{said}");
    }
}

/// Keys, names and texts of the input stay within quotes and lines.
#[test]
fn nothing_of_the_input_becomes_configuration() {
    let home = Home::new();
    let evil = "x\\n[secrets.evil]\\nstore = \\\"y\\\"\\r\\u2028\\u001b[31m";
    let manifest = format!(
        "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {{name: good, namespace: app, annotations: {{example.com/a: \"{evil}\"}}}}
spec:
  secretStoreRef: {{name: elsewhere, kind: ClusterSecretStore}}
  target: {{template: {{metadata: {{annotations: {{example.com/b: \"{evil}\"}}}}, data: {{k: \"{{{{ .a }}}}{evil}\"}}}}}}
  data: [{{secretKey: a, remoteRef: {{key: a}}}}]
"
    );
    home.write("m.yaml", &manifest);
    let done = home.finish(&["import", "m.yaml", "--store", "elsewhere=ours"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let read: toml::Table = toml::from_str(&done.stdout).unwrap();
    let secrets = read["secrets"].as_table().unwrap();
    assert_eq!(
        secrets.keys().collect::<Vec<_>>(),
        ["app/good"],
        "{}",
        done.stdout
    );
    let template = &secrets["app/good"]["template"]["data"]["k"];
    assert!(
        template.as_str().unwrap().contains("\n[secrets.evil]\n"),
        "{template:?}"
    );
    assert!(
        !done.stderr.contains(['\u{1b}', '\u{2028}', '\r']),
        "{:?}",
        done.stderr
    );
}

/// An export of 10 MiB, the largest file that is read, with so many objects.
fn export(count: usize) -> String {
    let mut text = String::from("apiVersion: v1\nkind: List\nitems:\n");
    let size = (10 << 20) / count - 310;
    let applied = "x".repeat(size);
    for number in 0..count {
        let names =
            format!("name: good-{number}, annotations: {{kubectl.kubernetes.io/a: {applied}}}");
        let object = GOOD.replace("name: good", &names);
        let object = object.trim_end().replace('\n', "\n    ");
        let _ = writeln!(text, "  -\n    {object}");
    }
    assert!((9 << 20..10 << 20).contains(&text.len()), "{}", text.len());
    text
}

/// With 200 MiB of memory, also where nothing is optimised.
fn import_in_little(home: &Home, files: &[&str]) -> Finished {
    let limit = "ulimit -d 204800 && exec \"$@\"";
    let wrapper = ["/bin/sh", "-c", limit, "sh"];
    let more = ["--store", "elsewhere=ours", "--out-dir", "out"];
    home.finish_through(&wrapper, &[&["import"], files, &more].concat())
}

/// Each is as large as a file may be, and could become far more.
#[test]
fn bombs_take_little_memory() {
    let home = Home::new();
    home.write(
        "aliases.yaml",
        "- &a [x]\n".to_owned() + &"- [*a, *a]\n".repeat(900_000),
    );
    home.write("items.yaml", "a:\n".to_owned() + &"- x\n".repeat(2_600_000));
    home.write("deep.yaml", "{a: ".repeat(2_600_000));
    home.write("good.yaml", GOOD);
    let files = ["aliases.yaml", "items.yaml", "deep.yaml", "good.yaml"];
    let done = import_in_little(&home, &files);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let told = "objects: 1 converted, 0 read, 0 left out, 3 refused";
    assert!(done.stderr.contains(told), "{}", done.stderr);
}

#[test]
fn a_large_export_takes_little_memory() {
    let home = Home::new();
    let count = 14_000;
    home.write("export.yaml", export(count));
    let done = import_in_little(&home, &["export.yaml"]);
    assert_eq!(
        done.code,
        Some(0),
        "{}",
        done.stderr.lines().last().unwrap_or_default()
    );
    assert!(done.stderr.contains(&format!("objects: {count} converted")));
    assert!(std::fs::read_dir(home.path("out")).unwrap().count() > 2);
}
