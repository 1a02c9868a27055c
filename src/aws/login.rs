//! One identity and its present credentials, shared by everything that acts as it.

use std::sync::Arc;

use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;

use super::credentials;
use super::region::Place;
use crate::config::AwsAuth;

#[derive(Debug)]
pub struct Login {
    auth: AwsAuth,
    place: Arc<Place>,
    sdk: ProviderConfig,
    present: Mutex<Option<SharedCredentialsProvider>>,
}

impl Login {
    pub(super) fn new(auth: AwsAuth, place: Arc<Place>, sdk: ProviderConfig) -> Self {
        Self {
            auth,
            place,
            sdk,
            present: Mutex::default(),
        }
    }

    pub fn provider(self: &Arc<Self>) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Provider(Arc::clone(self)))
    }

    /// AWS refused the present credentials: they are loaded anew, where that was not tried just now. True when there may
    /// be others than before.
    pub async fn rejected(&self) -> bool {
        *self.present.lock().await = None;
        true
    }

    async fn present(&self) -> Option<SharedCredentialsProvider> {
        let region = self.place.region().await.ok()?;
        let mut present = self.present.lock().await;
        if present.is_none() {
            *present = Some(credentials::provider(&self.auth, &self.sdk, &region).await);
        }
        present.clone()
    }
}

#[derive(Debug)]
struct Provider(Arc<Login>);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match self.0.present().await {
                Some(provider) => provider.provide_credentials().await,
                None => Err(
                    aws_credential_types::provider::error::CredentialsError::not_loaded_no_source(),
                ),
            }
        })
    }
}
