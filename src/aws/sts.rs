//! What roles and web identities ask of STS, and what they make of its answers.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use aws_sdk_sts::types::{AssumedRoleUser, Credentials as Issued};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::region::Places;
use super::trouble::{self, Trouble};
use super::{Sdk, guard};
use crate::failure::{Failure, Reason};
use crate::names::RoleArn;
use crate::report::RequestCode;

/// What a session is called unless the configuration says otherwise.
pub(super) const SESSION_NAME: &str = "secretsyncd";

/// Credentials with a session token; nothing of what AWS gives comes near.
const ANSWER_LIMIT: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Sts {
    pub(super) sdk: Sdk,
    pub(super) region: Arc<Places>,
    /// Absent: STS's own. None is taken from the environment.
    pub(super) endpoint_url: Option<String>,
}

/// Why STS gave no credentials.
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// It did not accept the credentials that it was asked with.
    pub(super) of_asker: bool,
}

impl Sts {
    /// Without credentials, it can only be shown a web identity.
    pub(super) async fn client(&self, asker: Option<Credentials>) -> Result<Client, Failure> {
        let mut config = aws_sdk_sts::Config::builder()
            .behavior_version(super::behavior())
            .region(self.region.region().await?)
            .identity_cache(super::no_identity_cache())
            .http_client(self.sdk.http_client())
            .timeout_config(super::timeouts())
            .retry_config(super::retries())
            .interceptor(guard::AtMost(ANSWER_LIMIT));
        if let Some(asker) = asker {
            config = config.credentials_provider(asker);
        }
        if let Some(url) = &self.endpoint_url {
            config = config.endpoint_url(url);
        }
        Ok(Client::from_conf(config.build()))
    }

    /// `refusal` says what a code means that means the same for nothing else.
    pub(super) fn refused<E>(
        &self,
        role: &RoleArn,
        error: &SdkError<E, HttpResponse>,
        refusal: impl Fn(&str) -> Failure,
    ) -> Refused
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match trouble::classify(error) {
            (_, Trouble::Refused { code, .. }) => Refused {
                failure: refusal(&code),
                of_asker: false,
            },
            (code, Trouble::Shared(failure)) => Refused {
                of_asker: matches!(code, RequestCode::Status(_))
                    && matches!(failure.reason, Reason::Credentials | Reason::Clock),
                failure: self.about(role, &failure),
            },
        }
    }

    fn about(&self, role: &RoleArn, failure: &Failure) -> Failure {
        let at = match &self.endpoint_url {
            Some(url) if failure.reason == Reason::Network => format!(" ({url})"),
            Some(_) | None => String::new(),
        };
        let fact = format!(
            "the role {role} could not be assumed: {}{at}",
            of_sts(&failure.fact)
        );
        Failure::new(failure.reason, fact).with_help(failure.help().to_owned())
    }
}

/// The sentences are about AWS; here it is one service of it.
fn of_sts(fact: &str) -> String {
    fact.replacen("the AWS endpoint", "AWS STS", 1)
}

/// Refusals that mean the same whoever asks.
pub(super) fn refusal(role: &RoleArn, code: &str) -> Failure {
    let failed = |fact| Failure::new(Reason::Credentials, fact);
    match code {
        "RegionDisabledException" => failed(format!(
            "the role {role} could not be assumed: STS is not active in the store's region"
        ))
        .with_help("activate STS for this region in the account settings of IAM"),
        "PackedPolicyTooLarge" | "PackedPolicyTooLargeException" => failed(format!(
            "the role {role} could not be assumed: the session tags are too large"
        ))
        .with_help("use fewer or shorter `session_tags`"),
        "ValidationError" | "ValidationException" => failed(format!(
            "the role {role} could not be assumed: STS does not accept the request"
        ))
        .with_help(
            "check `role_arn`, `session_name`, `external_id`, `session_tags` and `transitive_tag_keys` of the store's `auth`",
        ),
        _ => failed(format!(
            "the role {role} could not be assumed: STS refused with an error that is not known"
        )),
    }
}

/// The credentials of an answer, where they are whole and of this role's account.
pub(super) fn issued(
    role: &RoleArn,
    issued: Option<Issued>,
    user: Option<&AssumedRoleUser>,
) -> Result<Credentials, Failure> {
    let malformed = |what: &str| {
        let fact = format!("the role {role} could not be assumed: the answer of STS {what}");
        Failure::new(Reason::Malformed, fact)
    };
    if !user.is_some_and(|user| is_of(role, user.arn())) {
        return Err(malformed("is of another role"));
    }
    // Of what an answer does not have, the SDK makes empty texts, and a time of 0.
    let whole = |issued: &Issued| {
        !issued.access_key_id.is_empty()
            && !issued.secret_access_key.is_empty()
            && !issued.session_token.is_empty()
            && issued.expiration.secs() > 0
    };
    let issued = issued
        .filter(whole)
        .ok_or_else(|| malformed("holds no complete credentials"))?;
    let expiry = issued
        .expiration
        .try_into()
        .map_err(|_| malformed("does not say when the credentials end"))?;
    Ok(Credentials::new(
        issued.access_key_id,
        issued.secret_access_key,
        Some(issued.session_token),
        Some(expiry),
        "secretsyncd role",
    ))
}

/// `arn:PARTITION:sts::ACCOUNT:assumed-role/NAME/SESSION`; the role's path is not in it (IAM user guide, identifiers).
fn is_of(role: &RoleArn, assumed: &str) -> bool {
    let (account, name) = (role.account(), role.as_str().rsplit('/').next());
    let parts: Vec<&str> = assumed.split(':').collect();
    matches!(parts.as_slice(), ["arn", _, "sts", "", of, user]
        if *of == account.as_str() && matches!(user.split('/').collect::<Vec<_>>().as_slice(),
            ["assumed-role", assumed, _session] if Some(*assumed) == name))
}

pub(super) fn late(role: &RoleArn) -> Failure {
    let fact = format!("the role {role} could not be assumed: AWS STS did not answer in time");
    Failure::new(Reason::Timeout, fact)
}
