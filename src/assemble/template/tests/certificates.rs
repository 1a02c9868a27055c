//! Files as `openssl` makes them, through the words that open them.

use super::bytes;

const FILE: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/data/pki/modern.p12"
));
const CHAIN: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/data/pki/chain.pem"
));

fn text(template: &str) -> Result<String, String> {
    let values = [
        ("file", FILE),
        ("chain", CHAIN),
        ("password", b"made-up".as_slice()),
    ];
    let made = bytes(template, &values).map_err(|failure| failure.fact.clone())?;
    Ok(String::from_utf8(made).unwrap())
}

#[test]
fn a_tls_pair_comes_out_of_pkcs12() {
    let certificate =
        text("{{ file | pkcs12_cert(password) | filter_cert_chain('leaf') }}").unwrap();
    assert_eq!(certificate.matches("BEGIN CERTIFICATE").count(), 1);
    let key = text("{{ file | b64encode | b64decode | pkcs12_key(password) }}").unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

#[test]
fn a_bundle_is_taken_apart() {
    let all = text("{{ chain | filter_pem('CERTIFICATE') }}").unwrap();
    assert!(all.matches("BEGIN CERTIFICATE").count() > 1);
    assert!(!all.contains("PRIVATE"));
}

#[test]
fn what_cannot_be_opened_is_told_without_a_value() {
    for (template, says) in [
        (
            "{{ file | pkcs12_cert('hunter2') }}",
            "the password does not open",
        ),
        ("{{ password | pkcs12_key }}", "no PKCS#12 file"),
        ("{{ chain | filter_pem('X') }}", "X"),
        ("{{ chain | filter_cert_chain('stem') }}", "leaf"),
    ] {
        let told = text(template).unwrap_err();
        assert!(told.contains(says), "{told}");
        assert!(
            told.contains("data.url") && told.contains("line 1"),
            "{told}"
        );
    }
}

#[test]
fn files_that_take_much_work_are_opened_a_few_times_only() {
    let told =
        text("{% for i in range(100) %}{{ file | pkcs12_key(password) }}{% endfor %}").unwrap_err();
    assert!(
        told.contains("more work") || told.contains("longer"),
        "{told}"
    );
}
