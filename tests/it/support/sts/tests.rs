//! The stand-in against the real SDK, and in the protocol itself where the SDK's provider cannot ask.

use std::time::{Duration, SystemTime};

use aws_config::sts::{AssumeRoleProvider, AssumeRoleProviderBuilder};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, Result};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;

use super::super::aws::REGION;
use super::super::http::{Page, block_on};
use super::{Fault, Sts};

const ROLE: &str = "arn:aws:iam::210987654321:role/path/reader";

fn keys() -> Credentials {
    Credentials::new("AKIATEST", "secret", None, None, "test")
}

/// Assumes the role with these credentials and what `more` sets.
fn assume_as(
    sts: &Sts,
    credentials: Credentials,
    more: impl FnOnce(AssumeRoleProviderBuilder) -> AssumeRoleProviderBuilder,
) -> Result {
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new().build_http();
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_secs(10));
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(sts.endpoint())
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .credentials_provider(credentials.clone());
    block_on(async {
        let config = config.load().await;
        let role = AssumeRoleProvider::builder(ROLE).session_name("sync");
        let role = more(role).configure(&config);
        let provider = role.build_from_provider(credentials).await;
        provider.provide_credentials().await
    })
}

fn assume(sts: &Sts) -> Result {
    assume_as(sts, keys(), |role| role)
}

/// One call, signed with a key of the user's or with nothing.
fn post(sts: &Sts, form: &str, key: Option<&str>) -> Page {
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(sts.endpoint())
        .body(format!("Version=2011-06-15&{form}"));
    if let Some(key) = key {
        let credential = format!("AWS4-HMAC-SHA256 Credential={key}/20261125/x/sts/aws4_request");
        request = request.header("authorization", credential);
    }
    block_on(async {
        let answer = request.send().await.unwrap();
        Page {
            status: answer.status().as_u16(),
            body: answer.text().await.unwrap(),
        }
    })
}

#[test]
fn a_role_gives_a_session_of_its_own() {
    let sts = Sts::start();
    sts.lifetime(Duration::from_mins(15));
    let with = |role: AssumeRoleProviderBuilder| {
        role.external_id("an id & more")
            .tags([("team", "payments"), ("cost centre", "ü")])
    };
    let session = assume_as(&sts, keys(), with).unwrap();
    assert!(session.access_key_id().starts_with("ASIA"));
    let left = session
        .expiry()
        .unwrap()
        .duration_since(SystemTime::now())
        .unwrap();
    assert!((Duration::from_mins(14)..=Duration::from_mins(15)).contains(&left));
    let other = assume(&sts).unwrap();
    assert_ne!(session.access_key_id(), other.access_key_id());
    let log = sts.log();
    let first = &log[0];
    assert_eq!(first.action, "AssumeRole");
    assert_eq!(first.role_arn.as_deref(), Some(ROLE));
    assert_eq!(first.session_name.as_deref(), Some("sync"));
    assert_eq!(first.external_id.as_deref(), Some("an id & more"));
    assert_eq!(first.tags["team"], "payments");
    assert_eq!(first.tags["cost centre"], "ü");
    assert_eq!(first.access_key_id.as_deref(), Some("AKIATEST"));
    assert_eq!(first.issued.as_deref(), Some(session.access_key_id()));
    assert!(log[1].at >= first.at && log[1].external_id.is_none());
}

#[test]
fn a_session_assumes_the_next_role_while_it_lasts() {
    let sts = Sts::start();
    let first = assume(&sts).unwrap();
    assert!(assume_as(&sts, first.clone(), |role| role).is_ok());
    let log = sts.log();
    assert_eq!(log[1].access_key_id, log[0].issued);
    let untold = post(&sts, "Action=GetCallerIdentity", log[0].issued.as_deref());
    assert_eq!(untold.status, 403);
    assert!(untold.body.contains("<Code>InvalidClientTokenId</Code>"));
    sts.lifetime(Duration::ZERO);
    let over = assume(&sts).unwrap();
    assert!(assume_as(&sts, over, |role| role).is_err());
    assert_eq!(sts.log().last().unwrap().issued, None);
}

#[test]
fn a_web_identity_needs_a_token_and_no_key() {
    let sts = Sts::start();
    let form = format!("Action=AssumeRoleWithWebIdentity&RoleArn={ROLE}&RoleSessionName=sync");
    let page = post(&sts, &format!("{form}&WebIdentityToken=a%2Fb%3D"), None);
    assert_eq!(page.status, 200, "{page:?}");
    let request = sts.log().remove(0);
    assert_eq!(request.web_identity_token.as_deref(), Some("a/b="));
    assert_eq!(request.access_key_id, None);
    assert!(page.body.contains(&request.issued.unwrap()));
    assert_eq!(post(&sts, &form, None).status, 400);
    sts.fail_all(Fault::InvalidIdentityToken);
    let refused = post(&sts, &format!("{form}&WebIdentityToken=shown"), None);
    assert!(refused.body.contains("<Code>InvalidIdentityToken</Code>"));
    assert!(refused.body.contains("shown"));
}

#[test]
fn who_calls() {
    let sts = Sts::start();
    let page = post(&sts, "Action=GetCallerIdentity", Some("AKIATEST"));
    assert!(
        page.body.contains("<Account>123456789012</Account>"),
        "{page:?}"
    );
    let nobody = post(&sts, "Action=GetCallerIdentity", None);
    assert_eq!(nobody.status, 403);
    let transitive = format!(
        "Action=AssumeRole&RoleArn={ROLE}&RoleSessionName=s&TransitiveTagKeys.member.1=a&TransitiveTagKeys.member.2=b"
    );
    assert_eq!(post(&sts, &transitive, Some("AKIATEST")).status, 200);
    assert_eq!(sts.log()[2].transitive_tag_keys, ["a", "b"]);
}

#[test]
fn a_denied_role_is_refused_in_the_words_of_aws() {
    let sts = Sts::start();
    sts.deny(ROLE);
    let form = format!("Action=AssumeRole&RoleArn={ROLE}&RoleSessionName=sync");
    let refused = post(&sts, &form, Some("AKIATEST"));
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("<Code>AccessDenied</Code>"));
    let text = format!("is not authorized to perform: sts:AssumeRole on resource: {ROLE}");
    assert!(refused.body.contains(&text), "{refused:?}");
    assert!(assume(&sts).is_err());
    sts.heal();
    assert!(assume(&sts).is_ok());
}

#[test]
fn every_fault_gives_no_session() {
    for fault in Fault::ALL {
        let sts = Sts::start();
        sts.fail_all(fault);
        assert!(assume(&sts).is_err(), "{fault:?}");
        assert_eq!(sts.log()[0].issued, None);
        sts.heal();
        assert!(assume(&sts).is_ok(), "{fault:?}");
    }
}
