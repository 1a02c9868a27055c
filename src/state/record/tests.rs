use super::*;
use crate::decide::kubernetes::Wrote;
use crate::names::Uid;
use crate::state::samples;

fn entry() -> EntryName {
    EntryName::new("team/db").unwrap()
}

#[test]
fn an_intent_that_was_carried_out_outlives_the_next_one() {
    let intent = |content: u8, found: Option<u8>| FileIntent {
        delivery: FileDelivery {
            path: "/a".into(),
            entry: entry(),
            fingerprint: Fingerprint::from_bytes([content; 32]),
            mode: 0o600,
            placed: Some(samples::placed(crate::state::tests::file(2))),
            generations: Vec::new(),
            whose: Whose::Ours,
        },
        found: found.map(|content| Fingerprint::from_bytes([content; 32])),
        found_ours: true,
        temporary: Temporary {
            number: 1,
            inode: 2,
            born: None,
        },
        mark: None,
    };
    let first = FileRecord::intending(None, &intent(1, None));
    let second = FileRecord::intending(Some(&first), &intent(2, Some(1)));
    assert_eq!(second.delivered, Some(Fingerprint::from_bytes([1; 32])));
    assert_eq!(second.intent, Some(Fingerprint::from_bytes([2; 32])));
    let not_carried_out = FileRecord::intending(Some(&first), &intent(2, Some(9)));
    assert_eq!(not_carried_out.delivered, None);
}

/// Bug: who put the bytes there that a write had failed to put made his file ours by that.
#[test]
fn content_alone_carries_nothing_out() {
    let first = FileRecord::intending(None, &marked(1, None));
    let elsewhere = FileIntent {
        found_ours: false,
        ..marked(2, Some(1))
    };
    let second = FileRecord::intending(Some(&first), &elsewhere);
    assert_eq!((second.delivered, second.marks.pending), (None, None));
}

/// A write of `content` over what holds `found`, that an action has to run for.
fn marked(content: u8, found: Option<u8>) -> FileIntent {
    FileIntent {
        delivery: delivery(content),
        found: found.map(|content| Fingerprint::from_bytes([content; 32])),
        found_ours: true,
        temporary: Temporary {
            number: 1,
            inode: 2,
            born: None,
        },
        mark: Some(Mark {
            id: content.into(),
            since: Timestamp::UNIX_EPOCH,
        }),
    }
}

fn delivery(content: u8) -> FileDelivery {
    FileDelivery {
        path: "/a".into(),
        entry: entry(),
        fingerprint: Fingerprint::from_bytes([content; 32]),
        mode: 0o600,
        placed: None,
        generations: Vec::new(),
        whose: Whose::Ours,
    }
}

/// The marks of a record, by the content that they are of.
fn marks(record: &FileRecord) -> (Option<u64>, Option<u64>) {
    let Marks { pending, intended } = record.marks;
    (pending.map(|it| it.id), intended.map(|it| it.id))
}

#[test]
fn a_change_is_pending_once_it_was_made_and_until_its_action_has_run() {
    let begun = FileRecord::intending(None, &marked(1, None));
    assert_eq!(marks(&begun), (None, Some(1)));
    let made = FileRecord::delivered(Some(&begun), &delivery(1));
    assert_eq!(marks(&made), (Some(1), None));
    // Said again, and written with other permissions.
    let again = FileRecord::delivered(Some(&made), &delivery(1));
    assert_eq!(marks(&again), (Some(1), None));
    let next = FileRecord::intending(Some(&made), &marked(2, Some(1)));
    assert_eq!(marks(&next), (Some(1), Some(2)));
    let next = FileRecord::delivered(Some(&next), &delivery(2));
    assert_eq!(marks(&next), (Some(2), None));
    let next = Kept::written(next);
    assert_eq!(next.acted(1), None, "there was another change since");
    assert_eq!(marks(&next.acted(2).unwrap().record), (None, None));
}

#[test]
fn a_change_that_never_came_about_is_not_pending_and_hides_no_earlier_one() {
    let made = FileRecord::delivered(
        Some(&FileRecord::intending(None, &marked(1, None))),
        &delivery(1),
    );
    let broken_off = FileRecord::intending(Some(&made), &marked(2, Some(1)));
    let as_before = FileRecord::delivered(Some(&broken_off), &delivery(1));
    assert_eq!(marks(&as_before), (Some(1), None));
    let told = Kept::written(made).acted(1).unwrap().record;
    let broken_off = FileRecord::intending(Some(&told), &marked(2, Some(1)));
    let as_before = FileRecord::delivered(Some(&broken_off), &delivery(1));
    assert_eq!(marks(&as_before), (None, None));
    // Killed after the swap, and written anew before anything else was said.
    let over = FileRecord::intending(Some(&broken_off), &marked(3, Some(2)));
    assert_eq!(marks(&over), (Some(2), Some(3)));
    let not_over = FileRecord::intending(Some(&broken_off), &marked(3, Some(1)));
    assert_eq!(marks(&not_over), (None, Some(3)));
}

#[test]
fn a_cluster_with_slashes_keeps_its_name() {
    let id = SecretId {
        cluster: ClusterName::new("eu/prod").unwrap(),
        namespace: Namespace::new("app").unwrap(),
        name: ObjectName::new("db.main").unwrap(),
    };
    assert_eq!(SecretId::from_text(&id.to_string()), Ok(id));
    assert_eq!(SecretId::from_text("app/db"), Err(Unreadable::Damaged));
}

fn secret(version: &str, restart: Option<&str>) -> Kept<DeliveredSecret> {
    let record = DeliveredSecret {
        uid: Uid::new("u").unwrap(),
        resource_version: ResourceVersion::new(version).unwrap(),
        whole: None,
        wrote: Wrote::default(),
        manager: None,
        fingerprint: Fingerprint::from_bytes([3; 32]),
        author: None,
        left: false,
        restart: restart.and_then(ChangeId::read),
    };
    Kept {
        record,
        left_at: None,
    }
}

#[test]
fn a_restart_that_is_done_moves_the_state_of_a_secret_on_only_from_that_of_the_delivery() {
    let done = |kept: &Kept<DeliveredSecret>, states: Option<(&str, &str)>| {
        let version = |text| ResourceVersion::new(text).unwrap();
        let states = states.map(|(before, after)| (version(before), version(after)));
        kept.restarted(&ChangeId::read("one").unwrap(), states)
    };
    let own = secret("7", Some("one"));
    assert_eq!(done(&own, Some(("7", "8"))), Some(secret("8", None)));
    // Somebody else wrote since, which is to be noticed.
    assert_eq!(done(&own, Some(("9", "10"))), Some(secret("7", None)));
    assert_eq!(done(&own, None), Some(secret("7", None)));
    // It changed again meanwhile.
    let next = secret("7", Some("two"));
    assert_eq!(done(&next, None), None);
    assert_eq!(done(&next, Some(("6", "7"))), None);
}
