//! AWS Secrets Manager: values in batches where that is possible and alone where not, tags, and lists.
//!
//! In single reads the stage is always sent, also when it is `AWSCURRENT`: IAM conditions on the stage only match what
//! was sent (API reference, `secretsmanager:VersionStage`). Batches cannot send one, and are refused there.

mod answer;
mod apart;
mod batch;
mod find;
mod refusal;
mod single;

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_secretsmanager::Client;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::apart::Apart;
use super::{Fetched, Lane, Read};
use crate::aws::{self, Guard, Trouble, Upstream, UpstreamId};
use crate::config::{self, Fetch, Source, Version};
use crate::failure::{Failure, Reason};
use crate::names::{AccountId, StoreName};
use crate::report::{Fact, Reporter, RequestCode, StoreOperation};
use crate::secret::FingerprintKey;

/// What AWS takes in one batch (API reference, `BatchGetSecretValue`).
const BATCH: usize = 20;

#[derive(Debug)]
pub struct SecretsManager {
    name: StoreName,
    spec: config::AwsStore,
    upstream: Arc<Upstream>,
    key: FingerprintKey,
    reporter: Reporter,
    /// Made by the first call, so that finding a region delays nobody else.
    opened: OnceCell<Opened>,
    /// What batches do not answer.
    apart: Mutex<Apart>,
    /// Whose secrets these are: as configured, as the role says, or as the first answer said.
    account: Mutex<Option<AccountId>>,
}

#[derive(Debug)]
struct Opened {
    client: Client,
    region: String,
}

/// One call as it ended: the label, and what there is or what went wrong.
type Ended<T> = (RequestCode, Result<T, Trouble>);

impl SecretsManager {
    pub fn new(
        name: StoreName,
        spec: config::AwsStore,
        (upstream, key): (Arc<Upstream>, FingerprintKey),
        reporter: Reporter,
    ) -> Self {
        let account = spec.account.clone().or_else(|| spec.auth.account());
        Self {
            name,
            spec,
            upstream,
            key,
            reporter,
            opened: OnceCell::new(),
            apart: Mutex::default(),
            account: Mutex::new(account),
        }
    }

    pub fn upstream(&self) -> UpstreamId {
        self.upstream.id
    }

    pub fn lane(&self, read: &Read, now: Instant) -> Lane {
        let alone = |operation| Lane { operation, size: 1 };
        match &read.source {
            Source::Value {
                key,
                version: Version::Current,
            } => {
                let together = self.spec.fetch == Fetch::Auto
                    && self.upstream.takes_batches(now)
                    && !self.apart().holds(key, now);
                if together {
                    Lane {
                        operation: StoreOperation::BatchGetSecretValue,
                        size: BATCH,
                    }
                } else {
                    alone(StoreOperation::GetSecretValue)
                }
            }
            Source::Value { .. } => alone(StoreOperation::GetSecretValue),
            Source::Metadata { .. } => alone(StoreOperation::DescribeSecret),
            Source::Find(_) => alone(StoreOperation::ListSecrets),
        }
    }

    pub fn turn(&self, operation: StoreOperation, now: Instant) -> Result<(), Instant> {
        self.upstream.turn(operation, now)
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
        let session = self.upstream.session().await?;
        let mut config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws::behavior())
            .region(session.region.clone())
            .credentials_provider(session.credentials)
            .identity_cache(aws::no_identity_cache())
            .http_client(session.http_client)
            .timeout_config(aws::timeouts())
            .retry_config(aws::retries());
        if let Some(url) = &self.spec.endpoint_url {
            tracing::info!(store = %self.name, endpoint = %url, "a configured endpoint is used in place of AWS's own");
            config = config.endpoint_url(url);
        }
        Ok(Opened {
            client: Client::from_conf(config.build()),
            region: session.region.to_string(),
        })
    }

    /// Makes one call, and once more where AWS refused the credentials and there are new ones.
    async fn call<T, E, F>(&self, operation: StoreOperation, send: impl Fn(Guard) -> F) -> Ended<T>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let ended = self.call_once(operation, &send).await;
        // A pair of keys of which one half was replaced is refused like a clock that is off.
        let refused = matches!(&ended, (RequestCode::Status(_), Err(Trouble::Shared(failure)))
            if matches!(failure.reason, Reason::Credentials | Reason::Clock));
        if refused && self.upstream.login().rejected().await {
            return self.call_once(operation, &send).await;
        }
        ended
    }

    async fn call_once<T, E, F>(
        &self,
        operation: StoreOperation,
        send: &impl Fn(Guard) -> F,
    ) -> Ended<T>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let started = Instant::now();
        let guard = Guard::new(Arc::clone(&self.upstream), operation);
        let ended = match send(guard).await {
            Ok(output) => (RequestCode::Status(200), Ok(output)),
            Err(error) => {
                let (code, trouble) = aws::trouble::classify(&error);
                (code, Err(self.placed(trouble)))
            }
        };
        self.reporter.record(&Fact::StoreRequest {
            store: &self.name,
            operation,
            code: ended.0,
            took: started.elapsed(),
        });
        ended
    }

    /// Names the endpoint where it is not AWS's own and cannot be reached.
    fn placed(&self, trouble: Trouble) -> Trouble {
        match (trouble, &self.spec.endpoint_url) {
            (Trouble::Shared(failure), Some(url)) if failure.reason == Reason::Network => {
                let fact = format!("{} ({url})", failure.fact);
                Trouble::Shared(Failure::new(Reason::Network, fact))
            }
            (trouble, _) => trouble,
        }
    }

    fn apart(&self) -> std::sync::MutexGuard<'_, Apart> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an answer of this account is believed; the first one is, where nothing else says whose secrets these are.
    fn is_ours(&self, account: &str) -> Result<(), Failure> {
        let mut ours = self.account.lock().unwrap_or_else(PoisonError::into_inner);
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
}

/// The same end for every read of a call.
fn all(reads: Vec<Read>, failure: &Failure) -> Vec<(Read, Fetched)> {
    let failed = |read| (read, Fetched::Done(Err(failure.clone())));
    reads.into_iter().map(failed).collect()
}
