//! From a file back to what is in it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{dotenv, json, properties, set, yaml};
use crate::config::FileFormat;
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

/// What is in a file of that format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every key that may be in it; of `dotenv` also what only looks like one.
    pub keys: BTreeSet<SecretKey>,
    /// Absent where the format does not give values back as they were.
    pub values: Option<Payload>,
}

/// `None` for what this format never looks like.
pub fn read(format: &FileFormat, bytes: &SecretBytes) -> Option<Contents> {
    match format {
        FileFormat::Raw { key } => {
            let mut values = Payload::default();
            values.insert(key.clone(), bytes.clone());
            Some(Contents::of(values))
        }
        FileFormat::Dotenv(_) => dotenv::read(bytes),
        FileFormat::Json => json::read(bytes).map(Contents::of),
        FileFormat::Yaml => yaml::read(bytes).map(Contents::of),
        FileFormat::Properties => properties::read(bytes).map(Contents::of),
        FileFormat::Directory => set::unpack(bytes).map(|values| {
            let mut payload = Payload::default();
            for (key, value) in values {
                payload.insert(key, value);
            }
            Contents::of(payload)
        }),
    }
}

impl Contents {
    fn of(values: Payload) -> Self {
        Self {
            keys: values.keys().cloned().collect(),
            values: Some(values),
        }
    }
}

/// What a library or our own reading gave, as a payload; nothing where a name is none that we would have written.
pub(super) fn payload(members: BTreeMap<String, String>) -> Option<Payload> {
    // All are wiped, wherever the reading stops.
    let members: Vec<_> = members
        .into_iter()
        .map(|(key, value)| (key, SecretBytes::new(value.into_bytes())))
        .collect();
    let mut values = Payload::default();
    for (key, value) in members {
        values.insert(SecretKey::new(key).ok()?, value);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use crate::config::Dialect;

    fn key(name: &str) -> SecretKey {
        SecretKey::new(name).unwrap()
    }

    fn payload() -> Payload {
        let mut payload = Payload::default();
        for (name, value) in [("A", "1"), ("B", "two 'quoted' \"lines\"\nC=3")] {
            payload.insert(key(name), SecretBytes::new(value.into()));
        }
        payload
    }

    #[test]
    fn what_was_rendered_is_given_back_and_what_is_no_such_file_is_not() {
        for (format, foreign) in [
            (FileFormat::Json, "[1]"),
            (FileFormat::Yaml, "- 1\n"),
            (FileFormat::Yaml, "a: {b: c}\n"),
            (FileFormat::Properties, "a=\\u12"),
            (FileFormat::Properties, "a\\ b=c"),
        ] {
            let bytes = render(&format, &payload()).unwrap();
            let contents = read(&format, &bytes).unwrap();
            assert_eq!(contents.values, Some(payload()));
            let foreign = SecretBytes::new(foreign.into());
            assert_eq!(read(&format, &foreign), None, "{format:?}");
        }
    }

    #[test]
    fn dotenv_tells_at_least_its_keys() {
        let bytes = render(&FileFormat::Dotenv(Dialect::Shell), &payload()).unwrap();
        let contents = read(&FileFormat::Dotenv(Dialect::Shell), &bytes).unwrap();
        assert!(contents.keys.contains(&key("A")) && contents.keys.contains(&key("B")));
        assert_eq!(contents.values, None);
    }

    #[test]
    fn a_raw_file_is_its_key() {
        let format = FileFormat::Raw { key: key("A") };
        let bytes = render(&format, &payload()).unwrap();
        let values = read(&format, &bytes).unwrap().values.unwrap();
        assert_eq!(
            values.get(&key("A")),
            Some(&SecretBytes::new(b"1".to_vec()))
        );
    }
}
