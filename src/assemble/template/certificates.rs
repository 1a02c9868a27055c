//! Certificates and keys, out of bundles of PEM and out of PKCS#12.

use super::given::{Given, Outcome, Refusal};
use super::words::Entry;
use crate::assemble::pem::{self, Part};
use crate::assemble::pkcs12;

/// What opening a PKCS#12 file takes, in steps of a template: a key is derived from its password many times over.
const PKCS12_FUEL: u64 = 20_000;

pub(super) const WORDS: &[Entry] = &[
    Entry::filter(
        "filter_pem(kind)",
        "the PEM blocks of that kind, such as `CERTIFICATE`",
        |g| {
            let text = g.text(0)?;
            g.charge(cost(&text))?;
            let blocks = pem::filter_pem(&text, &g.text(1)?);
            blocks.map(Into::into).map_err(refusal)
        },
    ),
    Entry::filter(
        "filter_cert_chain(part)",
        "of a chain in PEM the `leaf`, the `intermediate` certificates or the `root`",
        |g| {
            let text = g.text(0)?;
            g.charge(cost(&text))?;
            let part: Part = g.text(1)?.parse().map_err(refusal)?;
            let blocks = pem::filter_cert_chain(&text, part);
            blocks.map(Into::into).map_err(refusal)
        },
    ),
    Entry::filter(
        "pkcs12_cert(password=\"\")",
        "the certificates of a PKCS#12 file as PEM, the key's first",
        |g| opened(g, pkcs12::pkcs12_cert),
    ),
    Entry::filter(
        "pkcs12_key(password=\"\")",
        "the private key of a PKCS#12 file as PEM",
        |g| opened(g, pkcs12::pkcs12_key),
    ),
];

fn opened(g: &Given<'_>, take: fn(&[u8], &str) -> Result<String, pkcs12::Pkcs12Error>) -> Outcome {
    g.charge(PKCS12_FUEL)?;
    let taken = take(&g.bytes(0)?, &g.text_or(1, "")?);
    taken.map(Into::into).map_err(refusal)
}

fn cost(text: &str) -> u64 {
    // As everything that looks at bytes.
    (text.len() / 64) as u64
}

fn refusal(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(error.to_string())
}
