use proptest::prelude::*;

use super::*;

macro_rules! pki {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/data/pki/",
            $name
        ))
    };
}

fn payload(values: &[(&str, &[u8])]) -> Payload {
    let mut payload = Payload::default();
    for (key, value) in values {
        payload.insert(
            SecretKey::new(*key).unwrap(),
            SecretBytes::new(value.to_vec()),
        );
    }
    payload
}

fn pair_of(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Payload {
    payload(&[
        ("tls.crt", certificates.as_ref()),
        ("tls.key", key.as_ref()),
    ])
}

fn tls(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<(), Failure> {
    whole(TLS, &pair_of(certificates, key))
}

/// The sentence of a refusal, which never holds content.
fn refusal(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> String {
    let refused = tls(certificates, key).unwrap_err();
    assert_eq!(refused.reason, Reason::Invalid);
    refused.fact.clone()
}

#[test]
fn a_certificate_goes_with_its_key_in_every_usual_form() {
    for (name, certificate, key) in [
        ("PKCS#8", pki!("ec.crt"), pki!("ec-pkcs8.key")),
        ("SEC 1 after its curve", pki!("ec.crt"), pki!("ec-sec1.key")),
        ("PKCS#1", pki!("rsa.crt"), pki!("rsa-pkcs1.key")),
        ("Ed25519", pki!("ed25519.crt"), pki!("ed25519.key")),
        ("version 1", pki!("v1.crt"), pki!("ec-pkcs8.key")),
        ("a chain", pki!("chain.pem"), pki!("leaf.key")),
    ] {
        assert_eq!(tls(certificate, key), Ok(()), "{name}");
        let windows = key.replace('\n', "\r\n");
        assert_eq!(tls(certificate.replace('\n', "\r\n"), windows), Ok(()));
        let around = format!("Bag Attributes\n  friendlyName: made up\n{certificate}\n\n");
        assert_eq!(tls(around, key), Ok(()), "{name}");
    }
    let both = [pki!("leaf.key"), pki!("chain.pem")].concat();
    assert_eq!(tls(&both, &both), Ok(()));
}

#[test]
fn two_halves_of_different_rotations_are_refused() {
    const MISMATCH: &str = "`tls.key` is not the key of the first certificate in `tls.crt`";
    assert_eq!(refusal(pki!("ec.crt"), pki!("leaf.key")), MISMATCH);
    assert_eq!(refusal(pki!("ec.crt"), pki!("rsa-pkcs1.key")), MISMATCH);
    assert_eq!(refusal(pki!("ed25519.crt"), pki!("ec-sec1.key")), MISMATCH);
    // It goes with one of them, and servers look only at the first.
    let backwards = [pki!("rsa.crt"), pki!("ec.crt")].concat();
    assert_eq!(refusal(backwards, pki!("ec-pkcs8.key")), MISMATCH);
}

#[test]
fn a_half_that_cannot_be_read_is_refused_in_words_of_its_own() {
    let (certificate, key) = (pki!("ec.crt"), pki!("ec-pkcs8.key"));
    let cut = |text: &'static str| &text[..text.len() / 2];
    for (certificate, key, sentence) in [
        ("", key, "`tls.crt` holds no PEM certificate"),
        (key, key, "`tls.crt` holds no PEM certificate"),
        (cut(certificate), key, "`tls.crt` is not well-formed PEM"),
        (
            "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n",
            key,
            "the first certificate in `tls.crt` cannot be read",
        ),
        (certificate, "", "`tls.key` holds no PEM private key"),
        (
            certificate,
            certificate,
            "`tls.key` holds no PEM private key",
        ),
        (certificate, cut(key), "`tls.key` is not well-formed PEM"),
        (
            certificate,
            concat!(pki!("ec-pkcs8.key"), pki!("leaf.key")),
            "`tls.key` holds 2 private keys",
        ),
        (
            certificate,
            pki!("ec-encrypted.key"),
            "the private key in `tls.key` is encrypted",
        ),
        (
            certificate,
            pki!("ec-encrypted-old.key"),
            "the private key in `tls.key` is encrypted",
        ),
        (
            certificate,
            "-----BEGIN PRIVATE KEY-----\nMAMCAQA=\n-----END PRIVATE KEY-----\n",
            "the private key in `tls.key` cannot be read",
        ),
        (
            pki!("ed448.crt"),
            pki!("ed448.key"),
            "the private key in `tls.key` cannot be read",
        ),
    ] {
        let refused = refusal(certificate, key);
        assert!(refused.starts_with(sentence), "{refused} / {sentence}");
    }
}

#[test]
fn other_types_need_what_the_api_server_asks_of_them() {
    const X: &[u8] = b"x";
    for (name, good, bad) in [
        (
            "dockerconfigjson",
            vec![(".dockerconfigjson", b"{\"auths\":{}}".as_slice())],
            vec![(".dockerconfigjson", X)],
        ),
        (
            "dockerconfigjson",
            vec![(".dockerconfigjson", b" {} \n")],
            vec![(".dockerconfigjson", b"[]")],
        ),
        (
            "dockercfg",
            vec![(".dockercfg", b"{}")],
            vec![(".dockercfg", b"{} {}")],
        ),
        (
            "basic-auth",
            vec![("username", b""), ("password", X)],
            vec![("user", X)],
        ),
        (
            "ssh-auth",
            vec![("ssh-privatekey", X)],
            vec![("ssh-privatekey", b""), ("ssh-publickey", X)],
        ),
        (
            "tls",
            vec![
                ("tls.crt", pki!("ec.crt").as_bytes()),
                ("tls.key", pki!("ec-sec1.key").as_bytes()),
            ],
            vec![("tls.key", pki!("ec-sec1.key").as_bytes())],
        ),
    ] {
        let name = format!("kubernetes.io/{name}");
        assert_eq!(whole(&name, &payload(&good)), Ok(()), "{name}");
        let refused = whole(&name, &payload(&bad)).unwrap_err();
        let start = format!("a Secret of type `{name}` needs the key");
        assert!(refused.fact.starts_with(&start), "{refused}");
        assert_eq!(whole("Opaque", &payload(&bad)), Ok(()), "{name}");
    }
}

#[test]
fn what_is_merged_answers_only_for_what_it_brings() {
    let wrong = pair_of(pki!("ec.crt"), pki!("leaf.key"));
    assert!(part(TLS, &wrong).is_err());
    assert_eq!(part("Opaque", &wrong), Ok(()));
    let half = payload(&[("tls.crt", pki!("ec.crt").as_bytes())]);
    assert_eq!(part(TLS, &half), Ok(()));
}

/// Every byte of the key replaced by every other, so that no draw finds what another missed. A key that passes is
/// the same key, even where its envelope says something else (PKCS #8 version 2 may leave out the public key that
/// it adds, RFC 5958, 2).
#[test]
fn nothing_but_the_pair_itself_passes() {
    const SEED_BYTES: usize = 32;
    let whole = pki!("ed25519.key").as_bytes();
    let der = PrivateKeyDer::from_pem_slice(whole).unwrap();
    let seed = der.secret_der().last_chunk::<SEED_BYTES>().unwrap();
    let mut tried_itself = 0;
    for at in 0..whole.len() {
        for byte in 0..=u8::MAX {
            let mut key = whole.to_vec();
            key[at] = byte;
            let read = PrivateKeyDer::from_pem_slice(&key).ok();
            let same = read.as_ref() == Some(&der);
            let passes = tls(pki!("ed25519.crt"), key).is_ok();
            assert!(
                passes || !same,
                "the pair itself, with {byte} at {at}, is refused"
            );
            if passes {
                let read = read.unwrap();
                assert_eq!(read.secret_der().last_chunk(), Some(seed), "{byte} at {at}");
                tried_itself += 1;
            }
        }
    }
    assert!(
        tried_itself >= whole.len(),
        "the pair itself was tried once for each byte"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_judged(crt: Vec<u8>, key: Vec<u8>) {
        prop_assert!(tls(&crt, &key).is_err());
        let block = |kind: &str, der: &[u8]| {
            use base64::Engine as _;
            let body = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
        };
        let (crt, key) = (block("CERTIFICATE", &crt), block("PRIVATE KEY", &key));
        prop_assert!(tls(crt, pki!("ed25519.key")).is_err());
        prop_assert!(tls(pki!("ed25519.crt"), key).is_err());
    }
}
