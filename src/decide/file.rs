//! What may be done to one file.
//!
//! Pure. A file is ours when the ledger says that we delivered to its path, or when its content is what we were about
//! to deliver when a crash came. Where the configuration was without the path for a while, only the content counts:
//! somebody may have made a file of their own there meanwhile. Anything else belongs to somebody else and is taken over only when it already holds
//! what we would write, or when the configuration says `adopt = true`.

use std::path::Path;

use super::{Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::secret::Fingerprint;
use crate::state::FileRecord;

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
        links: u32,
    },
    Symlink,
    Directory,
    /// A FIFO, a socket or a device.
    Other,
}

/// What a regular file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Of(Fingerprint),
    /// Larger than anything we deliver, or not readable to us. Never what we delivered as it was.
    Unknown,
}

/// What the file should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub fingerprint: Fingerprint,
    /// Permission bits.
    pub mode: u32,
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
    let delivered = standing(record).and_then(|record| record.delivered);
    let Some(Plain { content, mode, acl }) = ours_to_touch(path, observed)? else {
        return Ok(Verdict::Write(match delivered {
            None => Effect::Created,
            Some(before) if before == wanted.fingerprint => Effect::Repaired(Drift::Missing),
            Some(_) => Effect::Updated,
        }));
    };
    if content == Content::Of(wanted.fingerprint) {
        return Ok(if acl {
            // Whoever the ACL let in may still hold the old inode open.
            Verdict::Write(mode_effect(record, wanted.mode))
        } else if mode == wanted.mode {
            Verdict::Unchanged
        } else {
            Verdict::FixMode(mode_effect(record, wanted.mode))
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
        .with_help(
            "choose another path, move the file away, or set `adopt = true` to replace it",
        ));
    }
    Ok(Verdict::Write(if delivered == Some(wanted.fingerprint) {
        Effect::Repaired(Drift::Content)
    } else {
        Effect::Updated
    }))
}

/// How the file differs from what was delivered, as far as that can be told without the value. Nothing that was never
/// delivered drifts.
pub fn drift(
    path: &Path,
    observed: &Observed,
    record: Option<&FileRecord>,
    mode_wanted: u32,
) -> Result<Option<Drift>, Failure> {
    let Some(record) = record.filter(|record| record.delivered.is_some()) else {
        return Ok(None);
    };
    let Some(Plain { content, mode, acl }) = ours_to_touch(path, observed)? else {
        return Ok(Some(Drift::Missing));
    };
    Ok(if !was_put_there(record, content) {
        Some(Drift::Content)
    } else if mode != mode_wanted || acl {
        Some(Drift::Metadata)
    } else {
        None
    })
}

/// What setting the mode is: putting it back where the ledger says that we had delivered it, else following a change
/// of the configuration, or taking over a file.
pub fn mode_effect(record: Option<&FileRecord>, mode_wanted: u32) -> Effect {
    match standing(record) {
        Some(record) if record.mode == mode_wanted => Effect::Repaired(Drift::Metadata),
        _ => Effect::Updated,
    }
}

fn known(record: Option<&FileRecord>, content: Content) -> bool {
    standing(record).is_some_and(|record| record.delivered.is_some())
        || record.is_some_and(|record| was_put_there(record, content))
}

/// The record, as long as the path was written by every configuration since.
fn standing(record: Option<&FileRecord>) -> Option<&FileRecord> {
    record.filter(|record| !record.left)
}

/// Whether this is content that we delivered last, or were about to.
pub fn was_put_there(record: &FileRecord, content: Content) -> bool {
    [record.delivered, record.intent]
        .into_iter()
        .flatten()
        .any(|fingerprint| content == Content::Of(fingerprint))
}

struct Plain {
    content: Content,
    mode: u32,
    acl: bool,
}

/// What a plain file is, nothing for an absent one, a refusal for everything else.
///
/// A further hard link is refused although a rename would not write through it: we never make one, so somebody else
/// keeps a name for the secret, at a place whose permissions we do not know, and would silently keep the old content.
/// A person has to know; until then the old file stays as it is.
fn ours_to_touch(path: &Path, observed: &Observed) -> Result<Option<Plain>, Failure> {
    let refuse = |what: String, help: &'static str| {
        let fact = format!("{} {what}", path.display());
        Err(Failure::new(Reason::Conflict, fact).with_help(help))
    };
    match *observed {
        Observed::Absent => Ok(None),
        Observed::Regular {
            content,
            mode,
            acl,
            links: 0 | 1,
        } => Ok(Some(Plain { content, mode, acl })),
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
    use crate::names::EntryName;

    const OLD: Fingerprint = Fingerprint::from_bytes([1; 32]);
    const NEW: Fingerprint = Fingerprint::from_bytes([2; 32]);
    const FOREIGN: Fingerprint = Fingerprint::from_bytes([9; 32]);

    fn record(delivered: Option<Fingerprint>, intent: Option<Fingerprint>) -> FileRecord {
        FileRecord {
            entry: EntryName::new("db").unwrap(),
            delivered,
            intent,
            mode: 0o600,
            temporary: None,
            left: false,
        }
    }

    fn file(fingerprint: Fingerprint) -> Observed {
        Observed::Regular {
            content: Content::Of(fingerprint),
            mode: 0o600,
            acl: false,
            links: 1,
        }
    }

    fn judged(observed: Observed, record: Option<&FileRecord>, adopt: bool) -> Option<Verdict> {
        let wanted = Wanted {
            fingerprint: NEW,
            mode: 0o600,
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
            links: 1,
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
            links: 2,
        };
        for observed in [
            Observed::Symlink,
            Observed::Directory,
            Observed::Other,
            linked,
        ] {
            let record = Some(record(Some(NEW), None));
            assert_eq!(judged(observed, record.as_ref(), true), None);
            assert!(drift(Path::new("/x"), &observed, record.as_ref(), 0o600).is_err());
        }
    }

    #[test]
    fn a_wrong_mode_is_a_repair_only_when_we_had_delivered_the_right_one() {
        let open = Observed::Regular {
            content: Content::Of(NEW),
            mode: 0o644,
            acl: false,
            links: 1,
        };
        let repair = Verdict::FixMode(Effect::Repaired(Drift::Metadata));
        assert_eq!(
            judged(open, Some(record(Some(NEW), None)).as_ref(), false),
            Some(repair)
        );
        let update = Verdict::FixMode(Effect::Updated);
        assert_eq!(judged(open, None, false), Some(update));
        let mut before = record(Some(NEW), None);
        before.mode = 0o644;
        assert_eq!(judged(open, Some(&before), false), Some(update));
    }

    /// A file that our content is in, but that an ACL opens to others.
    #[test]
    fn an_acl_is_drift_that_a_fresh_file_mends() {
        let opened = |content: Fingerprint| Observed::Regular {
            content: Content::Of(content),
            mode: 0o600,
            acl: true,
            links: 1,
        };
        let ours = record(Some(NEW), None);
        let repair = Verdict::Write(Effect::Repaired(Drift::Metadata));
        assert_eq!(judged(opened(NEW), Some(&ours), false), Some(repair));
        let update = Verdict::Write(Effect::Updated);
        assert_eq!(judged(opened(NEW), None, false), Some(update));
        assert_eq!(judged(opened(FOREIGN), None, false), None);
        let drifted = drift(Path::new("/x"), &opened(NEW), Some(&ours), 0o600);
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

    #[test]
    fn drift_is_told_without_the_value() {
        let drifted = |observed: Observed, record: &Option<FileRecord>| {
            drift(Path::new("/x"), &observed, record.as_ref(), 0o600).unwrap()
        };
        let ours = &Some(record(Some(OLD), None));
        assert_eq!(drifted(file(OLD), ours), None);
        assert_eq!(drifted(Observed::Absent, ours), Some(Drift::Missing));
        assert_eq!(drifted(file(FOREIGN), ours), Some(Drift::Content));
        let open = Observed::Regular {
            content: Content::Of(OLD),
            mode: 0o4600,
            acl: false,
            links: 1,
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
