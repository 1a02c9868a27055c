//! The page of metrics of a daemon to which everything has happened that is easily made to happen.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Kubernetes, Login};
use crate::support::secrets_manager::SecretsManager;
use crate::support::sts::Sts;
use crate::support::suite::{self, in_ci};
use crate::support::wait::wait_until;

const SUITE: &str = "promtool on the page of metrics";
const ROLE: &str = "arn:aws:iam::123456789012:role/read";
const UNDELIVERED: &str = "secretsyncd_undelivered_version_created_timestamp_seconds";
const EXPIRE: &str = "secretsyncd_credentials_expire_timestamp_seconds";
const ENTRIES: [&str; 8] = [
    "good", "acts", "absent", "part", "late", "theirs", "secret", "asleep",
];

struct Scene {
    aws: SecretsManager,
    sts: Sts,
    kubernetes: Kubernetes,
    home: Home,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            aws: SecretsManager::start(),
            sts: Sts::start(),
            kubernetes: Kubernetes::start(),
            home: Home::new(),
        };
        for name in ["good", "acts", "part", "theirs", "secret", "asleep"] {
            scene.aws.put(name, r#"{"v":"first"}"#);
        }
        scene.aws.put("part-other", "other");
        scene.aws.put("late", r#"{"v":"first"}"#);
        let theirs = [("mine", "theirs")];
        scene
            .kubernetes
            .put_data("somebody", "app", "theirs", &theirs);
        scene
    }

    fn entry(&self, name: &str) -> String {
        let more = match name {
            "asleep" => "suspend = true\n",
            _ => "",
        };
        let other = match name {
            "part" => {
                "\n  { secret_key = \"o\", on_missing = \"keep_last\", remote_ref = { key = \"part-other\" } },"
            }
            _ => "",
        };
        let target = match name {
            "secret" | "theirs" => {
                format!("[[secrets.{name}.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n")
            }
            _ => format!(
                "[[secrets.{name}.file]]\npath = {}\nformat = \"json\"\n{}",
                self.home.quoted(&format!("targets/{name}")),
                match name {
                    "acts" => "on_change = { command = [\"/bin/false\"], debounce = \"100ms\" }\n",
                    _ => "",
                }
            ),
        };
        format!(
            "[secrets.{name}]
store = \"prod\"
refresh_interval = \"10s\"
{more}data = [
  {{ secret_key = \"v\", remote_ref = {{ key = \"{name}\", property = \"v\" }} }},{other}
]
{target}"
        )
    }

    fn tables(&self, entries: &[&str]) -> String {
        let kubeconfig = self.kubernetes.kubeconfig(Login::CertificateInline);
        let entries = entries.iter().map(|name| self.entry(name));
        format!(
            "{}[stores.prod.aws_secrets_manager.auth]\nsts_endpoint_url = \"{}\"\nrole_arn = \"{ROLE}\"\n[clusters.main]\nkubeconfig = {:?}\n{}",
            self.aws.store("prod"),
            self.sts.endpoint(),
            kubeconfig.display().to_string(),
            entries.collect::<String>()
        )
    }

    /// A daemon to which it has all happened.
    fn start(&self, daemon: &str) -> Daemon<'_> {
        let tables = daemon.to_owned() + &self.tables(&ENTRIES);
        self.home.configure(&tables);
        let daemon = self.home.start_ready();
        for name in ["good", "part", "late", "secret"] {
            daemon.wait_state(name, "fresh");
        }
        self.aws.put("good", r#"{"v":"second"}"#);
        self.aws.put("late", r#"{"w":"without what is wanted"}"#);
        self.aws.schedule_deletion("part-other");
        self.home.finish(&["sync", "--all"]);
        wait_until(PATIENCE, "the second version", || {
            let text = self.home.read_text("targets/good");
            text.is_some_and(|text| text.contains("second"))
        });
        daemon.wait_state("late", "failing");
        daemon.wait_state("part", "partial");
        daemon.wait_state("theirs", "failing");
        self.home.write("targets/good", "somebody was here");
        wait_until(PATIENCE, "a repair and a failed action", || {
            let metrics = daemon.metrics();
            let pending = metrics.value("secretsyncd_actions_pending", &[]);
            metrics.value("secretsyncd_drift_repairs_total", &[]) > 0.5 && pending > 0.5
        });
        self.home.configure(&tables.replace("\"10s\"", "\"10x\""));
        wait_until(PATIENCE, "a refused reload", || {
            let good = daemon.metrics();
            good.value("secretsyncd_config_last_reload_successful", &[]) < 0.5
        });
        wait_until(PATIENCE, "credentials that end", || {
            let metrics = daemon.metrics();
            let of = |kind| metrics.sum(EXPIRE, &[("kind", kind)]);
            of("store").is_some() && of("cluster").is_some()
        });
        self.home.configure(&tables);
        daemon
    }
}

fn has_promtool() -> bool {
    let mut command = Command::new("promtool");
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What `promtool check metrics` says, and with which code.
fn judged(page: &str) -> (Option<i32>, String) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn promtool_is_silent(scene: &Scene, daemon: &str) {
    let daemon = scene.start(daemon);
    let page = daemon.page("/metrics");
    assert_eq!(judged(&page), (Some(0), String::new()), "{page}");
    // It does look: this is a counter without `_total`.
    let wrong = page.replace("syncs_total", "syncs");
    assert_ne!(judged(&wrong), (Some(0), String::new()));
}

#[test]
fn promtool_has_nothing_to_say() {
    let scenarios: [suite::Scenario<Scene>; 2] = [
        ("with series for each entry", |scene| {
            promtool_is_silent(scene, "");
        }),
        ("without", |scene| {
            promtool_is_silent(scene, "per_secret_metrics = false\n");
        }),
    ];
    if has_promtool() {
        for scenario in scenarios {
            suite::run(SUITE, &[scenario], &Scene::new());
        }
    } else {
        assert!(!in_ci(), "promtool is not installed");
        suite::not_run(SUITE, scenarios.len(), "promtool is not installed");
    }
}

#[test]
fn what_was_is_kept_over_a_restart_and_goes_with_what_is_gone() {
    let scene = Scene::new();
    let daemon = scene.start("");
    let metrics = daemon.metrics();
    let refused = [("target_kind", "kubernetes"), ("result", "refused")];
    assert!(metrics.value("secretsyncd_target_writes_total", &refused) > 0.5);
    let success = "secretsyncd_last_success_timestamp_seconds";
    assert_eq!(metrics.sum(success, &[("secret", "absent")]), None);
    assert_eq!(metrics.sum(UNDELIVERED, &[("secret", "good")]), None);
    let of_late = |daemon: &Daemon<'_>| {
        let metrics = daemon.metrics();
        [success, UNDELIVERED].map(|name| metrics.sum(name, &[("secret", "late")]))
    };
    let before = of_late(&daemon);
    assert!(
        before.iter().all(|time| time.is_some_and(|it| it > 1e9)),
        "{before:?}"
    );
    daemon.stop();
    let daemon = scene.home.start_ready();
    assert_eq!(of_late(&daemon), before);
    let next = "secretsyncd_next_sync_timestamp_seconds";
    assert!(daemon.metrics().value(next, &[("secret", "late")]) > 1e9);

    let others = scene.tables(&["good"]).replace("prod", "other");
    scene
        .home
        .configure(&others.replace("clusters.main", "clusters.next"));
    wait_until(PATIENCE, "a page without what is gone", || {
        let page = daemon.page("/metrics");
        let gone = ["\"prod\"", "\"main\"", "\"late\"", "\"secret\""];
        page.contains("\"next\"") && !gone.iter().any(|name| page.contains(name))
    });
    wait_until(PATIENCE, "the end of its credentials", || {
        let of_other = [("kind", "store"), ("name", "other")];
        daemon.metrics().sum(EXPIRE, &of_other).is_some()
    });
}
