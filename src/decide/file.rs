//! What may be done to one file.
//!
//! Pure. A file is ours when the ledger says that we delivered to its path, or when its content is what we were about
//! to deliver when a crash came. Where the configuration was without the path for a while, only the content counts:
//! somebody may have made a file of their own there meanwhile. So it is where a removal was broken off. Anything else
//! belongs to somebody else and is taken over only when the configuration says `adopt = true`, or when a person gave us
//! just that content by the `adopt` command.
//!
//! Where a file of somebody else already holds what we would write, there is nothing to write, and the next version takes
//! its place. It stays theirs until then: its permissions are theirs to set, and it is not ours to take away.

pub mod adoption;
pub mod removal;

mod access;
mod whose;

use std::path::Path;

pub use self::access::{Access, Mend, access_effect, mend};
pub use self::whose::{is_given, whose};
use super::{Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::secret::Fingerprint;
use crate::state::{FileId, FileRecord, Whose};

/// What is at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    Absent,
    Regular {
        content: Content,
        /// Permission bits, set-id and sticky bits included.
        mode: u32,
        /// Whether it has an access ACL, which may let in more people than `mode` tells.
        acl: bool,
        owner: u32,
        group: u32,
        links: u32,
        id: FileId,
        /// Whether we may read it: a file of another owner may be closed to us.
        readable: bool,
    },
    Symlink,
    Directory,
    /// A FIFO, a socket or a device.
    Other,
}

/// What a regular file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// As it was read; of what we may not read, what was delivered, when nobody touched it since.
    Of(Fingerprint),
    /// Not readable to us, but what the last write that began put there.
    Staged,
    /// Larger than anything we deliver, or not readable to us. Never what we delivered as it was.
    Unknown,
}

/// What the file should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub fingerprint: Fingerprint,
    pub access: Access,
    /// Whether somebody else's file may be replaced.
    pub adopt: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    Unchanged,
    /// The content is right, the permission bits are not.
    FixMode(Effect),
    /// The whole file is replaced.
    Write(Effect),
}

impl Verdict {
    pub fn effect(self) -> Effect {
        match self {
            Self::Unchanged => Effect::Unchanged,
            Self::FixMode(effect) | Self::Write(effect) => effect,
        }
    }
}

/// Decides what a file that should be `wanted` needs.
pub fn judge(
    path: &Path,
    observed: &Observed,
    record: Option<&FileRecord>,
    wanted: &Wanted,
) -> Result<Verdict, Failure> {
    let delivered = our_path(record).and_then(|record| record.delivered);
    let Some(content) = ours_to_touch(path, observed, record)? else {
        return Ok(Verdict::Write(match delivered {
            None => Effect::Created,
            Some(before) if before == wanted.fingerprint => Effect::Repaired(Drift::Missing),
            Some(_) => Effect::Updated,
        }));
    };
    if content == Content::Of(wanted.fingerprint) {
        let effect = access_effect(record, &wanted.access);
        let Some(mend) = mend(observed, record, &wanted.access) else {
            return Ok(Verdict::Unchanged);
        };
        may_mend(path, observed, record, wanted)?;
        return Ok(match mend {
            Mend::InPlace => Verdict::FixMode(effect),
            Mend::Afresh => Verdict::Write(effect),
        });
    }
    if !known(record, content) && !wanted.adopt {
        return Err(Failure::new(
            Reason::Conflict,
            format!(
                "{} exists with other content and was not written by secretsyncd",
                path.display()
            ),
        )
        .with_help(format!(
            "`secretsyncd adopt {0}` says what would change, and with `--apply` replaces it; else move it away, or \
             choose another path",
            path.display()
        )));
    }
    Ok(Verdict::Write(if delivered == Some(wanted.fingerprint) {
        Effect::Repaired(Drift::Content)
    } else {
        Effect::Updated
    }))
}

/// Whether the permissions of a file with the right content are ours to put right. Saying that it is delivered as it is
/// would be no better: whoever is not to read it might.
pub fn may_mend(
    path: &Path,
    observed: &Observed,
    record: Option<&FileRecord>,
    wanted: &Wanted,
) -> Result<(), Failure> {
    let Observed::Regular {
        content, mode, id, ..
    } = *observed
    else {
        return Ok(());
    };
    if whose(record, (id, content), wanted.adopt) != Whose::Found {
        return Ok(());
    }
    let differs = if mode == wanted.access.mode {
        "its owner, group or access ACL is not as it should be".to_owned()
    } else {
        let wanted = wanted.access.mode;
        format!("its mode is {mode:04o} where {wanted:04o} is wanted")
    };
    let fact = format!(
        "{} holds the right content, but was not written by secretsyncd, and {differs}",
        path.display()
    );
    Err(Failure::new(Reason::Conflict, fact).with_help(format!(
        "`secretsyncd adopt --apply {}` lets it be changed; else set it by hand, or choose another path",
        path.display()
    )))
}

/// How the file differs from what was delivered, as far as that can be told without the value. Nothing that was never
/// delivered drifts.
pub fn drift(
    path: &Path,
    observed: &Observed,
    record: Option<&FileRecord>,
    wanted: &Access,
) -> Result<Option<Drift>, Failure> {
    let Some(record) = record.filter(|record| record.delivered.is_some()) else {
        return Ok(None);
    };
    let Some(content) = ours_to_touch(path, observed, Some(record))? else {
        return Ok(Some(Drift::Missing));
    };
    if !was_put_there(record, content) {
        return Ok(Some(Drift::Content));
    }
    let closed = matches!(
        observed,
        Observed::Regular {
            readable: false,
            ..
        }
    );
    Ok(mend(observed, Some(record), wanted).map(|_| {
        // Nothing can be copied from what is closed to us, so it takes the value.
        if closed {
            Drift::Content
        } else {
            Drift::Metadata
        }
    }))
}

/// Whether a file with the right content and the wrong permissions is the one that was put there, as far as is known.
/// Another one is never touched: whoever put it there may hold it open. A fresh file takes its place.
pub fn is_recorded(record: Option<&FileRecord>, found: FileId) -> bool {
    let Some(record) = record else { return true };
    let of_directory = !record.generations.is_empty();
    let is_placed = match record.placed {
        Some(placed) => placed.file().is_same_file(found),
        None => !of_directory,
    };
    is_placed || is_staged(record, found)
}

/// Whether what is in place is what an earlier write was to put there, which nobody saw end.
pub fn was_carried_out(record: Option<&FileRecord>, found: FileId) -> bool {
    record.is_some_and(|record| !record.removing && is_staged(record, found))
}

/// The file of a write whose end nobody saw.
fn is_staged(record: &FileRecord, found: FileId) -> bool {
    let staged = record.temporary;
    staged.is_some_and(|temporary| {
        let same = temporary.born.is_none() || temporary.born == found.born;
        temporary.inode == found.inode && same
    })
}

/// Whether it is certain that this file was delivered.
fn was_placed(record: Option<&FileRecord>, found: FileId) -> bool {
    standing(record).is_some_and(|record| {
        let placed = record.placed.filter(|_| record.whose == Whose::Ours);
        placed.is_some_and(|placed| placed.file().is_same_file(found)) || is_staged(record, found)
    })
}

/// Whether directories that are missing on the way may be made: for a first delivery those that its path names, later
/// only those that were made before. Anything else was somebody's, and would come back with another owner and mode, or
/// below an empty mount point.
pub fn may_make(record: Option<&FileRecord>, mut all_made_before: impl FnMut() -> bool) -> bool {
    let delivered = standing(record).is_some_and(|record| record.delivered.is_some());
    !delivered || all_made_before()
}

fn known(record: Option<&FileRecord>, content: Content) -> bool {
    our_path(record).is_some_and(|record| record.delivered.is_some())
        || record.is_some_and(|record| was_put_there(record, content) || is_given(record, content))
        || content == Content::Staged
}

/// The record, as long as the path was written by every configuration since and nothing was about to be removed there.
pub(super) fn standing(record: Option<&FileRecord>) -> Option<&FileRecord> {
    record.filter(|record| !record.left && !record.removing)
}

/// The same, where it was we who put something there: whatever somebody makes of that is mended.
pub(super) fn our_path(record: Option<&FileRecord>) -> Option<&FileRecord> {
    standing(record).filter(|record| record.whose != Whose::Found)
}

/// Whether this is content that we delivered last, or were about to.
pub fn was_put_there(record: &FileRecord, content: Content) -> bool {
    [record.delivered, record.intent]
        .into_iter()
        .flatten()
        .any(|fingerprint| content == Content::Of(fingerprint))
}

/// What a plain file holds, nothing for an absent one, a refusal for everything else.
///
/// A further hard link to the very file that was delivered is somebody's name for it: a fresh file takes its place, and
/// that name keeps the old one. To any other file it says that the file is known elsewhere, and not ours to replace.
fn ours_to_touch(
    path: &Path,
    observed: &Observed,
    record: Option<&FileRecord>,
) -> Result<Option<Content>, Failure> {
    let refuse = |what: String, help: &'static str| {
        let fact = format!("{} {what}", path.display());
        Err(Failure::new(Reason::Conflict, fact).with_help(help))
    };
    match *observed {
        Observed::Absent => Ok(None),
        Observed::Regular {
            content, links, id, ..
        } if links <= 1 || was_placed(record, id) => Ok(Some(content)),
        Observed::Regular { links, .. } => refuse(
            format!("has {links} hard links, of which secretsyncd made one"),
            "find its other names (`find / -xdev -samefile PATH`) and remove them",
        ),
        Observed::Symlink => refuse(
            "is a symbolic link, and secretsyncd never writes through one".to_owned(),
            "remove it, or set `path` to the file it points to",
        ),
        Observed::Directory => refuse(
            "is a directory where a file is wanted".to_owned(),
            "choose a file name inside it, or remove it",
        ),
        Observed::Other => refuse(
            "is neither a file nor a directory (a FIFO, socket or device)".to_owned(),
            "remove it, or choose another path",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::{blank, placed};

    const OURS: FileId = FileId {
        inode: 7,
        born: Some((1, 0)),
    };
    /// The number of a file that is gone is given to another.
    const ANOTHER: FileId = FileId {
        born: Some((2, 0)),
        ..OURS
    };

    const OLD: Fingerprint = Fingerprint::from_bytes([1; 32]);
    const NEW: Fingerprint = Fingerprint::from_bytes([2; 32]);
    const FOREIGN: Fingerprint = Fingerprint::from_bytes([9; 32]);

    const WANTED: Access = Access {
        mode: 0o600,
        owner: None,
        group: None,
    };

    fn record(delivered: Option<Fingerprint>, intent: Option<Fingerprint>) -> FileRecord {
        FileRecord {
            delivered,
            intent,
            placed: Some(placed(OURS)),
            ..blank()
        }
    }

    fn file(fingerprint: Fingerprint) -> Observed {
        Observed::Regular {
            content: Content::Of(fingerprint),
            mode: 0o600,
            acl: false,
            owner: 0,
            group: 0,
            links: 1,
            id: OURS,
            readable: true,
        }
    }

    fn judged(observed: Observed, record: Option<&FileRecord>, adopt: bool) -> Option<Verdict> {
        let wanted = Wanted {
            fingerprint: NEW,
            access: WANTED,
            adopt,
        };
        match judge(Path::new("/x"), &observed, record, &wanted) {
            Ok(verdict) => Some(verdict),
            Err(failure) => {
                assert_eq!(failure.reason, Reason::Conflict);
                assert!(failure.fact.starts_with("/x "));
                None
            }
        }
    }

    #[test]
    fn every_case_has_its_verdict() {
        const ABSENT: Observed = Observed::Absent;
        let created = Some(Verdict::Write(Effect::Created));
        let updated = Some(Verdict::Write(Effect::Updated));
        let missing = Some(Verdict::Write(Effect::Repaired(Drift::Missing)));
        let content = Some(Verdict::Write(Effect::Repaired(Drift::Content)));
        let unchanged = Some(Verdict::Unchanged);
        let unreadable = Observed::Regular {
            content: Content::Unknown,
            mode: 0,
            acl: false,
            owner: 0,
            group: 0,
            links: 1,
            id: OURS,
            readable: false,
        };
        let (never, old, new) = (
            None,
            Some(record(Some(OLD), None)),
            Some(record(Some(NEW), None)),
        );
        // observed, ledger, verdict without and with `adopt`
        let cases = [
            (ABSENT, &never, created, created),
            (ABSENT, &Some(record(None, Some(NEW))), created, created),
            (ABSENT, &new, missing, missing),
            (ABSENT, &old, updated, updated),
            (file(NEW), &never, unchanged, unchanged),
            (
                file(NEW),
                &Some(record(Some(OLD), Some(NEW))),
                unchanged,
                unchanged,
            ),
            (file(FOREIGN), &never, None, updated),
            (file(FOREIGN), &Some(record(None, Some(NEW))), None, updated),
            (file(OLD), &Some(record(None, Some(OLD))), updated, updated),
            (file(OLD), &old, updated, updated),
            (file(FOREIGN), &old, updated, updated),
            (file(FOREIGN), &new, content, content),
            (unreadable, &never, None, updated),
            (unreadable, &new, content, content),
        ];
        for (observed, record, without, with_adopt) in cases {
            let case = format!("{observed:?} {record:?}");
            assert_eq!(judged(observed, record.as_ref(), false), without, "{case}");
            assert_eq!(
                judged(observed, record.as_ref(), true),
                with_adopt,
                "{case}, adopt"
            );
        }
    }

    #[test]
    fn what_is_no_plain_file_is_refused_even_when_ours_or_adopted() {
        let linked = Observed::Regular {
            content: Content::Of(NEW),
            mode: 0o600,
            acl: false,
            owner: 0,
            group: 0,
            links: 2,
            id: ANOTHER,
            readable: true,
        };
        for observed in [
            Observed::Symlink,
            Observed::Directory,
            Observed::Other,
            linked,
        ] {
            let record = Some(record(Some(NEW), None));
            assert_eq!(judged(observed, record.as_ref(), true), None);
            assert!(drift(Path::new("/x"), &observed, record.as_ref(), &WANTED).is_err());
        }
    }

    #[test]
    fn a_wrong_mode_is_a_repair_only_when_we_had_delivered_the_right_one() {
        let open = Observed::Regular {
            content: Content::Of(NEW),
            mode: 0o644,
            acl: false,
            owner: 0,
            group: 0,
            links: 1,
            id: OURS,
            readable: true,
        };
        let repair = Verdict::FixMode(Effect::Repaired(Drift::Metadata));
        assert_eq!(
            judged(open, Some(record(Some(NEW), None)).as_ref(), false),
            Some(repair)
        );
        let update = Verdict::FixMode(Effect::Updated);
        assert_eq!(judged(open, None, false), None, "it is not ours");
        assert_eq!(judged(open, None, true), Some(update));
        let mut before = record(Some(NEW), None);
        before.mode = 0o644;
        assert_eq!(judged(open, Some(&before), false), Some(update));
    }

    /// What was delivered, and then given to somebody, linked, or replaced by a file of the same content.
    #[test]
    fn an_owner_and_a_link_are_drift_and_only_the_file_that_was_delivered_is_touched() {
        let found = |mode, links, owner, id| Observed::Regular {
            content: Content::Of(NEW),
            mode,
            acl: false,
            owner,
            group: 0,
            links,
            id,
            readable: true,
        };
        let effect = Effect::Repaired(Drift::Metadata);
        let (fix, fresh) = (Verdict::FixMode(effect), Verdict::Write(effect));
        let ours = record(Some(NEW), None);
        for (observed, verdict) in [
            (found(0o600, 1, 2, OURS), fresh),
            (found(0o644, 1, 0, OURS), fix),
            (found(0o600, 2, 0, OURS), fresh),
            (found(0o644, 1, 0, ANOTHER), fresh),
            (found(0o600, 1, 2, ANOTHER), fresh),
            (found(0o600, 1, 0, ANOTHER), Verdict::Unchanged),
        ] {
            let case = format!("{observed:?}");
            assert_eq!(
                judged(observed, Some(&ours), false),
                Some(verdict),
                "{case}"
            );
            let drifted = drift(Path::new("/x"), &observed, Some(&ours), &WANTED).unwrap();
            let expected = (verdict != Verdict::Unchanged).then_some(Drift::Metadata);
            assert_eq!(drifted, expected, "{case}");
        }
        // A new version is no other matter.
        let old = record(Some(OLD), None);
        let update = Some(Verdict::Write(Effect::Updated));
        for (id, verdict) in [(OURS, update), (ANOTHER, None)] {
            let linked = Observed::Regular {
                content: Content::Of(OLD),
                mode: 0o600,
                acl: false,
                owner: 0,
                group: 0,
                links: 2,
                id,
                readable: true,
            };
            assert_eq!(judged(linked, Some(&old), true), verdict);
        }
    }

    /// A kill came between the swap and the record of it.
    #[test]
    fn a_staged_file_that_is_in_place_is_the_one_that_was_delivered() {
        let mut killed = record(Some(OLD), Some(NEW));
        let staged = FileId {
            inode: 9,
            ..ANOTHER
        };
        killed.temporary = Some(crate::state::Temporary {
            number: 1,
            inode: staged.inode,
            born: None,
        });
        let found = |mode, links| Observed::Regular {
            content: Content::Of(NEW),
            mode,
            acl: false,
            owner: 0,
            group: 0,
            links,
            id: staged,
            readable: true,
        };
        let judged = |observed| judged(observed, Some(&killed), false);
        assert_eq!(judged(found(0o600, 1)), Some(Verdict::Unchanged));
        assert!(matches!(judged(found(0o644, 1)), Some(Verdict::FixMode(_))));
        assert!(matches!(judged(found(0o600, 2)), Some(Verdict::Write(_))));
    }

    #[test]
    fn directories_are_made_at_first_and_then_only_again() {
        let ours = record(Some(NEW), None);
        let mut left = ours.clone();
        left.left = true;
        let begun = record(None, Some(NEW));
        for (record, made, may) in [
            (None, false, true),
            (Some(&begun), false, true),
            (Some(&left), false, true),
            (Some(&ours), false, false),
            (Some(&ours), true, true),
        ] {
            assert_eq!(may_make(record, || made), may, "{record:?}");
        }
    }

    /// A file that our content is in, but that an ACL opens to others.
    #[test]
    fn an_acl_is_drift_that_a_fresh_file_mends() {
        let opened = |content: Fingerprint| Observed::Regular {
            content: Content::Of(content),
            mode: 0o600,
            acl: true,
            owner: 0,
            group: 0,
            links: 1,
            id: OURS,
            readable: true,
        };
        let ours = record(Some(NEW), None);
        let repair = Verdict::Write(Effect::Repaired(Drift::Metadata));
        assert_eq!(judged(opened(NEW), Some(&ours), false), Some(repair));
        let update = Verdict::Write(Effect::Updated);
        assert_eq!(judged(opened(NEW), None, false), None, "it is not ours");
        assert_eq!(judged(opened(NEW), None, true), Some(update));
        assert_eq!(judged(opened(FOREIGN), None, false), None);
        let drifted = drift(Path::new("/x"), &opened(NEW), Some(&ours), &WANTED);
        assert_eq!(drifted, Ok(Some(Drift::Metadata)));
    }

    /// The entry was taken out of the configuration and came back.
    #[test]
    fn a_path_that_was_left_is_ours_only_while_it_holds_what_we_delivered() {
        let left = |delivered, intent| FileRecord {
            left: true,
            ..record(delivered, intent)
        };
        let updated = Some(Verdict::Write(Effect::Updated));
        let old = left(Some(OLD), None);
        assert_eq!(judged(file(OLD), Some(&old), false), updated);
        assert_eq!(judged(file(FOREIGN), Some(&old), false), None);
        assert_eq!(judged(file(FOREIGN), Some(&old), true), updated);
        let written = left(Some(FOREIGN), Some(OLD));
        assert_eq!(judged(file(OLD), Some(&written), false), updated);
        let created = Some(Verdict::Write(Effect::Created));
        let new = left(Some(NEW), None);
        assert_eq!(judged(Observed::Absent, Some(&new), false), created);
    }

    /// Killed in between, or a person gave it to us.
    #[test]
    fn what_was_being_removed_or_was_given_to_us_is_ours_only_by_its_content() {
        let updated = Some(Verdict::Write(Effect::Updated));
        let removing = FileRecord {
            removing: true,
            ..record(Some(OLD), None)
        };
        assert_eq!(judged(file(OLD), Some(&removing), false), updated);
        assert_eq!(judged(file(FOREIGN), Some(&removing), false), None);
        let created = Some(Verdict::Write(Effect::Created));
        assert_eq!(judged(Observed::Absent, Some(&removing), false), created);
        let given = FileRecord {
            adopted: Some(FOREIGN),
            ..record(None, None)
        };
        assert_eq!(judged(file(FOREIGN), Some(&given), false), updated);
        assert_eq!(judged(file(OLD), Some(&given), false), None);
    }

    #[test]
    fn drift_is_told_without_the_value() {
        let drifted = |observed: Observed, record: &Option<FileRecord>| {
            drift(Path::new("/x"), &observed, record.as_ref(), &WANTED).unwrap()
        };
        let ours = &Some(record(Some(OLD), None));
        assert_eq!(drifted(file(OLD), ours), None);
        assert_eq!(drifted(Observed::Absent, ours), Some(Drift::Missing));
        assert_eq!(drifted(file(FOREIGN), ours), Some(Drift::Content));
        let open = Observed::Regular {
            content: Content::Of(OLD),
            mode: 0o4600,
            acl: false,
            owner: 0,
            group: 0,
            links: 1,
            id: OURS,
            readable: true,
        };
        assert_eq!(drifted(open, ours), Some(Drift::Metadata));
        assert_eq!(
            drifted(file(NEW), &Some(record(Some(OLD), Some(NEW)))),
            None
        );
        assert_eq!(drifted(Observed::Absent, &None), None);
        assert_eq!(drifted(file(FOREIGN), &Some(record(None, Some(NEW)))), None);
    }
}
