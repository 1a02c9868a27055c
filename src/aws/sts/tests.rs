use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sts::types::builders::CredentialsBuilder;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use tokio::time::Instant;

use super::*;
use crate::aws::keys::{ClusterKeys, StaticKeys};
use crate::aws::login::{Login, Source as _};
use crate::aws::region::Place;
use crate::aws::role::Role;
use crate::aws::web_identity::WebIdentity;
use crate::config::{AwsBase, AwsRole, ValueSource};

/// What STS does with one request.
#[derive(Clone, Copy, Debug)]
enum Does {
    Issue,
    /// An answer without credentials in it.
    Nothing,
    Refuse(u16, &'static str),
    Unreachable,
    Hang,
}

/// STS, in place of the network; the last thing it is told to do again and again.
#[derive(Clone, Debug, Default)]
struct Fake {
    does: Arc<Mutex<VecDeque<Does>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
struct Seen {
    uri: String,
    body: String,
    authorization: String,
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"")).into_owned();
        let authorization = request.headers().get("authorization");
        self.seen.lock().unwrap().push(Seen {
            uri: request.uri().to_owned(),
            body: text(request.body().bytes()),
            authorization: authorization.unwrap_or_default().to_owned(),
        });
        let mut does = self.does.lock().unwrap_or_else(PoisonError::into_inner);
        let next = does[0];
        if does.len() > 1 {
            does.pop_front();
        }
        let web = text(request.body().bytes()).contains("WebIdentity");
        let (status, body) = match next {
            Does::Issue => (200, issue(web, CREDENTIALS)),
            Does::Nothing => (200, issue(web, "")),
            Does::Refuse(status, code) => (status, refuse(code)),
            Does::Unreachable => {
                let error = ConnectorError::io("MARKER_foreign_text".into());
                return HttpConnectorFuture::ready(Err(error));
            }
            Does::Hang => return HttpConnectorFuture::new(std::future::pending()),
        };
        let status = StatusCode::try_from(status).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

const CREDENTIALS: &str = "<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2033-05-18T03:33:20Z</Expiration></Credentials>";

fn issue(web: bool, credentials: &str) -> String {
    let name = if web {
        "AssumeRoleWithWebIdentity"
    } else {
        "AssumeRole"
    };
    let user = "<AssumedRoleUser><AssumedRoleId>AROA:secretsyncd</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/read/secretsyncd</Arn></AssumedRoleUser>";
    format!(
        "<{name}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{name}Result>{user}{credentials}</{name}Result></{name}Response>"
    )
}

fn refuse(code: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>MARKER_foreign_text</Message></Error></ErrorResponse>"
    )
}

impl Fake {
    fn new(does: &[Does]) -> Self {
        let fake = Self::default();
        fake.does.lock().unwrap().extend(does);
        fake
    }

    fn sts(&self, endpoint_url: Option<&str>) -> Sts {
        let connector = SharedHttpConnector::new(self.clone());
        let client = http_client_fn(move |_, _| connector.clone());
        let sdk = Sdk(SharedHttpClient::new(client));
        let place = Place::new(Some("eu-west-1"), &AwsBase::Default, sdk.clone());
        Sts {
            sdk,
            region: Arc::new(Places::new(&Arc::new(place))),
            endpoint_url: endpoint_url.map(str::to_owned),
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn role() -> RoleArn {
    RoleArn::new("arn:aws:iam::123456789012:role/team/read").unwrap()
}

fn plain_role() -> AwsRole {
    AwsRole {
        arn: role(),
        external_id: None,
        session_name: None,
        session_tags: std::collections::BTreeMap::new(),
        transitive_tag_keys: Vec::new(),
    }
}

/// Keys in files of this directory.
fn keys(home: &tempfile::TempDir) -> Arc<Login> {
    let file = |name| ValueSource::File(home.path().join(name));
    std::fs::write(home.path().join("id"), "AKIAOLD").unwrap();
    std::fs::write(home.path().join("key"), "key").unwrap();
    Arc::new(Login::new(Box::new(StaticKeys {
        access_key_id: file("id"),
        secret_access_key: file("key"),
        session_token: None,
        clusters: ClusterKeys::default(),
    })))
}

/// Whether assuming the role works when STS does this, and what it is asked.
async fn assume(does: &[Does], role: AwsRole) -> (Result<Credentials, Failure>, Vec<Seen>) {
    let (fake, home) = (Fake::new(does), tempfile::tempdir().unwrap());
    let role = Role {
        parent: keys(&home),
        spec: role,
        sts: fake.sts(None),
    };
    let login = Login::new(Box::new(role));
    let deadline = Instant::now() + Duration::from_secs(6);
    (login.credentials(deadline).await, fake.seen())
}

async fn failure(does: Does) -> Failure {
    let (failed, _) = assume(&[does], plain_role()).await;
    let failure = failed.unwrap_err();
    assert!(failure.fact.contains(role().as_str()), "{failure:?}");
    assert!(!format!("{failure:?}").contains("MARKER"), "{failure:?}");
    failure
}

#[tokio::test(start_paused = true)]
async fn a_role_is_assumed_with_all_that_goes_with_it() {
    let whole = AwsRole {
        external_id: Some("external".into()),
        session_name: Some("bastion".into()),
        session_tags: [("team".to_owned(), "data".to_owned())].into(),
        transitive_tag_keys: vec!["team".into()],
        ..plain_role()
    };
    let (found, seen) = assume(&[Does::Issue], whole).await;
    let found = found.unwrap();
    assert_eq!(
        (found.access_key_id(), found.session_token()),
        ("ASIA", Some("t"))
    );
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0]
            .uri
            .starts_with("https://sts.eu-west-1.amazonaws.com"),
        "{seen:?}"
    );
    assert!(seen[0].authorization.contains("AKIAOLD/"), "{seen:?}");
    for part in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2Fread",
        "RoleSessionName=bastion",
        "ExternalId=external",
        "Tags.member.1.Key=team&Tags.member.1.Value=data",
        "TransitiveTagKeys.member.1=team",
    ] {
        assert!(seen[0].body.contains(part), "{part}: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_role_gets_nothing_but_a_session_name() {
    let (_, seen) = assume(&[Does::Issue], plain_role()).await;
    assert!(seen[0].body.contains("RoleSessionName=secretsyncd"));
    for part in ["ExternalId", "Tags", "Transitive"] {
        assert!(!seen[0].body.contains(part), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_role_and_the_next_step() {
    let denied = failure(Does::Refuse(403, "AccessDenied")).await;
    assert_eq!(denied.reason, Reason::Credentials);
    assert!(
        denied
            .help()
            .contains("allow sts:AssumeRole on arn:aws:iam::123456789012:role")
    );
    assert!(denied.help().contains("trust policy"), "{denied:?}");
    let unknown = failure(Does::Refuse(400, "MARKER_unknown")).await;
    assert_eq!(unknown.reason, Reason::Credentials);
    let odd = failure(Does::Refuse(400, "ValidationError")).await;
    assert!(odd.help().contains("session_name"), "{odd:?}");
}

#[tokio::test(start_paused = true)]
async fn what_keeps_sts_from_answering_is_told_apart() {
    for (does, reason) in [
        (Does::Refuse(400, "Throttling"), Reason::Throttled),
        (
            Does::Refuse(403, "InvalidClientTokenId"),
            Reason::Credentials,
        ),
        (Does::Refuse(403, "RequestExpired"), Reason::Clock),
        (Does::Refuse(503, "ServiceUnavailable"), Reason::Network),
        (Does::Unreachable, Reason::Network),
        (Does::Hang, Reason::Timeout),
        (Does::Nothing, Reason::Malformed),
    ] {
        let failure = failure(does).await;
        assert_eq!(failure.reason, reason, "{does:?}: {failure:?}");
    }
    let unreachable = failure(Does::Unreachable).await;
    assert!(
        unreachable.fact.ends_with("AWS STS cannot be reached"),
        "{unreachable:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_configured_is_used_and_named() {
    let (fake, home) = (
        Fake::new(&[Does::Unreachable]),
        tempfile::tempdir().unwrap(),
    );
    let role = Role {
        parent: keys(&home),
        spec: plain_role(),
        sts: fake.sts(Some("https://sts.internal")),
    };
    let deadline = Instant::now() + Duration::from_secs(6);
    let failure = role.load(deadline).await.unwrap_err();
    assert!(
        failure.fact.ends_with("(https://sts.internal)"),
        "{failure:?}"
    );
    assert!(fake.seen()[0].uri.starts_with("https://sts.internal/"));
}

#[tokio::test(start_paused = true)]
async fn the_parent_s_keys_are_read_again_when_sts_refuses_them() {
    let home = tempfile::tempdir().unwrap();
    let refuse = Does::Refuse(403, "ExpiredToken");
    let fake = Fake::new(&[refuse, refuse, Does::Issue]);
    let parent = keys(&home);
    let role = Role {
        parent: Arc::clone(&parent),
        spec: plain_role(),
        sts: fake.sts(None),
    };
    let login = Login::new(Box::new(role));
    let load = || login.credentials(Instant::now() + Duration::from_secs(6));
    let failure = load().await.unwrap_err();
    assert_eq!(failure.reason, Reason::Credentials);
    assert_eq!(fake.seen().len(), 1, "the same keys are not shown again");
    std::fs::write(home.path().join("id"), "AKIANEW").unwrap();
    load().await.unwrap();
    let seen = fake.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[1].authorization.contains("AKIAOLD/"));
    assert!(seen[2].authorization.contains("AKIANEW/"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_parent_is_told_as_its_own() {
    let (fake, home) = (Fake::new(&[Does::Issue]), tempfile::tempdir().unwrap());
    let parent = keys(&home);
    std::fs::remove_file(home.path().join("id")).unwrap();
    let role = Role {
        parent,
        spec: plain_role(),
        sts: fake.sts(None),
    };
    let deadline = Instant::now() + Duration::from_secs(6);
    let failure = role.load(deadline).await.unwrap_err();
    assert!(failure.fact.contains("`access_key_id`"), "{failure:?}");
    assert!(fake.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_web_identity_shows_its_token_as_it_is_now() {
    let home = tempfile::tempdir().unwrap();
    let token_file = home.path().join("token");
    let fake = Fake::new(&[Does::Issue]);
    let identity = WebIdentity {
        role: role(),
        token_file: token_file.clone(),
        sts: fake.sts(None),
    };
    let load = || identity.load(Instant::now() + Duration::from_secs(6));
    let absent = load().await.unwrap_err();
    // The token itself may have been typed where its file belongs.
    let path = token_file.to_str().unwrap();
    assert!(absent.fact.contains("the file that `token_file` names"));
    assert!(!absent.fact.contains(path), "{absent:?}");
    for token in ["one", "two"] {
        std::fs::write(&token_file, format!("{token}\n")).unwrap();
        load().await.unwrap();
        let seen = fake.seen();
        let last = seen.last().unwrap();
        assert!(
            last.body.ends_with(&format!("WebIdentityToken={token}")),
            "{last:?}"
        );
        assert!(last.authorization.is_empty(), "{last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_web_identity_names_its_token_file() {
    let home = tempfile::tempdir().unwrap();
    let token_file = home.path().join("token");
    std::fs::write(&token_file, "token").unwrap();
    for code in [
        "ExpiredTokenException",
        "InvalidIdentityToken",
        "AccessDenied",
    ] {
        let identity = WebIdentity {
            role: role(),
            token_file: token_file.clone(),
            sts: Fake::new(&[Does::Refuse(400, code)]).sts(None),
        };
        let deadline = Instant::now() + Duration::from_secs(6);
        let failure = identity.load(deadline).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Credentials, "{code}");
        assert!(
            failure.fact.contains(token_file.to_str().unwrap()),
            "{failure:?}"
        );
        assert!(!format!("{failure:?}").contains("MARKER"), "{failure:?}");
    }
}

fn whole() -> CredentialsBuilder {
    Issued::builder()
        .access_key_id("ASIA")
        .secret_access_key("secret")
        .session_token("token")
        .expiration(DateTime::from_secs(2_000_000_000))
}

fn user(account: &str) -> AssumedRoleUser {
    AssumedRoleUser::builder()
        .assumed_role_id("AROA:secretsyncd")
        .arn(format!(
            "arn:aws:sts::{account}:assumed-role/read/secretsyncd"
        ))
        .build()
        .unwrap()
}

#[test]
fn an_answer_is_whole_and_of_the_role_s_account_or_refused() {
    let of = |builder: CredentialsBuilder, account| {
        issued(&role(), builder.build().ok(), Some(&user(account)))
    };
    let good = of(whole(), "123456789012").unwrap();
    assert_eq!(good.session_token(), Some("token"));
    assert!(good.expiry().is_some());
    for lacking in [
        whole().access_key_id(""),
        whole().secret_access_key(""),
        whole().session_token(""),
        whole().expiration(DateTime::from_secs(0)),
    ] {
        let failure = of(lacking, "123456789012").unwrap_err();
        assert_eq!(failure.reason, Reason::Malformed);
        assert!(failure.fact.contains(role().as_str()));
    }
    assert!(of(whole(), "210987654321").is_err());
    assert!(issued(&role(), None, None).is_err());
}

#[test]
fn an_answer_for_another_role_or_for_none_is_refused() {
    let issued_for =
        |user: Option<&AssumedRoleUser>| issued(&role(), whole().build().ok(), user).is_ok();
    let other = AssumedRoleUser::builder()
        .assumed_role_id("AROA:secretsyncd")
        .arn("arn:aws:sts::123456789012:assumed-role/another-role/secretsyncd")
        .build()
        .unwrap();
    assert_eq!((issued_for(Some(&other)), issued_for(None)), (false, false));
}
