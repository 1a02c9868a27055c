//! When credentials end, where they say so themselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use super::access::Identity;

/// What of a token's claims is read (RFC 7519, 4.1.4).
#[derive(Deserialize)]
struct Claims {
    exp: f64,
}

/// Of the first certificate, which is the one that is shown. Blocking.
pub(super) fn of_certificate(identity: &Identity) -> Option<Timestamp> {
    let pem = identity.certificate.load("client certificate").ok()?;
    let blocks = Pem::iter_from_buffer(pem.expose()).filter_map(Result::ok);
    let mut certificates = blocks.filter(|block| block.label == "CERTIFICATE");
    let first = certificates.next()?;
    let end = first.parse_x509().ok()?.validity().not_after.timestamp();
    Timestamp::from_second(end).ok()
}

/// Of a token that is a JWT. Only the server can tell whether it is a good one.
pub(super) fn of_bearer(header: &HeaderValue) -> Option<Timestamp> {
    let token = header.to_str().ok()?.strip_prefix("Bearer ")?;
    let claims = token.split('.').nth(1)?;
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims).ok()?);
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what no calendar holds is refused"
    )]
    Timestamp::from_second(claims.exp as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::super::access::Source;
    use super::*;
    use crate::secret::SecretBytes;

    fn bearer(claims: &str) -> HeaderValue {
        let claims = URL_SAFE_NO_PAD.encode(claims);
        HeaderValue::from_str(&format!("Bearer e30.{claims}.c2ln")).unwrap()
    }

    #[test]
    fn a_token_ends_when_it_says() {
        let end = |text: &str| of_bearer(&bearer(text)).map(Timestamp::as_second);
        assert_eq!(
            end(r#"{"aud":["k"],"exp":1700000000}"#),
            Some(1_700_000_000)
        );
        assert_eq!(end(r#"{"exp":1.7e9}"#), Some(1_700_000_000));
        for none in [
            r#"{"iat":1}"#,
            r#"{"exp":"x"}"#,
            r#"{"exp":1e300}"#,
            "no JSON",
        ] {
            assert_eq!(end(none), None, "{none}");
        }
        for text in [
            "Bearer opaque",
            "Bearer a.b",
            "Bearer a.!.c",
            "Basic e30.e30.e30",
        ] {
            assert_eq!(of_bearer(&HeaderValue::from_static(text)), None, "{text}");
        }
    }

    #[test]
    fn a_certificate_ends_when_its_first_block_does() {
        let made = |year| {
            let mut parameters = rcgen::CertificateParams::default();
            parameters.not_after = rcgen::date_time_ymd(year, 1, 2);
            let key = rcgen::KeyPair::generate().unwrap();
            parameters.self_signed(&key).unwrap().pem()
        };
        let identity = |text: String| Identity {
            certificate: Source::Inline(SecretBytes::new(text.into_bytes())),
            key: Source::Inline(SecretBytes::new(Vec::new())),
        };
        let end = of_certificate(&identity(made(2031) + &made(2029)));
        assert_eq!(end.unwrap().to_string(), "2031-01-02T00:00:00Z");
        assert_eq!(of_certificate(&identity("no PEM".to_owned())), None);
    }
}
