use std::collections::BTreeSet;

use super::*;
use crate::decide::samples::{blank, placed};
use crate::secret::Fingerprint;
use crate::state::Temporary;

const OURS: FileId = FileId {
    inode: 7,
    born: None,
};
const ANOTHER: FileId = FileId {
    inode: 8,
    born: None,
};
const OLD: Fingerprint = Fingerprint::from_bytes([1; 32]);
const NEW: Fingerprint = Fingerprint::from_bytes([2; 32]);
const ALL: [Whose; 3] = [Whose::Ours, Whose::Copied, Whose::Found];

fn record(whose: Whose) -> FileRecord {
    FileRecord {
        delivered: Some(NEW),
        inode: Some(OURS.inode),
        placed: Some(placed(OURS)),
        whose,
        ..blank()
    }
}

fn of(record: &FileRecord, id: FileId) -> Whose {
    whose(Some(record), (id, Content::Of(NEW)), false)
}

#[test]
fn what_is_known_stays_whose_it_is() {
    for before in ALL {
        assert_eq!(of(&record(before), OURS), before);
        let left = FileRecord {
            left: true,
            ..record(before)
        };
        assert_eq!(of(&left, OURS), before);
    }
    let of_old_release = FileRecord {
        placed: None,
        inode: None,
        ..record(Whose::Ours)
    };
    assert_eq!(of(&of_old_release, ANOTHER), Whose::Ours);
}

#[test]
fn another_file_is_theirs_whatever_it_holds() {
    let new = (ANOTHER, Content::Of(NEW));
    assert_eq!(whose(None, new, false), Whose::Found);
    assert_eq!(of(&record(Whose::Ours), ANOTHER), Whose::Copied);
    assert_eq!(of(&record(Whose::Found), ANOTHER), Whose::Found);
    let left = FileRecord {
        left: true,
        ..record(Whose::Ours)
    };
    let removing = FileRecord {
        removing: true,
        ..record(Whose::Ours)
    };
    let begun = FileRecord {
        delivered: None,
        intent: Some(NEW),
        placed: None,
        inode: None,
        ..record(Whose::Ours)
    };
    for doubtful in [left, removing, begun] {
        assert_eq!(of(&doubtful, ANOTHER), Whose::Found, "{doubtful:?}");
    }
}

#[test]
fn what_is_given_to_us_or_was_swapped_in_is_ours() {
    let new = (ANOTHER, Content::Of(NEW));
    assert_eq!(whose(None, new, true), Whose::Ours);
    for before in ALL {
        assert_eq!(whose(Some(&record(before)), new, true), Whose::Ours);
        let given = |adopted| FileRecord {
            adopted: Some(adopted),
            ..record(before)
        };
        assert_eq!(of(&given(NEW), ANOTHER), Whose::Ours);
        assert_ne!(of(&given(OLD), ANOTHER), Whose::Ours);
        let killed = |intent| FileRecord {
            delivered: Some(OLD),
            intent: Some(intent),
            temporary: Some(Temporary {
                number: 1,
                inode: ANOTHER.inode,
                born: None,
            }),
            ..record(before)
        };
        assert_eq!(of(&killed(NEW), ANOTHER), Whose::Ours);
        assert_ne!(of(&killed(OLD), ANOTHER), Whose::Ours);
    }
}

/// Bug: the record of a directory names no file, and made every file that took its place ours.
#[test]
fn a_file_in_place_of_a_directory_is_theirs() {
    let of_directory = FileRecord {
        placed: None,
        inode: None,
        generations: vec![crate::state::Generation {
            name: "..2".into(),
            inode: 3,
            keys: BTreeSet::new(),
            given: None,
        }],
        ..record(Whose::Ours)
    };
    assert_eq!(of(&of_directory, ANOTHER), Whose::Copied);
    // Nor is what an old release delivered what holds something else by now.
    let of_old_release = FileRecord {
        placed: None,
        inode: None,
        delivered: Some(OLD),
        ..record(Whose::Ours)
    };
    assert_eq!(of(&of_old_release, ANOTHER), Whose::Copied);
}
