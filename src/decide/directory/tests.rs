use super::*;
use crate::decide::samples::db;
use crate::state::{Generation, Given};

const OLD: Fingerprint = Fingerprint::from_bytes([1; 32]);
const NEW: Fingerprint = Fingerprint::from_bytes([2; 32]);
const FOREIGN: Fingerprint = Fingerprint::from_bytes([9; 32]);
const MODES: Modes = Modes {
    file: 0o600,
    directory: 0o700,
};

fn key(name: &str) -> SecretKey {
    SecretKey::new(name).unwrap()
}

fn value(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

/// `a` and `b` are wanted.
fn values() -> BTreeMap<SecretKey, Fingerprint> {
    [(key("a"), value(20)), (key("b"), value(21))].into()
}

fn generation(name: &str, keys: &[&str]) -> Generation {
    Generation {
        name: name.to_owned(),
        inode: 1,
        keys: keys.iter().map(|name| key(name)).collect(),
        given: None,
    }
}

fn record(delivered: Option<Fingerprint>, intent: Option<Fingerprint>) -> FileRecord {
    FileRecord {
        delivered,
        intent,
        generations: vec![
            generation("..old", &["a", "old"]),
            generation("..new", &["a", "b"]),
        ],
        ..FileRecord::blank(db(), MODES.recorded())
    }
}

fn empty() -> Found {
    Found {
        live: Live::Nothing,
        beside: BTreeMap::new(),
        others: false,
        modes: None,
        access: Access::ByModes,
        reading: Reading::Open,
        linked: true,
        whose: Whose::Ours,
    }
}

fn live(content: Fingerprint) -> Found {
    Found {
        live: Live::Generation {
            content: Content::Of(content),
            hard_linked: None,
        },
        modes: Some(MODES),
        ..empty()
    }
}

fn with(found: Found, name: &str, beside: Beside) -> Found {
    let mut found = found;
    found.beside.insert(key(name), beside);
    found
}

fn file(byte: u8) -> Beside {
    Beside::File(Content::Of(value(byte)))
}

fn judged(found: Found, record: Option<&FileRecord>, adopt: bool) -> Option<Verdict> {
    let values = values();
    let wanted = Wanted {
        set: NEW,
        values: &values,
        modes: MODES,
        owner: None,
        adopt,
    };
    match judge(
        Path::new("/x"),
        &Observed::Directory(found),
        record,
        &wanted,
    ) {
        Ok(verdict) => Some(verdict),
        Err(failure) => {
            assert_eq!(failure.reason, Reason::Conflict);
            assert!(failure.fact.starts_with("/x"), "{failure}");
            None
        }
    }
}

fn drifted(found: Found, record: &FileRecord) -> Option<Drift> {
    let observed = Observed::Directory(found);
    drift(Path::new("/x"), &observed, Some(record), MODES).unwrap()
}

type Case = (Found, Option<FileRecord>, Option<Verdict>, Option<Verdict>);

const CREATED: Option<Verdict> = Some(Verdict::Write(Effect::Created));
const UPDATED: Option<Verdict> = Some(Verdict::Write(Effect::Updated));
const MISSING: Option<Verdict> = Some(Verdict::Write(Effect::Repaired(Drift::Missing)));
const CONTENT: Option<Verdict> = Some(Verdict::Write(Effect::Repaired(Drift::Content)));
const UNCHANGED: Option<Verdict> = Some(Verdict::Unchanged);

fn others(found: Found) -> Found {
    Found {
        others: true,
        ..found
    }
}

/// What is found, what the ledger says, and the verdict without and with `adopt`.
fn expect(cases: impl IntoIterator<Item = Case>) {
    for (found, record, without, with_adopt) in cases {
        let case = format!("{found:?} {record:?}");
        let judge = |adopt| judged(found.clone(), record.as_ref(), adopt);
        assert_eq!(judge(false), without, "{case}");
        assert_eq!(judge(true), with_adopt, "{case}, adopt");
    }
}

#[test]
fn every_case_has_its_verdict() {
    let old = || Some(record(Some(OLD), None));
    let new = || Some(record(Some(NEW), None));
    expect([
        (empty(), None, CREATED, CREATED),
        (empty(), new(), MISSING, MISSING),
        (empty(), old(), UPDATED, UPDATED),
        (others(empty()), None, None, CREATED),
        (others(empty()), new(), MISSING, MISSING),
        (live(NEW), None, UNCHANGED, UNCHANGED),
        (others(live(NEW)), None, UNCHANGED, UNCHANGED),
        (live(FOREIGN), None, None, UPDATED),
        (live(OLD), old(), UPDATED, UPDATED),
        (live(FOREIGN), new(), CONTENT, CONTENT),
        (live(OLD), Some(record(None, Some(OLD))), UPDATED, UPDATED),
        (
            live(NEW),
            Some(record(Some(OLD), Some(NEW))),
            UNCHANGED,
            UNCHANGED,
        ),
    ]);
}

#[test]
fn files_at_the_names_of_keys_have_theirs() {
    let new = || Some(record(Some(NEW), None));
    let plain = with(with(empty(), "a", file(20)), "b", file(21));
    expect([
        // A plain directory, with the same content or not.
        (plain.clone(), None, None, UPDATED),
        (others(plain.clone()), None, None, UPDATED),
        (with(plain.clone(), "c", file(30)), None, None, UPDATED),
        (with(plain, "b", file(99)), None, None, UPDATED),
        (with(empty(), "a", file(20)), None, None, UPDATED),
        // A file where a new key has to be, and one that took the place of a link of ours.
        (
            with(live(OLD), "b", file(99)),
            Some(first_of_two()),
            None,
            UPDATED,
        ),
        (
            with(live(OLD), "b", file(21)),
            Some(first_of_two()),
            None,
            UPDATED,
        ),
        (
            with(live(OLD), "a", file(99)),
            Some(first_of_two()),
            UPDATED,
            UPDATED,
        ),
        (with(live(NEW), "a", file(99)), new(), CONTENT, CONTENT),
        // What is not wanted is nobody's business.
        (with(live(NEW), "c", file(99)), new(), UNCHANGED, UNCHANGED),
        (
            with(live(NEW), "c", Beside::Other),
            new(),
            UNCHANGED,
            UNCHANGED,
        ),
    ]);
}

/// What is right stays as it is; what is wrong around it is not ours to put right.
#[test]
fn a_set_of_somebody_else_that_is_right_already_is_not_touched() {
    let theirs = |found: Found| Found {
        whose: Whose::Found,
        ..found
    };
    let open = Found {
        modes: None,
        ..live(NEW)
    };
    let unlinked = Found {
        linked: false,
        ..live(NEW)
    };
    let opened = Found {
        access: Access::Opened,
        ..live(NEW)
    };
    let fix = Some(Verdict::FixMode(Effect::Updated));
    expect([
        (theirs(live(NEW)), None, UNCHANGED, UNCHANGED),
        (theirs(open.clone()), None, None, fix),
        (theirs(unlinked), None, None, fix),
        (theirs(opened), None, None, UPDATED),
    ]);
    let found = FileRecord {
        whose: Whose::Found,
        generations: Vec::new(),
        ..record(Some(OLD), None)
    };
    expect([
        // The next version takes the place of just what was found.
        (theirs(live(OLD)), Some(found.clone()), UPDATED, UPDATED),
        (theirs(live(FOREIGN)), Some(found.clone()), None, UPDATED),
        (empty(), Some(found), CREATED, CREATED),
    ]);
    // In place of ours: that path is written by us, and still nothing that others made is touched.
    let copied = Found {
        whose: Whose::Copied,
        ..open
    };
    let fresh = Some(Verdict::Write(Effect::Repaired(Drift::Metadata)));
    let ours = Some(record(Some(NEW), None));
    expect([(copied, ours, fresh, fresh)]);
}

#[test]
fn only_what_is_in_the_ledger_is_a_set_of_ours() {
    let ours = record(Some(NEW), None);
    assert_eq!(whose(Some(&ours), ("..new", 1)), Whose::Ours);
    for (name, inode) in [("..new", 2), ("..theirs", 1)] {
        assert_eq!(whose(Some(&ours), (name, inode)), Whose::Copied);
        assert_eq!(whose(None, (name, inode)), Whose::Found);
        let found = FileRecord {
            whose: Whose::Found,
            ..ours.clone()
        };
        assert_eq!(whose(Some(&found), (name, inode)), Whose::Found);
    }
}

/// Of it, only `a` was delivered.
fn first_of_two() -> FileRecord {
    FileRecord {
        generations: vec![generation("..old", &["a"])],
        ..record(Some(OLD), None)
    }
}

#[test]
fn a_file_at_a_key_that_was_only_intended_is_not_ours() {
    let killed = record(Some(OLD), Some(NEW));
    let found = with(live(OLD), "b", file(99));
    assert_eq!(judged(found, Some(&killed), false), None);
}

#[test]
fn what_nobody_may_replace_is_refused_even_when_ours_or_adopted() {
    let ours = record(Some(NEW), None);
    let linked = Found {
        live: Live::Generation {
            content: Content::Of(NEW),
            hard_linked: Some(key("a")),
        },
        ..empty()
    };
    let blocked = Found {
        live: Live::Blocked,
        ..empty()
    };
    let taken = with(live(NEW), "a", Beside::Other);
    for found in [linked, blocked, taken] {
        assert_eq!(judged(found.clone(), Some(&ours), true), None);
        let observed = Observed::Directory(found);
        assert!(drift(Path::new("/x"), &observed, Some(&ours), MODES).is_err());
    }
    for observed in [Observed::Symlink, Observed::Other] {
        assert!(drift(Path::new("/x"), &observed, Some(&ours), MODES).is_err());
    }
}

#[test]
fn modes_and_links_are_mended_without_new_files() {
    let ours = record(Some(NEW), None);
    let repair = Some(Verdict::FixMode(Effect::Repaired(Drift::Metadata)));
    let open = Found {
        modes: None,
        ..live(NEW)
    };
    let unlinked = Found {
        linked: false,
        ..live(NEW)
    };
    for found in [open, unlinked] {
        assert_eq!(judged(found.clone(), Some(&ours), false), repair);
        assert_eq!(
            judged(found.clone(), None, false),
            Some(Verdict::FixMode(Effect::Updated))
        );
        assert_eq!(drifted(found, &ours), Some(Drift::Metadata));
    }
    let opened = Found {
        access: Access::Opened,
        ..live(NEW)
    };
    let fresh = Some(Verdict::Write(Effect::Repaired(Drift::Metadata)));
    assert_eq!(judged(opened.clone(), Some(&ours), false), fresh);
    assert_eq!(drifted(opened, &ours), Some(Drift::Metadata));
}

#[test]
fn a_new_mode_in_the_configuration_is_no_repair() {
    let mut before = record(Some(NEW), None);
    before.mode = Modes {
        file: 0o600,
        directory: 0o750,
    }
    .recorded();
    let found = Found {
        modes: Some(Modes {
            file: 0o600,
            directory: 0o750,
        }),
        ..live(NEW)
    };
    let update = Some(Verdict::FixMode(Effect::Updated));
    assert_eq!(judged(found, Some(&before), false), update);
}

#[test]
fn drift_is_told_without_the_values() {
    let ours = record(Some(NEW), None);
    assert_eq!(drifted(live(NEW), &ours), None);
    assert_eq!(drifted(live(OLD), &ours), Some(Drift::Content));
    assert_eq!(drifted(empty(), &ours), Some(Drift::Missing));
    let covered = with(live(NEW), "a", file(99));
    assert_eq!(drifted(covered, &ours), Some(Drift::Content));
    // The key was dropped; its name is free for others.
    let freed = with(live(NEW), "old", file(99));
    assert_eq!(drifted(freed, &ours), None);
    assert_eq!(drifted(live(FOREIGN), &record(None, None)), None);
}

#[test]
fn a_directory_that_was_left_is_ours_only_while_it_holds_what_we_delivered() {
    let left = FileRecord {
        left: true,
        ..record(Some(OLD), None)
    };
    let updated = Some(Verdict::Write(Effect::Updated));
    assert_eq!(judged(live(OLD), Some(&left), false), updated);
    assert_eq!(judged(live(FOREIGN), Some(&left), false), None);
    let theirs = with(live(OLD), "a", file(99));
    assert_eq!(judged(theirs, Some(&left), false), None);
}

/// Bug: what readers were led to by somebody else was said to be gone, and forgotten.
#[test]
fn a_set_that_took_the_place_of_ours_is_not_gone() {
    use super::removal::{Around, Data, Found, orphaned};
    let copied = FileRecord {
        whose: Whose::Copied,
        generations: Vec::new(),
        ..record(Some(NEW), None)
    };
    let found = Found {
        path: Path::new("/x"),
        around: Around::Directory(Data::Elsewhere),
    };
    assert!(orphaned(&copied, &found).is_err());
}

/// A generation that was given away, sealed over what it held.
fn given(seal: Option<Fingerprint>) -> Generation {
    Generation {
        given: Some(Given { owner: 26, seal }),
        ..generation("..new", &["a", "b"])
    }
}

#[test]
fn what_is_closed_to_us_is_known_by_its_seal_alone() {
    // As if nothing had touched the files since.
    let seal = |of: Fingerprint| {
        let mut bytes = *of.as_bytes();
        bytes[31] = 7;
        Fingerprint::from_bytes(bytes)
    };
    let unread = |record: &FileRecord, place| content_unread(record, place, seal);
    let of = |generation, intent| FileRecord {
        generations: vec![generation],
        ..record(Some(OLD), intent)
    };
    let live = ("..new", 1);
    let whole = of(given(Some(seal(OLD))), None);
    assert_eq!(unread(&whole, live), Content::Of(OLD));
    // Somebody leads readers to another one of ours.
    let other = of(given(Some(seal(NEW))), None);
    assert_eq!(unread(&other, live), Content::Unknown);
    assert_eq!(unread(&whole, ("..new", 2)), Content::Unknown);
    assert_eq!(unread(&whole, ("..old", 1)), Content::Unknown);
    let never_given = of(generation("..new", &["a"]), None);
    assert_eq!(unread(&never_given, live), Content::Unknown);
    // A write began, and nobody saw its end.
    assert_eq!(unread(&of(given(None), Some(NEW)), live), Content::Staged);
    assert_eq!(unread(&of(given(None), None), live), Content::Unknown);
}

#[test]
fn a_first_set_that_is_closed_to_us_and_whose_end_nobody_saw_is_written_again() {
    let staged = Found {
        live: Live::Generation {
            content: Content::Staged,
            hard_linked: None,
        },
        reading: Reading::Closed,
        ..live(NEW)
    };
    let killed = FileRecord {
        generations: vec![given(None)],
        ..record(None, Some(NEW))
    };
    assert_eq!(judged(staged, Some(&killed), false), UPDATED);
}

#[test]
fn a_closed_file_is_not_opened_to_set_its_mode() {
    let ours = FileRecord {
        generations: vec![given(Some(NEW))],
        ..record(Some(NEW), None)
    };
    let wrong = Found {
        reading: Reading::Closed,
        modes: Some(Modes {
            file: 0o400,
            ..MODES
        }),
        ..live(NEW)
    };
    let fresh = |effect| Some(Verdict::Write(effect));
    // Nobody had named an owner in the configuration of this test.
    assert_eq!(
        judged(wrong.clone(), Some(&ours), false),
        fresh(Effect::Updated)
    );
    assert_eq!(drifted(wrong, &ours), Some(Drift::Content));
    let unlinked = Found {
        reading: Reading::Closed,
        linked: false,
        ..live(NEW)
    };
    assert_eq!(drifted(unlinked, &ours), Some(Drift::Metadata));
    let effect = |owner| modes_effect(Some(&ours), MODES, owner);
    assert_eq!(effect(Some(26)), Effect::Repaired(Drift::Metadata));
    assert_eq!(effect(Some(27)), Effect::Updated);
    assert_eq!(effect(None), Effect::Updated);
}
