//! Through the proxy to stand-ins that answer for AWS's host names.

use reqwest::{Certificate, Client};

use super::super::certificates::Certificates;
use super::super::http::block_on;
use super::super::secrets_manager::SecretsManager;
use super::super::sts::Sts;
use super::Proxy;

const STS: &str = "sts.eu-central-1.amazonaws.com";
const SECRETS: &str = "secretsmanager.eu-central-1.amazonaws.com";

fn client(proxy: &Proxy, authority: &str) -> Client {
    let authority = Certificate::from_pem(authority.as_bytes()).unwrap();
    Client::builder()
        .proxy(reqwest::Proxy::all(proxy.url()).unwrap())
        .tls_certs_only([authority])
        .build()
        .unwrap()
}

fn post(client: &Client, url: String, target: &str, body: &'static str) -> (u16, String) {
    block_on(async {
        let request = client.post(url).header("x-amz-target", target).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

#[test]
fn every_host_ends_where_the_test_says() {
    let certificates = Certificates::for_hosts(&[STS, SECRETS]);
    let sts = Sts::start_tls(&certificates);
    let aws = SecretsManager::start_tls(&certificates);
    aws.put("prod/db", "value");
    let proxy = Proxy::start(sts.address());
    proxy.route(SECRETS, aws.address());
    let client = client(&proxy, &certificates.authority);
    let (status, _) = post(&client, format!("https://{STS}/"), "", "Action=Nothing");
    assert_eq!(status, 403, "nobody signed");
    assert_eq!(sts.log()[0].action, "Nothing");
    let (target, body) = ("secretsmanager.GetSecretValue", r#"{"SecretId":"prod/db"}"#);
    let (status, answer) = post(&client, format!("https://{SECRETS}/"), target, body);
    assert_eq!(status, 200);
    assert!(answer.contains("\"value\""));
    let expected = [format!("{STS}:443"), format!("{SECRETS}:443")];
    assert_eq!(proxy.connects(), expected);
    assert!(proxy.refused().is_empty());
}

#[test]
fn what_is_no_tunnel_is_refused() {
    let sts = Sts::start();
    let proxy = Proxy::start(sts.address());
    let client = client(&proxy, &Certificates::make().authority);
    let (status, _) = post(&client, format!("http://{STS}/"), "", "");
    assert_eq!(status, 405);
    assert_eq!(proxy.refused(), [format!("POST http://{STS}/")]);
    assert!(proxy.connects().is_empty() && sts.log().is_empty());
}

#[test]
fn a_host_that_the_certificate_does_not_name_is_not_trusted() {
    let certificates = Certificates::for_hosts(&[STS]);
    let sts = Sts::start_tls(&certificates);
    let proxy = Proxy::start(sts.address());
    let client = client(&proxy, &certificates.authority);
    let answer = block_on(client.get(format!("https://{SECRETS}/")).send());
    assert!(answer.is_err());
    assert_eq!(proxy.connects(), [format!("{SECRETS}:443")]);
    assert!(sts.log().is_empty());
}
