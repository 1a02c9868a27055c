//! Where in a template something stands, and how it is quoted.
//!
//! A template's text is configuration, not a value, so it may be quoted: shortened, and without control characters.

use std::ops::Range;

use super::Broken;

const MAX_QUOTED: usize = 60;

/// Line and column of a byte of `text`, counted from 1; columns in characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// `text` as one short line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for (at, c) in text.trim().chars().enumerate() {
        if at == MAX_QUOTED {
            quoted.push('…');
            break;
        }
        if c.is_control() {
            quoted.extend(c.escape_default());
        } else {
            quoted.push(c);
        }
    }
    quoted
}

/// What to show of `text` for something at `range`: the whole `{{ }}` or `{% %}` where that is short.
pub(super) fn excerpt(text: &str, tags: &[Range<usize>], range: Range<usize>) -> String {
    let around = tags.iter().find(|tag| tag.contains(&range.start));
    let whole = around.and_then(|tag| text.get(tag.clone()));
    match whole {
        Some(whole) if whole.chars().count() <= MAX_QUOTED => quoted(whole),
        Some(_) | None => quoted(text.get(range).unwrap_or_default()),
    }
}

/// The error that `fact` is about what stands at `range`.
pub(super) fn broken(text: &str, tags: &[Range<usize>], range: Range<usize>, fact: &str) -> Broken {
    let (line, column) = line_and_column(text, range.start);
    let shown = excerpt(text, tags, range);
    Broken {
        line,
        column,
        fact: if shown.is_empty() {
            fact.to_owned()
        } else {
            format!("`{shown}`: {fact}")
        },
    }
}
