use proptest::prelude::*;

use super::*;

macro_rules! pki {
    ($include:ident, $name:literal) => {
        $include!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/data/pki/",
            $name
        ))
    };
}

const MODERN: &[u8] = pki!(include_bytes, "modern.p12");
const LEGACY: &[u8] = pki!(include_bytes, "legacy.p12");
const PLAIN: &[u8] = pki!(include_bytes, "plain.p12");
/// Leaf first, as it comes out.
const CHAIN: &str = pki!(include_str, "chain.pem");
const KEY: &str = pki!(include_str, "leaf.key");
const PASSWORD: &str = "made-up";

#[test]
fn files_of_either_decade_are_read() {
    for (name, file, password) in [
        ("AES-256, SHA-256", MODERN, PASSWORD),
        ("RC2, 3DES, SHA-1", LEGACY, PASSWORD),
        (
            "AES-256 without a password",
            pki!(include_bytes, "modern-nopass.p12").as_slice(),
            "",
        ),
        (
            "RC2 without a password",
            pki!(include_bytes, "legacy-nopass.p12"),
            "",
        ),
        ("not protected", PLAIN, ""),
        ("UTF-8", pki!(include_bytes, "umlaut.p12"), "pässwörd"),
    ] {
        // The file holds the root before what it has issued.
        assert_eq!(pkcs12_cert(file, password).as_deref(), Ok(CHAIN), "{name}");
        assert_eq!(pkcs12_key(file, password).as_deref(), Ok(KEY), "{name}");
    }
}

#[test]
fn another_password_is_told_from_a_damaged_file() {
    for file in [MODERN, LEGACY] {
        for password in ["", "made-down"] {
            let refused = pkcs12_key(file, password);
            assert_eq!(refused, Err(Pkcs12Error::WrongPassword));
        }
        let cut = &file[..file.len() - 1];
        assert_eq!(pkcs12_key(cut, PASSWORD), Err(Pkcs12Error::Damaged));
    }
    for file in [b"".as_slice(), b"MIIJ", KEY.as_bytes()] {
        assert_eq!(pkcs12_cert(file, PASSWORD), Err(Pkcs12Error::Damaged));
    }
}

#[test]
fn what_a_file_does_not_hold_is_an_error() {
    let no_key = pki!(include_bytes, "no-key.p12");
    assert_eq!(pkcs12_key(no_key, PASSWORD), Err(Pkcs12Error::NoKey));
    let (_, root) = CHAIN.rsplit_once("-----BEGIN").unwrap();
    let root = format!("-----BEGIN{root}");
    assert_eq!(pkcs12_cert(no_key, PASSWORD), Ok(root));
    let none = pki!(include_bytes, "no-certificate.p12");
    assert_eq!(pkcs12_cert(none, PASSWORD), Err(Pkcs12Error::NoCertificate));
    assert_eq!(pkcs12_key(none, PASSWORD).as_deref(), Ok(KEY));
}

#[test]
fn there_is_a_limit() {
    let long = vec![0; BYTES_MAX + 1];
    assert_eq!(pkcs12_key(&long, ""), Err(Pkcs12Error::TooLong));
    assert_eq!(pkcs12_key(&long[1..], ""), Err(Pkcs12Error::Damaged));
}

#[test]
fn work_beyond_a_bound_is_not_begun() {
    // The MAC is the last of the file, and its rounds the last of it: a sequence of 65 bytes that ends in 2048.
    let (rest, mac) = MODERN.split_at(MODERN.len() - 67);
    let inner = mac
        .strip_prefix(&[0x30, 65])
        .and_then(|mac| mac.strip_suffix(&[2, 2, 8, 0]));
    let rounds = [2, 4, 0x7f, 0xff, 0xff, 0xff];
    let mut costly = [rest, &[0x30, 67], inner.unwrap(), &rounds].concat();
    let whole = u16::from_be_bytes([costly[2], costly[3]]) + 2;
    costly[2..4].copy_from_slice(&whole.to_be_bytes());
    assert_eq!(pkcs12_key(&costly, PASSWORD), Err(Pkcs12Error::TooCostly));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>, password: String) {
        prop_assert!(pkcs12_cert(&bytes, &password).is_err());
        prop_assert!(pkcs12_key(&bytes, &password).is_err());
    }

    /// Without protection, so that a change reaches what is inside.
    #[test]
    fn any_change_to_a_file_is_answered(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = PLAIN.to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = pkcs12_cert(&file, "");
        let _ = pkcs12_key(&file, "");
        file.truncate(cut.index(file.len()));
        prop_assert!(pkcs12_key(&file, "").is_err());
    }

    #[test]
    fn a_change_to_a_protected_file_is_noticed(at in any::<prop::sample::Index>(), byte: u8) {
        for whole in [MODERN, LEGACY] {
            let mut file = whole.to_vec();
            let at = at.index(file.len());
            // Rounds are left as they are: more of them take their time.
            if file[at] == byte || (file.len() - 4..).contains(&at) {
                continue;
            }
            file[at] = byte;
            let key = pkcs12_key(&file, PASSWORD);
            prop_assert!(key.is_err() || key.as_deref() == Ok(KEY));
        }
    }
}
