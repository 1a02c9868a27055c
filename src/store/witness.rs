//! Who was told that something is not there. Any other account is told "not found" of an ARN that exists, so that
//! answer is proof only to the account that the ARN names.

use std::time::Duration;

use tokio::time::timeout;

use super::aws_call::Caller;
use super::{Fetched, Read};
use crate::aws::identity;
use crate::config::{AwsStore, Source};
use crate::failure::{Failure, Reason};
use crate::names::AccountId;

/// What is waited for STS; without its word nothing is proven, and everything else goes on.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Witness {
    /// Whose credentials a role gives.
    role: Option<AccountId>,
    sts_endpoint_url: Option<String>,
}

impl Witness {
    pub(super) fn of(spec: &AwsStore) -> Self {
        Self {
            role: spec.auth.account(),
            sts_endpoint_url: spec.auth.sts_endpoint_url.clone(),
        }
    }

    /// Notes in each failure that says so of an ARN who was told it, where that is its own account.
    pub(super) async fn note(
        &self,
        caller: &Caller,
        mut fetched: Vec<(Read, Fetched)>,
    ) -> Vec<(Read, Fetched)> {
        let mut asked: Option<Option<AccountId>> = None;
        for (read, fetched) in &mut fetched {
            let Fetched::Done(Err(failure)) = fetched else {
                continue;
            };
            let Some(owner) = owner(read) else {
                continue;
            };
            // AWS says these only of what is there.
            let is_there = [Reason::PendingDeletion, Reason::NoValue].contains(&failure.reason);
            if failure.reason == Reason::NotFound && asked.is_none() {
                asked = Some(self.asks_as(caller).await);
            }
            let told = match (is_there, failure.reason == Reason::NotFound) {
                (true, _) => true,
                (false, true) => asked.as_ref().and_then(Option::as_ref) == Some(&owner),
                (false, false) => false,
            };
            if told {
                failure.witness = Some(owner);
            }
        }
        fetched
    }

    async fn asks_as(&self, caller: &Caller) -> Option<AccountId> {
        if self.role.is_some() {
            return self.role.clone();
        }
        let ask = async {
            let session = caller.upstream.session().await?;
            let endpoint = self.sts_endpoint_url.as_deref();
            Box::pin(identity::ask(session, endpoint)).await
        };
        let answered: Result<_, Failure> = timeout(PATIENCE, ask).await.ok()?;
        Some(answered.ok()?.account().clone())
    }
}

/// The account that the key of a read names.
fn owner(read: &Read) -> Option<AccountId> {
    let (Source::Value { key, .. } | Source::Metadata { key }) = &read.source else {
        return None;
    };
    let mut parts = key.as_str().split(':');
    let is_arn = parts.next() == Some("arn");
    let account = parts.nth(3).filter(|_| is_arn)?;
    AccountId::new(account).ok()
}
