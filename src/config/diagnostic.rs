//! What a person reads about a configuration: every problem with its place, in rustc's style.
//!
//! A diagnostic holds no source text but names of keys: whoever makes one may have a credential on that line.
//! The line that is shown is made up here from the key alone, the value as `…`.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub message: String,
    pub(super) place: Located,
    pub(super) label: Option<String>,
    pub(super) help: Option<String>,
    /// Another place that has to do with it, and what that is.
    pub(super) other: Option<(Located, &'static str)>,
}

/// A place in a file as people count: from one, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub path: String,
    /// Line and column; `None` for a file as a whole.
    pub position: Option<(usize, usize)>,
    /// What may be shown of the line, and where the caret goes in it.
    pub shown: Option<(String, Range<usize>)>,
}

/// All problems of a configuration, in the order of files and places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(super) fn new(sorted: Vec<Diagnostic>) -> Self {
        Self(sorted)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// The whole report, each problem followed by an empty line.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for diagnostic in &self.0 {
            text.push_str(&renderer.render(&diagnostic.report()));
            text.push_str("\n\n");
        }
        text
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|d| d.severity == severity).count()
    }
}

impl Diagnostic {
    /// Where: a file, and line and column in it where there are any.
    pub fn place(&self) -> String {
        match self.place.position {
            Some((line, column)) => format!("{}:{line}:{column}", self.place.path),
            None => self.place.path.clone(),
        }
    }

    fn report(&self) -> Vec<Group<'_>> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = self.place.below(
            Group::with_title(level.primary_title(&self.message)),
            || self.label.as_deref(),
        );
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        let mut report = vec![group];
        if let Some((place, what)) = &self.other {
            let title = Group::with_title(Level::NOTE.secondary_title(*what));
            report.push(place.below(title, || None));
        }
        report
    }
}

impl Located {
    fn below<'a>(&'a self, group: Group<'a>, label: impl FnOnce() -> Option<&'a str>) -> Group<'a> {
        match (&self.position, &self.shown) {
            (Some((line, _)), Some((text, caret))) => group.element(
                Snippet::source(text)
                    .line_start(*line)
                    .path(&self.path)
                    .annotation(AnnotationKind::Primary.span(caret.clone()).label(label())),
            ),
            (Some((line, column)), None) => {
                group.element(Origin::path(&self.path).line(*line).char_column(*column))
            }
            (None, _) => group.element(Origin::path(&self.path)),
        }
    }
}

/// Names and headers long enough to be a key but not to be an AWS secret access key (40 characters) may be shown.
const LONGEST_SHOWN: usize = 39;

/// Whether a text can be the name of a key, so that showing it shows no pasted value.
pub(super) fn plausible_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_SHOWN
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b))
}

/// The same for a key or table header as it stands in the source, brackets, quotes and dots included.
pub(super) fn plausible_header(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 160
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._/-\"'[]".contains(&b))
        && text
            .split(['.', '"', '\'', '[', ']'])
            .all(|part| part.len() <= LONGEST_SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize) -> Located {
        Located {
            path: "a.toml".into(),
            position: Some((line, column)),
            shown: None,
        }
    }

    #[test]
    fn a_report_shows_place_caret_help_and_the_other_place() {
        let shown = Diagnostic {
            severity: Severity::Error,
            message: "`mode` must be a string".into(),
            place: Located {
                shown: Some(("    mode = …".into(), 11..14)),
                ..at(7, 12)
            },
            label: Some("an integer".into()),
            help: Some("write it in quotes".into()),
            other: Some((at(2, 3), "it is also here")),
        };
        let place_only = Diagnostic {
            severity: Severity::Warning,
            message: "unknown key".into(),
            place: at(9, 1),
            label: None,
            help: None,
            other: None,
        };
        let all = Diagnostics::new(vec![shown, place_only]);
        assert_eq!((all.errors(), all.warnings()), (1, 1));
        insta::assert_snapshot!(all.render(false), @r#"
    error: `mode` must be a string
     --> a.toml:7:12
      |
    7 |     mode = …
      |            ^ an integer
      |
      = help: write it in quotes
    note: it is also here
     --> a.toml:2:3

    warning: unknown key
    --> a.toml:9:1
    "#);
        assert!(all.render(true).contains("\u{1b}["));
    }

    #[test]
    fn what_can_be_a_credential_is_no_name() {
        assert!(plausible_name("refreshInterval"));
        assert!(plausible_header("[[secrets.\"team/db\".kubernetes]]"));
        for bad in [
            "",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "pass word",
            "a=b",
            "x+y",
        ] {
            assert!(!plausible_name(bad), "{bad:?}");
        }
        assert!(!plausible_header(
            "[secrets.wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY]"
        ));
        assert!(!plausible_header("a\nb"));
    }
}
