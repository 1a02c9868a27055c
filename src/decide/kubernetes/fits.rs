//! Whether content is what its Secret's type promises to whoever reads it.
//!
//! The API server looks at keys and JSON only (kubernetes `validation.go`, `ValidateSecret`: both keys of a TLS pair
//! must be there, "TODO: Verify that the key matches the cert"). What it lets through replaces what works, so a TLS
//! pair is read here: two halves that are rotated one after the other are two rotations in between.

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::de::IgnoredAny;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

const TLS: &str = "kubernetes.io/tls";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Of the content of a whole Secret.
///
/// Fails with [`Reason::Invalid`] where a key of the type is absent, or holds what its readers cannot use.
pub(super) fn whole(secret_type: &str, data: &Payload) -> Result<(), Failure> {
    let has = |name| value(data, name).is_some();
    let (fits, needs) = match secret_type {
        TLS => (
            has(CERTIFICATE) && has(KEY),
            "the keys `tls.crt` and `tls.key`",
        ),
        "kubernetes.io/dockerconfigjson" => (
            value(data, ".dockerconfigjson").is_some_and(is_object),
            "the key `.dockerconfigjson` with a JSON object in it",
        ),
        "kubernetes.io/dockercfg" => (
            value(data, ".dockercfg").is_some_and(is_object),
            "the key `.dockercfg` with a JSON object in it",
        ),
        // Either may be empty, as the API server has it: a token often goes without a name.
        "kubernetes.io/basic-auth" => (
            has("username") || has("password"),
            "the key `username` or `password`",
        ),
        "kubernetes.io/ssh-auth" => (
            value(data, "ssh-privatekey").is_some_and(|key| !key.is_empty()),
            "the key `ssh-privatekey` with something in it",
        ),
        _ => return Ok(()),
    };
    if !fits {
        return Err(Failure::new(
            Reason::Invalid,
            format!("a Secret of type `{secret_type}` needs {needs}"),
        )
        .with_help("deliver that key, or set another `type`"));
    }
    part(secret_type, data)
}

/// Of content that is merged into somebody else's Secret of that type. What is not among it is theirs to answer for;
/// a half of a TLS pair alone says nothing, and to hold it back until the other fits could hold back both for ever.
pub(super) fn part(secret_type: &str, data: &Payload) -> Result<(), Failure> {
    match (value(data, CERTIFICATE), value(data, KEY)) {
        (Some(certificates), Some(key)) if secret_type == TLS => pair(certificates, key),
        _ => Ok(()),
    }
}

fn value<'a>(data: &'a Payload, name: &str) -> Option<&'a SecretBytes> {
    data.get(&SecretKey::new(name).ok()?)
}

/// What the API server asks of both docker types. `auths` is not asked for: a configuration of credential helpers has
/// none.
fn is_object(value: &SecretBytes) -> bool {
    let json = value.expose();
    json.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(json).is_ok()
}

/// Whether the two belong together. How long a certificate is valid and who signed it is not asked: that is for its
/// owner to know, and an old certificate may be better than none.
fn pair(certificates: &SecretBytes, key: &SecretBytes) -> Result<(), Failure> {
    let leaf = leaf(certificates)?;
    let key = private_key(key)?;
    // A kind of key that cannot be loaded looks the same as a damaged one. Old content that works is worth more than
    // new content of which nothing is known.
    let public = any_supported_type(&key)
        .ok()
        .and_then(|key| key.public_key().map(|public| public.to_vec()))
        .ok_or_else(|| {
            invalid("the private key in `tls.key` cannot be read: it is damaged, or of a kind that cannot be compared with the certificate")
                .with_help("RSA of 2048 to 8192 bits, ECDSA over P-256, P-384 or P-521, and Ed25519 can be compared; for any other kind set another `type`")
        })?;
    let ours = SubjectPublicKeyInfo::from_der(&public).map(|(_, info)| info);
    // The algorithm's identifier is left out: RSA has several for one key.
    if ours.is_ok_and(|ours| ours.subject_public_key.data == leaf) {
        return Ok(());
    }
    Err(
        invalid("`tls.key` is not the key of the first certificate in `tls.crt`").with_help(
            "both halves must come from the same rotation; the old pair stays until they match, and it is tried again when either changes",
        ),
    )
}

/// The public key of the first certificate.
fn leaf(value: &SecretBytes) -> Result<Vec<u8>, Failure> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(value.expose()).collect();
    let chain = chain.map_err(|_| {
        invalid("`tls.crt` is not well-formed PEM")
            .with_help("a block may be cut off; store the file as it is, with its line breaks")
    })?;
    let first = chain.first().ok_or_else(|| {
        invalid("`tls.crt` holds no PEM certificate").with_help(
            "it must hold blocks of `-----BEGIN CERTIFICATE-----`, that of the key first",
        )
    })?;
    match X509Certificate::from_der(first) {
        Ok(([], certificate)) => Ok(certificate.public_key().subject_public_key.data.to_vec()),
        Ok(_) | Err(_) => Err(invalid(
            "the first certificate in `tls.crt` cannot be read: what is in the block is no X.509 certificate",
        )
        .with_help("check what the source holds")),
    }
}

fn private_key(value: &SecretBytes) -> Result<Zeroizing<PrivateKeyDer<'static>>, Failure> {
    if is_encrypted(value.expose()) {
        return Err(
            invalid("the private key in `tls.key` is encrypted").with_help(
                "store it without a passphrase: who reads the Secret has none to open it with",
            ),
        );
    }
    let keys: Result<Vec<_>, _> = PrivateKeyDer::pem_slice_iter(value.expose())
        .map(|key| key.map(Zeroizing::new))
        .collect();
    let mut keys = keys.map_err(|_| {
        invalid("`tls.key` is not well-formed PEM")
            .with_help("a block may be cut off; store the file as it is, with its line breaks")
    })?;
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (Some(_), others) => Err(invalid(format!(
            "`tls.key` holds {} private keys; it must hold one",
            others + 1
        ))
        .with_help("keep only the key of the first certificate in `tls.crt`")),
        (None, _) => Err(invalid("`tls.key` holds no PEM private key").with_help(
            "it must hold a block of `-----BEGIN PRIVATE KEY-----`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`",
        )),
    }
}

/// In PKCS#8's way or in that of RFC 1421's header lines.
fn is_encrypted(pem: &[u8]) -> bool {
    pem.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || line
                .strip_prefix(b"Proc-Type:")
                .is_some_and(|rest| rest.ends_with(b"ENCRYPTED"))
    })
}

fn invalid(fact: impl Into<String>) -> Failure {
    Failure::new(Reason::Invalid, fact)
}

#[cfg(test)]
mod tests;
