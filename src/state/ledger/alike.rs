//! One copy of what many records say alike: nearly all Secrets of a house are written by the same few names.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::decide::kubernetes::removal::Author;
use crate::decide::kubernetes::{DeliveredSecret, Names, Wrote};
use crate::kube::FieldManager;
use crate::names::{Instance, MetadataKey, SecretKey};

/// So many are looked for at most. What differs more often than that is not alike; the search then begins anew, and of
/// what is there are two copies.
const MOST: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Alike {
    keys: Known<Names<SecretKey>>,
    metadata: Known<Names<MetadataKey>>,
    managers: Known<FieldManager>,
    instances: Known<Instance>,
    authors: Known<Arc<Author>>,
}

impl Alike {
    /// The record says the same as before.
    pub(super) fn share(&mut self, record: &mut DeliveredSecret) {
        let Wrote {
            keys,
            labels,
            annotations,
        } = &mut record.wrote;
        self.keys.share(keys);
        self.metadata.share(labels);
        self.metadata.share(annotations);
        if let Some(manager) = &mut record.manager {
            self.managers.share(manager);
        }
        if let Some(instance) = &mut record.whole {
            self.instances.share(instance);
        }
        if let Some(author) = &mut record.author {
            self.authors.share(author);
        }
    }
}

/// Things whose clones share their room.
#[derive(Debug)]
struct Known<T>(HashSet<T>);

impl<T: Clone + Eq + Hash> Known<T> {
    fn share(&mut self, thing: &mut T) {
        if let Some(known) = self.0.get(thing) {
            *thing = known.clone();
            return;
        }
        if self.0.len() == MOST {
            self.0.clear();
        }
        self.0.insert(thing.clone());
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_things_share_their_room_however_many_differ() {
        let mut known = Known::default();
        let name = |text: String| Instance::new(text).unwrap();
        let mut first = name("house".to_owned());
        known.share(&mut first);
        for number in 0..3 * MOST {
            known.share(&mut name(number.to_string()));
            assert!(known.0.len() <= MOST);
        }
        let [mut second, mut third] = [(); 2].map(|()| name("house".to_owned()));
        known.share(&mut second);
        known.share(&mut third);
        assert_eq!(second, first);
        assert!(std::ptr::eq(second.as_str(), third.as_str()));
    }
}
