//! AWS Systems Manager Parameter Store: values in batches of ten where that is possible and alone where not, tags, and
//! what lies below a path.
//!
//! A name carries its version or label with it (`name:3`), in a batch and alone, so every value may travel with others.

mod answer;
mod asked;
mod batch;
mod find;
mod refusal;
mod refused;
mod single;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_ssm::Client;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::asked::Asked;
use self::refused::Refused;
use super::account::Account;
use super::apart::Apart;
use super::aws_call::Caller;
use super::witness::Witness;
use super::{Fetched, Lane, Read, all};
use crate::aws::{Upstream, UpstreamId};
use crate::config::{self, Fetch, Source};
use crate::failure::{Failure, Reason};
use crate::names::{AccountId, StoreName};
use crate::report::{Reporter, StoreOperation};
use crate::secret::FingerprintKey;

/// What AWS takes in one batch (API reference, `GetParameters`).
const BATCH: usize = 10;

#[derive(Debug)]
pub struct ParameterStore {
    pub(super) caller: Caller,
    fetch: Fetch,
    key: FingerprintKey,
    /// Made by the first call, so that finding a region delays nobody else.
    opened: OnceCell<Opened>,
    together: Mutex<Together>,
    account: Account,
    pub(super) witness: Witness,
    sts_endpoint_url: Option<String>,
}

/// What is known of how parameters travel, by the name that is sent.
#[derive(Debug, Default)]
struct Together {
    /// What batches do not answer.
    apart: Apart<String>,
    /// Batches that AWS refused as a whole.
    refused: Refused,
}

#[derive(Debug)]
struct Opened {
    client: Client,
    region: String,
}

impl ParameterStore {
    pub fn new(
        name: StoreName,
        spec: config::AwsStore,
        (upstream, key): (Arc<Upstream>, FingerprintKey),
        reporter: Reporter,
    ) -> Self {
        Self {
            fetch: spec.fetch,
            account: Account::of(&spec),
            witness: Witness::of(&spec),
            sts_endpoint_url: spec.auth.sts_endpoint_url,
            caller: Caller {
                name,
                upstream,
                reporter,
                endpoint_url: spec.endpoint_url,
            },
            key,
            opened: OnceCell::new(),
            together: Mutex::default(),
        }
    }

    /// Whose secrets it has answered with.
    pub fn account(&self) -> Option<AccountId> {
        self.account.proven()
    }

    pub fn upstream(&self) -> UpstreamId {
        self.caller.upstream.id
    }

    pub fn lane(&self, read: &Read, now: Instant) -> Lane {
        let alone = |operation| Lane { operation, size: 1 };
        match &read.source {
            Source::Value { key, version } => self.value_lane(&Asked { key, version }.sent(), now),
            Source::Metadata { .. } => alone(StoreOperation::ListTagsForResource),
            Source::Find(find) => alone(find::operation(find)),
        }
    }

    /// How it travels where nothing stands against it.
    pub fn usual_lane(&self, read: &Read) -> Lane {
        match (&read.source, self.fetch) {
            (Source::Value { .. }, Fetch::Auto) => Lane {
                operation: StoreOperation::GetParameters,
                size: BATCH,
            },
            (Source::Value { .. }, Fetch::Single) => Lane {
                operation: StoreOperation::GetParameter,
                size: 1,
            },
            (Source::Metadata { .. }, _) => Lane {
                operation: StoreOperation::ListTagsForResource,
                size: 1,
            },
            (Source::Find(find), _) => Lane {
                operation: find::operation(find),
                size: 1,
            },
        }
    }

    fn value_lane(&self, name: &String, now: Instant) -> Lane {
        let together = self.together();
        let waits = together.apart.holds(name, now);
        let size = match together.apart.failure(name) {
            None if waits => None,
            None => Some(BATCH),
            // It would have a whole batch refused again: it tries that by itself.
            Some(Reason::AccessDenied | Reason::Kms) => Some(1).filter(|_| !waits),
            // No batch would say what is wrong with it.
            Some(_) => None,
        };
        let batches = self.fetch == Fetch::Auto && self.caller.upstream.takes_batches(now);
        match size.filter(|_| batches) {
            Some(size) => Lane {
                operation: StoreOperation::GetParameters,
                size,
            },
            None => Lane {
                operation: StoreOperation::GetParameter,
                size: 1,
            },
        }
    }

    pub fn turn(&self, operation: StoreOperation, now: Instant) -> Result<(), Instant> {
        self.caller.upstream.turn(operation, now)
    }

    pub async fn fetch(&self, operation: StoreOperation, reads: Vec<Read>) -> Vec<(Read, Fetched)> {
        let opened = match self.opened.get_or_try_init(|| self.open()).await {
            Ok(opened) => opened,
            Err(failure) => return all(reads, &failure),
        };
        if operation == StoreOperation::GetParameters {
            return self.batch(opened, reads).await;
        }
        let mut fetched = Vec::with_capacity(reads.len());
        for read in reads {
            let result = match &read.source {
                Source::Value { key, version } => self.value(opened, Asked { key, version }).await,
                Source::Metadata { key } => self.tags(opened, key).await,
                Source::Find(find) => self.list(opened, find).await,
            };
            fetched.push((read, Fetched::Done(result)));
        }
        fetched
    }

    async fn open(&self) -> Result<Opened, Failure> {
        let config = self.caller.sdk_config().await?;
        Ok(Opened {
            client: Client::new(&config),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
        })
    }

    fn together(&self) -> MutexGuard<'_, Together> {
        self.together.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
