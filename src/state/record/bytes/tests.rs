use super::*;

fn entry() -> EntryName {
    EntryName::new("team/db").unwrap()
}

fn mark(id: u64) -> Mark {
    Mark {
        id,
        since: Timestamp::from_second(1_790_000_000).unwrap(),
    }
}

fn generation() -> Generation {
    Generation {
        name: "..secretsyncd-1".to_owned(),
        inode: 18,
        keys: [SecretKey::new("tls.crt").unwrap()].into(),
        given: Some(Given {
            owner: 26,
            seal: Some(Fingerprint::from_bytes([0x5e; 32])),
        }),
    }
}

#[test]
fn records_come_back_as_they_were() {
    let file = FileRecord {
        entry: entry(),
        delivered: Some(Fingerprint::from_bytes([0xab; 32])),
        intent: None,
        mode: 0o640,
        inode: Some(u64::MAX),
        placed: Some(Placed {
            born: Some((-1, 2)),
            inode: 5,
            size: 9,
            modified: (-1, 2),
            changed: (3, 4),
            owner: 1000,
            group: 33,
            owner_named: true,
            group_named: false,
        }),
        temporary: Some(Temporary {
            number: u64::MAX,
            inode: 17,
            born: None,
        }),
        generations: vec![generation()],
        left: true,
        removing: true,
        adopted: Some(Fingerprint::from_bytes([0xcd; 32])),
        whose: Whose::Found,
        marks: Marks {
            pending: Some(mark(u64::MAX)),
            intended: Some(mark(0)),
        },
    };
    let file = Kept {
        record: file,
        left_at: Some(Timestamp::from_second(1_790_000_000).unwrap()),
    };
    assert_eq!(file_from_bytes(&file_to_bytes(&file)), Ok(file.clone()));
    // Earlier releases did not know of inodes, removals, adoption, actions and whose a file is.
    let bytes = String::from_utf8(file_to_bytes(&file)).unwrap();
    let mut older: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&bytes).unwrap();
    for unknown in [
        "inode", "removing", "adopted", "whose", "pending", "intended",
    ] {
        older.remove(unknown).unwrap();
    }
    let older = serde_json::to_vec(&older).unwrap();
    let record = FileRecord {
        inode: None,
        removing: false,
        adopted: None,
        whose: Whose::Ours,
        marks: Marks::default(),
        ..file.record.clone()
    };
    assert_eq!(file_from_bytes(&older), Ok(Kept { record, ..file }));
}

#[test]
fn records_of_secrets_come_back_and_so_do_those_of_earlier_releases() {
    let secret = DeliveredSecret {
        uid: Uid::new("0f-1").unwrap(),
        resource_version: ResourceVersion::new("17").unwrap(),
        whole: Some(Instance::new("default").unwrap()),
        wrote: Wrote {
            keys: [SecretKey::new("tls.crt").unwrap()].into(),
            labels: [MetadataKey::new("team").unwrap()].into(),
            annotations: [MetadataKey::new("example.com/note").unwrap()].into(),
        },
        manager: Some(FieldManager::new(&["default", "team/db"])),
        fingerprint: Fingerprint::from_bytes([7; 32]),
        author: Some(Arc::new(Author {
            policy: CreationPolicy::CreateOrMerge,
            instance: Instance::new("default").unwrap(),
        })),
        left: true,
        restart: ChangeId::read("2026-11-26T18:30:00Z.00000000000000ff"),
    };
    let secret = Kept {
        record: secret,
        left_at: Some(Timestamp::from_second(1_790_000_000).unwrap()),
    };
    let bytes = secret_to_bytes(&secret);
    assert_eq!(secret_from_bytes(&bytes), Ok(secret.clone()));
    let older = String::from_utf8(bytes).unwrap();
    let older = older.replace(r#","left":true,"left_at":1790000000"#, "");
    let older = older.replace(r#","manager":"secretsyncd:default:team/db""#, "");
    assert!(
        !older.contains("left") && !older.contains("manager"),
        "{older}"
    );
    let mut unmarked = Kept::written(secret.record);
    unmarked.record.left = false;
    unmarked.record.manager = None;
    assert_eq!(secret_from_bytes(older.as_bytes()), Ok(unmarked.clone()));
    let author = r#""author":{"policy":"create_or_merge","instance":"default"}"#;
    assert!(older.contains(author), "{older}");
    let oldest = older.replace(&format!(",{author}"), "");
    unmarked.record.author = None;
    assert_eq!(secret_from_bytes(oldest.as_bytes()), Ok(unmarked));
    let unknown = older.replace("create_or_merge", "steal");
    assert_eq!(
        secret_from_bytes(unknown.as_bytes()),
        Err(Unreadable::Damaged)
    );
    for (word, policy) in POLICIES {
        let author = Author {
            policy,
            instance: Instance::new("default").unwrap(),
        };
        assert_eq!(author_to_raw(&author).policy, word);
    }
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
