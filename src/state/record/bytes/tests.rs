use super::*;

fn entry() -> EntryName {
    EntryName::new("team/db").unwrap()
}

#[test]
fn records_come_back_as_they_were() {
    let file = FileRecord {
        entry: entry(),
        delivered: Some(Fingerprint::from_bytes([0xab; 32])),
        intent: None,
        mode: 0o640,
        temporary: Some(Temporary {
            number: u64::MAX,
            inode: 17,
        }),
        left: true,
    };
    let file = Kept {
        record: file,
        left_at: Some(Timestamp::from_second(1_790_000_000).unwrap()),
    };
    assert_eq!(file_from_bytes(&file_to_bytes(&file)), Ok(file));
    let secret = DeliveredSecret {
        uid: Uid::new("0f-1").unwrap(),
        resource_version: ResourceVersion::new("17").unwrap(),
        whole: Some(Instance::new("default").unwrap()),
        wrote: Wrote {
            keys: [SecretKey::new("tls.crt").unwrap()].into(),
            labels: [MetadataKey::new("team").unwrap()].into(),
            annotations: [MetadataKey::new("example.com/note").unwrap()].into(),
        },
        fingerprint: Fingerprint::from_bytes([7; 32]),
        left: true,
    };
    let secret = Kept {
        record: secret,
        left_at: Some(Timestamp::from_second(1_790_000_000).unwrap()),
    };
    let bytes = secret_to_bytes(&secret);
    assert_eq!(secret_from_bytes(&bytes), Ok(secret.clone()));
    let older = String::from_utf8(bytes).unwrap();
    let older = older.replace(r#","left":true,"left_at":1790000000"#, "");
    assert!(!older.contains("left"), "{older}");
    let mut unmarked = Kept::written(secret.record);
    unmarked.record.left = false;
    assert_eq!(secret_from_bytes(older.as_bytes()), Ok(unmarked));
}

#[test]
fn damaged_and_newer_records_are_told_apart() {
    assert_eq!(file_from_bytes(b"{}"), Err(Unreadable::Damaged));
    assert_eq!(
        file_from_bytes(br#"{"version":2,"something":"else"}"#),
        Err(Unreadable::Newer)
    );
    for bad in ["", "zz", &"é".repeat(32)] {
        assert!(unhex(bad).is_err());
    }
}
