//! A whole set of files as one sequence of bytes: what is fingerprinted, compared and handed on for a directory. Never
//! written anywhere as it is. Pure.
//!
//! For each key in its order: the name, a NUL, the value's length as eight bytes, the value.

use std::collections::BTreeMap;

use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

/// The most files that one directory gets.
pub const MAX_FILES: usize = 4096;

/// A key is a file's name as it is: without `/`, not beginning with `..`, and at most 253 bytes long.
pub(super) fn render(payload: &Payload) -> Result<SecretBytes, Failure> {
    if payload.len() > MAX_FILES {
        let fact = format!(
            "the directory would have {} files; at most {MAX_FILES} are written",
            payload.len()
        );
        return Err(Failure::new(Reason::TooLarge, fact));
    }
    Ok(pack(payload))
}

pub(in crate::target::file) fn pack(payload: &Payload) -> SecretBytes {
    let sizes = payload
        .iter()
        .map(|(key, value)| key.as_str().len() + 9 + value.len());
    // Exactly as large as needed: bytes that grow leave copies behind.
    let mut out = Vec::with_capacity(sizes.sum());
    for (key, value) in payload.iter() {
        out.extend_from_slice(key.as_str().as_bytes());
        out.push(0);
        out.extend_from_slice(&(value.len() as u64).to_be_bytes());
        out.extend_from_slice(value.expose());
    }
    SecretBytes::new(out)
}

/// `None` for what [`pack`] never makes.
pub(in crate::target::file) fn unpack(
    bytes: &SecretBytes,
) -> Option<BTreeMap<SecretKey, SecretBytes>> {
    let mut values = BTreeMap::new();
    let mut rest = bytes.expose();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let name = str::from_utf8(&rest[..end]).ok()?;
        let (length, behind) = rest[end + 1..].split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let (value, behind) = behind.split_at_checked(length)?;
        values.insert(SecretKey::new(name).ok()?, SecretBytes::new(value.to_vec()));
        rest = behind;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(of: impl IntoIterator<Item = (String, Vec<u8>)>) -> Payload {
        let mut payload = Payload::default();
        for (name, value) in of {
            payload.insert(SecretKey::new(name).unwrap(), SecretBytes::new(value));
        }
        payload
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(of in proptest::collection::btree_map("[a-zA-Z0-9_-]{1,20}", any::<Vec<u8>>(), 0..8)) {
            let payload = payload(of);
            let back = unpack(&pack(&payload)).unwrap();
            prop_assert!(payload.iter().eq(back.iter()));
        }

        #[test]
        fn nothing_else_is_read_beyond_its_end(bytes in any::<Vec<u8>>()) {
            let _ = unpack(&SecretBytes::new(bytes));
        }
    }

    #[test]
    fn every_key_is_a_name_that_no_link_or_generation_of_ours_has() {
        for name in [
            "",
            ".",
            "..",
            "..data",
            "..secretsyncd-1",
            "a/b",
            "a\0b",
            "/etc/passwd",
            "../x",
        ] {
            assert!(SecretKey::new(name).is_err(), "{name}");
        }
        assert!(SecretKey::new("x".repeat(254)).is_err());
        assert!(SecretKey::new(".hidden").is_ok());
    }

    #[test]
    fn the_number_of_files_is_limited() {
        let many = |count| payload((0..count).map(|n| (format!("k{n}"), b"v".to_vec())));
        assert!(render(&many(MAX_FILES)).is_ok());
        let failure = render(&many(MAX_FILES + 1)).unwrap_err();
        assert_eq!(failure.reason, Reason::TooLarge);
        assert!(failure.fact.contains("4097 files"), "{failure}");
    }
}
