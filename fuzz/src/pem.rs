//! PEM. The first line is the kind of block that is wanted; what follows it, the text.

use secretsyncd::assemble::pem::{Part, filter_cert_chain, filter_pem};

use super::first_line;

pub fn target(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let (kind, text) = first_line(input);
    if let Ok(blocks) = filter_pem(text, kind) {
        assert_eq!(filter_pem(&blocks, kind).as_ref(), Ok(&blocks));
    }
    let certificates = filter_pem(text, "CERTIFICATE");
    for part in [Part::Leaf, Part::Intermediate, Part::Root] {
        let found = filter_cert_chain(text, part);
        if let (Ok(found), Ok(all)) = (&found, &certificates) {
            assert!(found.len() <= all.len(), "more certificates than there are");
        }
        assert!(certificates.is_ok() || found.is_err());
    }
}
