//! `rewrite`: steps that give the members of one `data_from` item other names, or merge them into others.
//!
//! In order, each over what the one before it left. Unlike in ESO, where the order of a hash map decides, two members
//! that land on one name are an error after every step.

mod merge;
mod regexp;

pub use self::merge::{
    BadMerge, ConflictPolicy, Merge, MergeOptions, MergeStrategy, PriorityPolicy,
};
pub use self::regexp::{BadRegexp, Regexp};

use super::json_format::JsonFormat;
use super::quoted::quoted;
use super::template::Template;
use crate::failure::{Failure, Reason};
use crate::secret::SecretBytes;

/// How long a name may become, in bytes: as long as a store's.
pub const MAX_NAME: usize = 2048;

/// A value on its way to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub value: SecretBytes,
    origin: String,
}

impl Member {
    /// `name`: what the store, or the JSON object, calls it.
    pub fn new(name: impl Into<String>, value: SecretBytes) -> Self {
        let name = name.into();
        Self {
            origin: quoted(&name),
            name,
            value,
        }
    }

    /// What it was before any step, as messages call it: its name between backticks, or where a merge took it from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The member as messages call it when they are about its name of now.
    pub(super) fn called(&self) -> String {
        let name = quoted(&self.name);
        if name == self.origin {
            name
        } else {
            format!("{name} (from {})", self.origin)
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every match of a pattern in a name is replaced.
    Regexp(Regexp),
    /// A name is what a template makes of it.
    Transform(Template),
    /// The members' values, JSON objects, become one.
    Merge(Merge),
}

/// Whether the names that come out depend on more than the names that go in.
pub fn needs_values(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Regexp(_) | Step::Transform(_) => false,
        Step::Merge(_) => true,
    })
}

/// The members after all steps, sorted by name; no two have the same. The order they are given in does not matter.
pub fn rewrite(
    steps: &[Step],
    members: Vec<Member>,
    format: JsonFormat,
) -> Result<Vec<Member>, Failure> {
    let mut members = distinct(members)?;
    for (number, step) in (1..).zip(steps) {
        members = match step {
            Step::Regexp(_) | Step::Transform(_) => renamed(step, members),
            Step::Merge(merge) => merge.apply(members, format),
        }
        .and_then(distinct)
        .map_err(|failure| in_step(number, failure))?;
    }
    Ok(members)
}

/// What one name becomes, its value unknown. An error where the steps need values.
pub fn rename(steps: &[Step], name: &str) -> Result<String, Failure> {
    let mut name = name.to_owned();
    for (number, step) in (1..).zip(steps) {
        name = next_name(step, &name).map_err(|failure| in_step(number, failure))?;
    }
    Ok(name)
}

fn renamed(step: &Step, mut members: Vec<Member>) -> Result<Vec<Member>, Failure> {
    for member in &mut members {
        member.name = next_name(step, &member.name).map_err(|mut failure| {
            failure.fact = format!("{}: {}", member.called(), failure.fact);
            failure
        })?;
    }
    Ok(members)
}

fn next_name(step: &Step, name: &str) -> Result<String, Failure> {
    let name = match step {
        Step::Regexp(regexp) => regexp.rename(name),
        Step::Transform(template) => template.rename(name)?,
        Step::Merge(_) => {
            let fact = "a `merge` makes names out of values, and there are none";
            return Err(Failure::new(Reason::Invalid, fact));
        }
    };
    if name.len() > MAX_NAME {
        let fact = format!("it makes a name longer than {MAX_NAME} bytes");
        return Err(Failure::new(Reason::TooLarge, fact)
            .with_help("change the `rewrite` so that it makes shorter names"));
    }
    Ok(name)
}

fn in_step(number: usize, mut failure: Failure) -> Failure {
    failure.fact = format!("`rewrite` step {number}: {}", failure.fact);
    failure
}

/// The members sorted by name, if no two have the same.
fn distinct(mut members: Vec<Member>) -> Result<Vec<Member>, Failure> {
    members.sort_by(|a, b| (&a.name, &a.origin).cmp(&(&b.name, &b.origin)));
    for pair in members.windows(2) {
        if let [one, other] = pair
            && one.name == other.name
        {
            let (one, other, name) = (&one.origin, &other.origin, quoted(&one.name));
            let fact = format!("{one} and {other} both get the name {name}");
            return Err(Failure::new(Reason::Invalid, fact).with_help(
                "change the `rewrite` so that they differ, or list in `keys` the ones that are needed",
            ));
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests;
