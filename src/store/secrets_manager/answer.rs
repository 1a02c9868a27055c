//! An answer is believed only when it names what was asked and holds exactly one value.
//!
//! The SDK takes a 200 with body `{}` for a success with every field absent (measured); an intercepting proxy must
//! not be able to blank a secret.

use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::Limited;
use jiff::Timestamp;

use crate::config::Version;
use crate::failure::{Failure, Reason};
use crate::secret::SecretBytes;
use crate::store::{Answer, Identity, Read};

/// A value is at most 64 KiB (API reference); with every byte escaped in JSON its answer stays below this.
const ANSWER_LIMIT: usize = 1 << 20;

pub(super) fn checked(
    read: &Read,
    region: &str,
    output: GetSecretValueOutput,
) -> Result<Answer, Failure> {
    let arn = output.arn.unwrap_or_default();
    let version_id = output.version_id.unwrap_or_default();
    if !names_what_was_asked(read, region, &arn, output.name.as_deref()) {
        return Err(malformed(
            read,
            "names another secret than the one asked for",
        ));
    }
    let stages = output.version_stages.unwrap_or_default();
    let right_version = match &read.version {
        Version::Current => stages.iter().any(|stage| stage == "AWSCURRENT"),
        Version::Stage(wanted) => stages.contains(wanted),
        Version::Id(wanted) => *wanted == version_id,
    };
    if version_id.is_empty() || !right_version {
        return Err(malformed(
            read,
            "holds another version than the one asked for",
        ));
    }
    let value = match (output.secret_string, output.secret_binary) {
        (Some(text), None) => SecretBytes::new(text.into_bytes()),
        (None, Some(blob)) => SecretBytes::new(blob.into_inner()),
        _ => return Err(malformed(read, "does not hold exactly one value")),
    };
    if value.is_empty() {
        return Err(malformed(read, "holds an empty value"));
    }
    Ok(Answer {
        identity: Identity::Version { arn, version_id },
        created: output
            .created_date
            .and_then(|at| Timestamp::from_millisecond(at.to_millis().ok()?).ok()),
        value,
    })
}

/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-XXXXXX`. A key is a name, a complete ARN, or an ARN
/// without its random end.
fn names_what_was_asked(read: &Read, region: &str, arn: &str, name: Option<&str>) -> bool {
    let mut parts = arn.splitn(7, ':');
    let ("arn", Some(_partition), "secretsmanager") = (
        parts.next().unwrap_or_default(),
        parts.next(),
        parts.next().unwrap_or_default(),
    ) else {
        return false;
    };
    let (answered_region, _account, kind, suffixed) = (
        parts.next().unwrap_or_default(),
        parts.next(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return false;
    };
    let names_itself = suffixed
        .strip_prefix(name)
        .is_some_and(|end| end.is_empty() || (end.len() == 7 && end.starts_with('-')));
    let key = read.key.as_str();
    let asked = if key.starts_with("arn:") {
        arn == key
            || arn
                .strip_prefix(key)
                .is_some_and(|end| end.len() == 7 && end.starts_with('-'))
    } else {
        name == key
    };
    kind == "secret" && answered_region == region && names_itself && asked
}

fn malformed(read: &Read, what: &str) -> Failure {
    Failure::new(
        Reason::Malformed,
        format!("the answer for `{}` {what}", read.key),
    )
}

/// Bounds what an endpoint may send.
#[derive(Debug)]
pub(super) struct SizeLimit;

impl Intercept for SizeLimit {
    fn name(&self) -> &'static str {
        "SizeLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().take_body();
        *context.response_mut().body_mut() =
            SdkBody::from_body_1_x(Limited::new(body, ANSWER_LIMIT));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{RemoteKey, StoreName};
    use aws_sdk_secretsmanager::primitives::Blob;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-a1b2c3";

    fn read(key: &str, version: Version) -> Read {
        Read {
            store: StoreName::new("prod").unwrap(),
            key: RemoteKey::new(key).unwrap(),
            version,
        }
    }

    fn output()
    -> aws_sdk_secretsmanager::operation::get_secret_value::builders::GetSecretValueOutputBuilder
    {
        GetSecretValueOutput::builder()
            .arn(ARN)
            .name("prod/db")
            .version_id("v1")
            .version_stages("AWSCURRENT")
            .secret_string("value")
    }

    fn reason(key: &str, version: Version, output: GetSecretValueOutput) -> Option<Reason> {
        checked(&read(key, version), "eu-west-1", output)
            .err()
            .map(|failure| failure.reason)
    }

    #[test]
    fn the_right_answer_is_taken_by_name_arn_and_partial_arn() {
        let partial = ARN.strip_suffix("-a1b2c3").unwrap();
        for key in ["prod/db", ARN, partial] {
            assert_eq!(
                reason(key, Version::Current, output().build()),
                None,
                "{key}"
            );
        }
        assert_eq!(
            reason("prod/db", Version::Id("v1".into()), output().build()),
            None
        );
    }

    #[test]
    fn an_answer_that_is_not_what_was_asked_is_malformed() {
        let bad = Some(Reason::Malformed);
        let current = || Version::Current;
        assert_eq!(reason("prod/other", current(), output().build()), bad);
        assert_eq!(reason("prod/d", current(), output().build()), bad);
        assert_eq!(
            reason(
                "prod/db",
                current(),
                GetSecretValueOutput::builder().build()
            ),
            bad
        );
        assert_eq!(
            reason("prod/db", Version::Id("v2".into()), output().build()),
            bad
        );
        assert_eq!(
            reason(
                "prod/db",
                Version::Stage("AWSPREVIOUS".into()),
                output().build()
            ),
            bad
        );
        let elsewhere = ARN.replace("eu-west-1", "us-east-1");
        assert_eq!(
            reason("prod/db", current(), output().arn(elsewhere).build()),
            bad
        );
        let both = output().secret_binary(Blob::new("x")).build();
        assert_eq!(reason("prod/db", current(), both), bad);
        assert_eq!(
            reason("prod/db", current(), output().secret_string("").build()),
            bad
        );
        let other_name = output().name("prod/other").build();
        assert_eq!(reason("prod/db", current(), other_name), bad);
    }
}
