//! Which fields of a Secret hold what they hold because of us.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Wanted;
use crate::names::{MetadataKey, SecretKey};

/// The fields whose values are there because of us. One that somebody else already had with the same value is not:
/// owning it too proves nothing against its first owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrote {
    pub keys: Names<SecretKey>,
    pub labels: Names<MetadataKey>,
    pub annotations: Names<MetadataKey>,
}

impl Wrote {
    /// What making the Secret writes.
    pub fn all(wanted: &Wanted) -> Self {
        Self {
            keys: wanted.data.keys().cloned().collect(),
            labels: wanted.labels.keys().cloned().collect(),
            annotations: wanted.annotations.keys().cloned().collect(),
        }
    }
}

/// Names in their order, each once. The ledger has them in memory for every Secret, so they take no room but their own,
/// and clones share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Names<T>(Arc<[T]>);

impl<T: Borrow<str>> Names<T> {
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub fn contains(&self, name: &str) -> bool {
        let found = self.0.binary_search_by(|it| it.borrow().cmp(name));
        found.is_ok()
    }
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Ord> FromIterator<T> for Names<T> {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        let names: BTreeSet<T> = names.into_iter().collect();
        Self(names.into_iter().collect())
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for Names<T> {
    fn from(names: [T; N]) -> Self {
        names.into_iter().collect()
    }
}
