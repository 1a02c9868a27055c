//! One item of `data_from`: from the members that were read to checked keys.
//!
//! In ESO's order: `keys` picks members, the names are rewritten (or converted where nothing rewrites them), the keys
//! checked, the values decoded. Unlike there, a key is checked as ASCII, and an empty one is an error (ESO drops it).

use std::collections::{BTreeMap, BTreeSet};

use super::convert::Conversion;
use super::decode::{Decoding, Undecodable};
use super::extract;
use super::json_format::JsonFormat;
use super::quoted::quoted;
use super::rewrite::{self, Member, Step, needs_values, rewrite};
use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::SecretBytes;

/// What an item does with its members, whatever they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Only these, by the names they have before any step. Absent: all.
    pub keys: Option<BTreeSet<String>>,
    pub rewrite: Vec<Step>,
    pub conversion: Conversion,
    pub decoding: Decoding,
}

/// Names that `keys` may list though they are not there.
pub type Absent = BTreeSet<String>;

impl Shape {
    /// `item` is what messages call it.
    pub fn of<'a>(&'a self, item: &'a str) -> Bulk<'a> {
        Bulk {
            item,
            keys: self.keys.as_ref(),
            absent: None,
            steps: &self.rewrite,
            conversion: self.conversion,
            decoding: self.decoding,
            json_format: JsonFormat::default(),
        }
    }

    /// Whether only the values tell which keys there will be.
    pub fn needs_values(&self) -> bool {
        needs_values(&self.rewrite)
    }

    /// Every key that there will be, where that is known without a value.
    pub fn all_keys(&self) -> Option<BTreeSet<SecretKey>> {
        let names = self.keys.as_ref()?.iter();
        names.map(|name| self.key_of(name)).collect()
    }

    /// The key of a name, where it makes one and that is known without a value.
    pub fn key_of(&self, name: &str) -> Option<SecretKey> {
        let told = (!self.needs_values()).then(|| self.of(name).key_of(name));
        told?.ok()
    }
}

/// An item that is at work.
#[derive(Clone, Copy, Debug)]
pub struct Bulk<'a> {
    /// What messages call the item: `find path prod/app/`, a secret's name.
    pub item: &'a str,
    /// Only these, by the names they have before any step. Absent: all.
    pub keys: Option<&'a BTreeSet<String>>,
    /// Which of `keys` need not be there.
    pub absent: Option<&'a Absent>,
    pub steps: &'a [Step],
    /// Of no effect where there are steps.
    pub conversion: Conversion,
    pub decoding: Decoding,
    pub json_format: JsonFormat,
}

/// A member's key with what it came from.
struct Keyed {
    origin: String,
    value: SecretBytes,
}

impl<'a> Bulk<'a> {
    /// These may be missing, whatever `keys` lists.
    #[must_use]
    pub fn without(mut self, absent: &'a Absent) -> Self {
        self.absent = Some(absent);
        self
    }

    /// What is no string is written in this format.
    #[must_use]
    pub fn written_as(mut self, format: JsonFormat) -> Self {
        self.json_format = format;
        self
    }

    /// The keys that the members of one JSON object become.
    pub fn extract(
        &self,
        object: &SecretBytes,
    ) -> Result<BTreeMap<SecretKey, SecretBytes>, Failure> {
        let members = extract::members_as(object, self.json_format).map_err(|refused| {
            let fact = format!("`{}`: the value {refused}", self.item);
            Failure::new(Reason::Invalid, fact)
                .with_help("`extract` needs one JSON object; correct the secret, or select an object by `property`, or the value by `data`")
        })?;
        self.keys(members)
    }

    /// The keys that the members become, whatever order they come in. None at all where there are no members.
    pub fn keys(
        &self,
        members: impl IntoIterator<Item = (String, SecretBytes)>,
    ) -> Result<BTreeMap<SecretKey, SecretBytes>, Failure> {
        let members = members
            .into_iter()
            .map(|(name, value)| Member::new(name, value))
            .collect();
        self.picked(members)
            .and_then(|members| rewrite(self.steps, members, self.json_format))
            .and_then(|members| self.keyed(members))
            .and_then(|keyed| self.decoded(keyed))
            .map_err(|failure| self.of_item(failure))
    }

    /// Whether only the values tell which keys there will be, so that [`Self::key_of`] has no answer.
    pub fn needs_values(&self) -> bool {
        needs_values(self.steps)
    }

    /// The key that a member of this name becomes, its value unknown. Whether `keys` picks it, and whether another
    /// member gets the same key, is not asked. An error where [`Self::needs_values`].
    pub fn key_of(&self, name: &str) -> Result<SecretKey, Failure> {
        rewrite::rename(self.steps, name)
            .map_err(|mut failure| {
                failure.fact = format!("{}: {}", quoted(name), failure.fact);
                failure
            })
            .and_then(|renamed| self.key(&renamed, &quoted(name)))
            .map_err(|failure| self.of_item(failure))
    }

    fn picked(&self, members: Vec<Member>) -> Result<Vec<Member>, Failure> {
        let Some(keys) = self.keys else {
            return Ok(members);
        };
        let picked: Vec<_> = members
            .into_iter()
            .filter(|member| keys.contains(&member.name))
            .collect();
        let there: BTreeSet<_> = picked.iter().map(|member| member.name.as_str()).collect();
        let may_be_absent = |key: &String| self.absent.is_some_and(|absent| absent.contains(key));
        let mut absent = keys
            .iter()
            .filter(|key| !there.contains(key.as_str()) && !may_be_absent(key));
        let Some(first) = absent.next() else {
            return Ok(picked);
        };
        let fact = match absent.count() {
            0 => format!("`keys` lists {}, which is not there", quoted(first)),
            more => format!(
                "`keys` lists {} and {more} more, which are not there",
                quoted(first)
            ),
        };
        Err(Failure::new(Reason::Invalid, fact)
            .with_help("correct `keys`: names as they are before any `rewrite`"))
    }

    fn keyed(&self, members: Vec<Member>) -> Result<BTreeMap<SecretKey, Keyed>, Failure> {
        let mut keyed = BTreeMap::<SecretKey, Keyed>::new();
        for member in members {
            let origin = member.origin().to_owned();
            let key = self.key(&member.name, &origin)?;
            if let Some(other) = keyed.get(&key) {
                let fact = format!("{} and {origin} both make the key `{key}`", other.origin);
                return Err(Failure::new(Reason::Invalid, fact).with_help(
                    "give them different names by `rewrite`, or list in `keys` the ones that are needed",
                ));
            }
            let value = member.value;
            keyed.insert(key, Keyed { origin, value });
        }
        Ok(keyed)
    }

    fn key(&self, name: &str, origin: &str) -> Result<SecretKey, Failure> {
        let converted = self.steps.is_empty().then(|| self.conversion.key(name));
        SecretKey::new(converted.as_deref().unwrap_or(name)).map_err(|expected| {
            let quoted = quoted(name);
            let rewritten = if quoted == origin {
                String::new()
            } else {
                format!(" (from {origin})")
            };
            let fact =
                format!("the name {quoted}{rewritten} makes no key: a key must be {expected}");
            Failure::new(Reason::Invalid, fact).with_help(if self.steps.is_empty() {
                "give it another name by `rewrite`, or list in `keys` the ones that are needed"
            } else {
                "change the `rewrite` so that it makes a key; after one, no character is converted"
            })
        })
    }

    fn decoded(
        &self,
        keyed: BTreeMap<SecretKey, Keyed>,
    ) -> Result<BTreeMap<SecretKey, SecretBytes>, Failure> {
        keyed
            .into_iter()
            .map(|(key, Keyed { origin, value })| {
                let value = self
                    .decoding
                    .decode(value)
                    .map_err(|refused| self.undecodable(&key, &origin, refused))?;
                Ok((key, value))
            })
            .collect()
    }

    fn undecodable(&self, key: &SecretKey, origin: &str, refused: Undecodable) -> Failure {
        let strategy = self.decoding.as_str();
        let fact =
            format!("the value of {origin}, for the key `{key}`, is not {strategy}: {refused}");
        Failure::new(Reason::Invalid, fact)
            .with_help("correct `decoding_strategy`, or how the secret is stored")
    }

    fn of_item(&self, mut failure: Failure) -> Failure {
        failure.fact = format!("`{}`: {}", self.item, failure.fact);
        failure
    }
}

#[cfg(test)]
mod tests;
