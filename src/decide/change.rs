//! Is what was read another version than what was delivered, and may it be written?

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;

use crate::store::Identity;

/// A version of one read, as it was delivered or answered. Clones share it: an entry and each of its targets keep one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(Arc<Made>);

/// Which version a [`Version`] is.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    pub identity: Identity,
    /// When it was made, where the store says so.
    pub created: Option<Timestamp>,
}

impl Version {
    pub fn new(identity: Identity, created: Option<Timestamp>) -> Self {
        Self(Arc::new(Made { identity, created }))
    }
}

impl Deref for Version {
    type Target = Made;

    fn deref(&self) -> &Made {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing was delivered from this read before.
    First,
    Same,
    Newer,
    /// Not made after the delivered one: a rollback, or a stale replica. Written only after a second read agrees.
    /// The same time counts too: two versions of one moment cannot be told apart, and waiting is safe.
    Older,
}

/// Compares an answer with what the entry last delivered from the same read. Without creation times a difference
/// counts as newer: a file store has no replicas that could be stale.
pub fn change(delivered: Option<&Version>, answered: &Version) -> Change {
    let Some(delivered) = delivered else {
        return Change::First;
    };
    if delivered.identity == answered.identity {
        return Change::Same;
    }
    match (delivered.created, answered.created) {
        (Some(before), Some(now)) if now <= before => Change::Older,
        _ => Change::Newer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, created: Option<i64>) -> Version {
        Version::new(
            Identity::Version {
                arn: "arn".into(),
                version_id: id.into(),
            },
            created.map(|at| Timestamp::from_second(at).unwrap()),
        )
    }

    #[test]
    fn a_version_not_made_later_is_older() {
        let delivered = version("b", Some(20));
        assert_eq!(change(None, &delivered), Change::First);
        assert_eq!(
            change(Some(&delivered), &version("b", Some(20))),
            Change::Same
        );
        assert_eq!(
            change(Some(&delivered), &version("c", Some(30))),
            Change::Newer
        );
        assert_eq!(
            change(Some(&delivered), &version("c", Some(20))),
            Change::Older
        );
        assert_eq!(
            change(Some(&delivered), &version("a", Some(10))),
            Change::Older
        );
        assert_eq!(change(Some(&delivered), &version("a", None)), Change::Newer);
    }
}
