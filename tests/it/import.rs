//! `import` through the real binary: every manifest under `data/import`, and what is wrong with others.

mod accounted;
mod broken;
mod delivered;
mod mutated;
mod named;
mod qualified;
mod searched;
mod settings;
mod told;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::daemon::{Finished, Home};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/import");

/// A store that the manifests refer to and do not have.
const OURS: &str = "[stores.ours.aws_secrets_manager]\n";

/// By name.
fn manifests() -> Vec<PathBuf> {
    let files = fs::read_dir(DIRECTORY).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 40, "{files:?}");
    files
}

fn name(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// Something in it is refused.
fn is_refused(path: &Path) -> bool {
    name(path).starts_with("refused")
}

/// With what the manifests do not say.
fn import(home: &Home, path: &Path, more: &[&str]) -> Finished {
    let text = fs::read_to_string(path).unwrap();
    let mut usual = vec!["import", path.to_str().unwrap(), "--cluster", "prod"];
    let names = ["name: elsewhere", "\"name\": \"elsewhere\""];
    if names.iter().any(|it| text.contains(it)) {
        usual.extend(["--store", "elsewhere=ours"]);
    }
    home.finish(&[&usual, more].concat())
}

fn json(done: &Finished) -> Value {
    serde_json::from_str(&done.stderr).unwrap_or_else(|_| panic!("{}", done.stderr))
}

/// Whether `check` takes it as a configuration.
fn checked(home: &Home, toml: &str) {
    home.configure(&format!("{OURS}{toml}"));
    let done = home.check();
    assert_eq!(done.code, Some(0), "{toml}\n{}", done.stderr);
}

/// Without where the tests run.
fn without_place(text: &str, home: &Home) -> String {
    let home = home.path("").display().to_string();
    text.replace(&format!("{DIRECTORY}/"), "")
        .replace(&home, "HOME/")
}

#[test]
fn every_manifest_becomes_what_check_accepts() {
    for path in manifests() {
        let home = Home::new();
        let literals = home.path("literals.toml");
        let done = import(&home, &path, &["--literals", literals.to_str().unwrap()]);
        let code = i32::from(is_refused(&path));
        assert_eq!(done.code, Some(code), "{path:?}\n{}", done.stderr);
        checked(&home, &done.stdout);
        let both = format!("{}--- report\n{}", done.stdout, done.stderr);
        insta::assert_snapshot!(name(&path), without_place(&both, &home));
        assert!(!both.contains("MARKER"), "{path:?}");
    }
}

#[test]
fn all_of_them_at_once_give_one_configuration_in_files() {
    let home = Home::new();
    // Settings hold for everything in the input: these belong to other clusters.
    let settings = ["kes-settings", "kes-values", "eso-controller"];
    let mut files = manifests();
    files.retain(|path| !settings.contains(&name(path)) && !is_refused(path));
    let mut arguments = vec![
        "import",
        "--cluster",
        "prod",
        "--store",
        "elsewhere=ours",
        "--literals",
        "l.toml",
    ];
    arguments.extend(["--out-dir", "conf.d"]);
    arguments.extend(files.iter().map(|path| path.to_str().unwrap()));
    let done = home.finish(&arguments);
    assert_eq!((done.code, &*done.stdout), (Some(0), ""), "{}", done.stderr);
    for name in [
        "stores",
        "cluster-wide",
        "namespace-app",
        "namespace-shop",
        "namespace-two",
    ] {
        assert!(
            home.read(&format!("conf.d/{name}.toml")).is_some(),
            "{name}"
        );
    }
    home.configure_whole(&format!("include = [\"conf.d/*.toml\"]\n{OURS}"));
    let done = home.check();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // A second run overwrites nothing.
    fs::remove_file(home.path("l.toml")).unwrap();
    let before = home.read("conf.d/stores.toml");
    let done = home.finish(&arguments);
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr.contains("nothing is overwritten"),
        "{}",
        done.stderr
    );
    assert_eq!(home.read("conf.d/stores.toml"), before);
}

#[test]
fn values_go_to_their_own_file_or_nowhere() {
    use std::os::unix::fs::PermissionsExt as _;
    for manifest in ["eso-literal.yaml", "kes-literal.yaml"] {
        let home = Home::new();
        let path = Path::new(DIRECTORY).join(manifest);
        let done = import(&home, &path, &[]);
        assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{}", done.stderr);
        assert!(done.stderr.contains("--literals FILE"), "{}", done.stderr);
        let done = import(&home, &path, &["--literals", "values.json"]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let values = home.read_text("values.json").unwrap();
        assert!(values.contains("MARKER-literal"), "{values}");
        serde_json::from_str::<Value>(&values).unwrap();
        let mode = fs::metadata(home.path("values.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!(done.stdout + &done.stderr).contains("MARKER"));
        // What is there stays.
        let again = import(&home, &path, &["--literals", "values.json"]);
        assert_eq!(again.code, Some(1));
        assert_eq!(home.read_text("values.json"), Some(values));
    }
}

/// It says neither namespace nor region.
const NAMELESS: &str = "apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {name: db}
spec: {backendType: secretsManager, data: [{key: a, name: a}]}
";

#[test]
fn only_what_is_warned_of_a_key_is_an_error_with_strict() {
    let home = Home::new();
    home.write("m.yaml", NAMELESS);
    let supplied = ["--namespace", "app", "--region", "eu-west-1"];
    let done = home.finish(&[&["import", "m.yaml"][..], &supplied].concat());
    // What is true of every entry is no reason to stop; a key's warning is, with `--strict`, and the output is the same.
    let strict = home.finish(&[&["import", "m.yaml", "--strict"][..], &supplied].concat());
    assert!(strict.stderr.contains("note: "), "{}", strict.stderr);
    assert_eq!((strict.code, &strict.stdout), (Some(0), &done.stdout));
    home.write(
        "w.yaml",
        NAMELESS.replace("{backendType", "{vaultRole: x, backendType"),
    );
    for (more, code) in [
        (&["import", "w.yaml"][..], 0),
        (&["import", "w.yaml", "--strict"], 1),
    ] {
        let warned = home.finish(&[more, &supplied].concat());
        assert_eq!(warned.code, Some(code), "{}", warned.stderr);
        assert!(warned.stdout.contains("[secrets.\"app/db\"]"));
    }
    let nothing = home.finish(&["import", "/dev/null"]);
    assert!(nothing.code == Some(1) && nothing.stderr.contains("nothing in the input"));
}

/// As `kubectl get -o yaml` writes whatever was made by `kubectl apply`. Bug: it was warned of as what ESO copies, so that
/// no such export went through with `--strict`.
#[test]
fn what_kubectl_keeps_on_an_object_is_nothing_to_warn_of() {
    let home = Home::new();
    let applied = |key: &str| {
        format!(
            "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: db
  namespace: app
  annotations:
    {key}: |
      {{\"kind\":\"ExternalSecret\",\"metadata\":{{\"name\":\"db\"}}}}
spec:
  refreshInterval: 1h0m0s
  secretStoreRef: {{name: aws, kind: ClusterSecretStore}}
  data: [{{secretKey: a, remoteRef: {{key: a}}}}]
"
        )
    };
    let import = |key: &str| {
        home.write("m.yaml", applied(key));
        home.finish(&["import", "m.yaml", "--strict", "--store", "aws=ours"])
    };
    let done = import("kubectl.kubernetes.io/last-applied-configuration");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("1 noted, 0 warned"), "{}", done.stderr);
    assert!(!done.stdout.contains("kubectl"), "{}", done.stdout);
    // What somebody set there is still to be seen to.
    let other = import("kubectl.kubernetes.io/default-container");
    assert_eq!(other.code, Some(1), "{}", other.stderr);
}

#[test]
fn what_the_input_does_not_say_is_supplied_or_refused() {
    let home = Home::new();
    home.write("m.yaml", NAMELESS);
    let done = home.finish(&["import", "m.yaml"]);
    assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{}", done.stderr);
    assert!(done.stderr.contains("--namespace"), "{}", done.stderr);
    let done = home.finish(&["import", "m.yaml", "--namespace", "app"]);
    assert!(
        done.code == Some(1) && done.stderr.contains("--region"),
        "{}",
        done.stderr
    );
    let supplied = ["--namespace", "app", "--region", "eu-west-1"];
    let done = home.finish(&[&["import", "m.yaml"][..], &supplied].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stdout.contains("[secrets.\"app/db\"]")
            && done.stdout.contains("[stores.\"kes/eu-west-1\".")
    );
    let mapped = home.finish(
        &[
            &["import", "m.yaml", "--store", "kes/eu-west-1=ours"][..],
            &supplied,
        ]
        .concat(),
    );
    assert_eq!(mapped.code, Some(0));
    assert!(
        !mapped.stdout.contains("[stores.") && mapped.stdout.contains("store = \"ours\""),
        "{}",
        mapped.stdout
    );
    for wrong in [
        &["--store", "x"][..],
        &["--store", "=y"],
        &["--namespace", "A B"],
        &["--report", "xml"],
    ] {
        assert_eq!(
            home.finish(&[&["import", "m.yaml"][..], wrong].concat())
                .code,
            Some(64)
        );
    }
    assert_eq!(home.finish(&["import"]).code, Some(64));
}

#[test]
fn stdin_is_read_as_a_file() {
    use std::process::Stdio;
    let home = Home::new();
    let mut command = home.command(&["import", "-", "--report", "json"]);
    let path = Path::new(DIRECTORY).join("eso-basic.yaml");
    command.stdin(Stdio::from(fs::File::open(path).unwrap()));
    let done = command.output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&done.stderr).unwrap();
    assert_eq!(report["objects"][1]["file"], "stdin");
    assert_eq!(report["objects"][1]["table"], "secrets.app/db");
    assert!(!done.stdout.is_empty());
}
