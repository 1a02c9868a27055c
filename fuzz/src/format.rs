//! Files of every format. The input's bytes are values, each up to a `|`, under keys of one letter; what was written is
//! read back where the format can be, and read is what other people may have written.

use secretsyncd::config::{Dialect, FileFormat};
use secretsyncd::names::SecretKey;
use secretsyncd::secret::{Payload, SecretBytes};
use secretsyncd::target::file::format::{read::read, render};

use super::{MARKER, no_leak};

const FORMATS: [FileFormat; 5] = [
    FileFormat::Dotenv(Dialect::Shell),
    FileFormat::Dotenv(Dialect::Docker),
    FileFormat::Json,
    FileFormat::Yaml,
    FileFormat::Properties,
];

pub fn target(input: &[u8]) {
    let mut payload = Payload::default();
    for (value, letter) in input.split(|byte| *byte == b'|').zip('A'..='Z') {
        let key = SecretKey::new(letter.to_string()).expect("a letter is a key");
        payload.insert(key, SecretBytes::new(value.to_vec()));
    }
    for format in FORMATS {
        there_and_back(&format, &payload);
        let _ = read(&format, &SecretBytes::new(input.to_vec()));
        let marked = [MARKER.as_bytes(), input].concat();
        let mut marked_payload = Payload::default();
        let key = SecretKey::new("A").expect("a letter is a key");
        marked_payload.insert(key, SecretBytes::new(marked));
        if let Err(failure) = render(&format, &marked_payload) {
            no_leak(&[
                failure.to_string(),
                failure.help().to_owned(),
                format!("{failure:?}"),
            ]);
        }
    }
}

fn there_and_back(format: &FileFormat, payload: &Payload) {
    let Ok(bytes) = render(format, payload) else {
        return;
    };
    assert_eq!(render(format, payload).as_ref(), Ok(&bytes));
    let contents = read(format, &bytes).expect("what was written can be read");
    if let Some(values) = &contents.values {
        assert_eq!(values, payload);
    }
    assert!(payload.keys().all(|key| contents.keys.contains(key)));
}
