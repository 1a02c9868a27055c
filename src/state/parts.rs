use std::collections::BTreeSet;
use std::sync::Arc;

use super::SecretPart;

/// The parts of Secrets that a configuration writes. Who records something of one calls it by the name that is here:
/// thousands of them are in memory once.
#[derive(Debug, Default)]
pub struct SecretParts(BTreeSet<Arc<SecretPart>>);

impl SecretParts {
    pub fn contains(&self, part: &SecretPart) -> bool {
        self.0.contains(part)
    }

    pub fn iter(&self) -> impl Iterator<Item = &SecretPart> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The one of them that is the same.
    pub(super) fn shared(&self, part: &SecretPart) -> Option<Arc<SecretPart>> {
        self.0.get(part).cloned()
    }
}

impl FromIterator<SecretPart> for SecretParts {
    fn from_iter<I: IntoIterator<Item = SecretPart>>(parts: I) -> Self {
        Self(parts.into_iter().map(Arc::new).collect())
    }
}

impl<const N: usize> From<[SecretPart; N]> for SecretParts {
    fn from(parts: [SecretPart; N]) -> Self {
        parts.into_iter().collect()
    }
}
