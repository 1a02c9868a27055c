//! Pieces of our own templates, written so that text stays text.

use std::fmt::Write as _;

use crate::assemble::template::Template;
use crate::secret::Payload;

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
    /// Whether text stands within its expressions.
    keeps_text: bool,
}

/// What became of a template of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Converted {
    /// In our language.
    pub text: String,
    /// The text itself, where it asks for no key.
    pub literal: Option<String>,
    /// Text stands beside what it asks for. Which of it is secret cannot be told.
    pub keeps_text: bool,
    /// How the result may differ.
    pub warnings: Vec<&'static str>,
}

/// Where a value is made of such a template.
pub(super) const TEXT_STANDS: &str = "text of the template stands in the output as it is; move what is secret in it to the store, and look it up";

/// Whether a text is more than what separates.
pub(super) fn says(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
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

    /// An expression that asks for no key gives a text that stood in the template.
    pub(super) fn constant(&mut self, expression: &str) -> Result<(), String> {
        let text = computed(expression).ok_or(
            "this is a value that cannot be computed here; put it into AWS, and look it up",
        )?;
        self.text(&text);
        Ok(())
    }

    /// Said of an expression in which text stands beside a key.
    pub(super) fn keep_text(&mut self) {
        self.keeps_text = true;
    }

    /// Judged as `check` judges it.
    pub(super) fn finish(self, warnings: Vec<&'static str>) -> Result<Converted, String> {
        if let Err(broken) = Template::new("import", &self.out) {
            // What it says quotes its place, where text may stand.
            return Err(format!(
                "as a template of ours it is refused, in line {}",
                broken.line
            ));
        }
        Ok(Converted {
            keeps_text: self.asks && (self.keeps_text || says(&self.plain)),
            literal: (!self.asks).then_some(self.plain),
            text: self.out,
            warnings,
        })
    }
}

fn computed(expression: &str) -> Option<String> {
    let template = Template::new("import", &format!("{{{{ {expression} }}}}")).ok()?;
    let text = template.render(&Payload::default()).ok()?;
    String::from_utf8(text.expose().to_vec()).ok()
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

/// Why a piece of a template of the input cannot be said in ours. It is repeated up to the first text or comment in it,
/// which may be a value; and not at all where another piece begins within, so that it may be no piece itself.
pub(super) fn refused(piece: &str, why: &str) -> String {
    let text = piece.find(['"', '\'', '`']);
    let ends = [text, piece.find("/*")].into_iter().flatten().min();
    let shown = &piece[..ends.unwrap_or(piece.len())];
    let within = shown.get(2..).unwrap_or_default();
    if ["{{", "<%", "${"].iter().any(|it| within.contains(it)) {
        return why.to_owned();
    }
    match ends {
        Some(_) => format!("{why}: {}", quoted(&format!("{shown}…"))),
        None => format!("{why}: {}", quoted(shown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_value_is_not_repeated() {
        for (piece, said) in [
            ("{{ .a | trunc 3 }}", "no: `{{ .a | trunc 3 }}`"),
            ("{{ .a | f \"My Pass\" }}", "no: `{{ .a | f …`"),
            ("{{ f `My Pass` }}", "no: `{{ f …`"),
            ("<%= f('My Pass') %>", "no: `<%= f(…`"),
            ("{{/* My Pass */}}", "no: `{{…`"),
            ("{{My Pass {{ .a }}", "no"),
            ("${My Pass <%= data.a }", "no"),
        ] {
            assert_eq!(refused(piece, "no"), said);
        }
    }

    #[test]
    fn text_beside_lookups_is_told_from_what_separates() {
        let keeps = |text: &str| {
            let mut draft = Draft::default();
            draft.text(text);
            draft.expression("key");
            draft.finish(Vec::new()).unwrap().keeps_text
        };
        assert!(keeps("Admin: ") && keeps("é") && keeps("7"));
        assert!(!keeps("") && !keeps(" :@/\n"));
        let mut draft = Draft::default();
        draft.text("Admin");
        assert!(!draft.finish(Vec::new()).unwrap().keeps_text);
    }
}
