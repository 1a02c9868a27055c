//! PKCS#12 (`.p12`, `.pfx`) for templates: the certificates and the private key of a file, as PEM.
//!
//! The counterparts of ESO's `pkcs12cert` and `pkcs12key` (external-secrets `runtime/template/v2/pkcs12.go`). Read are
//! the files of this decade (PBES2 with AES, MAC over SHA-2) and of the one before (3DES, 40-bit RC2, MAC over SHA-1),
//! and those without any protection.

#[cfg(test)]
mod tests;

use p12_keystore::{Pkcs12Archive, error::Error};

use super::pem;

/// No more than Secrets Manager holds. How many rounds of key derivation a file can ask for grows with its size.
const BYTES_MAX: usize = 64 << 10;

/// Why there is no result. Says what kind of trouble it is, never what is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12Error {
    #[error("the PKCS#12 file is longer than {BYTES_MAX} bytes")]
    TooLong,
    #[error("it is no PKCS#12 file, or a damaged one; text in base64 must be decoded first")]
    Damaged,
    #[error("the password does not open the PKCS#12 file")]
    WrongPassword,
    #[error("the PKCS#12 file is protected in a way that is not supported")]
    Unsupported,
    #[error("the PKCS#12 file asks for more work than is allowed to open it")]
    TooCostly,
    #[error("there is no certificate in the PKCS#12 file")]
    NoCertificate,
    #[error("there are too many certificates in the PKCS#12 file")]
    TooManyCertificates,
    #[error("there is no private key in the PKCS#12 file")]
    NoKey,
    #[error("there are several private keys in the PKCS#12 file")]
    SeveralKeys,
}

/// All certificates as PEM: that of the private key first, then its issuers upwards, then the others. A file without a
/// private key is taken, too. Without a password, `password` is empty.
///
/// Opening a file takes as long as it asks for, up to a second or so for each of its protected parts.
pub fn pkcs12_cert(bytes: &[u8], password: &str) -> Result<String, Pkcs12Error> {
    let archive = open(bytes, password)?;
    if archive.certs.is_empty() {
        return Err(Pkcs12Error::NoCertificate);
    }
    let leaf = match archive.keys.as_slice() {
        [key] => key.local_key_id.as_ref().and_then(|id| {
            let mut certificates = archive.certs.iter();
            certificates.position(|it| it.local_key_id.as_deref() == Some(id.0.as_slice()))
        }),
        _ => None,
    };
    let certificates: Vec<_> = archive.certs.iter().map(|it| it.cert.as_der()).collect();
    pem::ordered(&certificates, leaf).map_err(|error| match error {
        pem::PemError::TooMany => Pkcs12Error::TooManyCertificates,
        pem::PemError::TooLong
        | pem::PemError::NoBlock
        | pem::PemError::Damaged(_)
        | pem::PemError::NotACertificate(_)
        | pem::PemError::NoLeaf
        | pem::PemError::SeveralLeaves
        | pem::PemError::NoRoot
        | pem::PemError::SeveralRoots
        | pem::PemError::NoSuchPart => Pkcs12Error::Damaged,
    })
}

/// The only private key as PEM, PKCS#8, not encrypted. Without a password, `password` is empty.
///
/// Opening a file takes as long as with [`pkcs12_cert`].
pub fn pkcs12_key(bytes: &[u8], password: &str) -> Result<String, Pkcs12Error> {
    match open(bytes, password)?.keys.as_slice() {
        [key] => Ok(pem::private_key(key.key.as_der())),
        [] => Err(Pkcs12Error::NoKey),
        [_, _, ..] => Err(Pkcs12Error::SeveralKeys),
    }
}

fn open(bytes: &[u8], password: &str) -> Result<Pkcs12Archive, Pkcs12Error> {
    if bytes.len() > BYTES_MAX {
        return Err(Pkcs12Error::TooLong);
    }
    Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| match error {
        // Without a MAC a wrong password shows only in what it decrypts to.
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => Pkcs12Error::WrongPassword,
        Error::InvalidParameters => Pkcs12Error::TooCostly,
        Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm
        | Error::UnsupportedContentType
        | Error::UnsupportedCertificateType
        | Error::InvalidVersion => Pkcs12Error::Unsupported,
        Error::IoError(_)
        | Error::DerError(_)
        | Error::X509Error(_)
        | Error::InvalidLength
        | Error::InvalidData
        | Error::InvalidPrivateKey => Pkcs12Error::Damaged,
    })
}
