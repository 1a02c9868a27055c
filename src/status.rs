//! What `/status`, `status`, `sync` and `once` show: every entry and target, how it stands and what to do. Never a value.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::failure::Failure;
use crate::report::{Condition, TargetKind};

/// Rises when a field changes its meaning or goes; new fields do not count.
pub const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub version: u32,
    pub instance: String,
    /// Null where the configuration is the one from the start.
    pub reload: Option<ReloadStatus>,
    pub entries: Vec<EntryStatus>,
}

/// How the last reload ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadStatus {
    pub at: Timestamp,
    pub successful: bool,
    /// Why the configuration from before goes on.
    pub error: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryStatus {
    pub name: String,
    pub store: String,
    #[serde(serialize_with = "word", deserialize_with = "of_word")]
    pub state: Condition,
    /// RFC 3339; null for what never happened.
    pub last_success: Option<Timestamp>,
    pub next_sync: Option<Timestamp>,
    pub error: Option<Trouble>,
    pub targets: Vec<TargetStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetStatus {
    #[serde(serialize_with = "kind_word", deserialize_with = "kind_of_word")]
    pub kind: TargetKind,
    /// A path, or `cluster/namespace/name`.
    pub target: String,
    #[serde(serialize_with = "word", deserialize_with = "of_word")]
    pub state: Condition,
    pub error: Option<Trouble>,
}

/// A target that was delivered to, and that no entry writes any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orphan {
    #[serde(serialize_with = "kind_word", deserialize_with = "kind_of_word")]
    pub kind: TargetKind,
    /// A path, or `cluster/namespace/name`.
    pub target: String,
    /// Who wrote it.
    pub entry: String,
    /// RFC 3339; null where that is not known.
    pub since: Option<Timestamp>,
}

/// A failure as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    pub reason: Cow<'static, str>,
    pub message: String,
    /// The next step.
    pub help: String,
}

impl From<&Failure> for Trouble {
    fn from(failure: &Failure) -> Self {
        Self {
            reason: failure.reason.as_str().into(),
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

fn of_word<'de, D: Deserializer<'de>>(from: D) -> Result<Condition, D::Error> {
    one_of(from, Condition::ALL, Condition::as_str)
}

fn kind_of_word<'de, D: Deserializer<'de>>(from: D) -> Result<TargetKind, D::Error> {
    one_of(from, TargetKind::ALL, TargetKind::as_str)
}

fn one_of<'de, D: Deserializer<'de>, T: Copy>(
    from: D,
    all: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(from)?;
    let found = all.iter().find(|one| word(**one) == text);
    found
        .copied()
        .ok_or_else(|| D::Error::custom("unknown word"))
}
