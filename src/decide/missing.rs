//! What a missing secret does to what was made of it: the only deciding table.
//!
//! Pure. Nothing goes without positive proof *and* a setting that names it: [`Evidence`] is the proof, [`OnMissing`]
//! and [`DeletionPolicy`] are the settings, [`decide`] is the table.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::{self, Version};
pub use crate::config::{DeletionPolicy, OnMissing};
use crate::failure::Reason;
use crate::names::AccountId;

/// Confirming reads are never closer together than this, however short the interval.
const APART: Duration = Duration::from_mins(10);

/// An answer that says that a secret is not there. Nothing else counts as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gone {
    NotFound,
    PendingDeletion,
    NoValue,
    /// It is there, but its name or tags are no longer what the `find` asks for.
    NoLongerMatches,
}

impl Gone {
    /// What the failure of a read says of the secret that it asked for.
    ///
    /// A version, stage or label that is absent is `no_value` too and never counts as missing, so that reason counts
    /// only where the current value was asked for. No failure of a `find` says that a secret is missing. What a file
    /// store does not hold is missing and is never confirmed: no account asked.
    pub fn of(reason: Reason, asked: &config::Source) -> Option<Self> {
        let current = match asked {
            config::Source::Find(_) => return None,
            config::Source::Metadata { .. } => false,
            config::Source::Value { version, .. } => *version == Version::Current,
        };
        match reason {
            Reason::NotFound => Some(Self::NotFound),
            Reason::PendingDeletion => Some(Self::PendingDeletion),
            Reason::NoValue => current.then_some(Self::NoValue),
            Reason::AccessDenied
            | Reason::Kms
            | Reason::Throttled
            | Reason::Credentials
            | Reason::Clock
            | Reason::Network
            | Reason::Timeout
            | Reason::Malformed
            | Reason::Invalid
            | Reason::Template
            | Reason::TargetMissing
            | Reason::Conflict
            | Reason::TargetDenied
            | Reason::TooLarge
            | Reason::Io
            | Reason::Action
            | Reason::Panic => None,
        }
    }
}

/// What the latest answers about one complete ARN, all alike, add up to.
///
/// Only for an ARN that a value was once read from: a name alone proves nothing, since another account or region
/// answers "not found" to every name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    gone: Gone,
    account: AccountId,
    first: Instant,
    last: Instant,
}

impl Evidence {
    /// Adds the next answer about the same ARN and the account whose credentials asked.
    ///
    /// `None` is every other outcome: a value, an error of another kind, a missing secret where the account that asked
    /// is not known. It forgets everything. Another kind of missing, or another account, begins anew.
    #[must_use]
    pub fn next(
        before: Option<Self>,
        gone: Option<(Gone, AccountId)>,
        now: Instant,
    ) -> Option<Self> {
        let (gone, account) = gone?;
        let first = match before {
            Some(before) if before.gone == gone && before.account == account => before.first,
            Some(_) | None => now,
        };
        Some(Self {
            gone,
            account,
            first,
            last: now,
        })
    }

    /// What was known before a restart. Both times must be by a clock that nobody sets.
    pub fn recalled(gone: Gone, account: AccountId, (first, last): (Instant, Instant)) -> Self {
        Self {
            gone,
            account,
            first,
            last,
        }
    }

    pub fn gone(&self) -> Gone {
        self.gone
    }

    pub fn first(&self) -> Instant {
        self.first
    }

    pub fn last(&self) -> Instant {
        self.last
    }

    /// Whose credentials asked.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Whether the first and the last answer lie at least max(interval, 10 min) apart. One read alone never confirms,
    /// however long ago it was.
    pub fn is_confirmed(&self, interval: Duration) -> bool {
        self.last >= self.confirmed_at(interval)
    }

    /// When the earliest read may be that confirms.
    pub fn confirmed_at(&self, interval: Duration) -> Instant {
        self.first + interval.max(APART)
    }

    /// The proof that this is for an entry of that interval.
    pub fn proof(&self, interval: Duration) -> Proof {
        if self.is_confirmed(interval) {
            Proof::Confirmed
        } else {
            Proof::None
        }
    }
}

/// How one source of an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    There,
    /// Anything that is neither there nor missing.
    Failed,
    Missing {
        gone: Gone,
        proof: Proof,
    },
}

/// What proves that a missing source is not missing by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    None,
    /// [`Evidence::is_confirmed`].
    Confirmed,
    /// Confirmed, and held by the brake: as good as none until it is released.
    Held,
    /// It was never read by us, and no target holds any of its keys. Counts only for [`Gone::NotFound`].
    NeverThere,
}

/// A source and what its configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub standing: Standing,
    pub on_missing: OnMissing,
}

/// What one target may become. Sources are named by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Nothing is written; these are why.
    Nothing { because: Vec<usize> },
    /// Everything that is there is written, with the last values of `kept` and without the others.
    Write {
        /// Left out by `on_missing = "drop"`.
        dropped: Vec<usize>,
        /// Where something was delivered of one of these, and the value read back from the target is not the one that
        /// was delivered, nothing may be written. Where nothing ever was, there is nothing to keep.
        kept: Vec<usize>,
        /// Left out by `deletion_policy = "merge"`.
        removed: Vec<usize>,
        completeness: Completeness,
    },
    /// The target goes: each of its sources is proven gone, and the policy is `delete`.
    DeleteTarget,
}

/// The state of a target once it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completeness {
    Fresh,
    /// Last values stand in for what is missing.
    Partial,
}

/// What the table says of one source.
enum Part {
    There,
    InTheWay,
    Kept,
    Dropped,
    Removed,
}

/// What a missing source does to one target of an entry.
///
/// What it leaves open is decided against removing:
/// - `delete` needs a confirmation of *each* source, whatever `on_missing` is: `drop` and `delete` both name what is
///   to go. A source that never was is not gone: with one of those the target stays.
/// - A set without a key is never written. So when nothing is there and nothing is kept, neither `drop` nor `merge`
///   removes the last keys.
/// - No source at all proves nothing.
pub fn decide(sources: &[Source], policy: DeletionPolicy) -> Verdict {
    if policy == DeletionPolicy::Delete
        && !sources.is_empty()
        && sources.iter().all(|source| source.is_confirmed())
    {
        return Verdict::DeleteTarget;
    }
    let indices = |wanted: fn(&Part) -> bool| -> Vec<usize> {
        let parts = sources.iter().map(|source| part(*source, policy));
        let parts = parts.enumerate().filter(|(_, part)| wanted(part));
        parts.map(|(index, _)| index).collect()
    };
    let in_the_way = indices(|part| matches!(part, Part::InTheWay));
    if !in_the_way.is_empty() {
        return Verdict::Nothing {
            because: in_the_way,
        };
    }
    if sources.iter().all(|source| source.is_blank(policy)) {
        return Verdict::Nothing {
            because: (0..sources.len()).collect(),
        };
    }
    let kept = indices(|part| matches!(part, Part::Kept));
    Verdict::Write {
        dropped: indices(|part| matches!(part, Part::Dropped)),
        removed: indices(|part| matches!(part, Part::Removed)),
        completeness: if kept.is_empty() {
            Completeness::Fresh
        } else {
            Completeness::Partial
        },
        kept,
    }
}

impl Source {
    fn is_confirmed(self) -> bool {
        match self.standing {
            Standing::Missing { proof, .. } => proof == Proof::Confirmed,
            Standing::There | Standing::Failed => false,
        }
    }

    fn never_was(self) -> bool {
        self.standing
            == Standing::Missing {
                gone: Gone::NotFound,
                proof: Proof::NeverThere,
            }
    }

    /// Whether no key can come from it.
    fn is_blank(self, policy: DeletionPolicy) -> bool {
        match part(self, policy) {
            Part::There => false,
            Part::Kept => self.never_was(),
            Part::InTheWay | Part::Dropped | Part::Removed => true,
        }
    }
}

fn part(source: Source, policy: DeletionPolicy) -> Part {
    match source.standing {
        Standing::There => return Part::There,
        Standing::Failed => return Part::InTheWay,
        Standing::Missing { .. } => {}
    }
    let confirmed = source.is_confirmed();
    match (source.on_missing, policy) {
        (OnMissing::Drop, _) if confirmed || source.never_was() => Part::Dropped,
        (OnMissing::Fail | OnMissing::KeepLast, DeletionPolicy::Merge) if confirmed => {
            Part::Removed
        }
        (OnMissing::KeepLast, _) => Part::Kept,
        (OnMissing::Fail | OnMissing::Drop, _) => Part::InTheWay,
    }
}

#[cfg(test)]
mod tests;
