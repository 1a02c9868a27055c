//! Where problems are collected while a configuration is lowered, and the rule of what may be shown of their place.
//!
//! A [`Place`] carries that rule with it: it is set where the place is made (by the tree, from the table it is in), so
//! whoever reports a problem cannot show more.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::diagnostic::{Diagnostic, Diagnostics, Located, Severity, plausible_header};
use super::source::{FileId, Source, Sources};

/// A span of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub file: FileId,
    pub start: usize,
    pub end: usize,
    pub shown: Shown,
}

/// What a diagnostic may show of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The place is the file as a whole.
    File,
    /// Path, line and column only.
    Nothing,
    /// The span is a key or a header; it is shown if it can be one.
    Name,
    /// The span is a value: the key it belongs to is shown, the value as `…`.
    ValueOf { start: usize, end: usize },
}

impl Place {
    pub(super) fn file(file: FileId) -> Self {
        Self {
            file,
            start: 0,
            end: 0,
            shown: Shown::File,
        }
    }

    pub(super) fn bare(file: FileId, start: usize, end: usize) -> Self {
        Self {
            file,
            start,
            end,
            shown: Shown::Nothing,
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub at: Place,
}

impl<T> At<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: change(self.value),
            at: self.at,
        }
    }
}

/// One problem, not yet placed by line and column.
#[derive(Debug)]
pub(super) struct Problem {
    severity: Severity,
    at: Place,
    message: String,
    label: Option<String>,
    help: Option<String>,
    other: Option<(Place, &'static str)>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Syntax,
    /// Something is not there. Not judged in a table that a syntax error cut into.
    Absence,
    /// Nothing of a name is there. Not judged when a header is broken: it may have been that one.
    Reference,
    Other,
}

impl Problem {
    pub(super) fn error(at: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            at,
            message: message.into(),
            label: None,
            help: None,
            other: None,
            kind: Kind::Other,
        }
    }

    pub(super) fn warning(at: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(at, message)
        }
    }

    /// An error of the text itself.
    pub(super) fn syntax(at: Place, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Syntax,
            ..Self::error(at, message)
        }
    }

    /// An error about something that the table at `at` should hold and does not.
    pub(super) fn absence(at: Place, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Absence,
            ..Self::error(at, message)
        }
    }

    /// An error about a name that nothing has.
    pub(super) fn reference(at: Place, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Reference,
            ..Self::error(at, message)
        }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub(super) fn other(mut self, at: Place, what: &'static str) -> Self {
        self.other = Some((at, what));
        self
    }
}

/// The list everything reports to. Reporting never stops anything.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(super) fn push(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub(super) fn error(&self, at: Place, message: impl Into<String>) {
        self.push(Problem::error(at, message));
    }

    pub(super) fn has_errors(&self) -> bool {
        let errors = |p: &Problem| p.severity == Severity::Error;
        self.0.borrow().iter().any(errors)
    }

    pub(super) fn into_diagnostics(self, sources: &Sources) -> Diagnostics {
        let mut problems = self.0.into_inner();
        let broken: Vec<(FileId, usize)> = problems
            .iter()
            .filter(|p| p.kind == Kind::Syntax)
            .map(|p| (p.at.file, p.at.start))
            .collect();
        problems.retain(|problem| !follows_from(problem, &broken, sources));
        problems.sort_by_key(|p| (p.at.file, p.at.start, p.severity));
        // Defaults are judged once for each target that takes them.
        let mut seen = BTreeSet::new();
        problems.retain(|p| seen.insert((p.at.file, p.at.start, p.message.clone())));
        Diagnostics::new(
            problems
                .into_iter()
                .map(|problem| resolve(problem, sources))
                .collect(),
        )
    }
}

/// Whether a problem is only the shadow of a syntax error: what could be read of a broken line, or what is missing
/// from a table that has one.
fn follows_from(problem: &Problem, broken: &[(FileId, usize)], sources: &Sources) -> bool {
    let source = sources.get(problem.at.file);
    let in_file = || {
        broken
            .iter()
            .filter(|(file, _)| *file == problem.at.file)
            .map(|(_, offset)| *offset)
    };
    match problem.kind {
        Kind::Syntax => false,
        Kind::Reference => broken.iter().any(|(file, offset)| {
            let source = sources.get(*file);
            source.text[source.line_range(*offset)]
                .trim_start()
                .starts_with('[')
        }),
        Kind::Other => {
            let line = source.line(problem.at.start);
            problem.at.shown != Shown::File && in_file().any(|offset| source.line(offset) == line)
        }
        Kind::Absence => {
            let table = problem.at.start..source.next_header(problem.at.end);
            in_file().any(|offset| table.contains(&offset))
        }
    }
}

fn resolve(problem: Problem, sources: &Sources) -> Diagnostic {
    Diagnostic {
        severity: problem.severity,
        message: problem.message,
        place: locate(problem.at, sources),
        label: problem.label,
        help: problem.help,
        other: problem
            .other
            .map(|(place, what)| (locate(place, sources), what)),
    }
}

fn locate(place: Place, sources: &Sources) -> Located {
    let source = sources.get(place.file);
    let path = source.shown.clone();
    if place.shown == Shown::File {
        return Located {
            path,
            position: None,
            shown: None,
        };
    }
    let (line, column) = source.position(place.start);
    Located {
        path,
        position: Some((line, column)),
        shown: shown_line(place, source, column),
    }
}

fn shown_line(
    place: Place,
    source: &Source,
    column: usize,
) -> Option<(String, std::ops::Range<usize>)> {
    match place.shown {
        Shown::File | Shown::Nothing => None,
        Shown::Name => {
            let name = source.text.get(place.start..place.end)?;
            if !plausible_header(name) {
                return None;
            }
            let line = &source.text[source.line_range(place.start)].trim_end();
            let pad = column - 1;
            // A header is only names; the caret is under one of them.
            let text = if line.starts_with('[') && plausible_header(line) {
                (*line).to_owned()
            } else {
                format!("{:pad$}{name}", "")
            };
            Some((text, pad..pad + name.len()))
        }
        Shown::ValueOf { start, end } => {
            let before = key_before(place, source, start, end)?;
            let caret = before.len()..before.len() + '…'.len_utf8();
            Some((before + "…", caret))
        }
    }
}

/// The line up to a value, when nothing but its key is there.
fn key_before(place: Place, source: &Source, start: usize, end: usize) -> Option<String> {
    let name = source.text.get(start..end)?;
    let between = source.text.get(end..place.start)?;
    let only_equals = between.chars().all(|c| matches!(c, ' ' | '\t' | '='));
    (only_equals && plausible_header(name)).then(|| {
        let (_, column) = source.position(start);
        format!("{:1$}{name}{between}", "", column - 1).replace('\t', " ")
    })
}
