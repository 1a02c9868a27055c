//! What the audit says of a target that was written: which version, and why. Never a value, nor what it can be told by.

use super::super::entries::TargetState;
use crate::decide::Effect;
use crate::decide::change::Version;
use crate::store::{Identity, Read};
use crate::sync::SeenVersion;

/// Why a target was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing is known to have been delivered to it.
    FirstSight,
    NewVersion,
    /// Somebody else wrote it.
    Drift,
    /// It, or what is behind it, failed last time.
    Retry,
    /// Something that its content came from is not there any more.
    Gone,
    /// It was away because all that it is made of was.
    Returned,
    /// The same versions make other content than before.
    Config,
}

impl Cause {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::FirstSight => "first_sight",
            Self::NewVersion => "new_version",
            Self::Drift => "drift",
            Self::Retry => "retry",
            Self::Gone => "gone",
            Self::Returned => "returned",
            Self::Config => "config",
        }
    }
}

/// One change to a target.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) effect: Effect,
    pub(super) cause: Cause,
    /// The newest version in it, where the store has names for versions.
    pub(super) version: Option<String>,
    /// How many reads it is made of.
    pub(super) reads: usize,
    /// Who changed what was put back, where that is known.
    pub(super) others: Option<String>,
}

impl Written {
    /// `target` is as it was before.
    pub(super) fn new(effect: Effect, target: &TargetState, seen: &[(Read, SeenVersion)]) -> Self {
        let versions = seen.iter().map(|(_, seen)| &seen.version);
        Self {
            effect,
            cause: cause(effect, target, seen),
            version: newest(versions),
            reads: seen.len(),
            others: None,
        }
    }

    /// It went with what it was made of.
    pub(super) fn gone(effect: Effect, target: &TargetState) -> Self {
        Self {
            effect,
            cause: Cause::Gone,
            version: newest(target.delivered.values()),
            reads: target.delivered.len(),
            others: None,
        }
    }

    /// Without a new look at the sources.
    pub(super) fn put_back(effect: Effect, target: &TargetState) -> Self {
        Self {
            effect,
            cause: Cause::Drift,
            version: newest(target.delivered.values()),
            reads: target.delivered.len(),
            others: None,
        }
    }
}

fn cause(effect: Effect, target: &TargetState, seen: &[(Read, SeenVersion)]) -> Cause {
    let is_new = |(read, seen): &(Read, SeenVersion)| {
        let held = target.delivered.get(read);
        held.is_none_or(|held| held.identity != seen.version.identity)
    };
    let is_there = |read: &Read| seen.iter().any(|(seen, _)| seen == read);
    match effect {
        Effect::Repaired(_) => Cause::Drift,
        Effect::Deleted | Effect::Away => Cause::Gone,
        Effect::Unchanged | Effect::Created | Effect::Updated => {
            if target.away.is_some() {
                Cause::Returned
            } else if target.trouble.is_some() {
                Cause::Retry
            } else if target.delivered.is_empty() {
                Cause::FirstSight
            } else if seen.iter().any(is_new) {
                Cause::NewVersion
            } else if !target.delivered.keys().all(is_there) {
                Cause::Gone
            } else {
                Cause::Config
            }
        }
    }
}

fn newest<'a>(versions: impl Iterator<Item = &'a Version>) -> Option<String> {
    let named = versions.filter_map(|version| Some((version.created, name_of(&version.identity)?)));
    named.max().map(|(_, name)| name)
}

/// A fingerprint is none: whoever has the key could try values against it.
fn name_of(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Version { version_id, .. } => Some(version_id.to_string()),
        Identity::Parameter { version, .. } => Some(version.to_string()),
        Identity::Fingerprint(_) | Identity::Arns(_) => None,
    }
}
