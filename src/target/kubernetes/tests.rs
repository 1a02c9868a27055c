use super::*;
use crate::config::CreationPolicy;
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
        deletion_policy: config::DeletionPolicy::Retain,
        immutable: false,
        adopt: false,
        drift: config::DriftPolicy::Refresh,
        restart: Vec::new(),
    }
}

fn target(server: &Server, spec: config::KubernetesTarget) -> KubernetesTarget {
    KubernetesTarget::new(
        Arc::new(spec),
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

fn judged() -> Judged {
    Judged {
        uid: Uid::new("u-1").unwrap(),
        resource_version: ResourceVersion::new("7").unwrap(),
        foreign: Vec::new(),
        wrote: Wrote::default(),
    }
}

fn update() -> Verdict {
    Verdict::Apply {
        judged: judged(),
        force: Force::No,
        effect: Effect::Updated,
        touches: Touches::Data,
    }
}

/// The field manager of a request.
fn manager(head: &str) -> String {
    let (_, rest) = head.split_once("fieldManager=").unwrap();
    let name = rest.split([' ', '&']).next().unwrap();
    name.replace("%3A", ":")
}

/// A Secret is made whole, and then made ours without a change.
fn made_and_owned(requests: &[(String, String)]) {
    let [(post, whole), (patch, owned)] = requests else {
        panic!("{requests:?}")
    };
    assert!(
        post.starts_with("POST /api/v1/namespaces/app/secrets?"),
        "{post}"
    );
    assert!(manager(post).starts_with("secretsyncd:create:"));
    assert!(whole.contains("\"data\"") && !whole.contains("\"uid\""));
    assert!(patch.contains("application/merge-patch+json"), "{patch}");
    assert_eq!(manager(patch), "secretsyncd");
    let owned: serde_json::Value = serde_json::from_str(owned).unwrap();
    assert_eq!(owned["metadata"]["uid"], "u-1");
    assert_eq!(owned["metadata"]["resourceVersion"], "5");
    let [ours] = owned["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("{owned}")
    };
    assert_eq!(ours["operation"], "Apply");
    assert_eq!(ours["fieldsV1"]["f:data"], serde_json::json!({"f:a": {}}));
    assert!(ours["fieldsV1"]["f:type"].is_object());
    assert!(owned["data"].is_null());
}

#[tokio::test]
async fn a_delivery_is_what_the_ledger_needs_to_know() {
    let server = Server::start().await;
    let target = target(&server, spec(CreationPolicy::Owner));
    let wanted = target.render(&content(&[("a", b"x")])).unwrap();
    server
        .reply(201, partial("u-1", "5"))
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
    made_and_owned(&server.requests());
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
    server.reply(409, status("AlreadyExists", ""));
    assert_eq!(target.apply(&wanted, CREATE).await.unwrap(), Outcome::Raced);
    // One request, and nothing of ours is in theirs.
    assert_eq!(server.requests().len(), 1);

    // Somebody writes ours before it is: what was made is not forgotten.
    for refused in [
        (409, status("Conflict", "")),
        (404, status("NotFound", r#""name":"db","kind":"secrets""#)),
    ] {
        server
            .reply(201, partial("u-1", "5"))
            .reply(refused.0, refused.1);
        let begun = Outcome::Begun(Effect::Created);
        assert_eq!(target.apply(&wanted, CREATE).await.unwrap(), begun);
    }
}

#[tokio::test]
async fn a_secret_that_a_merge_makes_has_a_type_that_no_later_apply_could_change() {
    let server = Server::start().await;
    let target = target(&server, spec(CreationPolicy::CreateOrMerge));
    let wanted = target.render(&content(&[("a", b"x")])).unwrap();
    server
        .reply(201, partial("u-1", "5"))
        .reply(200, partial("u-1", "7"))
        .reply(200, partial("u-1", "8"));
    target.apply(&wanted, CREATE).await.unwrap();
    target.apply(&wanted, update()).await.unwrap();
    let requests = server.requests();
    assert!(requests[0].1.contains(r#""type":"Opaque""#));
    assert_eq!(manager(&requests[1].0), "secretsyncd:here:db");
    assert!(!requests[1].1.contains("f:type"));
    assert!(!requests[2].1.contains("\"type\""));
}

#[tokio::test]
async fn a_rehearsal_sends_the_first_request_as_a_dry_run() {
    let server = Server::start().await;
    let target = target(&server, spec(CreationPolicy::Owner));
    let wanted = target.render(&content(&[("a", b"x")])).unwrap();
    let ownership = Ownership {
        uid: Uid::new("u-1").unwrap(),
        resource_version: ResourceVersion::new("7").unwrap(),
        managers: Vec::new(),
    };
    let take_over = Verdict::TakeOver {
        ownership,
        effect: Effect::Updated,
    };
    for (verdict, method) in [
        (CREATE, "POST "),
        (take_over, "PATCH "),
        (update(), "PATCH "),
    ] {
        server.reply(200, partial("u-1", "7"));
        let rehearsed = target.rehearse(&wanted, &verdict).await.unwrap();
        assert_eq!(rehearsed, Rehearsal::Accepted);
        let (dry, rehearsed) = server.requests().pop().unwrap();
        assert!(dry.starts_with(method), "{dry}");
        assert!(dry.contains("&dryRun=All"), "{dry}");
        // The very same, but for that.
        server.reply(200, partial("u-1", "7"));
        if method == "POST " {
            server.reply(200, partial("u-1", "8"));
        }
        let before = server.requests().len();
        target.apply(&wanted, verdict).await.unwrap();
        let (head, body) = server.requests().swap_remove(before);
        assert!(!head.contains("dryRun"), "{head}");
        assert_eq!((dry.replace("&dryRun=All", ""), rehearsed), (head, body));
    }
    let unchanged = Verdict::Unchanged(judged());
    let before = server.requests().len();
    let rehearsed = target.rehearse(&wanted, &unchanged).await.unwrap();
    assert_eq!(rehearsed, Rehearsal::Accepted);
    assert_eq!(server.requests().len(), before);
    server.reply(409, status("AlreadyExists", ""));
    let rehearsed = target.rehearse(&wanted, &CREATE).await.unwrap();
    assert_eq!(rehearsed, Rehearsal::Raced);
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
    spec.secret_type = secret_type.into();
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
    other.immutable = true;
    assert_ne!(plain, print(other, b"x"));
    let mut other = spec(CreationPolicy::Owner);
    other
        .annotations
        .insert(crate::names::MetadataKey::new("note").unwrap(), "x".into());
    assert_ne!(plain, print(other, b"x"));
}
