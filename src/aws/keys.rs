//! Static keys: from files, from the environment, from Secrets of clusters.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::files;
use super::login::{Change, Habits, Source};
use super::trouble;
use crate::config::{SecretRef, ValueSource};
use crate::failure::{Failure, Reason};

/// A key file beyond this is not a key.
const KEY_SIZE_LIMIT: usize = 16 << 10;

/// No event tells that a Secret changed.
const SECRET_AGAIN: Duration = Duration::from_mins(5);

/// One key of a Secret, read by somebody who knows clusters.
#[derive(Clone)]
pub struct ClusterKeys(Arc<ReadKey>);

type ReadKey = dyn Fn(SecretRef) -> KeyRead + Send + Sync;
type KeyRead = Pin<Box<dyn Future<Output = Result<Zeroizing<String>, Failure>> + Send>>;

impl ClusterKeys {
    pub fn new(read: impl Fn(SecretRef) -> KeyRead + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

/// Where there are no clusters.
impl Default for ClusterKeys {
    fn default() -> Self {
        Self::new(|_| {
            let failure = Failure::new(Reason::Credentials, "there are no clusters here");
            Box::pin(std::future::ready(Err(failure)))
        })
    }
}

impl fmt::Debug for ClusterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKeys")
    }
}

#[derive(Debug)]
pub(super) struct StaticKeys {
    pub(super) access_key_id: ValueSource,
    pub(super) secret_access_key: ValueSource,
    pub(super) session_token: Option<ValueSource>,
    pub(super) clusters: ClusterKeys,
}

impl Source for StaticKeys {
    fn load(&self, _deadline: Instant) -> BoxFuture<'_, Result<Credentials, Failure>> {
        self.read().boxed()
    }

    fn habits(&self) -> Habits {
        let in_cluster = |source: &&ValueSource| matches!(source, ValueSource::Kubernetes(_));
        let file = |source: &ValueSource| match source {
            ValueSource::File(path) => Some(path.clone()),
            ValueSource::Env(_) | ValueSource::Kubernetes(_) => None,
        };
        Habits {
            again: self.sources().find(in_cluster).map(|_| SECRET_AGAIN),
            files: self.sources().filter_map(file).collect(),
            on_change: Change::Load,
        }
    }

    fn late(&self) -> Failure {
        trouble::loading_took_too_long()
    }
}

impl StaticKeys {
    fn sources(&self) -> impl Iterator<Item = &ValueSource> {
        [&self.access_key_id, &self.secret_access_key]
            .into_iter()
            .chain(&self.session_token)
    }

    async fn read(&self) -> Result<Credentials, Failure> {
        let id = self.value("access_key_id", &self.access_key_id).await?;
        let key = self
            .value("secret_access_key", &self.secret_access_key)
            .await?;
        let token = match &self.session_token {
            Some(source) => Some(self.value("session_token", source).await?),
            None => None,
        };
        Ok(Credentials::new(
            id.as_str(),
            key.as_str(),
            token.map(|token| token.as_str().to_owned()),
            None,
            "secretsyncd static keys",
        ))
    }

    async fn value(
        &self,
        setting: &'static str,
        source: &ValueSource,
    ) -> Result<Zeroizing<String>, Failure> {
        match source {
            ValueSource::File(path) => files::read(path.clone(), KEY_SIZE_LIMIT)
                .await
                .ok_or_else(|| unreadable(setting, path)),
            ValueSource::Env(name) => std::env::var(name)
                .ok()
                .map(Zeroizing::new)
                .and_then(|text| trimmed(&text))
                .ok_or_else(|| {
                    missing(format!("the variable that `{setting}` names holds no key"))
                }),
            ValueSource::Kubernetes(at) => {
                let read = (self.clusters.0)(at.clone()).await;
                let text = read.map_err(|failure| of_cluster(setting, &failure))?;
                trimmed(&text).ok_or_else(|| {
                    missing(format!(
                        "the key of the Secret that `{setting}` names is empty"
                    ))
                })
            }
        }
    }
}

fn trimmed(text: &Zeroizing<String>) -> Option<Zeroizing<String>> {
    let text = Zeroizing::new(text.trim().to_owned());
    (!text.is_empty()).then_some(text)
}

/// Says which setting says where the key is, never what was there. What that setting says is not repeated either, for
/// the key itself may have been typed into it; a path is, where something is at it.
fn unreadable(setting: &str, path: &Path) -> Failure {
    missing(if path.symlink_metadata().is_err() {
        format!("the file that `{setting}` names cannot be read as a key")
    } else {
        format!(
            "{}, which `{setting}` names, cannot be read as a key",
            path.display()
        )
    })
}

fn missing(fact: String) -> Failure {
    Failure::new(Reason::Credentials, fact)
        .with_help("put the key there, readable for the user that runs secretsyncd")
}

/// Whatever is wrong with the cluster: for a store, its credentials are.
fn of_cluster(setting: &str, failure: &Failure) -> Failure {
    let fact = format!(
        "the Secret that `{setting}` names cannot be read: {}",
        failure.fact
    );
    Failure::new(Reason::Credentials, fact).with_help(failure.help().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{ClusterName, Namespace, ObjectName, SecretKey};

    const TYPED: &str = "MARKER_typed_where_its_source_belongs";

    fn keys(secret_access_key: ValueSource, clusters: ClusterKeys) -> StaticKeys {
        StaticKeys {
            // Set wherever tests run.
            access_key_id: ValueSource::Env("PATH".into()),
            secret_access_key,
            session_token: None,
            clusters,
        }
    }

    async fn shown(source: ValueSource) -> String {
        let keys = keys(source, ClusterKeys::default());
        let failure = keys.read().await.unwrap_err();
        format!("{failure} {failure:?}")
    }

    fn of_a_secret() -> ValueSource {
        ValueSource::Kubernetes(SecretRef {
            cluster: ClusterName::new("prod").unwrap(),
            namespace: Namespace::new("ns").unwrap(),
            name: ObjectName::new("aws").unwrap(),
            key: SecretKey::new("secret").unwrap(),
        })
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

    #[tokio::test]
    async fn a_key_comes_from_a_secret_of_a_cluster() {
        let clusters = ClusterKeys::new(|at| {
            let text = format!("{}/{}\n", at.name, at.key);
            Box::pin(std::future::ready(Ok(Zeroizing::new(text))))
        });
        let keys = keys(of_a_secret(), clusters);
        assert_eq!(keys.read().await.unwrap().secret_access_key(), "aws/secret");
        assert_eq!(keys.habits().again, Some(SECRET_AGAIN));
        let none = shown(of_a_secret()).await;
        assert!(none.contains("`secret_access_key` names cannot be read: there are no clusters"));
    }
}
