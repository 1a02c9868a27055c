//! Keyed checksums of the rows: what proves that a row is ours, whole, and where we put it.
//!
//! redb's own checksums say that a page is as some redb wrote it. These say that this state directory's daemon wrote the
//! row, under this key of this table, and all together that no row is missing and none was added.

use crate::secret::{Fingerprint, FingerprintKey};

use super::error::LedgerError;

const TAG_BYTES: usize = 32;

/// The key of the checksums, made from that of the fingerprints, so that neither can be taken for the other.
#[derive(Debug)]
pub(super) struct Checksum(FingerprintKey);

/// The checksum of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(Fingerprint);

/// All tags of the ledger in one, whatever their order: kept up to date by each commit, computed anew at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum([u8; TAG_BYTES]);

impl Checksum {
    pub(super) fn new(key: &FingerprintKey) -> Self {
        let derived = key.of([b"checksums of the ledger".as_slice()]);
        Self(FingerprintKey::new(*derived.as_bytes()))
    }

    /// The row as it is stored: the checksum, then the record.
    pub(super) fn seal(&self, table: &str, key: &[u8], record: &[u8]) -> (Tag, Vec<u8>) {
        let tag = self.tag(table, key, record);
        (tag, [tag.0.as_bytes().as_slice(), record].concat())
    }

    /// The record in a stored row, if we stored it there.
    pub(super) fn unseal<'a>(
        &self,
        table: &str,
        key: &[u8],
        row: &'a [u8],
    ) -> Result<(Tag, &'a [u8]), LedgerError> {
        let (tag, record) = split(row)?;
        if tag == self.tag(table, key, record) {
            Ok((tag, record))
        } else {
            Err(LedgerError::Foreign)
        }
    }

    fn tag(&self, table: &str, key: &[u8], record: &[u8]) -> Tag {
        Tag(self.0.of([table.as_bytes(), key, record]))
    }
}

impl Tag {
    /// The tag of a stored row that is about to be replaced.
    pub(super) fn of_row(row: &[u8]) -> Result<Self, LedgerError> {
        split(row).map(|(tag, _)| tag)
    }
}

impl Sum {
    /// Adds a tag, or takes it away.
    pub(super) fn toggle(&mut self, tag: Tag) {
        for (byte, of_tag) in self.0.iter_mut().zip(tag.0.as_bytes()) {
            *byte ^= of_tag;
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, LedgerError> {
        let bytes = bytes.try_into().map_err(|_| LedgerError::Damaged)?;
        Ok(Self(bytes))
    }
}

fn split(row: &[u8]) -> Result<(Tag, &[u8]), LedgerError> {
    let (tag, record) = row
        .split_first_chunk::<TAG_BYTES>()
        .ok_or(LedgerError::Foreign)?;
    Ok((Tag(Fingerprint::from_bytes(*tag)), record))
}

#[cfg(test)]
mod tests;
