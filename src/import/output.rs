//! What there is to write in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::draft::Literals;
use super::words::quoted;
use super::write::{comment, one_line};
use crate::secret::SecretBytes;

#[derive(Default)]
pub struct Output {
    /// Stores and the cluster.
    pub stores: String,
    pub parts: Vec<Part>,
    pub(super) literals: Literals,
    /// Stores that it needs and does not define.
    pub(super) elsewhere: BTreeSet<String>,
    /// What the names of files begin with.
    pub(super) prefix: String,
}

/// Entries that belong into one file.
pub struct Part {
    pub(super) scope: String,
    pub text: String,
}

const HEAD: &str = "Written by `secretsyncd import`. Look it through, then `secretsyncd check`, and `secretsyncd plan` for what would change.";

const NEEDED: &str = "It needs stores that are defined elsewhere";

/// Names of stores in one comment.
const IN_A_LINE: usize = 5;

impl Output {
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty() && self.parts.is_empty()
    }

    /// One configuration; nothing where there is nothing.
    pub fn whole(&self) -> String {
        let mut text = String::new();
        if !self.is_empty() {
            text = self.headed(&self.stores);
            text.push('\n');
            text.extend(self.parts.iter().map(|part| part.text.as_str()));
        }
        text.truncate(text.trim_end().len());
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// One file for stores and clusters, and one or more for each namespace, by their names.
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        if !self.stores.is_empty() {
            let name = format!("{}stores.toml", self.prefix);
            files.push((name, self.headed(&self.stores)));
        }
        for part in &self.parts {
            let count = counts.entry(&part.scope).or_default();
            *count += 1;
            let name = match *count {
                1 => format!("{}{}.toml", self.prefix, part.scope),
                // No namespace has a dot in its name, so that none has this file.
                count => format!("{}{}.part{count}.toml", self.prefix, part.scope),
            };
            files.push((name, begun(head(), &part.text)));
        }
        files
    }

    /// The names of stores that have to be in the configuration, too.
    pub(super) fn needed(&self) -> Vec<String> {
        self.elsewhere.iter().map(|name| quoted(name)).collect()
    }

    fn headed(&self, text: &str) -> String {
        let needed = self.needed();
        let mut out = head();
        for names in needed.chunks(IN_A_LINE) {
            let names = names.join(", ");
            comment(&mut out, &format!("{NEEDED}: {names}."));
        }
        begun(out, text)
    }

    /// The file of values that stood in the input, in the format that a file of this name has; nothing where there were
    /// none.
    pub fn literals(&self, json: bool) -> Option<SecretBytes> {
        if self.literals.is_empty() {
            return None;
        }
        let mut text = String::new();
        for (key, value) in &self.literals {
            let value = String::from_utf8_lossy(value.expose());
            if json {
                let key = serde_json::Value::from(key.as_str());
                let value = serde_json::Value::from(&*value);
                let comma = if text.is_empty() { "{\n" } else { ",\n" };
                let _ = write!(text, "{comma}  {key}: {value}");
            } else {
                let _ = writeln!(text, "{} = {}", one_line(key), one_line(&value));
            }
        }
        if json {
            text.push_str("\n}\n");
        }
        Some(SecretBytes::new(text.into_bytes()))
    }
}

fn head() -> String {
    let mut out = String::new();
    comment(&mut out, HEAD);
    out
}

fn begun(mut out: String, text: &str) -> String {
    out.push('\n');
    out.push_str(text.trim_end());
    out.push('\n');
    out
}
