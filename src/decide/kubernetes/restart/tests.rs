use super::*;
use crate::config::CreationPolicy;
use crate::decide::Effect;
use crate::decide::kubernetes::tests::{applied, wanted};
use crate::decide::kubernetes::{Judged, Known, Wrote, judge};
use crate::kube::Force;
use crate::names::{Instance, ResourceVersion, Uid};
use crate::secret::{Fingerprint, SecretBytes};

const ALL: [CreationPolicy; 4] = [
    CreationPolicy::Owner,
    CreationPolicy::Orphan,
    CreationPolicy::Merge,
    CreationPolicy::CreateOrMerge,
];

fn change(text: &str) -> ChangeId {
    ChangeId::read(text).unwrap()
}

fn own(wanted: &Wanted, restart: Option<&str>) -> DeliveredSecret {
    DeliveredSecret {
        uid: Uid::new("u-1").unwrap(),
        resource_version: ResourceVersion::new("7").unwrap(),
        whole: wanted.policy.is_whole().then(|| wanted.instance.clone()),
        wrote: Wrote::all(wanted),
        manager: Some(wanted.manager.clone()),
        fingerprint: wanted.fingerprint,
        author: None,
        left: false,
        restart: restart.map(change),
    }
}

fn apply(touches: Touches) -> Verdict {
    Verdict::Apply {
        judged: Judged {
            uid: Uid::new("u-1").unwrap(),
            resource_version: ResourceVersion::new("7").unwrap(),
            foreign: Vec::new(),
            wrote: Wrote::default(),
        },
        force: Force::No,
        effect: Effect::Updated,
        touches,
    }
}

#[test]
fn a_change_says_when_it_was_written_and_what_others_write_is_a_plain_word_or_nothing() {
    let at: Timestamp = "2026-11-26T18:30:00Z".parse().unwrap();
    let made = ChangeId::new(at, 255);
    assert_eq!(made.as_str(), "2026-11-26T18:30:00Z.00000000000000ff");
    assert_eq!(made.at(), Some(at));
    assert_eq!(ChangeId::read(made.as_str()), Some(made));
    assert_eq!(change("now").at(), None);
    for text in ["", "a b", "é", "a\n", &"x".repeat(65)] {
        assert_eq!(ChangeId::read(text), None, "{text:?}");
    }
}

#[test]
fn everybody_who_shares_a_secret_has_a_record_and_a_mark_of_their_own() {
    let instance = Instance::new("here").unwrap();
    let whole = FieldManager::new(&[]);
    let merged = |entry: &str| FieldManager::new(&[instance.as_str(), entry]);
    assert_eq!(record_key(&whole).as_str(), "secretsyncd/restart");
    let records = [whole.clone(), merged("a"), merged("b")].map(|it| record_key(&it));
    assert!(records.iter().all(|key| is_record(key.as_str())));
    assert_ne!(records[1], records[2]);
    for other in ["secretsyncd/restarted", "secretsyncd/entry", "restart"] {
        assert!(!is_record(other), "{other}");
    }
    let db = ObjectName::new("db").unwrap();
    assert_eq!(mark_key(&db, &whole).as_str(), "secretsyncd/restart.db");
    let long = |end: &str| ObjectName::new("x".repeat(60) + end).unwrap();
    let marks = [
        mark_key(&db, &whole),
        mark_key(&db, &merged("a")),
        mark_key(&db, &merged("b")),
        mark_key(&long("1"), &whole),
        mark_key(&long("2"), &whole),
    ];
    let distinct: std::collections::BTreeSet<_> = marks.iter().collect();
    assert_eq!(distinct.len(), marks.len());
}

#[test]
fn a_record_is_carried_until_the_restart_is_done_and_changes_nothing_by_that() {
    for policy in ALL {
        let wanted = wanted(policy);
        let recorded_on = recording(&wanted, &change("one"));
        let live = applied(&recorded_on);
        let own = own(&wanted, Some("one"));
        let carried = carried(&wanted, Some(&live), Some(&own));
        assert_eq!(recorded(&carried), Some(change("one")));
        let known = Known {
            own: Some(&own),
            ..Known::default()
        };
        let verdict = judge(&carried, Some(&live), known).unwrap();
        assert!(matches!(verdict, Verdict::Unchanged(_)), "{verdict:?}");
        // Without it, it would be taken away.
        let verdict = judge(&wanted, Some(&live), known).unwrap();
        assert!(!matches!(verdict, Verdict::Unchanged(_)), "{policy:?}");
    }
}

#[test]
fn what_is_recorded_comes_from_the_secret_before_the_ledger() {
    let wanted = wanted(CreationPolicy::Owner);
    let plain = applied(&wanted);
    let live = applied(&recording(&wanted, &change("two")));
    let of = |live: Option<&LiveSecret>, own: &DeliveredSecret| {
        recorded(&carried(&wanted, live, Some(own)))
    };
    let told = own(&wanted, Some("one"));
    assert_eq!(of(Some(&live), &told), Some(change("two")));
    assert_eq!(of(None, &told), Some(change("one")));
    // Somebody wiped it.
    assert_eq!(of(Some(&plain), &told), Some(change("one")));
    // Another life, or another machine may have finished it.
    let another = DeliveredSecret {
        uid: Uid::new("u-2").unwrap(),
        ..told.clone()
    };
    assert_eq!(of(Some(&plain), &another), None);
    let left = DeliveredSecret { left: true, ..told };
    assert_eq!(of(Some(&plain), &left), None);
    assert_eq!(of(None, &left), None);
    assert_eq!(of(Some(&plain), &own(&wanted, None)), None);
}

#[test]
fn a_predecessors_record_that_has_become_ours_goes_on_as_our_own() {
    let wanted = wanted(CreationPolicy::Merge);
    let mut live = applied(&wanted);
    let predecessor = record_key(&FieldManager::new(&["here", "before"]));
    let key = predecessor.to_string();
    let text = SecretBytes::new(b"one".to_vec());
    live.annotations.insert(key.clone(), text);
    assert_eq!(recorded(&carried(&wanted, Some(&live), None)), None);
    live.managers[0].annotations.insert(key);
    let carried = carried(&wanted, Some(&live), None);
    assert_eq!(recorded(&carried), Some(change("one")));
}

#[test]
fn only_other_data_than_pods_may_have_begun_with_makes_a_restart_due() {
    let wanted = wanted(CreationPolicy::Owner);
    let same = own(&wanted, None);
    let other = DeliveredSecret {
        fingerprint: Fingerprint::from_bytes([9; 32]),
        ..same.clone()
    };
    let create = Verdict::Create {
        effect: Effect::Created,
    };
    for (verdict, own, expected) in [
        (&apply(Touches::Data), None, true),
        (&apply(Touches::Data), Some(&same), true),
        (&apply(Touches::Metadata), Some(&other), false),
        (&create, None, false),
        (&create, Some(&same), false),
        (&create, Some(&other), true),
    ] {
        assert_eq!(
            is_due(verdict, &wanted, own),
            expected,
            "{verdict:?} {own:?}"
        );
    }
}
