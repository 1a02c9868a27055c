//! A profile that logs in by SSO: the token that `aws sso login` left is exchanged for a role's credentials.

use std::sync::{Arc, Mutex};

use axum::http::Response;

use crate::support::certificates::Certificates;
use crate::support::daemon::Home;
use crate::support::leak::Markers;
use crate::support::proxy::Proxy;
use crate::support::secrets_manager::{REGION, SecretsManager};
use crate::support::serve::{Call, Reply, Server};

const TOKEN: &str = "MARKER-sso-token-77a1";
/// The name of the SSO session, and what the cache calls its file: the name's SHA-1.
const SESSION: (&str, &str) = ("corp", "ee0bfd2552fbd840c02cc48b6e823320543c450f");

#[test]
fn a_profile_with_an_sso_session_works() {
    let portal = format!("portal.sso.{REGION}.amazonaws.com");
    let certificates = Certificates::for_hosts(&[&portal]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = Server::tls(certificates.server_config(), move |call: Call| {
        let token = call.request.headers().get("x-amz-sso_bearer_token");
        let token = token.map(|token| token.to_str().unwrap().to_owned());
        seen.lock()
            .unwrap()
            .push((call.request.uri().to_string(), token));
        let expires = jiff::Timestamp::now().as_millisecond() + 3_600_000;
        let body = format!(
            r#"{{"roleCredentials":{{"accessKeyId":"ASIASSO","secretAccessKey":"s","sessionToken":"t","expiration":{expires}}}}}"#
        );
        let answer = Response::builder().header("content-type", "application/json");
        Reply::Answer(answer.body(body.into()).unwrap())
    });
    let proxy = Proxy::start(server.address());
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    home.unset_env("AWS_ACCESS_KEY_ID");
    home.unset_env("AWS_SECRET_ACCESS_KEY");
    let ca = home.write("ca.pem", &certificates.authority);
    home.set_env("SSL_CERT_FILE", ca.to_str().unwrap());
    home.set_env("HTTPS_PROXY", &proxy.url());
    let (name, file) = SESSION;
    home.write(
        ".aws/config",
        format!("[profile sync]\nsso_session = {name}\nsso_account_id = 123456789012\nsso_role_name = read\n\n[sso-session {name}]\nsso_region = {REGION}\nsso_start_url = https://corp.example/start\n"),
    );
    home.write(
        &format!(".aws/sso/cache/{file}.json"),
        format!(r#"{{"startUrl":"https://corp.example/start","region":"{REGION}","accessToken":"{TOKEN}","expiresAt":"2999-01-01T00:00:00Z"}}"#),
    );
    home.configure(&format!(
        "{}[stores.prod.aws_secrets_manager.auth]\nprofile = \"sync\"\n\n[secrets.db]\nstore = \"prod\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\" }} }}]\n[[secrets.db.file]]\npath = {}\nkey = \"v\"\n",
        aws.store("prod"),
        home.quoted("targets/db")
    ));
    home.log_level = Some("trace");
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(home.read_text("targets/db").unwrap(), "first");
    let asked = asked.lock().unwrap();
    let [(uri, token)] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert!(
        uri.contains("account_id=123456789012") && uri.contains("role_name=read"),
        "{uri}"
    );
    assert_eq!(token.as_deref(), Some(TOKEN));
    let log = aws.log();
    assert!(
        log.0
            .iter()
            .all(|r| r.access_key_id.as_deref() == Some("ASIASSO"))
    );
    let leaks = Markers::new([TOKEN]).find("output", done.stdout + &done.stderr);
    assert!(leaks.is_empty(), "{leaks:?}");
}
