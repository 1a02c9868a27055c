//! What Parameter Store means when it refuses something (API reference, errors of each operation).

use super::asked::Asked;
use crate::aws::trouble::Quoted;
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;

/// A refused value. A batch may be what was refused; the permission to name is the one that never spoils others.
pub(super) fn of_value(asked: Asked<'_>, code: &str, message: &Quoted) -> Failure {
    match (code, asked.selector()) {
        ("ParameterVersionNotFound", Some(selector)) => Failure::new(
            Reason::NoValue,
            format!("the parameter `{}` has no version or label `{selector}`", asked.key),
        )
        .with_help("put the label on a version, or ask for a version that is still kept (the last 100 are)"),
        _ => of("ssm:GetParameter", asked.key, code, message),
    }
}

/// The same for every operation on one parameter; `action` is what IAM calls it.
pub(super) fn of(action: &str, key: &RemoteKey, code: &str, message: &Quoted) -> Failure {
    match code {
        "ParameterNotFound" | "InvalidResourceId" => {
            Failure::new(Reason::NotFound, format!("there is no parameter `{key}`"))
        }
        "ParameterVersionNotFound" => Failure::new(
            Reason::NoValue,
            format!("the parameter `{key}` has no value in that version"),
        ),
        "InvalidKeyId" => unusable(key),
        _ if is_denied(code) && is_about_kms(message) => unusable(key),
        _ if is_denied(code) => Failure::new(
            Reason::AccessDenied,
            format!("{action} on `{key}` is not allowed"),
        )
        .with_help(format!(
            "allow {action} on `{key}` for the identity this store uses"
        )),
        "ValidationException" | "InvalidResourceType" => Failure::new(
            Reason::Invalid,
            format!("Parameter Store does not accept the request for `{key}`"),
        )
        .with_help(
            "check `key` and `version` of this item: a name has letters, digits and `_.-`, begins with `/` where it has one inside, and a version is a number or a label",
        ),
        _ => Failure::new(
            Reason::Malformed,
            format!("Parameter Store refused `{key}` with an error that is not known"),
        ),
    }
}

/// Neither way to read it is open, or one is and does not know the name; only the other would say why.
pub(super) fn untold(asked: Asked<'_>) -> Failure {
    Failure::new(
        Reason::AccessDenied,
        format!("ssm:GetParameters does not find `{asked}`, and ssm:GetParameter is not allowed, which would tell why"),
    )
    .with_help(format!(
        "check the name and the version; allow ssm:GetParameter on `{}` to have the two told apart",
        asked.key
    ))
}

/// A refused list.
pub(super) fn of_list(action: &str, code: &str) -> Failure {
    if is_denied(code) {
        return Failure::new(
            Reason::AccessDenied,
            format!("{action} is not allowed, which this `find` needs"),
        )
        .with_help(format!(
            "allow {action} on what lies below `path` (with `tags`: on the resource \"*\") for the identity this store uses"
        ));
    }
    if code == "InvalidNextToken" {
        return Failure::new(
            Reason::Malformed,
            "Parameter Store does not know the page that it named itself",
        );
    }
    Failure::new(
        Reason::Invalid,
        "Parameter Store does not accept the request for a list",
    )
    .with_help("check `path` (it begins with `/`), `name` and `tags` of this `find`")
}

/// The action is not allowed; that a key may not be used comes under the same code.
pub(super) fn is_denied(code: &str) -> bool {
    matches!(code, "AccessDeniedException" | "AccessDenied")
}

fn unusable(key: &RemoteKey) -> Failure {
    Failure::new(
        Reason::Kms,
        format!("the key that encrypts `{key}` may not be used, or is not there"),
    )
}

/// A name that merely holds "kms" is not about KMS. KMS's own text for a ciphertext of a key that it does not show is
/// passed on as it is.
fn is_about_kms(message: &Quoted) -> bool {
    message.mentions("perform: kms:")
        || message.mentions("access to kms is not allowed")
        || message.mentions("the ciphertext refers to a customer master key")
}
