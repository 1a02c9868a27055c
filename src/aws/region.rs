//! Which region a store is in: what its configuration says, else what the SDK finds.

use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Sdk;
use crate::config::AwsBase;
use crate::failure::{Failure, Reason};

/// Instance metadata answers in milliseconds or is not there.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

const HELP: &str = "set `region` in the store's table";

/// A failed look-up is not repeated for this long: every waiting call would try it in turn.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Where the stores are that share a login.
#[derive(Debug)]
pub(super) struct Places(SyncMutex<Arc<Place>>);

/// A region, looked up by the first who needs it.
#[derive(Debug)]
pub struct Place {
    configured: Option<Region>,
    profile: Option<String>,
    sdk: Sdk,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    region: Option<Region>,
    failed: Option<(Failure, Instant)>,
}

impl Places {
    pub(super) fn new(place: &Arc<Place>) -> Self {
        Self(SyncMutex::new(Arc::clone(place)))
    }

    /// One whose region is configured takes over from one where it has to be found: no store waits for that on another's
    /// account.
    pub(super) fn join(&self, place: &Arc<Place>) {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if present.configured.is_none() && place.configured.is_some() {
            *present = Arc::clone(place);
        }
    }

    pub(super) async fn region(&self) -> Result<Region, Failure> {
        let place = Arc::clone(&*self.0.lock().unwrap_or_else(PoisonError::into_inner));
        place.region().await
    }
}

impl Place {
    pub(super) fn new(configured: Option<&str>, base: &AwsBase, sdk: Sdk) -> Self {
        let profile = match base {
            AwsBase::Profile(name) => Some(name.clone()),
            AwsBase::Default | AwsBase::Static { .. } | AwsBase::WebIdentity { .. } => None,
        };
        Self {
            configured: configured.map(|region| Region::new(region.to_owned())),
            profile,
            sdk,
            found: Mutex::default(),
        }
    }

    pub async fn region(&self) -> Result<Region, Failure> {
        if let Some(region) = &self.configured {
            return Ok(region.clone());
        }
        let mut found = self.found.lock().await;
        if let Some(region) = &found.region {
            return Ok(region.clone());
        }
        if let Some((failure, at)) = &found.failed
            && at.elapsed() < LOOK_AGAIN
        {
            return Err(failure.clone());
        }
        match self.look().await {
            Ok(region) => Ok(found.region.insert(region).clone()),
            Err(failure) => {
                found.failed = Some((failure.clone(), Instant::now()));
                Err(failure)
            }
        }
    }

    /// The environment, the profile files, the instance metadata, in this order.
    async fn look(&self) -> Result<Region, Failure> {
        let config = self.sdk.config();
        let mut profile = ProfileFileRegionProvider::builder().configure(&config);
        if let Some(name) = &self.profile {
            profile = profile.profile_name(name);
        }
        let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(profile.build())
            .or_else(ImdsRegionProvider::builder().configure(&config).build());
        let region = timeout(LOOKUP_LIMIT, chain.region()).await.map_err(|_| {
            Failure::new(Reason::Timeout, "looking for the AWS region took too long")
                .with_help(HELP)
        })?;
        region.ok_or_else(|| {
            Failure::new(
                Reason::Invalid,
                "no AWS region is known: neither the environment, nor the profile, nor instance metadata names one",
            )
            .with_help(HELP)
        })
    }
}
