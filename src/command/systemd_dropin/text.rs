//! Texts as systemd reads them in a unit.

use std::path::{Component, Path};

/// Why a path cannot be written into a unit.
pub(super) const UNWRITABLE: &str = "a path there has a line break, a quote, `\\`, `..` or another character that a unit cannot hold for certain";

/// One word of a list of paths: in quotes where it has spaces, `%` doubled, for it begins a specifier.
///
/// How many backslashes and quotes survive differs between directives and versions of systemd, so these are refused;
/// a `:` separates source and destination of a bind mount.
pub(super) fn word(prefix: &str, path: &Path) -> Option<String> {
    let sound = |c: char| !c.is_control() && !matches!(c, '"' | '\'' | '\\');
    let path = plain(path)?;
    let text = path.to_str()?;
    if !text.chars().all(sound) {
        return None;
    }
    let text = format!("{prefix}{}", text.replace('%', "%%"));
    Some(if text.contains(char::is_whitespace) {
        format!("\"{text}\"")
    } else {
        text
    })
}

pub(super) fn bind_word(path: &Path) -> Option<String> {
    word("-", path).filter(|word| !word.contains(':'))
}

/// Only what a person or group may be called everywhere.
pub(super) fn name(text: &str) -> Option<&str> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!text.is_empty() && !text.starts_with('-') && text.chars().all(sound)).then_some(text)
}

/// A path as a comment shows it: on one line.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy().replace(char::is_control, "\u{fffd}")
}

fn plain(path: &Path) -> Option<&Path> {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    (path.is_absolute() && !climbs).then_some(path)
}
