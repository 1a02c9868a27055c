//! `yaml`: one mapping in block style, its keys sorted, every value a string. Pure.
//!
//! The quoting rule: keys and values stand between double quotes, always, each pair on a line of its own. Without
//! quotes `yes`, `0x1`, `1_000`, `~`, `1:30` or `2024-01-01` are other things than strings, and not the same ones for
//! readers of YAML 1.1 and of 1.2. Inside, `"` and `\` have a backslash before them, a tab is `\t`, a line break `\n`, a
//! carriage return `\r`; every other character that is not printable ASCII is `\uXXXX`, beyond U+FFFF `\UXXXXXXXX`. So
//! nothing depends on the reader's encoding, and what one of the two versions takes for a line break (U+0085, U+2028,
//! U+2029), or refuses to see (controls, U+FEFF, noncharacters), is never there itself.
//!
//! Every text can be expressed. Bytes that are not UTF-8 are refused.

use std::collections::BTreeMap;

use super::{capacity, push_hex, text};
use crate::failure::Failure;
use crate::secret::{Payload, SecretBytes};

pub(super) fn render(payload: &Payload) -> Result<SecretBytes, Failure> {
    let mut out = Vec::with_capacity(capacity(payload));
    for (key, value) in payload.iter() {
        push_quoted(&mut out, key.as_str());
        out.extend_from_slice(b": ");
        push_quoted(&mut out, text(key, value, "YAML")?);
        out.push(b'\n');
    }
    Ok(SecretBytes::new(out))
}

fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            ' '..='~' => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            '\u{10000}'.. => {
                out.extend_from_slice(b"\\U");
                push_hex(out, u32::from(c), 8);
            }
            _ => {
                out.extend_from_slice(b"\\u");
                push_hex(out, u32::from(c), 4);
            }
        }
    }
    out.push(b'"');
}

/// A mapping of strings, however it is written; nothing else.
pub(super) fn read(bytes: &SecretBytes) -> Option<Payload> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_aliases: 100, max_anchors: 100 },
    };
    let mapping: BTreeMap<String, String> =
        serde_saphyr::from_slice_with_options(bytes.expose(), options).ok()?;
    super::read::payload(mapping)
}
