//! A role for whoever holds a token of another issuer, which is in a file and replaced there before it ends.

use std::path::PathBuf;

use aws_credential_types::Credentials;
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::files;
use super::login::{Change, Habits, Source};
use super::sts::{self, SESSION_NAME, Sts};
use crate::failure::{Failure, Reason};
use crate::names::RoleArn;

/// STS takes tokens of up to 20,000 characters (API reference, `AssumeRoleWithWebIdentity`).
const TOKEN_SIZE_LIMIT: usize = 20_000;

#[derive(Debug)]
pub(super) struct WebIdentity {
    pub(super) role: RoleArn,
    pub(super) token_file: PathBuf,
    pub(super) sts: Sts,
}

impl Source for WebIdentity {
    fn load(&self, _deadline: Instant) -> BoxFuture<'_, Result<Credentials, Failure>> {
        self.assume().boxed()
    }

    fn habits(&self) -> Habits {
        Habits {
            again: None,
            files: vec![self.token_file.clone()],
            on_change: Change::LoadInTrouble,
        }
    }

    fn late(&self) -> Failure {
        sts::late(&self.role)
    }
}

impl WebIdentity {
    async fn assume(&self) -> Result<Credentials, Failure> {
        let token = files::read(self.token_file.clone(), TOKEN_SIZE_LIMIT).await;
        let token = token.ok_or_else(|| {
            self.about_token("cannot be read as one")
                .with_help("put it there, readable for the user that runs secretsyncd")
        })?;
        let client = self.sts.client(None).await?;
        let answer = client
            .assume_role_with_web_identity()
            .role_arn(self.role.as_str())
            .role_session_name(SESSION_NAME)
            .web_identity_token(token.as_str())
            .send()
            .await;
        match answer {
            Ok(answer) => sts::issued(
                &self.role,
                answer.credentials,
                answer.assumed_role_user.as_ref(),
            ),
            Err(error) => {
                let of_token = error.code().and_then(|code| self.refusal(code));
                let general = |code: &str| sts::refusal(&self.role, code);
                let of_sts = || self.sts.refused(&self.role, &error, general).failure;
                Err(of_token.unwrap_or_else(of_sts))
            }
        }
    }

    fn refusal(&self, code: &str) -> Option<Failure> {
        let role = &self.role;
        Some(match code {
            "ExpiredTokenException" | "ExpiredToken" => self
                .about_token("has expired")
                .with_help("see why what writes this file did not replace it"),
            "InvalidIdentityToken" | "InvalidIdentityTokenException" => self
                .about_token("is not accepted by AWS")
                .with_help("check the token's issuer and audience against the identity provider in IAM"),
            "IDPRejectedClaim" | "IDPRejectedClaimException" => self
                .about_token("was rejected by its issuer")
                .with_help("the token may be revoked; have a new one written"),
            "IDPCommunicationError" | "IDPCommunicationErrorException" => Failure::new(
                Reason::Network,
                format!("the role {role} could not be assumed: AWS cannot reach the token's issuer"),
            ),
            "AccessDenied" | "AccessDeniedException" => Failure::new(
                Reason::Credentials,
                format!(
                    "the role {role} may not be assumed with the token in {}",
                    self.place()
                ),
            )
            .with_help(format!(
                "let the trust policy of {role} allow sts:AssumeRoleWithWebIdentity for this token's issuer, audience and subject"
            )),
            _ => return None,
        })
    }

    fn about_token(&self, what: &str) -> Failure {
        let fact = format!("the web identity token in {} {what}", self.place());
        Failure::new(Reason::Credentials, fact)
    }

    /// The path, where something is at it: the token itself may have been typed into the setting.
    fn place(&self) -> String {
        if self.token_file.symlink_metadata().is_err() {
            "the file that `token_file` names".to_owned()
        } else {
            self.token_file.display().to_string()
        }
    }
}
