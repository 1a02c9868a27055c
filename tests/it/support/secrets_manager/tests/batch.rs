//! Batches: what of a fault stays with its secret, and what takes the call.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::batch_get_secret_value::{
    BatchGetSecretValueError, BatchGetSecretValueOutput,
};

use super::super::super::http::block_on;
use super::super::{Fault, SecretsManager};
use super::{client, read};

type Batch = Result<BatchGetSecretValueOutput, Box<SdkError<BatchGetSecretValueError>>>;

/// Faults that leave the others of their batch alone.
const ALONE: [Fault; 18] = [
    Fault::AccessDenied,
    Fault::KmsDenied,
    Fault::DecryptionFailure,
    Fault::InvalidParameter,
    Fault::InternalServiceError,
    Fault::UnknownCode,
    Fault::Empty,
    Fault::MissingArn,
    Fault::MissingName,
    Fault::MissingVersionId,
    Fault::NoContent,
    Fault::EmptyString,
    Fault::OtherAccount,
    Fault::OtherRegion,
    Fault::OtherName,
    Fault::TwoContents,
    Fault::Twice,
    Fault::LeftOut,
];

fn batch(aws: &SecretsManager, ids: &[&str]) -> Batch {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let request = client(aws).batch_get_secret_value();
    block_on(request.set_secret_id_list(Some(ids)).send()).map_err(Box::new)
}

fn errors(answer: &BatchGetSecretValueOutput) -> Vec<(&str, &str)> {
    let errors = answer.errors().iter();
    errors
        .map(|error| (error.secret_id().unwrap(), error.error_code().unwrap()))
        .collect()
}

/// How often the batch holds the secret as it is.
fn held(
    aws: &SecretsManager,
    answer: &BatchGetSecretValueOutput,
    name: &str,
    value: &str,
) -> usize {
    let arn = aws.arn(name);
    let values = answer.secret_values().iter();
    let right = values.filter(|secret| {
        secret.secret_string() == Some(value)
            && secret.secret_binary().is_none()
            && (secret.name(), secret.arn()) == (Some(name), Some(arn.as_str()))
            && secret.version_id().is_some()
            && secret.version_stages() == ["AWSCURRENT"]
    });
    right.count()
}

fn two_secrets() -> SecretsManager {
    let aws = SecretsManager::start();
    aws.put("a", "1");
    aws.put("b", "2");
    aws
}

#[test]
fn each_id_is_answered_for_itself() {
    let aws = two_secrets();
    aws.fail("b", Fault::AccessDenied);
    let answer = batch(&aws, &["a", "b", "c"]).unwrap();
    assert_eq!(answer.secret_values().len(), 1);
    let expected = [
        ("b", "AccessDeniedException"),
        ("c", "ResourceNotFoundException"),
    ];
    assert_eq!(errors(&answer), expected);
    assert!(batch(&aws, &["a"; 21]).is_err());
    assert_eq!(aws.log().read_count("b"), 1);
}

#[test]
fn a_fault_takes_its_secret_or_the_call() {
    for fault in Fault::ALL {
        let aws = two_secrets();
        aws.fail("b", fault);
        let answer = batch(&aws, &["a", "b"]);
        let whole = answer
            .as_ref()
            .is_ok_and(|answer| held(&aws, answer, "a", "1") == 1);
        // What is wrong with these cannot be told from the answer alone, or only from its size.
        if [Fault::OtherVersion, Fault::OtherStage, Fault::Huge].contains(&fault) {
            assert!(whole, "{fault:?}");
            continue;
        }
        assert_eq!(whole, ALONE.contains(&fault), "{fault:?}");
        if let Ok(answer) = answer {
            assert_ne!(held(&aws, &answer, "b", "2"), 1, "{fault:?}");
        }
    }
}

#[test]
fn twice_left_out_and_spoilt() {
    let aws = two_secrets();
    aws.fail("b", Fault::Twice);
    let answer = batch(&aws, &["a", "b"]).unwrap();
    assert_eq!(held(&aws, &answer, "b", "2"), 2);
    aws.fail("b", Fault::LeftOut);
    let answer = batch(&aws, &["a", "b"]).unwrap();
    assert_eq!(answer.secret_values().len(), 1);
    assert!(answer.errors().is_empty());
    aws.fail("b", Fault::OtherStage);
    let answer = batch(&aws, &["b"]).unwrap();
    let spoilt = &answer.secret_values()[0];
    assert_eq!(spoilt.version_stages(), ["AWSPREVIOUS"]);
}

#[test]
fn a_condition_on_the_stage_refuses_in_batches_only() {
    let aws = two_secrets();
    aws.fail("b", Fault::BatchOnlyDenied);
    let answer = batch(&aws, &["a", "b"]).unwrap();
    assert_eq!(errors(&answer), [("b", "AccessDeniedException")]);
    assert!(
        answer.errors()[0]
            .message()
            .unwrap()
            .contains("is not authorized")
    );
    let single = read(&aws, "b", "AWSCURRENT").unwrap();
    assert_eq!(single.secret_string(), Some("2"));
}

#[test]
fn batches_can_be_denied_and_limited() {
    let aws = two_secrets();
    aws.deny_batch();
    let refused = batch(&aws, &["a"]).unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    let text = "is not authorized to perform: secretsmanager:BatchGetSecretValue on resource: *";
    assert!(refused.message().unwrap().contains(text));
    assert!(read(&aws, "a", "AWSCURRENT").is_ok());
    aws.allow_batch();
    assert!(batch(&aws, &["a"]).is_ok());
    aws.limit_batch(0);
    let refused = batch(&aws, &["a"]).unwrap_err();
    assert_eq!(refused.code(), Some("ThrottlingException"));
    assert_eq!(aws.throttled(), 1);
}
