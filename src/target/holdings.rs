//! What a target holds now, as far as it can be told from the target itself.

use std::collections::BTreeSet;

use crate::names::SecretKey;
use crate::secret::Payload;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holdings {
    /// There is no target.
    Nothing,
    /// Somebody else's form: nothing can be said of what is in it.
    Unknown,
    Something {
        /// Every key in it, ours or not.
        keys: BTreeSet<SecretKey>,
        /// The values that we delivered last; `None` where it is not certain that they are those, or where the format
        /// does not give them back.
        delivered: Option<Payload>,
    },
}

impl Holdings {
    /// Whether that key may be in it.
    pub fn may_hold(&self, key: &SecretKey) -> bool {
        match self {
            Self::Nothing => false,
            Self::Unknown => true,
            Self::Something { keys, .. } => keys.contains(key),
        }
    }
}
