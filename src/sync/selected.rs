//! Where more targets of an entry come from: the namespaces of a cluster whose labels match.

use std::fmt;

use crate::failure::Failure;
use crate::names::{ClusterName, ObjectName};
use crate::selector::Selector;

/// One selector in one cluster. What it finds is among the entry's targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    pub cluster: ClusterName,
    pub selector: Selector,
    /// Of the Secret, in whatever namespace.
    pub name: ObjectName,
    pub standing: Standing,
}

/// What is known of the namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has listed them yet.
    Unknown,
    /// So many match.
    Found(usize),
    /// They cannot be followed; what was known last still counts, if there is any.
    Failing { failure: Failure, known: bool },
}

impl Selected {
    /// Whether they were ever listed: only then is what is not found not there.
    pub fn is_known(&self) -> bool {
        match &self.standing {
            Standing::Unknown => false,
            Standing::Found(_) => true,
            Standing::Failing { known, .. } => *known,
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        match &self.standing {
            Standing::Failing { failure, .. } => Some(failure),
            Standing::Unknown | Standing::Found(_) => None,
        }
    }

    /// Whether a target that is called so could be one of it.
    pub fn may_have(&self, target: &str) -> bool {
        let namespace = target
            .strip_prefix(self.cluster.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.strip_suffix(self.name.as_str()))
            .and_then(|rest| rest.strip_suffix('/'));
        namespace.is_some_and(|namespace| !namespace.contains('/'))
    }
}

/// As a target, with the selector where a namespace would be.
impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{{{}}}/{}", self.cluster, self.selector, self.name)
    }
}
