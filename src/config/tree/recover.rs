//! Making a broken text readable: what the parser cannot get through is blanked, so that it hides nothing behind it.
//!
//! Blanks keep every offset, and so every place, as it was.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::config::source::Source;

/// So many places are passed over; what is behind the next one is read as the parser can.
const MAX_PASSED_OVER: usize = 20;

/// So many errors are looked at to find what is not closed. It is one of the first.
const MAX_ERRORS: usize = 100;

/// A text the parser gets through to its end.
#[derive(Debug)]
pub(in crate::config) struct Sound<'s> {
    pub(super) text: Cow<'s, str>,
    /// Where something was passed over, and what is wrong there.
    pub(super) passed_over: Vec<(usize, &'static str)>,
    /// What the parser made of it, where nothing was: a text of thousands of entries is not parsed once more.
    pub(super) read: Option<(Spanned<DeTable<'s>>, Vec<Error>)>,
}

/// Blanks what would hide the rest of the document.
pub(in crate::config) fn sound(source: &Source) -> Sound<'_> {
    let text = source.text.as_str();
    let (tree, errors) = DeTable::parse_recoverable(text);
    if obstacle(source, tree.get_ref(), &errors).is_some() {
        return blank_obstacles(source);
    }
    Sound {
        text: Cow::Borrowed(text),
        passed_over: Vec::new(),
        read: Some((tree, errors)),
    }
}

fn blank_obstacles(source: &Source) -> Sound<'_> {
    let mut text = Cow::Borrowed(source.text.as_str());
    let mut passed_over = Vec::new();
    while passed_over.len() < MAX_PASSED_OVER {
        let (tree, errors) = DeTable::parse_recoverable(&text);
        let Some(obstacle) = obstacle(source, tree.get_ref(), &errors) else {
            break;
        };
        let blank = blanked(&text[obstacle.blank.clone()]);
        if text[obstacle.blank.clone()] == blank {
            break;
        }
        let mut owned = text.into_owned();
        owned.replace_range(obstacle.blank, &blank);
        text = Cow::Owned(owned);
        passed_over.push((obstacle.at, obstacle.sentence));
    }
    Sound {
        text,
        passed_over,
        read: None,
    }
}

struct Obstacle {
    at: usize,
    sentence: &'static str,
    blank: Range<usize>,
}

fn obstacle(source: &Source, tree: &DeTable<'_>, errors: &[Error]) -> Option<Obstacle> {
    let place = |begins: &[&str]| {
        errors
            .iter()
            .find(|error| begins.iter().any(|b| error.message().starts_with(b)))
            .and_then(Error::span)
            .map(|span| span.start)
    };
    // The parser reads nothing behind a key without `=`.
    if let Some(at) = place(&["key with no value"]) {
        return Some(Obstacle {
            at,
            sentence: "`=` and a value are missing after this key",
            blank: source.line_range(at),
        });
    }
    // What is not closed swallows the rest. It was probably meant to end before the next header.
    place(&[
        "unclosed array",
        "unclosed inline table",
        "invalid multi-line",
    ])?;
    let end = source.text.trim_end().len();
    let (key, value) = errors
        .iter()
        .take(MAX_ERRORS)
        .filter_map(|error| statement(tree, error.span()?.start))
        .filter(|(key, value)| value.end >= source.next_header(key.start).min(end))
        .map(|(key, value)| (key.start, value.start))
        .min()?;
    Some(Obstacle {
        at: value,
        sentence: "what is opened here is not closed",
        blank: source.line_range(key).start..source.next_header(key),
    })
}

/// Key and value of the `key = value` that holds an offset, the outermost one.
fn statement(table: &DeTable<'_>, offset: usize) -> Option<(Range<usize>, Range<usize>)> {
    table.iter().find_map(|(key, value)| {
        let (key, span) = (key.span(), value.span());
        if key.start < span.start {
            return (span.start <= offset && offset <= span.end).then_some((key, span));
        }
        // Behind a header: its own span says nothing of what is in it.
        match value.get_ref() {
            DeValue::Table(inner) => statement(inner, offset),
            DeValue::Array(elements) => elements
                .iter()
                .find_map(|element| statement(element.get_ref().as_table()?, offset)),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => None,
        }
    })
}

/// The same lines and bytes, all of them blank.
fn blanked(text: &str) -> String {
    text.bytes()
        .map(|b| if b == b'\n' { '\n' } else { ' ' })
        .collect()
}
