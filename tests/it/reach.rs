//! Every way into a cluster, through the front door; and what happens when one is barred.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::daemon::{Home, PATIENCE, SECRET_ACCESS_KEY, free_port};
use crate::support::eks::Eks;
use crate::support::kubernetes::{Fault, Kubernetes, Rule, TOKEN};
use crate::support::leak::Markers;
use crate::support::proxy::Proxy;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

const VALUE: &str = "MARKER-secret-value-93ab20f7";
const GIVEN: &str = "MARKER-given-to-a-plugin-61b7";
const V1: &str = "client.authentication.k8s.io/v1";

/// The entry `name`: `prod/NAME` in a Secret of this cluster.
fn entry(name: &str, cluster: &str) -> String {
    format!(
        "\n[secrets.{name}]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/{name}\" }} }}]
[[secrets.{name}.kubernetes]]
cluster = \"{cluster}\"
namespace = \"app\"
"
    )
}

fn wait_delivered(kubernetes: &Kubernetes, name: &str, value: &str) {
    wait_until(PATIENCE * 2, &format!("{name} to be delivered"), || {
        let data = kubernetes.data("app", name);
        data.is_some_and(|data| data["v"] == value.as_bytes())
    });
}

/// The `exec` of a user whose plugin is this shell script.
fn plugin(home: &Home, name: &str, script: &str) -> String {
    let path = home.write(name, script);
    format!(
        "exec: {{apiVersion: {V1}, interactiveMode: Never, command: /bin/sh, args: [{:?}], env: [{{name: GIVEN, value: {GIVEN}}}], provideClusterInfo: true}}",
        path.display().to_string()
    )
}

/// A script that answers with this `status`.
fn answers(status: &str) -> String {
    // `echo` would make line breaks of what JSON writes as `\n`.
    format!(r#"printf '%s' '{{"apiVersion":"{V1}","kind":"ExecCredential","status":{status}}}'"#)
}

fn token() -> String {
    answers(&format!(r#"{{"token":"{TOKEN}"}}"#))
}

#[test]
fn every_setting_of_a_kubeconfig_leads_in() {
    let (aws, kubernetes, mut home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    // What the environment says of proxies is for others.
    home.set_env("HTTPS_PROXY", &format!("http://127.0.0.1:{}", free_port()));
    home.set_env("NO_PROXY", "");
    aws.put("prod/db", VALUE);
    let proxy = Proxy::start(kubernetes.address());
    let authority = kubernetes.authority_line();
    let user = format!("token: {TOKEN}");
    let (certificate, key) = kubernetes.client_certificate();
    let pair = serde_json::json!({ "clientCertificateData": certificate, "clientKeyData": key });
    let with = |line: &str| format!("{authority}\n      {line}");
    let ways = [
        (with("tls-server-name: localhost"), user.clone(), ""),
        (
            with(&format!("proxy-url: {}", proxy.url())),
            user.clone(),
            "",
        ),
        (
            "insecure-skip-tls-verify: true".to_owned(),
            user,
            "allow_insecure_tls = true\n",
        ),
        (authority.clone(), plugin(&home, "token.sh", &token()), ""),
        (
            authority.clone(),
            plugin(&home, "pair.sh", &answers(&pair.to_string())),
            "",
        ),
    ];
    for (number, (cluster, user, more)) in ways.iter().enumerate() {
        let cluster = kubernetes.cluster_with("main", cluster, user) + more;
        let configuration = [aws.store("prod"), cluster, entry("db", "main")].concat();
        home.configure(&configuration);
        let done = home.once(&[]);
        assert_eq!(done.code, Some(0), "{number}: {done:?}");
        assert_eq!(kubernetes.data("app", "db").unwrap()["v"], VALUE.as_bytes());
        kubernetes.delete("app", "db");
    }
    let port = kubernetes.port();
    let mut connects = proxy.connects();
    connects.dedup();
    assert_eq!(connects, [format!("127.0.0.1:{port}")]);
    assert_eq!(proxy.refused(), Vec::<String>::new());
}

#[test]
fn a_plugin_is_run_again_when_its_token_is_refused_and_sees_nothing_of_ours() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("prod/db", "first");
    let place = |name: &str| home.path(name).display().to_string();
    let script = format!(
        "env > {seen}\necho run >> {runs}\ntoken=$(cat {token})\n{answer}\n",
        seen = place("seen"),
        runs = place("runs"),
        token = place("token"),
        answer = answers(r#"{"token":"'$token'"}"#),
    );
    home.write("token", TOKEN);
    let user = plugin(&home, "plugin.sh", &script);
    let cluster = kubernetes.cluster_with("main", &kubernetes.authority_line(), &user);
    home.configure(&[aws.store("prod"), cluster, entry("db", "main")].concat());
    let daemon = home.start_ready();
    wait_delivered(&kubernetes, "db", "first");
    let runs = || home.read_text("runs").unwrap().lines().count();
    assert_eq!(runs(), 1);

    let seen = home.read_text("seen").unwrap();
    for line in seen.lines() {
        let name = line.split('=').next().unwrap();
        let known = [
            "HOME",
            "LANG",
            "GIVEN",
            "KUBERNETES_EXEC_INFO",
            "PWD",
            "SHLVL",
            "_",
            "OLDPWD",
        ];
        assert!(known.contains(&name), "{name}");
    }
    assert!(seen.contains(&format!("GIVEN={GIVEN}")), "{seen}");
    assert!(seen.contains(&kubernetes.url()), "{seen}");

    kubernetes.set_token("another-token");
    home.write("token", "another-token");
    aws.put("prod/db", "second");
    wait_delivered(&kubernetes, "db", "second");
    assert_eq!(runs(), 2);
    assert_eq!(daemon.stop(), Some(0));
}

/// Wherever this test may hand capabilities on.
#[test]
fn a_plugin_has_no_capability_of_ours() {
    const WRAPPER: &[&str] = &["setpriv", "--inh-caps=+chown", "--ambient-caps=+chown"];
    let shown = Command::new(WRAPPER[0])
        .args(&WRAPPER[1..])
        .args(["grep", "CapAmb", "/proc/self/status"])
        .output();
    if !shown.is_ok_and(|shown| String::from_utf8_lossy(&shown.stdout).trim().ends_with('1')) {
        eprintln!("skipped: no capability can be handed on here");
        return;
    }
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("prod/db", "first");
    let seen = home.path("seen");
    let script = format!(
        "grep CapAmb /proc/self/status > {}\n{}",
        seen.display(),
        token()
    );
    let user = plugin(&home, "plugin.sh", &script);
    let cluster = kubernetes.cluster_with("main", &kubernetes.authority_line(), &user);
    home.configure(&[aws.store("prod"), cluster, entry("db", "main")].concat());
    let setpriv = which("setpriv");
    let done = home.finish_through(&[&setpriv, WRAPPER[1], WRAPPER[2]], &["once"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let seen = home.read_text("seen").unwrap();
    assert_eq!(seen.trim(), "CapAmb:\t0000000000000000");
}

/// Its path: what is started here has no `PATH`.
fn which(program: &str) -> String {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    String::from_utf8(found.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

fn seconds_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

#[test]
fn a_token_that_ends_is_renewed_before_and_never_used_after() {
    const LIFETIME: u64 = 12;
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("prod/db", "first");
    let late = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&late);
    kubernetes.judge_tokens(move |token| {
        let end = token
            .strip_prefix("until-")
            .and_then(|end| end.parse().ok());
        let good = end.is_some_and(|end: u64| seconds_now() <= end);
        noted.fetch_or(!good, Ordering::Relaxed);
        good
    });
    let script = format!(
        "echo run >> {runs}\nend=$(($(date +%s) + {LIFETIME}))\nat=$(date -u -d @$end +%Y-%m-%dT%H:%M:%SZ)\n{answer}\n",
        runs = home.path("runs").display(),
        answer = answers(r#"{"token":"until-'$end'","expirationTimestamp":"'$at'"}"#),
    );
    let user = plugin(&home, "plugin.sh", &script);
    let cluster = kubernetes.cluster_with("main", &kubernetes.authority_line(), &user);
    home.configure(&[aws.store("prod"), cluster, entry("db", "main")].concat());
    let _daemon = home.start_ready();
    let runs = || home.read_text("runs").unwrap_or_default().lines().count();
    wait_until(PATIENCE * 2, "the third token", || runs() >= 3);
    aws.put("prod/db", "second");
    wait_delivered(&kubernetes, "db", "second");
    assert!(
        !late.load(Ordering::Relaxed),
        "a token was used after its end"
    );
}

/// What a plugin does, and what is said of it.
fn broken_plugins() -> Vec<(&'static str, String, &'static str)> {
    let marker = "MARKER-rubbish-of-a-plugin-58e1";
    let past = format!(r#"{{"token":"{marker}","expirationTimestamp":"2020-01-01T00:00:00Z"}}"#);
    let good = format!(r#"{{"token":"{marker}"}}"#);
    vec![
        (
            "hang",
            format!("echo {marker}; sleep 600"),
            "ran longer than 15s",
        ),
        (
            "rubbish",
            format!("echo '{marker} {{'"),
            "did not write an ExecCredential",
        ),
        (
            "flood",
            format!("while :; do echo {marker}; done"),
            "wrote more than 64 KiB",
        ),
        (
            "exit",
            format!("echo {marker} >&2; {}; exit 1", answers(&good)),
            "ended with exit code 1",
        ),
        ("expired", answers(&past), "have expired already"),
        (
            "version",
            answers(&good).replace(V1, "client.authentication.k8s.io/v1beta1"),
            "another `apiVersion`",
        ),
        ("empty", answers("{}"), "without credentials"),
    ]
}

#[test]
fn a_broken_plugin_is_named_leaks_nothing_and_troubles_no_other_cluster() {
    let work = Mutex::new(broken_plugins());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, script, said)) = { work.lock().unwrap().pop() } {
                    broken_plugin(name, &script, said);
                }
            });
        }
    });
}

fn broken_plugin(name: &str, script: &str, said: &str) {
    let (aws, kubernetes, mut home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    home.log_level = Some("trace");
    aws.put("prod/good", "first");
    aws.put("prod/bad", VALUE);
    let script = format!("echo $$ >> {}\n{script}\n", home.path("ids").display());
    let user = plugin(&home, "plugin.sh", &script);
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("fine"),
            kubernetes.cluster_with("broken", &kubernetes.authority_line(), &user),
            entry("good", "fine"),
            entry("bad", "broken"),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    let status = daemon.wait_state("bad", "failing");
    let trouble = status.entry("bad").trouble().unwrap();
    assert_eq!(trouble.reason, "credentials", "{name}: {trouble:?}");
    assert!(trouble.message.contains(said), "{name}: {trouble:?}");
    assert!(trouble.help.contains("by hand"), "{name}: {trouble:?}");
    aws.put("prod/good", "second");
    wait_delivered(&kubernetes, "good", "second");
    assert!(kubernetes.data("app", "bad").is_none(), "{name}");

    let pages = daemon.page("/metrics") + &daemon.page("/status");
    let markers = Markers::new([
        VALUE,
        GIVEN,
        TOKEN,
        SECRET_ACCESS_KEY,
        "MARKER-rubbish-of-a-plugin-58e1",
    ]);
    markers.absent(&format!("{name}: pages"), pages);
    markers.absent(&format!("{name}: output"), daemon.output());
    assert_eq!(daemon.stop(), Some(0), "{name}");
    // What hung or flooded is gone, and what ran when the daemon stopped, too.
    let ids = home.read_text("ids").unwrap();
    wait_until(PATIENCE, "the plugins to be gone", || {
        ids.split_whitespace().all(|id| !runs(id))
    });
    assert!(
        ids.lines().count() < 20,
        "{name}: it was run at every request"
    );
}

fn runs(id: &str) -> bool {
    let command = fs::read_to_string(format!("/proc/{id}/cmdline"));
    command.is_ok_and(|command| command.contains("plugin.sh"))
}

const CLUSTER: &str = "prod-1";

fn eks(id: &'static str) -> Eks {
    Eks {
        cluster: CLUSTER,
        host: "sts.eu-central-1.amazonaws.com",
        region: "eu-central-1",
        access_key_id: id,
        secret_access_key: format!("MARKER-secret-of-{id}"),
    }
}

#[test]
fn eks_takes_tokens_that_are_signed_with_a_stores_keys_and_those_of_the_next_keys() {
    const OLD: &str = "AKIAOLDOLDOLDOLD";
    const NEW: &str = "AKIANEWNEWNEWNEW";
    let (aws, kubernetes, mut home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    home.log_level = Some("trace");
    let keys = |id: &str| {
        home.write("key-id", id);
        home.write("key", format!("MARKER-secret-of-{id}"));
    };
    let said = Arc::new(Mutex::new(Vec::new()));
    let judged_by = |eks: Eks| {
        let said = Arc::clone(&said);
        kubernetes.judge_tokens(move |token| {
            let judged = eks.judge(token);
            said.lock().unwrap().push(judged);
            judged.is_ok()
        });
    };
    keys(OLD);
    judged_by(eks(OLD));
    aws.put("prod/db", "first");
    home.write("ca.crt", kubernetes.authority());
    let cluster = format!(
        "[stores.signer.aws_secrets_manager]\nregion = \"eu-central-1\"\n\
         [stores.signer.aws_secrets_manager.auth]\naccess_key_id = {{ file = \"key-id\" }}\nsecret_access_key = {{ file = \"key\" }}\n\
         [clusters.main]\nserver = \"{}\"\ncertificate_authority = \"ca.crt\"\n\
         eks = {{ cluster_name = \"{CLUSTER}\", region = \"eu-central-1\", credentials = \"signer\" }}\n",
        kubernetes.url()
    );
    home.configure(&[aws.store("prod"), cluster, entry("db", "main")].concat());
    let daemon = home.start_ready();
    wait_delivered(&kubernetes, "db", "first");
    let first = said.lock().unwrap().clone();
    assert!(
        !first.is_empty() && first.iter().all(Result::is_ok),
        "{first:?}"
    );

    // The old key is not good any more; nobody says so but the cluster.
    judged_by(eks(NEW));
    keys(NEW);
    aws.put("prod/db", "second");
    wait_delivered(&kubernetes, "db", "second");
    let refused = said
        .lock()
        .unwrap()
        .iter()
        .filter(|judged| judged.is_err())
        .count();
    assert!(
        refused < 10,
        "{refused} requests with a token that was refused"
    );
    let markers = Markers::new([
        "MARKER-secret-of-AKIAOLDOLDOLDOLD",
        "MARKER-secret-of-AKIANEWNEWNEWNEW",
    ]);
    markers.absent("pages", daemon.page("/metrics") + &daemon.page("/status"));
    markers.absent("output", daemon.output());
    let output = daemon.output();
    assert!(!output.contains("k8s-aws-v1."), "a token was printed");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn in_cluster_outside_of_a_pod_is_said_and_stops_nothing_else() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("prod/good", "first");
    aws.put("prod/bad", "first");
    home.configure(
        &[
            aws.store("prod"),
            kubernetes.cluster("fine"),
            "[clusters.here]\nin_cluster = true\n".to_owned(),
            entry("good", "fine"),
            entry("bad", "here"),
        ]
        .concat(),
    );
    let checked = home.check();
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let said = checked.stdout + &checked.stderr;
    assert!(said.contains("this does not run in a pod"), "{said}");
    let daemon = home.start_ready();
    let status = daemon.wait_state("bad", "failing");
    let trouble = status.entry("bad").trouble().unwrap();
    assert_eq!(trouble.reason, "credentials", "{trouble:?}");
    wait_delivered(&kubernetes, "good", "first");
}

#[test]
fn what_a_broken_server_answers_stays_its_own_clusters_trouble() {
    let elsewhere = SecretsManager::start();
    let faults = [
        (Fault::Redirect(elsewhere.endpoint()), "malformed"),
        (Fault::OtherObject, "malformed"),
        (Fault::Invalid, "invalid"),
    ];
    for (fault, reason) in faults {
        let (aws, home) = (SecretsManager::start(), Home::new());
        let (fine, broken) = (Kubernetes::start(), Kubernetes::start());
        aws.put("prod/good", "first");
        aws.put("prod/bad", VALUE);
        broken.fail(Rule::any(), fault.clone());
        home.configure(
            &[
                aws.store("prod"),
                fine.cluster("fine"),
                broken.cluster("broken"),
                entry("good", "fine"),
                entry("bad", "broken"),
            ]
            .concat(),
        );
        let daemon = home.start_ready();
        let status = daemon.wait_state("bad", "failing");
        let trouble = status.entry("bad").trouble().unwrap();
        assert_eq!(trouble.reason, reason, "{fault:?}: {trouble:?}");
        assert!(
            trouble.message.contains("`broken`"),
            "{fault:?}: {trouble:?}"
        );
        aws.put("prod/good", "second");
        wait_delivered(&fine, "good", "second");
        let markers = Markers::new([VALUE, TOKEN]);
        markers.absent("pages", daemon.page("/metrics") + &daemon.page("/status"));
        markers.absent("output", daemon.output());
    }
    assert!(elsewhere.log().0.is_empty(), "a redirect was followed");
}
