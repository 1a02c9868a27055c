//! The spanned TOML tree, and a cursor over one table of it.
//!
//! A [`Table`] reports every problem and goes on; it remembers which keys were asked for, so that the rest are unknown
//! keys. It knows nothing of what the keys mean.

mod hint;
mod parse;
mod recover;
mod value;

use toml::de::DeTable;

pub(super) use self::hint::{closest, did_you_mean};
pub(super) use self::parse::parse;
pub(super) use self::recover::sound;
pub(super) use self::value::Value;
use super::diagnostic::plausible_name;
use super::problems::{At, Place, Problem, Problems, Shown};
use super::source::FileId;

/// One table, while it is read.
#[derive(Debug)]
pub(super) struct Table<'t> {
    problems: &'t Problems,
    entries: &'t DeTable<'t>,
    /// Its header, its key, or its braces.
    pub at: Place,
    /// In credentials and sources: nothing of the text is shown, not even a key.
    discreet: bool,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    fn new(problems: &'t Problems, entries: &'t DeTable<'t>, at: Place, discreet: bool) -> Self {
        Self {
            problems,
            entries,
            at,
            discreet,
            known: Vec::new(),
        }
    }

    /// From here on down, diagnostics give place and expectation only.
    pub(super) fn discreetly(mut self) -> Self {
        self.discreet = true;
        self.at.shown = Shown::Nothing;
        self
    }

    /// The value of a key, if it is there; the key is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        let (name, value) = self.entries.get_key_value(key)?;
        Some(self.value(key, name.span(), value))
    }

    /// As [`Table::take`], and it is an error when the key is not there.
    pub(super) fn need(&mut self, key: &'static str) -> Option<Value<'t>> {
        let value = self.take(key);
        if value.is_none() {
            self.problems
                .push(Problem::absence(self.at, format!("`{key}` is missing")));
        }
        value
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<At<&'t str>> {
        self.take(key)?.string()
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<At<bool>> {
        self.take(key)?.boolean()
    }

    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<At<&'t str>>> {
        self.take(key)?.strings()
    }

    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'t>> {
        self.take(key)?.table()
    }

    /// One of a closed set of words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        all: &[(&'static str, T)],
    ) -> Option<At<T>> {
        let word = self.string(key)?;
        if let Some((_, meaning)) = all.iter().find(|(name, _)| *name == word.value) {
            return Some(word.map(|_| *meaning));
        }
        let words: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let listed: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
        self.problems.push(
            Problem::error(
                word.at,
                format!("`{key}` must be one of {}", listed.join(", ")),
            )
            .maybe_help(did_you_mean(word.value, words)),
        );
        None
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Keys that belong here, though nothing asks for their values.
    pub(super) fn also_known(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Where this key is, here or directly in a table of this one that is none of `but`.
    pub(super) fn near(&self, key: &str, but: &[&str]) -> Option<usize> {
        let here = self.entries.get_key_value(key);
        let below = self.entries.iter().filter_map(|(name, value)| {
            let table = value.get_ref().as_table()?;
            let counts = !but.contains(&&**name.get_ref());
            table.get_key_value(key).filter(|_| counts)
        });
        let (name, _) = here.into_iter().chain(below).next()?;
        Some(name.span().start)
    }

    /// Every key with its value, for tables whose keys are names; sentences call each value `what`.
    pub(super) fn all(&self, what: &'static str) -> Vec<(At<&'t str>, Value<'t>)> {
        self.entries
            .iter()
            .map(|(name, value)| {
                let value = self.value(what, name.span(), value);
                let key = At {
                    value: &**name.get_ref(),
                    at: value.key_at,
                };
                (key, value)
            })
            .collect()
    }

    /// Every key of this table was asked for by now: the others are unknown.
    pub(super) fn finish(self) {
        for (key, _) in self.entries {
            let name = key.get_ref();
            if self.known.contains(&&**name) {
                continue;
            }
            let message = if self.discreet || !plausible_name(name) {
                "unknown key".to_owned()
            } else {
                format!("unknown key `{name}`")
            };
            let help = did_you_mean(name, self.known.iter().copied()).unwrap_or_else(|| {
                let mut known = self.known.clone();
                known.sort_unstable();
                format!("known here: `{}`", known.join("`, `"))
            });
            self.problems
                .push(Problem::error(self.key_place(key.span()), message).help(help));
        }
    }

    fn value(
        &self,
        name: &'static str,
        key: std::ops::Range<usize>,
        value: &'t toml::Spanned<toml::de::DeValue<'t>>,
    ) -> Value<'t> {
        let span = value.span();
        let shown = if self.discreet {
            Shown::Nothing
        } else {
            Shown::ValueOf {
                start: key.start,
                end: key.end,
            }
        };
        Value {
            problems: self.problems,
            tree: value.get_ref(),
            at: Place {
                file: self.file(),
                start: span.start,
                end: span.end,
                shown,
            },
            key_at: self.key_place(key),
            name,
            discreet: self.discreet,
        }
    }

    fn key_place(&self, key: std::ops::Range<usize>) -> Place {
        Place {
            file: self.file(),
            start: key.start,
            end: key.end,
            shown: if self.discreet {
                Shown::Nothing
            } else {
                Shown::Name
            },
        }
    }

    fn file(&self) -> FileId {
        self.at.file
    }
}
