//! `plan`: every verb for both kinds of targets, what it is told by, its exit codes, and that nothing is written.

mod against;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::support::daemon::{Finished, Home};
use crate::support::kubernetes::{Fault, Kubernetes, Rule, Verb};
use crate::support::leak::Markers;
use crate::support::secrets_manager::{Fault as StoreFault, SecretsManager};

const VALUE: &str = "MARKER-value-7d20c5e1";
const OTHER: &str = "MARKER-other-b1946ac9";

/// Of the JSON object in the secret of its name, every member a key.
fn entry(name: &str, targets: &str) -> String {
    format!(
        "[secrets.{name}]\nstore = \"prod\"\ndata_from = [{{ extract = {{ key = \"{name}\" }} }}]\n{targets}\n"
    )
}

fn secret(name: &str, more: &str) -> String {
    format!("[[secrets.{name}.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n{more}\n")
}

fn file(home: &Home, name: &str, more: &str) -> String {
    let path = home.quoted(&format!("targets/{name}"));
    format!("[[secrets.{name}.file]]\npath = {path}\n{more}\n")
}

fn object(pairs: &[(&str, &str)]) -> String {
    let pairs: BTreeMap<&str, &str> = pairs.iter().copied().collect();
    serde_json::to_string(&pairs).unwrap()
}

/// The line of a target: its word, and what changes.
fn line(done: &Finished, target: &str) -> (String, String) {
    let mut lines = done.stdout.lines();
    let found = lines.find(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|it| it.ends_with(target))
    });
    let found =
        found.unwrap_or_else(|| panic!("{target} is not in\n{}\n{}", done.stdout, done.stderr));
    let words: Vec<&str> = found.split_whitespace().collect();
    (words[0].to_owned(), words[3..].join(" "))
}

fn expect(done: &Finished, target: &str, word: &str, what: &str) {
    let expected = (word.to_owned(), what.to_owned());
    assert_eq!(line(done, target), expected, "{target}:\n{}", done.stdout);
}

/// Every file below, with content and modification time.
fn files(place: &Path) -> BTreeMap<String, (Vec<u8>, u32, i64, i64)> {
    let mut all = BTreeMap::new();
    for file in fs::read_dir(place)
        .into_iter()
        .flatten()
        .map(Result::unwrap)
    {
        let path = file.path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if let Ok(content) = fs::read(&path) {
            let found = fs::metadata(&path).unwrap();
            let of_file = (content, found.mode(), found.mtime(), found.mtime_nsec());
            all.insert(path.display().to_string(), of_file);
        }
    }
    all
}

/// Plans, and holds it to having written nothing.
fn plan(home: &Home, kubernetes: &Kubernetes, arguments: &[&str]) -> Finished {
    let (before, sent) = (files(&home.path("")), kubernetes.log().write_count());
    let done = home.finish(&[&["plan"], arguments].concat());
    assert_eq!(files(&home.path("")), before, "a file was touched");
    let log = kubernetes.log();
    assert!(
        log.writes().skip(sent).all(|write| write.dry_run),
        "{:?}",
        log.0
    );
    Markers::new([VALUE, OTHER]).absent("output", format!("{}{}", done.stdout, done.stderr));
    done
}

/// An entry for each thing that may become of a Secret.
fn seven(labels: &str) -> String {
    [
        entry("new", &secret("new", "labels = { team = \"a\" }")),
        entry("old", &secret("old", labels)),
        entry("same", &secret("same", "")),
        entry("foreign", &secret("foreign", "")),
        entry("taken", &secret("taken", "adopt = true")),
        entry("chart", &secret("chart", "creation_policy = \"merge\"")),
        entry("nowhere", &secret("nowhere", "creation_policy = \"merge\"")),
    ]
    .concat()
}

fn says(done: &Finished, texts: &[&str]) {
    for text in texts {
        assert!(
            done.stdout.contains(text),
            "{text} is not in\n{}",
            done.stdout
        );
    }
}

#[test]
fn secrets_are_created_updated_adopted_left_or_in_conflict() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let config = |labels: &str| aws.store("prod") + &kubernetes.cluster("main") + &seven(labels);
    for name in ["new", "old", "same", "foreign", "taken", "chart", "nowhere"] {
        aws.put(name, &object(&[("a", VALUE), ("b", OTHER)]));
    }
    for name in ["foreign", "taken", "chart"] {
        kubernetes.put_data("helm", "app", name, &[("own", "0")]);
    }
    home.configure(&config("labels = { team = \"a\", tier = \"x\" }"));
    assert_eq!(home.once(&["old", "same"]).code, Some(0));
    aws.put(
        "old",
        &object(&[("a", "MARKER-changed-c0ffee00"), ("c", VALUE)]),
    );
    home.configure(&config("labels = { team = \"b\", unit = \"y\" }"));
    let done = plan(&home, &kubernetes, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    expect(&done, "main/app/new", "create", "keys +a +b; labels +team");
    expect(
        &done,
        "main/app/old",
        "update",
        "keys +c ~a -b; labels +unit ~team -tier",
    );
    expect(&done, "main/app/same", "unchanged", "");
    expect(&done, "main/app/foreign", "conflict", "");
    let (word, what) = line(&done, "main/app/taken");
    assert_eq!(word, "adopt", "{}", done.stdout);
    assert!(what.starts_with("keys +a +b;"), "{what}");
    let (word, what) = line(&done, "main/app/chart");
    assert_eq!(word, "update", "{}", done.stdout);
    assert!(what.starts_with("keys +a +b;"), "{what}");
    expect(&done, "main/app/nowhere", "error", "");
    says(
        &done,
        &[
            "    foreign: the Secret exists and is not ours (conflict)\n    help: choose another name",
            "    nowhere: the Secret does not exist",
            "7 targets: 1 create, 2 update, 1 adopt, 1 unchanged, 1 conflict, 1 error\n",
        ],
    );
    // What was planned is what happens.
    assert_eq!(
        home.once(&["new", "old", "same", "taken", "chart"]).code,
        Some(0)
    );
    let done = plan(
        &home,
        &kubernetes,
        &["new", "old", "same", "taken", "chart"],
    );
    assert!(
        done.stdout.ends_with("5 targets: 5 unchanged\n"),
        "{}",
        done.stdout
    );
}

#[test]
fn files_are_created_updated_adopted_left_or_in_conflict() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let json = "format = \"json\"";
    let config = [
        aws.store("prod"),
        entry("new", &file(&home, "new", json)),
        entry("old", &file(&home, "old", json)),
        entry("env", &file(&home, "env", "format = \"dotenv\"")),
        entry("same", &file(&home, "same", json)),
        entry("open", &file(&home, "open", json)),
        entry("foreign", &file(&home, "foreign", json)),
        entry(
            "taken",
            &file(&home, "taken", "format = \"json\"\nadopt = true"),
        ),
        entry("link", &file(&home, "link", json)),
        entry("set", &file(&home, "set", "format = \"directory\"")),
        entry("empty", &file(&home, "empty", "format = \"directory\"")),
        entry("full", &file(&home, "full", "format = \"directory\"")),
    ];
    home.configure(&config.concat());
    for name in [
        "new", "old", "env", "same", "open", "foreign", "taken", "link", "set", "empty", "full",
    ] {
        aws.put(name, &object(&[("a", VALUE), ("b", OTHER)]));
    }
    home.write("targets/foreign", object(&[("x", "1")]));
    home.write("targets/taken", object(&[("a", VALUE), ("x", "1")]));
    std::os::unix::fs::symlink(home.path("targets/foreign"), home.path("targets/link")).unwrap();
    assert_eq!(
        home.once(&["old", "env", "same", "open", "set"]).code,
        Some(0)
    );
    home.write("targets/full/a", "theirs");
    fs::create_dir(home.path("targets/empty")).unwrap();
    for name in ["old", "env", "set"] {
        aws.put(
            name,
            &object(&[("a", "MARKER-changed-c0ffee00"), ("c", VALUE)]),
        );
    }
    let open = home.path("targets/open");
    fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    let done = plan(&home, &kubernetes, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    expect(&done, "targets/new", "create", "keys +a +b");
    expect(&done, "targets/old", "update", "keys +c ~a -b");
    expect(&done, "targets/env", "update", "keys +c -b");
    expect(&done, "targets/same", "unchanged", "");
    expect(&done, "targets/open", "update", "mode 0644 to 0600");
    expect(&done, "targets/foreign", "conflict", "");
    expect(&done, "targets/taken", "adopt", "keys +b -x");
    expect(&done, "targets/link", "conflict", "");
    expect(&done, "targets/set", "update", "keys +c ~a -b");
    expect(&done, "targets/empty", "create", "keys +a +b");
    expect(&done, "targets/full", "conflict", "");
    assert!(
        done.stdout.contains("is a symbolic link"),
        "{}",
        done.stdout
    );
}

#[test]
fn exit_codes_tell_change_from_no_change_from_trouble() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let json = "format = \"json\"";
    home.configure(&[aws.store("prod"), entry("db", &file(&home, "db", json))].concat());
    aws.put("db", &object(&[("a", VALUE)]));
    let code = |arguments: &[&str]| plan(&home, &kubernetes, arguments).code;
    assert_eq!(
        (code(&[]), code(&["--detailed-exitcode"])),
        (Some(0), Some(2))
    );
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(
        (code(&[]), code(&["--detailed-exitcode"])),
        (Some(0), Some(0))
    );
    assert_eq!(code(&["dbb"]), Some(64));
    aws.fail("db", StoreFault::AccessDenied);
    assert_eq!(
        (code(&[]), code(&["--detailed-exitcode"])),
        (Some(1), Some(1))
    );
    let done = plan(&home, &kubernetes, &["db"]);
    expect(&done, "targets/db", "error", "");
    assert!(
        done.stdout.contains("(access_denied)\n    help: "),
        "{}",
        done.stdout
    );
    home.configure("[stores.x.nothing]\n");
    assert_eq!(code(&[]), Some(78));
}

#[test]
fn it_works_beside_a_running_daemon_and_without_a_state() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            entry(
                "db",
                &[secret("db", ""), file(&home, "db", "format = \"json\"")].concat(),
            ),
            entry("off", &file(&home, "off", "format = \"json\""))
                .replace("store =", "suspend = true\nstore ="),
            entry("one", &file(&home, "one", "format = \"json\""))
                .replace("store =", "refresh_policy = \"created_once\"\nstore ="),
        ]
        .concat(),
    );
    for name in ["db", "off", "one"] {
        aws.put(name, &object(&[("a", VALUE)]));
    }
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    daemon.wait_state("one", "fresh");
    let reads = aws.log().read_count("one");
    let done = home.finish(&["plan"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    expect(&done, "main/app/db", "unchanged", "");
    expect(&done, "targets/db", "unchanged", "");
    expect(&done, "targets/off", "suspended", "");
    expect(&done, "targets/one", "unchanged", "");
    assert_eq!(aws.log().read_count("one"), reads, "it was delivered once");
    assert_eq!(daemon.stop(), Some(0));
    // Another value upstream: the ledger proves that the file is ours, the Secret proves it itself.
    aws.put("db", &object(&[("a", OTHER)]));
    let done = plan(&home, &kubernetes, &["db"]);
    expect(&done, "main/app/db", "update", "keys ~a");
    expect(&done, "targets/db", "update", "keys ~a");
    fs::rename(home.path("state"), home.path("state-aside")).unwrap();
    let done = plan(&home, &kubernetes, &["db"]);
    assert!(!home.path("state").exists());
    let (word, what) = line(&done, "main/app/db");
    assert_eq!((&*word, &*what), ("update", "keys ~a"), "{}", done.stdout);
    expect(&done, "targets/db", "conflict", "");
    // A state that cannot be read is said, and that less is known without it.
    fs::create_dir(home.path("state")).unwrap();
    home.write("state/fingerprint.key", "short");
    let done = plan(&home, &kubernetes, &["db"]);
    assert!(done.stderr.contains("warning: state"), "{}", done.stderr);
}

#[test]
fn what_shares_a_secret_is_read_once_and_in_batches() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let mut config = aws.store("prod") + &kubernetes.cluster("main");
    for n in 0..40 {
        let name = format!("e{n}");
        let own = entry(&name, &secret(&name, ""));
        config += &own.replace(
            &format!("key = \"{name}\""),
            &format!("key = \"s{}\"", n % 20),
        );
        aws.put(&format!("s{}", n % 20), &object(&[("a", VALUE)]));
    }
    home.configure(&config);
    let done = plan(&home, &kubernetes, &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stdout.ends_with("40 targets: 40 create\n"),
        "{}",
        done.stdout
    );
    assert_eq!(aws.log().0.len(), 1, "twenty secrets are one call");
}

#[test]
fn what_was_read_already_is_not_read_again_for_a_find() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    for name in ["app/one", "app/two"] {
        aws.put(name, &object(&[("a", VALUE)]));
    }
    let find = entry("b", &file(&home, "b", "format = \"json\""))
        .replace("extract = { key = \"b\" }", "find = { path = \"app/\" }");
    let direct = entry("a", &file(&home, "a", "format = \"json\""))
        .replace("key = \"a\"", &format!("key = \"{}\"", aws.arn("app/one")));
    home.configure(&[aws.store("prod"), direct, find].concat());
    let done = plan(&home, &kubernetes, &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    expect(&done, "targets/a", "create", "keys +a");
    expect(&done, "targets/b", "create", "keys +app_one +app_two");
    let log = aws.log();
    assert_eq!(
        (log.read_count("app/one"), log.read_count("app/two")),
        (1, 1)
    );
}

#[test]
fn a_template_is_rendered_and_one_that_fails_is_an_error() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let template = |name: &str, text: &str| {
        let own = entry(name, &secret(name, ""));
        format!("{own}[secrets.{name}.template]\ndata = {{ url = \"{text}\" }}\n")
    };
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            template("good", "x://{{ a }}"),
            template("bad", "x://{{ data['nope'] }}"),
        ]
        .concat(),
    );
    for name in ["good", "bad"] {
        aws.put(name, &object(&[("a", VALUE)]));
    }
    let done = plan(&home, &kubernetes, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    expect(&done, "main/app/good", "create", "keys +url");
    expect(&done, "main/app/bad", "error", "");
    assert!(done.stdout.contains("(template)"), "{}", done.stdout);
}

#[test]
fn what_the_cluster_would_refuse_is_heard_and_names_no_value() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let other = secret("elsewhere", "").replace("\"app\"", "\"missing\"");
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            entry("db", &secret("db", "")),
            entry("elsewhere", &other),
        ]
        .concat(),
    );
    for name in ["db", "elsewhere"] {
        aws.put(name, &object(&[("a", VALUE)]));
    }
    for (fault, says) in [
        (
            Fault::Forbidden,
            "does not let us create secrets in namespace `app`",
        ),
        (Fault::Invalid, "does not accept"),
    ] {
        kubernetes.fail(Rule::namespace("app").verb(Verb::Create), fault);
        let done = plan(&home, &kubernetes, &[]);
        assert_eq!(done.code, Some(1), "{done:?}");
        expect(&done, "main/app/db", "error", "");
        expect(&done, "main/missing/elsewhere", "error", "");
        for says in [says, "namespace `missing` does not exist"] {
            assert!(
                done.stdout.contains(says),
                "{says} is not in\n{}",
                done.stdout
            );
        }
        kubernetes.heal();
    }
    assert!(kubernetes.log().writes().any(|write| write.dry_run));
    assert!(kubernetes.object("app", "db").is_none());
}

#[test]
fn a_dead_cluster_holds_up_nobody_and_is_asked_few_times() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let dead = Kubernetes::start();
    dead.fail(Rule::any(), Fault::Close);
    let mut config = aws.store("prod") + &kubernetes.cluster("main") + &dead.cluster("dead");
    for n in 0..60 {
        let name = format!("e{n}");
        let both = secret(&name, "") + &secret(&name, "").replace("\"main\"", "\"dead\"");
        config += &entry(&name, &both);
        aws.put(&name, &object(&[("a", VALUE)]));
    }
    home.configure(&config);
    let done = plan(&home, &kubernetes, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    for n in 0..60 {
        expect(&done, &format!("main/app/e{n}"), "create", "keys +a");
        expect(&done, &format!("dead/app/e{n}"), "error", "");
    }
    let calls = dead.log().0.len();
    assert!(calls < 60, "{calls} calls to a dead cluster");
    assert!(
        done.stdout.ends_with("120 targets: 60 create, 60 error\n"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_store_that_refuses_everybody_is_asked_once() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let mut config = aws.store("prod") + &kubernetes.cluster("main");
    for n in 0..200 {
        let name = format!("e{n}");
        config += &entry(&name, &secret(&name, ""));
        aws.put(&name, &object(&[("a", VALUE)]));
    }
    home.configure(&config);
    aws.fail_all(StoreFault::UnrecognizedClient);
    let done = plan(&home, &kubernetes, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stdout.ends_with("200 targets: 200 error\n"),
        "{}",
        done.stdout
    );
    let calls = aws.log().0.len();
    assert!(calls <= 4, "{calls} calls");
    assert!(kubernetes.log().0.is_empty());
}
