mod takeover;

use proptest::prelude::*;

use super::*;
use crate::config::CreationPolicy::{CreateOrMerge, Merge, Orphan, Owner};
use crate::kube::{Controller, Force, Manager, Operation};
use crate::secret::{FingerprintKey, SecretBytes};

fn judge(
    wanted: &Wanted,
    live: Option<&LiveSecret>,
    own: Option<&DeliveredSecret>,
) -> Result<Verdict, Failure> {
    super::judge(
        wanted,
        live,
        Known {
            own,
            ..Known::default()
        },
    )
}

fn key(text: &str) -> SecretKey {
    SecretKey::new(text).unwrap()
}

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn version() -> ResourceVersion {
    ResourceVersion::new("7").unwrap()
}

fn print(n: u8) -> Fingerprint {
    FingerprintKey::new([n; 32]).of([b"".as_slice()])
}

/// One wanted key `a` with value `new`.
pub(in crate::decide) fn wanted(policy: CreationPolicy) -> Wanted {
    let instance = Instance::new("here").unwrap();
    let entry = EntryName::new("db").unwrap();
    let mut data = Payload::default();
    data.insert(key("a"), SecretBytes::new(b"new".to_vec()));
    let mut labels = BTreeMap::new();
    let mut annotations = BTreeMap::new();
    labels.insert(
        MetadataKey::new(MANAGED_LABEL.0).unwrap(),
        LabelValue::new(MANAGED_LABEL.1).unwrap(),
    );
    if policy.is_whole() {
        for (name, value) in [(INSTANCE_ANNOTATION, "here"), (ENTRY_ANNOTATION, "db")] {
            annotations.insert(MetadataKey::new(name).unwrap(), value.into());
        }
    }
    Wanted {
        secret_type: "Opaque".into(),
        data,
        labels,
        annotations,
        policy,
        immutable: false,
        adopt: false,
        manager: field_manager(policy, &instance, &entry),
        instance,
        entry,
        fingerprint: print(1),
    }
}

/// The Secret as it is after `wanted` was applied.
pub(in crate::decide) fn applied(wanted: &Wanted) -> LiveSecret {
    let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    LiveSecret {
        uid: uid("u-1"),
        resource_version: version(),
        secret_type: wanted.secret_type.clone(),
        data: wanted
            .data
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        labels: wanted
            .labels
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect(),
        annotations: wanted
            .annotations
            .iter()
            .map(|(k, v)| (k.to_string(), SecretBytes::new(v.clone().into_bytes())))
            .collect(),
        managers: vec![Manager {
            name: wanted.manager.as_str().into(),
            operation: Operation::Apply,
            data: names(wanted.data.keys().map(SecretKey::as_str).collect()),
            labels: names(wanted.labels.keys().map(MetadataKey::as_str).collect()),
            annotations: names(wanted.annotations.keys().map(MetadataKey::as_str).collect()),
            secret_type: wanted.policy.is_whole(),
            immutable: wanted.immutable,
            ..Manager::default()
        }],
        controller: None,
        immutable: wanted.immutable,
        deleting: false,
    }
}

/// The Secret as somebody else made it.
fn stranger(data: &[(&str, &str)]) -> LiveSecret {
    LiveSecret {
        uid: uid("u-1"),
        resource_version: version(),
        secret_type: "Opaque".into(),
        data: data
            .iter()
            .map(|(k, v)| (key(k), SecretBytes::new(v.as_bytes().to_vec())))
            .collect(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        managers: vec![written("kubectl", data.iter().map(|(k, _)| *k))],
        controller: None,
        immutable: false,
        deleting: false,
    }
}

fn written<'a>(name: &str, keys: impl IntoIterator<Item = &'a str>) -> Manager {
    Manager {
        name: name.into(),
        operation: Operation::Update,
        data: keys.into_iter().map(str::to_owned).collect(),
        ..Manager::default()
    }
}

fn ledger(fingerprint: u8) -> DeliveredSecret {
    DeliveredSecret {
        uid: uid("u-1"),
        resource_version: version(),
        whole: Some(Instance::new("here").unwrap()),
        wrote: Wrote {
            keys: [key("a")].into(),
            ..Wrote::default()
        },
        manager: None,
        fingerprint: print(fingerprint),
        author: None,
        left: false,
        restart: None,
    }
}

/// The same of an entry that only merged.
fn merged(fingerprint: u8) -> DeliveredSecret {
    DeliveredSecret {
        whole: None,
        ..ledger(fingerprint)
    }
}

/// What a making leaves when it breaks off.
fn attempted(wanted: &Wanted) -> LiveSecret {
    let mut live = applied(wanted);
    live.managers[0].name = wanted.manager.for_making().as_str().into();
    live.managers[0].operation = Operation::Update;
    live
}

fn judged(wanted: &Wanted, live: &LiveSecret, delivered: Option<&DeliveredSecret>) -> Judged {
    match judge(wanted, Some(live), delivered).unwrap() {
        Verdict::Apply { judged, .. } | Verdict::Unchanged(judged) => judged,
        verdict @ (Verdict::Create { .. } | Verdict::TakeOver { .. }) => panic!("{verdict:?}"),
    }
}

/// Somebody else changes a key: theirs is the value, and the field.
fn overwrite(live: &mut LiveSecret, name: &str, value: &str) {
    live.data
        .insert(key(name), SecretBytes::new(value.as_bytes().to_vec()));
    for manager in &mut live.managers {
        manager.data.remove(name);
    }
    live.managers.push(written("kubectl", [name]));
}

fn refusal(
    wanted: &Wanted,
    live: &LiveSecret,
    delivered: Option<&DeliveredSecret>,
) -> (Reason, String) {
    let failure = judge(wanted, Some(live), delivered).unwrap_err();
    (failure.reason, failure.fact.clone())
}

/// Force and effect of an apply.
fn apply(
    wanted: &Wanted,
    live: &LiveSecret,
    delivered: Option<&DeliveredSecret>,
) -> (bool, Effect) {
    let verdict = judge(wanted, Some(live), delivered).unwrap();
    let Verdict::Apply {
        judged,
        force,
        effect,
        ..
    } = verdict
    else {
        panic!("{verdict:?}")
    };
    assert_eq!(
        (&judged.uid, &judged.resource_version),
        (&live.uid, &live.resource_version)
    );
    (force == Force::Yes, effect)
}

/// The keys that stay although they are not ours.
fn foreign(
    wanted: &Wanted,
    live: &LiveSecret,
    delivered: Option<&DeliveredSecret>,
) -> Vec<SecretKey> {
    judged(wanted, live, delivered).foreign
}

fn unchanged(wanted: &Wanted, live: &LiveSecret, delivered: Option<&DeliveredSecret>) -> bool {
    matches!(
        judge(wanted, Some(live), delivered),
        Ok(Verdict::Unchanged(_))
    )
}

#[test]
fn an_absent_secret_is_made_by_whoever_may() {
    for policy in [Orphan, CreateOrMerge] {
        let created = judge(&wanted(policy), None, None).unwrap();
        let effect = Effect::Created;
        assert_eq!(created, Verdict::Create { effect });
    }
    let owner = wanted(Owner);
    let effect = |delivered: Option<u8>| {
        let verdict = judge(&owner, None, delivered.map(ledger).as_ref()).unwrap();
        let Verdict::Create { effect } = verdict else {
            panic!("{verdict:?}")
        };
        effect
    };
    assert_eq!(effect(None), Effect::Created);
    assert_eq!(effect(Some(2)), Effect::Created);
    assert_eq!(effect(Some(1)), Effect::Repaired(Drift::Missing));
    let missing = judge(&wanted(Merge), None, Some(&ledger(1))).unwrap_err();
    assert_eq!(missing.reason, Reason::TargetMissing);
}

#[test]
fn nothing_blank_is_written_whatever_is_there() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let mut wanted = wanted(policy);
        let live = applied(&wanted);
        wanted.data.insert(key("a"), SecretBytes::new(Vec::new()));
        assert_eq!(refusal(&wanted, &live, None).0, Reason::Invalid);
        wanted.data = Payload::default();
        assert_eq!(
            judge(&wanted, None, None).unwrap_err().reason,
            Reason::Invalid
        );
    }
}

#[test]
fn types_that_open_the_cluster_are_refused() {
    for reserved in RESERVED_TYPES {
        for policy in [Owner, Orphan, CreateOrMerge] {
            let mut wanted = wanted(policy);
            wanted.secret_type = reserved.into();
            let failure = judge(&wanted, None, None).unwrap_err();
            assert_eq!(failure.reason, Reason::Invalid);
        }
        let mut live = stranger(&[]);
        live.secret_type = reserved.into();
        assert_eq!(refusal(&wanted(Merge), &live, None).0, Reason::Conflict);
    }
}

#[test]
fn what_was_applied_is_unchanged_with_or_without_a_ledger() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let wanted = wanted(policy);
        let mut live = applied(&wanted);
        assert!(unchanged(&wanted, &live, Some(&ledger(1))));
        assert!(unchanged(&wanted, &live, Some(&ledger(2))));
        assert!(unchanged(&wanted, &live, None));
        overwrite(&mut live, "theirs", "x");
        assert!(unchanged(&wanted, &live, None));
        assert_eq!(foreign(&wanted, &live, None), [key("theirs")]);
    }
}

#[test]
fn new_content_is_written_without_force_where_the_field_is_ours_alone() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let mut wanted = wanted(policy);
        let live = applied(&wanted);
        wanted
            .data
            .insert(key("a"), SecretBytes::new(b"newer".to_vec()));
        wanted
            .data
            .insert(key("b"), SecretBytes::new(b"more".to_vec()));
        for delivered in [None, Some(&ledger(2))] {
            assert_eq!(apply(&wanted, &live, delivered), (false, Effect::Updated));
        }
    }
}

#[test]
fn a_key_that_is_no_longer_wanted_goes_and_a_foreign_one_stays() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let mut wanted = wanted(policy);
        wanted
            .data
            .insert(key("old"), SecretBytes::new(b"x".to_vec()));
        let mut live = applied(&wanted);
        overwrite(&mut live, "theirs", "x");
        let mut now = Payload::default();
        now.insert(key("a"), SecretBytes::new(b"new".to_vec()));
        wanted.data = now;
        let earlier = ledger(2);
        assert_eq!(
            apply(&wanted, &live, Some(&earlier)),
            (false, Effect::Updated)
        );
        assert_eq!(foreign(&wanted, &live, Some(&earlier)), [key("theirs")]);
    }
}

#[test]
fn a_changed_key_is_put_back_by_force_only_where_it_is_proven_ours() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let mut wanted = wanted(policy);
        let mut live = applied(&wanted);
        overwrite(&mut live, "a", "theirs");
        assert_eq!(
            apply(&wanted, &live, Some(&ledger(1))),
            (true, Effect::Repaired(Drift::Content))
        );
        assert_eq!(
            apply(&wanted, &live, Some(&ledger(2))),
            (true, Effect::Updated)
        );
        let (reason, fact) = refusal(&wanted, &live, None);
        assert_eq!(reason, Reason::Conflict);
        assert!(
            fact.contains("key `a`") && fact.contains("`kubectl`"),
            "{fact}"
        );
        // The ledger of an earlier life of the Secret proves nothing.
        let mut earlier = ledger(1);
        earlier.uid = uid("u-0");
        assert_eq!(refusal(&wanted, &live, Some(&earlier)).0, Reason::Conflict);
        wanted.adopt = true;
        assert!(apply(&wanted, &live, None).0);
    }
}

#[test]
fn one_foreign_key_in_the_way_holds_back_the_force_for_all() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let mut wanted = wanted(policy);
        wanted
            .data
            .insert(key("b"), SecretBytes::new(b"b".to_vec()));
        let mut live = applied(&wanted);
        overwrite(&mut live, "a", "theirs");
        overwrite(&mut live, "b", "theirs");
        let (reason, fact) = refusal(&wanted, &live, Some(&ledger(1)));
        assert_eq!(reason, Reason::Conflict);
        assert!(
            fact.contains("key `b`") && !fact.contains("key `a`"),
            "{fact}"
        );
    }
}

#[test]
fn a_removed_key_is_put_back_without_force() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let wanted = wanted(policy);
        let mut live = applied(&wanted);
        live.data.clear();
        live.managers[0].data.clear();
        assert_eq!(
            apply(&wanted, &live, Some(&ledger(1))),
            (false, Effect::Repaired(Drift::Content))
        );
    }
}

#[test]
fn owning_a_key_together_with_its_first_owner_is_no_right_to_change_it() {
    let mut wanted = wanted(Merge);
    let live = stranger(&[("a", "new")]);
    // Somebody's value happens to equal ours: joined without force, and not recorded as written by us.
    assert_eq!(apply(&wanted, &live, None), (false, Effect::Updated));
    let joined = DeliveredSecret {
        wrote: judged(&wanted, &live, None).wrote,
        ..merged(1)
    };
    assert!(!joined.wrote.keys.contains("a"), "{joined:?}");
    let mut live = applied(&wanted);
    live.managers.push(written("helm", ["a"]));
    assert!(unchanged(&wanted, &live, Some(&joined)));
    let still = judged(&wanted, &live, Some(&joined)).wrote;
    assert!(!still.keys.contains("a"), "{still:?}");
    wanted
        .data
        .insert(key("a"), SecretBytes::new(b"newer".to_vec()));
    for delivered in [None, Some(&joined)] {
        let (reason, fact) = refusal(&wanted, &live, delivered);
        assert_eq!(reason, Reason::Conflict);
        assert!(
            fact.contains("key `a`") && fact.contains("`helm`"),
            "{fact}"
        );
    }
    // Whoever joined a key that we wrote is the second, and alone we need no force.
    assert_eq!(
        apply(&wanted, &live, Some(&merged(2))),
        (true, Effect::Updated)
    );
    live.managers.pop();
    assert_eq!(apply(&wanted, &live, None), (false, Effect::Updated));
    assert!(judged(&wanted, &live, None).wrote.keys.contains("a"));
}

#[test]
fn a_label_that_was_joined_is_not_taken_from_its_owner() {
    let mut wanted = wanted(Merge);
    let team = MetadataKey::new("team").unwrap();
    let label = LabelValue::new("x").unwrap();
    wanted.labels.insert(team, label);
    let mut live = stranger(&[]);
    live.labels.insert("team".into(), "x".into());
    live.managers[0].labels.insert("team".into());
    let joined = judged(&wanted, &live, None).wrote;
    assert!(!joined.labels.contains("team"), "{joined:?}");
    let delivered = DeliveredSecret {
        wrote: joined,
        ..merged(1)
    };
    let mut live = applied(&wanted);
    live.labels.insert("team".into(), "y".into());
    live.managers[0].labels.remove("team");
    live.managers.push(Manager {
        labels: ["team".to_owned()].into(),
        ..written("helm", [])
    });
    let (reason, fact) = refusal(&wanted, &live, Some(&delivered));
    assert_eq!(reason, Reason::Conflict);
    assert!(fact.contains("label `team`"), "{fact}");
}

#[test]
fn having_merged_is_no_proof_of_the_whole_secret() {
    let wanted = wanted(Owner);
    let mut live = stranger(&[("a", "theirs"), ("helms", "x")]);
    assert_eq!(
        refusal(&wanted, &live, Some(&merged(1))).0,
        Reason::Conflict
    );
    live.annotations.insert(
        INSTANCE_ANNOTATION.into(),
        SecretBytes::new(b"here".to_vec()),
    );
    assert_eq!(
        refusal(&wanted, &live, Some(&merged(1))).0,
        Reason::Conflict
    );
}

#[test]
fn the_ledger_alone_does_not_overrule_the_marks_of_external_secrets() {
    let wanted = wanted(Owner);
    let mut live = applied(&wanted);
    live.annotations.clear();
    live.labels.insert(
        "reconcile.external-secrets.io/managed".into(),
        "true".into(),
    );
    for delivered in [ledger(1), merged(1)] {
        let (reason, fact) = refusal(&wanted, &live, Some(&delivered));
        assert_eq!(reason, Reason::Conflict);
        assert!(fact.contains("External Secrets"), "{fact}");
    }
}

#[test]
fn a_renamed_instance_keeps_what_its_ledger_knows_by_the_old_name() {
    let wanted = wanted(Owner);
    let mut live = applied(&wanted);
    live.annotations.insert(
        INSTANCE_ANNOTATION.into(),
        SecretBytes::new(b"before".to_vec()),
    );
    let owned_as = |name: &str| DeliveredSecret {
        whole: Some(Instance::new(name).unwrap()),
        ..ledger(2)
    };
    let renamed = apply(&wanted, &live, Some(&owned_as("before")));
    assert_eq!(renamed, (false, Effect::Updated));
    // Another instance took it since, or it is another life of the Secret, or we only merged.
    let mut earlier = owned_as("before");
    earlier.uid = uid("u-0");
    for delivered in [None, Some(owned_as("here")), Some(earlier), Some(merged(2))] {
        let failure = judge(&wanted, Some(&live), delivered.as_ref()).unwrap_err();
        assert_eq!(failure.reason, Reason::Conflict);
        assert!(!failure.help().contains("delete"), "{}", failure.help());
    }
}

#[test]
fn labels_and_annotations_are_repaired_as_metadata() {
    let wanted = wanted(Owner);
    let repaired = Effect::Repaired(Drift::Metadata);
    let mut live = applied(&wanted);
    live.labels.clear();
    live.managers[0].labels.clear();
    assert_eq!(apply(&wanted, &live, Some(&ledger(1))), (false, repaired));

    let mut live = applied(&wanted);
    live.annotations
        .insert(ENTRY_ANNOTATION.into(), SecretBytes::new(b"x".to_vec()));
    live.managers[0].annotations.remove(ENTRY_ANNOTATION);
    assert_eq!(apply(&wanted, &live, Some(&ledger(1))), (true, repaired));

    let mut live = applied(&wanted);
    live.labels.insert("old".into(), "x".into());
    assert!(unchanged(&wanted, &live, Some(&ledger(1))));
    live.managers[0].labels.insert("old".into());
    assert_eq!(apply(&wanted, &live, Some(&ledger(1))), (false, repaired));
}

#[test]
fn merging_takes_a_foreign_label_only_when_told_to() {
    let mut wanted = wanted(Merge);
    let team = MetadataKey::new("team").unwrap();
    wanted.labels.insert(team, LabelValue::new("ours").unwrap());
    let mut live = applied(&wanted);
    live.labels.insert("team".into(), "theirs".into());
    live.managers[0].labels.remove("team");
    let mut delivered = merged(1);
    let (reason, fact) = refusal(&wanted, &live, Some(&delivered));
    assert_eq!(reason, Reason::Conflict);
    assert!(fact.contains("label `team`"), "{fact}");
    let team = MetadataKey::new("team").unwrap();
    delivered.wrote.labels = [team].into();
    assert!(apply(&wanted, &live, Some(&delivered)).0);
    wanted.adopt = true;
    assert!(apply(&wanted, &live, None).0);
}

#[test]
fn merging_joins_whatever_is_there_but_overwrites_nothing() {
    let wanted = wanted(Merge);
    let mut live = stranger(&[("other", "x")]);
    live.secret_type = "kubernetes.io/tls".into();
    live.controller = Some(Controller {
        kind: "Certificate".into(),
        group: "cert-manager.io".into(),
    });
    assert_eq!(apply(&wanted, &live, None), (false, Effect::Updated));
    // The same value is joined, so that it can be removed one day.
    assert_eq!(
        apply(&wanted, &stranger(&[("a", "new")]), None),
        (false, Effect::Updated)
    );
    assert_eq!(
        refusal(&wanted, &stranger(&[("a", "theirs")]), None).0,
        Reason::Conflict
    );
}

#[test]
fn a_stranger_is_refused_unless_adopted() {
    let mut wanted = wanted(Owner);
    let live = stranger(&[("a", "theirs"), ("other", "x")]);
    assert_eq!(refusal(&wanted, &live, None).0, Reason::Conflict);
    wanted.adopt = true;
    assert!(apply(&wanted, &live, None).0);
    assert_eq!(foreign(&wanted, &live, None), [key("other")]);
    let mut eso = live.clone();
    eso.labels.insert(
        "reconcile.external-secrets.io/managed".into(),
        "true".into(),
    );
    assert_eq!(refusal(&wanted, &eso, None).0, Reason::Conflict);
    let mut eso = live;
    eso.annotations.insert(
        "reconcile.external-secrets.io/data-hash".into(),
        SecretBytes::new(b"x".to_vec()),
    );
    assert_eq!(refusal(&wanted, &eso, None).0, Reason::Conflict);
}

#[test]
fn a_claim_needs_a_proof() {
    let wanted = wanted(Owner);
    let mut live = applied(&wanted);
    live.managers = vec![written("velero", ["a"])];
    assert_eq!(refusal(&wanted, &live, None).0, Reason::Conflict);
    assert_eq!(
        apply(&wanted, &live, Some(&ledger(1))),
        (false, Effect::Repaired(Drift::Metadata))
    );
    // An update under our name is not our apply.
    live.managers = vec![written("secretsyncd", ["a"])];
    assert_eq!(refusal(&wanted, &live, None).0, Reason::Conflict);
}

#[test]
fn stripped_annotations_are_put_back_where_the_ledger_proves_them() {
    let wanted = wanted(Owner);
    let mut live = applied(&wanted);
    live.annotations.clear();
    live.managers[0].annotations.clear();
    assert!(!apply(&wanted, &live, Some(&ledger(1))).0);
    // Every instance applies under the same name: without the annotation, it may be another one's.
    assert_eq!(refusal(&wanted, &live, None).0, Reason::Conflict);
    assert_eq!(
        refusal(&wanted, &live, Some(&merged(1))).0,
        Reason::Conflict
    );
    // Nor does the instance's name alone say which installation's.
    let mut live = applied(&wanted);
    live.annotations.remove(ENTRY_ANNOTATION);
    assert_eq!(refusal(&wanted, &live, None).0, Reason::Conflict);
    assert!(!apply(&wanted, &live, Some(&ledger(1))).0);
}

/// The Secret as the entry `old` of the same instance left it.
fn of_another_entry(wanted: &Wanted) -> LiveSecret {
    let mut live = applied(wanted);
    live.annotations
        .insert(ENTRY_ANNOTATION.into(), SecretBytes::new(b"old".to_vec()));
    live
}

#[test]
fn another_installation_of_the_same_instance_keeps_its_secret() {
    let mut wanted = wanted(Owner);
    for mut live in [applied(&wanted), attempted(&wanted)] {
        live.annotations = of_another_entry(&wanted).annotations;
        let failure = judge(&wanted, Some(&live), None).unwrap_err();
        assert_eq!(failure.reason, Reason::Conflict);
        assert!(failure.fact.contains("`old`"), "{failure}");
        let help = failure.help();
        assert!(help.contains("`daemon.instance`"), "{help}");
        assert!(help.contains("renamed on another machine"), "{help}");
    }
    let mut live = of_another_entry(&wanted);
    // Having owned it once is no proof when it is another's by now, nor is a name that no entry can have.
    let left = DeliveredSecret {
        left: true,
        resource_version: ResourceVersion::new("6").unwrap(),
        ..ledger(2)
    };
    assert_eq!(refusal(&wanted, &live, Some(&left)).0, Reason::Conflict);
    wanted.adopt = true;
    assert_eq!(apply(&wanted, &live, None), (false, Effect::Updated));
    wanted.adopt = false;
    live.annotations.insert(
        ENTRY_ANNOTATION.into(),
        SecretBytes::new(b"MARKER pasted".to_vec()),
    );
    let (reason, fact) = refusal(&wanted, &live, None);
    assert_eq!(reason, Reason::Conflict);
    assert!(!fact.contains("MARKER"), "{fact}");
}

#[test]
fn a_renamed_entry_takes_over_what_its_old_name_owned_here() {
    let wanted = wanted(Owner);
    let live = of_another_entry(&wanted);
    let judge = |live: &LiveSecret, writer: &DeliveredSecret| {
        let writer = Some(writer);
        super::judge(
            &wanted,
            Some(live),
            Known {
                writer,
                ..Known::default()
            },
        )
    };
    let left = DeliveredSecret {
        left: true,
        ..ledger(2)
    };
    for record in [ledger(2), left.clone()] {
        let verdict = judge(&live, &record).unwrap();
        let Verdict::Apply { force, effect, .. } = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!((force, effect), (Force::No, Effect::Updated));
    }
    let mut earlier = left.clone();
    earlier.uid = uid("u-0");
    for record in [merged(2), earlier] {
        assert_eq!(
            judge(&live, &record).unwrap_err().reason,
            Reason::Conflict,
            "{record:?}"
        );
    }
    // What people wrote since the old name went is theirs, whatever the old name's record says.
    let mut edited = live.clone();
    overwrite(&mut edited, "a", "by hand");
    let failure = judge(&edited, &left).unwrap_err();
    assert!(failure.fact.contains("key `a`"), "{failure}");
    // An apply of ours has to be there still.
    let mut replaced = live;
    replaced.managers = vec![written("velero", ["a"])];
    assert_eq!(
        judge(&replaced, &left).unwrap_err().reason,
        Reason::Conflict
    );
}

#[test]
fn a_returning_entry_has_its_record_only_as_long_as_nobody_wrote_since() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let wanted = wanted(policy);
        let left = |version: &str| DeliveredSecret {
            left: true,
            resource_version: ResourceVersion::new(version).unwrap(),
            ..ledger(1)
        };
        let mut live = applied(&wanted);
        assert!(unchanged(&wanted, &live, Some(&left("7"))));
        assert!(unchanged(&wanted, &live, Some(&left("6"))));
        overwrite(&mut live, "a", "by hand");
        let (reason, fact) = refusal(&wanted, &live, Some(&left("6")));
        assert_eq!(reason, Reason::Conflict);
        assert!(fact.contains("key `a`"), "{fact}");
        // Edited while it was still configured: that is drift.
        assert!(apply(&wanted, &live, Some(&left("7"))).0);
    }
    let wanted = wanted(Owner);
    let mut live = applied(&wanted);
    live.managers = vec![written("velero", ["a"])];
    let mut left = ledger(1);
    left.left = true;
    assert!(!apply(&wanted, &live, Some(&left)).0);
    left.resource_version = ResourceVersion::new("6").unwrap();
    assert_eq!(refusal(&wanted, &live, Some(&left)).0, Reason::Conflict);
}

#[test]
fn another_instances_secret_is_refused_and_named_only_by_a_legal_name() {
    let wanted = wanted(Owner);
    let mut live = applied(&wanted);
    let mut named = |text: &str| {
        live.annotations.insert(
            INSTANCE_ANNOTATION.into(),
            SecretBytes::new(text.as_bytes().to_vec()),
        );
        refusal(&wanted, &live, Some(&ledger(1))).1
    };
    assert!(named("there").contains("`there`"));
    assert!(!named("MARKER pasted").contains("MARKER"));
}

#[test]
fn a_controller_is_named_by_kind_and_never_overruled() {
    let mut wanted = wanted(Owner);
    wanted.adopt = true;
    let mut live = applied(&wanted);
    let mut fact = |kind: &str| {
        live.controller = Some(Controller {
            kind: kind.into(),
            group: String::new(),
        });
        refusal(&wanted, &live, Some(&ledger(1))).1
    };
    assert!(fact("ExternalSecret").ends_with("ExternalSecret"));
    assert!(!fact("MAR KER").contains("MAR"));
}

#[test]
fn odd_manager_names_are_not_repeated() {
    let wanted = wanted(Merge);
    let mut live = stranger(&[("a", "theirs")]);
    live.managers[0].name = "MARKER with spaces".into();
    assert!(!refusal(&wanted, &live, None).1.contains("MARKER"));
}

#[test]
fn types_and_immutability_are_not_fought() {
    let mut wanted = wanted(Owner);
    let mut live = applied(&wanted);
    live.secret_type = "kubernetes.io/tls".into();
    let (reason, fact) = refusal(&wanted, &live, Some(&ledger(1)));
    assert_eq!(reason, Reason::Conflict);
    assert!(fact.contains("type"), "{fact}");

    let mut live = applied(&wanted);
    live.immutable = true;
    assert!(unchanged(&wanted, &live, Some(&ledger(1))));
    live.labels.clear();
    assert!(!apply(&wanted, &live, Some(&ledger(1))).0);
    wanted
        .data
        .insert(key("a"), SecretBytes::new(b"newer".to_vec()));
    let (reason, fact) = refusal(&wanted, &live, Some(&ledger(1)));
    assert_eq!(reason, Reason::Conflict);
    assert!(fact.contains("immutable"), "{fact}");
}

#[test]
fn a_secret_becomes_immutable_and_does_not_come_back_from_it() {
    let mut wanted = wanted(Owner);
    let live = applied(&wanted);
    wanted.immutable = true;
    assert_eq!(
        apply(&wanted, &live, Some(&ledger(2))),
        (false, Effect::Updated)
    );
    // Content may change with it: it is immutable only afterwards.
    wanted
        .data
        .insert(key("a"), SecretBytes::new(b"newer".to_vec()));
    assert!(!apply(&wanted, &live, Some(&ledger(2))).0);
    let mut denied = live;
    denied.managers.push(Manager {
        immutable: true,
        ..written("kubectl", [])
    });
    assert!(apply(&wanted, &denied, Some(&ledger(2))).0);

    let mut live = applied(&wanted);
    assert!(unchanged(&wanted, &live, Some(&ledger(1))));
    wanted.immutable = false;
    let failure = judge(&wanted, Some(&live), Some(&ledger(2))).unwrap_err();
    assert_eq!(failure.reason, Reason::Conflict);
    assert!(failure.fact.contains("cannot be taken back"), "{failure}");
    assert!(failure.help().contains("`immutable = true`"), "{failure:?}");
    // Somebody else's saying so is none of our concern, and joined when it is ours, too.
    live.managers[0].immutable = false;
    assert!(unchanged(&wanted, &live, Some(&ledger(2))));
    wanted.immutable = true;
    let joined = (false, Effect::Repaired(Drift::Metadata));
    assert_eq!(apply(&wanted, &live, Some(&ledger(1))), joined);
}

#[test]
fn what_a_type_demands_holds_where_a_merge_makes_the_secret() {
    let mut wanted = wanted(CreateOrMerge);
    wanted.secret_type = "kubernetes.io/tls".into();
    let failure = judge(&wanted, None, None).unwrap_err();
    assert_eq!(failure.reason, Reason::Invalid);
    // Where there is one, its type is somebody else's, and half a pair may be merged.
    assert!(judge(&wanted, Some(&stranger(&[])), None).is_ok());
}

#[test]
fn a_secret_on_its_way_out_is_waited_for() {
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        let wanted = wanted(policy);
        let mut live = applied(&wanted);
        live.deleting = true;
        assert_eq!(
            refusal(&wanted, &live, Some(&ledger(1))).0,
            Reason::TargetMissing
        );
    }
}

/// What server-side apply makes of `live`, as far as data goes.
fn after(wanted: &Wanted, live: &LiveSecret) -> LiveSecret {
    let mut next = applied(wanted);
    let ours = live.managers.iter().find(|m| m.is(&wanted.manager));
    for (name, value) in &live.data {
        let dropped = ours.is_some_and(|m| m.data.contains(name.as_str()));
        if wanted.data.get(name).is_none() && !dropped {
            next.data.insert(name.clone(), value.clone());
        }
    }
    next
}

prop_compose! {
    fn any_live()(
        values in prop::collection::btree_map("[a-d]", "[xy]", 0..4),
        ours in prop::collection::btree_set("[a-d]", 0..4),
        theirs in prop::collection::btree_set("[a-d]", 0..4),
        instance in prop::option::of(prop_oneof![Just("here"), Just("there"), Just("?")]),
        applied_by_us in any::<bool>(),
        controlled in any::<bool>(),
        eso in any::<bool>(),
        immutable in any::<bool>(),
    ) -> LiveSecret {
        let pairs: Vec<_> = values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let mut live = stranger(&pairs);
        let held = |names: &BTreeSet<String>| names.iter().filter(|n| values.contains_key(*n)).cloned().collect();
        live.managers = vec![Manager { name: "kubectl".into(), data: held(&theirs), ..Manager::default() }];
        if applied_by_us {
            live.managers.push(Manager {
                name: "secretsyncd".into(), operation: Operation::Apply, data: held(&ours), ..Manager::default()
            });
        }
        if let Some(instance) = instance {
            live.annotations.insert(INSTANCE_ANNOTATION.into(), SecretBytes::new(instance.into()));
        }
        if eso {
            live.labels.insert("reconcile.external-secrets.io/managed".into(), "true".into());
        }
        live.controller = controlled.then(|| Controller { kind: "X".into(), group: "y".into() });
        live.immutable = immutable;
        live
    }
}

prop_compose! {
    fn any_wanted()(values in prop::collection::btree_map("[a-d]", "[xy]", 1..4), adopt in any::<bool>()) -> Wanted {
        let mut wanted = wanted(Owner);
        wanted.data = Payload::default();
        for (name, value) in values {
            wanted.data.insert(key(&name), SecretBytes::new(value.into_bytes()));
        }
        wanted.adopt = adopt;
        wanted
    }
}

prop_compose! {
    fn any_ledger()(same_life in any::<bool>(), keys in prop::collection::btree_set("[a-d]", 0..4), print_of in 1..3u8) -> DeliveredSecret {
        DeliveredSecret {
            uid: uid(if same_life { "u-1" } else { "u-0" }),
            wrote: Wrote { keys: keys.iter().map(|k| key(k)).collect(), ..Wrote::default() },
            ..ledger(print_of)
        }
    }
}

proptest! {
    #[test]
    fn what_another_holds_is_never_written(
        wanted in any_wanted(), live in any_live(), delivered in prop::option::of(any_ledger()),
    ) {
        let others = live.annotations.get(INSTANCE_ANNOTATION).is_some_and(|i| i.expose() != b"here");
        let verdict = judge(&wanted, Some(&live), delivered.as_ref());
        if others || live.controller.is_some() {
            prop_assert!(verdict.is_err(), "{verdict:?}");
        }
    }

    #[test]
    fn without_adoption_no_value_is_replaced_that_is_not_proven_ours(
        wanted in any_wanted(), live in any_live(), delivered in prop::option::of(any_ledger()),
    ) {
        let ledger = delivered.as_ref().filter(|d| d.uid == live.uid);
        let verdict = judge(&wanted, Some(&live), delivered.as_ref());
        if let (false, Ok(Verdict::Apply { .. })) = (wanted.adopt, &verdict) {
            for (name, value) in wanted.data.iter() {
                let Some(present) = live.data.get(name) else { continue };
                let mut holders = live.managers.iter().filter(|m| m.data.contains(name.as_str())).peekable();
                let alone = holders.peek().is_some() && holders.all(|m| m.is(&wanted.manager));
                let proven = alone || ledger.is_some_and(|l| l.wrote.keys.contains(name.as_str()));
                prop_assert!(present == value || proven, "{name}");
            }
        }
    }

    #[test]
    fn an_immutable_secret_keeps_its_content(
        wanted in any_wanted(), live in any_live(), delivered in prop::option::of(any_ledger()),
    ) {
        prop_assume!(live.immutable);
        if let Ok(Verdict::Apply { .. }) = judge(&wanted, Some(&live), delivered.as_ref()) {
            prop_assert_eq!(&after(&wanted, &live).data, &live.data);
        }
    }

    #[test]
    fn what_was_applied_needs_no_second_apply(
        wanted in any_wanted(), live in any_live(), delivered in prop::option::of(any_ledger()),
    ) {
        if let Ok(Verdict::Apply { .. }) = judge(&wanted, Some(&live), delivered.as_ref()) {
            prop_assert!(unchanged(&wanted, &after(&wanted, &live), None));
        }
    }
}

#[test]
fn a_pair_that_is_merged_into_a_tls_secret_is_read_first() {
    let mut wanted = wanted(Merge);
    for half in ["tls.crt", "tls.key"] {
        wanted
            .data
            .insert(key(half), SecretBytes::new(b"x".to_vec()));
    }
    let mut live = stranger(&[]);
    assert!(judge(&wanted, Some(&live), None).is_ok());
    live.secret_type = "kubernetes.io/tls".into();
    let (reason, fact) = refusal(&wanted, &live, None);
    assert_eq!(reason, Reason::Invalid);
    assert_eq!(fact, "`tls.crt` holds no PEM certificate");
}
