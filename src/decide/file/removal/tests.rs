use super::*;
use crate::decide::samples::{blank, db};
use crate::state::{FileId, Temporary};

const ID: FileId = FileId {
    inode: 7,
    born: None,
};
const OLD: Fingerprint = Fingerprint::from_bytes([1; 32]);
const NEW: Fingerprint = Fingerprint::from_bytes([2; 32]);

fn record() -> FileRecord {
    FileRecord {
        delivered: Some(OLD),
        inode: Some(7),
        ..blank()
    }
}

fn file(content: Fingerprint) -> Observed {
    Observed::Regular {
        content: Content::Of(content),
        mode: 0o644,
        acl: true,
        owner: 0,
        group: 0,
        links: 1,
        id: ID,
        readable: true,
    }
}

fn judged(record: Option<&FileRecord>, observed: Observed, inode: u64) -> Result<Removal, String> {
    let found = Found {
        path: Path::new("/x"),
        observed: &observed,
        inode: (observed != Observed::Absent).then_some(inode),
    };
    delete(&db(), record, found).map_err(|failure| {
        assert_eq!(failure.reason, Reason::Conflict);
        failure.fact.clone()
    })
}

fn stays(record: &FileRecord, observed: Observed, inode: u64) -> String {
    judged(Some(record), observed, inode).unwrap_err()
}

#[test]
fn only_the_recorded_inode_with_the_recorded_content_goes() {
    let ours = record();
    let gone = Removal::Remove { inode: 7 };
    assert_eq!(judged(Some(&ours), file(OLD), 7), Ok(gone));
    assert!(stays(&ours, file(NEW), 7).contains("does not hold what was delivered"));
    assert!(stays(&ours, file(OLD), 8).contains("is not the file that was delivered"));
    let unread = Observed::Regular {
        content: Content::Unknown,
        mode: 0,
        acl: false,
        owner: 0,
        group: 0,
        links: 1,
        id: ID,
        readable: true,
    };
    assert!(stays(&ours, unread, 7).contains("does not hold"));
    let linked = Observed::Regular {
        content: Content::Of(OLD),
        mode: 0o600,
        acl: false,
        owner: 0,
        group: 0,
        links: 2,
        id: ID,
        readable: true,
    };
    assert!(stays(&ours, linked, 7).contains("another hard link"));
    for odd in [Observed::Symlink, Observed::Directory, Observed::Other] {
        assert!(stays(&ours, odd, 7).contains("by now"));
    }
    let of_old_release = FileRecord {
        inode: None,
        ..record()
    };
    assert!(stays(&of_old_release, file(OLD), 7).contains("earlier release"));
}

#[test]
fn a_write_that_was_broken_off_is_known_by_its_temporary_file() {
    let written = FileRecord {
        intent: Some(NEW),
        temporary: Some(Temporary {
            number: 1,
            inode: 9,
            born: None,
        }),
        ..record()
    };
    let gone = |inode| Ok(Removal::Remove { inode });
    assert_eq!(judged(Some(&written), file(NEW), 9), gone(9));
    assert_eq!(judged(Some(&written), file(OLD), 7), gone(7));
    assert!(judged(Some(&written), file(NEW), 7).is_err());
    assert!(judged(Some(&written), file(OLD), 9).is_err());
}

#[test]
fn what_the_ledger_does_not_know_as_this_entrys_stays() {
    assert_eq!(judged(None, Observed::Absent, 0), Ok(Removal::Gone));
    assert!(judged(None, file(OLD), 7).unwrap_err().contains("ledger"));
    let other = FileRecord {
        entry: EntryName::new("other").unwrap(),
        ..record()
    };
    assert!(stays(&other, file(OLD), 7).contains("another entry"));
    let left = FileRecord {
        left: true,
        ..record()
    };
    assert!(stays(&left, file(OLD), 7).contains("configured again"));
    let adopted = FileRecord {
        delivered: None,
        adopted: Some(OLD),
        ..record()
    };
    assert!(stays(&adopted, file(OLD), 7).contains("does not hold"));
}
