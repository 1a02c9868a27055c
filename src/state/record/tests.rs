use super::*;

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
        },
        found: found.map(|content| Fingerprint::from_bytes([content; 32])),
        temporary: Temporary {
            number: 1,
            inode: 2,
        },
    };
    let first = FileRecord::intending(None, &intent(1, None));
    let second = FileRecord::intending(Some(&first), &intent(2, Some(1)));
    assert_eq!(second.delivered, Some(Fingerprint::from_bytes([1; 32])));
    assert_eq!(second.intent, Some(Fingerprint::from_bytes([2; 32])));
    let not_carried_out = FileRecord::intending(Some(&first), &intent(2, Some(9)));
    assert_eq!(not_carried_out.delivered, None);
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
