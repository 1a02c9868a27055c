//! Batches that AWS refused as a whole. Pure.
//!
//! `GetParameters` is refused when one of its names is denied, and it is refused when the action is not allowed at all.
//! Which of the two it was shows when every name has been asked alone.

use std::collections::HashSet;

/// Each batch, by the names that were not answered alone yet.
#[derive(Debug, Default)]
pub(super) struct Refused(Vec<HashSet<String>>);

/// What a name that was asked alone says of the batch it was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be read.
    Allowed,
    /// It may have been the one, or says nothing.
    Suspect,
}

impl Refused {
    pub(super) fn add(&mut self, names: impl IntoIterator<Item = String>) {
        self.0.push(names.into_iter().collect());
    }

    /// A name was asked alone. True when it was the last of its batch and each may be read: not the names were refused.
    pub(super) fn heard(&mut self, name: &str, verdict: Verdict) -> bool {
        let mut of_batches = false;
        self.0.retain_mut(|waiting| {
            if !waiting.remove(name) {
                return true;
            }
            match verdict {
                Verdict::Allowed => {
                    of_batches |= waiting.is_empty();
                    !waiting.is_empty()
                }
                Verdict::Suspect => false,
            }
        });
        of_batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_names_that_may_all_be_read_was_refused_as_a_batch() {
        let mut refused = Refused::default();
        refused.add(["a".into(), "b".into()]);
        assert!(!refused.heard("a", Verdict::Allowed));
        assert!(!refused.heard("other", Verdict::Allowed));
        assert!(refused.heard("b", Verdict::Allowed));
        assert!(refused.0.is_empty());
    }

    #[test]
    fn one_name_that_is_denied_explains_the_refusal() {
        let mut refused = Refused::default();
        refused.add(["a".into(), "b".into()]);
        assert!(!refused.heard("a", Verdict::Suspect));
        assert!(!refused.heard("b", Verdict::Allowed));
        assert!(refused.0.is_empty());
    }
}
