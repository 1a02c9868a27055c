use super::*;
use crate::decide::file::{Content, Verdict, Wanted, drift, judge};
use crate::decide::samples::blank;
use crate::secret::Fingerprint;
use crate::state::FileId;
use std::path::Path;

const OURS: Fingerprint = Fingerprint::from_bytes([1; 32]);
const US: u32 = 900;
const APP: u32 = 1000;

const FILE: FileId = FileId {
    inode: 1,
    born: None,
};

fn placed(owner: u32, owner_named: bool) -> Placed {
    Placed {
        inode: 1,
        born: None,
        size: 1,
        modified: (1, 1),
        changed: (1, 1),
        owner,
        group: 5,
        owner_named,
        group_named: false,
    }
}

fn record(placed: Option<Placed>) -> FileRecord {
    FileRecord {
        delivered: Some(OURS),
        placed,
        ..blank()
    }
}

fn file(owner: u32, group: u32, readable: bool) -> Observed {
    Observed::Regular {
        content: Content::Of(OURS),
        mode: 0o600,
        acl: false,
        owner,
        group,
        links: 1,
        id: FILE,
        readable,
    }
}

fn wanted(owner: Option<u32>, group: Option<u32>) -> Access {
    Access {
        mode: 0o600,
        owner,
        group,
    }
}

#[test]
fn whom_the_configuration_names_has_to_have_it_and_else_who_had_it_when_it_was_made() {
    let named = Some(placed(APP, true));
    let unnamed = Some(placed(US, false));
    // present owner and group, what the ledger has, what is wanted, whether it is right
    let cases = [
        (APP, 5, named, wanted(Some(APP), None), true),
        (US, 5, named, wanted(Some(APP), None), false),
        (APP, 6, named, wanted(Some(APP), Some(5)), false),
        (APP, 6, named, wanted(Some(APP), None), false),
        (APP, 5, None, wanted(Some(APP), None), true),
        (US, 5, None, wanted(Some(APP), None), false),
        (US, 5, unnamed, wanted(None, None), true),
        (APP, 5, unnamed, wanted(None, None), false),
        (US, 6, unnamed, wanted(None, None), false),
        (US, 6, unnamed, wanted(None, Some(6)), true),
        // Written by an earlier release.
        (APP, 6, None, wanted(None, None), true),
        // `owner` was taken out of the configuration.
        (APP, 5, named, wanted(None, None), false),
    ];
    for (owner, group, placed, wanted, right) in cases {
        let case = format!("{owner} {group} {placed:?} {wanted:?}");
        let needed = mend(&file(owner, group, true), Some(&record(placed)), &wanted);
        assert_eq!(needed, (!right).then_some(Mend::Afresh), "{case}");
    }
}

#[test]
fn a_wrong_owner_is_a_repair_only_when_we_had_delivered_it_to_the_right_one() {
    let ours = record(Some(placed(APP, true)));
    let judged = |record: &FileRecord, access: Access| {
        let wanted = Wanted {
            fingerprint: OURS,
            access,
            adopt: false,
        };
        judge(Path::new("/x"), &file(US, 5, true), Some(record), &wanted)
    };
    let repaired = Verdict::Write(Effect::Repaired(Drift::Metadata));
    assert_eq!(judged(&ours, wanted(Some(APP), None)), Ok(repaired));
    let updated = Verdict::Write(Effect::Updated);
    assert_eq!(judged(&ours, wanted(Some(7), None)), Ok(updated));
    assert_eq!(judged(&record(None), wanted(Some(APP), None)), Ok(updated));
    let found = drift(
        Path::new("/x"),
        &file(US, 5, true),
        Some(&ours),
        &wanted(Some(APP), None),
    );
    assert_eq!(found, Ok(Some(Drift::Metadata)));
}

/// What we may not read cannot be copied: it takes the value.
#[test]
fn access_to_what_we_may_not_read_is_mended_with_the_value() {
    let ours = record(Some(placed(APP, true)));
    let drifted = |observed: &Observed, access: &Access| {
        drift(Path::new("/x"), observed, Some(&ours), access).unwrap()
    };
    let app = wanted(Some(APP), None);
    assert_eq!(drifted(&file(APP, 5, false), &app), None);
    assert_eq!(drifted(&file(US, 5, false), &app), Some(Drift::Content));
    let other_mode = Access { mode: 0o640, ..app };
    let observed = file(APP, 5, false);
    assert_eq!(drifted(&observed, &other_mode), Some(Drift::Content));
    assert_eq!(
        mend(&observed, Some(&ours), &other_mode),
        Some(Mend::Afresh)
    );
}

/// Killed between the swap and the record of it, and not readable: what the write staged is no stranger's.
#[test]
fn what_was_staged_and_cannot_be_read_is_written_again() {
    let killed = FileRecord {
        delivered: None,
        intent: Some(OURS),
        ..record(None)
    };
    let judged = |content| {
        let observed = Observed::Regular {
            content,
            mode: 0o600,
            acl: false,
            owner: APP,
            group: 5,
            links: 1,
            id: FILE,
            readable: false,
        };
        let wanted = Wanted {
            fingerprint: OURS,
            access: wanted(Some(APP), None),
            adopt: false,
        };
        judge(Path::new("/x"), &observed, Some(&killed), &wanted)
    };
    let written = Ok(Verdict::Write(Effect::Updated));
    assert_eq!(judged(Content::Staged), written);
    assert!(judged(Content::Unknown).is_err());
}

/// Bug: whoever gave a file of his own another owner had to give it back.
#[test]
fn of_a_file_that_was_found_its_maintainer_decides() {
    let wanted = Access {
        mode: 0o600,
        owner: None,
        group: None,
    };
    let found = FileRecord {
        whose: Whose::Found,
        ..record(Some(placed(US, false)))
    };
    assert_eq!(mend(&file(APP, 5, true), Some(&found), &wanted), None);
    let ours = record(Some(placed(US, false)));
    assert_eq!(
        mend(&file(APP, 5, true), Some(&ours), &wanted),
        Some(Mend::Afresh)
    );
}
