//! `properties`: `key=value` lines, sorted, for `java.util.Properties` and everything that reads its files. Pure.
//!
//! The quoting rule is that of `Properties.store`, made a little stricter, so that readers that take the file for UTF-8,
//! or trim lines, read the same:
//!
//! * only printable ASCII stands in the file; every other character is `\uXXXX` in UTF-16, two of them beyond U+FFFF;
//!   a tab, line break, form feed and carriage return are `\t`, `\n`, `\f`, `\r`;
//! * `\`, `=`, `:`, `#` and `!` have a backslash before them;
//! * a blank at either end of a value is `\u0020`.
//!
//! Every text can be expressed. Bytes that are not UTF-8 are refused. `${...}` is data to the format; frameworks that
//! replace it do so after reading, and no quoting tells them not to.

use std::collections::BTreeMap;

use super::{capacity, push_hex, text};
use crate::failure::Failure;
use crate::secret::{Payload, SecretBytes};

mod reading;

pub(super) fn render(payload: &Payload) -> Result<SecretBytes, Failure> {
    let mut out = Vec::with_capacity(capacity(payload));
    for (key, value) in payload.iter() {
        // Of letters, digits, `-`, `_` and `.`: nothing in it needs a backslash.
        out.extend_from_slice(key.as_str().as_bytes());
        out.push(b'=');
        push_escaped(&mut out, text(key, value, "a properties file")?);
        out.push(b'\n');
    }
    Ok(SecretBytes::new(out))
}

fn push_escaped(out: &mut Vec<u8>, value: &str) {
    let inner = value.trim_matches(' ');
    let start = value.len() - value.trim_start_matches(' ').len();
    let ends = start..start + inner.len();
    for (at, c) in value.char_indices() {
        match c {
            ' ' if !ends.contains(&at) => push_units(out, c),
            '\\' | '=' | ':' | '#' | '!' => {
                out.push(b'\\');
                out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            }
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            ' '..='~' => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            _ => push_units(out, c),
        }
    }
}

fn push_units(out: &mut Vec<u8>, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(b"\\u");
        push_hex(out, u32::from(*unit), 4);
    }
}

pub(super) fn read(bytes: &SecretBytes) -> Option<Payload> {
    let pairs = reading::pairs(bytes.expose())?;
    // As `Properties.load` has it, a later line wins.
    super::read::payload(pairs.into_iter().collect::<BTreeMap<_, _>>())
}
