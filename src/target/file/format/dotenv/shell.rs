//! `dialect = "shell"`: for a POSIX shell's `.`, for bash, and for systemd's `EnvironmentFile=` (249 or later) alike. Pure.
//!
//! The quoting rule:
//!
//! * a value without `'` is put between single quotes, as it is: inside, all three readers take every character up to
//!   the next `'` verbatim, a backslash and a line break included;
//! * a value with `'` is put between double quotes, with a backslash before each of `"`, `\`, `$` and `` ` ``: these
//!   are the four that all three readers unescape there, and every other character stands for itself. (`'\''` would
//!   do for a shell only: systemd takes what follows the second quote as unquoted text.)
//!
//! Always exactly one pair of quotes, so that no reader trims white space or sees a comment. What one of the readers
//! would drop or change is refused: NUL, bytes that are not UTF-8, Unicode noncharacters and the byte order mark
//! (systemd drops the line), a key that is no variable's name or one that shells keep for themselves, and a variable too
//! long to be handed to a process.

use super::unfit;
use crate::failure::{Failure, Reason};
use crate::names::{NoVariable, SecretKey};

/// The longest `KEY=value`, its final NUL included, that the kernel hands to a process (`MAX_ARG_STRLEN`).
const MAX_VARIABLE_BYTES: usize = 128 << 10;

pub(super) fn push(out: &mut Vec<u8>, key: &SecretKey, value: &str) -> Result<(), Failure> {
    check_variable(key)?;
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
    push_quoted(out, value);
    out.push(b'\n');
    Ok(())
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

pub(in crate::target::file::format) fn not_for_all_readers(value: &str) -> Option<&'static str> {
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
