//! Whose credentials these are, as STS says (`GetCallerIdentity`, which needs no permission).
//!
//! For people, and for answers that do not say whose they are: values and lists work without STS being reachable.

use std::fmt;

use aws_sdk_sts::Client;
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput;

use super::guard::AtMost;
use super::{Session, Trouble, trouble};
use crate::failure::{Failure, Reason};
use crate::names::AccountId;

/// An answer holds three short texts.
const ANSWER: usize = 64 << 10;

/// The longest ARN of IAM (user guide, quotas) fits well.
const ARN: usize = 2048;

/// A principal and its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    arn: String,
    account: AccountId,
}

impl Identity {
    /// `None` where the text is no ARN of a principal that is fit to be printed.
    pub fn new(arn: String) -> Option<Self> {
        let printable = arn.len() <= ARN && arn.bytes().all(|b| b.is_ascii_graphic());
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", _, "iam" | "sts", "", account, name] = parts.as_slice() else {
            return None;
        };
        let account = AccountId::new(*account).ok()?;
        (printable && !name.is_empty()).then_some(())?;
        Some(Self { arn, account })
    }

    pub fn account(&self) -> &AccountId {
        &self.account
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

/// Asks STS in the session's region; `endpoint_url` where the configuration names another endpoint than AWS's own.
pub async fn ask(session: Session, endpoint_url: Option<&str>) -> Result<Identity, Failure> {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(super::behavior())
        .region(session.region)
        .credentials_provider(session.credentials)
        .identity_cache(super::no_identity_cache())
        .http_client(session.http_client)
        .timeout_config(super::timeouts())
        .retry_config(super::retries());
    let config = match endpoint_url {
        Some(url) => config.endpoint_url(url),
        None => config,
    };
    let request = Client::from_conf(config.build()).get_caller_identity();
    match request.customize().interceptor(AtMost(ANSWER)).send().await {
        Ok(output) => identity_of(output),
        Err(error) => Err(match trouble::classify(&error).1 {
            Trouble::Shared(failure) => failure,
            Trouble::Refused { .. } => {
                Failure::new(Reason::AccessDenied, "STS refused to say whose they are")
            }
        }),
    }
}

fn identity_of(output: GetCallerIdentityOutput) -> Result<Identity, Failure> {
    let identity = output.arn.and_then(Identity::new);
    identity.ok_or_else(|| Failure::new(Reason::Malformed, "the answer of STS names no principal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_printable_arn_of_a_principal_is_an_identity() {
        let identity = |arn: &str| Identity::new(arn.to_owned());
        for arn in [
            "arn:aws:iam::123456789012:user/sync",
            "arn:aws:sts::123456789012:assumed-role/read/secretsyncd",
            "arn:aws-cn:iam::123456789012:root",
        ] {
            let identity = identity(arn).unwrap();
            assert_eq!(identity.to_string(), arn);
            assert_eq!(identity.account().as_str(), "123456789012");
        }
        for bad in [
            "",
            "arn:aws:iam::123456789012:",
            "arn:aws:iam::1:user/x",
            "arn:aws:s3::123456789012:user/x",
            "arn:aws:iam::123456789012:user/\x1b[2J",
            "arn:aws:iam::123456789012:user/a b",
            &format!("arn:aws:iam::123456789012:user/{}", "x".repeat(2048)),
        ] {
            assert_eq!(identity(bad), None, "{bad:?}");
        }
        let empty = GetCallerIdentityOutput::builder().build();
        assert_eq!(identity_of(empty).unwrap_err().reason, Reason::Malformed);
    }
}
