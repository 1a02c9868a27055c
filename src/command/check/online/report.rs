//! What came of asking one store, for people: equal failures once, each with what to do.

use std::fmt;

use super::walk::Walked;
use crate::aws::identity::Identity;
use crate::config::Source;
use crate::failure::{Failure, Reason};
use crate::names::{AccountId, StoreName};
use crate::store::Read;

/// What one store's failures may take of a screen.
const LINES: usize = 20;

/// How many more of a group are named.
const NAMED: usize = 5;

pub(super) struct Verified {
    pub store: StoreName,
    /// As configured.
    pub account: Option<AccountId>,
    /// `None` where the store needs none.
    pub identity: Option<Result<Identity, Failure>>,
    /// It may make batches, and AWS does not allow them.
    pub without_batches: bool,
    pub walked: Walked,
}

/// Reads that failed alike.
struct Group<'a> {
    shape: (Reason, String),
    failure: &'a Failure,
    reads: Vec<&'a Read>,
}

impl Verified {
    pub(super) fn in_order(&self) -> bool {
        self.walked.failed.is_empty() && self.walked.given_up.is_none()
    }

    fn about_identity(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = match &self.identity {
            None => return Ok(()),
            Some(Ok(known)) => known,
            // What is said of the store is not said twice.
            Some(Err(failure)) if self.walked.given_up.as_ref() == Some(failure) => {
                return writeln!(f, "  identity unknown");
            }
            Some(Err(failure)) => return writeln!(f, "  identity unknown (asked STS): {failure}"),
        };
        writeln!(f, "  identity {known}")?;
        match &self.account {
            Some(account) if account != known.account() => writeln!(
                f,
                "  remark: `account` is {account}, but names are looked for in the identity's account {}; secrets of another account are read by their ARN",
                known.account()
            ),
            Some(_) | None => Ok(()),
        }
    }

    fn failures(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut unsaid = 0;
        for group in self.groups() {
            let told = group.lines();
            if unsaid > 0 || lines.len() + told.len() > LINES {
                unsaid += group.reads.len();
            } else {
                lines.extend(told);
            }
        }
        if unsaid > 0 {
            lines.push(format!("  and {unsaid} more"));
        }
        lines
    }

    /// The most frequent failure first.
    fn groups(&self) -> Vec<Group<'_>> {
        let mut failed: Vec<_> = self.walked.failed.iter().collect();
        failed.sort_by_key(|(read, _)| read);
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (read, failure) in failed {
            let shape = (failure.reason, shape(read, &failure.fact));
            match groups.iter_mut().find(|group| group.shape == shape) {
                Some(group) => group.reads.push(read),
                None => groups.push(Group {
                    shape,
                    failure,
                    reads: vec![read],
                }),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.reads.len()));
        groups
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Walked { all, answered, .. } = self.walked;
        let given_up = self.walked.given_up.as_ref();
        write!(f, "store {}: ", self.store)?;
        match (all, given_up) {
            (0, _) => writeln!(f, "nothing is read")?,
            (_, None) => writeln!(f, "{answered} of {all} reads answered")?,
            (_, Some(_)) => writeln!(f, "given up, {answered} of {all} reads answered")?,
        }
        self.about_identity(f)?;
        if self.without_batches {
            writeln!(
                f,
                "  remark: batches are not allowed; secrets are read one by one, which is more calls (see `secretsyncd iam-policy {}`)",
                self.store
            )?;
        }
        for line in given_up.into_iter().flat_map(explained) {
            writeln!(f, "{line}")?;
        }
        for line in self.failures() {
            writeln!(f, "{line}")?;
        }
        let denied = |(_, failure): &(_, Failure)| failure.reason == Reason::AccessDenied;
        if self.identity.is_some() && self.walked.failed.iter().any(denied) {
            let store = &self.store;
            writeln!(
                f,
                "  `secretsyncd iam-policy {store}` prints all that this store needs"
            )?;
        }
        Ok(())
    }
}

impl Group<'_> {
    fn lines(&self) -> Vec<String> {
        let mut lines = explained(self.failure).to_vec();
        let others = self.reads.len() - 1;
        if others > 0 {
            let names = self.reads.iter().skip(1).take(NAMED);
            let names: Vec<String> = names.map(|read| read.source.to_string()).collect();
            let rest = if others > NAMED { ", ..." } else { "" };
            lines.push(format!("    {others} more: {}{rest}", names.join(", ")));
        }
        lines
    }
}

fn explained(failure: &Failure) -> [String; 2] {
    [
        format!("  {}: {failure}", failure.reason),
        format!("    help: {}", failure.help()),
    ]
}

/// A fact without what it is about, so that the same fact of two secrets is the same.
fn shape(read: &Read, fact: &str) -> String {
    let about = match &read.source {
        Source::Value { key, .. } | Source::Metadata { key } => key.to_string(),
        Source::Find(find) => find.to_string(),
    };
    fact.replace(&format!("`{about}`"), "it")
}

#[cfg(test)]
mod tests;
