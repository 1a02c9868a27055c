//! Base credentials: the SDK's default chain, one profile, or static keys from files or the environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use rustix::fs::{Mode, OFlags, open};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::{AwsAuth, AwsBase, ValueSource};

/// A key file beyond this is not a key.
const KEY_SIZE_LIMIT: u64 = 16 << 10;

/// Less than one attempt of a call may take: a source that hangs is told apart from AWS not answering.
const LOAD_LIMIT: Duration = Duration::from_secs(6);

/// The provider for what the configuration names. Makes no call.
pub async fn provider(
    auth: &AwsAuth,
    config: &ProviderConfig,
    region: &Region,
) -> SharedCredentialsProvider {
    let provider = match &auth.base {
        AwsBase::Default => SharedCredentialsProvider::new(
            DefaultCredentialsChain::builder()
                .configure(config.clone())
                .region(region.clone())
                .build()
                .await,
        ),
        AwsBase::Profile(profile) => SharedCredentialsProvider::new(
            ProfileFileCredentialsProvider::builder()
                .configure(config)
                .profile_name(profile)
                .build(),
        ),
        AwsBase::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => SharedCredentialsProvider::new(StaticKeys {
            access_key_id: access_key_id.clone(),
            secret_access_key: secret_access_key.clone(),
            session_token: session_token.clone(),
        }),
        AwsBase::WebIdentity { .. } => unimplemented!(),
    };
    SharedCredentialsProvider::new(Bounded(provider))
}

/// A provider that answers in time or fails.
#[derive(Debug)]
struct Bounded(SharedCredentialsProvider);

impl ProvideCredentials for Bounded {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            timeout(LOAD_LIMIT, self.0.provide_credentials())
                .await
                .unwrap_or_else(|_| {
                    let usable = self.0.fallback_on_interrupt();
                    usable.ok_or_else(|| CredentialsError::provider_timed_out(LOAD_LIMIT))
                })
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.0.fallback_on_interrupt()
    }
}

/// Keys read anew each time the SDK asks (at least every 15 minutes).
#[derive(Debug)]
struct StaticKeys {
    access_key_id: ValueSource,
    secret_access_key: ValueSource,
    session_token: Option<ValueSource>,
}

impl ProvideCredentials for StaticKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

impl StaticKeys {
    async fn load(&self) -> provider::Result {
        let access_key_id = value("access_key_id", &self.access_key_id).await?;
        let secret_access_key = value("secret_access_key", &self.secret_access_key).await?;
        let session_token = match &self.session_token {
            Some(source) => Some(value("session_token", source).await?),
            None => None,
        };
        Ok(Credentials::new(
            access_key_id.as_str(),
            secret_access_key.as_str(),
            session_token.map(|token| token.as_str().to_owned()),
            None,
            "secretsyncd static keys",
        ))
    }
}

/// A key that could not be had: the setting that says where it is, never what was there. What that setting says is
/// not repeated either, for the key itself may have been typed into it; a path is, where something is at it.
#[derive(Debug)]
pub enum KeyUnavailable {
    /// Nothing is at the path, or nothing that this user may see.
    NoFile(&'static str),
    File(&'static str, PathBuf),
    Env(&'static str),
}

impl fmt::Display for KeyUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile(setting) => {
                write!(f, "the file that `{setting}` names cannot be read as a key")
            }
            Self::File(setting, path) => write!(
                f,
                "{}, which `{setting}` names, cannot be read as a key",
                path.display()
            ),
            Self::Env(setting) => write!(f, "the variable that `{setting}` names holds no key"),
        }
    }
}

impl std::error::Error for KeyUnavailable {}

async fn value(
    setting: &'static str,
    source: &ValueSource,
) -> Result<Zeroizing<String>, CredentialsError> {
    let text = match source {
        ValueSource::File(path) => read_key(path.clone()).await,
        ValueSource::Env(name) => std::env::var(name).ok().map(Zeroizing::new),
        ValueSource::Kubernetes(_) => None,
    };
    text.map(|text| Zeroizing::new(text.trim().to_owned()))
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            CredentialsError::provider_error(match source {
                ValueSource::File(path) if path.symlink_metadata().is_err() => {
                    KeyUnavailable::NoFile(setting)
                }
                ValueSource::File(path) => KeyUnavailable::File(setting, path.clone()),
                ValueSource::Env(_) | ValueSource::Kubernetes(_) => KeyUnavailable::Env(setting),
            })
        })
}

async fn read_key(path: PathBuf) -> Option<Zeroizing<String>> {
    use std::io::Read as _;
    let read = move || {
        // A FIFO would hold the thread for ever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = std::fs::File::from(open(path, flags, Mode::empty()).ok()?);
        let mut text = Zeroizing::new(String::new());
        let length = file
            .take(KEY_SIZE_LIMIT + 1)
            .read_to_string(&mut text)
            .ok()?;
        (length as u64 <= KEY_SIZE_LIMIT).then_some(text)
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPED: &str = "MARKER_typed_where_its_source_belongs";

    async fn shown(source: ValueSource) -> String {
        let error = value("secret_access_key", &source).await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        format!("{source} {source:?} {error:?}")
    }

    #[tokio::test]
    async fn a_key_typed_as_its_own_source_is_not_repeated() {
        let env = shown(ValueSource::Env(TYPED.into())).await;
        let file = shown(ValueSource::File(format!("/etc/{TYPED}").into())).await;
        assert!(env.contains("the variable that `secret_access_key` names holds no key"));
        assert!(file.contains("the file that `secret_access_key` names cannot be read"));
        assert!(
            !env.contains(TYPED) && !file.contains(TYPED),
            "{env} {file}"
        );
        // Where something is, a path is a path.
        let file = tempfile::NamedTempFile::new().unwrap();
        let there = shown(ValueSource::File(file.path().into())).await;
        assert!(there.contains(file.path().to_str().unwrap()), "{there}");
    }
}
