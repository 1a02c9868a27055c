//! How a payload becomes the bytes of one file. Pure.
//!
//! The same payload always gives the same bytes, so that "nothing changed" can be seen from them. What a format
//! cannot hold for all of its readers is refused by the name of the key; a file is never written empty (P1).

pub mod read;

use crate::config::FileFormat;
use crate::failure::{Failure, Reason};
use crate::names::{NoVariable, SecretKey};
use crate::secret::{Payload, SecretBytes};

/// The largest file that is written or compared.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// The longest `KEY=value`, its final NUL included, that the kernel hands to a process (`MAX_ARG_STRLEN`).
const MAX_VARIABLE_BYTES: usize = 128 << 10;

/// The bytes of the file that `format` makes of `payload`.
pub fn render(format: &FileFormat, payload: &Payload) -> Result<SecretBytes, Failure> {
    if payload.is_blank() {
        return Err(empty());
    }
    let bytes = match format {
        FileFormat::Raw { key } => raw(key, payload)?,
        FileFormat::Dotenv => dotenv(payload)?,
        FileFormat::Json => json(payload)?,
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

/// One object, one line, keys sorted, every value a string.
fn json(payload: &Payload) -> Result<SecretBytes, Failure> {
    let mut out = Vec::with_capacity(capacity(payload));
    out.push(b'{');
    for (key, value) in payload.iter() {
        if out.len() > 1 {
            out.push(b',');
        }
        push_json_string(&mut out, key.as_str());
        out.push(b':');
        push_json_string(&mut out, text(key, value, "JSON")?);
    }
    out.extend_from_slice(b"}\n");
    Ok(SecretBytes::new(out))
}

fn push_json_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text)
        .expect("a string can be written as JSON, and a vector takes it");
}

/// `KEY=value` lines, sorted, for a POSIX shell's `.`, for bash, and for systemd's `EnvironmentFile=` (249 or later)
/// alike. The quoting rule:
///
/// * a value without `'` is put between single quotes, as it is: inside, all three readers take every character up to
///   the next `'` verbatim, a backslash and a line break included;
/// * a value with `'` is put between double quotes, with a backslash before each of `"`, `\`, `$` and `` ` ``: these
///   are the four that all three readers unescape there, and every other character stands for itself. (`'\''` would
///   do for a shell only: systemd takes what follows the second quote as unquoted text.)
///
/// Always exactly one pair of quotes, so that no reader trims white space or sees a comment. What one of the readers
/// would drop or change is refused: NUL, bytes that are not UTF-8, Unicode noncharacters and the byte order mark
/// (systemd drops the line), and a variable too long to be handed to a process.
fn dotenv(payload: &Payload) -> Result<SecretBytes, Failure> {
    let mut out = Vec::with_capacity(capacity(payload));
    for (key, value) in payload.iter() {
        check_variable(key)?;
        if payload.is_found(key) && key.is_loader_variable() {
            return Err(loader_variable(key));
        }
        let value = text(key, value, "dotenv")?;
        if let Some(what) = not_for_all_readers(value) {
            return Err(unfit(key, &format!("holds {what}"), "dotenv"));
        }
        if key.as_str().len() + 1 + value.len() + 1 > MAX_VARIABLE_BYTES {
            return Err(unfit(
                key,
                "is longer than the 128 KiB that one environment variable may have",
                "dotenv",
            ));
        }
        out.extend_from_slice(key.as_str().as_bytes());
        out.push(b'=');
        push_quoted(&mut out, value);
        out.push(b'\n');
    }
    Ok(SecretBytes::new(out))
}

fn push_quoted(out: &mut Vec<u8>, value: &str) {
    if !value.contains('\'') {
        out.push(b'\'');
        out.extend_from_slice(value.as_bytes());
        out.push(b'\'');
        return;
    }
    out.push(b'"');
    for byte in value.bytes() {
        if matches!(byte, b'"' | b'\\' | b'$' | b'`') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn loader_variable(key: &SecretKey) -> Failure {
    let fact =
        format!("key `{key}` is named after a secret, and decides what a program loads or runs");
    Failure::new(Reason::Invalid, fact)
        .with_help("take it out of what `data_from` gives (`keys`, `rewrite`, a narrower `find`), or write the key in `data`")
}

fn check_variable(key: &SecretKey) -> Result<(), Failure> {
    let (fact, help) = match key.as_variable() {
        Ok(()) => return Ok(()),
        Err(NoVariable::Illegal) => (
            format!("key `{key}` is no name of an environment variable"),
            "use letters, digits and `_`, beginning with a letter or `_`, or another format",
        ),
        Err(NoVariable::Shells) => (
            format!("key `{key}` is a variable that shells keep for themselves"),
            "use another key, or another format",
        ),
    };
    Err(Failure::new(Reason::Invalid, fact).with_help(help))
}

fn not_for_all_readers(value: &str) -> Option<&'static str> {
    let noncharacter = |c: char| {
        let code = u32::from(c);
        code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
    };
    value.chars().find_map(|c| match c {
        '\0' => Some("a NUL"),
        '\u{feff}' => Some("a byte order mark"),
        c if noncharacter(c) => Some("a Unicode noncharacter"),
        _ => None,
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
