//! `dotenv`: a `KEY=value` for each key, sorted. Pure.
//!
//! Readers of such files agree on nothing more, so there are dialects. In each, what a reader would drop or change is
//! refused, and so is a variable that decides what a program loads or runs, where its name is one that nobody wrote.

mod docker;
pub(super) mod shell;

use std::collections::BTreeSet;

use super::read::Contents;
use super::{capacity, text, unfit};
use crate::config::Dialect;
use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

pub(super) fn render(dialect: Dialect, payload: &Payload) -> Result<SecretBytes, Failure> {
    let mut out = Vec::with_capacity(capacity(payload));
    for (key, value) in payload.iter() {
        if payload.is_found(key) && key.is_loader_variable() {
            return Err(loader_variable(key));
        }
        let value = text(key, value, "dotenv")?;
        match dialect {
            Dialect::Shell => shell::push(&mut out, key, value)?,
            Dialect::Docker => docker::push(&mut out, key, value)?,
        }
    }
    Ok(SecretBytes::new(out))
}

fn loader_variable(key: &SecretKey) -> Failure {
    let fact =
        format!("key `{key}` is named after a secret, and decides what a program loads or runs");
    Failure::new(Reason::Invalid, fact)
        .with_help("take it out of what `data_from` gives (`keys`, `rewrite`, a narrower `find`), or write the key in `data`")
}

/// The keys alone: `keep_last` is refused for files of this format. A value of several lines may hold what looks like a
/// key: one too many only makes us more careful.
pub(super) fn read(bytes: &SecretBytes) -> Option<Contents> {
    let text = std::str::from_utf8(bytes.expose()).ok()?;
    let names = text.lines().filter_map(|line| line.split_once('='));
    let keys: BTreeSet<_> = names
        .filter_map(|(name, _)| SecretKey::new(name.trim()).ok())
        .collect();
    Some(Contents { keys, values: None })
}
