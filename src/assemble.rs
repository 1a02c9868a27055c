//! From answers to content: which bytes of which answer become which key.
//!
//! Pure and not async. Sees no store and no target, only values.

pub mod select;

use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

/// Rises when the same answers and configuration would give other content than before.
pub const REVISION: u32 = 1;

/// One item of `data` with the value that was read for it.
#[derive(Debug)]
pub struct Item<'a> {
    pub secret_key: &'a SecretKey,
    /// What the store knows the secret by, for messages.
    pub from: String,
    pub property: Option<&'a select::Property>,
    pub value: &'a SecretBytes,
}

/// Later items win over earlier ones. Blank content is an error, never a result (P1).
pub fn assemble<'a>(items: impl IntoIterator<Item = Item<'a>>) -> Result<Payload, Failure> {
    let mut payload = Payload::default();
    for item in items {
        let value = match item.property {
            None => item.value.clone(),
            Some(property) => select::property(item.value, property).map_err(|missing| {
                let fact = format!("`{}`: in `{}`, {missing}", item.secret_key, item.from);
                Failure::new(Reason::Invalid, fact).with_help(
                    if property.literal.starts_with('$') {
                        "write `property` as keys and indexes joined by dots, without a leading `$`"
                    } else {
                        "correct `property`, or the secret's JSON"
                    },
                )
            })?,
        };
        payload.insert(item.secret_key.clone(), value);
    }
    if payload.is_blank() {
        return Err(Failure::new(
            Reason::Invalid,
            "every value of this entry is empty; nothing empty is ever written",
        ));
    }
    Ok(payload)
}
