//! What is made ours by name before anything is written, and from whom.

use super::*;
use crate::kube::FieldKind;

fn known<'a>(own: Option<&'a DeliveredSecret>, gone: &'a [Gone]) -> Known<'a> {
    Known {
        own,
        gone,
        ..Known::default()
    }
}

/// The Secret after the take-over that is due, if one is. No value may change by it.
fn taken(wanted: &Wanted, live: &LiveSecret, known: Known<'_>) -> Option<LiveSecret> {
    match super::super::judge(wanted, Some(live), known).unwrap() {
        Verdict::TakeOver { ownership, .. } => {
            assert_eq!(
                (&ownership.uid, &ownership.resource_version),
                (&live.uid, &live.resource_version)
            );
            let managers = ownership.managers;
            Some(LiveSecret {
                managers,
                ..live.clone()
            })
        }
        Verdict::Unchanged(_) | Verdict::Create { .. } | Verdict::Apply { .. } => None,
    }
}

/// Who holds a data key, with `=` before those who apply.
fn holders(live: &LiveSecret, name: &str) -> Vec<String> {
    let holders = live
        .managers
        .iter()
        .filter(|m| m.fields(FieldKind::Data).contains(name));
    let shown = holders.map(|m| match m.operation {
        Operation::Apply => format!("={}", m.name),
        Operation::Update => m.name.clone(),
    });
    shown.collect()
}

fn gone(entry: &str, delivered: DeliveredSecret) -> Gone {
    let entry = EntryName::new(entry).unwrap();
    Gone { entry, delivered }
}

#[test]
fn a_making_that_broke_off_becomes_ours_as_if_it_had_been_applied() {
    for policy in [Owner, Orphan, CreateOrMerge] {
        let wanted = wanted(policy);
        let live = attempted(&wanted);
        let after = taken(&wanted, &live, Known::default()).unwrap();
        let expected = applied(&wanted).managers;
        assert_eq!(after.managers, expected, "{policy:?}");
        assert!(unchanged(&wanted, &after, None));
        // Somebody who wrote in between keeps what they own.
        let mut beside = live;
        overwrite(&mut beside, "theirs", "x");
        let theirs = beside.managers[1].clone();
        let after = taken(&wanted, &beside, Known::default()).unwrap();
        assert!(after.managers.contains(&theirs), "{policy:?}");
        assert!(unchanged(&wanted, &after, None));
    }
}

/// Bug: the first delivery took the way back along, since what the taking over had changed was all made our apply's.
#[test]
fn after_adopt_our_apply_has_what_is_wanted_and_the_way_back_stays_beside_it() {
    let wanted = wanted(Owner);
    let mut live = applied(&wanted);
    let back = "secretsyncd/adopted-from";
    live.annotations
        .insert(back.into(), SecretBytes::new(b"{}".to_vec()));
    // What a patch changes is its own manager's, whatever its `managedFields` say.
    let mut changed = Manager {
        name: FieldManager::adopting().as_str().to_owned(),
        labels: std::mem::take(&mut live.managers[0].labels),
        annotations: std::mem::take(&mut live.managers[0].annotations),
        ..Manager::default()
    };
    changed.annotations.insert(back.to_owned());
    live.managers.push(changed);
    let after = taken(&wanted, &live, Known::default()).unwrap();
    let by = |name: &str| {
        let mut managers = after.managers.iter();
        managers.find(|m| m.name == name).unwrap().clone()
    };
    let rest = by(FieldManager::adopting().as_str());
    assert_eq!((rest.labels.len(), rest.annotations.len()), (0, 1));
    assert!(rest.annotations.contains(back));
    assert_eq!(by("secretsyncd").labels.len(), wanted.labels.len());
    assert!(unchanged(&wanted, &after, None));
}

#[test]
fn a_making_proves_nothing_without_our_annotations_or_for_another_entry() {
    let owner = wanted(Owner);
    let mut live = attempted(&owner);
    live.annotations.clear();
    assert_eq!(refusal(&owner, &live, None).0, Reason::Conflict);
    let mut other = wanted(CreateOrMerge);
    other.entry = EntryName::new("other").unwrap();
    other.manager = field_manager(other.policy, &other.instance, &other.entry);
    assert!(taken(&other, &live, Known::default()).is_none());
}

#[test]
fn what_an_older_release_left_is_folded_into_what_is_proven_ours() {
    let wanted = wanted(Owner);
    let old = |live: &LiveSecret| {
        let mut live = live.clone();
        live.managers[0].name = format!("secretsyncd:create:{:032X}", 7);
        live
    };
    let left = old(&applied(&wanted));
    let after = taken(&wanted, &left, Known::default()).unwrap();
    assert_eq!(after.managers, applied(&wanted).managers);
    let mut beside = applied(&wanted);
    beside.managers.extend(left.managers.clone());
    let after = taken(&wanted, &beside, Known::default()).unwrap();
    assert_eq!(after.managers, applied(&wanted).managers);
    // It may have met somebody else's Secret: there it proves nothing, and is named.
    let mut theirs = left;
    theirs.managers.push(written("helm", ["theirs"]));
    let failure = judge(&wanted, Some(&theirs), None).unwrap_err();
    assert!(
        failure.help().contains(&theirs.managers[0].name),
        "{}",
        failure.help()
    );
    let merge = self::wanted(Merge);
    let mut live = applied(&merge);
    live.managers.push(theirs.managers[0].clone());
    assert!(taken(&merge, &live, Known::default()).is_none());
}

/// What the entry `old` merged into the Secret, and its record.
fn of_old(wanted: &Wanted) -> (LiveSecret, Gone) {
    let mut before = wanted.clone();
    before.entry = EntryName::new("old").unwrap();
    before.manager = field_manager(before.policy, &before.instance, &before.entry);
    before
        .data
        .insert(key("dropped"), SecretBytes::new(b"x".to_vec()));
    let mut wrote = ledger(2).wrote;
    wrote.keys = [key("a"), key("dropped")].into();
    let record = DeliveredSecret {
        wrote,
        manager: Some(before.manager.clone()),
        ..merged(2)
    };
    (applied(&before), gone("old", record))
}

#[test]
fn a_renamed_merge_entry_takes_its_old_names_keys_over() {
    for policy in [Merge, CreateOrMerge] {
        let wanted = wanted(policy);
        let (live, old) = of_old(&wanted);
        let after = taken(&wanted, &live, known(None, std::slice::from_ref(&old))).unwrap();
        assert_eq!(holders(&after, "a"), ["=secretsyncd:here:db"]);
        assert_eq!(holders(&after, "dropped"), ["=secretsyncd:here:db"]);
        assert_eq!(apply(&wanted, &after, None), (false, Effect::Updated));
        // A record of an earlier release does not say under which name.
        let mut unnamed = old;
        unnamed.delivered.manager = None;
        assert!(taken(&wanted, &live, known(None, &[unnamed])).is_some());
    }
}

#[test]
fn of_a_shared_secret_only_what_is_wanted_is_taken_over_from_an_old_name() {
    let wanted = wanted(Merge);
    let (live, old) = of_old(&wanted);
    let known = Known {
        shared: true,
        ..known(None, std::slice::from_ref(&old))
    };
    let after = taken(&wanted, &live, known).unwrap();
    assert_eq!(holders(&after, "a"), ["=secretsyncd:here:db"]);
    assert_eq!(holders(&after, "dropped"), ["=secretsyncd:here:old"]);
    assert!(taken(&wanted, &after, known).is_none(), "once is enough");
    // Whoever was here before goes on as ever.
    let own = DeliveredSecret {
        manager: old.delivered.manager.clone(),
        ..merged(2)
    };
    let own = Known {
        own: Some(&own),
        ..known
    };
    let after = taken(&wanted, &live, own).unwrap();
    assert_eq!(holders(&after, "dropped"), ["=secretsyncd:here:db"]);
}

#[test]
fn only_an_entry_that_is_new_takes_over_and_only_from_one_that_it_follows() {
    let wanted = wanted(Merge);
    let (live, old) = of_old(&wanted);
    let mut was_there = live.clone();
    was_there.managers.extend(applied(&wanted).managers);
    let own = merged(1);
    let beside = known(Some(&own), std::slice::from_ref(&old));
    assert!(
        taken(&wanted, &was_there, beside).is_none(),
        "it was there before"
    );
    assert!(
        taken(&wanted, &live, known(None, &[])).is_none(),
        "not gone"
    );
    let mut earlier = old.clone();
    earlier.delivered.uid = uid("u-0");
    assert!(taken(&wanted, &live, known(None, &[earlier])).is_none());
    let mut others = old;
    others.delivered.wrote.keys = [key("dropped")].into();
    assert!(
        taken(&wanted, &live, known(None, &[others])).is_none(),
        "other keys: what it left stays"
    );
}

#[test]
fn no_former_name_of_an_entry_keeps_its_keys() {
    // Owner to merge: our claims go with the next apply, the type is left alone.
    let merge = wanted(Merge);
    let live = applied(&wanted(Owner));
    let record = ledger(2);
    let after = taken(&merge, &live, known(Some(&record), &[])).unwrap();
    assert_eq!(holders(&after, "a"), ["=secretsyncd:here:db"]);
    assert!(!after.managers[0].secret_type);
    assert!(!apply(&merge, &after, Some(&record)).0);
    // It is another entry's by now.
    assert!(
        taken(
            &merge,
            &of_another_entry(&wanted(Owner)),
            known(Some(&record), &[])
        )
        .is_none()
    );
    // Merge under another instance.
    let mut live = applied(&merge);
    live.managers[0].name = "secretsyncd:before:db".into();
    let record = DeliveredSecret {
        manager: FieldManager::read("secretsyncd:before:db"),
        ..merged(1)
    };
    let after = taken(&merge, &live, known(Some(&record), &[])).unwrap();
    assert_eq!(after.managers, applied(&merge).managers);
    // Merge to owner, which takes `adopt`.
    let mut owner = wanted(Owner);
    owner.adopt = true;
    let record = merged(2);
    let after = taken(&owner, &applied(&merge), known(Some(&record), &[])).unwrap();
    assert_eq!(holders(&after, "a"), ["=secretsyncd"]);
}

#[test]
fn a_key_that_we_wrote_and_drop_is_taken_from_whoever_does_not_apply_it() {
    for policy in [Owner, Merge] {
        let wanted = wanted(policy);
        let mut with = wanted.clone();
        with.data
            .insert(key("old"), SecretBytes::new(b"x".to_vec()));
        let mut live = applied(&with);
        live.managers
            .push(written("before-first-apply", ["a", "old"]));
        let mut record = ledger(2);
        record.wrote.keys = [key("a"), key("old")].into();
        if policy == Merge {
            record.whole = None;
        }
        let after = taken(&wanted, &live, known(Some(&record), &[])).unwrap();
        assert_eq!(
            holders(&after, "old"),
            [format!("={}", wanted.manager.as_str())]
        );
        assert_eq!(
            holders(&after, "a").len(),
            2,
            "what is wanted is left as it is"
        );
        assert!(!apply(&wanted, &after, Some(&record)).0);
        // Neither without a record, nor from an apply.
        assert!(taken(&wanted, &live, known(None, &[])).is_none());
        live.managers[1].operation = Operation::Apply;
        assert!(taken(&wanted, &live, known(Some(&record), &[])).is_none());
    }
}

#[test]
fn wiped_ownership_is_restored_for_what_we_wrote_and_want() {
    let mut wanted = wanted(Owner);
    let mut live = applied(&wanted);
    live.managers.clear();
    live.data
        .insert(key("theirs"), SecretBytes::new(b"x".to_vec()));
    let record = ledger(2);
    let after = taken(&wanted, &live, known(Some(&record), &[])).unwrap();
    assert_eq!(holders(&after, "a"), ["=secretsyncd"]);
    assert!(holders(&after, "theirs").is_empty());
    wanted
        .data
        .insert(key("a"), SecretBytes::new(b"newer".to_vec()));
    assert!(taken(&wanted, &live, known(Some(&record), &[])).is_none());
}
