//! What every AWS service needs: a region, credentials, an HTTP client, a rate, and one way to tell its errors apart.
//!
//! Below `store` and `kube`, and sees neither. No endpoint of a store is taken from the environment: the service clients
//! are built from this session alone. (What the SDK's own credential providers call, STS above all, still follows
//! `AWS_ENDPOINT_URL`; the SDK leaves no way to forbid it.)

pub mod credentials;
mod guard;
pub mod identity;
pub mod login;
mod proxy;
pub mod rate;
pub mod region;
pub mod trouble;
pub mod upstream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::provider_config::ProviderConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

pub use self::guard::Guard;
use self::login::Login;
use self::region::Place;
pub use self::trouble::Trouble;
pub use self::upstream::{Service, Session, Upstream, UpstreamId};
use crate::config::{AwsAuth, AwsStore};

/// Everything that stores share of AWS. Making one does no I/O.
#[derive(Debug)]
pub struct Aws {
    http_client: SharedHttpClient,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    logins: BTreeMap<AwsAuth, Arc<Login>>,
    upstreams: BTreeMap<Where, Arc<Upstream>>,
}

/// What two stores must have in common to share an upstream.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Where {
    service: Service,
    region: Option<String>,
    endpoint_url: Option<String>,
    auth: AwsAuth,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            http_client: proxy::http_client(),
            shared: Mutex::default(),
        }
    }
}

impl Aws {
    /// The upstream of a store, shared with every store that is there as the same identity.
    pub fn upstream(&self, service: Service, spec: &AwsStore) -> Arc<Upstream> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Where {
            service,
            region: spec.region.clone(),
            endpoint_url: spec.endpoint_url.clone(),
            auth: spec.auth.clone(),
        };
        if let Some(upstream) = shared.upstreams.get(&at) {
            upstream.join(spec.requests_per_second);
            return Arc::clone(upstream);
        }
        let sdk = self.sdk();
        let place = Arc::new(Place::new(
            spec.region.as_deref(),
            &spec.auth.base,
            sdk.clone(),
        ));
        let login = Arc::new(Login::new(spec.auth.clone(), Arc::clone(&place), sdk));
        let login = shared.logins.entry(spec.auth.clone()).or_insert(login);
        let parts = (place, Arc::clone(login));
        let id = UpstreamId(shared.upstreams.len());
        let upstream = Arc::new(Upstream::new(id, spec, parts, self.http_client.clone()));
        shared.upstreams.insert(at, Arc::clone(&upstream));
        upstream
    }

    fn sdk(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_behavior_version(Some(behavior()))
            .with_http_client(self.http_client.clone())
    }
}

/// The behaviour this program was measured with; a newer SDK does not change it silently.
pub fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The SDK sets a connect timeout only: a silent server would hang a call for ever.
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(3100))
        .read_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(7))
        .operation_timeout(Duration::from_secs(20))
        .build()
}

/// A [`Login`] keeps its credentials itself: the SDK's cache would hold on to refused ones, and renews on the path of a
/// request (measured).
pub fn no_identity_cache() -> SharedIdentityCache {
    aws_config::identity::IdentityCache::no_cache()
}

/// `standard`, never `adaptive`: one throttled call would stall all others for up to 20 s.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}
