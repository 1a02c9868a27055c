//! One service, as one identity, in one region: what every store that is there shares.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::time::Instant;

use super::login::Login;
use super::region::Place;
use crate::config::{AwsStore, Rates};
use crate::failure::Failure;
use crate::report::StoreOperation;
use crate::schedule::rate::Bucket;

/// A refusal of batches as such may be mended: they are tried again after this long (design, part 2).
const BATCHES_AGAIN: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    SecretsManager,
    ParameterStore,
}

/// Tells upstreams apart; means nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub(super) usize);

#[derive(Debug)]
pub struct Upstream {
    pub id: UpstreamId,
    place: Arc<Place>,
    login: Arc<Login>,
    http_client: SharedHttpClient,
    limits: Mutex<Limits>,
}

/// What a service client is built from.
#[derive(Clone, Debug)]
pub struct Session {
    pub region: Region,
    pub credentials: SharedCredentialsProvider,
    pub http_client: SharedHttpClient,
}

#[derive(Debug)]
struct Limits {
    rates: Rates,
    buckets: BTreeMap<StoreOperation, Bucket>,
    batches_refused: Option<Instant>,
}

impl Upstream {
    pub(super) fn new(
        id: UpstreamId,
        spec: &AwsStore,
        (place, login): (Arc<Place>, Arc<Login>),
        http_client: SharedHttpClient,
    ) -> Self {
        let limits = Limits {
            rates: spec.requests_per_second,
            buckets: BTreeMap::new(),
            batches_refused: None,
        };
        Self {
            id,
            place,
            login,
            http_client,
            limits: Mutex::new(limits),
        }
    }

    /// Of several stores with limits of their own, the lowest hold.
    pub(super) fn join(&self, rates: Rates) {
        let mut limits = self.limits();
        limits.rates = Rates {
            batch: limits.rates.batch.min(rates.batch),
            get: limits.rates.get.min(rates.get),
            list: limits.rates.list.min(rates.list),
        };
        limits.buckets.clear();
    }

    /// Finds the region, if that is still to be done. The credentials are loaded by the first call.
    pub async fn session(&self) -> Result<Session, Failure> {
        Ok(Session {
            region: self.place.region().await?,
            credentials: self.login.provider(),
            http_client: self.http_client.clone(),
        })
    }

    pub fn login(&self) -> &Arc<Login> {
        &self.login
    }

    /// Takes a turn for one call; else says when there will be one.
    pub fn turn(&self, operation: StoreOperation, now: Instant) -> Result<(), Instant> {
        self.limits().bucket(operation, now).take(now)
    }

    /// Waits for a turn, where one call takes several.
    pub async fn wait_turn(&self, operation: StoreOperation) {
        while let Err(at) = self.turn(operation, Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// AWS found the calls too many.
    pub fn throttled(&self, operation: StoreOperation, now: Instant) {
        self.limits().bucket(operation, now).throttled(now);
    }

    /// Whether batches as such are worth a try.
    pub fn takes_batches(&self, now: Instant) -> bool {
        let refused = self.limits().batches_refused;
        refused.is_none_or(|at| now >= at + BATCHES_AGAIN)
    }

    /// This identity may not make batches at all.
    pub fn refused_batches(&self, now: Instant) {
        self.limits().batches_refused = Some(now);
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    fn bucket(&mut self, operation: StoreOperation, now: Instant) -> &mut Bucket {
        let per_second = match operation {
            StoreOperation::BatchGetSecretValue | StoreOperation::GetParameters => self.rates.batch,
            StoreOperation::ListSecrets
            | StoreOperation::GetParametersByPath
            | StoreOperation::DescribeParameters => self.rates.list,
            StoreOperation::GetSecretValue
            | StoreOperation::DescribeSecret
            | StoreOperation::GetParameter
            | StoreOperation::ListTagsForResource
            | StoreOperation::ReadFile => self.rates.get,
        };
        self.buckets
            .entry(operation)
            .or_insert_with(|| Bucket::new(per_second, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Aws;
    use crate::config::{AwsAuth, Fetch};

    fn spec(rates: Rates) -> AwsStore {
        AwsStore {
            region: Some("eu-west-1".into()),
            account: None,
            fetch: Fetch::Auto,
            requests_per_second: rates,
            endpoint_url: None,
            auth: AwsAuth::DEFAULT,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn batches_that_were_refused_are_tried_again_after_an_hour() {
        let upstream =
            Aws::default().upstream(Service::SecretsManager, &spec(Rates::SECRETS_MANAGER));
        let now = Instant::now();
        assert!(upstream.takes_batches(now));
        upstream.refused_batches(now);
        assert!(!upstream.takes_batches(now + Duration::from_mins(59)));
        assert!(upstream.takes_batches(now + Duration::from_hours(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn stores_that_share_an_identity_and_a_region_share_the_lowest_rate() {
        let aws = Aws::default();
        let first = aws.upstream(Service::SecretsManager, &spec(Rates::SECRETS_MANAGER));
        let slow = Rates {
            get: 1,
            ..Rates::SECRETS_MANAGER
        };
        let second = aws.upstream(Service::SecretsManager, &spec(slow));
        assert_eq!(first.id, second.id);
        let now = Instant::now();
        let get = StoreOperation::GetSecretValue;
        assert_eq!(first.turn(get, now), Ok(()));
        assert!(second.turn(get, now).is_err());
        let other = aws.upstream(Service::ParameterStore, &spec(slow));
        assert_ne!(other.id, first.id);
    }
}
