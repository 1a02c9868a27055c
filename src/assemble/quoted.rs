//! Names that come from outside, as messages show them.

/// How many characters of a name are shown.
const SHOWN: usize = 64;

/// The name between backticks: cut where it is long, and without characters that could change how a line reads.
pub(super) fn quoted(name: &str) -> String {
    let mut text = String::from("`");
    for c in name.chars().take(SHOWN) {
        match c {
            '\'' | '"' => text.push(c),
            '`' => text.push_str("\\`"),
            _ => text.extend(c.escape_debug()),
        }
    }
    if name.chars().nth(SHOWN).is_some() {
        text.push_str("...");
    }
    text.push('`');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_neither_break_a_line_nor_reorder_it_nor_fill_it() {
        assert_eq!(quoted("prod/app.it's"), "`prod/app.it's`");
        assert_eq!(quoted("a\nb\u{1b}[0m`"), "`a\\nb\\u{1b}[0m\\``");
        assert_eq!(quoted("a\u{202e}b"), "`a\\u{202e}b`");
        assert_eq!(quoted(&"x".repeat(64)), format!("`{}`", "x".repeat(64)));
        assert_eq!(quoted(&"é".repeat(65)), format!("`{}...`", "é".repeat(64)));
    }
}
