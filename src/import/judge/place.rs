//! What `check` says of a text, and which keys a place in the text is below.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{self, Severity, Surroundings};

/// An error of `check`.
pub(super) struct Wrong {
    /// Line and column, in characters, counted from 1. Absent: it is about the text as a whole.
    pub at: Option<(usize, usize)>,
    pub message: String,
}

impl Wrong {
    /// Where it is in what begins in this line.
    pub(super) fn within(&self, begin: usize) -> Option<(usize, usize)> {
        let (line, column) = self.at?;
        Some((line.checked_sub(begin)? + 1, column))
    }
}

/// What `check` has against a configuration.
pub(super) fn errors(text: String) -> Vec<Wrong> {
    // Whoever runs it: only what stands there counts.
    let surroundings = Surroundings {
        root: true,
        ..Surroundings::default()
    };
    let diagnostics = config::judge(text, &surroundings);
    let errors = diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error);
    let wrong = errors.map(|error| Wrong {
        at: position(&error.place()),
        message: error.message.clone(),
    });
    wrong.collect()
}

/// Of a place in a text: its name, the line and the column.
fn position(place: &str) -> Option<(usize, usize)> {
    let mut parts = place.split(':').skip(1);
    let mut number = || parts.next()?.parse().ok();
    Some((number()?, number()?))
}

/// One step from a table to what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The way to what stands at a place; that of a table, where it is a header.
pub(super) fn way(text: &str, (line, column): (usize, usize)) -> Vec<Step> {
    let Ok(tree) = DeTable::parse(text) else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    below(tree.get_ref(), &mut Vec::new(), &mut keys);
    keys.sort_by_key(|(at, _)| *at);
    let lines = lines(text);
    let Some(range) = line.checked_sub(1).and_then(|it| lines.get(it)) else {
        return Vec::new();
    };
    let shown = &text[range.clone()];
    if shown.starts_with('[') {
        let first = keys.into_iter().find(|(at, _)| *at >= range.end);
        let mut way = first.map(|(_, way)| way).unwrap_or_default();
        way.pop();
        return way;
    }
    let column = column.saturating_sub(1);
    let offset = shown.char_indices().nth(column);
    let offset = range.start + offset.map_or(shown.len(), |(at, _)| at);
    let before = keys.into_iter().rev().find(|(at, _)| *at <= offset);
    before.map(|(_, way)| way).unwrap_or_default()
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut end = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let start = end;
        end += line.len();
        start..end
    });
    lines.collect()
}

/// Every key, and every item of a list, by where it begins.
fn below(table: &DeTable<'_>, way: &mut Vec<Step>, keys: &mut Vec<(usize, Vec<Step>)>) {
    for (key, value) in table {
        way.push(Step::Key(key.get_ref().to_string()));
        keys.push((key.span().start, way.clone()));
        value_below(value, way, keys);
        way.pop();
    }
}

fn value_below(
    value: &Spanned<DeValue<'_>>,
    way: &mut Vec<Step>,
    keys: &mut Vec<(usize, Vec<Step>)>,
) {
    match value.get_ref() {
        DeValue::Table(table) => below(table, way, keys),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                way.push(Step::Index(index));
                if !item.get_ref().is_table() {
                    keys.push((item.span().start, way.clone()));
                }
                value_below(item, way, keys);
                way.pop();
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[secrets.\"app/x\"]
# From ä.
store = \"s\"
data = [
  { secret_key = \"a\", remote_ref = { key = \"k\" } },
  { secret_key = \"b\", remote_ref = { key = \"k k\" } },
]
[secrets.\"app/x\".template]
[secrets.\"app/x\".template.data]
\"ä.b\" = \"\"\"
[x]
\"\"\"
[[secrets.\"app/x\".kubernetes]]
cluster = \"c\"
[[secrets.\"app/x\".kubernetes]]
cluster = \"c\"
labels = { a = \"b\", d = \"e f\" }
namespaces = [\"a\", \"B\"]
";

    #[test]
    fn a_place_is_below_its_keys() {
        for (at, expected) in [
            ((1, 1), ""),
            ((3, 1), ".store"),
            ((3, 9), ".store"),
            ((6, 5), ".data.1.secret_key"),
            ((6, 46), ".data.1.remote_ref.key"),
            ((8, 1), ".template"),
            ((10, 1), ".template.data.ä.b"),
            ((10, 9), ".template.data.ä.b"),
            ((13, 3), ".kubernetes.0"),
            ((15, 3), ".kubernetes.1"),
            ((17, 25), ".kubernetes.1.labels.d"),
            ((18, 20), ".kubernetes.1.namespaces.1"),
            ((99, 1), ""),
        ] {
            let way = way(TEXT, at);
            let shown = way.iter().skip(2).map(|step| match step {
                Step::Key(key) => format!(".{key}"),
                Step::Index(index) => format!(".{index}"),
            });
            assert_eq!(shown.collect::<String>(), expected, "{at:?}");
        }
    }
}
