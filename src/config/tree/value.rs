//! One value of the tree and what type it must have.

use toml::de::DeValue;

use super::Table;
use crate::config::problems::{At, Place, Problem, Problems, Shown};

/// A value, its key, and its place.
#[derive(Debug)]
pub(in crate::config) struct Value<'t> {
    pub(super) problems: &'t Problems,
    pub(super) tree: &'t DeValue<'t>,
    pub at: Place,
    pub key_at: Place,
    /// The key, for sentences about the value.
    pub name: &'static str,
    pub(super) discreet: bool,
}

impl<'t> Value<'t> {
    pub(in crate::config) fn problems(&self) -> &'t Problems {
        self.problems
    }

    pub(in crate::config) fn string(self) -> Option<At<&'t str>> {
        let Some(text) = self.tree.as_str() else {
            return self.must_be("a string");
        };
        Some(self.here(text))
    }

    pub(in crate::config) fn boolean(self) -> Option<At<bool>> {
        let Some(value) = self.tree.as_bool() else {
            return self.must_be("`true` or `false`");
        };
        Some(self.here(value))
    }

    /// A whole number that counts something.
    pub(in crate::config) fn count(self) -> Option<At<u32>> {
        let count = self
            .tree
            .as_integer()
            .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|count| *count > 0);
        match count {
            Some(count) => Some(self.here(count)),
            None => self.must_be("a whole number above 0"),
        }
    }

    pub(in crate::config) fn ends_with_slash(&self) -> bool {
        self.tree.as_str().is_some_and(|text| text.ends_with('/'))
    }

    pub(in crate::config) fn is_integer(&self) -> bool {
        self.tree.is_integer()
    }

    pub(in crate::config) fn table(self) -> Option<Table<'t>> {
        self.table_like("a table")
    }

    /// A table, and what to call it where there is none.
    pub(in crate::config) fn table_like(self, expected: &str) -> Option<Table<'t>> {
        let Some(entries) = self.tree.as_table() else {
            return self.must_be(expected);
        };
        Some(self.cursor(entries))
    }

    /// An array; its elements are called by the array's key.
    pub(in crate::config) fn array(self) -> Option<Vec<Value<'t>>> {
        let Some(elements) = self.tree.as_array() else {
            return self.must_be("an array");
        };
        // `[[headers]]`: the array stands where its first element does. In brackets it begins before.
        let headers = elements
            .first()
            .is_some_and(|first| first.span().start == self.at.start);
        let elements = elements
            .iter()
            .map(|element| self.element(element, headers));
        Some(elements.collect())
    }

    pub(in crate::config) fn strings(self) -> Option<Vec<At<&'t str>>> {
        let elements = self.array()?;
        let count = elements.len();
        let strings: Vec<_> = elements.into_iter().filter_map(Value::string).collect();
        (strings.len() == count).then_some(strings)
    }

    /// An array of tables, in brackets or by `[[headers]]`. Elements of another type are reported and left out.
    pub(in crate::config) fn tables(self) -> Option<Vec<Table<'t>>> {
        if self.tree.is_table() {
            let problem = Problem::error(
                self.at,
                format!("`{}` must be an array of tables", self.name),
            )
            .help("write the header in double brackets, `[[...]]`, or the table as `[{ ... }]`");
            self.problems.push(problem);
            return None;
        }
        let elements = self.array()?;
        Some(elements.into_iter().filter_map(Value::table).collect())
    }

    /// A table of strings whose keys are free.
    pub(in crate::config) fn string_map(self) -> Option<Vec<(At<&'t str>, At<&'t str>)>> {
        let name = self.name;
        let all = self.table()?.all(name);
        let count = all.len();
        let strings: Vec<_> = all
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.string()?)))
            .collect();
        (strings.len() == count).then_some(strings)
    }

    fn here<T>(&self, value: T) -> At<T> {
        At { value, at: self.at }
    }

    fn cursor(&self, entries: &'t toml::de::DeTable<'t>) -> Table<'t> {
        // A table with a header is best shown by it, one in braces by its key.
        let at = match self.at.shown {
            Shown::ValueOf { .. } if self.at.start < self.key_at.start => Place {
                shown: Shown::Name,
                ..self.at
            },
            Shown::ValueOf { .. } => self.key_at,
            Shown::File | Shown::Nothing | Shown::Name => self.at,
        };
        Table::new(self.problems, entries, at, self.discreet)
    }

    fn element(&self, element: &'t toml::Spanned<DeValue<'t>>, header: bool) -> Value<'t> {
        let span = element.span();
        let shown = if header && !self.discreet {
            Shown::Name
        } else {
            self.at.shown
        };
        let at = Place {
            start: span.start,
            end: span.end,
            shown,
            ..self.at
        };
        Value {
            problems: self.problems,
            tree: element.get_ref(),
            at,
            key_at: at,
            name: self.name,
            discreet: self.discreet,
        }
    }

    fn must_be<T>(&self, expected: &str) -> Option<T> {
        let found = match self.tree {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let problem = Problem::error(self.at, format!("`{}` must be {expected}", self.name));
        self.problems.push(if found == expected {
            problem
        } else {
            problem.label(format!("this is {found}"))
        });
        None
    }
}
