use std::time::UNIX_EPOCH;

use super::*;

const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn noon() -> Timestamp {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

fn credentials(id: &str, session: Option<&str>, ends: Option<Timestamp>) -> Credentials {
    let session = session.map(str::to_owned);
    let ends = ends.map(|at| {
        UNIX_EPOCH + Duration::try_from(at.duration_since(Timestamp::UNIX_EPOCH)).unwrap()
    });
    Credentials::new(id, KEY, session, ends, "test")
}

fn url(token: &EksToken) -> Url {
    let text = std::str::from_utf8(token.text.expose()).unwrap();
    let url = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX).unwrap());
    Url::parse(std::str::from_utf8(&url.unwrap()).unwrap()).unwrap()
}

fn sorted(url: &Url) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
    pairs.sort();
    pairs
}

/// The signatures are botocore's for the same request.
#[test]
fn a_token_is_the_one_that_others_would_sign() {
    let long = credentials("AKIDEXAMPLE", None, None);
    let signed = token(&long, "eu-west-1", "prod", noon()).unwrap();
    let there = url(&signed);
    assert_eq!(
        there.origin().ascii_serialization(),
        "https://sts.eu-west-1.amazonaws.com"
    );
    let expected = [
        ("Action", "GetCallerIdentity"),
        ("Version", "2011-06-15"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        (
            "X-Amz-Credential",
            "AKIDEXAMPLE/20260701/eu-west-1/sts/aws4_request",
        ),
        ("X-Amz-Date", "20260701T120000Z"),
        ("X-Amz-Expires", "60"),
        (
            "X-Amz-Signature",
            "83f3f2dc1430f0fee42d3f8e93731e89de2838134f8ff8a5b440a6728423b2b8",
        ),
        ("X-Amz-SignedHeaders", "host;x-k8s-aws-id"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sorted(&there), expected);

    let session = credentials("ASIAEXAMPLE", Some("to+ken/with=="), None);
    let there = url(&token(&session, "cn-north-1", "prod-2", noon()).unwrap());
    assert_eq!(there.host_str(), Some("sts.cn-north-1.amazonaws.com.cn"));
    let pairs = sorted(&there);
    let of = |name: &str| &pairs.iter().find(|pair| pair.0 == name).unwrap().1;
    assert_eq!(of("X-Amz-Security-Token"), "to+ken/with==");
    assert_eq!(
        of("X-Amz-Signature"),
        "b98d75a6e41e9c0dcd5bb56855c671c193e605bfebc05812aabbdcce75b2464a"
    );
    // What percent encoding the server sees is what was signed.
    assert!(
        there
            .as_str()
            .contains("X-Amz-Security-Token=to%2Bken%2Fwith%3D%3D"),
        "{there}"
    );
}

#[test]
fn a_token_ends_with_its_credentials_or_before_the_cluster_says_so() {
    let expires = |ends: Option<Timestamp>| {
        let credentials = credentials("AKIDEXAMPLE", None, ends);
        token(&credentials, "eu-west-1", "prod", noon())
            .unwrap()
            .expires
    };
    let in_minutes = |minutes| noon() + Duration::from_mins(minutes);
    assert_eq!(expires(None), in_minutes(14));
    assert_eq!(expires(Some(in_minutes(60))), in_minutes(14));
    assert_eq!(expires(Some(in_minutes(5))), in_minutes(5));
}

#[test]
fn what_cannot_be_signed_shows_nothing_of_the_keys() {
    let session = credentials("ASIAEXAMPLE", Some("MARKER"), None);
    let failure = token(&session, "eu west", "a\nb", noon()).err().unwrap();
    assert_eq!(failure.reason, Reason::Credentials);
    let shown = format!("{failure:?} {failure}");
    assert!(
        !shown.contains("MARKER") && !shown.contains("wJalr"),
        "{shown}"
    );
}
