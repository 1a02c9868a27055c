//! What became of every object and of every key in it.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::object::{Object, Place};
use super::verdict::Verdict;

/// One object, or one file that could not be read.
#[derive(Debug)]
pub(super) struct Row {
    pub place: Place,
    /// As people call the object.
    pub title: String,
    pub became: Became,
    pub exact: usize,
    /// Everything that is not exact.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// A table of the output, by its name.
    Table(String),
    /// Read for what it says about others.
    Read,
    /// Left out for a reason that is among the findings.
    Left,
    Refused,
    /// Nothing that this is about.
    Unrelated,
}

#[derive(Debug)]
pub(super) struct Finding {
    /// Keys from the top of the object; empty: the object as a whole.
    pub path: String,
    pub line: u32,
    pub verdict: Verdict,
}

/// How often what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub exact: usize,
    pub noted: usize,
    pub warned: usize,
    pub refused: usize,
}

#[derive(Debug, Default)]
pub struct Report {
    pub(super) rows: Vec<Row>,
    /// What is true of everything here, whatever the input says of it: no key's, and no reason to stop.
    pub(super) notes: Vec<String>,
    /// What is wrong with the run and with no object; each counts as one that a key is warned of.
    pub(super) warnings: Vec<String>,
    pub(super) error: Option<Trouble>,
}

/// Why nothing is written.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    pub fact: String,
    /// The next step.
    pub help: String,
}

impl Row {
    pub(super) fn new(place: Place, title: String) -> Self {
        Self {
            place,
            title,
            became: Became::Unrelated,
            exact: 0,
            findings: Vec::new(),
        }
    }

    pub(super) fn unrelated(object: &Object<'_>) -> Self {
        Self::new(object.place.clone(), object.title())
    }

    pub(super) fn count(&self) -> Count {
        let mut count = Count {
            exact: self.exact,
            ..Count::default()
        };
        for finding in &self.findings {
            match finding.verdict {
                Verdict::Exact => count.exact += 1,
                Verdict::Noted(_) => count.noted += 1,
                Verdict::Warned(_) => count.warned += 1,
                Verdict::Refused(_) => count.refused += 1,
            }
        }
        count
    }

    fn text(&self, out: &mut String) {
        let became = match &self.became {
            Became::Table(name) => format!("becomes [{name}]"),
            Became::Read => "read".to_owned(),
            Became::Left => "left out".to_owned(),
            Became::Refused => "REFUSED".to_owned(),
            Became::Unrelated => "unrelated".to_owned(),
        };
        let (place, title, count) = (&self.place, &self.title, self.count());
        let _ = writeln!(out, "{place}: {title} {became}: {count}");
        for finding in &self.findings {
            if !matches!(finding.verdict, Verdict::Warned(_) | Verdict::Refused(_)) {
                continue;
            }
            let place = Place {
                line: finding.line,
                ..self.place.clone()
            };
            let at = if finding.path.is_empty() {
                String::new()
            } else {
                format!(" {}:", finding.path)
            };
            let (word, sentence) = (finding.verdict.word(), finding.verdict.sentence());
            let _ = writeln!(out, "  {place}: {word}:{at} {sentence}");
        }
    }

    /// Where it comes from, and what the report warns of, without what that quotes.
    pub(super) fn comments(&self) -> Vec<String> {
        let warned = self
            .findings
            .iter()
            .filter(|it| matches!(it.verdict, Verdict::Warned(_)));
        let one = |it: &Finding| format!("{}: {}", it.path, it.verdict.sentence());
        let mut comments = vec![format!("From {} at {}.", self.title, self.place)];
        comments.extend(warned.map(one));
        comments
    }

    /// Something about it as a whole keeps it out of the output.
    pub(super) fn refuse(&mut self, sentence: impl Into<String>) {
        self.refuse_at((String::new(), None), sentence);
    }

    /// The same, of what is at a path in it.
    pub(super) fn refuse_at(
        &mut self,
        (path, line): (String, Option<u32>),
        sentence: impl Into<String>,
    ) {
        self.became = Became::Refused;
        self.findings.push(Finding {
            path,
            line: line.unwrap_or(self.place.line),
            verdict: Verdict::Refused(sentence.into()),
        });
    }
}

impl Report {
    pub fn count(&self) -> Count {
        let mut all = Count::default();
        for row in self.rows.iter().map(Row::count) {
            all.exact += row.exact;
            all.noted += row.noted;
            all.warned += row.warned;
            all.refused += row.refused;
        }
        all.warned += self.warnings.len();
        all
    }

    /// Something that is wrong with the run and with no object.
    pub fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }

    pub fn fail(&mut self, trouble: Trouble) {
        self.error = Some(trouble);
    }

    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// There was no object at all, of whatever kind.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn objects(&self, which: impl Fn(&Became) -> bool) -> usize {
        self.rows.iter().filter(|row| which(&row.became)).count()
    }

    /// For people: what is exact or has no say is only counted.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            if row.became != Became::Unrelated {
                row.text(&mut out);
            }
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        for warning in &self.warnings {
            let _ = writeln!(out, "warned: {warning}");
        }
        let _ = writeln!(
            out,
            "objects: {} converted, {} read, {} left out, {} refused, {} unrelated; keys: {}",
            self.objects(|it| matches!(it, Became::Table(_))),
            self.objects(|it| *it == Became::Read),
            self.objects(|it| *it == Became::Left),
            self.objects(|it| *it == Became::Refused),
            self.objects(|it| *it == Became::Unrelated),
            self.count(),
        );
        if let Some(trouble) = &self.error {
            let _ = writeln!(out, "{trouble}");
        }
        out
    }

    /// For programs: every object, and every key that is not exact.
    pub fn json(&self) -> String {
        let mut out = "{\n\"objects\": [".to_owned();
        let mut comma = "\n";
        // One by one: as values they take ten times what their text does.
        for row in &self.rows {
            let _ = write!(out, "{comma}{:#}", row_json(row));
            comma = ",\n";
        }
        let error = self.error.as_ref();
        let rest = [
            ("notes", json!(self.notes)),
            ("warnings", json!(self.warnings)),
            (
                "error",
                json!(error.map(|it| json!({"fact": it.fact, "help": it.help}))),
            ),
            ("keys", count_json(self.count())),
        ];
        out.push(']');
        for (name, value) in rest {
            let _ = write!(out, ",\n\"{name}\": {value:#}");
        }
        out.push_str("\n}\n");
        out
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fact, help } = self;
        write!(f, "error: {fact}\n  help: {help}")
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            exact,
            noted,
            warned,
            refused,
        } = self;
        write!(
            f,
            "{exact} exact, {noted} noted, {warned} warned, {refused} refused"
        )
    }
}

fn count_json(count: Count) -> Value {
    json!({
        "exact": count.exact,
        "noted": count.noted,
        "warned": count.warned,
        "refused": count.refused,
    })
}

fn row_json(row: &Row) -> Value {
    let findings: Vec<Value> = row
        .findings
        .iter()
        .map(|finding| {
            json!({
                "path": finding.path,
                "line": finding.line,
                "verdict": finding.verdict.word(),
                "sentence": finding.verdict.sentence(),
            })
        })
        .collect();
    let (became, table) = match &row.became {
        Became::Table(name) => ("converted", Some(name)),
        Became::Read => ("read", None),
        Became::Left => ("left_out", None),
        Became::Refused => ("refused", None),
        Became::Unrelated => ("unrelated", None),
    };
    json!({
        "file": &*row.place.file,
        "document": row.place.document,
        "line": row.place.line,
        "object": row.title,
        "result": became,
        "table": table,
        "keys": count_json(row.count()),
        "findings": findings,
    })
}
