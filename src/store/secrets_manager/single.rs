//! `GetSecretValue` and `DescribeSecret`: one secret at a time.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use tokio::time::Instant;

use super::answer::{self, Raw};
use super::{Opened, SecretsManager, refusal};
use crate::aws::Trouble;
use crate::config::Version;
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;
use crate::report::StoreOperation;
use crate::secret::SecretBytes;
use crate::store::{Answer, Content, Identity, Read};

impl SecretsManager {
    pub(super) async fn value(
        &self,
        opened: &Opened,
        read: &Read,
        (key, version): (&RemoteKey, &Version),
    ) -> Result<Answer, Failure> {
        debug_assert_eq!(read.store, self.name);
        let request = opened.client.get_secret_value().secret_id(key.as_str());
        let request = match version {
            Version::Current => request.version_stage("AWSCURRENT"),
            Version::Stage(stage) => request.version_stage(stage),
            Version::Id(id) => request.version_id(id),
        };
        let (_, result) = self
            .call(StoreOperation::GetSecretValue, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await;
        let result = match result {
            Ok(output) => self.checked(&opened.region, (key, version), Raw::from(output)),
            Err(Trouble::Shared(failure)) => Err(failure),
            Err(Trouble::Refused { code, message }) => {
                Err(refusal::failure((key, version), &code, &message))
            }
        };
        match &result {
            Ok(_) => self.apart().answered(key, Instant::now()),
            Err(_) => self.apart().failed(key),
        }
        result
    }

    /// The tags as a JSON object, keys sorted, so that equal tags are equal bytes.
    pub(super) async fn tags(&self, opened: &Opened, key: &RemoteKey) -> Result<Answer, Failure> {
        let request = opened.client.describe_secret().secret_id(key.as_str());
        let (_, result) = self
            .call(StoreOperation::DescribeSecret, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await;
        match result {
            Ok(output) => self.described(&opened.region, key, output),
            Err(Trouble::Shared(failure)) => Err(failure),
            Err(Trouble::Refused { code, message }) => Err(refusal::of(
                "secretsmanager:DescribeSecret",
                key,
                &code,
                &message,
            )),
        }
    }

    fn described(
        &self,
        region: &str,
        key: &RemoteKey,
        output: DescribeSecretOutput,
    ) -> Result<Answer, Failure> {
        let arn = output.arn.unwrap_or_default();
        self.named(region, key, (&arn, output.name.as_deref()))?;
        if output.deleted_date.is_some() {
            return Err(refusal::pending_deletion(key));
        }
        let mut tags = BTreeMap::new();
        for tag in output.tags.unwrap_or_default() {
            let (Some(key), Some(value)) = (tag.key, tag.value) else {
                return Err(answer::malformed(key, "holds a tag without key or value"));
            };
            tags.insert(key, value);
        }
        let json = serde_json::to_vec(&tags)
            .map_err(|_| Failure::new(Reason::Malformed, "the tags are not text"))?;
        let value = SecretBytes::new(json);
        Ok(Answer {
            identity: Identity::Fingerprint(self.key.of([arn.as_bytes(), value.expose()])),
            created: None,
            content: Content::Value(value),
        })
    }
}
