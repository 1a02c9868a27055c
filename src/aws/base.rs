//! What the SDK finds by itself: its default chain, or one profile, `credential_process` and SSO included.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::files::{self, Seen};
use super::login::{Change, Habits, Source};
use super::region::Places;
use super::{Sdk, trouble};
use crate::failure::Failure;

/// What says nothing about its end is asked for again after this long.
const AGAIN: Duration = Duration::from_mins(15);

#[derive(Debug)]
pub(super) struct SdkBase {
    /// `None`: the default chain.
    pub(super) profile: Option<String>,
    pub(super) sdk: Sdk,
    pub(super) region: Arc<Places>,
    pub(super) instance: Mutex<Option<Kept>>,
}

/// The provider that found an instance's role, and the profile files before which it did. It holds on to what the instance
/// metadata said last, for when that does not answer.
#[derive(Debug)]
pub(super) struct Kept {
    provider: SharedCredentialsProvider,
    files: Seen,
}

impl Source for SdkBase {
    fn load(&self, deadline: Instant) -> BoxFuture<'_, Result<Credentials, Failure>> {
        self.ask(deadline).boxed()
    }

    fn habits(&self) -> Habits {
        Habits {
            again: Some(AGAIN),
            files: profile_files(),
            on_change: Change::Load,
        }
    }

    fn late(&self) -> Failure {
        trouble::loading_took_too_long()
    }
}

impl SdkBase {
    async fn ask(&self, deadline: Instant) -> Result<Credentials, Failure> {
        let region = self.region.region().await?;
        let mut instance = self.instance.lock().await;
        let files = files::look(&profile_files()).await;
        let provider = match instance.as_ref() {
            Some(kept) if kept.files == files => kept.provider.clone(),
            // The SDK reads profile files once in the life of a provider: a new one for each load.
            Some(_) | None => self.provider(region).await,
        };
        let answer = timeout_at(deadline, provider.provide_credentials()).await;
        let found = match answer {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(trouble::loading_failure(&error)),
            Err(_) => provider.fallback_on_interrupt().ok_or_else(|| self.late()),
        };
        if found.as_ref().is_ok_and(is_of_instance) {
            *instance = Some(Kept { provider, files });
        }
        found
    }

    async fn provider(&self, region: Region) -> SharedCredentialsProvider {
        let config = self.sdk.config().with_region(Some(region.clone()));
        match &self.profile {
            Some(profile) => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder()
                    .configure(&config)
                    .profile_name(profile)
                    .build(),
            ),
            None => SharedCredentialsProvider::new(
                DefaultCredentialsChain::builder()
                    .configure(config)
                    .region(region)
                    .build()
                    .await,
            ),
        }
    }
}

fn is_of_instance(credentials: &Credentials) -> bool {
    credentials
        .get_property::<Vec<AwsCredentialFeature>>()
        .is_some_and(|of| of.contains(&AwsCredentialFeature::CredentialsImds))
}

/// Where the SDK looks for profiles.
fn profile_files() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let of = |(variable, usual): (&str, &str)| {
        let named = std::env::var_os(variable).map(PathBuf::from);
        let path = named.unwrap_or_else(|| PathBuf::from(usual));
        match path.strip_prefix("~") {
            Ok(rest) => home.as_ref().map(|home| home.join(rest)),
            Err(_) => Some(path),
        }
    };
    [
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ]
    .into_iter()
    .filter_map(of)
    .collect()
}
