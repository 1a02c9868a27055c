//! Certificates in the order in which one has issued the other.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::PemError;

/// What of a certificate tells its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    der: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    key_id: Option<Vec<u8>>,
    issuer_key_id: Option<Vec<u8>>,
    authority: bool,
}

/// At least one certificate, none twice.
#[derive(Debug)]
pub(super) struct Chain {
    leaf: Certificate,
    /// From the leaf's issuer upwards.
    path: Vec<Certificate>,
    /// What the path does not lead to, as it stood.
    rest: Vec<Certificate>,
}

impl Certificate {
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let mut key_id = None;
        let mut issuer_key_id = None;
        for extension in certificate.extensions() {
            if let ParsedExtension::SubjectKeyIdentifier(id) = extension.parsed_extension() {
                key_id = Some(id.0.to_vec());
            } else if let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension()
            {
                issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
        }
        Some(Self {
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            key_id,
            issuer_key_id,
            authority: certificate.is_ca(),
            der: der.to_vec(),
        })
    }

    /// By name; a renewed authority keeps its name, so by key id, too, where both tell it.
    fn issued(&self, other: &Self) -> bool {
        let ids = self.key_id.as_ref().zip(other.issuer_key_id.as_ref());
        self.subject == other.issuer && ids.is_none_or(|(own, wanted)| own == wanted)
    }

    fn is_root(&self) -> bool {
        self.issued(self)
    }
}

impl Chain {
    pub(super) fn of(mut certificates: Vec<Certificate>) -> Result<Self, PemError> {
        distinct(&mut certificates);
        let issued_none = |it: &&Certificate| {
            let mut others = certificates.iter().filter(|other| other != it);
            !others.any(|other| it.issued(other))
        };
        let last: Vec<_> = certificates.iter().filter(issued_none).collect();
        let leaf = match last.as_slice() {
            [] => only_subject(&certificates, PemError::NoLeaf)?,
            [leaf] => leaf,
            several => only_subject(several.iter().copied(), PemError::SeveralLeaves)?,
        }
        .clone();
        Ok(Self::from_leaf(certificates, leaf))
    }

    /// With a leaf that is known from elsewhere.
    pub(super) fn from_leaf(mut certificates: Vec<Certificate>, leaf: Certificate) -> Self {
        distinct(&mut certificates);
        certificates.retain(|it| *it != leaf);
        let mut path: Vec<Certificate> = Vec::new();
        loop {
            let last = path.last().unwrap_or(&leaf);
            if last.is_root() {
                break;
            }
            // A cross-signed authority is there twice: the shorter way is the one that ends here.
            let issuers = certificates.iter().enumerate();
            let Some((at, _)) = issuers
                .filter(|(_, it)| it.issued(last))
                .min_by_key(|(_, it)| !it.is_root())
            else {
                break;
            };
            path.push(certificates.remove(at));
        }
        Self {
            leaf,
            path,
            rest: certificates,
        }
    }

    pub(super) fn leaf(&self) -> &[u8] {
        &self.leaf.der
    }

    pub(super) fn intermediates(&self) -> impl Iterator<Item = &[u8]> {
        let above = self.path.iter().chain(&self.rest);
        above.filter(|it| !it.is_root()).map(|it| it.der.as_slice())
    }

    pub(super) fn root(&self) -> Result<&[u8], PemError> {
        let end = self.path.last().unwrap_or(&self.leaf);
        if end.is_root() {
            return Ok(&end.der);
        }
        let mut others = self.rest.iter().filter(|it| it.is_root());
        match (others.next(), others.next()) {
            (Some(root), None) => Ok(&root.der),
            (None, _) => Err(PemError::NoRoot),
            (Some(_), Some(_)) => Err(PemError::SeveralRoots),
        }
    }

    /// All, leaf first.
    pub(super) fn whole(&self) -> impl Iterator<Item = &[u8]> {
        let all = std::iter::once(&self.leaf)
            .chain(&self.path)
            .chain(&self.rest);
        all.map(|it| it.der.as_slice())
    }
}

/// Drops what is there a second time.
fn distinct(certificates: &mut Vec<Certificate>) {
    let mut seen = std::collections::BTreeSet::new();
    certificates.retain(|it| seen.insert(it.der.clone()));
}

/// The only one that is no authority.
fn only_subject<'a>(
    certificates: impl IntoIterator<Item = &'a Certificate>,
    otherwise: PemError,
) -> Result<&'a Certificate, PemError> {
    let mut found = certificates.into_iter().filter(|it| !it.authority);
    match (found.next(), found.next()) {
        (Some(leaf), None) => Ok(leaf),
        (None, _) | (Some(_), Some(_)) => Err(otherwise),
    }
}
