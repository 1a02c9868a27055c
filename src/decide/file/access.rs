//! Who may do what with a file: its permission bits, its ACL, and whose it is.

use super::{Observed, is_recorded, our_path};
use crate::decide::{Drift, Effect};
use crate::state::{FileRecord, Placed, Whose};

/// What a file's bits and owners should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// As the configuration names them. Left out: whatever a new file of ours gets.
    pub owner: Option<u32>,
    pub group: Option<u32>,
}

/// How wrong access is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// The bits alone are wrong, and are set.
    InPlace,
    /// By a fresh file: whom the wrong owner, an ACL or another name let in may hold the old inode open, and a file that
    /// was not delivered is not touched. No inode that exists ever gets
    /// another owner from us, so nobody can have one of his choice given away by putting it there.
    Afresh,
}

/// What a regular file needs beyond its content.
pub fn mend(observed: &Observed, record: Option<&FileRecord>, wanted: &Access) -> Option<Mend> {
    let Observed::Regular {
        mode,
        acl,
        owner,
        group,
        links,
        id,
        readable,
        ..
    } = *observed
    else {
        return None;
    };
    // Of a file that was found its maintainer decides.
    let recorded = record.filter(|record| record.whose != Whose::Found);
    let placed = recorded.and_then(|record| record.placed);
    let before = |id: fn(&Placed) -> (u32, bool)| placed.as_ref().map(id);
    let owners_are_right = is_right(owner, wanted.owner, before(|it| (it.owner, it.owner_named)))
        && is_right(group, wanted.group, before(|it| (it.group, it.group_named)));
    if acl || links > 1 || !owners_are_right {
        Some(Mend::Afresh)
    } else if mode == wanted.mode {
        None
    } else if readable && is_recorded(record, id) && !is_copied(record) {
        Some(Mend::InPlace)
    } else {
        Some(Mend::Afresh)
    }
}

/// Whether it is recorded, and still nothing that we put there.
fn is_copied(record: Option<&FileRecord>) -> bool {
    record.is_some_and(|record| record.whose == Whose::Copied)
}

/// Where the configuration names nobody, what our file had when it was made is right, unless somebody was named then.
fn is_right(present: u32, wanted: Option<u32>, before: Option<(u32, bool)>) -> bool {
    match (wanted, before) {
        (Some(wanted), _) => present == wanted,
        (None, Some((before, was_named))) => present == before && !was_named,
        (None, None) => true,
    }
}

/// What putting it right is: putting it back where the ledger says that we had delivered it so, else following a change
/// of the configuration, or taking over a file.
pub fn access_effect(record: Option<&FileRecord>, wanted: &Access) -> Effect {
    match our_path(record) {
        Some(record) if delivered(record) == *wanted => Effect::Repaired(Drift::Metadata),
        _ => Effect::Updated,
    }
}

/// What the configuration asked for when it was delivered.
fn delivered(record: &FileRecord) -> Access {
    let named = |is: bool, id: u32| is.then_some(id);
    Access {
        mode: record.mode,
        owner: record.placed.and_then(|it| named(it.owner_named, it.owner)),
        group: record.placed.and_then(|it| named(it.group_named, it.group)),
    }
}

#[cfg(test)]
mod tests;
