//! No value and no credential leaves but through a target: not in any output, at any level, on any path.
//!
//! Failing reads are searched in `failures`, fault by fault; here are the rest: success, failing writes, values that
//! do not fit their entry, and credentials typed where they do not belong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::http::Response;

use crate::support::daemon::{Home, SECRET_ACCESS_KEY};
use crate::support::kubernetes::{Fault, Kubernetes, Rule, TOKEN, Verb};
use crate::support::leak::Markers;
use crate::support::secrets_manager::SecretsManager;
use crate::support::serve::{Reply, Server};

const VALUE: &str = "MARKER-secret-value-93ab20f7";
const TYPED: &str = "MARKER-typed-inline-by-mistake-0b77";
/// The same where only the name of a variable fits.
const TYPED_NAME: &str = "MARKER_typed_as_a_name_5c21";
const KEY_ID: &str = "MARKER-aws-access-key-id-77d0";
const SESSION: &str = "MARKER-aws-session-token-2f60aa";

fn markers() -> Markers {
    Markers::new([
        VALUE,
        TYPED,
        TYPED_NAME,
        KEY_ID,
        SESSION,
        SECRET_ACCESS_KEY,
        TOKEN,
    ])
}

/// A home that logs at trace level and signs with a session token.
fn loud_home() -> Home {
    let mut home = Home::new();
    home.log_level = Some("trace");
    home.set_env("AWS_SESSION_TOKEN", SESSION);
    home
}

/// The entry `db`: the property `marker_key` of `prod/db` into a file and a Secret.
fn entry(aws: &SecretsManager, kubernetes: &Kubernetes, home: &Home) -> String {
    format!(
        "{store}{cluster}[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"marker_key\", remote_ref = {{ key = \"prod/db\", property = \"marker_key\" }} }}]
[[secrets.db.file]]
path = {path}
format = \"json\"
[[secrets.db.kubernetes]]
cluster = \"main\"
namespace = \"app\"
",
        store = aws.store("prod"),
        cluster = kubernetes.cluster("main"),
        path = home.quoted("targets/db"),
    )
}

/// Runs the configuration as a daemon and as `once`, and searches everything either of them says.
fn nothing_leaks(what: &str, home: &Home, state: &str) {
    let daemon = home.start_ready();
    let status = daemon.wait_state("db", state);
    let pages = daemon.page("/metrics") + &daemon.page("/status");
    let output = daemon.output();
    // A log without a word would prove nothing.
    let least = if home.log_level.is_some() { 500 } else { 100 };
    assert!(output.len() > least, "{what}: the log is empty");
    markers().absent(&format!("{what}: pages"), pages);
    markers().absent(&format!("{what}: output"), output);
    if state != "fresh" {
        assert!(status.entry("db").trouble().is_some(), "{what}");
    }
    assert_eq!(daemon.stop(), Some(0), "{what}");
    let once = home.once(&[]);
    markers().absent(&format!("{what}: once"), once.stdout + &once.stderr);
}

#[test]
fn nothing_leaks_on_success() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), loud_home());
    aws.put("prod/db", &format!(r#"{{"marker_key":"{VALUE}"}}"#));
    home.configure(&entry(&aws, &kubernetes, &home));
    nothing_leaks("success", &home, "fresh");
    // The control: the same search finds the value where it belongs.
    let delivered = home.read("targets/db").unwrap();
    assert!(!markers().find("the target", delivered).is_empty());
    assert_eq!(
        kubernetes.data("app", "db").unwrap()["marker_key"],
        VALUE.as_bytes()
    );
}

#[test]
fn nothing_leaks_when_a_cluster_fails() {
    let faults = [
        Fault::Forbidden,
        Fault::Unauthorized,
        Fault::InternalError,
        Fault::TooManyRequests(1),
        Fault::Conflict,
        Fault::Invalid,
        Fault::Page(502),
        Fault::OtherObject,
        Fault::Unparsable,
        Fault::Huge,
        Fault::Close,
    ];
    std::thread::scope(|scope| {
        for chunk in faults.chunks(4) {
            scope.spawn(move || {
                for fault in chunk {
                    for verb in [Verb::Get, Verb::Create, Verb::Patch] {
                        cluster_fault(fault, verb);
                    }
                }
            });
        }
    });
}

fn cluster_fault(fault: &Fault, verb: Verb) {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), loud_home());
    aws.put("prod/db", &format!(r#"{{"marker_key":"{VALUE}"}}"#));
    home.configure(&entry(&aws, &kubernetes, &home));
    kubernetes.fail(Rule::any().verb(verb), fault.clone());
    nothing_leaks(&format!("{fault:?} on {verb:?}"), &home, "failing");
    // The file is another target of the same entry and has its value.
    assert!(home.read_text("targets/db").unwrap().contains(VALUE));
}

/// The server has kept what the client never heard of: the next look finds it and takes it for its own.
#[test]
fn nothing_leaks_when_an_answer_of_a_cluster_breaks_off() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), loud_home());
    aws.put("prod/db", &format!(r#"{{"marker_key":"{VALUE}"}}"#));
    home.configure(&entry(&aws, &kubernetes, &home));
    kubernetes.fail(Rule::any().verb(Verb::Create), Fault::Truncated);
    let daemon = home.start_ready();
    assert!(kubernetes.data("app", "db").is_some());
    kubernetes.heal();
    daemon.wait_state("db", "fresh");
    markers().absent("truncated", daemon.output() + &daemon.page("/status"));
}

#[test]
fn a_redirect_is_not_followed() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), loud_home());
    let elsewhere = SecretsManager::start();
    aws.put("prod/db", &format!(r#"{{"marker_key":"{VALUE}"}}"#));
    home.configure(&entry(&aws, &kubernetes, &home));
    kubernetes.fail(Rule::any(), Fault::Redirect(elsewhere.endpoint()));
    nothing_leaks("redirect", &home, "failing");
    assert!(elsewhere.log().0.is_empty(), "another host was asked");
}

#[test]
fn nothing_leaks_when_a_value_does_not_fit() {
    for value in [
        format!("{VALUE} is not JSON"),
        format!(r#"{{"marker_key":"{VALUE}""#),
        format!(r#"{{"{VALUE}":"under another key"}}"#),
        format!(r#""{VALUE}""#),
        format!(r#"["{VALUE}"]"#),
    ] {
        let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), loud_home());
        aws.put("prod/db", &value);
        home.configure(&entry(&aws, &kubernetes, &home));
        nothing_leaks("a value that does not fit", &home, "failing");
        assert!(home.read("targets/db").is_none());
        assert!(kubernetes.data("app", "db").is_none());
    }
}

#[test]
fn credentials_typed_where_they_do_not_belong_are_not_repeated() {
    let auth = "[stores.prod.aws_secrets_manager]\nregion = \"eu-central-1\"\n[stores.prod.aws_secrets_manager.auth]\n";
    let mistakes = [
        format!("{auth}access_key_id = \"{TYPED}\"\n"),
        format!("{auth}access_key_id = {{ env = \"A\" }}\nsecret_access_key = \"{TYPED}\"\n"),
        format!(
            "{auth}access_key_id = {{ env = \"A\" }}\nsecret_access_key = {{ value = \"{TYPED}\" }}\n"
        ),
        format!(
            "{auth}access_key_id = {{ env = \"A\" }}\nsecret_access_key = {{ file = [\"{TYPED}\"] }}\n"
        ),
        format!("{auth}password = \"{TYPED}\"\n"),
        format!("{auth}secret_access_key = \"{TYPED}\n"),
        format!("{auth}secret_access_key = {TYPED}\n"),
        format!("[stores.prod.aws_secrets_manager]\nsecret_access_key = \"{TYPED}\"\n"),
        format!("[stores.prod.aws_secrets_manager]\nauth = \"{TYPED}\"\n"),
        format!("[clusters.main]\nserver = \"https://127.0.0.1:1\"\ntoken = \"{TYPED}\"\n"),
        format!("[clusters.main]\nserver = \"https://user:{TYPED}@127.0.0.1:1\"\ntoken_file = 5\n"),
        format!(
            "[secrets.db]\nstore = \"prod\"\ndata = [{{ secret_key = \"a\", value = \"{TYPED}\" }}]\n"
        ),
        format!("[secrets.db]\nstore = \"prod\"\nvalue = \"{TYPED}\"\n"),
    ];
    for (i, mistake) in mistakes.iter().enumerate() {
        let home = loud_home();
        home.configure(mistake);
        for command in ["check", "once", "run"] {
            let done = home.finish(&[command]);
            assert_eq!(done.code, Some(78), "mistake {i}, {command}");
            assert!(
                !done.stderr.is_empty(),
                "mistake {i}, {command} says nothing"
            );
            let place = format!("mistake {i}, {command}");
            markers().absent(&place, done.stdout + &done.stderr);
        }
    }
}

/// A store or cluster whose credential is typed where its source belongs. All of these pass `check`: a name or a path
/// can be anything.
fn typed_as_sources(kubernetes: &Kubernetes) -> Vec<String> {
    let aws = |auth: &str| {
        format!(
            "[stores.s.aws_secrets_manager]\nregion = \"eu-central-1\"\nendpoint_url = \"http://127.0.0.1:1\"\nauth = {{ {auth} }}\n"
        )
    };
    let local = "[stores.s.file]\npath = \"s.toml\"\n";
    let cluster = |access: &str| format!("{local}[clusters.main]\n{access}\n");
    let server = |more: &str| cluster(&format!("server = \"https://127.0.0.1:1\"\n{more}"));
    let real = kubernetes.cluster("main");
    let here = "{ file = \"s.toml\" }";
    vec![
        aws(&format!(
            "access_key_id = {{ env = \"{TYPED_NAME}\" }}, secret_access_key = {here}"
        )),
        aws(&format!(
            "access_key_id = {here}, secret_access_key = {{ env = \"{TYPED_NAME}\" }}"
        )),
        aws(&format!(
            "access_key_id = {here}, secret_access_key = {{ file = \"{TYPED}\" }}"
        )),
        aws(&format!(
            "access_key_id = {here}, secret_access_key = {here}, session_token = {{ file = \"{TYPED}\" }}"
        )),
        aws(&format!("profile = \"{TYPED}\"")),
        format!("[stores.s.file]\npath = \"{TYPED}\"\n"),
        cluster(&format!("kubeconfig = \"{TYPED}\"")),
        format!("{local}{}\ncontext = \"{TYPED}\"\n", real.trim_end()),
        server(&format!("token_file = \"{TYPED}\"")),
        server(&format!(
            "token_file = \"s.toml\"\ncertificate_authority = \"{TYPED}\""
        )),
        server(&format!(
            "client_certificate = \"{TYPED}\"\nclient_key = \"s.toml\""
        )),
        server(&format!(
            "client_certificate = \"s.toml\"\nclient_key = \"{TYPED}\""
        )),
    ]
}

#[test]
fn credentials_typed_as_their_own_source_are_not_repeated_at_run_time() {
    let kubernetes = Kubernetes::start();
    for (i, mistake) in typed_as_sources(&kubernetes).iter().enumerate() {
        let home = loud_home();
        home.write("s.toml", "a = \"x\"\n");
        let target = if mistake.contains("[clusters.") {
            "[[secrets.db.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n".to_owned()
        } else {
            let path = home.quoted("targets/db");
            format!("[[secrets.db.file]]\npath = {path}\nkey = \"a\"\n")
        };
        home.configure(&format!(
            "{mistake}[secrets.db]\nstore = \"s\"\ndata = [{{ secret_key = \"a\", remote_ref = {{ key = \"a\" }} }}]\n{target}"
        ));
        let what = format!("source {i}");
        let done = home.check();
        assert_eq!(done.code, Some(0), "{what}: {}", done.stderr);
        markers().absent(&format!("{what}: check"), done.stdout + &done.stderr);
        nothing_leaks(&what, &home, "failing");
    }
}

#[test]
fn files_that_hold_credentials_are_not_repeated_when_they_are_broken() {
    let (aws, kubernetes) = (SecretsManager::start(), Kubernetes::start());
    let item = "data = [{ secret_key = \"a\", remote_ref = { key = \"a\" } }]";
    for (name, content) in [
        ("secrets.toml", format!("a = \"{VALUE}\"\nb = \"{VALUE}\n")),
        ("secrets.json", format!("{{\"a\": \"{VALUE}\", {VALUE}")),
        ("secrets.toml", format!("b = \"{VALUE}\"\n")),
    ] {
        let home = loud_home();
        home.write(name, content);
        home.configure(&format!(
            "[stores.local.file]\npath = \"{name}\"\n[secrets.db]\nstore = \"local\"\n{item}\n[[secrets.db.file]]\npath = {}\nkey = \"a\"\n",
            home.quoted("targets/db"),
        ));
        nothing_leaks(name, &home, "failing");
    }
    aws.put("prod/db", &format!(r#"{{"marker_key":"{VALUE}"}}"#));
    for kubeconfig in [
        format!("clusters: [\ntoken: {TYPED}\n"),
        format!(
            "apiVersion: v1\nkind: Config\nusers:\n  - name: sync\n    user:\n      token: [{TYPED}]\n"
        ),
    ] {
        let home = loud_home();
        let path = home.write("kubeconfig", kubeconfig).display().to_string();
        let config = entry(&aws, &kubernetes, &home);
        let table = kubernetes.cluster("main");
        // The stand-in's own kubeconfig path differs at every call, so its table is found by its heading.
        let start = config.find("[clusters.main]").unwrap();
        let broken = format!("[clusters.main]\nkubeconfig = {path:?}\n\n");
        home.configure(&[&config[..start], &broken, &config[start + table.len()..]].concat());
        let done = home.once(&[]);
        assert!(matches!(done.code, Some(1 | 78)), "{:?}", done.code);
        markers().absent("a broken kubeconfig", done.stdout + &done.stderr);
    }
}

/// `db` from a store with that `auth` into a file.
fn entry_of_one_file(aws: &SecretsManager, home: &Home, auth: &str) -> String {
    format!(
        "{store}{auth}[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\" }} }}]
[[secrets.db.file]]
path = {path}
key = \"v\"
",
        store = aws.store("prod"),
        path = home.quoted("targets/db"),
    )
}

/// Bug: the SDK warns of lines of a credentials file that it cannot use, and quotes them, keys in lower case. With the
/// `=` that ends a token in base64, such a line is a key without a value.
#[test]
fn a_malformed_credentials_file_is_not_repeated() {
    let id = format!("aws_access_key_id = {KEY_ID}\n");
    let key = format!("aws_secret_access_key = {TYPED}\n");
    let files = [
        (format!("{id}{key}aws_session_token: {SESSION}"), "failing"),
        (format!("{id}{key}aws_session_token: {SESSION}=="), "fresh"),
        (format!("{id}aws_secret_access_key: {TYPED}"), "failing"),
        (format!("{id}aws_secret_access_key: {TYPED}=="), "failing"),
        (format!("{id}{TYPED}\n= {SESSION}"), "failing"),
        (
            format!("{id}{key}aws_session_token =\n  {SESSION}"),
            "failing",
        ),
    ];
    std::thread::scope(|scope| {
        for (lines, state) in &files {
            for level in [None, Some("trace")] {
                scope.spawn(move || credentials_file(lines, state, level));
            }
        }
    });
}

fn credentials_file(lines: &str, state: &str, level: Option<&'static str>) {
    let auth = "[stores.prod.aws_secrets_manager.auth]\nprofile = \"sync\"\n\n";
    let (aws, mut home) = (SecretsManager::start(), loud_home());
    home.log_level = level;
    aws.put("prod/db", VALUE);
    home.write(".aws/credentials", format!("[sync]\n{lines}\n"));
    home.configure(&entry_of_one_file(&aws, &home, auth));
    nothing_leaks(&format!("a credentials file at {level:?}"), &home, state);
    if state == "failing" {
        let done = home.once(&[]);
        assert!(done.stdout.contains("(credentials)"), "{done:?}");
        let asked = aws.log().0;
        assert!(asked.is_empty(), "asked without credentials: {asked:?}");
    }
}

/// Bug: the SDK logs whole answers of the container's credential service, those it cannot use included.
#[test]
fn what_a_container_credential_service_answers_is_not_repeated() {
    let keys =
        format!(r#""AccessKeyId":"{KEY_ID}","SecretAccessKey":"{TYPED}","Token":"{SESSION}""#);
    let answers = [
        (
            500,
            format!(r#"{{{keys},"Expiration":"2099-01-01T00:00:00Z"}}"#),
        ),
        (
            403,
            format!(r#"{{{keys},"Code":"{TYPED}","Message":"{SESSION}"}}"#),
        ),
        (200, format!(r#"{{{keys},"Expiration":"{SESSION}"}}"#)),
        (200, format!("{{{keys},")),
        (
            200,
            format!(r#"{{"Code":"{TYPED}","Message":"{SESSION}",{keys}}}"#),
        ),
    ];
    std::thread::scope(|scope| {
        for (status, body) in &answers {
            for level in [None, Some("trace")] {
                scope.spawn(move || container_answer(*status, body, level));
            }
        }
    });
}

fn container_answer(status: u16, body: &str, level: Option<&'static str>) {
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", VALUE);
    let (asked, text) = (
        Arc::new(AtomicUsize::new(0)),
        Bytes::copy_from_slice(body.as_bytes()),
    );
    let count = Arc::clone(&asked);
    let service = Server::plain(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = Response::builder().status(status);
        let answer = answer.header("content-type", "application/json");
        Reply::Answer(answer.body(text.clone()).unwrap())
    });
    home.log_level = level;
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        home.unset_env(name);
    }
    let url = format!("http://{}/credentials", service.address());
    home.set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url);
    home.configure(&entry_of_one_file(&aws, &home, ""));
    nothing_leaks(&format!("{status} at {level:?}"), &home, "failing");
    assert!(
        asked.load(Ordering::Relaxed) > 0,
        "the service was not asked"
    );
    assert!(aws.log().0.is_empty(), "asked without credentials");
}
