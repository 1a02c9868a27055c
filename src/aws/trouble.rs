//! AWS errors told apart, where they arise and only there.
//!
//! An `SdkError` is never printed: on a 200 that does not parse, its `Debug` holds the body, secret included
//! (measured). What leaves here is a code, a status, a class, and sentences of our own.

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use http_body_util::LengthLimitError;
use jiff::Timestamp;

use super::login::LoginFailed;
use crate::clock;
use crate::failure::{Failure, Reason};
use crate::report::RequestCode;

/// What an AWS call failed with.
#[derive(Debug)]
pub enum Trouble {
    /// A failure of the account role, the region or the way there, the same for every secret.
    Shared(Failure),
    /// The service refused this one request. The code is one of AWS's; the message is for telling cases apart inside
    /// a store and must not be shown.
    Refused { code: String, message: Quoted },
}

/// Foreign text: may be searched, cannot be printed.
pub struct Quoted(String);

impl Quoted {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub fn mentions(&self, words: &str) -> bool {
        self.0
            .to_ascii_lowercase()
            .contains(&words.to_ascii_lowercase())
    }
}

impl std::fmt::Debug for Quoted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[not shown]")
    }
}

/// The label of the request and what went wrong with it.
pub fn classify<E>(error: &SdkError<E, HttpResponse>) -> (RequestCode, Trouble)
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let shared = |code, reason, fact: &str| (code, Trouble::Shared(Failure::new(reason, fact)));
    if let Some(failure) = credentials_failure(error) {
        return (
            RequestCode::Failed(failure.reason),
            Trouble::Shared(failure),
        );
    }
    if caused_by::<LengthLimitError>(error).is_some() {
        let fact = "the answer is larger than any that AWS gives";
        return shared(RequestCode::Malformed, Reason::Malformed, fact);
    }
    match error {
        SdkError::TimeoutError(_) => shared(
            RequestCode::Timeout,
            Reason::Timeout,
            "AWS did not answer in time",
        ),
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => shared(
            RequestCode::Timeout,
            Reason::Timeout,
            "AWS did not answer in time",
        ),
        SdkError::DispatchFailure(_) => shared(
            RequestCode::Network,
            Reason::Network,
            "the AWS endpoint cannot be reached",
        ),
        SdkError::ResponseError(answer) => shared(
            status(answer.raw()),
            Reason::Network,
            "the answer of AWS broke off",
        ),
        SdkError::ServiceError(refusal) => {
            let code = status(refusal.raw());
            (code, service_trouble(refusal.err(), refusal.raw()))
        }
        SdkError::ConstructionFailure(_) | _ => shared(
            RequestCode::Malformed,
            Reason::Invalid,
            "the request to AWS could not be built",
        ),
    }
}

/// What AWS calls it when there are too many requests.
const THROTTLES: &[&str] = &[
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "ProvisionedThroughputExceededException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "SlowDown",
];

/// Whether an answer, by its status or its body's `__type`, says that there are too many requests.
pub(super) fn is_throttle(answer: &HttpResponse) -> bool {
    #[derive(serde::Deserialize)]
    struct Error {
        #[serde(rename = "__type")]
        code: String,
    }
    let status = answer.status().as_u16();
    if status == 429 {
        return true;
    }
    let body = answer
        .body()
        .bytes()
        .filter(|_| (400..600).contains(&status));
    let error: Option<Error> = body.and_then(|body| serde_json::from_slice(body).ok());
    error.is_some_and(|error| {
        let code = error.code.rsplit('#').next().unwrap_or_default();
        THROTTLES.contains(&code)
    })
}

fn status(answer: &HttpResponse) -> RequestCode {
    RequestCode::Status(answer.status().as_u16())
}

fn service_trouble<E: ProvideErrorMetadata>(error: &E, answer: &HttpResponse) -> Trouble {
    let shared = |reason, fact: String| Trouble::Shared(Failure::new(reason, fact));
    let status = answer.status().as_u16();
    let Some(code) = error.code() else {
        return without_code(status);
    };
    match code {
        code if THROTTLES.contains(&code) => shared(
            Reason::Throttled,
            "AWS throttles this account's requests".into(),
        ),
        "ExpiredTokenException" | "ExpiredToken" => {
            shared(Reason::Credentials, "the AWS session has expired".into())
        }
        "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "OptInRequired"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException" => Trouble::Shared(
            Failure::new(Reason::Credentials, "AWS does not know the access key").with_help(
                "check that the key exists, is active, and belongs to this partition and region",
            ),
        ),
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired" => Trouble::Shared(signature_failure(code, answer)),
        "InternalServerError"
        | "InternalServiceError"
        | "InternalServiceErrorException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => shared(
            Reason::Network,
            format!("AWS answered with an internal error ({status})"),
        ),
        _ => Trouble::Refused {
            code: code.to_owned(),
            message: Quoted::new(error.message().unwrap_or_default().to_owned()),
        },
    }
}

/// An answer without an AWS error code: something between us and AWS, or not AWS at all.
fn without_code(status: u16) -> Trouble {
    let failure = match status {
        429 => Failure::new(
            Reason::Throttled,
            "something in front of AWS limits requests (429)",
        ),
        500.. => Failure::new(
            Reason::Network,
            format!("the AWS endpoint answered {status}"),
        ),
        200..300 => Failure::new(
            Reason::Malformed,
            "the answer of AWS could not be understood",
        ),
        status => Failure::new(
            Reason::Malformed,
            format!("something that is not AWS answered {status}"),
        ),
    };
    Trouble::Shared(failure)
}

/// A refused signature is a clock that is off, which the answer's `Date` tells, or a secret key that does not belong to
/// its id.
fn signature_failure(code: &str, answer: &HttpResponse) -> Failure {
    let skew = answer
        .headers()
        .get("date")
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .map(|theirs| skew_seconds(clock::now(), theirs.timestamp()));
    let of_signature = matches!(code, "InvalidSignatureException" | "SignatureDoesNotMatch");
    match skew {
        Some(skew) if skew.abs() > 60 => Failure::new(
            Reason::Clock,
            format!("AWS refused the signature; this machine's clock is off by {skew} s"),
        ),
        Some(_) if of_signature => Failure::new(
            Reason::Credentials,
            "AWS refused the signature, and this machine's clock is right",
        )
        .with_help(
            "check that the secret access key belongs to the access key id, and look for a proxy that alters requests",
        ),
        _ => Failure::new(Reason::Clock, "AWS refused the time of the signature"),
    }
}

fn skew_seconds(ours: Timestamp, theirs: Timestamp) -> i64 {
    ours.as_second() - theirs.as_second()
}

/// The first cause of that type in the source chain.
fn caused_by<'a, C: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a C> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|cause| cause.downcast_ref::<C>())
}

/// Credentials that could not be loaded surface in several variants; the cause is always in the source chain.
fn credentials_failure(error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    if let Some(LoginFailed(failure)) = caused_by::<LoginFailed>(error) {
        return Some(failure.clone());
    }
    caused_by::<CredentialsError>(error).map(loading_failure)
}

const GIVE_CREDENTIALS: &str = "the store's `auth` (or, without it, the environment, the AWS profile files, and the instance's or container's role) must give credentials";

/// What the SDK's own providers fail with.
pub(super) fn loading_failure(error: &CredentialsError) -> Failure {
    let (fact, help) = match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            ("no AWS credentials were found", GIVE_CREDENTIALS)
        }
        CredentialsError::ProviderTimedOut(_) => return loading_took_too_long(),
        CredentialsError::InvalidConfiguration(_) => (
            "the AWS profile cannot be used: it is invalid",
            "correct the profile in the AWS profile files",
        ),
        CredentialsError::ProviderError(_) | CredentialsError::Unhandled(_) | _ => (
            "AWS credentials could not be loaded",
            "the store's `auth` (or, without it, the environment, the AWS profile files, and the instance's or container's role) must give credentials; for a profile see whether its SSO login has ended or its `credential_process` fails",
        ),
    };
    Failure::new(Reason::Credentials, fact).with_help(help)
}

pub(super) fn loading_took_too_long() -> Failure {
    Failure::new(Reason::Credentials, "loading AWS credentials took too long")
        .with_help(GIVE_CREDENTIALS)
}
