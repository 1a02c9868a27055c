//! What Secrets Manager means when it refuses one secret (API reference, `GetSecretValue` errors).

use crate::aws::trouble::Quoted;
use crate::config::Version;
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;

/// `ResourceNotFoundException` stands for two situations and `InvalidRequestException` for two more; only the
/// message tells them apart. It is searched, never shown.
pub(super) fn failure(
    (key, version): (&RemoteKey, &Version),
    code: &str,
    message: &Quoted,
) -> Failure {
    match code {
        "ResourceNotFoundException" if message.mentions("secret value for") => Failure::new(
            Reason::NoValue,
            format!("the secret `{key}` has no value {}", wanted(version)),
        ),
        _ => of("secretsmanager:GetSecretValue", key, code, message),
    }
}

/// The same for every operation on one secret; `action` is what IAM calls it.
pub(super) fn of(action: &str, key: &RemoteKey, code: &str, message: &Quoted) -> Failure {
    match code {
        "ResourceNotFoundException" => {
            Failure::new(Reason::NotFound, format!("there is no secret `{key}`"))
        }
        "InvalidRequestException" if is_about_deletion(message) => pending_deletion(key),
        "AccessDeniedException" | "AccessDenied" if is_about_kms(message) => Failure::new(
            Reason::Kms,
            format!("the key that encrypts `{key}` may not be used"),
        ),
        "DecryptionFailure" | "DecryptionFailureException" => Failure::new(
            Reason::Kms,
            format!("`{key}` could not be decrypted with its key"),
        ),
        "AccessDeniedException" | "AccessDenied" => Failure::new(
            Reason::AccessDenied,
            format!("{action} on `{key}` is not allowed"),
        )
        .with_help(format!(
            "allow {action} on `{key}` for the identity this store uses"
        )),
        "InvalidRequestException" | "InvalidParameterException" | "ValidationException" => {
            Failure::new(
                Reason::Invalid,
                format!("Secrets Manager does not accept the request for `{key}`"),
            )
            .with_help("check `key` and `version` of this item; the secret may also be managed by another service")
        }
        _ => Failure::new(
            Reason::Malformed,
            format!("Secrets Manager refused `{key}` with an error that is not known"),
        ),
    }
}

pub(super) fn pending_deletion(key: &RemoteKey) -> Failure {
    Failure::new(
        Reason::PendingDeletion,
        format!("the secret `{key}` is scheduled for deletion"),
    )
}

/// A refused `ListSecrets`.
pub(super) fn of_list(code: &str, message: &Quoted) -> Failure {
    if is_denied(code, message) {
        return Failure::new(
            Reason::AccessDenied,
            "secretsmanager:ListSecrets is not allowed, which `find` needs",
        )
        .with_help(
            "allow secretsmanager:ListSecrets on the resource \"*\" for the identity this store uses",
        );
    }
    Failure::new(
        Reason::Invalid,
        "Secrets Manager does not accept the request for a list",
    )
    .with_help("check `path`, `name` and `tags` of this `find`")
}

/// The action is not allowed; that a key may not be used is something else.
pub(super) fn is_denied(code: &str, message: &Quoted) -> bool {
    matches!(code, "AccessDeniedException" | "AccessDenied") && !is_about_kms(message)
}

fn is_about_deletion(message: &Quoted) -> bool {
    message.mentions("marked for deletion") || message.mentions("scheduled for deletion")
}

/// A name that merely holds "kms" is not about KMS.
fn is_about_kms(message: &Quoted) -> bool {
    message.mentions("access to kms is not allowed") || message.mentions("perform: kms:")
}

fn wanted(version: &Version) -> String {
    match version {
        Version::Current => "under AWSCURRENT".to_owned(),
        Version::Stage(stage) => format!("under the stage {stage}"),
        Version::Id(id) => format!("in the version {id}"),
    }
}
