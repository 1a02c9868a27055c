use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::decide::kubernetes::Wrote;
use crate::kube::{Controller, Operation};
use crate::secret::{Fingerprint, SecretBytes};

fn entry() -> EntryName {
    EntryName::new("db").unwrap()
}

fn instance(name: &str) -> Instance {
    Instance::new(name).unwrap()
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn manager(name: &str, operation: Operation, keys: &[&str]) -> Manager {
    Manager {
        name: name.to_owned(),
        operation,
        data: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Manager::default()
    }
}

fn delivered(policy: CreationPolicy) -> DeliveredSecret {
    DeliveredSecret {
        uid: Uid::new("u-1").unwrap(),
        // Written by others since, in whatever they may write: labels for example.
        resource_version: ResourceVersion::new("6").unwrap(),
        whole: policy.is_whole().then(|| instance("here")),
        wrote: Wrote::default(),
        manager: None,
        fingerprint: Fingerprint::from_bytes([1; 32]),
        author: Some(Arc::new(Author {
            policy,
            instance: instance("here"),
        })),
        left: true,
        restart: None,
    }
}

/// Ours alone, with one key.
fn ours() -> LiveSecret {
    let annotations = [(INSTANCE_ANNOTATION, "here"), (ENTRY_ANNOTATION, "db")];
    LiveSecret {
        uid: Uid::new("u-1").unwrap(),
        resource_version: ResourceVersion::new("7").unwrap(),
        secret_type: "Opaque".into(),
        data: [(SecretKey::new("a").unwrap(), bytes("1"))].into(),
        labels: BTreeMap::from([(MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned())]),
        annotations: annotations
            .map(|(key, value)| (key.to_owned(), bytes(value)))
            .into(),
        managers: vec![manager("secretsyncd", Operation::Apply, &["a"])],
        controller: None,
        immutable: false,
        deleting: false,
    }
}

fn at() -> Condemned {
    Condemned {
        uid: Uid::new("u-1").unwrap(),
        resource_version: ResourceVersion::new("7").unwrap(),
    }
}

type Change = fn(&mut LiveSecret);

/// Everything that keeps a Secret from being ours alone, one by one, and what is said of it.
const OBSTACLES: &[(&str, Change)] = &[
    ("is being deleted", |it| it.deleting = true),
    ("does not say any more", |it| it.labels.clear()),
    ("does not say any more", |it| {
        it.labels
            .insert(MANAGED_LABEL.0.to_owned(), "no".to_owned());
    }),
    ("does not say any more", |it| {
        it.annotations.remove(INSTANCE_ANNOTATION);
    }),
    ("does not say any more", |it| {
        it.annotations
            .insert(INSTANCE_ANNOTATION.to_owned(), bytes("there"));
    }),
    ("another entry", |it| {
        it.annotations
            .insert(ENTRY_ANNOTATION.to_owned(), bytes("other"));
    }),
    ("another entry", |it| {
        it.annotations.remove(ENTRY_ANNOTATION);
    }),
    ("a controller", |it| {
        it.controller = Some(Controller {
            kind: "X".into(),
            group: "y".into(),
        });
    }),
    ("External Secrets", |it| {
        let label = "reconcile.external-secrets.io/managed";
        it.labels.insert(label.to_owned(), "true".to_owned());
    }),
    ("nothing proves", |it| it.managers.clear()),
    ("nothing proves", |it| {
        it.managers[0].operation = Operation::Update;
    }),
    ("the key `b`", |it| {
        it.data.insert(SecretKey::new("b").unwrap(), bytes("2"));
    }),
    ("the key `a`", |it| it.managers[0].data.clear()),
    ("`kubectl-edit` has content", |it| {
        it.managers
            .push(manager("kubectl-edit", Operation::Update, &["a"]));
    }),
    // Another entry that merges into it, of whichever instance.
    ("`secretsyncd:here:other` has content", |it| {
        it.data.insert(SecretKey::new("b").unwrap(), bytes("2"));
        it.managers
            .push(manager("secretsyncd:here:other", Operation::Apply, &["b"]));
    }),
    ("somebody else has content", |it| {
        it.managers
            .push(manager("MARKER <b>", Operation::Update, &["a"]));
    }),
];

fn refusal(result: Result<Removal, Failure>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn only_what_is_ours_alone_is_deleted() {
    let owner = delivered(CreationPolicy::Owner);
    let live = ours();
    let deleted = Ok(Removal::Delete(at()));
    assert_eq!(delete(&entry(), Some(&owner), Some(&live)), deleted);
    assert_eq!(orphaned(&entry(), &owner, Some(&live)), deleted);
    for (said, change) in OBSTACLES {
        let mut live = ours();
        change(&mut live);
        for result in [
            delete(&entry(), Some(&owner), Some(&live)),
            orphaned(&entry(), &owner, Some(&live)),
        ] {
            let refusal = refusal(result);
            assert!(refusal.contains(said), "{said}: {refusal}");
            assert!(!refusal.contains("MARKER"), "{refusal}");
        }
    }
}

#[test]
fn what_was_given_back_to_an_old_controller_is_released_once_no_entry_writes_it() {
    let owner = delivered(CreationPolicy::Owner);
    let mut live = ours();
    live.controller = Some(Controller {
        kind: "ExternalSecret".into(),
        group: "kubernetes-client.io".into(),
    });
    let released = Ok(Removal::Release);
    assert_eq!(orphaned(&entry(), &owner, Some(&live)), released);
    assert!(delete(&entry(), Some(&owner), Some(&live)).is_err());
}

#[test]
fn keys_that_eso_has_its_marks_on_again_are_released_where_they_were_its_before() {
    let merged = delivered(CreationPolicy::Merge);
    let mut live = ours();
    let manager = field_manager(
        CreationPolicy::Merge,
        &merged.delivered_as().unwrap().instance,
        &entry(),
    );
    live.managers[0].name = manager.as_str().to_owned();
    let label = "reconcile.external-secrets.io/managed";
    live.labels.insert(label.to_owned(), "true".to_owned());
    let fate = |live: &LiveSecret| orphaned(&entry(), &merged, Some(live)).unwrap();
    assert!(matches!(fate(&live), Removal::GiveBack(..)));
    live.annotations
        .insert(ADOPTED_FROM.to_owned(), bytes("{}"));
    assert_eq!(fate(&live), Removal::Release);
    live.labels.remove(label);
    assert!(matches!(fate(&live), Removal::GiveBack(..)));
}

#[test]
fn what_others_may_add_without_having_content_in_it_keeps_nothing() {
    let mut live = ours();
    live.labels.insert("team".to_owned(), "x".to_owned());
    let mut other = manager("kubectl-label", Operation::Update, &[]);
    other.labels.insert("team".to_owned());
    live.managers.push(other);
    // An attempt to create it that was not finished.
    let attempt = FieldManager::new(&[]).for_making();
    live.managers
        .push(manager(attempt.as_str(), Operation::Update, &["a"]));
    live.immutable = true;
    let owner = delivered(CreationPolicy::Owner);
    let deleted = Ok(Removal::Delete(at()));
    assert_eq!(orphaned(&entry(), &owner, Some(&live)), deleted);
}

#[test]
fn without_a_record_of_that_very_secret_nothing_is_deleted() {
    let live = ours();
    let refused = refusal(delete(&entry(), None, Some(&live)));
    assert!(refused.contains("the ledger does not know"), "{refused}");
    let mut owner = delivered(CreationPolicy::Owner);
    owner.uid = Uid::new("u-0").unwrap();
    let refused = refusal(delete(&entry(), Some(&owner), Some(&live)));
    assert!(refused.contains("made another one"), "{refused}");
    // Of what is left, another life is nobody's business.
    assert_eq!(orphaned(&entry(), &owner, Some(&live)), Ok(Removal::Gone));
    for policy in [
        CreationPolicy::Orphan,
        CreationPolicy::Merge,
        CreationPolicy::CreateOrMerge,
    ] {
        let refused = refusal(delete(&entry(), Some(&delivered(policy)), Some(&live)));
        assert!(refused.contains("not delivered as its owner"), "{refused}");
    }
    for policy in [CreationPolicy::Owner, CreationPolicy::Merge] {
        let record = delivered(policy);
        assert_eq!(delete(&entry(), Some(&record), None), Ok(Removal::Gone));
        assert_eq!(orphaned(&entry(), &record, None), Ok(Removal::Gone));
    }
}

#[test]
fn the_name_that_counts_is_the_one_under_which_it_was_delivered() {
    let mut live = ours();
    live.annotations
        .insert(INSTANCE_ANNOTATION.to_owned(), bytes("before"));
    let mut owner = delivered(CreationPolicy::Owner);
    owner.author = Some(Arc::new(Author {
        policy: CreationPolicy::Owner,
        instance: instance("before"),
    }));
    assert_eq!(
        orphaned(&entry(), &owner, Some(&live)),
        Ok(Removal::Delete(at()))
    );
    // What an earlier release recorded: the instance of an owner, and nothing of merging.
    owner.author = None;
    owner.whole = Some(instance("before"));
    assert_eq!(
        orphaned(&entry(), &owner, Some(&live)),
        Ok(Removal::Delete(at()))
    );
    owner.whole = None;
    let refused = refusal(orphaned(&entry(), &owner, Some(&live)));
    assert!(refused.contains("an earlier release"), "{refused}");
}

#[test]
fn an_orphan_by_policy_is_never_touched() {
    let record = delivered(CreationPolicy::Orphan);
    assert!(is_never_removed(&record));
    assert_eq!(
        orphaned(&entry(), &record, Some(&ours())),
        Ok(Removal::Release)
    );
    assert!(!is_never_removed(&delivered(CreationPolicy::Owner)));
}

#[test]
fn where_we_merged_only_our_own_manager_gives_back() {
    let name = "secretsyncd:here:db";
    for policy in [CreationPolicy::Merge, CreationPolicy::CreateOrMerge] {
        let record = delivered(policy);
        let mut live = ours();
        live.managers = vec![
            manager(name, Operation::Apply, &["a"]),
            manager("helm", Operation::Update, &["b"]),
        ];
        let manager = FieldManager::new(&["here", "db"]);
        assert_eq!(
            orphaned(&entry(), &record, Some(&live)),
            Ok(Removal::GiveBack(at(), manager))
        );
        live.immutable = true;
        assert!(refusal(orphaned(&entry(), &record, Some(&live))).contains("immutable"));
        live.deleting = true;
        assert!(refusal(orphaned(&entry(), &record, Some(&live))).contains("being deleted"));
        live.managers.remove(0);
        live.deleting = false;
        assert_eq!(orphaned(&entry(), &record, Some(&live)), Ok(Removal::Gone));
    }
}
