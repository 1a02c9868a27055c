//! Whose secrets a store reads: as configured, as the role says, or as the first answer said.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::AwsStore;
use crate::failure::{Failure, Reason};
use crate::names::AccountId;

#[derive(Debug)]
pub(super) struct Account {
    /// What the configuration says, or else its role.
    expected: Option<AccountId>,
    /// What was answered: with a role's credentials, by STS; else by the store itself.
    proven: Mutex<Option<AccountId>>,
}

impl Account {
    pub(super) fn of(spec: &AwsStore) -> Self {
        // STS gave out the role's credentials only as those of its account.
        let role = spec.auth.account();
        Self {
            expected: spec.account.clone().or_else(|| role.clone()),
            proven: Mutex::new(role),
        }
    }

    pub(super) fn expected(&self) -> Option<&AccountId> {
        self.expected.as_ref()
    }

    pub(super) fn proven(&self) -> Option<AccountId> {
        self.lock().clone()
    }

    /// Whether an answer of this account is believed: the first one is, where nothing else says whose secrets these are.
    pub(super) fn agrees(&self, account: &str) -> Result<(), Failure> {
        let proven = self.lock();
        let against = |known: &Option<AccountId>| {
            known
                .as_ref()
                .filter(|known| known.as_str() != account)
                .cloned()
        };
        match against(&self.expected).or_else(|| against(&proven)) {
            None => Ok(()),
            Some(known) => Err(Failure::new(
                Reason::Malformed,
                format!("an answer comes from another account than {known}"),
            )
            .with_help(
                "see whose credentials this store uses; `account` in the store's table says which account is right",
            )),
        }
    }

    /// An answer of this account was right in all else.
    pub(super) fn learn(&self, account: &str) {
        let mut proven = self.lock();
        if proven.is_none() {
            *proven = AccountId::new(account).ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<AccountId>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
