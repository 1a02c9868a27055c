//! What came of asking one cluster, for people: what is missing, for what, and for whom.

use std::collections::BTreeMap;
use std::fmt;

use super::Reviewed;
use crate::command::permissions::{Permission, Reasons, Scope};
use crate::failure::Failure;
use crate::names::ObjectName;

/// What one cluster's troubles may take of a screen.
const LINES: usize = 30;

/// How many names of a group are given.
const NAMED: usize = 5;

/// The same verb, missing on several names for the same.
struct Group<'a> {
    permission: &'a Permission,
    reasons: Reasons,
    names: Vec<&'a ObjectName>,
}

impl fmt::Display for Reviewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, allowed) = (self.all, self.allowed.len());
        write!(f, "cluster {}: ", self.cluster)?;
        match (all, &self.given_up) {
            (0, _) => writeln!(f, "nothing of it is used")?,
            (_, None) => writeln!(f, "reached, {allowed} of {all} permissions granted")?,
            (_, Some(_)) => writeln!(
                f,
                "given up, {allowed} of {all} permissions known to be granted"
            )?,
        }
        for line in self.given_up.iter().flat_map(explained) {
            writeln!(f, "{line}")?;
        }
        let mut lines = Vec::new();
        for group in self.groups() {
            lines.extend(group.lines());
        }
        lines.extend(self.absent.iter().flat_map(explained));
        for line in lines.iter().take(LINES) {
            writeln!(f, "{line}")?;
        }
        if lines.len() > LINES {
            writeln!(f, "  and more")?;
        }
        if !self.missing.is_empty() {
            writeln!(
                f,
                "  `secretsyncd rbac --cluster {}` prints all that this cluster needs",
                self.cluster
            )?;
        }
        Ok(())
    }
}

impl Reviewed {
    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
        for (permission, reasons) in &self.missing {
            let Permission {
                scope,
                resource,
                verb,
                name,
            } = permission;
            let alike = (scope, *resource, *verb, name.is_some());
            let group = groups.entry(alike).or_insert_with(|| Group {
                permission,
                reasons: Reasons::new(),
                names: Vec::new(),
            });
            group.names.extend(name);
            for (why, whose) in reasons {
                let all = group.reasons.entry(*why).or_default();
                all.extend(whose.iter().cloned());
            }
        }
        groups.into_values().collect()
    }
}

impl Group<'_> {
    fn lines(&self) -> Vec<String> {
        let Permission {
            scope,
            resource,
            verb,
            ..
        } = self.permission;
        let place = match scope {
            Scope::Cluster => "in the whole cluster".to_owned(),
            Scope::Namespace(namespace) => format!("in namespace `{namespace}`"),
        };
        let mut on = format!("`{}` on `{}` {place}", verb.as_str(), resource.plural());
        if !self.names.is_empty() {
            let names = self.names.iter().take(NAMED);
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            let more = match self.names.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            on = format!("{on}: {}{more}", names.join(", "));
        }
        let mut lines = vec![format!("  not allowed: {on}")];
        for (why, whose) in &self.reasons {
            let named: Vec<&str> = whose.iter().take(NAMED).map(String::as_str).collect();
            let more = match whose.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            lines.push(format!(
                "    needed: {}; by {}{more}",
                why.sentence(),
                named.join(", ")
            ));
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

#[cfg(test)]
mod tests;
