//! `plan --against`: what would be written beside another Secret that is there.

use serde_json::json;

use super::{OTHER, VALUE, entry, file, object, plan, secret};
use crate::support::daemon::{Finished, Home};
use crate::support::kubernetes::{Fault, Kubernetes, Rule, Verb, encoded};
use crate::support::secrets_manager::{Fault as StoreFault, SecretsManager};

/// Compares, and holds it to have sent no write at all, not even for trial.
fn against(home: &Home, kubernetes: &Kubernetes, arguments: &[&str]) -> Finished {
    let sent = kubernetes.log().write_count();
    let done = plan(home, kubernetes, arguments);
    assert_eq!(
        kubernetes.log().write_count(),
        sent,
        "{:?}",
        kubernetes.log().0
    );
    done
}

#[test]
fn keys_are_compared_with_what_another_controller_delivers_and_nothing_is_sent() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let config = [
        aws.store("prod"),
        kubernetes.cluster("main"),
        entry("db", &secret("db", "labels = { team = \"a\" }"))
            .replace("store =", "suspend = true\nstore ="),
    ];
    home.configure(&config.concat());
    aws.put(
        "db",
        &format!("{{\"a\":\"{VALUE}\",\"b\":\"{VALUE}\",\"c\":\"{VALUE}\",\"o\":{{\"x\": 1}}}}"),
    );
    let theirs = [("a", VALUE), ("b", OTHER), ("d", OTHER), ("o", "{\"x\":1}")];
    kubernetes.put(
        "externalsecrets.external-secrets.io/db",
        "app",
        "db-old",
        json!({
            "type": "example.com/odd",
            "data": encoded(&theirs),
            "metadata": {
                "labels": { "team": "a", "reconcile.external-secrets.io/managed": "true" },
                "annotations": { "reconcile.external-secrets.io/data-hash": "MARKER-hash" },
            },
        }),
    );
    let done = against(&home, &kubernetes, &["db", "--against", "app/db-old"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        done.stdout,
        "\
equal       key         a
different   key         b
only here   key         c
only there  key         d
different   key         o  the same JSON, written differently: see `json_format`
different   type        Opaque, there example.com/odd
only there  label       reconcile.external-secrets.io/managed
equal       label       team
only there  annotation  reconcile.external-secrets.io/data-hash
main/app/db against app/db-old: keys: 1 equal, 2 different, 1 only here, 1 only there
"
    );
    assert!(kubernetes.object("app", "db").is_none());
    let detailed = ["db", "--against", "app/db-old", "--detailed-exitcode"];
    assert_eq!(against(&home, &kubernetes, &detailed).code, Some(2));
}

#[test]
fn json_format_makes_equal_what_kes_wrote() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("db", r#"{"n":1.0,"o":{"2": null, "1": [ 1e21 ]},"z":null}"#);
    let theirs = [
        ("n", "1"),
        ("o", r#"{"1":[1e+21],"2":null}"#),
        ("z", "null"),
    ];
    kubernetes.put_data("unknown", "app", "db", &theirs);
    let compared = |format: &str| {
        let entry = entry("db", &secret("db", ""));
        let entry = entry.replace("store =", &format!("{format}store ="));
        home.configure(&[aws.store("prod"), kubernetes.cluster("main"), entry].concat());
        against(
            &home,
            &kubernetes,
            &["db", "--against", "app/db", "--detailed-exitcode"],
        )
    };
    let raw = compared("");
    assert_eq!(raw.code, Some(2), "{raw:?}");
    assert!(
        raw.stdout.ends_with("keys: 3 different\n"),
        "{}",
        raw.stdout
    );
    let kes = compared("json_format = \"kes\"\n");
    assert_eq!(kes.code, Some(0), "{kes:?}");
    assert!(kes.stdout.ends_with("keys: 3 equal\n"), "{}", kes.stdout);
}

#[test]
fn what_is_to_be_compared_is_one_secret_and_else_it_is_asked_for() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let two = secret("two", "") + &secret("two", "").replace("\"app\"", "\"web\"");
    let config = [
        aws.store("prod"),
        kubernetes.cluster("main"),
        entry("two", &two),
        entry("none", &file(&home, "none", "format = \"json\"")),
    ];
    home.configure(&config.concat());
    aws.put("two", &object(&[("a", VALUE)]));
    kubernetes.put_data("helm", "app", "old", &[("a", VALUE)]);
    let said = |arguments: &[&str]| {
        let done = against(&home, &kubernetes, arguments);
        (done.code, done.stdout + &done.stderr)
    };
    for (arguments, says) in [
        (&["--against", "app/old"][..], "compares one entry"),
        (
            &["two", "none", "--against", "app/old"],
            "compares one entry",
        ),
        (&["twoo", "--against", "app/old"], "did you mean `two`?"),
        (&["none", "--against", "app/old"], "delivers to no Secret"),
        (
            &["two", "--against", "app/old"],
            "choose one by `--target`: main/app/two, main/web/two",
        ),
        (
            &["two", "--against", "app/old", "--target", "main/app/old"],
            "does not deliver to that Secret",
        ),
        (&["two", "--against", "old"], "expected NAMESPACE/NAME"),
        (
            &["two", "--against", "Main/app/old"],
            "expected NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME",
        ),
        (&["two", "--target", "main/app/two"], "--against"),
    ] {
        let (code, text) = said(arguments);
        assert_eq!(code, Some(64), "{arguments:?}: {text}");
        assert!(text.contains(says), "{says} is not in\n{text}");
    }
    let chosen = ["two", "--against", "app/old", "--target", "main/web/two"];
    let (code, text) = said(&chosen);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("main/web/two against app/old: keys: 1 equal"),
        "{text}"
    );
}

/// As `plan` lists targets, and people copy them from there.
#[test]
fn the_cluster_may_be_said_and_is_the_targets_own() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let target = secret("db", "").replace("main", "eu/main");
    let config = [
        aws.store("prod"),
        kubernetes.cluster("\"eu/main\""),
        kubernetes.cluster("main"),
        entry("db", &target),
    ];
    home.configure(&config.concat());
    aws.put("db", &object(&[("a", VALUE)]));
    kubernetes.put_data("helm", "app", "old", &[("a", VALUE)]);
    let done = against(&home, &kubernetes, &["db", "--against", "eu/main/app/old"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let compared = "eu/main/app/db against eu/main/app/old: keys: 1 equal\n";
    assert!(done.stdout.ends_with(compared), "{done:?}");
    for other in ["main/app/old", "nowhere/app/old"] {
        let done = against(&home, &kubernetes, &["db", "--against", other]);
        assert_eq!((done.code, &*done.stdout), (Some(64), ""), "{done:?}");
        let fact = format!(
            "error: entry `db` delivers to `eu/main/app/db`, and `{other}` is in another cluster\n  help: name a Secret of \
             the same cluster: `--against app/old`"
        );
        assert!(done.stderr.contains(&fact), "{}", done.stderr);
    }
}

#[test]
fn what_cannot_be_read_is_an_error_and_names_no_value() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let config = [
        aws.store("prod"),
        kubernetes.cluster("main"),
        entry("db", &secret("db", "")),
    ];
    home.configure(&config.concat());
    aws.put("db", &object(&[("a", VALUE)]));
    let fails = |says: &str| {
        let done = against(&home, &kubernetes, &["db", "--against", "app/old"]);
        assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{done:?}");
        assert!(
            done.stderr.contains(says),
            "{says} is not in\n{}",
            done.stderr
        );
    };
    fails("there is no Secret `old` in namespace `app` of cluster `main`");
    kubernetes.put_data("helm", "app", "old", &[("a", OTHER)]);
    kubernetes.fail(Rule::namespace("app").verb(Verb::Get), Fault::Forbidden);
    fails("(target_denied)");
    kubernetes.heal();
    aws.fail("db", StoreFault::AccessDenied);
    fails("(access_denied)");
}

/// It was said that the entry delivers to no Secret.
#[test]
fn a_selector_without_a_cluster_to_ask_is_no_entry_without_secrets() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let absent = format!(
        "[clusters.main]\nkubeconfig = {}\n",
        home.quoted("not-there")
    );
    let selected =
        secret("db", "").replace("namespace = \"app\"", "namespace_selector = \"team=a\"");
    assert!(selected.contains("selector"), "{selected}");
    home.configure(&[aws.store("prod"), absent, entry("db", &selected)].concat());
    let done = home.finish(&["plan", "db", "--against", "app/old"]);
    assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{done:?}");
    let fact = "error: db: which namespaces main/{team=a}/db is for is not known: the kubeconfig";
    assert!(done.stderr.contains(fact), "{}", done.stderr);
    // Nor is it said twice: the log does not say what the answer says.
    assert!(!done.stderr.contains("WARN"), "{}", done.stderr);
    // It is the file that is to be seen to, not what is in it.
    assert!(done.stderr.contains("does not exist"), "{}", done.stderr);
    let next = "help: set `kubeconfig` of the cluster to a file that is on this machine";
    assert!(done.stderr.contains(next), "{}", done.stderr);
    let planned = home.finish(&["plan", "db"]);
    assert!(!planned.stderr.contains("WARN"), "{}", planned.stderr);
    assert!(
        planned.stderr.contains("the kubeconfig of cluster `main`"),
        "{}",
        planned.stderr
    );
}
