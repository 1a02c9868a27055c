//! From the engine's errors to ours: which template, which line, which expression, and what is wrong in our words. The
//! engine's own text can quote values, and is dropped.

use std::error::Error as _;
use std::ops::Range;

use minijinja::{Error, ErrorKind};

use super::given::Refusal;
use super::reading::{Of, Reading};
use super::{place, similar};
use crate::failure::{Failure, Reason};

const SENTENCES: &[(ErrorKind, &str)] = &[
    (
        ErrorKind::OutOfFuel,
        "it does more work than a template may",
    ),
    (
        ErrorKind::WriteFailure,
        "it gives more text than a template may",
    ),
    (ErrorKind::MissingArgument, "an argument is missing"),
    (
        ErrorKind::TooManyArguments,
        "it has too many arguments, or one that is not known",
    ),
    (ErrorKind::UnknownFilter, "there is no such filter"),
    (ErrorKind::UnknownTest, "there is no such test"),
    (ErrorKind::UnknownFunction, "there is no such function"),
    (
        ErrorKind::UnknownMethod,
        "values have no methods; use filters",
    ),
    (
        ErrorKind::CannotUnpack,
        "it has not as many parts as there are names for them",
    ),
    (ErrorKind::NonKey, "this cannot be a key of a map"),
    (
        ErrorKind::InvalidOperation,
        "this cannot be done with these values: one of them is of another kind, or out of range",
    ),
];

/// What to blame an error on.
pub(super) struct Scene<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) tags: &'a [Range<usize>],
    pub(super) reading: &'a Reading,
    /// The names that the context has.
    pub(super) known: Vec<&'a str>,
}

impl Scene<'_> {
    pub(super) fn failure(&self, error: &Error) -> Failure {
        let range = innermost_range(error);
        let (fact, hint) = match refusal(error) {
            Some(fact) => (fact, None),
            None if error.kind() == ErrorKind::UndefinedError => self.missing(range.clone()),
            None => {
                let known = SENTENCES.iter().find(|(kind, _)| *kind == error.kind());
                let fact = known.map_or("this cannot be rendered", |(_, fact)| *fact);
                (fact.to_owned(), None)
            }
        };
        let name = self.name;
        let fact = match range {
            Some(range) if !range.is_empty() => {
                let (line, _) = place::line_and_column(self.text, range.start);
                let shown = place::excerpt(self.text, self.tags, range);
                format!("template `{name}`, line {line}: `{shown}`: {fact}")
            }
            Some(_) | None => format!("template `{name}`: {fact}"),
        };
        let failure = Failure::new(Reason::Template, fact);
        match hint {
            Some(hint) => failure.with_help(hint),
            None => failure,
        }
    }

    /// What is not there, at `range`.
    fn missing(&self, range: Option<Range<usize>>) -> (String, Option<String>) {
        let there = range.unwrap_or(0..self.text.len());
        let tag = self.tags.iter().find(|tag| tag.contains(&there.start));
        let within = |range: &Range<usize>| {
            let around = tag.unwrap_or(&there);
            around.start <= range.start && range.end <= around.end
        };
        let overlaps = |range: &Range<usize>| range.start < there.end && there.start < range.end;
        let here = || self.reading.references.iter().filter(|r| within(&r.range));
        let mut absent = here().filter(|r| r.of != Of::Other && !self.known.contains(&&*r.name));
        let key = absent
            .clone()
            .find(|r| overlaps(&r.range))
            .or_else(|| absent.next());
        if let Some(key) = key {
            let name = place::quoted(&key.name);
            let hint = match similar::closest(&key.name, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!(
                    "correct the name, add the key to the entry, or give a default: `{name} | default(\"...\")`"
                ),
            };
            return (format!("there is no key `{name}`"), Some(hint));
        }
        let mut parts = here().filter(|r| r.of == Of::Other && overlaps(&r.range));
        let part = parts
            .clone()
            .max_by_key(|r| r.range.end)
            .or_else(|| parts.next());
        let fact = part.map_or_else(
            || "something it needs is not there".to_owned(),
            |part| format!("there is no `{}` in it", place::quoted(&part.name)),
        );
        (fact, None)
    }
}

/// Our own refusal inside an error, if it holds one.
fn refusal(error: &Error) -> Option<String> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            return Some(refusal.to_string());
        }
        source = inner.source();
    }
    None
}

fn innermost_range(error: &Error) -> Option<Range<usize>> {
    error.range()
}
