//! What `/status`, `status`, `sync` and `once` show: every entry and target, how it stands and what to do. Never a value.
//!
//! A command may be of another release than the daemon that answers it: it passes over fields that it does not know, and
//! does without those that were added after the first release.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::failure::Failure;
use crate::report::{Condition, TargetKind};

/// Rises when a field changes its meaning or goes; new fields do not count.
pub const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: u32,
    /// RFC 3339: when this was said.
    #[serde(default = "crate::clock::now")]
    pub at: Timestamp,
    /// Of the daemon.
    #[serde(default)]
    pub release: String,
    pub instance: String,
    /// Null where the configuration is the one from the start.
    pub reload: Option<ReloadStatus>,
    /// Null where no Lease is configured: this machine alone writes.
    #[serde(default)]
    pub leader: Option<LeaderStatus>,
    /// Clusters that nothing is asked of but a probe.
    #[serde(default)]
    pub paused_clusters: Vec<PausedCluster>,
    /// The same of stores.
    #[serde(default)]
    pub paused_stores: Vec<PausedStore>,
    /// Removals that the brake holds.
    #[serde(default)]
    pub held: Vec<Held>,
    pub entries: Vec<EntryStatus>,
}

/// Who writes to Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderStatus {
    /// Whether this machine does.
    pub leads: bool,
    /// What this machine is called.
    pub identity: String,
    /// `cluster/namespace/name`
    pub lease: String,
    /// Who holds it; null where that is not known or cannot be shown.
    pub holder: Option<String>,
    /// Why the Lease cannot be had, or be read.
    pub error: Option<Trouble>,
}

/// A cluster whose trouble is everybody's there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedCluster {
    pub cluster: String,
    /// RFC 3339.
    pub since: Timestamp,
    pub next_probe: Timestamp,
    pub error: Trouble,
}

/// A store whose trouble is that of all who read there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedStore {
    pub store: String,
    /// RFC 3339.
    pub since: Timestamp,
    pub next_probe: Timestamp,
    pub error: Trouble,
}

/// How the last reload ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReloadStatus {
    pub at: Timestamp,
    pub successful: bool,
    /// Why the configuration from before goes on.
    pub error: Option<String>,
    /// The next step.
    #[serde(default)]
    pub help: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EntryStatus {
    pub name: String,
    pub store: String,
    #[serde(serialize_with = "word", deserialize_with = "of_word")]
    pub state: Condition,
    /// How often it is read, in seconds.
    #[serde(default)]
    pub refresh_interval_seconds: u64,
    /// RFC 3339: when the newest version was made that a target holds. Null where its store does not say.
    #[serde(default)]
    pub version_created: Option<Timestamp>,
    /// When a version was made that is known and not in every target. Null while all targets hold what is known.
    #[serde(default)]
    pub undelivered_version_created: Option<Timestamp>,
    /// RFC 3339; null for what never happened.
    pub last_success: Option<Timestamp>,
    pub next_sync: Option<Timestamp>,
    pub error: Option<Trouble>,
    /// It is pending because some of its targets wait for a namespace, and nothing else is to be done.
    #[serde(default)]
    pub waits: bool,
    pub targets: Vec<TargetStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetStatus {
    #[serde(serialize_with = "kind_word", deserialize_with = "kind_of_word")]
    pub kind: TargetKind,
    /// A path, `cluster/namespace/name`, or `cluster/{selector}/name` while that finds no namespace.
    pub target: String,
    #[serde(serialize_with = "word", deserialize_with = "of_word")]
    pub state: Condition,
    /// RFC 3339: since when it is away, because all that it was made of is. Null while it is there.
    #[serde(default)]
    pub removed_since: Option<Timestamp>,
    /// It is not this machine's turn to write it: pending, and not counted.
    #[serde(default)]
    pub waits: bool,
    /// What has to run for its last change. Null while nothing has.
    #[serde(default)]
    pub action: Option<ActionStatus>,
    pub error: Option<Trouble>,
}

/// An action that has not run for the last change, or that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionStatus {
    pub kind: Cow<'static, str>,
    /// What it does, without arguments.
    pub action: String,
    /// RFC 3339.
    pub pending_since: Timestamp,
    /// Why it failed when it last ran.
    pub error: Option<Trouble>,
}

impl EntryStatus {
    /// How what counts of it stands; `None` where nothing does.
    pub fn counted(&self) -> Option<Condition> {
        if self.waits {
            return None;
        }
        if self.targets.iter().all(|target| !target.waits) {
            return Some(self.state);
        }
        let counted = self.targets.iter().filter(|target| !target.waits);
        counted.map(|target| target.state).min()
    }
}

/// A target that was delivered to, and that no entry writes any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    #[serde(serialize_with = "kind_word", deserialize_with = "kind_of_word")]
    pub kind: TargetKind,
    /// A path, or `cluster/namespace/name`.
    pub target: String,
    /// The last one that had it.
    pub entry: String,
    /// RFC 3339; null where that is not known.
    pub since: Option<Timestamp>,
    /// It is a directory: what we made in it may go, the directory itself stays.
    #[serde(default)]
    pub set: bool,
    pub fate: OrphanFate,
}

/// What `prune --apply` does to an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanFate {
    Delete,
    /// The keys that are ours go; the Secret is somebody else's.
    GiveBack,
    /// It is forgotten and stays: nothing of ours deletes it.
    Release,
    /// Its cluster is not configured.
    NoCluster,
}

/// Removals of an entry that the brake holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub entry: String,
    /// Paths, or `cluster/namespace/name`.
    pub targets: Vec<String>,
}

/// What is left behind and what is held, and what `prune --apply` made of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Leftovers {
    pub orphans: Vec<Orphan>,
    pub held: Vec<Held>,
    /// What was done, of what was asked for.
    pub pruned: Vec<PrunedOrphan>,
    /// Entries of which something was held and may go now.
    pub released: Vec<String>,
    /// Names under which nothing is left or held.
    pub unknown: Vec<String>,
    /// Why nothing was done in clusters of what was asked for: another machine leads.
    #[serde(default)]
    pub standby: Option<Trouble>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PrunedOrphan {
    pub target: String,
    pub entry: String,
    /// As of an [`Orphan`].
    #[serde(default)]
    pub set: bool,
    pub end: PruneEnd,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneEnd {
    Deleted,
    GivenBack,
    Released,
    /// It was not there any more.
    AlreadyGone,
    /// By the brake.
    Held,
    Failed(Trouble),
}

/// What came of taking over what others wrote.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Adoption {
    pub targets: Vec<AdoptedTarget>,
    /// Names of which there is neither an entry nor a target.
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdoptedTarget {
    /// A path, or `cluster/namespace/name`.
    pub target: String,
    pub entry: String,
    pub end: AdoptEnd,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptEnd {
    /// The next delivery replaces it.
    Taken,
    /// It is ours already.
    Ours,
    /// There is nothing to take over.
    Absent,
    Refused(Trouble),
}

/// A failure as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
