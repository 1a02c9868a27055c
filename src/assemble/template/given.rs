//! What a word of the language is given, what it answers, and how it refuses.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use minijinja::value::ValueKind;
use minijinja::{State, Value};

use super::values::{Blob, Ledger, Spelled};

/// The longest text or bytes that one word may give: a Secret holds no more.
pub(in crate::assemble) const MAX_LEN: usize = 2 * 1024 * 1024;

/// Why a word cannot do what it is asked. In our own words; a value is never among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::assemble) enum Refusal {
    /// It was given something that is not there.
    Undefined,
    /// The render has used up what it may use.
    OutOfFuel,
    Because(Cow<'static, str>),
}

impl Refusal {
    pub(in crate::assemble) fn new(fact: impl Into<Cow<'static, str>>) -> Self {
        Self::Because(fact.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undefined => "something it needs is not there",
            Self::OutOfFuel => "it does more work than a template may",
            Self::Because(fact) => fact,
        })
    }
}

impl std::error::Error for Refusal {}

/// What a word answers.
pub(in crate::assemble) enum Answer {
    Text(String),
    /// Text where it is UTF-8, otherwise bytes that only words for bytes take.
    Bytes(Vec<u8>),
    Value(Value),
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Answer {
    fn from(is: bool) -> Self {
        Self::Value(Value::from(is))
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

pub(in crate::assemble) type Outcome = Result<Answer, Refusal>;

/// The arguments of one call, bound to the word's parameters. A filter's subject is number 0.
pub(in crate::assemble) struct Given<'a> {
    pub(super) state: &'a State<'a, 'a>,
    pub(super) bound: &'a [Option<Value>],
    /// What a `*parameter` collects.
    pub(super) rest: &'a [Value],
    pub(super) names: &'a [&'static str],
    pub(super) ledger: &'a Arc<Ledger>,
}

impl<'a> Given<'a> {
    /// Pays for work. One fuel is what a step of a template costs, or 64 bytes.
    pub(in crate::assemble) fn charge(&self, fuel: u64) -> Result<(), Refusal> {
        self.state
            .consume_fuel(fuel)
            .map_err(|_| Refusal::OutOfFuel)
    }

    /// What was given, whatever it is.
    pub(in crate::assemble) fn any(&self, at: usize) -> Option<&'a Value> {
        self.bound.get(at)?.as_ref()
    }

    pub(in crate::assemble) fn value(&self, at: usize) -> Result<&'a Value, Refusal> {
        match self.any(at) {
            Some(value) if !value.is_undefined() => Ok(value),
            Some(_) | None => Err(Refusal::Undefined),
        }
    }

    /// A text, or a number or truth value as it is written.
    pub(in crate::assemble) fn text(&self, at: usize) -> Result<Cow<'a, str>, Refusal> {
        text_of(self.value(at)?, self.names[at])
    }

    pub(in crate::assemble) fn text_or(
        &self,
        at: usize,
        default: &'static str,
    ) -> Result<Cow<'a, str>, Refusal> {
        match self.any(at) {
            None => Ok(Cow::Borrowed(default)),
            Some(_) => self.text(at),
        }
    }

    /// The bytes of a text, or bytes.
    pub(in crate::assemble) fn bytes(&self, at: usize) -> Result<Cow<'a, [u8]>, Refusal> {
        let value = self.value(at)?;
        if let Some(blob) = value.downcast_object_ref::<Blob>() {
            return Ok(Cow::Borrowed(blob.bytes()));
        }
        Ok(match text_of(value, self.names[at])? {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// A whole number within `range`.
    pub(in crate::assemble) fn count(
        &self,
        at: usize,
        default: usize,
        most: usize,
    ) -> Result<usize, Refusal> {
        match self.any(at) {
            None => Ok(default),
            Some(_) => self
                .value(at)?
                .as_usize()
                .filter(|count| *count <= most)
                .ok_or_else(|| {
                    let name = self.names[at];
                    Refusal::new(format!("`{name}` must be a whole number from 0 to {most}"))
                }),
        }
    }

    pub(in crate::assemble) fn flag(&self, at: usize) -> Result<bool, Refusal> {
        match self.any(at) {
            None => Ok(false),
            Some(_) => Ok(self.value(at)?.is_true()),
        }
    }

    /// The items of a list; a text is none.
    pub(in crate::assemble) fn items(&self, at: usize) -> Result<Vec<Value>, Refusal> {
        let value = self.value(at)?;
        let is_list = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
        let items = if is_list { value.try_iter().ok() } else { None };
        let Some(items) = items else {
            let fact = format!("`{}` is {}, not a list", self.names[at], kind_of(value));
            return Err(Refusal::new(fact));
        };
        let mut list = Vec::new();
        for item in items {
            self.charge(1)?;
            list.push(item);
        }
        Ok(list)
    }

    /// The value of an answer.
    pub(super) fn answered(&self, answer: Answer) -> Value {
        match answer {
            Answer::Text(text) => Value::from(text),
            Answer::Value(value) => value,
            Answer::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Value::from(text),
                Err(bytes) => Blob::made(bytes.into_bytes(), self.ledger),
            },
        }
    }
}

/// `value` as text; `name` is what a refusal calls it.
pub(super) fn text_of<'v>(value: &'v Value, name: &str) -> Result<Cow<'v, str>, Refusal> {
    if let Some(text) = value.as_str() {
        return Ok(Cow::Borrowed(text));
    }
    if let Some(blob) = value.downcast_object_ref::<Blob>() {
        return Err(blob.refusal());
    }
    if let Some(number) = value.downcast_object_ref::<Spelled>() {
        return Ok(Cow::Borrowed(number.as_str()));
    }
    let kind = value.kind();
    if kind == ValueKind::Bool {
        // The engine would write `True`.
        Ok(Cow::Owned(value.is_true().to_string()))
    } else if kind == ValueKind::Number {
        Ok(Cow::Owned(value.to_string()))
    } else if kind == ValueKind::Undefined {
        Err(Refusal::Undefined)
    } else {
        Err(Refusal::new(format!(
            "`{name}` is {}, not text",
            kind_of(value)
        )))
    }
}

/// What a value is, for messages.
pub(super) fn kind_of(value: &Value) -> &'static str {
    if value.downcast_object_ref::<Blob>().is_some() {
        return "binary";
    }
    if value.downcast_object_ref::<Spelled>().is_some() {
        return "a number";
    }
    match value.kind() {
        ValueKind::Undefined => "not there",
        ValueKind::None => "null",
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        ValueKind::String => "text",
        ValueKind::Bytes => "binary",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "a map",
        ValueKind::Plain | ValueKind::Invalid => "a function",
        _ => "something else",
    }
}
