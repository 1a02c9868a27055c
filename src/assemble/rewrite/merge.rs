//! `rewrite.merge`: the members' values, JSON objects, become one.
//!
//! As ESO does it: the objects are taken in the order of their members' names, then those that `priority` lists, in its
//! order; of equal keys the last counts, so the last of `priority` wins over all. Strategy `json` leaves the members
//! where they are and puts the merged object beside them; `extract` puts its keys in their place.
//!
//! Unlike ESO's: values keep their spelling, so no number changes (`1.0`, 20 digits), unless `json_format` says otherwise; an `into` that is a member's name
//! already is an error, as is a value that is `null`, and an object without a key as the result.

use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;
use std::mem;

use zeroize::Zeroizing;

use super::Member;
use crate::assemble::extract::{self, MAX_MEMBERS, NoObject};
use crate::assemble::json_format::JsonFormat;
use crate::assemble::quoted::quoted;
use crate::failure::{Failure, Reason};
use crate::secret::SecretBytes;

/// What becomes of the merged object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeStrategy {
    /// Its keys are the members.
    #[default]
    Extract,
    /// It is one more member.
    Json,
}

/// What happens where two objects have a key in common, its values equal or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictPolicy {
    #[default]
    Error,
    /// The later object counts.
    Ignore,
}

/// What happens where `priority` lists what is no member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PriorityPolicy {
    #[default]
    Strict,
    IgnoreNotFound,
}

/// A merge as it is written, not checked yet.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions {
    pub into: Option<String>,
    pub strategy: MergeStrategy,
    pub conflict_policy: ConflictPolicy,
    /// Names of members as they stand before this step.
    pub priority: Vec<String>,
    pub priority_policy: PriorityPolicy,
}

/// A checked merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    outcome: Outcome,
    conflicts: ConflictPolicy,
    priority: Vec<String>,
    priority_policy: PriorityPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Keys,
    Json { into: String },
}

/// Why options make no merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadMerge {
    /// `json` without a name for its result, or with an empty one.
    NoInto,
    /// `extract` has no use for `into`.
    IdleInto,
    /// `priority` lists this twice.
    Twice(String),
}

impl fmt::Display for BadMerge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInto => f.write_str("strategy `json` needs `into`, the name of its result"),
            Self::IdleInto => f.write_str("`into` is for strategy `json` only"),
            Self::Twice(name) => write!(f, "`priority` lists {} twice", quoted(name)),
        }
    }
}

impl std::error::Error for BadMerge {}

/// A key's value with the member it came from.
struct Taken {
    value: SecretBytes,
    from: String,
}

impl Merge {
    pub fn new(options: MergeOptions) -> Result<Self, BadMerge> {
        let outcome = match (options.strategy, options.into) {
            (MergeStrategy::Extract, None) => Outcome::Keys,
            (MergeStrategy::Extract, Some(_)) => return Err(BadMerge::IdleInto),
            (MergeStrategy::Json, Some(into)) if !into.is_empty() => Outcome::Json { into },
            (MergeStrategy::Json, _) => return Err(BadMerge::NoInto),
        };
        let mut listed = options.priority.iter();
        while let Some(name) = listed.next() {
            if listed.as_slice().contains(name) {
                return Err(BadMerge::Twice(name.clone()));
            }
        }
        Ok(Self {
            outcome,
            conflicts: options.conflict_policy,
            priority: options.priority,
            priority_policy: options.priority_policy,
        })
    }

    /// As it was written.
    pub fn options(&self) -> MergeOptions {
        let (strategy, into) = match &self.outcome {
            Outcome::Keys => (MergeStrategy::Extract, None),
            Outcome::Json { into } => (MergeStrategy::Json, Some(into.clone())),
        };
        MergeOptions {
            into,
            strategy,
            conflict_policy: self.conflicts,
            priority: self.priority.clone(),
            priority_policy: self.priority_policy,
        }
    }

    /// `members`: sorted by name, all different. No member makes no member.
    pub(super) fn apply(
        &self,
        mut members: Vec<Member>,
        format: JsonFormat,
    ) -> Result<Vec<Member>, Failure> {
        let ordered = self.ordered(&members)?;
        if ordered.is_empty() {
            return Ok(members);
        }
        let merged = self.merged(&ordered, format)?;
        match &self.outcome {
            Outcome::Keys => Ok(merged
                .into_iter()
                .map(|(key, taken)| Member {
                    origin: origin(&key, &taken.from),
                    name: key,
                    value: taken.value,
                })
                .collect()),
            Outcome::Json { .. } if merged.is_empty() => Err(Failure::new(
                Reason::Invalid,
                "the objects to merge have no key; nothing empty is ever written",
            )),
            Outcome::Json { into } => {
                members.push(Member {
                    name: into.clone(),
                    value: render(&merged, format),
                    origin: "the result of the merge".to_owned(),
                });
                Ok(members)
            }
        }
    }

    fn ordered<'m>(&self, members: &'m [Member]) -> Result<Vec<&'m Member>, Failure> {
        let mut ordered: Vec<_> = members
            .iter()
            .filter(|member| !self.priority.contains(&member.name))
            .collect();
        for name in &self.priority {
            match (
                members.iter().find(|member| member.name == *name),
                self.priority_policy,
            ) {
                (Some(member), _) => ordered.push(member),
                (None, PriorityPolicy::IgnoreNotFound) => {}
                (None, PriorityPolicy::Strict) => {
                    let fact = format!("`priority` lists {}, which is not there", quoted(name));
                    return Err(Failure::new(Reason::Invalid, fact).with_help(
                        "correct `priority`, or set `priority_policy = \"ignore_not_found\"`",
                    ));
                }
            }
        }
        Ok(ordered)
    }

    fn merged(
        &self,
        ordered: &[&Member],
        format: JsonFormat,
    ) -> Result<BTreeMap<String, Taken>, Failure> {
        let mut merged = BTreeMap::<String, Taken>::new();
        for member in ordered {
            let object = match self.outcome {
                Outcome::Keys => extract::merged(&member.value, format),
                Outcome::Json { .. } => extract::nested(&member.value, format),
            };
            for (key, value) in object.map_err(|refused| no_object(member, refused))? {
                let taken = Taken {
                    value,
                    from: member.origin.clone(),
                };
                match (merged.entry(key), self.conflicts) {
                    (Entry::Vacant(free), _) => {
                        free.insert(taken);
                    }
                    (Entry::Occupied(mut held), ConflictPolicy::Ignore) => {
                        held.insert(taken);
                    }
                    (Entry::Occupied(held), ConflictPolicy::Error) => {
                        return Err(conflict(held.key(), &held.get().from, &taken.from));
                    }
                }
            }
            if merged.len() > MAX_MEMBERS {
                let fact = format!("the merged object has more than {MAX_MEMBERS} keys");
                return Err(Failure::new(Reason::TooLarge, fact));
            }
        }
        Ok(merged)
    }
}

fn origin(key: &str, from: &str) -> String {
    format!("{} of {from}", quoted(key))
}

fn no_object(member: &Member, refused: NoObject) -> Failure {
    let fact = format!("the value of {} {refused}", member.called());
    Failure::new(Reason::Invalid, fact)
        .with_help("a `merge` needs a JSON object in every member; leave the others out by `keys`")
}

fn conflict(key: &str, one: &str, other: &str) -> Failure {
    let fact = format!("{one} and {other} both have the key {}", quoted(key));
    Failure::new(Reason::Invalid, fact)
        .with_help("set `conflict_policy = \"ignore\"` and `priority`, the last of which wins, or rename one of them")
}

/// One compact object, its keys sorted.
fn render(merged: &BTreeMap<String, Taken>, format: JsonFormat) -> SecretBytes {
    let names: Vec<_> = merged.keys().map(|key| format.name(key)).collect();
    let members = || names.iter().zip(merged.values());
    let room: usize = members()
        .map(|(name, taken)| name.len() + taken.value.len() + 2)
        .sum();
    // It never grows, so no copy of a value is left behind.
    let mut json = Zeroizing::new(Vec::with_capacity(room + 2));
    json.push(b'{');
    for (name, taken) in members() {
        if json.len() > 1 {
            json.push(b',');
        }
        json.extend_from_slice(name.as_bytes());
        json.push(b':');
        json.extend_from_slice(taken.value.expose());
    }
    json.push(b'}');
    SecretBytes::new(mem::take(&mut *json))
}

#[cfg(test)]
mod tests;
