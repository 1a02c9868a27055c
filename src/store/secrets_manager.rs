//! AWS Secrets Manager: values in batches where that is possible and alone where not, tags, and lists.
//!
//! In single reads the stage is always sent, also when it is `AWSCURRENT`: IAM conditions on the stage only match what
//! was sent (API reference, `secretsmanager:VersionStage`). Batches cannot send one, and are refused there.

mod answer;
mod batch;
mod find;
mod refusal;
mod single;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_secretsmanager::Client;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::account::Account;
use super::apart::Apart;
use super::aws_call::Caller;
use super::witness::Witness;
use super::{Fetched, Lane, Read, all};
use crate::aws::{Upstream, UpstreamId};
use crate::config::{self, Fetch, Source, Version};
use crate::failure::Failure;
use crate::names::{AccountId, RemoteKey, StoreName};
use crate::report::{Reporter, StoreOperation};
use crate::secret::FingerprintKey;

/// What AWS takes in one batch (API reference, `BatchGetSecretValue`).
const BATCH: usize = 20;

#[derive(Debug)]
pub struct SecretsManager {
    pub(super) caller: Caller,
    fetch: Fetch,
    key: FingerprintKey,
    /// Made by the first call, so that finding a region delays nobody else.
    opened: OnceCell<Opened>,
    /// What batches do not answer.
    apart: Mutex<Apart<RemoteKey>>,
    account: Account,
    pub(super) witness: Witness,
}

#[derive(Debug)]
struct Opened {
    client: Client,
    region: String,
}

impl SecretsManager {
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
            caller: Caller {
                name,
                upstream,
                reporter,
                endpoint_url: spec.endpoint_url,
            },
            key,
            opened: OnceCell::new(),
            apart: Mutex::default(),
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
        let usual = self.usual_lane(read);
        let (StoreOperation::BatchGetSecretValue, Source::Value { key, .. }) =
            (usual.operation, &read.source)
        else {
            return usual;
        };
        if self.caller.upstream.takes_batches(now) && !self.apart().holds(key, now) {
            return usual;
        }
        Lane {
            operation: StoreOperation::GetSecretValue,
            size: 1,
        }
    }

    /// How it travels where nothing stands against it.
    pub fn usual_lane(&self, read: &Read) -> Lane {
        let alone = |operation| Lane { operation, size: 1 };
        match &read.source {
            Source::Value {
                version: Version::Current,
                ..
            } if self.fetch == Fetch::Auto => Lane {
                operation: StoreOperation::BatchGetSecretValue,
                size: BATCH,
            },
            Source::Value { .. } => alone(StoreOperation::GetSecretValue),
            Source::Metadata { .. } => alone(StoreOperation::DescribeSecret),
            Source::Find(_) => alone(StoreOperation::ListSecrets),
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
        if operation == StoreOperation::BatchGetSecretValue {
            return self.batch(opened, reads).await;
        }
        let mut fetched = Vec::with_capacity(reads.len());
        for read in reads {
            let result = match &read.source {
                Source::Value { key, version } => self.value(opened, &read, (key, version)).await,
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

    fn apart(&self) -> MutexGuard<'_, Apart<RemoteKey>> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
