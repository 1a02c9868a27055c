//! Whether a file of somebody else may be given to us by a person.

use std::path::Path;

use super::{Content, Observed, known, ours_to_touch, was_put_there, whose};
use crate::failure::{Failure, Reason};
use crate::secret::Fingerprint;
use crate::state::{FileRecord, Whose};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// There is nothing to take over.
    Absent,
    /// It is ours already.
    Ours,
    /// It may be taken over as long as it holds that.
    Take { found: Fingerprint, mode: u32 },
}

/// What adopting the file at `path` would be. What is no plain file is refused, as it is for a write.
pub fn adoption(
    path: &Path,
    observed: &Observed,
    record: Option<&FileRecord>,
) -> Result<Adoption, Failure> {
    let (Some(content), Observed::Regular { mode, id, .. }) =
        (ours_to_touch(path, observed, record)?, *observed)
    else {
        return Ok(Adoption::Absent);
    };
    // Theirs may hold the very bytes that we deliver.
    let theirs = record.is_some_and(|record| was_put_there(record, content))
        && whose(record, (id, content), false) != Whose::Ours;
    if known(record, content) && !theirs {
        return Ok(Adoption::Ours);
    }
    match content {
        Content::Of(found) => Ok(Adoption::Take { found, mode }),
        Content::Unknown | Content::Staged => {
            let fact = format!(
                "{} cannot be read or is larger than anything that is delivered, so nobody can tell what would be replaced",
                path.display()
            );
            Err(Failure::new(Reason::Conflict, fact)
                .with_help("move it away, or let the user that runs secretsyncd read it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples::blank;

    const THEIRS: Fingerprint = Fingerprint::from_bytes([9; 32]);

    fn file(content: Content, links: u32) -> Observed {
        Observed::Regular {
            content,
            mode: 0o644,
            acl: false,
            owner: 0,
            group: 0,
            links,
            id: crate::state::FileId {
                inode: 1,
                born: None,
            },
            readable: true,
        }
    }

    #[test]
    fn only_a_plain_file_of_somebody_else_is_taken_over() {
        let of = |observed: Observed, record: Option<&FileRecord>| {
            adoption(Path::new("/x"), &observed, record)
        };
        let theirs = file(Content::Of(THEIRS), 1);
        let take = Adoption::Take {
            found: THEIRS,
            mode: 0o644,
        };
        assert_eq!(of(theirs, None), Ok(take));
        assert_eq!(of(Observed::Absent, None), Ok(Adoption::Absent));
        let mut ours = FileRecord {
            delivered: Some(Fingerprint::from_bytes([1; 32])),
            inode: Some(1),
            ..blank()
        };
        assert_eq!(of(theirs, Some(&ours)), Ok(Adoption::Ours));
        ours.left = true;
        assert_eq!(of(theirs, Some(&ours)), Ok(take));
        ours.adopted = Some(THEIRS);
        assert_eq!(of(theirs, Some(&ours)), Ok(Adoption::Ours));
        for refused in [
            Observed::Symlink,
            Observed::Directory,
            Observed::Other,
            file(Content::Of(THEIRS), 2),
            file(Content::Unknown, 1),
        ] {
            let failure = of(refused, None).unwrap_err();
            assert_eq!(failure.reason, Reason::Conflict);
            assert!(failure.own_help().is_some(), "{failure}");
        }
    }
}
