//! Everything that can go wrong on the wire between Secrets Manager and its reader.
//!
//! One variant per row of the reference on AWS failures, and one per way an answer can be about something else
//! than what was asked. Wherever an error carries text, the text quotes the value and the access key.

use serde_json::{Value, json};

/// How reads of a secret end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    AccessDenied,
    KmsDenied,
    DecryptionFailure,
    InvalidParameter,
    InternalServiceError,
    Throttling,
    LimitExceeded,
    ExpiredToken,
    UnrecognizedClient,
    InvalidClientTokenId,
    MissingAuthenticationToken,
    InvalidSignature,
    SignatureDoesNotMatch,
    RequestTimeTooSkewed,
    /// An error code nobody has heard of.
    UnknownCode,
    Truncated,
    /// 200 with the value inside something that is not JSON.
    Unparsable,
    /// 200 with `{}`, which the SDK takes for a success.
    Empty,
    MissingArn,
    MissingName,
    MissingVersionId,
    /// The right identity and neither a string nor bytes.
    NoContent,
    EmptyString,
    OtherAccount,
    OtherRegion,
    OtherName,
    /// Another version than the one asked for by id.
    OtherVersion,
    /// A version that does not carry the label asked for.
    OtherStage,
    /// A string and bytes at once.
    TwoContents,
    /// A body far beyond anything Secrets Manager holds.
    Huge,
    TooManyRequestsHtml,
    ForbiddenHtml,
    UnavailableHtml,
    BadGatewayHtml,
    /// 307 to another host.
    Redirect,
    Hang,
    Close,
    Drip,
    /// The batch holds the secret two times; a single answer comes as two documents in one body.
    Twice,
    /// The batch has the secret neither among its values nor among its errors; a single answer is `{}`.
    LeftOut,
    /// Refused inside a batch only, as under an IAM condition on `VersionStage`, which a batch cannot send.
    BatchOnlyDenied,
}

impl Fault {
    /// All that a single read can end with.
    pub const ALL: [Self; 40] = [
        Self::AccessDenied,
        Self::KmsDenied,
        Self::DecryptionFailure,
        Self::InvalidParameter,
        Self::InternalServiceError,
        Self::Throttling,
        Self::LimitExceeded,
        Self::ExpiredToken,
        Self::UnrecognizedClient,
        Self::InvalidClientTokenId,
        Self::MissingAuthenticationToken,
        Self::InvalidSignature,
        Self::SignatureDoesNotMatch,
        Self::RequestTimeTooSkewed,
        Self::UnknownCode,
        Self::Truncated,
        Self::Unparsable,
        Self::Empty,
        Self::MissingArn,
        Self::MissingName,
        Self::MissingVersionId,
        Self::NoContent,
        Self::EmptyString,
        Self::OtherAccount,
        Self::OtherRegion,
        Self::OtherName,
        Self::OtherVersion,
        Self::OtherStage,
        Self::TwoContents,
        Self::Huge,
        Self::TooManyRequestsHtml,
        Self::ForbiddenHtml,
        Self::UnavailableHtml,
        Self::BadGatewayHtml,
        Self::Redirect,
        Self::Hang,
        Self::Close,
        Self::Drip,
        Self::Twice,
        Self::LeftOut,
    ];

    /// Status, code and text of the faults that AWS itself answers with.
    pub fn error(self) -> Option<(u16, &'static str, &'static str)> {
        const TOKEN: &str = "The security token included in the request is invalid.";
        const SIGNATURE: &str =
            "The request signature we calculated does not match the signature you provided.";
        let (code, text) = match self {
            Self::AccessDenied => (
                "AccessDeniedException",
                "User: arn:aws:iam::123456789012:user/sync is not authorized to perform: secretsmanager:GetSecretValue on resource: ",
            ),
            Self::KmsDenied => ("AccessDeniedException", "Access to KMS is not allowed"),
            Self::DecryptionFailure => (
                "DecryptionFailure",
                "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
            ),
            Self::InvalidParameter => ("InvalidParameterException", "The value is invalid."),
            Self::InternalServiceError => ("InternalServiceError", "An error on the server side."),
            Self::Throttling => ("ThrottlingException", "Rate exceeded"),
            Self::LimitExceeded => ("LimitExceededException", "A quota is exceeded."),
            Self::ExpiredToken => ("ExpiredTokenException", "The security token is expired"),
            Self::UnrecognizedClient => ("UnrecognizedClientException", TOKEN),
            Self::InvalidClientTokenId => ("InvalidClientTokenId", TOKEN),
            Self::MissingAuthenticationToken => ("MissingAuthenticationTokenException", TOKEN),
            Self::InvalidSignature => ("InvalidSignatureException", SIGNATURE),
            Self::SignatureDoesNotMatch => ("SignatureDoesNotMatch", SIGNATURE),
            Self::RequestTimeTooSkewed => ("RequestTimeTooSkewed", "The clocks differ too much."),
            Self::UnknownCode => ("SomethingNewException", "Something new happened."),
            _ => return None,
        };
        let status = match self {
            Self::InternalServiceError => 500,
            Self::InvalidClientTokenId
            | Self::SignatureDoesNotMatch
            | Self::RequestTimeTooSkewed => 403,
            _ => 400,
        };
        Some((status, code, text))
    }

    /// A page as a proxy or firewall in between would send it.
    pub fn page(self) -> Option<u16> {
        match self {
            Self::TooManyRequestsHtml => Some(429),
            Self::ForbiddenHtml => Some(403),
            Self::UnavailableHtml => Some(503),
            Self::BadGatewayHtml => Some(502),
            _ => None,
        }
    }

    /// Turns a right answer into the wrong one.
    pub fn spoil(self, answer: &mut Value) {
        match self {
            Self::Empty | Self::LeftOut => *answer = json!({}),
            Self::MissingArn => remove(answer, &["ARN"]),
            Self::MissingName => remove(answer, &["Name"]),
            Self::MissingVersionId => remove(answer, &["VersionId"]),
            Self::NoContent => remove(answer, &["SecretString", "SecretBinary"]),
            Self::EmptyString => answer["SecretString"] = json!(""),
            Self::OtherAccount => swap(answer, "ARN", super::ACCOUNT, "999999999999"),
            Self::OtherRegion => swap(answer, "ARN", super::REGION, "us-west-2"),
            Self::OtherName => {
                answer["Name"] = json!("another/secret");
                answer["ARN"] = json!(format!(
                    "arn:aws:secretsmanager:{}:{}:secret:another/secret-AbCdEf",
                    super::REGION,
                    super::ACCOUNT
                ));
            }
            Self::OtherVersion => {
                answer["VersionId"] = json!(super::super::aws::uuid());
            }
            Self::OtherStage => answer["VersionStages"] = json!(["AWSPREVIOUS"]),
            Self::TwoContents => {
                answer["SecretString"] = json!("spoiled");
                answer["SecretBinary"] = json!("c3BvaWxlZA==");
            }
            Self::Huge => answer["SecretString"] = json!("x".repeat(8 << 20)),
            _ => {}
        }
    }
}

fn remove(answer: &mut Value, keys: &[&str]) {
    if let Some(answer) = answer.as_object_mut() {
        answer.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

fn swap(answer: &mut Value, key: &str, from: &str, to: &str) {
    answer[key] = json!(answer[key].as_str().unwrap_or_default().replace(from, to));
}
