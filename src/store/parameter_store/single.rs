//! `GetParameter` and `ListTagsForResource`: one parameter at a time.

use aws_sdk_ssm::types::ResourceTypeForTagging;
use tokio::time::Instant;

use super::asked::{Arn, Asked};
use super::refused::Verdict;
use super::{Opened, ParameterStore, refusal};
use crate::aws::{Trouble, identity};
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;
use crate::report::StoreOperation;
use crate::store::answers::{self, malformed};
use crate::store::{Answer, Content, Identity};

impl ParameterStore {
    pub(super) async fn value(&self, opened: &Opened, asked: Asked<'_>) -> Result<Answer, Failure> {
        let name = asked.sent();
        let mut result = self.by_itself(opened, asked).await;
        let verdict = verdict(&result);
        let denied = matches!(&result, Err(failure) if failure.reason == Reason::AccessDenied);
        if denied && self.is_new_here(&name) {
            result = self.batch_of_one(opened, asked).await.unwrap_or(result);
        }
        let now = Instant::now();
        let mut together = self.together();
        match &result {
            Ok(_) => together.apart.answered(&name, now),
            Err(failure) => together.apart.failed(&name, failure.reason),
        }
        if together.refused.heard(&name, verdict) {
            self.caller.upstream.refused_batches(now);
            tracing::info!(
                store = %self.caller.name,
                "ssm:GetParameters is refused where ssm:GetParameter is not: parameters are read one by one for an hour"
            );
        }
        result
    }

    async fn by_itself(&self, opened: &Opened, asked: Asked<'_>) -> Result<Answer, Failure> {
        let request = opened.client.get_parameter().name(asked.sent());
        let request = request.with_decryption(true);
        let result = self
            .caller
            .call(StoreOperation::GetParameter, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await;
        match result {
            Ok(output) => match output.parameter {
                Some(parameter) => self.checked(&opened.region, asked, parameter),
                None => Err(malformed(asked.key, "holds no parameter")),
            },
            Err(Trouble::Shared(failure)) => Err(failure),
            Err(Trouble::Refused { code, message }) => {
                Err(refusal::of_value(asked, &code, &message))
            }
        }
    }

    /// Whether a batch sent it here, and it has not been denied here before.
    fn is_new_here(&self, name: &String) -> bool {
        let apart = &self.together().apart;
        let denied = apart.failure(name) == Some(Reason::AccessDenied);
        apart.holds(name, Instant::now()) && !denied
    }

    /// Many identities may call `GetParameters` only. One name that spoils a batch must not cost them the others.
    async fn batch_of_one(
        &self,
        opened: &Opened,
        asked: Asked<'_>,
    ) -> Option<Result<Answer, Failure>> {
        let upstream = &self.caller.upstream;
        upstream.wait_turn(StoreOperation::GetParameters).await;
        match self.together_now(opened, vec![asked.sent()]).await {
            Ok(sorted) if sorted.values.is_empty() && !sorted.invalid.is_empty() => {
                Some(Err(refusal::untold(asked)))
            }
            Ok(sorted) => Some(self.only(&opened.region, asked, sorted.values)),
            Err(_) => None,
        }
    }

    /// The tags, as a JSON object. The answer names nothing, so what is asked must not mean anything else.
    pub(super) async fn tags(&self, opened: &Opened, key: &RemoteKey) -> Result<Answer, Failure> {
        if key.as_str().starts_with("arn:") || self.account.expected().is_some() {
            self.prove_account().await?;
        }
        let name = self.name_of(&opened.region, key)?;
        let request = opened.client.list_tags_for_resource();
        let request = request
            .resource_type(ResourceTypeForTagging::Parameter)
            .resource_id(name);
        let result = self
            .caller
            .call(StoreOperation::ListTagsForResource, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await;
        let output = result.map_err(|trouble| match trouble {
            Trouble::Shared(failure) => failure,
            Trouble::Refused { code, message } => {
                refusal::of("ssm:ListTagsForResource", key, &code, &message)
            }
        })?;
        let Some(list) = output.tag_list else {
            return Err(malformed(key, "holds no list of tags"));
        };
        let tags = list.into_iter().map(|tag| (Some(tag.key), Some(tag.value)));
        let value = answers::tags(key, tags)?;
        let parts = [key.as_str().as_bytes(), value.expose()];
        Ok(Answer {
            identity: Identity::Fingerprint(self.key.of(parts)),
            created: None,
            content: Content::Value(value),
        })
    }

    /// Tags come without a word of whose they are. Where it matters, STS says whose credentials ask, unless an answer or
    /// the role has said so.
    async fn prove_account(&self) -> Result<(), Failure> {
        if self.account.proven().is_none() {
            let session = self.caller.upstream.session().await?;
            let endpoint = self.sts_endpoint_url.as_deref();
            let identity = Box::pin(identity::ask(session, endpoint)).await?;
            self.account.agrees(identity.account().as_str())?;
            self.account.learn(identity.account().as_str());
        }
        match (self.account.expected(), self.account.proven()) {
            (Some(expected), Some(proven)) if *expected != proven => {
                self.account.agrees(proven.as_str())
            }
            (_, _) => Ok(()),
        }
    }

    /// Tags are listed by name, in our own account and region: an ARN from elsewhere would give those of a namesake.
    pub(super) fn name_of(&self, region: &str, key: &RemoteKey) -> Result<String, Failure> {
        let text = key.as_str();
        if !text.starts_with("arn:") {
            return Ok(text.to_owned());
        }
        let known = self.account.proven();
        let here = Arn::parse(text).filter(|arn| {
            arn.region == region
                && known
                    .as_ref()
                    .is_some_and(|known| known.as_str() == arn.account)
        });
        let Some(arn) = here else {
            return Err(Failure::new(
                Reason::Invalid,
                format!("the tags of `{key}` can only be read in its own account and region"),
            )
            .with_help(
                "name the parameter instead of its ARN where it is in the store's account, or read it through a store of that account",
            ));
        };
        // A name with a level inside begins with a slash; of others the ARN does not tell, and few do.
        let slash = if arn.bare.contains('/') { "/" } else { "" };
        Ok(format!("{slash}{}", arn.bare))
    }
}

/// What an answer, asked alone, says of the batch it was refused in.
fn verdict(result: &Result<Answer, Failure>) -> Verdict {
    match result {
        Ok(_) => Verdict::Allowed,
        // AWS tells these only to those who may read.
        Err(failure) if matches!(failure.reason, Reason::NotFound | Reason::NoValue) => {
            Verdict::Allowed
        }
        Err(_) => Verdict::Suspect,
    }
}
