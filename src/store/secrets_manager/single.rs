//! `GetSecretValue` and `DescribeSecret`: one secret at a time.

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use tokio::time::Instant;

use super::answer::Raw;
use super::{Opened, SecretsManager, refusal};
use crate::aws::Trouble;
use crate::config::Version;
use crate::failure::Failure;
use crate::names::RemoteKey;
use crate::report::StoreOperation;
use crate::store::{Answer, Content, Identity, Read, answers};

impl SecretsManager {
    pub(super) async fn value(
        &self,
        opened: &Opened,
        read: &Read,
        (key, version): (&RemoteKey, &Version),
    ) -> Result<Answer, Failure> {
        debug_assert_eq!(read.store, self.caller.name);
        let request = opened.client.get_secret_value().secret_id(key.as_str());
        let request = match version {
            Version::Current => request.version_stage("AWSCURRENT"),
            Version::Stage(stage) => request.version_stage(stage),
            Version::Id(id) => request.version_id(id),
        };
        let result = self
            .caller
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
        // Other versions never travel in batches.
        if *version == Version::Current {
            match &result {
                Ok(_) => self.apart().answered(key, Instant::now()),
                Err(failure) => self.apart().failed(key, failure.reason),
            }
        }
        result
    }

    /// The tags, as a JSON object.
    pub(super) async fn tags(&self, opened: &Opened, key: &RemoteKey) -> Result<Answer, Failure> {
        let request = opened.client.describe_secret().secret_id(key.as_str());
        let result = self
            .caller
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
        let given = output.tags.unwrap_or_default();
        let value = answers::tags(key, given.into_iter().map(|tag| (tag.key, tag.value)))?;
        self.learn(key, &arn);
        Ok(Answer {
            identity: Identity::Fingerprint(self.key.of([arn.as_bytes(), value.expose()])),
            created: None,
            content: Content::Value(value),
        })
    }
}
