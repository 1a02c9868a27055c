//! What the tests of this room begin with.

use crate::names::EntryName;
use crate::secret::Fingerprint;
use crate::state::FileRecord;
pub(super) use crate::state::samples::placed;

pub(super) fn db() -> EntryName {
    EntryName::new("db").unwrap()
}

/// Of a file that was never written.
pub(super) fn blank() -> FileRecord {
    FileRecord::blank(db(), 0o600)
}

/// What somebody else writes, in the small worlds; ours are 1 and 2.
pub(super) const THEIRS: u8 = 9;

pub(super) const fn print(content: u8) -> Fingerprint {
    Fingerprint::from_bytes([content; 32])
}

/// A fingerprint does not show what it is of.
pub(super) fn number_of(of: Fingerprint) -> u8 {
    let all = [1, 2, THEIRS];
    all.into_iter().find(|it| print(*it) == of).unwrap_or(0)
}
