//! Texts of the input on their way into sentences, and what YAML takes a text for.

/// So much of a text is repeated in a sentence.
const MOST: usize = 80;

/// A piece of the input in backticks: on one line, without control characters, cut.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", cut(text, MOST).replace('`', "'"))
}

/// The name of a key in a path of keys; one that could be mistaken for more keys is in quotes.
pub(super) fn shown_key(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-/".contains(&b);
    if !key.is_empty() && key.len() <= MOST && key.bytes().all(plain) {
        key.to_owned()
    } else {
        format!("\"{}\"", cut(key, MOST))
    }
}

/// On one line, without what a terminal obeys.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == most {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// What changes the direction of a line, or ends it, without being seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Whether a scalar without quotes is a text, for the YAML that Kubernetes reads: YAML 1.1, where `on` is true.
pub(super) fn is_text(plain: &str) -> bool {
    const WORDS: [&str; 10] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~",
    ];
    let lower = plain.to_ascii_lowercase();
    let number = || {
        let digits = lower.trim_start_matches(['+', '-']).replace('_', "");
        let begins = digits
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_digit() || b == b'.');
        let based = ["0x", "0o", "0b"].iter().any(|base| {
            digits
                .strip_prefix(base)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()))
        });
        matches!(&*digits, ".inf" | ".nan") || based || (begins && digits.parse::<f64>().is_ok())
    };
    !plain.is_empty() && !WORDS.contains(&&*lower) && !number()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_stays_on_its_line() {
        assert_eq!(
            quoted("a\nb`c\u{1b}[0m\u{202e}"),
            "`a\\nb'c\u{fffd}[0m\u{fffd}`"
        );
        assert_eq!(quoted(&"x".repeat(200)), format!("`{}…`", "x".repeat(80)));
        assert_eq!(shown_key("a.b"), "\"a.b\"");
        assert_eq!(shown_key("remoteRef"), "remoteRef");
    }

    #[test]
    fn scalars_without_quotes_are_texts_unless_yaml_1_1_says_otherwise() {
        for text in [
            "a",
            "1.2.3",
            "10.0.0.1",
            "1h",
            "v1",
            "-",
            "arn:aws:x",
            "2026-01-01",
            "0xg",
            "e5",
        ] {
            assert!(is_text(text), "{text}");
        }
        for other in [
            "", "on", "No", "TRUE", "null", "~", "1", "-3", "1.5", "1e3", "0x1F", "1_000", ".inf",
            "012",
        ] {
            assert!(!is_text(other), "{other}");
        }
    }
}
