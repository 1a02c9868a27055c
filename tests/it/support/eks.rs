//! The part of EKS that judges bearer tokens: what STS would say of the signed request in one.
//!
//! As aws-iam-authenticator: known parameters only, an STS host, the cluster's name added as a header, fifteen minutes from
//! the signing.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Whose tokens are accepted, and for which cluster.
#[derive(Clone)]
pub struct Eks {
    pub cluster: &'static str,
    pub host: &'static str,
    pub region: &'static str,
    pub access_key_id: &'static str,
    pub secret_access_key: String,
}

impl Eks {
    pub fn judge(&self, token: &str) -> Result<(), &'static str> {
        let url = token.strip_prefix("k8s-aws-v1.").ok_or("no prefix")?;
        let url = URL_SAFE_NO_PAD.decode(url).map_err(|_| "no base64")?;
        let url = String::from_utf8(url).map_err(|_| "no text")?;
        let rest = url.strip_prefix("https://").ok_or("no https")?;
        let (host, query) = rest.split_once("/?").ok_or("no query")?;
        let mut parameters = BTreeMap::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or("no value")?;
            if parameters.insert(name, value).is_some() {
                return Err("a parameter twice");
            }
        }
        let signature = parameters.remove("X-Amz-Signature").ok_or("no signature")?;
        let date = parameters.get("X-Amz-Date").copied().ok_or("no date")?;
        let scope = format!("{}/{}/sts/aws4_request", &date[..8], self.region);
        let credential = format!("{}/{scope}", self.access_key_id).replace('/', "%2F");
        let expected = BTreeMap::from([
            ("Action", "GetCallerIdentity"),
            ("Version", "2011-06-15"),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", credential.as_str()),
            ("X-Amz-Date", date),
            ("X-Amz-Expires", "60"),
            ("X-Amz-SignedHeaders", "host%3Bx-k8s-aws-id"),
        ]);
        if parameters != expected || host != self.host {
            return Err("other parameters");
        }
        if signature == self.signature(&expected, date, &scope) {
            Ok(())
        } else {
            Err("another signature")
        }
    }

    fn signature(&self, query: &BTreeMap<&str, &str>, date: &str, scope: &str) -> String {
        let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let request = format!(
            "GET\n/\n{}\nhost:{}\nx-k8s-aws-id:{}\n\nhost;x-k8s-aws-id\n{}",
            query.join("&"),
            self.host,
            self.cluster,
            hex(&Sha256::digest(b"")),
        );
        let text = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hex(&Sha256::digest(request))
        );
        let key = format!("AWS4{}", self.secret_access_key).into_bytes();
        let key = scope.split('/').fold(key, |key, part| mac(&key, part));
        hex(&mac(&key, &text))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What botocore signed on 2026-07-01.
    const URL: &str = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260701%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20260701T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=83f3f2dc1430f0fee42d3f8e93731e89de2838134f8ff8a5b440a6728423b2b8";

    #[test]
    fn tokens_are_judged_as_sts_would() {
        let eks = Eks {
            cluster: "prod",
            host: "sts.eu-west-1.amazonaws.com",
            region: "eu-west-1",
            access_key_id: "AKIDEXAMPLE",
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        };
        let token = |url: &str| format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url));
        assert_eq!(eks.judge(&token(URL)), Ok(()));
        let other = Eks {
            cluster: "other",
            ..eks.clone()
        };
        assert_eq!(other.judge(&token(URL)), Err("another signature"));
        for (from, to) in [
            ("sts.eu-west-1", "sts.us-east-1"),
            ("Expires=60", "Expires=61"),
            ("&Version=2011-06-15", ""),
            ("&X-Amz-Date", "&Version=2011-06-15&X-Amz-Date"),
        ] {
            assert!(eks.judge(&token(&URL.replace(from, to))).is_err(), "{to}");
        }
    }
}
