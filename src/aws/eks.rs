//! Bearer tokens for EKS: a request to STS that is signed here and sent there, by the cluster, to learn who we are.
//!
//! Nothing is asked of AWS to make one. `aws eks get-token` makes the same, and runs Python for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::Url;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::login::{LOAD_LIMIT, Login};
use crate::clock;
use crate::failure::{Failure, Reason};
use crate::secret::SecretBytes;

/// The cluster takes a token for 15 minutes from its signing, whatever it says itself; the last one is for clocks that
/// differ.
const LIFETIME: Duration = Duration::from_mins(14);

/// What a token says of its lifetime. Nobody goes by it, and everybody sends it.
const EXPIRES_IN: Duration = Duration::from_mins(1);

/// The header that binds a token to one cluster. It is signed and not in the URL: the cluster adds its own name.
const CLUSTER: &str = "x-k8s-aws-id";

const PREFIX: &str = "k8s-aws-v1.";

/// Signs for one cluster.
#[derive(Clone, Debug)]
pub struct EksSigner {
    login: Arc<Login>,
    region: String,
    cluster: String,
}

pub struct EksToken {
    pub text: SecretBytes,
    pub expires: Timestamp,
}

impl EksSigner {
    pub(super) fn new(login: Arc<Login>, region: &str, cluster: &str) -> Self {
        Self {
            login,
            region: region.to_owned(),
            cluster: cluster.to_owned(),
        }
    }

    /// A new token with the present credentials.
    pub async fn sign(&self) -> Result<EksToken, Failure> {
        let deadline = Instant::now() + LOAD_LIMIT;
        let credentials = self.login.credentials(deadline).await?;
        token(&credentials, &self.region, &self.cluster, clock::now())
    }

    /// When the credentials that it signs with end. Its tokens end sooner; each is signed when it is needed.
    pub fn credentials_end(&self) -> Option<Timestamp> {
        self.login.expires_at()
    }

    /// The cluster did not take a token: the credentials may not be good any more.
    pub async fn refused(&self) {
        self.login.rejected().await;
    }
}

fn token(
    credentials: &Credentials,
    region: &str,
    cluster: &str,
    now: Timestamp,
) -> Result<EksToken, Failure> {
    let url = presigned(credentials, region, cluster, now).ok_or_else(|| {
        Failure::new(
            Reason::Credentials,
            "a token for EKS could not be signed with the credentials of its store",
        )
    })?;
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + url.len() * 4 / 3 + 4));
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(url.as_bytes(), &mut text);
    let ends = credentials
        .expiry()
        .and_then(|at| Timestamp::try_from(at).ok());
    let expires = now + LIFETIME;
    Ok(EksToken {
        text: SecretBytes::new(std::mem::take(&mut *text).into_bytes()),
        expires: ends.map_or(expires, |ends| expires.min(ends)),
    })
}

/// The library's own errors quote what was to be signed.
fn presigned(
    credentials: &Credentials,
    region: &str,
    cluster: &str,
    now: Timestamp,
) -> Option<Zeroizing<String>> {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let url = format!(
        "https://sts.{region}.amazonaws.com{suffix}/?Action=GetCallerIdentity&Version=2011-06-15"
    );
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES_IN);
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(SystemTime::try_from(now).ok()?)
        .settings(settings)
        .build()
        .ok()?
        .into();
    let headers = [(CLUSTER, cluster)].into_iter();
    let request = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[])).ok()?;
    let (signed, _) = sign(request, &parameters).ok()?.into_parts();
    let mut url = Url::parse(&url).ok()?;
    let (_, query) = signed.into_parts();
    url.query_pairs_mut().extend_pairs(query);
    Some(Zeroizing::new(url.into()))
}

#[cfg(test)]
mod tests;
