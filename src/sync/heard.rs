//! What the reads of an entry say at a time, and what is certain of what is gone.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::decide::missing::{Gone, Proof};
use crate::store::{Identity, Read};

/// What the direct reads say about one read that is gone, or lists less than before; each says it of one ARN.
pub type Proofs = BTreeMap<Read, (Gone, Proof)>;

/// What one read of an entry says. A run that would hear the same again has nothing to do. Clones share it: each entry
/// keeps what it last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard(Arc<Words>);

/// What a [`Heard`] says.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    pub said: Said,
    pub proofs: Proofs,
}

impl Heard {
    pub fn new(said: Said, proofs: Proofs) -> Self {
        Self(Arc::new(Words { said, proofs }))
    }
}

impl Deref for Heard {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Version(Identity),
    /// It is gone, and the entry may do without it.
    Missing(Gone),
}
