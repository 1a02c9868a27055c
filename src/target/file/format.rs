//! How a payload becomes the bytes of one file. Pure.
//!
//! The same payload always gives the same bytes, so that "nothing changed" can be seen from them. What a format
//! cannot hold for all of its readers is refused by the name of the key; a file is never written empty.

mod dotenv;
mod json;
mod properties;
pub mod read;
pub mod set;
mod yaml;

use std::io::Write;

use crate::config::FileFormat;
use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

/// The largest file that is written or compared, and as much of all files of a directory.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// The bytes of the file that `format` makes of `payload`.
pub fn render(format: &FileFormat, payload: &Payload) -> Result<SecretBytes, Failure> {
    if payload.is_blank() {
        return Err(empty());
    }
    let bytes = match format {
        FileFormat::Raw { key } => raw(key, payload)?,
        FileFormat::Dotenv(dialect) => dotenv::render(*dialect, payload)?,
        FileFormat::Json => json::render(payload)?,
        FileFormat::Yaml => yaml::render(payload)?,
        FileFormat::Properties => properties::render(payload)?,
        FileFormat::Directory => set::render(payload)?,
    };
    if bytes.is_empty() {
        return Err(empty());
    }
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Failure::new(
            Reason::TooLarge,
            format!(
                "the file would have {} bytes; at most {MAX_FILE_BYTES} are written",
                bytes.len()
            ),
        ));
    }
    Ok(bytes)
}

fn empty() -> Failure {
    Failure::new(Reason::Invalid, "the file would be written empty").with_help(
        "give the secret a value; a file that a workload reads is never replaced by an empty one",
    )
}

fn raw(key: &SecretKey, payload: &Payload) -> Result<SecretBytes, Failure> {
    payload.get(key).cloned().ok_or_else(|| {
        Failure::new(
            Reason::Invalid,
            format!("the entry has no key `{key}` for this file"),
        )
        .with_help("set the file's `key` to a key of the entry")
    })
}

fn text<'a>(key: &SecretKey, value: &'a SecretBytes, format: &str) -> Result<&'a str, Failure> {
    str::from_utf8(value.expose()).map_err(|_| unfit(key, "is not UTF-8 text", format))
}

fn unfit(key: &SecretKey, what: &str, format: &str) -> Failure {
    Failure::new(
        Reason::Invalid,
        format!("the value of key `{key}` {what}, which {format} cannot hold"),
    )
    .with_help("deliver this key in a file of its own with `format = \"raw\"`")
}

/// Upper-case hexadecimal digits, at least so many.
fn push_hex(out: &mut Vec<u8>, number: u32, digits: usize) {
    write!(out, "{number:0digits$X}").expect("a vector takes what is written to it");
}

/// Enough for what is usual; escapes may need more.
fn capacity(payload: &Payload) -> usize {
    payload
        .iter()
        .map(|(key, value)| key.as_str().len() + value.len() + value.len() / 8 + 8)
        .sum::<usize>()
        + 4
}

#[cfg(test)]
mod tests;
