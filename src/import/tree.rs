//! A YAML document as a tree in which each key of a mapping says what became of it.
//!
//! Whoever reads a key says so by reading it. What nobody read is found by [`account`] at the end, so that a key which
//! the mapping does not know cannot get lost: it is refused by its name.

use std::cell::RefCell;
use std::fmt::Write as _;

use super::verdict::Verdict;
use super::words::{is_text, shown_key};

/// A value and the line it begins on, counted from 1.
#[derive(Debug)]
pub(super) struct Node {
    pub line: u32,
    pub shape: Shape,
}

#[derive(Debug)]
pub(super) enum Shape {
    Null,
    /// `plain`: without quotes, so that it may be something else than a text.
    Scalar {
        text: Box<str>,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Field>),
}

/// One key of a mapping, and what became of it.
#[derive(Debug)]
pub(super) struct Field {
    pub key: Box<str>,
    pub line: u32,
    pub node: Node,
    mark: RefCell<Option<Mark>>,
}

/// There are as many as keys, and most of them are exact.
#[derive(Debug)]
enum Mark {
    Exact,
    Told(Box<Told>),
}

#[derive(Debug)]
struct Told {
    verdict: Verdict,
    /// It speaks for everything below that nobody read.
    covers: bool,
}

/// The keys of one mapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map<'t>(&'t [Field]);

impl Node {
    /// The keys, where it is a mapping.
    pub(super) fn as_map(&self) -> Option<Map<'_>> {
        match &self.shape {
            Shape::Map(fields) => Some(Map(fields)),
            Shape::Null | Shape::Scalar { .. } | Shape::List(_) => None,
        }
    }

    /// The text of a scalar that Kubernetes takes for one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar { text, plain } => (!plain || is_text(text)).then_some(text),
            Shape::Null | Shape::List(_) | Shape::Map(_) => None,
        }
    }

    /// What is written, whatever type it has.
    pub(super) fn as_written(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar { text, .. } => Some(text),
            Shape::Null | Shape::List(_) | Shape::Map(_) => None,
        }
    }
}

impl<'t> Map<'t> {
    pub(super) const EMPTY: Self = Self(&[]);

    /// A key that has a value. One without a value counts as left out, as it does for the API server.
    pub(super) fn get(self, key: &str) -> Option<&'t Field> {
        let field = self.0.iter().find(|field| *field.key == *key)?;
        if matches!(field.node.shape, Shape::Null) {
            field.exact();
            return None;
        }
        Some(field)
    }

    pub(super) fn text(self, key: &str) -> Option<&'t str> {
        self.get(key)?.text()
    }

    pub(super) fn map(self, key: &str) -> Option<Map<'t>> {
        self.get(key)?.map()
    }

    /// Every key whose value is a text; the others are refused.
    pub(super) fn texts(self) -> Vec<(&'t Field, &'t str)> {
        let fields = self.0.iter();
        fields
            .filter_map(|field| Some((field, field.text()?)))
            .collect()
    }

    pub(super) fn fields(self) -> &'t [Field] {
        self.0
    }

    /// Said at the first key, where there is none to say it at.
    pub(super) fn refuse_any(self, sentence: &str) {
        if let Some(first) = self.0.first() {
            first.refuse(sentence);
        }
    }

    /// Whatever was not read so far does not count, for this reason.
    pub(super) fn leave_rest(self, why: &'static str) {
        for field in self.0.iter().filter(|field| field.mark.borrow().is_none()) {
            field.note(why);
        }
    }
}

impl Field {
    pub(super) fn new(key: Box<str>, line: u32, node: Node) -> Self {
        Self {
            key,
            line,
            node,
            mark: RefCell::default(),
        }
    }

    /// A text; anything else is refused.
    pub(super) fn text(&self) -> Option<&str> {
        let text = self.node.as_text();
        match text {
            Some(_) => self.exact(),
            None if self.node.as_written().is_some() => {
                self.refuse("Kubernetes takes this for no text: it needs quotes");
            }
            None => self.refuse("this must be a text"),
        }
        text
    }

    pub(super) fn map(&self) -> Option<Map<'_>> {
        let map = self.node.as_map();
        match map {
            Some(_) => self.exact(),
            None => self.refuse("this must be a mapping"),
        }
        map
    }

    pub(super) fn list(&self) -> Option<&[Node]> {
        if let Shape::List(items) = &self.node.shape {
            self.exact();
            return Some(items);
        }
        self.refuse("this must be a list");
        None
    }

    /// Of an item, where it is a list.
    pub(super) fn line_of(&self, index: usize) -> u32 {
        match &self.node.shape {
            Shape::List(items) => items.get(index).map_or(self.line, |item| item.line),
            Shape::Null | Shape::Scalar { .. } | Shape::Map(_) => self.line,
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        let flag = match &self.node.shape {
            Shape::Scalar { text, plain: true } if matches!(&**text, "true" | "True" | "TRUE") => {
                Some(true)
            }
            Shape::Scalar { text, plain: true }
                if matches!(&**text, "false" | "False" | "FALSE") =>
            {
                Some(false)
            }
            Shape::Null | Shape::Scalar { .. } | Shape::List(_) | Shape::Map(_) => None,
        };
        match flag {
            Some(_) => self.exact(),
            None => self.refuse("this must be true or false"),
        }
        flag
    }

    /// The mappings of a list; what is none is refused.
    pub(super) fn maps(&self) -> Vec<Map<'_>> {
        let items = self.list().unwrap_or_default();
        let maps: Vec<Map<'_>> = items.iter().filter_map(Node::as_map).collect();
        if maps.len() != items.len() {
            self.refuse("each item must be a mapping");
        }
        maps
    }

    pub(super) fn exact(&self) {
        self.mark(Verdict::Exact, false);
    }

    /// What is below is read on its own.
    pub(super) fn warn(&self, sentence: impl Into<String>) {
        self.mark(Verdict::Warned(sentence.into()), false);
    }

    /// Nothing below is read.
    pub(super) fn warn_whole(&self, sentence: impl Into<String>) {
        self.mark(Verdict::Warned(sentence.into()), true);
    }

    pub(super) fn refuse(&self, sentence: impl Into<String>) {
        self.mark(Verdict::Refused(sentence.into()), true);
    }

    /// It has no say in what is delivered.
    pub(super) fn note(&self, why: &'static str) {
        self.mark(Verdict::Noted(why), true);
    }

    /// The worst that was said of it stays.
    fn mark(&self, verdict: Verdict, covers: bool) {
        let mut mark = self.mark.borrow_mut();
        *mark = Some(match (mark.take(), verdict) {
            (Some(Mark::Told(old)), verdict) => Mark::Told(Box::new(Told {
                covers: old.covers || covers,
                verdict: old.verdict.and(verdict),
            })),
            (Some(Mark::Exact) | None, Verdict::Exact) => Mark::Exact,
            (Some(Mark::Exact) | None, verdict) => Mark::Told(Box::new(Told { verdict, covers })),
        });
    }
}

/// What became of each key below a node, in the order of the document. What a key above speaks for is told only where
/// there is more to say of it.
pub(super) fn account(node: &Node, told: &mut impl FnMut(&str, u32, Verdict)) {
    walk(node, &mut String::new(), Covered::No, told);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covered {
    Yes,
    No,
}

fn walk(
    node: &Node,
    path: &mut String,
    covered: Covered,
    told: &mut impl FnMut(&str, u32, Verdict),
) {
    let length = path.len();
    match &node.shape {
        Shape::Null | Shape::Scalar { .. } => {}
        Shape::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let _ = write!(path, "[{index}]");
                walk(item, path, covered, told);
                path.truncate(length);
            }
        }
        Shape::Map(fields) => {
            for field in fields {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&shown_key(&field.key));
                walk_field(field, path, covered, told);
                path.truncate(length);
            }
        }
    }
}

fn walk_field(
    field: &Field,
    path: &mut String,
    covered: Covered,
    told: &mut impl FnMut(&str, u32, Verdict),
) {
    let mark = field.mark.borrow();
    let below = match mark.as_ref() {
        Some(Mark::Exact) => {
            if covered == Covered::No {
                told(path, field.line, Verdict::Exact);
            }
            covered
        }
        Some(Mark::Told(mark)) => {
            told(path, field.line, mark.verdict.clone());
            if mark.covers { Covered::Yes } else { covered }
        }
        None if covered == Covered::No => {
            told(path, field.line, Verdict::unknown());
            Covered::Yes
        }
        None => Covered::Yes,
    };
    walk(&field.node, path, below, told);
}
