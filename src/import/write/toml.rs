//! Texts as TOML has them: whatever comes from the input is a quoted string, so that nothing in it can become a table, a
//! key or the end of a comment.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::import::words::cut;

/// The longest sentence of a comment.
const LONGEST: usize = 400;

/// Keys with their values, in the order in which they are written.
pub(super) struct Inline(Vec<String>);

impl Inline {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn text(mut self, key: &str, value: Option<&str>) -> Self {
        self.0
            .extend(value.map(|value| format!("{key} = {}", string(value))));
        self
    }

    pub(super) fn raw(mut self, key: &str, value: Option<String>) -> Self {
        self.0.extend(value.map(|value| format!("{key} = {value}")));
        self
    }

    pub(super) fn end(self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }
}

pub(super) fn texts_inline(texts: &BTreeMap<String, String>) -> String {
    let one = |(name, text): (&String, &String)| format!("{} = {}", key(name), one_line(text));
    format!(
        "{{ {} }}",
        texts.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

pub(super) fn pairs(pairs: &[(String, String)]) -> String {
    let one = |(name, text): &(String, String)| format!("{} = {}", key(name), one_line(text));
    format!(
        "{{ {} }}",
        pairs.iter().map(one).collect::<Vec<_>>().join(", ")
    )
}

pub(super) fn strings(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| one_line(text)).collect();
    format!("[{}]", texts.join(", "))
}

pub(super) fn line(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = writeln!(out, "{name} = {}", string(value));
    }
}

/// One line, whatever is in the sentence.
pub(in crate::import) fn comment(out: &mut String, sentence: &str) {
    let _ = writeln!(out, "# {}", cut(sentence, LONGEST));
}

/// A bare key where it can be one.
pub(super) fn key(text: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if !text.is_empty() && text.bytes().all(bare) {
        text.to_owned()
    } else {
        one_line(text)
    }
}

/// Several lines as they are, everything else on one.
pub(super) fn string(text: &str) -> String {
    if !text.contains('\n') {
        return one_line(text);
    }
    let mut out = String::from("\"\"\"\n");
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c => escaped(&mut out, c),
        }
    }
    out.push_str("\"\"\"");
    out
}

pub(in crate::import) fn one_line(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        escaped(&mut out, c);
    }
    out.push('"');
    out
}

fn escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        c if c.is_control() => {
            let _ = write!(out, "\\u{:04X}", u32::from(c));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_read_back_as_it_was(text in "\\PC*|[\\x00-\\x7f\"\\\\\n\r]*", name in ".*") {
            let written = format!("{} = {}\nother = [{}]\n", key(&name), string(&text), one_line(&text));
            let read: toml::Table = toml::from_str(&written).unwrap();
            prop_assert_eq!(read[&name].as_str(), Some(&*text));
            if name != "other" {
                prop_assert_eq!(read["other"][0].as_str(), Some(&*text));
            }
        }

        #[test]
        fn no_text_leaves_its_comment(text in "(.|\n|\r|\u{85}|\u{2028})*") {
            let mut written = String::new();
            comment(&mut written, &text);
            prop_assert_eq!(written.lines().count(), 1);
            prop_assert!(toml::from_str::<toml::Table>(&written).unwrap().is_empty());
        }
    }
}
