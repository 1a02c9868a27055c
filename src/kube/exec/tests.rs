use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::kube::access::{Keys, Login};
use crate::secret::SecretBytes;

const V1: &str = "client.authentication.k8s.io/v1";

fn noon() -> Timestamp {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

fn exec(yaml: &str) -> Exec {
    serde_saphyr::from_str(yaml).unwrap()
}

fn judged(yaml: &str) -> Result<Plugin, Refusal> {
    exec(yaml).plugin(None, |path| Path::new("/etc/x").join(path))
}

#[test]
fn a_plugin_is_taken_as_kubectl_takes_it() {
    for (mode, accepted) in [
        ("apiVersion: client.authentication.k8s.io/v1beta1", true),
        (
            "apiVersion: client.authentication.k8s.io/v1beta1, interactiveMode: IfAvailable",
            true,
        ),
        (
            "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never",
            true,
        ),
        (
            "apiVersion: client.authentication.k8s.io/v1, interactiveMode: IfAvailable",
            true,
        ),
        ("apiVersion: client.authentication.k8s.io/v1", false),
        (
            "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always",
            false,
        ),
        (
            "apiVersion: client.authentication.k8s.io/v1beta1, interactiveMode: Always",
            false,
        ),
        (
            "apiVersion: client.authentication.k8s.io/v1beta1, interactiveMode: MARKER",
            false,
        ),
        (
            "apiVersion: client.authentication.k8s.io/v1alpha1, interactiveMode: Never",
            false,
        ),
        ("interactiveMode: Never", false),
    ] {
        let found = judged(&format!(
            "{{{mode}, command: /bin/true, installHint: MARKER}}"
        ));
        assert_eq!(found.is_ok(), accepted, "{mode}");
        if let Err((what, help)) = found {
            assert!(
                !what.contains("MARKER") && !help.contains("MARKER"),
                "{what} {help}"
            );
        }
    }
}

#[test]
fn its_program_is_found_where_the_kubeconfig_says() {
    let path = |command: &str| {
        let yaml = format!("{{apiVersion: {V1}, interactiveMode: Never, command: '{command}'}}");
        judged(&yaml).map(|plugin| plugin.path().to_owned())
    };
    assert_eq!(path("/abs/aws"), Ok("/abs/aws".into()));
    assert_eq!(path("bin/aws"), Ok("/etc/x/bin/aws".into()));
    let shell = path("sh").unwrap();
    assert!(shell.is_absolute() && shell.ends_with("sh"), "{shell:?}");
    let (what, _) = path("MARKER-nowhere").unwrap_err();
    assert!(what.contains("PATH") && !what.contains("MARKER"), "{what}");
    assert!(path("").unwrap_err().0.contains("without a `command`"));
}

#[test]
fn nothing_it_is_given_is_shown() {
    let yaml = format!(
        "{{apiVersion: {V1}, interactiveMode: Never, command: /bin/true, args: [MARKER], env: [{{name: A, value: MARKER}}]}}"
    );
    assert!(!format!("{:?}", judged(&yaml).unwrap()).contains("MARKER"));
    let nameless = "env: [{name: 'A=MARKER', value: MARKER}]";
    let yaml =
        format!("{{apiVersion: {V1}, interactiveMode: Never, command: /bin/true, {nameless}}}");
    let (what, _) = judged(&yaml).unwrap_err();
    assert!(what.contains("`env`") && !what.contains("MARKER"), "{what}");
}

fn answer(status: &str) -> String {
    format!(r#"{{"apiVersion":"{V1}","kind":"ExecCredential","status":{status}}}"#)
}

fn refused(output: &str) -> String {
    match read(output.as_bytes(), Version::V1, noon()) {
        Ok(_) => panic!("it was taken: {output}"),
        Err(Unusable::Answer(what)) => what.to_owned(),
        Err(Unusable::Token(failure)) => failure.fact.clone(),
    }
}

#[test]
fn an_answer_is_a_token_or_a_certificate_or_both() {
    let taken = |status: &str| {
        let ticket = read(answer(status).as_bytes(), Version::V1, noon());
        ticket.unwrap_or_else(|_| panic!("{status}"))
    };
    let bearer = taken(r#"{"token":" MARKER\n","clientKeyData":"","expirationTimestamp":null}"#);
    assert_eq!(bearer.authorization.unwrap().as_bytes(), b"Bearer MARKER");
    assert!(bearer.identity.is_none() && bearer.expires.is_none());
    let both = taken(
        r#"{"token":"t","clientCertificateData":"C","clientKeyData":"K","expirationTimestamp":"2026-07-01T12:00:01Z"}"#,
    );
    assert!(both.authorization.is_some() && both.expires.unwrap() > noon());
    let identity = Identity {
        certificate: Source::Inline(SecretBytes::new(b"C".to_vec())),
        key: Source::Inline(SecretBytes::new(b"K".to_vec())),
    };
    assert_eq!(both.identity.unwrap(), identity);
    let offset = taken(r#"{"token":"t","expirationTimestamp":"2026-07-01T14:00:01+02:00"}"#);
    assert!(offset.expires.unwrap() > noon());
}

#[test]
fn every_other_answer_is_named_and_not_repeated() {
    for (output, named) in [
        (String::new(), "in JSON"),
        ("MARKER".to_owned(), "in JSON"),
        (format!("{} MARKER", answer(r#"{"token":"t"}"#)), "in JSON"),
        (answer(r#"{"token":["MARKER"]}"#), "in JSON"),
        (
            r#"{"kind":"ExecCredential","status":{"token":"MARKER"}}"#.to_owned(),
            "in JSON",
        ),
        (answer("{}").replace("ExecCredential", "MARKER"), "in JSON"),
        (
            answer(r#"{"token":"MARKER"}"#).replace("/v1", "/v1beta1"),
            "another `apiVersion`",
        ),
        (answer("null"), "without credentials"),
        (answer("{}"), "without credentials"),
        (answer(r#"{"token":""}"#), "without credentials"),
        (answer(r#"{"token":"MAR KER"}"#), "what no token can hold"),
        (answer(r#"{"token":" "}"#), "is empty"),
        (
            answer(r#"{"clientCertificateData":"MARKER"}"#),
            "only one of",
        ),
        (
            answer(r#"{"token":"t","clientKeyData":"MARKER"}"#),
            "only one of",
        ),
        (
            answer(r#"{"token":"t","expirationTimestamp":"MARKER"}"#),
            "is not a time",
        ),
        (
            answer(r#"{"token":"MARKER","expirationTimestamp":"2026-07-01T12:00:00Z"}"#),
            "expired already",
        ),
    ] {
        let what = refused(&output);
        assert!(what.contains(named), "{output}: {what}");
        assert!(!what.contains("MARKER"), "{what}");
    }
}

/// What a plugin with these settings is told.
async fn told(settings: &str, trust: Trust, way: Way) -> Value {
    let yaml = format!(
        "{{apiVersion: {V1}, interactiveMode: Never, command: /bin/sh, args: [-c, 'printf %s \"$KUBERNETES_EXEC_INFO\"'], {settings}}}"
    );
    let config = Some(json!({ "audience": "x" }));
    let plugin = exec(&yaml).plugin(config, |path| path.into()).unwrap();
    let access = Access {
        server: "https://h:6443".into(),
        trust,
        way,
        login: Login::Keys(Keys::default()),
    };
    let asked = plugin.instruct(&access).unwrap();
    let output = asked.program.run(LIMITS).await.unwrap();
    serde_json::from_slice(output.expose()).unwrap()
}

#[tokio::test]
async fn a_plugin_is_told_that_nobody_answers_and_which_cluster_it_is_for() {
    let text = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    let bare = told("env: null", Trust::System, Way::Direct).await;
    let expected =
        json!({"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": false}});
    assert_eq!(bare, expected);
    let with = "provideClusterInfo: true, env: [{name: KUBERNETES_EXEC_INFO, value: MARKER}]";
    let authority = || Trust::Authority(Source::Inline(text("hi")));
    let cluster = |told: Value| told["spec"]["cluster"].clone();
    assert_eq!(
        cluster(told(with, authority(), Way::Named("n".into())).await),
        json!({
            "server": "https://h:6443",
            "tls-server-name": "n",
            "certificate-authority-data": "aGk=",
            "config": { "audience": "x" },
        })
    );
    assert_eq!(
        cluster(told(with, Trust::Anybody, Way::Proxy(text("http://p"))).await),
        json!({
            "server": "https://h:6443",
            "proxy-url": "http://p",
            "insecure-skip-tls-verify": true,
            "config": { "audience": "x" },
        })
    );
}

/// Runs a script as a plugin.
async fn ask(script: &str) -> Result<Ticket, Failure> {
    let yaml = format!("{{apiVersion: {V1}, interactiveMode: Never, command: /bin/sh}}");
    let mut plugin = exec(&yaml).plugin(None, |path| path.into()).unwrap();
    plugin.program = Program::new("/bin/sh".into(), vec!["-c".into(), script.into()]);
    let instructed = Instructed {
        version: plugin.version,
        program: plugin.program,
        shown: " /bin/sh".to_owned(),
    };
    instructed.ask().await
}

#[tokio::test]
async fn how_a_plugin_fails_is_named_and_not_repeated() {
    for (script, named) in [
        (
            "echo MARKER; echo MARKER >&2; exit 1",
            "/bin/sh ended with exit code 1",
        ),
        ("echo MARKER; kill -9 $$", "/bin/sh was ended by signal 9"),
        (
            "echo MARKER; cat /dev/zero",
            "/bin/sh wrote more than 64 KiB and was stopped",
        ),
        (
            "echo MARKER",
            "/bin/sh did not write an ExecCredential in JSON",
        ),
    ] {
        let failure = ask(script).await.err().unwrap();
        let expected = format!("the cluster's credential plugin {named}");
        assert_eq!(failure.fact, expected);
        assert!(failure.help().contains("by hand"), "{failure:?}");
    }
}

/// The clock stands still, and jumps to the deadline when nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn a_plugin_that_hangs_is_not_waited_for_without_end() {
    let failure = ask("sleep 600").await.err().unwrap();
    assert!(
        failure
            .fact
            .ends_with("ran longer than 15s and was stopped"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_plugin_that_anyone_may_write_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let instructed = Instructed {
        version: Version::V1,
        program: Program::new(path, Vec::new()),
        shown: String::new(),
    };
    let failure = instructed.ask().await.err().unwrap();
    assert!(
        failure
            .fact
            .ends_with("may be written by anyone, and is not run"),
        "{failure}"
    );
}
