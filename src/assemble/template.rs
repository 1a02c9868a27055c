//! Templates: text with `{{ places }}` for values, in Jinja's language.
//!
//! The language is minijinja's, with our own words (`words`), strict about what is missing, and never escaping. It is
//! judged once, where it is read: what it calls must be there, also in branches that no render takes. What it may use is
//! bounded, and what it says when it fails never holds a value.

mod blame;
mod certificates;
mod encode;
mod engine;
mod given;
mod json;
mod lists;
mod patterns;
mod place;
mod reading;
mod similar;
mod structure;
mod text;
mod values;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::{Environment, machinery};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

use self::blame::Scene;
use self::reading::{Of, Reading};
use self::values::Ledger;

/// The longest text of a template.
pub const MAX_TEMPLATE_LEN: usize = 256 * 1024;

/// What a render may do: one fuel is a step, or 64 bytes that are made or read.
const FUEL: u64 = 500_000;
const RENAME_FUEL: u64 = 10_000;
/// As much as a Secret holds.
const MAX_OUTPUT: usize = 1024 * 1024;
const MAX_NAME: usize = 1024;
/// What the engine calls the template; messages call it by its own name.
const NAME: &str = "template";

/// A template that was compiled once, where it was read.
#[derive(Clone)]
pub struct Template(Arc<Compiled>);

struct Compiled {
    name: String,
    text: String,
    tags: Vec<Range<usize>>,
    reading: Reading,
    engine: Environment<'static>,
}

/// Why a text is no template: in our own words, with its place in the text, quoting nothing of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    pub fact: String,
}

impl Template {
    /// `name` is what messages call it.
    pub fn new(name: impl Into<String>, text: &str) -> Result<Self, Broken> {
        if text.len() > MAX_TEMPLATE_LEN {
            return Err(Broken {
                line: 1,
                column: 1,
                fact: format!("it is longer than {MAX_TEMPLATE_LEN} bytes"),
            });
        }
        let tags = structure::tags(text, engine::syntax())?;
        let unreadable = |error: &minijinja::Error| {
            let range = error.range().unwrap_or(0..0);
            place::broken(
                text,
                &tags,
                range,
                "this expression cannot be read; it ends too early, or goes on where it should end",
            )
        };
        let parsed = machinery::parse(text, NAME, engine::syntax()).map_err(|e| unreadable(&e))?;
        let reading = reading::read(text, &tags, &parsed)?;
        let mut engine = engine::environment();
        engine.set_fuel(Some(FUEL));
        engine
            .add_template_owned(NAME, text.to_owned())
            .map_err(|e| unreadable(&e))?;
        Ok(Self(Arc::new(Compiled {
            name: name.into(),
            text: text.to_owned(),
            tags,
            reading,
            engine,
        })))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The keys without which it cannot be rendered: a bare name that is bound nowhere, or `data["..."]`, except where
    /// `default` or `is defined` asks whether it is there. Sorted.
    pub fn keys(&self) -> Vec<String> {
        let reading = &self.0.reading;
        let asked = reading.references.iter().filter(|r| r.of == Of::Entry);
        let names: BTreeSet<&String> = asked.map(|r| &r.name).collect();
        let needed = names
            .into_iter()
            .filter(|name| !reading.tested.contains(*name));
        needed.cloned().collect()
    }

    /// All keys that it names, with [`Self::keys`] among them. Sorted.
    pub fn mentions(&self) -> Vec<String> {
        let reading = &self.0.reading;
        let asked = reading.references.iter().filter(|r| r.of != Of::Other);
        let names: BTreeSet<&String> = asked.map(|r| &r.name).chain(&reading.tested).collect();
        names.into_iter().cloned().collect()
    }

    /// Whether it may use keys that it does not name: it takes `data` as a whole, or computes a key.
    pub fn takes_all(&self) -> bool {
        self.0.reading.takes_all
    }

    /// The text over an entry's values. Keys that are not UTF-8 are binary, and are no text; a template that gives
    /// nothing but one piece of binary gives that.
    pub fn render(&self, values: &Payload) -> Result<SecretBytes, Failure> {
        let ledger = Ledger::new(!self.0.reading.keeps_output);
        let is_word = |name: &str| words::find(name, words::Place::Function).is_some();
        let context = values::of_payload(values, &ledger, is_word);
        engine::render(&self.0.engine, NAME, context, &ledger, MAX_OUTPUT).map_err(|error| {
            let known = values.keys().map(SecretKey::as_str).collect();
            self.failure(&error, known)
        })
    }

    /// The text over one name, which it knows as `value`. For `rewrite.transform`.
    pub fn rename(&self, name: &str) -> Result<String, Failure> {
        let ledger = Ledger::new(false);
        let context = values::of_name(name, &ledger);
        let mut engine = self.0.engine.clone();
        engine.set_fuel(Some(RENAME_FUEL));
        let renamed = engine::render(&engine, NAME, context, &ledger, MAX_NAME)
            .map_err(|error| self.failure(&error, vec!["value"]))?;
        let text = std::str::from_utf8(renamed.expose());
        Ok(text.expect("only text is written here").to_owned())
    }

    fn failure(&self, error: &minijinja::Error, known: Vec<&str>) -> Failure {
        let scene = Scene {
            name: &self.0.name,
            text: &self.0.text,
            tags: &self.0.tags,
            reading: &self.0.reading,
            known,
        };
        scene.failure(error)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name && self.0.text == other.0.text
    }
}

impl Eq for Template {}

/// Another text shows as another digest: whether a reload says anything new is told by this. The text itself may be long.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template")
            .field(&self.0.name)
            .field(&Sha256::digest(&self.0.text))
            .finish()
    }
}
