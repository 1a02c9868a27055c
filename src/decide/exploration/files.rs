//! Every small world of one file: nothing of somebody else's is replaced.

use std::path::Path;

use crate::decide::file::{Content, Observed, Verdict, Wanted, judge};
use crate::names::EntryName;
use crate::secret::Fingerprint;
use crate::state::FileRecord;

const OLD: Fingerprint = Fingerprint::from_bytes([1; 32]);
const NEW: Fingerprint = Fingerprint::from_bytes([2; 32]);
const FOREIGN: Fingerprint = Fingerprint::from_bytes([9; 32]);

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
    ];
    for content in contents {
        for mode in [0o600, 0o644] {
            for acl in [false, true] {
                for links in [0, 1, 2] {
                    all.push(Observed::Regular {
                        content,
                        mode,
                        acl,
                        links,
                    });
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
                    all.push(Some(FileRecord {
                        entry: EntryName::new("db").unwrap(),
                        delivered,
                        intent,
                        mode,
                        temporary: None,
                        left,
                    }));
                }
            }
        }
    }
    all
}

/// In the words of design 7.2: one that our ledger does not know is taken when its bytes equal ours, or by `adopt`.
/// What the ledger knew and was left since is ours by its bytes alone.
fn is_ours(observed: &Observed, record: Option<&FileRecord>, adopt: bool) -> bool {
    let Observed::Regular { content, links, .. } = observed else {
        return false;
    };
    if *links > 1 {
        return false;
    }
    let bytes = |of: Fingerprint| *content == Content::Of(of);
    let known = record.is_some_and(|record| {
        let written = record.delivered.is_some_and(bytes) || record.intent.is_some_and(bytes);
        written || (record.delivered.is_some() && !record.left)
    });
    adopt || known || bytes(NEW)
}

#[test]
fn no_file_is_replaced_that_is_not_proven_ours() {
    let (mut replaced, mut refused) = (0, 0);
    for observed in observed() {
        for record in records() {
            for adopt in [false, true] {
                let wanted = Wanted {
                    fingerprint: NEW,
                    mode: 0o600,
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
                    Ok(Verdict::Unchanged) => assert!(ours, "{case}"),
                    Err(_) => {
                        assert!(!ours && observed != Observed::Absent, "{case}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(replaced > 1000 && refused > 1000, "{replaced} {refused}");
}
