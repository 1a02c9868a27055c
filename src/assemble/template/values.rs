//! Values that the engine does not have: bytes that never become text by mistake, and numbers as they are spelled.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{State, Value};

use super::given::Refusal;
use crate::secret::{Payload, SecretBytes};

/// Where a render keeps its [`Ledger`]: no template can spell this name.
const LEDGER: &str = "\0";

/// What happened to bytes in one render.
pub(in crate::assemble) struct Ledger {
    /// Whether what the template puts out is its output, and not kept for later by `{% set %}` or `{% filter %}`.
    straight: bool,
    put_out: Mutex<Vec<(SecretBytes, Refusal)>>,
    /// Bytes that something made text of.
    spoilt: Mutex<Option<Refusal>>,
}

impl Ledger {
    pub(super) fn new(straight: bool) -> Arc<Self> {
        Arc::new(Self {
            straight,
            put_out: Mutex::default(),
            spoilt: Mutex::default(),
        })
    }

    /// The ledger of the render that `state` belongs to.
    pub(super) fn of(state: &State<'_, '_>) -> Result<Arc<Self>, Refusal> {
        state
            .lookup(LEDGER)
            .and_then(|value| value.downcast_object::<Self>())
            .ok_or(Refusal::Undefined)
    }

    pub(super) fn put_out(&self, blob: &Blob) -> Result<(), Refusal> {
        if !self.straight {
            return Err(blob.refusal());
        }
        let mut all = self.put_out.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((
            SecretBytes::new(blob.bytes.expose().to_vec()),
            blob.refusal(),
        ));
        Ok(())
    }

    /// Refuses once anything has made text of bytes.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let spoilt = self.spoilt.lock().unwrap_or_else(PoisonError::into_inner);
        spoilt.clone().map_or(Ok(()), Err)
    }

    /// What the template gives: its text, or the one piece of bytes where there is no text.
    pub(super) fn settle(&self, text: SecretBytes) -> Result<SecretBytes, Refusal> {
        self.check()?;
        let mut all = self.put_out.lock().unwrap_or_else(PoisonError::into_inner);
        match all.pop() {
            None => Ok(text),
            Some((bytes, _)) if text.is_empty() && all.is_empty() => Ok(bytes),
            Some((_, refusal)) => Err(refusal),
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ledger")
    }
}

impl Object for Ledger {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// Bytes that are no text. Whatever makes text of them spoils the render.
pub(in crate::assemble) struct Blob {
    bytes: SecretBytes,
    key: Option<String>,
    ledger: Arc<Ledger>,
}

impl Blob {
    /// The bytes that a word gives.
    pub(super) fn made(bytes: Vec<u8>, ledger: &Arc<Ledger>) -> Value {
        Self::value(SecretBytes::new(bytes), None, ledger)
    }

    fn value(bytes: SecretBytes, key: Option<String>, ledger: &Arc<Ledger>) -> Value {
        Value::from_object(Self {
            bytes,
            key,
            ledger: Arc::clone(ledger),
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.expose()
    }

    pub(super) fn refusal(&self) -> Refusal {
        Refusal::new(match &self.key {
            Some(key) => format!(
                "the key `{key}` is binary, which is no text; use `b64encode`, or let it stand alone"
            ),
            None => "this is binary, which is no text; use `b64encode`, or let it stand alone"
                .to_owned(),
        })
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[binary]")
    }
}

impl Object for Blob {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.bytes.is_empty()
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some(self.bytes.expose().cmp(other.bytes.expose()))
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = &self.ledger;
        let mut spoilt = ledger.spoilt.lock().unwrap_or_else(PoisonError::into_inner);
        spoilt.get_or_insert_with(|| self.refusal());
        Ok(())
    }
}

/// A JSON number that the engine would write otherwise: `1e5`, `-0`, or more digits than it counts with.
pub(in crate::assemble) struct Spelled(String);

impl Spelled {
    /// `text` is a number by JSON's grammar.
    pub(super) fn number(text: &str) -> Value {
        let plain = text
            .parse::<i128>()
            .map(Value::from)
            .or_else(|_| text.parse::<f64>().map(Value::from));
        match plain {
            Ok(value) if value.to_string() == text => value,
            Ok(_) | Err(_) => Value::from_object(Self(text.to_owned())),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn approximately(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl fmt::Debug for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[number]")
    }
}

impl Object for Spelled {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0.bytes().any(|b| b.is_ascii_digit() && b != b'0')
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        let by_size = self.approximately().total_cmp(&other.approximately());
        Some(by_size.then_with(|| self.0.cmp(&other.0)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a template sees of an entry: `data`, and every key that is an identifier by itself, unless it is called as a
/// word of the language.
pub(super) fn of_payload(
    values: &Payload,
    ledger: &Arc<Ledger>,
    is_word: impl Fn(&str) -> bool,
) -> Value {
    let mut data = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (key, bytes) in values.iter() {
        let key = key.as_str();
        let value = match std::str::from_utf8(bytes.expose()) {
            Ok(text) => Value::from(text),
            Err(_) => Blob::value(bytes.clone(), Some(key.to_owned()), ledger),
        };
        if key != "data" && !is_word(key) {
            names.insert(key.to_owned(), value.clone());
        }
        data.insert(key.to_owned(), value);
    }
    names.insert("data".to_owned(), Value::from_object(data));
    names.insert(
        LEDGER.to_owned(),
        Value::from_dyn_object(Arc::clone(ledger)),
    );
    Value::from_object(names)
}

/// What a template for names sees: `value`.
pub(super) fn of_name(name: &str, ledger: &Arc<Ledger>) -> Value {
    Value::from_object(BTreeMap::from([
        ("value".to_owned(), Value::from(name)),
        (
            LEDGER.to_owned(),
            Value::from_dyn_object(Arc::clone(ledger)),
        ),
    ]))
}
