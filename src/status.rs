//! What `/status` and `once` show: every entry and target, how it stands and what to do. Never a value.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::failure::Failure;
use crate::report::{Condition, TargetKind};

/// Rises when a field changes its meaning or goes; new fields do not count.
pub const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub version: u32,
    pub instance: String,
    pub entries: Vec<EntryStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct EntryStatus {
    pub name: String,
    pub store: String,
    #[serde(serialize_with = "word")]
    pub state: Condition,
    /// RFC 3339; null for what never happened.
    pub last_success: Option<Timestamp>,
    pub next_sync: Option<Timestamp>,
    pub error: Option<Trouble>,
    pub targets: Vec<TargetStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TargetStatus {
    #[serde(serialize_with = "kind_word")]
    pub kind: TargetKind,
    /// A path, or `cluster/namespace/name`.
    pub target: String,
    #[serde(serialize_with = "word")]
    pub state: Condition,
    pub error: Option<Trouble>,
}

/// A failure as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct Trouble {
    pub reason: &'static str,
    pub message: String,
    /// The next step.
    pub help: String,
}

impl From<&Failure> for Trouble {
    fn from(failure: &Failure) -> Self {
        Self {
            reason: failure.reason.as_str(),
            message: failure.fact.clone(),
            help: failure.help().to_owned(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn word<S: Serializer>(condition: &Condition, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(condition.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn kind_word<S: Serializer>(kind: &TargetKind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(kind.as_str())
}
