//! The stand-in against the real SDK: what the product would see.

use std::time::Duration;

use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::{
    GetSecretValueError, GetSecretValueOutput,
};
use aws_sdk_secretsmanager::{Client, Config};

use super::super::http::block_on;
use super::{Fault, Operation, SecretsManager};

mod batch;
mod counts;
mod list;

type Answer = Result<GetSecretValueOutput, Box<SdkError<GetSecretValueError>>>;

fn client(aws: &SecretsManager) -> Client {
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new().build_http();
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(Duration::from_secs(10))
        .build();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(super::REGION))
        .endpoint_url(aws.endpoint())
        .credentials_provider(Credentials::new("AKIATEST", "secret", None, None, "test"))
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .build();
    Client::from_conf(config)
}

fn read(aws: &SecretsManager, id: &str, stage: &str) -> Answer {
    let request = client(aws).get_secret_value().secret_id(id);
    block_on(request.version_stage(stage).send()).map_err(Box::new)
}

fn code(answer: Answer) -> Option<String> {
    answer.unwrap_err().code().map(str::to_owned)
}

#[test]
fn put_rotate_and_roll_back() {
    let aws = SecretsManager::start();
    let first = aws.put("prod/db", "one");
    let second = aws.put("prod/db", "two");
    let answer = read(&aws, "prod/db", "AWSCURRENT").unwrap();
    assert_eq!(answer.secret_string(), Some("two"));
    assert_eq!(answer.version_id(), Some(second.as_str()));
    assert_eq!(answer.arn(), Some(aws.arn("prod/db").as_str()));
    let answer = read(&aws, &aws.arn("prod/db"), "AWSPREVIOUS").unwrap();
    assert_eq!(answer.version_id(), Some(first.as_str()));
    assert_eq!(aws.rollback("prod/db"), first);
    let answer = read(&aws, "prod/db", "AWSCURRENT").unwrap();
    assert_eq!(answer.secret_string(), Some("one"));
    assert_eq!(answer.version_stages(), ["AWSCURRENT"]);
    let previous = read(&aws, "prod/db", "AWSPREVIOUS").unwrap();
    assert_eq!(previous.version_id(), Some(second.as_str()));
}

#[test]
fn what_is_absent_is_refused_in_the_words_of_aws() {
    let aws = SecretsManager::start();
    let absent = Some("ResourceNotFoundException".to_owned());
    assert_eq!(code(read(&aws, "no/such", "AWSCURRENT")), absent);
    aws.create_without_value("empty");
    let refused = read(&aws, "empty", "AWSCURRENT").unwrap_err();
    assert!(
        refused
            .message()
            .unwrap()
            .contains("secret value for staging label")
    );
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 400);
    aws.put("gone", "x");
    aws.schedule_deletion("gone");
    let pending = Some("InvalidRequestException".to_owned());
    assert_eq!(code(read(&aws, "gone", "AWSCURRENT")), pending);
    aws.restore("gone");
    assert!(read(&aws, "gone", "AWSCURRENT").is_ok());
    aws.delete("gone");
    assert_eq!(code(read(&aws, "gone", "AWSCURRENT")), absent);
}

#[test]
fn binary_values_and_labels() {
    let aws = SecretsManager::start();
    let first = aws.put_binary("key", &[0, 159, 146, 150]);
    aws.put("key", "text");
    aws.label("key", "blue", &first);
    let answer = read(&aws, "key", "blue").unwrap();
    assert_eq!(answer.secret_binary().unwrap().as_ref(), [0, 159, 146, 150]);
    assert!(answer.secret_string().is_none());
}

#[test]
fn every_fault_is_no_good_answer() {
    for fault in Fault::ALL {
        let aws = SecretsManager::start();
        aws.put("prod/db", "the-value");
        aws.fail("prod/db", fault);
        let good = read(&aws, "prod/db", "AWSCURRENT").is_ok_and(|answer| {
            answer.secret_string() == Some("the-value")
                && answer.arn() == Some(aws.arn("prod/db").as_str())
                && answer.name() == Some("prod/db")
                && answer.version_stages() == ["AWSCURRENT"]
                && answer.version_id().is_some()
                && answer.secret_binary().is_none()
        });
        let undetectable_by_stage = fault == Fault::OtherVersion;
        assert_eq!(good, undetectable_by_stage, "{fault:?}");
        aws.heal();
        assert!(read(&aws, "prod/db", "AWSCURRENT").is_ok());
    }
}

#[test]
fn error_texts_quote_the_value() {
    let aws = SecretsManager::start();
    aws.put("prod/db", "the-value");
    aws.fail_all(Fault::AccessDenied);
    let refused = read(&aws, "prod/db", "AWSCURRENT").unwrap_err();
    assert!(refused.message().unwrap().contains("the-value"));
    assert!(refused.message().unwrap().contains("is not authorized"));
    assert!(refused.message().unwrap().contains(&aws.arn("prod/db")));
}

#[test]
fn the_log_says_who_asked_for_what() {
    let aws = SecretsManager::start();
    aws.put("prod/db", "x");
    read(&aws, &aws.arn("prod/db"), "AWSCURRENT").unwrap();
    read(&aws, "prod/db", "AWSCURRENT").unwrap();
    let log = aws.log();
    assert_eq!(log.read_count("prod/db"), 2);
    assert_eq!(log.gaps("prod/db").len(), 1);
    assert!(log.last_read("prod/db").is_some());
    let first = &log.0[0];
    assert_eq!(first.operation, Operation::GetSecretValue);
    assert_eq!(first.version_stage.as_deref(), Some("AWSCURRENT"));
    assert_eq!(first.version_id, None);
    assert_eq!(first.access_key_id.as_deref(), Some("AKIATEST"));
    assert!(
        first
            .user_agent
            .as_deref()
            .unwrap()
            .contains("aws-sdk-rust")
    );
}

#[test]
fn a_refused_key_is_unknown() {
    let aws = SecretsManager::start();
    aws.put("prod/db", "x");
    aws.refuse_key("AKIAOTHER");
    assert!(read(&aws, "prod/db", "AWSCURRENT").is_ok());
    aws.refuse_key("AKIATEST");
    let refused = Some("UnrecognizedClientException".to_owned());
    assert_eq!(code(read(&aws, "prod/db", "AWSCURRENT")), refused);
}

#[test]
fn another_accounts_secret_goes_by_its_complete_arn() {
    let aws = SecretsManager::start();
    let arn = aws.put_foreign("210987654321", "theirs", "value");
    assert!(arn.starts_with("arn:aws:secretsmanager:eu-central-1:210987654321:secret:theirs-"));
    let answer = read(&aws, &arn, "AWSCURRENT").unwrap();
    assert_eq!(answer.secret_string(), Some("value"));
    assert_eq!(answer.name(), Some("theirs"));
    let absent = Some("ResourceNotFoundException".to_owned());
    for id in ["theirs", &arn[..arn.len() - 7]] {
        assert_eq!(code(read(&aws, id, "AWSCURRENT")), absent);
    }
    aws.put(&arn, "rotated");
    let answer = read(&aws, &arn, "AWSCURRENT").unwrap();
    assert_eq!(answer.secret_string(), Some("rotated"));
    assert_eq!(aws.log().read_count(&arn), 2);
}

#[test]
fn a_partial_arn_is_that_of_the_secret_that_has_the_name_now() {
    let aws = SecretsManager::start();
    aws.put("prod/db", "old");
    let before = aws.arn("prod/db");
    aws.delete("prod/db");
    aws.put("prod/db", "new");
    let partial = &before[..before.len() - 7];
    let answer = read(&aws, partial, "AWSCURRENT").unwrap();
    assert_eq!(answer.secret_string(), Some("new"));
    let absent = Some("ResourceNotFoundException".to_owned());
    assert_eq!(code(read(&aws, &before, "AWSCURRENT")), absent);
}

#[test]
fn what_is_beyond_a_limit_is_throttled_and_counted() {
    let aws = SecretsManager::start();
    aws.put("prod/db", "x");
    aws.limit_get(0);
    let refused = Some("ThrottlingException".to_owned());
    assert_eq!(code(read(&aws, "prod/db", "AWSCURRENT")), refused);
    assert_eq!((aws.throttled(), aws.log().read_count("prod/db")), (1, 1));
    aws.limit_get(1000);
    assert!(read(&aws, "prod/db", "AWSCURRENT").is_ok());
    assert_eq!(aws.throttled(), 1);
}
