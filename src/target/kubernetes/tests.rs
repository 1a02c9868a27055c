use super::*;
use crate::decide::Drift;
use crate::decide::kubernetes::{Known, Wrote, judge};
use crate::kube::tests::{Server, partial, status};
use crate::names::{ClusterName, Namespace, ObjectName, ResourceVersion, Uid};
use crate::secret::SecretBytes;

fn spec(policy: CreationPolicy) -> config::KubernetesTarget {
    config::KubernetesTarget {
        cluster: ClusterName::new("prod").unwrap(),
        namespace: Namespace::new("app").unwrap(),
        name: ObjectName::new("db").unwrap(),
        secret_type: "Opaque".into(),
        labels: std::collections::BTreeMap::new(),
        annotations: std::collections::BTreeMap::new(),
        creation_policy: policy,
        adopt: false,
    }
}

fn target(server: &Server, spec: config::KubernetesTarget) -> KubernetesTarget {
    KubernetesTarget::new(
        spec,
        EntryName::new("db").unwrap(),
        Instance::new("here").unwrap(),
        Arc::new(server.client()),
        FingerprintKey::new([1; 32]),
    )
}

fn content(values: &[(&str, &[u8])]) -> Content {
    let mut content = Content::default();
    for (key, value) in values {
        content.data.insert(
            SecretKey::new(*key).unwrap(),
            SecretBytes::new(value.to_vec()),
        );
    }
    content
}

const CREATE: Verdict = Verdict::Create {
    effect: Effect::Created,
};

fn judged(attempts: Vec<FieldManager>) -> Judged {
    Judged {
        uid: Uid::new("u-1").unwrap(),
        resource_version: ResourceVersion::new("7").unwrap(),
        foreign: Vec::new(),
        wrote: Wrote::default(),
        attempts,
    }
}

fn update() -> Verdict {
    Verdict::Apply {
        judged: judged(Vec::new()),
        force: Force::No,
        effect: Effect::Updated,
    }
}

/// The field manager of a request.
fn manager(head: &str) -> String {
    let (_, rest) = head.split_once("fieldManager=").unwrap();
    let name = rest.split([' ', '&']).next().unwrap();
    name.replace("%3A", ":")
}

/// The body of an apply that gives back everything.
fn empty(uid: &str, version: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"namespace":"app","name":"db","uid":"{uid}","resourceVersion":"{version}"}}}}"#
    )
}

#[tokio::test]
async fn a_delivery_is_what_the_ledger_needs_to_know() {
    let server = Server::start().await;
    let target = target(&server, spec(CreationPolicy::Owner));
    let wanted = target.render(&content(&[("a", b"x")])).unwrap();
    server
        .reply(201, partial("u-1", "5"))
        .reply(200, partial("u-1", "6"))
        .reply(200, partial("u-1", "7"));
    let Outcome::Done {
        effect, delivered, ..
    } = target.apply(&wanted, CREATE).await.unwrap()
    else {
        panic!("raced")
    };
    assert_eq!(effect, Effect::Created);
    assert_eq!(delivered.wrote, Wrote::all(&wanted));
    assert_eq!(delivered.whole, Some(Instance::new("here").unwrap()));
    let requests = server.requests();
    let managers: Vec<_> = requests.iter().map(|(head, _)| manager(head)).collect();
    assert!(managers[0].starts_with("secretsyncd:create:"));
    assert_eq!(managers[1], "secretsyncd");
    assert_eq!(managers[2], managers[0]);
    assert!(!requests.iter().any(|(head, _)| head.contains("force")));
    assert!(requests[1].1.contains("\"data\""));
    assert!(
        requests[1]
            .1
            .contains(r#""uid":"u-1","resourceVersion":"5""#)
    );
    assert_eq!(requests[2].1, empty("u-1", "6"));
    assert_eq!(delivered.uid.as_str(), "u-1");
    assert_eq!(delivered.fingerprint, wanted.fingerprint);
    assert_eq!(
        judge(
            &wanted,
            None,
            Known {
                own: Some(&delivered),
                ..Known::default()
            }
        )
        .unwrap(),
        Verdict::Create {
            effect: Effect::Repaired(Drift::Missing)
        }
    );

    for (uid, version, sighting) in [
        ("u-1", "7", Sighting::Same),
        ("u-1", "8", Sighting::Changed),
        ("u-2", "7", Sighting::Changed),
    ] {
        server.reply(200, partial(uid, version));
        assert_eq!(target.drift(&delivered).await.unwrap(), sighting);
    }
    server.reply(404, status("NotFound", r#""name":"db","kind":"secrets""#));
    assert_eq!(target.drift(&delivered).await.unwrap(), Sighting::Missing);
}

#[tokio::test]
async fn whoever_was_first_keeps_the_secret() {
    let server = Server::start().await;
    let target = target(&server, spec(CreationPolicy::Owner));
    let wanted = target.render(&content(&[("a", b"x")])).unwrap();
    // Ours went into theirs; taking it back is overtaken once.
    server
        .reply(200, partial("u-9", "7"))
        .reply(409, status("Conflict", ""))
        .reply(200, partial("u-9", "8"))
        .reply(200, partial("u-9", "9"));
    assert_eq!(target.apply(&wanted, CREATE).await.unwrap(), Outcome::Raced);
    let requests = server.requests();
    let attempt = manager(&requests[0].0);
    assert!(attempt.starts_with("secretsyncd:create:"), "{attempt}");
    assert!(requests[0].1.contains("\"data\"") && !requests[0].1.contains("\"uid\""));
    for (request, version) in [(1, "7"), (3, "8")] {
        let (head, body) = &requests[request];
        assert!(
            head.starts_with("PATCH") && !head.contains("force"),
            "{head}"
        );
        assert_eq!(manager(head), attempt, "never in the common name");
        assert_eq!(*body, empty("u-9", version));
    }

    server.reply(200, partial("u-9", "7")).reply(500, "");
    let failure = target.apply(&wanted, CREATE).await.unwrap_err();
    assert!(
        failure.fact.contains("could not be taken back"),
        "{failure}"
    );

    let causes = r#""causes":[{"reason":"FieldManagerConflict","field":".data.a"}]"#;
    server.reply(409, status("Conflict", causes));
    assert_eq!(target.apply(&wanted, CREATE).await.unwrap(), Outcome::Raced);
}

#[tokio::test]
async fn what_an_attempt_left_is_given_back_once_our_own_name_holds_it() {
    let server = Server::start().await;
    let target = target(&server, spec(CreationPolicy::Owner));
    let wanted = target.render(&content(&[("a", b"x")])).unwrap();
    let attempt = FieldManager::of_attempt(3);
    let verdict = || Verdict::Unchanged(judged(vec![attempt.clone()]));
    server.reply(200, partial("u-1", "8"));
    let done = target.apply(&wanted, verdict()).await.unwrap();
    let Outcome::Done { delivered, .. } = done else {
        panic!("raced")
    };
    assert_eq!(delivered.resource_version.as_str(), "8");
    let (head, body) = server.requests().pop().unwrap();
    assert_eq!(manager(&head), attempt.as_str());
    assert_eq!(body, empty("u-1", "7"));

    server
        .reply(409, status("Conflict", ""))
        .reply(200, partial("u-2", "9"));
    let done = target.apply(&wanted, verdict()).await.unwrap();
    assert_eq!(done, Outcome::Raced);
}

#[tokio::test]
async fn an_update_names_the_state_that_was_judged() {
    let server = Server::start().await;
    let target = target(&server, spec(CreationPolicy::Merge));
    let wanted = target.render(&content(&[("a", b"x")])).unwrap();
    server.reply(409, status("Conflict", ""));
    assert_eq!(
        target.apply(&wanted, update()).await.unwrap(),
        Outcome::Raced
    );
    let (head, body) = server.requests().pop().unwrap();
    assert!(
        head.contains("fieldManager=secretsyncd%3Ahere%3Adb "),
        "{head}"
    );
    assert!(
        body.contains(r#""uid":"u-1","resourceVersion":"7""#),
        "{body}"
    );

    let causes = r#""causes":[{"field":"data[a]"},{"field":"data[MARKER]"}]"#;
    server.reply(422, status("Invalid", causes));
    let failure = target.apply(&wanted, update()).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Invalid);
    assert!(
        failure.fact.contains("key `a`") && !failure.fact.contains("MARKER"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_merge_target_needs_a_secret_to_be_there() {
    let server = Server::start().await;
    let absent = || status("NotFound", r#""name":"db","kind":"secrets""#);
    server.reply(404, absent()).reply(404, absent());
    target(&server, spec(CreationPolicy::Owner))
        .probe()
        .await
        .unwrap();
    let failure = target(&server, spec(CreationPolicy::Merge))
        .probe()
        .await
        .unwrap_err();
    assert_eq!(failure.reason, Reason::TargetMissing);
}

/// The reason why that Secret is refused before any call, if it is.
async fn refused(secret_type: &str, values: &[(&str, &[u8])]) -> Option<Reason> {
    let server = Server::start().await;
    let mut spec = spec(CreationPolicy::Owner);
    secret_type.clone_into(&mut spec.secret_type);
    let rendered = target(&server, spec).render(&content(values));
    rendered.err().map(|failure| failure.reason)
}

#[tokio::test]
async fn too_much_and_too_little_are_refused_before_the_call() {
    let half = vec![b'x'; 1 << 19];
    let full = [("a", half.as_slice()), ("b", &half)];
    assert_eq!(refused("Opaque", &full).await, None);
    let more = [("a", half.as_slice()), ("b", &half), ("c", b"x")];
    assert_eq!(refused("Opaque", &more).await, Some(Reason::TooLarge));
    let blank = [("a", b"".as_slice())];
    assert_eq!(refused("Opaque", &blank).await, Some(Reason::Invalid));
}

#[tokio::test]
async fn what_a_type_demands_is_checked_before_the_call() {
    let bad = [("tls.crt", b"x".as_slice()), ("tls.key", b"x")];
    assert_eq!(refused("Opaque", &bad).await, None);
    let bad = refused("kubernetes.io/tls", &bad).await;
    assert_eq!(bad, Some(Reason::Invalid));
    let reserved = refused("kubernetes.io/service-account-token", &[("a", b"x")]).await;
    assert_eq!(reserved, Some(Reason::Invalid));
}

#[tokio::test]
async fn a_fingerprint_covers_all_that_is_written() {
    let server = Server::start().await;
    let print = |spec: config::KubernetesTarget, value: &[u8]| {
        target(&server, spec)
            .render(&content(&[("a", value)]))
            .unwrap()
            .fingerprint
    };
    let plain = print(spec(CreationPolicy::Owner), b"x");
    assert_eq!(plain, print(spec(CreationPolicy::Owner), b"x"));
    assert_ne!(plain, print(spec(CreationPolicy::Owner), b"y"));
    let mut other = spec(CreationPolicy::Owner);
    other.secret_type = "example.com/x".into();
    assert_ne!(plain, print(other, b"x"));
    let mut other = spec(CreationPolicy::Owner);
    other
        .annotations
        .insert(crate::names::MetadataKey::new("note").unwrap(), "x".into());
    assert_ne!(plain, print(other, b"x"));
}
