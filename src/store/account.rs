//! Whose secrets a store reads: as configured, as the role says, or as the first answer said.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::AwsStore;
use crate::failure::{Failure, Reason};
use crate::names::AccountId;

#[derive(Debug)]
pub(super) struct Account(Mutex<Option<AccountId>>);

impl Account {
    pub(super) fn of(spec: &AwsStore) -> Self {
        Self(Mutex::new(
            spec.account.clone().or_else(|| spec.auth.account()),
        ))
    }

    pub(super) fn known(&self) -> Option<AccountId> {
        self.lock().clone()
    }

    /// Whether an answer of this account is believed; the first one is, where nothing else says whose secrets these are.
    pub(super) fn is_ours(&self, account: &str) -> Result<(), Failure> {
        let mut ours = self.lock();
        match ours.as_ref() {
            Some(known) if known.as_str() == account => Ok(()),
            Some(known) => Err(Failure::new(
                Reason::Malformed,
                format!("an answer comes from another account than {known}"),
            )
            .with_help(
                "see whose credentials this store uses; `account` in the store's table says which account is right",
            )),
            None => {
                *ours = AccountId::new(account).ok();
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<AccountId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
