//! What went wrong, as a situation a person can act on.
//!
//! A [`Failure`] is made once, at the boundary where it arises (a store, assemble, a target), from facts and our own
//! sentences. No library's or server's text is ever put into one: those quote values.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::names::AccountId;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal, $retry:ident, $help:literal;)*) => {
        /// Why something failed. The closed set: label of metrics, word in logs and status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The word for it in metrics, logs and `/status`.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $label,)* }
            }

            /// How soon it is worth trying again.
            pub fn retry(self) -> Retry {
                match self { $(Reason::$name => Retry::$retry,)* }
            }

            /// What to do about it where the failure itself does not know better.
            pub fn help(self) -> &'static str {
                match self { $(Reason::$name => $help,)* }
            }
        }
    };
}

impl Reason {
    /// Of a write: whoever keeps the target, or we for its sake, did not let it happen. Else it was tried and broke, or
    /// it never came to that.
    pub fn is_refusal(self) -> bool {
        match self {
            Reason::AccessDenied
            | Reason::Conflict
            | Reason::Invalid
            | Reason::TargetDenied
            | Reason::TargetMissing
            | Reason::TooLarge => true,
            Reason::NotFound
            | Reason::NoValue
            | Reason::PendingDeletion
            | Reason::Kms
            | Reason::Throttled
            | Reason::Credentials
            | Reason::Clock
            | Reason::Network
            | Reason::Timeout
            | Reason::Malformed
            | Reason::Template
            | Reason::Io
            | Reason::Action
            | Reason::Panic => false,
        }
    }
}

/// Which of the two retry rules holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may pass by itself: backoff from 1 s to min(interval, 5 min).
    Soon,
    /// Somebody has to change something: at most one call per min(interval, 1 h).
    Rarely,
}

reasons! {
    NotFound = "not_found", Rarely, "check the key, the region and the account; a secret that was deleted and created again has another ARN";
    NoValue = "no_value", Soon, "the secret exists but has no value under that version or label yet; put a value or wait for the rotation to finish";
    PendingDeletion = "pending_deletion", Rarely, "restore the secret before its deletion date, or remove this entry";
    AccessDenied = "access_denied", Rarely, "grant the action to the identity this store uses";
    Kms = "kms", Rarely, "grant kms:Decrypt on the secret's key to the identity this store uses, and check that the key is enabled";
    Throttled = "throttled", Soon, "the account's request quota is used up, perhaps by others; it is tried again by itself";
    Credentials = "credentials", Soon, "check the credentials of this store or cluster; they are missing, expired or not accepted";
    Clock = "clock", Soon, "set this machine's clock; signatures are refused when it is minutes off";
    Network = "network", Soon, "check that the endpoint is reachable from this machine: name resolution, routes, firewalls, proxies";
    Timeout = "timeout", Soon, "the endpoint does not answer in time; check the network path and the endpoint's health";
    Malformed = "malformed", Soon, "the answer is not what was asked for; look for a proxy or a wrong endpoint in between";
    Invalid = "invalid", Rarely, "change the entry or the secret so that they fit each other";
    Template = "template", Rarely, "correct the template";
    TargetMissing = "target_missing", Soon, "create what the target needs, or correct the name";
    Conflict = "conflict", Rarely, "the target belongs to somebody else; choose another target, remove it, or set `adopt = true`";
    TargetDenied = "target_denied", Rarely, "grant the permission to the identity that writes the target";
    TooLarge = "too_large", Rarely, "deliver less: select properties, or split the entry";
    Io = "io", Soon, "check the path, its file system and its permissions";
    Action = "action", Soon, "run the action by hand to see why it fails";
    Panic = "panic", Soon, "this is a bug in secretsyncd; please report it with the log line that names the place";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One failure: its reason, the fact in our own words (no value, no foreign text), and the next step. As small as can be:
/// thousands of entries and targets have room for one and have none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.fact)]
pub struct Failure(Box<Parts>);

/// What a [`Failure`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    pub reason: Reason,
    pub fact: String,
    help: Option<Cow<'static, str>>,
    /// Set where a shorter or longer wait than the reason's own is known to be right (a server's `Retry-After`).
    pub retry_after: Option<Duration>,
    /// Where it says that an ARN is gone: its account, if that is known to have been told so. Else it proves nothing.
    pub witness: Option<AccountId>,
}

impl Deref for Failure {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl Failure {
    pub fn new(reason: Reason, fact: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            reason,
            fact: fact.into(),
            help: None,
            retry_after: None,
            witness: None,
        }))
    }

    /// Replaces the reason's general advice by a better one.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The advice that it has besides its reason's.
    pub fn own_help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// What to do next.
    pub fn help(&self) -> &str {
        self.help.as_deref().unwrap_or_else(|| self.reason.help())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The README's sentences are the program's, every reason in its order.
    #[test]
    fn the_readme_says_what_the_program_says() {
        let readme = include_str!("../README.md");
        let (_, section) = readme.split_once("\n## What to do when\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows: Vec<&str> = section.lines().filter(|it| it.starts_with("| `")).collect();
        let row = |reason: &Reason| {
            let again = match reason.retry() {
                Retry::Soon => "5 min",
                Retry::Rarely => "1 h",
            };
            format!("| `{reason}` | {again} | {} |", reason.help())
        };
        let wanted: Vec<String> = Reason::ALL.iter().map(row).collect();
        assert_eq!(rows, wanted);
    }
}
