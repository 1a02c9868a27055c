//! PEM for templates: blocks by their kind, certificates by their place in a chain.
//!
//! The counterparts of ESO's `filterPEM` and `filterCertChain` (external-secrets `runtime/template/v2/pem.go`), without
//! the empty results those give for content they do not understand: what is asked for and not there is an error.

mod chain;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use chain::{Certificate, Chain};

/// More than any store holds and Kubernetes takes.
const TEXT_MAX: usize = 1 << 20;
/// Of one chain; each is compared with each. A bundle of all public authorities is no chain.
const CERTIFICATES_MAX: usize = 100;
/// Columns of base64, as RFC 7468 and Go's `pem.Encode` have them.
const COLUMNS: usize = 64;

const CERTIFICATE: &str = "CERTIFICATE";

/// Why there is no result. Says where, never what. Blocks and certificates are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    #[error("the text is longer than {TEXT_MAX} bytes")]
    TooLong,
    #[error("there is no PEM block of that kind")]
    NoBlock,
    #[error("block {0} is not well-formed PEM; it may be cut off")]
    Damaged(usize),
    #[error("certificate {0} cannot be read as X.509")]
    NotACertificate(usize),
    #[error("there are more than {CERTIFICATES_MAX} certificates")]
    TooMany,
    #[error("no certificate is the leaf: each has issued another")]
    NoLeaf,
    #[error("several certificates could be the leaf: they do not form one chain")]
    SeveralLeaves,
    #[error("no certificate is a root: none has issued itself")]
    NoRoot,
    #[error("several certificates are roots, and none of them ends the leaf's chain")]
    SeveralRoots,
    #[error("the part of a chain must be `leaf`, `intermediate` or `root`")]
    NoSuchPart,
}

/// A place in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Leaf,
    Intermediate,
    Root,
}

impl FromStr for Part {
    type Err = PemError;

    fn from_str(text: &str) -> Result<Self, PemError> {
        match text {
            "leaf" => Ok(Self::Leaf),
            "intermediate" => Ok(Self::Intermediate),
            "root" => Ok(Self::Root),
            _ => Err(PemError::NoSuchPart),
        }
    }
}

/// All blocks whose label is `kind` (`CERTIFICATE`, `PRIVATE KEY`, ...; capitals do not matter), in their order, encoded
/// anew. What stands between blocks is left out.
///
/// Fails where there is none, and where one of that kind is damaged.
pub fn filter_pem(text: &str, kind: &str) -> Result<String, PemError> {
    let blocks = blocks(text, kind)?;
    Ok(blocks.iter().map(Block::encoded).collect())
}

/// That part of the chain that the certificates in the text form, in whatever order they stand there.
///
/// - `Leaf`: the one that has issued no other; of several, the one that is no authority. A certificate alone is a leaf.
/// - `Intermediate`: all that are neither leaf nor root, from the leaf upwards; those that the leaf's chain does not
///   lead to come last. A chain without any gives an empty text: that is how a chain may be.
/// - `Root`: the one that has issued itself. A self-signed certificate alone is both leaf and root.
///
/// Who has issued whom is told by names, and by key ids where both certificates have one. Nothing is verified.
pub fn filter_cert_chain(text: &str, part: Part) -> Result<String, PemError> {
    let certificates = blocks(text, CERTIFICATE)?;
    if certificates.len() > CERTIFICATES_MAX {
        return Err(PemError::TooMany);
    }
    let certificates = certificates
        .iter()
        .zip(1..)
        .map(|(block, number)| {
            Certificate::read(&block.bytes).ok_or(PemError::NotACertificate(number))
        })
        .collect::<Result<_, _>>()?;
    let chain = Chain::of(certificates)?;
    Ok(match part {
        Part::Leaf => certificate(chain.leaf()),
        Part::Intermediate => chain.intermediates().map(certificate).collect(),
        Part::Root => certificate(chain.root()?),
    })
}

/// One certificate as PEM.
pub(super) fn certificate(der: &[u8]) -> String {
    encode(CERTIFICATE, &[], der)
}

/// PKCS#8, not encrypted, as PEM.
pub(super) fn private_key(der: &[u8]) -> String {
    encode("PRIVATE KEY", &[], der)
}

/// Certificates in DER, leaf first, then its chain, then what the chain does not lead to. As they stand where no leaf
/// can be told. `leaf` is the one that is known to be it.
pub(super) fn ordered(certificates: &[&[u8]], leaf: Option<usize>) -> Result<String, PemError> {
    if certificates.len() > CERTIFICATES_MAX {
        return Err(PemError::TooMany);
    }
    let read = certificates
        .iter()
        .zip(1..)
        .map(|(der, number)| Certificate::read(der).ok_or(PemError::NotACertificate(number)))
        .collect::<Result<Vec<_>, _>>()?;
    let chain = match leaf.and_then(|leaf| read.get(leaf)).cloned() {
        Some(leaf) => Ok(Chain::from_leaf(read, leaf)),
        None => Chain::of(read),
    };
    Ok(match chain {
        Ok(chain) => chain.whole().map(certificate).collect(),
        Err(_) => certificates.iter().map(|der| certificate(der)).collect(),
    })
}

/// One block, its headers (RFC 1421; an old encrypted key has them) as they were.
struct Block<'a> {
    label: &'a str,
    headers: Vec<&'a str>,
    bytes: Zeroizing<Vec<u8>>,
}

impl Block<'_> {
    fn encoded(&self) -> String {
        encode(self.label, &self.headers, &self.bytes)
    }
}

fn encode(label: &str, headers: &[&str], bytes: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = String::with_capacity(body.len() + body.len() / COLUMNS + 128);
    text.extend(["-----BEGIN ", label, "-----\n"]);
    for header in headers {
        text.extend([header, "\n"]);
    }
    if !headers.is_empty() {
        text.push('\n');
    }
    let mut rest = body.as_str();
    while let Some((line, more)) = rest.split_at_checked(COLUMNS) {
        text.extend([line, "\n"]);
        rest = more;
    }
    if !rest.is_empty() {
        text.extend([rest, "\n"]);
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}

/// The blocks of that kind; at least one.
fn blocks<'a>(text: &'a str, kind: &str) -> Result<Vec<Block<'a>>, PemError> {
    if text.len() > TEXT_MAX {
        return Err(PemError::TooLong);
    }
    let mut found = Vec::new();
    let mut number = 0;
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = label(line, "-----BEGIN ") else {
            continue;
        };
        number += 1;
        if label.eq_ignore_ascii_case(kind) {
            found.push(block(label, &mut lines).ok_or(PemError::Damaged(number))?);
        }
    }
    if found.is_empty() {
        return Err(PemError::NoBlock);
    }
    Ok(found)
}

fn label<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

/// Reads on to the block's end; `None` where it is damaged.
fn block<'a>(label: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> Option<Block<'a>> {
    let mut headers = Vec::new();
    let mut body = Zeroizing::new(String::with_capacity(4096));
    for line in lines {
        if line.starts_with("-----") {
            if self::label(line, "-----END ") != Some(label) {
                return None;
            }
            let bytes = Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?);
            return Some(Block {
                label,
                headers,
                bytes,
            });
        }
        if body.is_empty() && line.contains(':') {
            headers.push(line);
        } else {
            body.extend(line.split_whitespace());
        }
    }
    None
}
