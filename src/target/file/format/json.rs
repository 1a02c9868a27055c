//! `json`: one object on one line, its keys sorted, every value a string. Pure.

use std::collections::BTreeMap;

use super::{capacity, text};
use crate::failure::Failure;
use crate::secret::{Payload, SecretBytes};

pub(super) fn render(payload: &Payload) -> Result<SecretBytes, Failure> {
    let mut out = Vec::with_capacity(capacity(payload));
    out.push(b'{');
    for (key, value) in payload.iter() {
        if out.len() > 1 {
            out.push(b',');
        }
        push_string(&mut out, key.as_str());
        out.push(b':');
        push_string(&mut out, text(key, value, "JSON")?);
    }
    out.extend_from_slice(b"}\n");
    Ok(SecretBytes::new(out))
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text)
        .expect("a string can be written as JSON, and a vector takes it");
}

pub(super) fn read(bytes: &SecretBytes) -> Option<Payload> {
    let object: BTreeMap<String, String> = serde_json::from_slice(bytes.expose()).ok()?;
    super::read::payload(object)
}
