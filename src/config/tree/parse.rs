//! From text to a tree, keeping what can be read when the text is broken.
//!
//! The parser's messages are only classified, never shown: the line they talk about may hold a credential.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeTable;

use super::Table;
use super::recover::Sound;
use crate::config::problems::{Place, Problem, Problems};
use crate::config::source::FileId;

/// One parsed file.
#[derive(Debug)]
pub(in crate::config) struct Document<'s> {
    root: Spanned<DeTable<'s>>,
    file: FileId,
}

impl<'s> Document<'s> {
    pub(in crate::config) fn table<'t>(&'t self, problems: &'t Problems) -> Table<'t>
    where
        's: 't,
    {
        Table::new(problems, self.root.get_ref(), Place::file(self.file), false)
    }
}

/// The tree, and what is wrong with the text.
pub(in crate::config) fn parse<'s>(
    sound: &'s mut Sound<'_>,
    file: FileId,
) -> (Document<'s>, Vec<Problem>) {
    let read = sound.read.take();
    let (root, errors) = read.unwrap_or_else(|| DeTable::parse_recoverable(&sound.text));
    let passed_over = sound
        .passed_over
        .iter()
        .map(|(at, sentence)| (*at, Problem::syntax(Place::bare(file, *at, *at), *sentence)));
    let mut seen = BTreeSet::new();
    let found = errors.iter().filter_map(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let place = Place::bare(file, at, at);
        let sentence = sentence(error.message());
        let problem = if error.message() == "duplicate key" {
            // The first one was read: what is missing beside it is missing.
            Problem::error(place, sentence)
        } else {
            Problem::syntax(place, sentence)
        };
        seen.insert(at).then_some((at, problem))
    });
    let mut all: Vec<(usize, Problem)> = passed_over.chain(found).collect();
    all.sort_by_key(|(at, _)| *at);
    let problems = all.into_iter().map(|(_, problem)| problem).collect();
    (Document { root, file }, problems)
}

fn sentence(message: &str) -> &'static str {
    const VALUE: &str = "a value must stand here, text in quotes";
    const SENTENCES: &[(&str, &str)] = &[
        ("duplicate key", "this key or table is already there"),
        ("string values must be quoted", VALUE),
        (
            "unexpected leading zero",
            "a number cannot begin with a zero; a file's mode is text: mode = \"0640\"",
        ),
        ("invalid value", VALUE),
        ("missing value", VALUE),
        ("extra comma", "there is a comma too many"),
        ("unexpected content", "nothing more may stand on this line"),
        (
            "unexpected key or value",
            "nothing more may stand on this line",
        ),
        (
            "carriage return",
            "a line may end with a carriage return only before a newline",
        ),
        ("unclosed", "what is opened here, or before, is not closed"),
        (
            "missing comma",
            "a comma is missing, or a bracket is not closed before",
        ),
        (
            "missing key",
            "a key is missing here, or a bracket is not closed before",
        ),
        (
            "invalid basic string",
            "this string is not closed on its line",
        ),
        (
            "invalid literal string",
            "this string is not closed on its line",
        ),
        ("invalid multi-line", "this string is not closed"),
        (
            "cannot extend",
            "this key already has a value that is no table",
        ),
        ("cannot recurse", "this is nested too deeply"),
        ("recursion limit", "this is nested too deeply"),
        (
            "unquoted keys",
            "a key must stand here: letters, digits, `_`, `-`, else in quotes",
        ),
    ];
    SENTENCES
        .iter()
        .find(|(begins, _)| message.starts_with(begins))
        .map_or("this is not TOML", |(_, sentence)| sentence)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::recover::sound;
    use super::*;
    use crate::config::source::Source;

    fn keys(text: &str) -> (String, usize) {
        let source = Source::new("a".into(), PathBuf::new(), PathBuf::new(), text.into());
        let problems = Problems::default();
        let mut sound = sound(&source);
        let (document, found) = parse(&mut sound, FileId::MAIN);
        let table = document.table(&problems);
        let mut keys = Vec::new();
        for (key, value) in table.all("a") {
            keys.push(key.value.to_owned());
            if let Some(inner) = value.table() {
                keys.extend(
                    inner
                        .all("b")
                        .into_iter()
                        .map(|(k, _)| format!(".{}", k.value)),
                );
            }
        }
        (keys.join(" "), found.len())
    }

    #[test]
    fn an_open_bracket_ends_where_the_next_table_begins() {
        let rest = "[b]\ny = 2\n";
        for open in [
            "[1,\n2\n",
            "[{ p = 1 },\n",
            "[{ p = { q = 1 },\n]\n",
            "\"\"\"text\n\n",
        ] {
            for before in ["[a]\n", "[[a]]\n", "[a]\nw = 1\n[[a.z]]\n"] {
                let (keys, problems) = keys(&format!("{before}x = {open}{rest}"));
                assert!(keys.ends_with("b .y"), "{before}{open}: {keys}");
                assert!(!keys.contains(".x"), "{before}{open}: {keys}");
                assert_eq!(problems, 1, "{before}{open}");
            }
        }
    }

    #[test]
    fn a_broken_line_hides_nothing_behind_it() {
        let whole = ("a .x b .y".to_owned(), 1);
        assert_eq!(keys("[a]\nfoo bar\nx = 1\n[b]\ny = 2\n"), whole);
        assert_eq!(keys("[a]\nfoo\nx = 1\n[b]\ny = 2"), whole);
        assert_eq!(keys("[a]\nx = 1\nx = 3\n[b]\ny = 2\n"), whole);
        assert_eq!(keys("[a]\nx = \"open\n[b]\ny = 2\n"), whole);
        assert_eq!(keys("[a]\nx = nothing\n[b]\ny = 2\n"), whole);
        assert_eq!(
            keys("[a]\nfoo\nbar\nx = 1\n[b]\ny = 2"),
            ("a .x b .y".to_owned(), 2)
        );
    }
}
