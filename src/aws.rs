//! What every AWS service needs: a region, credentials, an HTTP client, and one way to tell its errors apart.
//!
//! Below `store` and `kube`, and sees neither. No endpoint of a store is taken from the environment: the service clients
//! are built from this session alone. (What the SDK's own credential providers call, STS above all, still follows
//! `AWS_ENDPOINT_URL`; the SDK leaves no way to forbid it.)

pub mod credentials;
pub mod trouble;

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use tokio::time::timeout;

use crate::config::AwsAuth;
use crate::failure::{Failure, Reason};

pub use self::trouble::Trouble;

/// Instance metadata answers in milliseconds or is not there.
const REGION_LIMIT: Duration = Duration::from_secs(5);

/// One identity in one region, ready for service clients to be built from.
#[derive(Clone, Debug)]
pub struct Session {
    pub region: Region,
    pub credentials: SharedCredentialsProvider,
    pub http_client: SharedHttpClient,
}

impl Session {
    /// Finds the region and prepares the credentials; the credentials themselves are loaded by the first call.
    pub async fn open(region: Option<&str>, auth: &AwsAuth) -> Result<Self, Failure> {
        let http_client = http_client();
        let provider = ProviderConfig::without_region()
            .with_behavior_version(Some(behavior()))
            .with_http_client(http_client.clone());
        let region = match region {
            Some(region) => Region::new(region.to_owned()),
            None => default_region(auth, &provider).await?,
        };
        let provider = provider.with_region(Some(region.clone()));
        let credentials = credentials::provider(auth, &provider, &region).await;
        Ok(Self {
            region,
            credentials,
            http_client,
        })
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

/// `standard`, never `adaptive`: one throttled call would stall all others for up to 20 s.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}

/// Connections are let go soon after the last read: values are not kept in idle buffers, and no idle connection
/// outlives a NAT's patience.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(Duration::from_secs(20))
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build_https()
}

/// The environment, the profile files, the instance metadata, in this order.
async fn default_region(auth: &AwsAuth, provider: &ProviderConfig) -> Result<Region, Failure> {
    let mut profile = ProfileFileRegionProvider::builder().configure(provider);
    if let AwsAuth::Profile(name) = auth {
        profile = profile.profile_name(name);
    }
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(ImdsRegionProvider::builder().configure(provider).build());
    let region = timeout(REGION_LIMIT, chain.region()).await.map_err(|_| {
        Failure::new(Reason::Timeout, "looking for the AWS region took too long")
            .with_help("set `region` in the store's table")
    })?;
    region.ok_or_else(|| {
        Failure::new(
            Reason::Invalid,
            "no AWS region is known: neither the environment, nor the profile, nor instance metadata names one",
        )
        .with_help("set `region` in the store's table")
    })
}
