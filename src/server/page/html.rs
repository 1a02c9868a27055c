//! A writer of HTML that nothing can be forgotten in: markup is part of the program, everything else is escaped.

/// Text between tags and inside double quotes is safe by the same rule, so that there is no wrong one to pick.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Markup; only what stands in this source can be.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, whoever wrote it. What could make a line look like another one is shown by its number: control characters,
    /// those that turn the direction of writing, and those of no width. So nothing written this way ends a line either.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                unseen if is_unseen(unseen) => self.0.extend(unseen.escape_unicode()),
                plain => self.0.push(plain),
            }
        }
        self
    }

    /// The same of a sentence, in which what stands between two backticks is code.
    pub(super) fn prose(&mut self, sentence: &str) -> &mut Self {
        let mut rest = sentence;
        while let Some((before, code, after)) = first_code(rest) {
            self.text(before).raw("<code>").text(code).raw("</code>");
            rest = after;
        }
        self.text(rest)
    }

    /// `12,345`
    pub(super) fn count(&mut self, count: usize) -> &mut Self {
        let digits = count.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                self.0.push(',');
            }
            self.0.push(digit);
        }
        self
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

fn first_code(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    Some((before, code, after))
}

fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.into_string()
    }

    #[test]
    fn text_never_becomes_markup_nor_another_line() {
        assert_eq!(
            text("<script>alert(\"1\" & '2')</script>"),
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;"
        );
        assert_eq!(text("a\nb\rc\0"), "a\\u{a}b\\u{d}c\\u{0}");
        assert_eq!(text("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
        assert_eq!(text("schön ✓ שלום"), "schön ✓ שלום");
    }

    #[test]
    fn what_stands_between_backticks_is_code_and_no_more_markup_than_other_text() {
        let prose = |text: &str| {
            let mut html = Html::default();
            html.prose(text);
            html.into_string()
        };
        assert_eq!(
            prose("run `check`, then `sync <a>`."),
            "run <code>check</code>, then <code>sync &lt;a&gt;</code>."
        );
        assert_eq!(prose("one ` alone"), "one ` alone");
        assert_eq!(prose("`a` and ` b"), "<code>a</code> and ` b");
        assert_eq!(
            prose("``<b>`</code>"),
            "<code></code>&lt;b&gt;`&lt;/code&gt;"
        );
        assert_eq!(prose(""), "");
    }

    #[test]
    fn thousands_are_set_apart() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (5000, "5,000"),
            (1_234_567, "1,234,567"),
        ] {
            let mut html = Html::default();
            html.count(count);
            assert_eq!(html.into_string(), text);
        }
    }
}
