//! From answers to content: which bytes of which answer become which key.
//!
//! Pure and not async. Sees no store and no target, only values.

pub mod convert;
pub mod select;

use std::collections::BTreeMap;

use crate::config::Source;
use crate::failure::{Failure, Reason};
use crate::names::{RemoteKey, SecretKey};
use crate::secret::{Payload, SecretBytes};

/// Rises when the same answers and configuration would give other content than before.
pub const REVISION: u32 = 1;

/// One item of an entry with the values that were read for it.
#[derive(Debug)]
pub enum Item<'a> {
    One {
        secret_key: &'a SecretKey,
        /// What the value is, for messages.
        from: &'a Source,
        property: Option<&'a select::Property>,
        value: &'a SecretBytes,
    },
    /// The matches of a `find`: the names of the secrets and their values.
    Found(Vec<(&'a RemoteKey, &'a SecretBytes)>),
}

/// Later items win over earlier ones; two members of one item must not land on one key (design 6.1). Blank content is an
/// error, never a result (P1).
pub fn assemble<'a>(items: impl IntoIterator<Item = Item<'a>>) -> Result<Payload, Failure> {
    let mut payload = Payload::default();
    for item in items {
        match item {
            Item::One {
                secret_key,
                from,
                property,
                value,
            } => {
                let value = match property {
                    None => value.clone(),
                    Some(property) => selected(secret_key, from, property, value)?,
                };
                payload.insert(secret_key.clone(), value);
            }
            Item::Found(members) => {
                for (key, (_, value)) in named(members)? {
                    payload.insert_found(key, value.clone());
                }
            }
        }
    }
    if payload.is_blank() {
        return Err(Failure::new(
            Reason::Invalid,
            if payload.is_empty() {
                "nothing matches this entry's `find`; nothing empty is ever written"
            } else {
                "every value of this entry is empty; nothing empty is ever written"
            },
        ));
    }
    Ok(payload)
}

fn selected(
    secret_key: &SecretKey,
    from: &Source,
    property: &select::Property,
    value: &SecretBytes,
) -> Result<SecretBytes, Failure> {
    select::property(value, property).map_err(|missing| {
        let fact = format!("`{secret_key}`: in `{from}`, {missing}");
        Failure::new(Reason::Invalid, fact).with_help(if property.literal.starts_with('$') {
            "write `property` as keys and indexes joined by dots, without a leading `$`"
        } else {
            "correct `property`, or the secret's JSON"
        })
    })
}

type Member<'a> = (&'a RemoteKey, &'a SecretBytes);

/// The key of each match.
fn named(members: Vec<Member<'_>>) -> Result<BTreeMap<SecretKey, Member<'_>>, Failure> {
    let mut keys = BTreeMap::new();
    for member in members {
        let name = member.0;
        let key = SecretKey::new(convert::default(name.as_str())).map_err(|expected| {
            let fact = format!("the name `{name}` makes no key: a key must be {expected}");
            Failure::new(Reason::Invalid, fact)
                .with_help("narrow the `find` so that it does not match")
        })?;
        if let Some((other, _)) = keys.insert(key.clone(), member) {
            let fact = format!("`{other}` and `{name}` both make the key `{key}`");
            return Err(Failure::new(Reason::Invalid, fact)
                .with_help("narrow the `find` so that it matches only one of them"));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Result<Vec<String>, Failure> {
        let value = SecretBytes::new(b"x".to_vec());
        let names: Vec<_> = names
            .iter()
            .map(|name| RemoteKey::new(*name).unwrap())
            .collect();
        let members = names.iter().map(|name| (name, &value)).collect();
        let payload = assemble([Item::Found(members)])?;
        Ok(payload.keys().map(ToString::to_string).collect())
    }

    #[test]
    fn matches_are_keyed_by_their_converted_names() {
        assert_eq!(
            found(&["prod/app/b", "prod/app/a.x"]).unwrap(),
            ["prod_app_a.x", "prod_app_b"]
        );
    }

    #[test]
    fn two_matches_on_one_key_are_an_error_that_names_both() {
        let refused = found(&["a/b", "a@b"]).unwrap_err();
        assert_eq!(refused.fact, "`a/b` and `a@b` both make the key `a_b`");
    }

    #[test]
    fn no_match_is_never_content() {
        let refused = found(&[]).unwrap_err();
        assert!(refused.fact.contains("nothing matches"), "{refused}");
    }
}
