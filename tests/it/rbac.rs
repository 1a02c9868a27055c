//! `rbac` and the part of `check --online` that asks clusters: what is printed is enough, each part of it is needed, and
//! what is missing is named.

use crate::support::daemon::{Finished, Home, SECRET_ACCESS_KEY, free_port};
use crate::support::kubernetes::{Fault, Grant, Grants, Kubernetes, Rule};
use crate::support::leak::Markers;
use crate::support::secrets_manager::SecretsManager;

const VALUE: &str = "MARKER-value-4c9b07d2";

/// A store whose keys are in a Secret, a Secret of ours, one that we merge into, and one in another namespace.
fn scene(home: &Home, aws: &SecretsManager, kubernetes: &Kubernetes) {
    let key = |key: &str| {
        format!(
            "{{ kubernetes = {{ cluster = \"main\", namespace = \"ops\", name = \"aws\", key = \"{key}\" }} }}"
        )
    };
    let auth = format!(
        "[stores.prod.aws_secrets_manager.auth]\naccess_key_id = {}\nsecret_access_key = {}\n\n",
        key("id"),
        key("secret")
    );
    let entry = |name: &str, place: &str| {
        format!(
            "[secrets.{name}]\nstore = \"prod\"\ndata = [{{ secret_key = \"{name}\", remote_ref = {{ key = \"{name}\" }} }}]\n\
             [[secrets.{name}.kubernetes]]\ncluster = \"main\"\n{place}\n"
        )
    };
    home.configure(
        &[
            aws.store("prod"),
            auth,
            kubernetes.cluster("main"),
            entry("db", "namespace = \"app\""),
            entry("chart", "namespace = \"app\"\ncreation_policy = \"merge\""),
            entry("web", "namespace = \"reporting\""),
        ]
        .concat(),
    );
    for namespace in ["ops", "reporting"] {
        kubernetes.create_namespace(namespace);
    }
    let keys = [
        ("id", "AKIAINTEGRATIONTESTS"),
        ("secret", SECRET_ACCESS_KEY),
    ];
    kubernetes.put_data("helm", "ops", "aws", &keys);
    kubernetes.put_data("helm", "app", "chart", &[("theirs", "x")]);
    for name in ["db", "chart", "web"] {
        aws.put(name, VALUE);
    }
}

fn printed(home: &Home) -> Grants {
    let done = home.finish(&["rbac", "--user", "sync"]);
    assert_eq!((done.code, &*done.stderr), (Some(0), ""), "{done:?}");
    Grants::read(&done.stdout)
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

/// Everything that has to be done: making, changing, and putting back.
fn all_work(
    home: &Home,
    aws: &SecretsManager,
    kubernetes: &Kubernetes,
    value: &str,
) -> Vec<Finished> {
    let made = home.once(&[]);
    for name in ["db", "chart", "web"] {
        aws.put(name, value);
    }
    let changed = home.once(&[]);
    for (namespace, name) in [("app", "db"), ("reporting", "web")] {
        if kubernetes.data(namespace, name).is_some() {
            kubernetes.delete(namespace, name);
        }
    }
    vec![made, changed, home.once(&[])]
}

#[test]
fn what_rbac_prints_is_enough_and_nothing_of_it_is_too_much() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    scene(&home, &aws, &kubernetes);
    let grants = printed(&home);
    kubernetes.grant(&grants);
    for done in all_work(&home, &aws, &kubernetes, "second") {
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    // The running daemon looks for drift, too.
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(grants.0.len(), 9, "{grants:?}");
    for (n, grant) in grants.0.iter().enumerate() {
        kubernetes.grant(&grants.without(grant));
        let work = all_work(&home, &aws, &kubernetes, &format!("value {n}"));
        let failed: Vec<&Finished> = work.iter().filter(|done| done.code != Some(0)).collect();
        assert!(!failed.is_empty(), "without {grant:?} everything is done");
        let named = |done: &&Finished| done.stdout.contains(&*told(grant));
        assert!(failed.iter().any(named), "{grant:?}: {failed:#?}");
    }
}

/// What the failure of a write or look says that lacks this.
fn told(grant: &Grant) -> String {
    let namespace = grant.namespace.as_deref().unwrap();
    match (&*grant.verb, grant.name.as_deref()) {
        ("create", None) => {
            format!("does not let us create secrets in namespace `{namespace}`")
        }
        ("patch", Some(_)) => format!("grant `patch` on `secrets` in namespace `{namespace}`"),
        ("get", Some("aws")) => "does not let us get Secret `ops/aws`".to_owned(),
        ("get", Some(name)) => format!("does not let us get Secret `{namespace}/{name}`"),
        other => panic!("{other:?} is not expected"),
    }
}

#[test]
fn the_binding_names_whom_the_options_say_or_tells_to_fill_it_in() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    scene(&home, &aws, &kubernetes);
    let unsaid = home.finish(&["rbac"]);
    assert_eq!(unsaid.code, Some(0));
    assert!(
        unsaid.stderr.contains("--service-account"),
        "{}",
        unsaid.stderr
    );
    says(&unsaid, &["\"FILL-IN\"", "kind: RoleBinding"]);
    let account = home.finish(&["rbac", "--service-account", "ops:sync", "--cluster", "main"]);
    says(
        &account,
        &[
            "kind: ServiceAccount",
            "namespace: \"ops\"",
            "name: \"sync\"",
        ],
    );
    assert_eq!(
        home.finish(&["rbac", "--group", "g", "--user", "u"]).code,
        Some(64)
    );
    assert_eq!(
        home.finish(&["rbac", "--service-account", "sync"]).code,
        Some(64)
    );
    let unknown = home.finish(&["rbac", "--cluster", "mian"]);
    assert_eq!(unknown.code, Some(64));
    assert!(
        unknown.stderr.contains("did you mean `main`"),
        "{}",
        unknown.stderr
    );
    assert!(kubernetes.log().0.is_empty() && aws.log().0.is_empty());
}

#[test]
fn a_cluster_that_allows_everything_needed_is_in_order() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    scene(&home, &aws, &kubernetes);
    kubernetes.grant(&printed(&home));
    let done = home.finish(&["check", "--online"]);
    says(
        &done,
        &["cluster main: reached, 9 of 9 permissions granted\n"],
    );
    // STS, which names the identity, is not there; the reads are answered all the same.
    assert_eq!(done.code, Some(0), "{done:?}");
    let log = kubernetes.log();
    let writes = log
        .writes()
        .filter(|it| !it.dry_run && !it.namespace.is_empty());
    assert_eq!(writes.count(), 0);
    assert!(!home.path("state").exists());
    assert!(kubernetes.data("app", "db").is_none());
    Markers::new([VALUE, SECRET_ACCESS_KEY]).absent("output", done.stdout + &done.stderr);
}

#[test]
fn what_is_not_allowed_is_named_with_what_it_is_for() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    scene(&home, &aws, &kubernetes);
    let mut grants = printed(&home);
    grants
        .0
        .retain(|it| !(it.verb == "create" && it.namespace.as_deref() == Some("app")));
    grants.0.retain(|it| it.name.as_deref() != Some("chart"));
    kubernetes.grant(&grants);
    let done = home.finish(&["check", "--online"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    says(
        &done,
        &[
            "cluster main: reached, 6 of 9 permissions granted\n",
            "  not allowed: `create` on `secrets` in namespace `app`\n    needed: to make a Secret that is not there; by entry db\n",
            "  not allowed: `get` on `secrets` in namespace `app`: `chart`\n",
            "  not allowed: `patch` on `secrets` in namespace `app`: `chart`\n",
            "`secretsyncd rbac --cluster main`",
        ],
    );
    assert!(
        !done.stdout.contains("namespace `reporting`"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_namespace_or_a_foreign_secret_that_is_not_there_is_named() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    scene(&home, &aws, &kubernetes);
    kubernetes.delete("app", "chart");
    let config = home.read_text("secretsyncd.toml").unwrap();
    home.configure_whole(&config.replace("\"reporting\"", "\"reprting\""));
    kubernetes.grant(&printed(&home));
    let done = home.finish(&["check", "--online"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    says(
        &done,
        &[
            "9 of 9 permissions granted",
            "namespace `reprting` does not exist in cluster `main`",
            "Secret `app/chart` does not exist",
        ],
    );
}

#[test]
fn a_dead_cluster_is_said_once_and_the_other_is_asked() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    let entry = |name: &str, cluster: &str| {
        format!(
            "[secrets.{name}]\nstore = \"prod\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"{name}\" }} }}]\n\
             [[secrets.{name}.kubernetes]]\ncluster = \"{cluster}\"\nnamespace = \"app\"\n"
        )
    };
    let token = home.write("token", "x");
    let dead = format!(
        "[clusters.dead]\nserver = \"https://127.0.0.1:{}\"\ntoken_file = {token:?}\n\n",
        free_port()
    );
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("main"),
            dead,
            entry("a", "dead"),
            entry("b", "dead"),
            entry("c", "main"),
        ]
        .concat(),
    );
    for name in ["a", "b", "c"] {
        aws.put(name, VALUE);
    }
    let done = home.finish(&["check", "--online"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    says(
        &done,
        &[
            "cluster dead: given up, 0 of 5",
            "cluster main: reached, 3 of 3",
        ],
    );
    assert_eq!(
        done.stdout.matches("refuses connections").count(),
        1,
        "{}",
        done.stdout
    );
    // Credentials that are not accepted, and an answer to another question.
    for (fault, says) in [
        (Fault::Unauthorized, "credentials:"),
        (Fault::OtherObject, "malformed:"),
    ] {
        kubernetes.fail(Rule::any(), fault);
        let done = home.finish(&["check", "--online"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        let about_main = done.stdout.split("cluster main: ").nth(1).unwrap();
        assert!(
            about_main.starts_with("given up") && about_main.contains(says),
            "{about_main}"
        );
        kubernetes.heal();
    }
}
