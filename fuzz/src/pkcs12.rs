//! PKCS#12. Up to the first line's end the password; what follows it, the file.

use secretsyncd::assemble::pem::filter_pem;
use secretsyncd::assemble::pkcs12::{pkcs12_cert, pkcs12_key};

/// A file may ask for work that takes a second, so that larger ones would only slow the fuzzer down.
const LARGEST: usize = 8 << 10;

pub fn target(input: &[u8]) {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (password, file) = (&input[..end], &input[end + 1..]);
    let Ok(password) = std::str::from_utf8(password) else {
        return;
    };
    if file.len() > LARGEST {
        return;
    }
    if let Ok(certificates) = pkcs12_cert(file, password) {
        assert_eq!(filter_pem(&certificates, "CERTIFICATE"), Ok(certificates));
    }
    if let Ok(key) = pkcs12_key(file, password) {
        assert_eq!(filter_pem(&key, "PRIVATE KEY"), Ok(key));
    }
}
