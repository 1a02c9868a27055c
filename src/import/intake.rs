//! Texts to the documents that are worth keeping. A file with a mistake has none, and the others go on.

use std::sync::Arc;

use super::object::{self, Family, Object, Place};
use super::report::{Report, Row};
use super::yaml::{self, Document};

/// So many values of documents are held at once: about 80 MiB.
const MOST_VALUES: usize = 550_000;

const HELM: &str = "this looks like a Helm template; render it first with `helm template`";

pub(super) type Kept = (Arc<str>, Document);

pub(super) struct Intake {
    pub kept: Vec<Kept>,
    pub report: Report,
    /// So many more values may come.
    left: usize,
    /// Files without a character in them.
    empty: Vec<Arc<str>>,
}

impl Intake {
    pub(super) fn new(report: Report) -> Self {
        Self {
            kept: Vec::new(),
            report,
            left: MOST_VALUES,
            empty: Vec::new(),
        }
    }

    /// A file that is empty beside others is what is left of a command that failed.
    pub(super) fn end(mut self) -> (Vec<Kept>, Report) {
        if !(self.kept.is_empty() && self.report.is_empty()) {
            for file in std::mem::take(&mut self.empty) {
                let fact = "the file is empty: what was to write it may have failed";
                self.refuse(&file, (1, 1), fact.to_owned());
            }
        }
        (self.kept, self.report)
    }

    pub(super) fn take(&mut self, file: &Arc<str>, text: Result<String, &'static str>) {
        let mut left = self.left;
        let is_blank = text.as_ref().is_ok_and(|text| text.trim().is_empty());
        let parsed = match text {
            Err(why) => return self.refuse(file, (1, 1), why.to_owned()),
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
                yaml::documents(text, &mut left)
            }
        };
        match parsed {
            Ok(documents) if documents.is_empty() && is_blank => self.empty.push(Arc::clone(file)),
            Ok(documents) => {
                if self.sort(file, documents) {
                    self.left = left;
                }
            }
            Err(broken) => {
                let fact = format!("column {}: {}", broken.column, broken.fact);
                self.refuse(file, (broken.document, broken.line), fact);
            }
        }
    }

    /// Whether any of them is kept.
    fn sort(&mut self, file: &Arc<str>, documents: Vec<Document>) -> bool {
        let mut unrelated = Vec::new();
        let mut keep = Vec::new();
        for document in documents {
            let objects = object::objects(file, &document);
            let mut converted = objects.iter().filter(|it| is_converted(it.family));
            if let Some(line) = converted.find_map(Object::unrendered) {
                self.refuse(file, (document.number, line), HELM.to_owned());
                return false;
            }
            if objects.iter().any(|it| it.family != Family::Unrelated) {
                keep.push((Arc::clone(file), document));
            } else {
                unrelated.extend(objects.iter().map(Row::unrelated));
            }
        }
        self.report.rows.extend(unrelated);
        let any = !keep.is_empty();
        self.kept.extend(keep);
        any
    }

    fn refuse(&mut self, file: &Arc<str>, (document, line): (u32, u32), fact: String) {
        let place = Place {
            file: Arc::clone(file),
            document,
            line,
        };
        let mut row = Row::new(place, "file".to_owned());
        row.refuse(fact);
        self.report.rows.push(row);
    }
}

fn is_converted(family: Family) -> bool {
    match family {
        Family::KesSecret
        | Family::EsoSecret
        | Family::EsoClusterSecret
        | Family::EsoStore
        | Family::EsoClusterStore => true,
        Family::EsoOther
        | Family::Deployment
        | Family::Namespace
        | Family::ServiceAccount
        | Family::Values
        | Family::Unrelated => false,
    }
}
