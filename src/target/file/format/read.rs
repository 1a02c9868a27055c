//! From a file back to what is in it. Pure.

use std::collections::{BTreeMap, BTreeSet};

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
        FileFormat::Json => json(bytes).map(Contents::of),
        FileFormat::Dotenv => dotenv(bytes),
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

fn json(bytes: &SecretBytes) -> Option<Payload> {
    let object: BTreeMap<String, String> = serde_json::from_slice(bytes.expose()).ok()?;
    // All are wiped, wherever the reading stops.
    let object = object.into_iter();
    let members: Vec<_> = object
        .map(|(key, value)| (key, SecretBytes::new(value.into_bytes())))
        .collect();
    let mut values = Payload::default();
    for (key, value) in members {
        values.insert(SecretKey::new(key).ok()?, value);
    }
    Some(values)
}

/// A value of several lines may hold what looks like a key: one too many only makes us more careful.
fn dotenv(bytes: &SecretBytes) -> Option<Contents> {
    let text = std::str::from_utf8(bytes.expose()).ok()?;
    let names = text.lines().filter_map(|line| line.split_once('='));
    let keys = names.filter_map(|(name, _)| SecretKey::new(name.trim()).ok());
    Some(Contents {
        keys: keys.collect(),
        values: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;

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
    fn json_gives_back_what_was_rendered() {
        let bytes = render(&FileFormat::Json, &payload()).unwrap();
        let contents = read(&FileFormat::Json, &bytes).unwrap();
        assert_eq!(contents.values, Some(payload()));
        let foreign = SecretBytes::new(b"[1]".to_vec());
        assert_eq!(read(&FileFormat::Json, &foreign), None);
    }

    #[test]
    fn dotenv_tells_at_least_its_keys() {
        let bytes = render(&FileFormat::Dotenv, &payload()).unwrap();
        let contents = read(&FileFormat::Dotenv, &bytes).unwrap();
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
