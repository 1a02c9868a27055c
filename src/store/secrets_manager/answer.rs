//! An answer is believed only when it names what was asked and holds exactly one value.
//!
//! The SDK takes a 200 with body `{}` for a success with every field absent (measured); an intercepting proxy must
//! not be able to blank a secret.

use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::primitives::{Blob, DateTime};
use aws_sdk_secretsmanager::types::SecretValueEntry;

use super::SecretsManager;
use crate::config::Version;
use crate::failure::Failure;
use crate::names::RemoteKey;
use crate::secret::SecretBytes;
use crate::store::answers::{malformed, timestamp};
use crate::store::{Answer, Content, Identity};

/// Far above what a secret can hold, 64 KiB (API reference), and below what a whole batch may take.
const LARGEST: usize = 1 << 20;

/// One value as AWS sent it, alone or in a batch. Not `Debug`: it holds the value.
#[derive(Clone, Default)]
pub(super) struct Raw {
    arn: String,
    name: Option<String>,
    version_id: String,
    stages: Vec<String>,
    text: Option<String>,
    binary: Option<Blob>,
    created: Option<DateTime>,
}

impl Raw {
    /// Whether both are the same version of the same secret.
    pub(super) fn is_version_of(&self, other: &Self) -> bool {
        (&self.arn, &self.version_id) == (&other.arn, &other.version_id)
    }
}

impl From<GetSecretValueOutput> for Raw {
    fn from(output: GetSecretValueOutput) -> Self {
        Self {
            arn: output.arn.unwrap_or_default(),
            name: output.name,
            version_id: output.version_id.unwrap_or_default(),
            stages: output.version_stages.unwrap_or_default(),
            text: output.secret_string,
            binary: output.secret_binary,
            created: output.created_date,
        }
    }
}

impl From<SecretValueEntry> for Raw {
    fn from(entry: SecretValueEntry) -> Self {
        Self {
            arn: entry.arn.unwrap_or_default(),
            name: entry.name,
            version_id: entry.version_id.unwrap_or_default(),
            stages: entry.version_stages.unwrap_or_default(),
            text: entry.secret_string,
            binary: entry.secret_binary,
            created: entry.created_date,
        }
    }
}

impl SecretsManager {
    pub(super) fn checked(
        &self,
        region: &str,
        (key, version): (&RemoteKey, &Version),
        raw: Raw,
    ) -> Result<Answer, Failure> {
        self.named(region, key, (&raw.arn, raw.name.as_deref()))?;
        let right_version = match version {
            Version::Current => raw.stages.iter().any(|stage| stage == "AWSCURRENT"),
            Version::Stage(wanted) => raw.stages.contains(wanted),
            Version::Id(wanted) => *wanted == raw.version_id,
        };
        if raw.version_id.is_empty() || !right_version {
            return Err(malformed(
                key,
                "holds another version than the one asked for",
            ));
        }
        let value = match (raw.text, raw.binary) {
            (Some(text), None) => SecretBytes::new(text.into_bytes()),
            (None, Some(blob)) => SecretBytes::new(blob.into_inner()),
            _ => return Err(malformed(key, "does not hold exactly one value")),
        };
        if value.is_empty() {
            return Err(malformed(key, "holds an empty value"));
        }
        if value.len() > LARGEST {
            return Err(malformed(key, "is larger than any that AWS gives"));
        }
        self.learn(key, &raw.arn);
        Ok(Answer {
            identity: Identity::Version {
                arn: raw.arn.into(),
                version_id: raw.version_id.into(),
            },
            created: raw.created.and_then(timestamp),
            content: Content::Value(value),
        })
    }

    /// An answer to a name that is right in all else says whose secrets these are.
    pub(super) fn learn(&self, key: &RemoteKey, arn: &str) {
        if !key.as_str().starts_with("arn:")
            && let Some(account) = arn.split(':').nth(4)
        {
            self.account.learn(account);
        }
    }

    /// Whether ARN and name are those that were asked for, of the right region and account.
    pub(super) fn named(
        &self,
        region: &str,
        key: &RemoteKey,
        (arn, name): (&str, Option<&str>),
    ) -> Result<(), Failure> {
        let name = name.unwrap_or_default();
        let account = names_itself(region, arn, name).filter(|_| is_asked(key, arn, name));
        let Some(account) = account else {
            return Err(malformed(
                key,
                "names another secret than the one asked for",
            ));
        };
        // A complete ARN says itself which account is meant.
        if key.as_str().starts_with("arn:") {
            return Ok(());
        }
        self.account.agrees(account)
    }
}

/// Whether an answer names this key.
pub(super) fn names(key: &RemoteKey, region: &str, raw: &Raw) -> bool {
    let name = raw.name.as_deref().unwrap_or_default();
    names_itself(region, &raw.arn, name).is_some() && is_asked(key, &raw.arn, name)
}

/// The account of an ARN that is of this region and of that name:
/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-XXXXXX`.
pub(super) fn names_itself<'a>(region: &str, arn: &'a str, name: &str) -> Option<&'a str> {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    let [
        "arn",
        _partition,
        "secretsmanager",
        of,
        account,
        "secret",
        suffixed,
    ] = parts.as_slice()
    else {
        return None;
    };
    let end = suffixed.strip_prefix(name)?;
    let complete = is_random_end(end);
    (!name.is_empty() && complete && *of == region && !account.is_empty()).then_some(*account)
}

/// `-` and six characters (API reference, `CreateSecret`).
fn is_random_end(text: &str) -> bool {
    text.len() == 7 && text.starts_with('-') && text[1..].bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A key is a name, a complete ARN, or an ARN without its random end. One that may be complete is taken for complete:
/// else a secret whose name ends like an ARN would be read in place of one that is gone.
fn is_asked(key: &RemoteKey, arn: &str, name: &str) -> bool {
    let key = key.as_str();
    if !key.starts_with("arn:") {
        return name == key;
    }
    let complete = key.len() > 7
        && key.is_char_boundary(key.len() - 7)
        && is_random_end(&key[key.len() - 7..]);
    arn == key || (!complete && arn.strip_prefix(key).is_some_and(is_random_end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::aws::{Aws, Service};
    use crate::config::{AwsAuth, AwsStore, Fetch, Rates};
    use crate::failure::Reason;
    use crate::names::{AccountId, StoreName};
    use crate::report::Reporter;
    use crate::secret::FingerprintKey;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-a1b2c3";

    fn store(account: Option<&str>) -> SecretsManager {
        let spec = AwsStore {
            region: Some("eu-west-1".into()),
            account: account.map(|account| AccountId::new(account).unwrap()),
            fetch: Fetch::Auto,
            requests_per_second: Rates::SECRETS_MANAGER,
            endpoint_url: None,
            auth: AwsAuth::DEFAULT,
        };
        let upstream = Aws::default().upstream(Service::SecretsManager, &spec);
        let name = StoreName::new("prod").unwrap();
        let key = FingerprintKey::new([7; 32]);
        SecretsManager::new(
            name,
            spec,
            (Arc::clone(&upstream), key),
            Reporter::new(|_| {}),
        )
    }

    fn output()
    -> aws_sdk_secretsmanager::operation::get_secret_value::builders::GetSecretValueOutputBuilder
    {
        GetSecretValueOutput::builder()
            .arn(ARN)
            .name("prod/db")
            .version_id("v1")
            .version_stages("AWSCURRENT")
            .secret_string("value")
    }

    fn reason(key: &str, version: Version, output: GetSecretValueOutput) -> Option<Reason> {
        let (key, version) = (RemoteKey::new(key).unwrap(), version);
        store(None)
            .checked("eu-west-1", (&key, &version), output.into())
            .err()
            .map(|failure| failure.reason)
    }

    #[test]
    fn the_right_answer_is_taken_by_name_arn_and_partial_arn() {
        let partial = ARN.strip_suffix("-a1b2c3").unwrap();
        for key in ["prod/db", ARN, partial] {
            assert_eq!(
                reason(key, Version::Current, output().build()),
                None,
                "{key}"
            );
        }
        assert_eq!(
            reason("prod/db", Version::Id("v1".into()), output().build()),
            None
        );
    }

    #[test]
    fn an_answer_that_is_not_what_was_asked_is_malformed() {
        let bad = Some(Reason::Malformed);
        let current = || Version::Current;
        assert_eq!(reason("prod/other", current(), output().build()), bad);
        assert_eq!(reason("prod/d", current(), output().build()), bad);
        assert_eq!(
            reason(
                "prod/db",
                current(),
                GetSecretValueOutput::builder().build()
            ),
            bad
        );
        assert_eq!(
            reason("prod/db", Version::Id("v2".into()), output().build()),
            bad
        );
        assert_eq!(
            reason(
                "prod/db",
                Version::Stage("AWSPREVIOUS".into()),
                output().build()
            ),
            bad
        );
        let elsewhere = ARN.replace("eu-west-1", "us-east-1");
        assert_eq!(
            reason("prod/db", current(), output().arn(elsewhere).build()),
            bad
        );
        let both = output().secret_binary(Blob::new("x")).build();
        assert_eq!(reason("prod/db", current(), both), bad);
        assert_eq!(
            reason("prod/db", current(), output().secret_string("").build()),
            bad
        );
        let other_name = output().name("prod/other").build();
        assert_eq!(reason("prod/db", current(), other_name), bad);
    }
    #[test]
    fn an_answer_of_another_account_is_malformed_once_the_account_is_known() {
        let key = RemoteKey::new("prod/db").unwrap();
        let other = ARN.replace("123456789012", "210987654321");
        let ask = |store: &SecretsManager, arn: &str| {
            let output = output().arn(arn).build();
            store
                .checked("eu-west-1", (&key, &Version::Current), output.into())
                .is_ok()
        };
        let configured = store(Some("123456789012"));
        assert!(!ask(&configured, &other) && ask(&configured, ARN));
        let learnt = store(None);
        assert!(ask(&learnt, ARN) && !ask(&learnt, &other));
    }

    #[test]
    fn a_complete_arn_is_no_beginning_of_another() {
        let planted = output()
            .arn(format!("{ARN}-ZzZzZz"))
            .name("prod/db-a1b2c3")
            .secret_string("planted");
        assert_eq!(
            reason(ARN, Version::Current, planted.build()),
            Some(Reason::Malformed)
        );
    }

    #[test]
    fn an_answer_that_is_refused_teaches_no_account() {
        let key = RemoteKey::new("prod/db").unwrap();
        let other = ARN.replace("123456789012", "210987654321");
        let store = store(None);
        let ask = |output: GetSecretValueOutput| {
            store
                .checked("eu-west-1", (&key, &Version::Current), output.into())
                .is_ok()
        };
        let empty = output().arn(other).set_secret_string(None).build();
        assert!(!ask(empty));
        assert!(ask(output().build()));
    }
}
