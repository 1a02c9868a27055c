//! What the reads of an entry say at a time, and what is certain of what is gone.

use std::collections::BTreeMap;

use crate::decide::missing::{Gone, Proof};
use crate::store::{Identity, Read};

/// What the direct reads say about one read that is gone, or lists less than before; each says it of one ARN.
pub type Proofs = BTreeMap<Read, (Gone, Proof)>;

/// What one read of an entry says. A run that would hear the same again has nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub said: Said,
    pub proofs: Proofs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Version(Identity),
    /// It is gone, and the entry may do without it.
    Missing(Gone),
}
