//! A role, assumed as another login.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_sts::types::Tag;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::login::{Change, Habits, Login, Source};
use super::sts::{self, Refused, SESSION_NAME, Sts};
use crate::config::AwsRole;
use crate::failure::{Failure, Reason};

#[derive(Debug)]
pub(super) struct Role {
    pub(super) parent: Arc<Login>,
    pub(super) spec: AwsRole,
    pub(super) sts: Sts,
}

impl Source for Role {
    fn load(&self, deadline: Instant) -> BoxFuture<'_, Result<Credentials, Failure>> {
        self.assume(deadline).boxed()
    }

    fn habits(&self) -> Habits {
        Habits {
            again: None,
            files: Vec::new(),
            on_change: Change::Load,
        }
    }

    fn late(&self) -> Failure {
        sts::late(&self.spec.arn)
    }
}

impl Role {
    /// Once more where STS does not accept the parent's credentials, and the parent has others.
    async fn assume(&self, deadline: Instant) -> Result<Credentials, Failure> {
        let refused = match self.assume_once(deadline).await {
            Ok(credentials) => return Ok(credentials),
            Err(refused) => refused,
        };
        if refused.of_asker && self.parent.rejected().await {
            let again = self.assume_once(deadline).await;
            return again.map_err(|refused| refused.failure);
        }
        Err(refused.failure)
    }

    async fn assume_once(&self, deadline: Instant) -> Result<Credentials, Refused> {
        let unasked = |failure| Refused {
            failure,
            of_asker: false,
        };
        let role = &self.spec;
        let asker = self.parent.credentials(deadline).await.map_err(unasked)?;
        let client = self.sts.client(Some(asker)).await.map_err(unasked)?;
        let keys = &role.transitive_tag_keys;
        let answer = client
            .assume_role()
            .role_arn(role.arn.as_str())
            .role_session_name(role.session_name.as_deref().unwrap_or(SESSION_NAME))
            .set_external_id(role.external_id.clone())
            .set_tags(self.tags().map_err(unasked)?)
            .set_transitive_tag_keys(Some(keys.clone()).filter(|keys| !keys.is_empty()))
            .send()
            .await;
        match answer {
            Ok(answer) => sts::issued(
                &role.arn,
                answer.credentials,
                answer.assumed_role_user.as_ref(),
            )
            .map_err(unasked),
            Err(error) => Err(self
                .sts
                .refused(&role.arn, &error, |code| self.refusal(code))),
        }
    }

    fn tags(&self) -> Result<Option<Vec<Tag>>, Failure> {
        let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
        let tags: Result<Vec<_>, _> = self.spec.session_tags.iter().map(tag).collect();
        let tags = tags.map_err(|_| {
            Failure::new(
                Reason::Credentials,
                "the `session_tags` cannot be sent to STS",
            )
        })?;
        Ok(Some(tags).filter(|tags| !tags.is_empty()))
    }

    fn refusal(&self, code: &str) -> Failure {
        let role = &self.spec.arn;
        if !matches!(code, "AccessDenied" | "AccessDeniedException") {
            return sts::refusal(role, code);
        }
        let external_id = if self.spec.external_id.is_some() {
            "with this `external_id`"
        } else {
            "without an `external_id`"
        };
        let tags = if self.spec.session_tags.is_empty() {
            ""
        } else {
            " and sts:TagSession"
        };
        Failure::new(
            Reason::Credentials,
            format!("the role {role} may not be assumed by the identity before it"),
        )
        .with_help(format!(
            "allow sts:AssumeRole{tags} on {role} for the identity before it, and see that the role's trust policy admits that identity {external_id}"
        ))
    }
}
