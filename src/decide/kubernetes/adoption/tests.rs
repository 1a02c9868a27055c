use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::quiet::{
    Aftermath, CANARY, Canary, Stopped, Untold, is_left_alone, restless, rests, spec_before,
    spec_of_rest, untold,
};
use super::*;
use crate::config::CreationPolicy;
use crate::decide::kubernetes::tests::{applied, wanted as wanted_under};
use crate::kube::{ExternalSecret, Metadata, Scale, Tracker, Ways};
use crate::names::{ObjectName, Uid};
use crate::secret::SecretBytes;

const CREATED_BY: &str = "reconcile.external-secrets.io/created-by";
const DATA_HASH: &str = "reconcile.external-secrets.io/data-hash";

fn wanted() -> Wanted {
    wanted_under(CreationPolicy::Owner)
}

fn owner(group: &str, kind: &str, controller: bool) -> Owner {
    let uid = "es-uid";
    Owner {
        group: group.to_owned(),
        kind: kind.to_owned(),
        name: "db".to_owned(),
        uid: uid.to_owned(),
        controller,
        raw: json!({ "apiVersion": format!("{group}/v1"), "kind": kind, "name": "db", "uid": uid, "controller": controller }),
    }
}

fn kes() -> Owner {
    owner("kubernetes-client.io", KIND, true)
}

fn eso() -> Owner {
    owner("external-secrets.io", KIND, true)
}

fn owned_by(owners: impl IntoIterator<Item = Owner>) -> Ties {
    Ties {
        owners: owners.into_iter().collect(),
        finalizers: Vec::new(),
    }
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn key(name: &str) -> SecretKey {
    SecretKey::new(name).unwrap()
}

/// The content that is wanted, as another controller wrote it.
fn theirs() -> LiveSecret {
    let mut live = applied(&wanted());
    live.labels.clear();
    live.annotations.clear();
    live.managers.clear();
    live
}

fn judged(live: &LiveSecret, ties: &Ties, content: Content) -> Result<Option<Taking>, Failure> {
    adoption(&wanted(), (live, ties), content)
}

fn taken(live: &LiveSecret, ties: &Ties, content: Content) -> Taking {
    judged(live, ties, content).unwrap().unwrap()
}

fn refusal(live: &LiveSecret, ties: &Ties) -> String {
    let refused = judged(live, ties, Content::AsItIs).unwrap_err();
    assert_eq!(refused.reason, Reason::Conflict);
    refused.fact.clone()
}

fn patch(taking: &Taking, live: &LiveSecret) -> Metadata {
    let way_back = taking.way_back(&wanted(), live);
    taking.patch(&wanted(), live, &way_back)
}

fn kept(patch: &Metadata) -> Value {
    let kept = patch.annotations[ADOPTED_FROM].as_ref().unwrap();
    serde_json::from_str(kept).unwrap()
}

#[test]
fn of_kes_only_the_owner_goes_and_nothing_is_said_of_the_content() {
    let live = theirs();
    let taking = taken(&live, &owned_by([kes()]), Content::AsItIs);
    assert_eq!(taking.from, Keeper::Kes);
    let patch = patch(&taking, &live);
    assert_eq!(
        (patch.uid.as_str(), patch.resource_version.as_str()),
        ("u-1", "7")
    );
    assert_eq!(patch.owners, Some(Vec::new()));
    let marks = wanted();
    let marks = marks.labels.iter();
    let labels: BTreeMap<_, _> = marks
        .map(|(key, value)| (key.to_string(), Some(value.to_string())))
        .collect();
    assert_eq!(patch.labels, labels);
    let names: Vec<&str> = patch.annotations.keys().map(String::as_str).collect();
    let ours = [
        SYNC_OPTIONS,
        "secretsyncd/adopted-from",
        "secretsyncd/adopting",
        "secretsyncd/entry",
        "secretsyncd/instance",
    ];
    assert_eq!(names, ours);
    let gone = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|it| ((*it).to_owned(), Value::Null))
            .collect()
    };
    let way_back = json!({ "metadata": {
        "uid": "u-1",
        "ownerReferences": [kes().raw],
        "labels": gone(&["secretsyncd/managed"]),
        "annotations": gone(&[SYNC_OPTIONS, ADOPTED_FROM, "secretsyncd/entry", "secretsyncd/instance"]),
    }});
    assert_eq!(kept(&patch), way_back);
    let managers = patch.managers.unwrap();
    let [ours] = &managers[..] else {
        panic!("{managers:?}");
    };
    assert!(ours.is(&wanted().manager) && ours.data.len() == live.data.len());
}

#[test]
fn of_eso_its_marks_and_what_argo_tracks_by_go_in_the_same_request() {
    let mut live = theirs();
    for (name, value) in [
        (CREATED_BY, "hash"),
        ("reconcile.external-secrets.io/managed", "true"),
        ("argocd.argoproj.io/instance", "app"),
        ("app.kubernetes.io/instance", "app"),
        ("team", "a"),
    ] {
        live.labels.insert(name.into(), value.into());
    }
    for (name, value) in [
        (DATA_HASH, "hash"),
        ("argocd.argoproj.io/tracking-id", "id"),
        ("note", "theirs"),
    ] {
        live.annotations.insert(name.into(), bytes(value));
    }
    let taking = taken(&live, &owned_by([eso()]), Content::AsItIs);
    assert_eq!(taking.from, Keeper::Eso);
    let patch = patch(&taking, &live);
    for gone in [
        CREATED_BY,
        "reconcile.external-secrets.io/managed",
        "argocd.argoproj.io/instance",
    ] {
        assert_eq!(patch.labels.get(gone), Some(&None), "{gone}");
    }
    for gone in [DATA_HASH, "argocd.argoproj.io/tracking-id"] {
        assert_eq!(patch.annotations.get(gone), Some(&None), "{gone}");
    }
    assert_eq!(patch.labels.get("team"), None);
    assert_eq!(patch.labels.get("app.kubernetes.io/instance"), None);
    assert_eq!(patch.annotations.get("note"), None);
    let options = patch.annotations[SYNC_OPTIONS].as_deref();
    assert_eq!(options, Some("Delete=false,Prune=false"));
    let kept = kept(&patch);
    assert_eq!(kept["metadata"]["ownerReferences"], json!([eso().raw]));
    assert_eq!(kept["metadata"]["labels"][CREATED_BY], "hash");
    assert_eq!(kept["metadata"]["labels"].get("team"), None);
    let annotations = &kept["metadata"]["annotations"];
    assert_eq!(annotations["argocd.argoproj.io/tracking-id"], "id");
    assert_eq!(annotations.get(DATA_HASH), None, "a hash of the values");
}

#[test]
fn a_stale_mark_without_an_owner_goes_and_the_first_way_back_stays() {
    let mut live = theirs();
    live.labels.insert(CREATED_BY.into(), "hash".into());
    let taking = taken(&live, &Ties::default(), Content::AsItIs);
    assert_eq!((taking.from, &taking.owners[..]), (Keeper::Eso, &[][..]));
    let first = patch(&taking, &live);
    assert_eq!(first.labels.get(CREATED_BY), Some(&None));
    assert_eq!(first.owners, None);
    assert!(first.annotations.contains_key(ADOPTED_FROM));
    live.annotations.insert(ADOPTED_FROM.into(), bytes("{}"));
    let again = patch(&taking, &live);
    assert!(!again.annotations.contains_key(ADOPTED_FROM));
}

#[test]
fn every_external_secret_goes_from_the_owners_and_everybody_else_stays() {
    let live = theirs();
    let other = owner("apps", "Deployment", false);
    let half = owner("external-secrets.io", KIND, false);
    let ties = owned_by([other.clone(), kes(), half]);
    let taking = taken(&live, &ties, Content::AsItIs);
    assert_eq!((taking.from, taking.owners.len()), (Keeper::Kes, 2));
    assert_eq!(taking.kept, std::slice::from_ref(&other));
    assert_eq!(patch(&taking, &live).owners, Some(vec![other.raw]));
}

#[test]
fn whoever_else_has_a_say_in_it_keeps_it() {
    let live = theirs();
    let mut marked = theirs();
    marked.labels.insert(CREATED_BY.into(), "hash".into());
    let held = Ties {
        finalizers: vec!["example.com/hold".to_owned()],
        ..owned_by([kes()])
    };
    let deployment = owned_by([owner("apps", "Deployment", true)]);
    assert!(refusal(&live, &held).contains("finalizers"));
    assert!(refusal(&marked, &deployment).contains("a controller that is neither"));
    let push = owned_by([owner("external-secrets.io", "PushSecret", true)]);
    for nobody_elses in [deployment, push, Ties::default()] {
        let judged = judged(&live, &nobody_elses, Content::AsItIs);
        assert_eq!(judged, Ok(None), "{nobody_elses:?}");
    }
}

#[test]
fn what_is_deleted_merged_into_or_of_another_type_is_refused() {
    let deleting = LiveSecret {
        deleting: true,
        ..theirs()
    };
    assert!(refusal(&deleting, &owned_by([kes()])).contains("being deleted"));
    let odd = LiveSecret {
        secret_type: "example.com/odd".into(),
        ..theirs()
    };
    assert!(refusal(&odd, &owned_by([kes()])).contains("another type"));
    let merged = wanted_under(CreationPolicy::Merge);
    let refused = adoption(&merged, (&theirs(), &owned_by([kes()])), Content::MayChange);
    assert!(refused.unwrap_err().fact.contains("only merges into it"));
}

#[test]
fn other_bytes_are_refused_unless_they_are_accepted_and_never_in_what_is_immutable() {
    let mut live = theirs();
    live.data.insert(key("a"), bytes("hunter2"));
    live.data.insert(key("old"), bytes("hunter2"));
    let ties = owned_by([eso()]);
    let fact = refusal(&live, &ties);
    assert!(
        fact.contains("other content") && fact.contains("~a -old"),
        "{fact}"
    );
    let taking = taken(&live, &ties, Content::MayChange);
    assert_eq!(taking.content.changed, ["a"]);
    // What is to go must be ours first, or the delivery after it would leave it.
    let managers = patch(&taking, &live).managers.unwrap();
    assert!(managers.last().unwrap().data.contains("old"));
    assert!(!format!("{taking:?}").contains("hunter2"));
    let immutable = LiveSecret {
        immutable: true,
        ..live
    };
    let refused = judged(&immutable, &ties, Content::MayChange).unwrap_err();
    assert!(refused.fact.contains("immutable"), "{refused}");
    let same = LiveSecret {
        immutable: true,
        ..theirs()
    };
    assert!(judged(&same, &ties, Content::AsItIs).unwrap().is_some());
}

#[test]
fn others_keep_the_labels_that_they_wrote_and_lose_the_data() {
    let mut live = theirs();
    let manager = |name: &str, data: &[&str], labels: &[&str]| crate::kube::Manager {
        name: name.to_owned(),
        data: data.iter().map(ToString::to_string).collect(),
        labels: labels.iter().map(ToString::to_string).collect(),
        ..crate::kube::Manager::default()
    };
    live.labels.insert(CREATED_BY.into(), "hash".into());
    live.managers = vec![
        manager("external-secrets", &["a"], &[CREATED_BY]),
        manager("kubectl-label", &[], &["team"]),
        manager("kubectl-edit", &["a"], &["secretsyncd/managed"]),
    ];
    let taking = taken(&live, &owned_by([eso()]), Content::AsItIs);
    let managers = patch(&taking, &live).managers.unwrap();
    let names: Vec<&str> = managers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["kubectl-label", "secretsyncd"]);
    assert_eq!(managers[0], live.managers[1]);
}

/// Bug: whoever owned data and an owner that stays, and no label, lost both.
#[test]
fn others_keep_the_owners_that_they_wrote_where_these_stay() {
    let mut live = theirs();
    let stays = Owner {
        uid: "stays".to_owned(),
        ..owner("apps", "Deployment", false)
    };
    let ties = owned_by([eso(), stays]);
    let mut keeps = |metadata: Value| {
        let fields = json!({"f:data": {".": {}, "f:a": {}}, "f:type": {}, "f:metadata": metadata});
        live.managers = vec![crate::kube::Manager {
            name: "kubectl-edit".to_owned(),
            data: ["a".to_owned()].into(),
            secret_type: true,
            raw: json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields}),
            ..crate::kube::Manager::default()
        }];
        let taking = taken(&live, &ties, Content::AsItIs);
        let managers = patch(&taking, &live).managers.unwrap();
        let kept = managers.iter().find(|it| it.name == "kubectl-edit");
        assert!(kept.is_none_or(|it| it.data.is_empty()));
        kept.is_some()
    };
    let owns = |uid: &str| {
        let key = format!("k:{}", json!({ "uid": uid }));
        json!({"f:ownerReferences": {".": {}, key: {}}})
    };
    assert!(keeps(owns("stays")));
    assert!(!keeps(owns("es-uid")));
    assert!(!keeps(json!({"f:labels": {".": {}}})));
}

fn object(api: ExternalSecretApi, ways: Ways) -> ExternalSecret {
    ExternalSecret {
        api,
        name: ObjectName::new("db").unwrap(),
        uid: Uid::new("es-uid").unwrap(),
        target: ObjectName::new("db").unwrap(),
        owners: Vec::new(),
        tracker: None,
        before: None,
        ways,
    }
}

fn under(creation: &str, deletion: Option<&str>, interval: &str) -> ExternalSecret {
    let ways = Ways {
        creation_policy: Some(creation.to_owned()),
        deletion_policy: deletion.map(str::to_owned),
        refresh_interval: Some(interval.to_owned()),
        ..Ways::default()
    };
    object(ExternalSecretApi::EsoV1, ways)
}

#[test]
fn an_external_secret_rests_only_once_it_says_what_we_would_make_it_say() {
    let kes = |id: Option<&str>| {
        let controller_id = id.map(str::to_owned);
        let ways = Ways {
            controller_id,
            ..Ways::default()
        };
        object(ExternalSecretApi::KesV1, ways)
    };
    let told = spec_of_rest(&kes(None));
    assert!(rests(&kes(told["controllerId"].as_str())));
    assert!(!rests(&kes(None)) && !rests(&kes(Some("team-a"))));
    for interval in ["0", "0s", "0h0m0s"] {
        assert!(rests(&under("Orphan", Some("Retain"), interval)));
        assert!(rests(&under("Orphan", None, interval)));
    }
    assert!(rests(&under("None", Some("Retain"), "1h")));
    let mut follows = under("Orphan", Some("Retain"), "0");
    assert_eq!(spec_of_rest(&follows).get("refreshPolicy"), None);
    follows.ways.refresh_policy = Some("OnChange".to_owned());
    assert_eq!(spec_of_rest(&follows)["refreshPolicy"], "CreatedOnce");
    let mut awaited = under("Orphan", Some("Retain"), "0");
    awaited.ways.is_awaited = true;
    for awake in [
        follows,
        awaited,
        under("Orphan", Some("Retain"), "1h"),
        under("Orphan", Some("Retain"), ""),
        under("Orphan", Some("Delete"), "0"),
        under("Owner", Some("Retain"), "0"),
        under("Merge", Some("Retain"), "0"),
        object(ExternalSecretApi::EsoV1, Ways::default()),
    ] {
        assert!(!rests(&awake), "{awake:?}");
    }
}

#[test]
fn only_a_controller_that_is_seen_to_be_scaled_to_nothing_rests_without_a_word() {
    let objects = [object(ExternalSecretApi::KesV1, Ways::default())];
    let awake = |scale: Scale| restless(&objects, |_| scale).count();
    let all = [Scale::Down, Scale::Up { polls_every: None }, Scale::Unknown].map(awake);
    assert_eq!(all, [0, 1, 1]);
    let other = |keeper| {
        if keeper == Keeper::Eso {
            Scale::Down
        } else {
            Scale::Unknown
        }
    };
    assert_eq!(restless(&objects, other).count(), 1, "the other one's");
}

/// At rest, ESO would write over what it did not write before, but where it writes nothing.
#[test]
fn what_others_put_back_or_share_is_not_told_to_let_go() {
    let alone = under("Owner", None, "1h");
    let told = |object: &ExternalSecret| untold(object, std::slice::from_ref(object));
    assert_eq!(told(&alone), None);
    assert_eq!(told(&under("Merge", None, "1h")), None);
    let rest = spec_of_rest(&under("Merge", None, "1h"));
    assert_eq!(rest["target"]["creationPolicy"], "None");
    assert_eq!(told(&under("Other", None, "1h")), Some(Untold::Shared));
    let both = [
        alone.clone(),
        object(ExternalSecretApi::KesV1, Ways::default()),
    ];
    assert_eq!(untold(&both[0], &both), Some(Untold::Shared));
    let mut made = alone.clone();
    made.owners = vec![owner("external-secrets.io", "ClusterExternalSecret", true)];
    let maker = "ClusterExternalSecret".to_owned();
    assert_eq!(told(&made), Some(Untold::Made(maker)));
    let mut tracked = alone;
    tracked.tracker = Some(Tracker::Flux);
    assert_eq!(told(&tracked), Some(Untold::Tracked(Tracker::Flux)));
}

#[test]
fn what_another_of_us_holds_is_not_an_old_controllers_to_give() {
    let mut live = theirs();
    live.annotations
        .insert("secretsyncd/instance".into(), bytes("there"));
    assert!(refusal(&live, &owned_by([eso()])).contains("another instance"));
    let mut merged = theirs();
    merged.managers.push(crate::kube::Manager {
        name: "secretsyncd:here:other".to_owned(),
        operation: Operation::Apply,
        data: ["a".to_owned()].into(),
        ..crate::kube::Manager::default()
    });
    assert!(refusal(&merged, &owned_by([eso()])).contains("another entry"));
    // What the entry itself merged before is its own.
    merged.managers[0].name = "secretsyncd:here:db".to_owned();
    assert!(judged(&merged, &owned_by([eso()]), Content::AsItIs).is_ok());
}

#[test]
fn an_entry_that_lets_argo_cd_prune_takes_no_owner_away() {
    let judged = |options: &str| {
        let mut wanted = wanted();
        let key = crate::names::MetadataKey::new(SYNC_OPTIONS).unwrap();
        wanted.annotations.insert(key, options.to_owned());
        adoption(&wanted, (&theirs(), &owned_by([kes()])), Content::AsItIs)
    };
    let refused = judged("Replace=true").unwrap_err();
    assert!(refused.fact.contains("sync-options"), "{refused}");
    assert!(judged("Prune=false, Delete=false,Replace=true").is_ok());
}

/// Bug: a label of the entry that stood there before was taken for the trace of a delivery.
#[test]
fn a_label_that_stood_there_before_is_no_delivery() {
    let wanted = wanted();
    let mut live = theirs();
    for (key, value) in &wanted.labels {
        live.labels.insert(key.to_string(), value.to_string());
    }
    let taking = taken(&live, &owned_by([kes()]), Content::AsItIs);
    let mut after = applied(&wanted);
    after.managers = patch(&taking, &live).managers.unwrap();
    let seen = is_left_alone(&wanted, Some(&(after, Ties::default())), &live);
    assert_eq!(seen, Ok(Aftermath::Undelivered));
}

#[test]
fn what_argo_cd_was_told_before_stays_beside_what_it_is_told_now() {
    let options = |before: &str| {
        let mut live = theirs();
        live.annotations.insert(SYNC_OPTIONS.into(), bytes(before));
        let taking = taken(&live, &owned_by([kes()]), Content::AsItIs);
        assert_eq!(taking.annotations, [""; 0]);
        match taking.share {
            Share::Whole { sync_options } => sync_options,
            Share::Keys { .. } => panic!("{:?}", taking.share),
        }
    };
    assert_eq!(options(""), "Delete=false,Prune=false");
    assert_eq!(
        options("Replace=true, Prune=confirm,Delete=false"),
        "Replace=true,Delete=false,Prune=false"
    );
}

#[test]
fn the_mark_stands_only_as_long_as_nobody_wipes_it() {
    let mut live = theirs();
    live.annotations.insert(DATA_HASH.into(), bytes("hash"));
    let (canary, patch) = Canary::new(&live);
    assert_eq!(patch.annotations[DATA_HASH], Some(String::new()));
    assert_eq!((&patch.owners, &patch.managers), (&None, &None));
    let stands = |live: &LiveSecret, ties| canary.stands(&wanted(), (live, ties), Keeper::Eso);
    let theirs_still = &owned_by([eso()]);
    assert!(stands(&live, theirs_still).is_err(), "not set yet");
    live.annotations.insert(CANARY.into(), bytes("7"));
    live.annotations.insert(DATA_HASH.into(), bytes(""));
    assert!(stands(&live, theirs_still).is_ok());
    let lift = canary.lift(&live).unwrap();
    assert_eq!(lift.annotations[CANARY], None);
    assert_eq!(lift.annotations[DATA_HASH].as_deref(), Some("hash"));
    let restored = {
        let mut live = live.clone();
        live.annotations.insert(DATA_HASH.into(), bytes("hash"));
        live
    };
    // What somebody has put back already is left as it is.
    let rest = canary.lift(&restored).unwrap().annotations;
    assert_eq!(rest, [(CANARY.to_owned(), None)].into());
    assert_eq!(canary.lift(&theirs()), None);
    let fact = |stands| match stands {
        Ok(()) => panic!("it stands"),
        Err(Stopped::Refused(failure)) => format!("refused: {}", failure.fact),
        Err(Stopped::Elsewhere(failure)) => format!("elsewhere: {}", failure.fact),
    };
    let blamed =
        "refused: External Secrets Operator is still at work: it wrote the Secret while we watched";
    assert_eq!(fact(stands(&restored, theirs_still)), blamed);
    let anew = LiveSecret {
        uid: Uid::new("u-2").unwrap(),
        ..live.clone()
    };
    assert!(stands(&anew, theirs_still).is_err());
    live.annotations.remove(CANARY);
    assert_eq!(fact(stands(&live, theirs_still)), blamed);
}

/// Bug: one of two runs at the same time called what the other wrote the old controller's.
#[test]
fn what_another_run_writes_is_no_old_controllers() {
    let mut live = theirs();
    live.annotations.insert(DATA_HASH.into(), bytes("hash"));
    let (canary, _) = Canary::new(&live);
    live.annotations.insert(DATA_HASH.into(), bytes(""));
    let fact = |live: &LiveSecret, ties| match canary.stands(&wanted(), (live, ties), Keeper::Eso) {
        Err(Stopped::Elsewhere(failure)) => failure.fact.clone(),
        other => panic!("{other:?}"),
    };
    live.annotations.insert(CANARY.into(), bytes("8"));
    let owned = owned_by([eso()]);
    let at_work = "another run of `adopt` is at work on the Secret";
    assert_eq!(fact(&live, &owned), at_work);
    assert_eq!(canary.lift(&live), None, "that run watches what is there");
    live.annotations = applied(&wanted()).annotations;
    live.annotations.insert(ADOPTED_FROM.into(), bytes("{}"));
    let taken = "another run of `adopt` has taken the Secret over meanwhile";
    let untied = Ties::default();
    assert_eq!(fact(&live, &untied), taken);
    // That was there before: somebody keeps it again.
    let (canary, _) = Canary::new(&live);
    let kept = canary.stands(&wanted(), (&live, &owned_by([eso()])), Keeper::Eso);
    assert!(matches!(kept, Err(Stopped::Refused(_))), "{kept:?}");
}

#[test]
fn what_was_taken_over_is_left_alone_only_while_it_is_ours_and_nobody_elses() {
    let wanted = wanted();
    let live = applied(&wanted);
    let before = theirs();
    let check = |live: LiveSecret, ties: Ties| is_left_alone(&wanted, Some(&(live, ties)), &before);
    assert_eq!(
        check(live.clone(), Ties::default()),
        Ok(Aftermath::Delivered)
    );
    assert!(is_left_alone(&wanted, None, &before).is_err());
    assert!(check(live.clone(), owned_by([eso()])).is_err());
    let mut marked = live.clone();
    marked.labels.insert(CREATED_BY.into(), "hash".into());
    assert!(check(marked, Ties::default()).is_err());
    let mut bare = live.clone();
    bare.annotations.clear();
    assert!(check(bare, Ties::default()).is_err());
    let mut other = live.clone();
    other.data.insert(key("a"), bytes("hunter2"));
    // Newer than what was read here, and all of it ours.
    let delivered = check(other.clone(), Ties::default());
    assert_eq!(delivered, Ok(Aftermath::Delivered));
    let mut edited = other.clone();
    edited.managers.push(crate::kube::Manager {
        name: "kubectl-edit".to_owned(),
        data: ["a".to_owned()].into(),
        ..crate::kube::Manager::default()
    });
    assert!(check(edited, Ties::default()).is_err());
    let undelivered = is_left_alone(&wanted, Some(&(other.clone(), Ties::default())), &other);
    assert_eq!(undelivered, Ok(Aftermath::Undelivered));
    let mut young = live;
    young.managers[0].labels.clear();
    let undelivered = check(young, Ties::default());
    assert_eq!(undelivered, Ok(Aftermath::Undelivered));
}

/// Bug: what somebody had it say since was lost, and what it said long before was put back.
#[test]
fn what_was_said_before_counts_only_while_it_rests() {
    let mut object = under("Orphan", Some("Retain"), "0s");
    let before = json!({"refreshInterval": "1h"});
    object.before = Some(before.clone());
    assert_eq!(spec_before(&object), before);
    object.ways.refresh_interval = Some("5m".to_owned());
    assert_eq!(spec_before(&object)["refreshInterval"], "5m");
    object.ways.is_awaited = true;
    let rest = spec_of_rest(&object);
    assert_eq!(rest["target"]["creationPolicy"], "None");
}
