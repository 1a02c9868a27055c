//! Every small world of one file: nothing of somebody else's is replaced.

use std::path::Path;

use crate::decide::file::{Access, Content, Observed, Verdict, Wanted, judge};
use crate::decide::samples::{db, placed};
use crate::secret::Fingerprint;
use crate::state::{FileId, FileRecord, Placed, Whose};

const OLD: Fingerprint = Fingerprint::from_bytes([1; 32]);
const NEW: Fingerprint = Fingerprint::from_bytes([2; 32]);
const FOREIGN: Fingerprint = Fingerprint::from_bytes([9; 32]);
const INODE: u64 = 7;

/// Whether it was about to be removed, what a person gave to us, and whose it was.
const MARKS: [(bool, Option<Fingerprint>, Whose); 6] = [
    (false, None, Whose::Ours),
    (true, None, Whose::Ours),
    (false, Some(FOREIGN), Whose::Ours),
    (false, None, Whose::Copied),
    (false, None, Whose::Found),
    (false, Some(NEW), Whose::Found),
];

/// The file that the ledger knows, and another one.
const IDS: [FileId; 2] = [
    FileId {
        inode: 7,
        born: None,
    },
    FileId {
        inode: 8,
        born: None,
    },
];
const PLACED: Placed = placed(IDS[0]);

const US: u32 = 0;
const APP: u32 = 7;

fn observed() -> Vec<Observed> {
    let mut all = vec![
        Observed::Absent,
        Observed::Symlink,
        Observed::Directory,
        Observed::Other,
    ];
    let contents = [
        Content::Of(OLD),
        Content::Of(NEW),
        Content::Of(FOREIGN),
        Content::Unknown,
        Content::Staged,
    ];
    for content in contents {
        for mode in [0o600, 0o644] {
            for acl in [false, true] {
                for links in [0, 1, 2] {
                    for (owner, readable) in [(US, true), (APP, true), (APP, false)] {
                        all.extend(IDS.map(|id| Observed::Regular {
                            content,
                            mode,
                            acl,
                            owner,
                            group: 0,
                            links,
                            id,
                            readable,
                        }));
                    }
                }
            }
        }
    }
    all
}

fn records() -> Vec<Option<FileRecord>> {
    let mut all = vec![None];
    for delivered in [None, Some(OLD), Some(NEW)] {
        for intent in [None, Some(OLD), Some(NEW)] {
            for mode in [0o600, 0o644] {
                for left in [false, true] {
                    for (removing, adopted, whose) in MARKS {
                        all.push(Some(FileRecord {
                            delivered,
                            intent,
                            inode: Some(INODE),
                            placed: delivered.map(|_| PLACED),
                            left,
                            removing,
                            adopted,
                            whose,
                            ..FileRecord::blank(db(), mode)
                        }));
                    }
                }
            }
        }
    }
    all
}

/// Whether we may put another file there, or other permissions. What the ledger knows and was left since, or was about to
/// be removed, or was found there, is ours to replace by its bytes alone, and so is what a person gave to us. What holds
/// the right bytes already is ours to mend only when we put it there, or wrote at that path before.
fn is_ours(observed: &Observed, record: Option<&FileRecord>, adopt: bool) -> bool {
    let Observed::Regular {
        content, links, id, ..
    } = observed
    else {
        return false;
    };
    let bytes = |of: Fingerprint| *content == Content::Of(of);
    let is_the_one = record.is_some_and(|record| {
        let known = record.placed.filter(|_| record.whose != Whose::Found);
        known.is_some_and(|known| known.inode == id.inode)
    });
    let stands = record.is_some_and(|record| !record.left && !record.removing);
    let is_placed = record.is_some_and(|it| it.whose == Whose::Ours) && is_the_one && stands;
    if *links > 1 && !is_placed {
        return false;
    }
    let known = record.is_some_and(|record| {
        let given = record.adopted.is_some_and(bytes);
        let ours = record.delivered.is_some() && stands && record.whose != Whose::Found;
        let written = record.delivered.is_some_and(bytes) || record.intent.is_some_and(bytes);
        given || ours || if bytes(NEW) { is_the_one } else { written }
    });
    adopt || known || *content == Content::Staged
}

/// One that our ledger does not know is taken when its bytes equal ours.
fn is_right(observed: &Observed) -> bool {
    matches!(
        observed,
        Observed::Regular {
            content: Content::Of(NEW),
            mode: 0o600,
            acl: false,
            owner: APP,
            links: 0 | 1,
            ..
        }
    )
}

#[test]
fn no_file_is_replaced_that_is_not_proven_ours() {
    let (mut replaced, mut refused) = (0, 0);
    for observed in observed() {
        for record in records() {
            for adopt in [false, true] {
                let wanted = Wanted {
                    fingerprint: NEW,
                    access: Access {
                        mode: 0o600,
                        owner: Some(APP),
                        group: None,
                    },
                    adopt,
                };
                let verdict = judge(Path::new("/x"), &observed, record.as_ref(), &wanted);
                let ours = is_ours(&observed, record.as_ref(), adopt);
                let case = format!("{observed:?} {record:?} {adopt} {verdict:?}");
                match verdict {
                    Ok(Verdict::Write(_) | Verdict::FixMode(_)) => {
                        assert!(ours || observed == Observed::Absent, "{case}");
                        replaced += 1;
                    }
                    Ok(Verdict::Unchanged) => assert!(is_right(&observed), "{case}"),
                    Err(_) => {
                        let right = is_right(&observed) || observed == Observed::Absent;
                        assert!(!ours && !right, "{case}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(replaced > 1000 && refused > 1000, "{replaced} {refused}");
}
