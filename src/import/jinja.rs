//! Pieces of our own templates, written so that text stays text.

use std::fmt::Write as _;

use crate::assemble::template::Template;

use super::words::quoted;

/// Names that mean something else than a key of that name, or may.
const TAKEN: [&str; 24] = [
    "and",
    "data",
    "debug",
    "dict",
    "dockerconfigjson",
    "else",
    "fail",
    "false",
    "for",
    "htpasswd",
    "if",
    "in",
    "is",
    "loop",
    "namespace",
    "none",
    "not",
    "or",
    "printf",
    "range",
    "self",
    "super",
    "true",
    "value",
];

/// A template under way.
#[derive(Debug, Default)]
pub(super) struct Draft {
    out: String,
    /// Whether anything in it is more than text.
    pub asks: bool,
    /// The text alone, where nothing is asked.
    pub plain: String,
}

/// What became of a template of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Converted {
    /// In our language.
    pub text: String,
    /// The text itself, where it asks for no key.
    pub literal: Option<String>,
    /// How the result may differ.
    pub warnings: Vec<&'static str>,
}

impl Draft {
    pub(super) fn text(&mut self, text: &str) {
        self.plain.push_str(text);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            // At the end of a piece an expression may follow.
            let begins_tag = c == '{' && chars.peek().is_none_or(|next| "{%#".contains(*next));
            if begins_tag {
                self.out.push_str("{{ \"{\" }}");
            } else {
                self.out.push(c);
            }
        }
    }

    pub(super) fn expression(&mut self, expression: &str) {
        self.asks = true;
        let _ = write!(self.out, "{{{{ {expression} }}}}");
    }

    /// Judged as `check` judges it.
    pub(super) fn finish(self, warnings: Vec<&'static str>) -> Result<Converted, String> {
        if let Err(broken) = Template::new("import", &self.out) {
            return Err(format!(
                "as a template of ours it is refused: {}",
                broken.fact
            ));
        }
        Ok(Converted {
            literal: (!self.asks).then_some(self.plain),
            text: self.out,
            warnings,
        })
    }
}

/// The value of a key.
pub(super) fn lookup(key: &str) -> String {
    let mut bytes = key.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let bare = first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if bare && !TAKEN.contains(&&*key.to_ascii_lowercase()) {
        key.to_owned()
    } else {
        format!("data[{}]", string(key))
    }
}

/// A text in an expression.
pub(super) fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Why a piece of a template of the input cannot be said in ours.
pub(super) fn refused(piece: &str, why: &str) -> String {
    format!("{why}: {}", quoted(piece))
}
