//! Secret bytes: redacted, wiped, and without a way out that does not name itself.
//!
//! A value may be compared, fingerprinted under a key that never leaves `state_dir`, and exposed at the
//! few places that hand it to a target. There is no `Display`, no `Serialize`, and `Debug` prints nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hmac::{HmacReset, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::names::SecretKey;

/// A secret value. Memory is wiped on drop; equality is over the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Every call is a place where a value could leave the process.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes. A length is not treated as secret.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What an entry delivers: keys in their sorted order, so that equal content has equal bytes and fingerprints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    values: BTreeMap<SecretKey, SecretBytes>,
    /// Keys that nobody wrote: they are called after what was found.
    found: BTreeSet<SecretKey>,
}

impl Payload {
    pub fn insert(&mut self, key: SecretKey, value: SecretBytes) {
        self.found.remove(&key);
        self.values.insert(key, value);
    }

    /// As [`Self::insert`], under a name that was made at run time.
    pub fn insert_found(&mut self, key: SecretKey, value: SecretBytes) {
        self.found.insert(key.clone());
        self.values.insert(key, value);
    }

    pub fn remove(&mut self, key: &SecretKey) {
        self.found.remove(key);
        self.values.remove(key);
    }

    /// This, with the values of `other` in place of those of the same keys.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        let Self { values, found } = other;
        for (key, value) in values {
            if found.contains(&key) {
                self.insert_found(key, value);
            } else {
                self.insert(key, value);
            }
        }
        self
    }

    pub fn get(&self, key: &SecretKey) -> Option<&SecretBytes> {
        self.values.get(key)
    }

    /// Whether the key's name was made at run time.
    pub fn is_found(&self, key: &SecretKey) -> bool {
        self.found.contains(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&SecretKey, &SecretBytes)> {
        self.values.iter()
    }

    pub fn keys(&self) -> impl Iterator<Item = &SecretKey> {
        self.values.keys()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// True when nothing in it could be of use to a reader: no key, or only empty values. Such content is never
    /// written.
    pub fn is_blank(&self) -> bool {
        self.values.values().all(SecretBytes::is_empty)
    }
}

/// The key of all fingerprints: random, made once, a file of its own in `state_dir`.
#[derive(Clone)]
pub struct FingerprintKey(Zeroizing<[u8; 32]>);

/// HMAC-SHA-256 of content under a [`FingerprintKey`]. Says whether content is the same, nothing about what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl FingerprintKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Fingerprint of a sequence of parts. Lengths are hashed with the parts, so their boundaries count.
    pub fn of<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Fingerprint {
        let mac = HmacReset::<Sha256>::new_from_slice(self.0.as_slice());
        // It holds the end of what it was given. On the heap that is wiped; on the stack it would stay.
        let mut mac = Box::new(mac.expect("HMAC takes keys of every length"));
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Fingerprint(mac.finalize_reset().into_bytes().into())
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[fingerprint key]")
    }
}

impl Fingerprint {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[fingerprint]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_value_shows_nothing_of_it() {
        let mut payload = Payload::default();
        payload.insert(
            SecretKey::new("password").unwrap(),
            SecretBytes::new(b"hunter2".to_vec()),
        );
        assert_eq!(
            format!("{payload:?}"),
            r#"Payload { values: {SecretKey("password"): [secret]}, found: {} }"#
        );
    }

    #[test]
    fn part_boundaries_change_a_fingerprint() {
        let key = FingerprintKey::new([7; 32]);
        assert_ne!(
            key.of([b"ab".as_slice(), b"c"]),
            key.of([b"a".as_slice(), b"bc"])
        );
        assert_eq!(key.of([b"ab".as_slice()]), key.of([b"ab".as_slice()]));
        assert_ne!(
            key.of([b"ab".as_slice()]),
            FingerprintKey::new([8; 32]).of([b"ab".as_slice()])
        );
    }

    #[test]
    fn blank_is_no_key_or_only_empty_values() {
        let mut payload = Payload::default();
        assert!(payload.is_blank());
        payload.insert(SecretKey::new("a").unwrap(), SecretBytes::new(Vec::new()));
        assert!(payload.is_blank());
        payload.insert(
            SecretKey::new("b").unwrap(),
            SecretBytes::new(b"x".to_vec()),
        );
        assert!(!payload.is_blank());
    }
}
