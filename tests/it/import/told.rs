//! What the report says of the run: which store has no effect, which ones it needs, what it did not read, and what to do
//! next.

use std::fs;

use serde_json::Value;

use super::json;
use crate::support::daemon::{Finished, Home};

pub(super) const SECRET: &str = "apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: app}
spec:
  secretStoreRef: {name: prod-aws, kind: ClusterSecretStore}
  data: [{secretKey: a, remoteRef: {key: a}}]
";

pub(super) const STORE: &str = "---
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: prod-aws}
spec: {provider: {aws: {service: SecretsManager, region: us-east-1}}}
";

pub(super) fn import(home: &Home, manifest: &str, more: &[&str]) -> Finished {
    home.write("m.yaml", manifest);
    home.finish(&[&["import", "m.yaml"][..], more].concat())
}

/// Bug: the store of the input was converted, and nobody knew that the one of the command line was not taken.
#[test]
fn a_store_that_nothing_in_the_input_is_called_is_warned_of() {
    let home = Home::new();
    let both = SECRET.to_owned() + STORE;
    let misspelt = ["--store", "prod-asw=ours"];
    let done = import(&home, &both, &misspelt);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let sentence = "warned: `--store prod-asw=ours` has no effect: no store is called so in the input, where there are `cluster/prod-aws`\n";
    assert!(done.stderr.contains(sentence), "{}", done.stderr);
    assert!(
        done.stderr.contains(" 1 warned, 0 refused\n"),
        "{}",
        done.stderr
    );
    let strict = import(&home, &both, &[&misspelt[..], &["--strict"]].concat());
    assert_eq!(strict.code, Some(1), "{}", strict.stderr);
    let report = json(&import(
        &home,
        &both,
        &[&misspelt[..], &["--report", "json"]].concat(),
    ));
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["keys"]["warned"], 1, "{report}");
    for right in ["prod-aws=ours", "cluster/prod-aws=ours"] {
        for manifest in [SECRET, &both] {
            let done = import(&home, manifest, &["--store", right, "--strict"]);
            assert_eq!(done.code, Some(0), "{}", done.stderr);
        }
    }
}

#[test]
fn a_store_of_theirs_cannot_be_two_of_ours() {
    let home = Home::new();
    let twice = ["--store", "prod-aws=one", "--store", "prod-aws=two"];
    let done = import(&home, SECRET, &twice);
    assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{}", done.stderr);
    assert!(
        done.stderr
            .contains("is `one`, and that it is `two`\n  help: ")
    );
}

/// What is elsewhere is named where it will be looked for: `check` does not know it.
#[test]
fn stores_that_are_needed_and_not_defined_are_named() {
    let home = Home::new();
    let more = SECRET
        .replace("name: db", "name: more")
        .replace("prod-aws", "own");
    let own = STORE.replace("prod-aws", "own");
    let manifest = format!(
        "{SECRET}---\n{more}{own}---\n{}",
        SECRET.replace("name: db", "name: third")
    );
    let stores = ["--store", "prod-aws=ours", "--store", "none=other"];
    let done = import(&home, &manifest, &stores);
    let needed = "needs stores that are defined elsewhere: `ours`";
    assert!(
        done.stderr
            .contains(&format!("note: the output {needed}\n")),
        "{}",
        done.stderr
    );
    let comment = format!("\n# It {needed}.\n\n");
    assert!(done.stdout.contains(&comment), "{}", done.stdout);
    let dir = ["--out-dir", "out"];
    import(&home, &manifest, &[&stores[..], &dir].concat());
    assert!(
        home.read_text("out/stores.toml")
            .unwrap()
            .contains(&comment)
    );
    // Where nothing is needed, nothing is said.
    let done = import(&home, &(SECRET.to_owned() + STORE), &[]);
    assert!(!(done.stdout + &done.stderr).contains("elsewhere"));
}

/// Editors and version control keep their own there, and a link leads anywhere.
#[test]
fn in_directories_hidden_names_and_links_are_passed_over() {
    let home = Home::new();
    let named =
        |name: &str| (SECRET.to_owned() + STORE).replace("name: db", &format!("name: {name}"));
    home.write("all/a.yaml", named("a"));
    home.write("all/.git/b.yaml", named("b"));
    home.write("all/.c.yaml", named("c"));
    home.write("all/notes.txt", "");
    home.write("out/d.yaml", named("d"));
    std::os::unix::fs::symlink("../out/d.yaml", home.path("all/d.yaml")).unwrap();
    std::os::unix::fs::symlink("../out", home.path("all/out")).unwrap();
    let done = home.finish(&["import", "all"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let read: toml::Table = toml::from_str(&done.stdout).unwrap();
    let secrets = read["secrets"].as_table().unwrap();
    assert_eq!(secrets.keys().collect::<Vec<_>>(), ["app/a"]);
    let note = "not read in directories: 1 whose names do not end with .yaml, .yml or .json, 2 whose names begin with a dot, 2 that are symbolic links; name";
    assert!(done.stderr.contains(note), "{}", done.stderr);
    for path in [
        "all/.git",
        "all/.git/b.yaml",
        "all/.c.yaml",
        "all/d.yaml",
        "all/out",
    ] {
        let done = home.finish(&["import", path]);
        assert!(done.stdout.contains("[secrets."), "{path}: {}", done.stderr);
        assert!(!done.stderr.contains("not read"), "{path}: {}", done.stderr);
    }
}

/// Of what goes wrong after the input was read, too: whoever reads JSON has one document, and it says so.
#[test]
fn a_report_in_json_is_all_that_stands_there() {
    let home = Home::new();
    let both = SECRET.to_owned() + STORE;
    let as_json = ["--report", "json"];
    home.write("out/stores.toml", "mine");
    let error = |done: &Finished, says: &str| {
        assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{}", done.stderr);
        let report = json(done);
        let fact = report["error"]["fact"].as_str().unwrap();
        assert!(fact.contains(says), "{report}");
        assert!(report["error"]["help"].is_string(), "{report}");
    };
    let dir = [&as_json[..], &["--out-dir", "out"]].concat();
    error(&import(&home, &both, &dir), "is there already");
    let early = [&as_json[..], &["--literals", "out/stores.toml"]].concat();
    error(&import(&home, &both, &early), "is there already");
    error(&import(&home, "", &as_json), "nothing in the input");
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    home.write("m.yaml", &both);
    let mut command = home.command(&["import", "m.yaml", "--report", "json"]);
    let ended = command.stdout(full.unwrap()).output().unwrap();
    let report: Value = serde_json::from_slice(&ended.stderr).unwrap();
    assert_eq!(
        report["error"]["fact"],
        "the output could not be written: no storage space"
    );
    // And where nothing went wrong.
    let done = import(&home, &both, &as_json);
    assert_eq!(json(&done)["error"], Value::Null);
}

#[test]
fn what_keeps_the_output_from_being_written_has_a_next_step() {
    let home = Home::new();
    let both = SECRET.to_owned() + STORE;
    home.write("out/stores.toml", "mine");
    home.write("file", "mine");
    for (more, says) in [
        (
            ["--out-dir", "out"],
            "error: out/stores.toml is there already; nothing is overwritten\n  help: name another directory with `--out-dir`",
        ),
        (
            ["--out-dir", "file/x"],
            "could not be written: not a directory\n  help: name another directory",
        ),
        (
            ["--literals", "file"],
            "is there already; nothing is overwritten\n  help: name another file with `--literals`",
        ),
    ] {
        let done = import(&home, &both, &more);
        assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{}", done.stderr);
        assert!(done.stderr.contains(says), "{says}\n{}", done.stderr);
    }
    let done = home.finish(&["import", "/dev/null", "file"]);
    home.write("empty.yaml", "");
    let nothing = home.finish(&["import", "empty.yaml"]);
    let says = "error: there is nothing in the input (empty.yaml)\n  help: name files in YAML";
    assert!(nothing.stderr.contains(says), "{}", nothing.stderr);
    assert!(
        !done.stderr.contains("nothing in the input"),
        "{}",
        done.stderr
    );
    // Bug: beside others it was passed over, which is what a failed `kubectl get` leaves.
    let store = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: s, namespace: app}\n\
                 spec: {provider: {aws: {service: SecretsManager, region: eu-west-1}}}\n";
    home.write("store.yaml", store);
    let beside = home.finish(&["import", "store.yaml", "empty.yaml"]);
    assert_eq!(beside.code, Some(1), "{beside:?}");
    assert!(
        beside.stderr.contains("empty.yaml:1:1: file REFUSED"),
        "{beside:?}"
    );
    assert!(beside.stdout.contains("[stores."), "{beside:?}");
}
