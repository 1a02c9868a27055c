//! What may be and what may happen in one exploration.

use std::time::Duration;

use crate::decide::missing::{DeletionPolicy, Gone, OnMissing};
use crate::names::AccountId;

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) interval: Duration,
    /// Of each source.
    pub(super) on_missing: Vec<OnMissing>,
    /// Of each target.
    pub(super) policies: Vec<DeletionPolicy>,
    /// How many minutes may pass between two runs.
    pub(super) steps: Vec<u64>,
    /// What a source may answer.
    pub(super) answers: Vec<Answer>,
    pub(super) crowd: Crowd,
}

impl Setting {
    /// How many targets all entries have.
    pub(super) fn targets(&self) -> usize {
        match self.crowd {
            Crowd::Alone => self.policies.len(),
            Crowd::TwoRemovedNow => self.policies.len() + OTHERS.len(),
        }
    }
}

/// What other entries do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowd {
    Alone,
    TwoRemovedNow,
}

/// Targets of other entries.
pub(super) const OTHERS: [u8; 2] = [100, 101];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Value,
    NotFound,
    /// With other credentials.
    NotFoundForAnother,
    /// With credentials of which nobody knows the account.
    NotFoundForNobody,
    PendingDeletion,
    NoValue,
    NoLongerMatches,
    /// Anything else.
    Trouble,
}

impl Answer {
    pub(super) const ALL: &[Answer] = &[
        Self::Value,
        Self::NotFound,
        Self::NotFoundForAnother,
        Self::NotFoundForNobody,
        Self::PendingDeletion,
        Self::NoValue,
        Self::NoLongerMatches,
        Self::Trouble,
    ];

    pub(super) fn gone(self) -> Option<Gone> {
        match self {
            Self::NotFound | Self::NotFoundForAnother | Self::NotFoundForNobody => {
                Some(Gone::NotFound)
            }
            Self::PendingDeletion => Some(Gone::PendingDeletion),
            Self::NoValue => Some(Gone::NoValue),
            Self::NoLongerMatches => Some(Gone::NoLongerMatches),
            Self::Value | Self::Trouble => None,
        }
    }

    pub(super) fn account(self) -> Option<AccountId> {
        let digits = match self {
            Self::NotFoundForNobody => return None,
            Self::NotFoundForAnother => "222222222222",
            Self::Value
            | Self::NotFound
            | Self::PendingDeletion
            | Self::NoValue
            | Self::NoLongerMatches
            | Self::Trouble => "111111111111",
        };
        Some(AccountId::new(digits).unwrap())
    }
}

/// Time passes, perhaps a person releases what is held, and every source answers.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) minutes: u64,
    pub(super) release: bool,
    pub(super) answers: Vec<Answer>,
}
