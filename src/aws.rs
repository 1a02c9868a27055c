//! What every AWS service needs: a region, credentials, an HTTP client, a rate, and one way to tell its errors apart.
//!
//! Below `store` and `kube`, and sees neither. No endpoint of a store is taken from the environment, nor that of STS: the
//! clients are built from this session alone. (What the SDK's own credential providers call, STS for a profile's roles
//! above all, still follows `AWS_ENDPOINT_URL`; the SDK leaves no way to forbid it.)

mod base;
mod chain;
mod eks;
mod files;
mod guard;
pub mod identity;
mod keys;
pub mod login;
mod proxy;
pub mod region;
mod role;
mod sts;
pub mod trouble;
pub mod upstream;
mod web_identity;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::provider_config::ProviderConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::identity::SharedIdentityCache;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::future::join_all;

use self::chain::Logins;
pub use self::eks::{EksSigner, EksToken};
pub use self::guard::Guard;
pub use self::keys::ClusterKeys;
use self::login::Login;
use self::region::Place;
pub use self::trouble::Trouble;
pub use self::upstream::{Service, Session, Upstream, UpstreamId};
use crate::config::{AwsAuth, AwsStore};

/// Everything that stores share of AWS. Making one does no I/O.
#[derive(Debug)]
pub struct Aws {
    sdk: Sdk,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    logins: Logins,
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

impl Where {
    fn of(service: Service, spec: &AwsStore) -> Self {
        Self {
            service,
            region: spec.region.clone(),
            endpoint_url: spec.endpoint_url.clone(),
            auth: spec.auth.clone(),
        }
    }
}

/// What is handed to the SDK's own providers. Their configuration is made anew each time: it remembers what was in the
/// profile files.
#[derive(Clone, Debug)]
struct Sdk(SharedHttpClient);

/// With no cluster to take keys from.
impl Default for Aws {
    fn default() -> Self {
        Self::new(ClusterKeys::default())
    }
}

impl Aws {
    pub fn new(clusters: ClusterKeys) -> Self {
        let sdk = Sdk(proxy::http_client());
        let shared = Shared {
            logins: Logins::new(sdk.clone(), clusters),
            upstreams: BTreeMap::new(),
        };
        Self {
            sdk,
            shared: Mutex::new(shared),
        }
    }

    /// The upstream of a store, shared with every store that is there as the same identity.
    pub fn upstream(&self, service: Service, spec: &AwsStore) -> Arc<Upstream> {
        let mut shared = self.shared();
        let at = Where::of(service, spec);
        if let Some(upstream) = shared.upstreams.get(&at) {
            upstream.join(spec.requests_per_second);
            return Arc::clone(upstream);
        }
        let (region, sdk) = (spec.region.as_deref(), self.sdk.clone());
        let place = Arc::new(Place::new(region, &spec.auth.base, sdk));
        let login = shared.logins.get(&spec.auth, &place);
        let id = UpstreamId(shared.upstreams.len());
        let http_client = self.sdk.http_client();
        let upstream = Arc::new(Upstream::new(id, spec, (place, login), http_client));
        shared.upstreams.insert(at, Arc::clone(&upstream));
        upstream
    }

    /// The login of a store that has an upstream.
    pub fn login(&self, service: Service, spec: &AwsStore) -> Option<Arc<Login>> {
        let shared = self.shared();
        let upstream = shared.upstreams.get(&Where::of(service, spec))?;
        Some(Arc::clone(upstream.login()))
    }

    /// Who signs tokens for an EKS cluster, as a store with this `auth` would sign.
    pub fn eks_signer(&self, auth: &AwsAuth, region: &str, cluster: &str) -> EksSigner {
        let place = Arc::new(Place::new(Some(region), &auth.base, self.sdk.clone()));
        let login = self.shared().logins.get(auth, &place);
        EksSigner::new(login, region, cluster)
    }

    /// Renews all credentials ahead of their end. Never returns; for logins that are there when it starts. One that hangs
    /// holds up no other.
    pub async fn keep_fresh(&self) {
        let logins = self.shared().logins.all();
        join_all(logins.iter().map(|login| login.keep_fresh())).await;
        std::future::pending::<()>().await;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sdk {
    fn http_client(&self) -> SharedHttpClient {
        self.0.clone()
    }

    fn config(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_behavior_version(Some(behavior()))
            .with_http_client(self.http_client())
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

/// A login keeps its credentials itself: the SDK's cache would hold on to refused ones, and renews on the path of a
/// request (measured).
pub fn no_identity_cache() -> SharedIdentityCache {
    aws_config::identity::IdentityCache::no_cache()
}

/// `standard`, never `adaptive`: one throttled call would stall all others for up to 20 s.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}
