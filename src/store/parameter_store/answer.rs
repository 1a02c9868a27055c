//! An answer is believed only when it names what was asked and holds one value.
//!
//! The SDK takes a 200 with body `{}` for a success with every field absent (measured); an intercepting proxy must
//! not be able to blank a secret.

use aws_sdk_ssm::types::{Parameter, ParameterType};

use super::ParameterStore;
use super::asked::{Arn, Asked, bare};
use crate::config::Version;
use crate::failure::Failure;
use crate::names::RemoteKey;
use crate::secret::SecretBytes;
use crate::store::answers::{malformed, timestamp};
use crate::store::{Answer, Content, Identity};

impl ParameterStore {
    pub(super) fn checked(
        &self,
        region: &str,
        asked: Asked<'_>,
        parameter: Parameter,
    ) -> Result<Answer, Failure> {
        let key = asked.key;
        self.named(region, key, &parameter)?;
        if !is_version(asked, &parameter) {
            return Err(malformed(
                key,
                "holds another version than the one asked for",
            ));
        }
        let known = matches!(
            parameter.r#type,
            Some(ParameterType::String | ParameterType::StringList | ParameterType::SecureString)
        );
        if !known {
            return Err(malformed(key, "is of a type that is not known"));
        }
        let Some(text) = parameter.value.filter(|value| !value.is_empty()) else {
            return Err(malformed(key, "holds no value"));
        };
        let value = SecretBytes::new(text.into_bytes());
        let modified = parameter.last_modified_date.and_then(timestamp);
        let arn = parameter.arn.unwrap_or_default();
        // An answer to a name that is right in all else says whose parameters these are.
        if !key.as_str().starts_with("arn:")
            && let Some(arn) = Arn::parse(&arn).filter(|arn| !arn.account.is_empty())
        {
            self.account.learn(arn.account);
        }
        let identity = if parameter.version > 0 {
            Identity::Parameter {
                arn: arn.into(),
                version: parameter.version,
                modified,
            }
        } else {
            Identity::Fingerprint(self.key.of([arn.as_bytes(), value.expose()]))
        };
        Ok(Answer {
            identity,
            created: modified,
            content: Content::Value(value),
        })
    }

    /// Whether ARN and name are those that were asked for, of the right region and account.
    fn named(&self, region: &str, key: &RemoteKey, parameter: &Parameter) -> Result<(), Failure> {
        let arn = names_itself(region, parameter.arn(), parameter.name())
            .filter(|_| is_asked(key, parameter));
        let Some(arn) = arn else {
            return Err(malformed(
                key,
                "names another parameter than the one asked for",
            ));
        };
        // A complete ARN says itself which account is meant.
        if key.as_str().starts_with("arn:") {
            return Ok(());
        }
        self.is_ours(arn)
    }

    /// Whether a parameter of that ARN is believed to be of our account.
    pub(super) fn is_ours(&self, arn: Arn<'_>) -> Result<(), Failure> {
        // What AWS publishes for everybody belongs to no account.
        if arn.account.is_empty() && arn.bare.starts_with("aws/service/") {
            return Ok(());
        }
        self.account.agrees(arn.account)
    }
}

/// Whether an answer names this key.
pub(super) fn names(key: &RemoteKey, region: &str, parameter: &Parameter) -> bool {
    names_itself(region, parameter.arn(), parameter.name()).is_some() && is_asked(key, parameter)
}

/// The ARN, when it is of this region and of that name.
pub(super) fn names_itself<'a>(
    region: &str,
    arn: Option<&'a str>,
    name: Option<&str>,
) -> Option<Arn<'a>> {
    let (text, name) = (arn?, name?);
    let arn = Arn::parse(text)?;
    // Asked for by its ARN, a parameter that is shared may go by that.
    let same = bare(name) == arn.bare || name == text;
    (same && arn.region == region).then_some(arn)
}

fn is_asked(key: &RemoteKey, parameter: &Parameter) -> bool {
    let of = if key.as_str().starts_with("arn:") {
        parameter.arn()
    } else {
        parameter.name()
    };
    of == Some(key.as_str())
}

/// AWS repeats what stood behind the name, the colon included (API reference, `Parameter`).
fn is_version(asked: Asked<'_>, parameter: &Parameter) -> bool {
    let given = parameter.selector().unwrap_or_default();
    let given = given.strip_prefix(':').unwrap_or(given);
    // A number stands in the answer, too; a label only there.
    let labelled = matches!(asked.version, Version::Stage(_));
    let same = (given.is_empty() && !labelled) || asked.selector() == Some(given);
    // A reference to Secrets Manager has no number of its own.
    let reference = parameter
        .name()
        .is_some_and(|name| name.starts_with("/aws/reference/"));
    let number = match asked.version {
        Version::Id(wanted) => wanted.parse() == Ok(parameter.version),
        Version::Current | Version::Stage(_) => parameter.version > 0,
    };
    same && (number || reference && parameter.version == 0)
}
