//! `dialect = "docker"`: for `docker run --env-file`, `docker create --env-file`, and Compose's `env_file` with
//! `format: raw`. Pure.
//!
//! The quoting rule: there is none. Docker takes a line's text after its first `=` as the value, up to the line break:
//! quotes, `#`, `$`, backslashes and blanks at either end are part of it. So every value is written as it is, and a file
//! for a shell would hand its quotes on to the program.
//!
//! What such a line cannot hold is refused: a line break; a carriage return at the end (dropped with the line break that
//! follows it); NUL, which no variable can hold; bytes that are not UTF-8 (docker refuses the file); and a line of
//! 64 KiB or more, at which docker stops reading. Every key fits: docker takes all that has neither `=` nor blanks.

use super::unfit;
use crate::failure::Failure;
use crate::names::SecretKey;

/// The longest line without its line break: the buffer of Go's `bufio.Scanner` has to hold both.
const MAX_LINE_BYTES: usize = (64 << 10) - 1;

pub(super) fn push(out: &mut Vec<u8>, key: &SecretKey, value: &str) -> Result<(), Failure> {
    let what = if value.contains('\n') {
        "holds a line break"
    } else if value.ends_with('\r') {
        "ends with a carriage return"
    } else if value.contains('\0') {
        "holds a NUL"
    } else if key.as_str().len() + 1 + value.len() > MAX_LINE_BYTES {
        "makes a line of 64 KiB or more"
    } else {
        out.extend_from_slice(key.as_str().as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_bytes());
        out.push(b'\n');
        return Ok(());
    };
    Err(unfit(key, what, "dotenv for docker"))
}
