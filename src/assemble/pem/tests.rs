use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

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

const CHAIN: &str = pki!("chain.pem");

/// Leaf, intermediate, intermediate, root, each as `openssl` writes it.
fn links() -> Vec<String> {
    let links: Vec<_> = CHAIN
        .split_inclusive("-----END CERTIFICATE-----\n")
        .collect();
    assert_eq!(links.len(), 4);
    links.into_iter().map(str::to_owned).collect()
}

fn parts(text: &str) -> [Result<String, PemError>; 3] {
    [Part::Leaf, Part::Intermediate, Part::Root].map(|part| filter_cert_chain(text, part))
}

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Whether a certificate says by its key id who has issued it.
#[derive(Clone, Copy)]
enum Issuer {
    Named,
    Told,
}

fn params(name: &str, issuer: Issuer) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = matches!(issuer, Issuer::Told);
    params
}

fn authority_params(name: &str, issuer: Issuer) -> CertificateParams {
    let mut params = params(name, issuer);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn root(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::self_signed(authority_params(name, Issuer::Named), key).unwrap()
}

fn intermediate(name: &str, told: Issuer, issuer: &Authority) -> Authority {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::signed_by(authority_params(name, told), key, issuer).unwrap()
}

fn leaf(name: &str, told: Issuer, issuer: &Authority) -> String {
    let key = KeyPair::generate().unwrap();
    let made = params(name, told).signed_by(&key, issuer);
    unix(&made.unwrap().pem())
}

fn unix(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn authority(made: &Authority) -> String {
    unix(&made.pem())
}

#[test]
fn blocks_of_a_kind_are_taken_out_of_whatever_is_around_them() {
    let key = pki!("ec-pkcs8.key");
    let text = format!("Bag Attributes\n key: x\n{key}\n\n  junk\n{CHAIN}-----BEGIN X-----\n");
    assert_eq!(filter_pem(&text, "CERTIFICATE").as_deref(), Ok(CHAIN));
    assert_eq!(filter_pem(&text, "certificate").as_deref(), Ok(CHAIN));
    assert_eq!(filter_pem(&text, "PRIVATE KEY").as_deref(), Ok(key));
    assert_eq!(filter_pem(&text, "EC KEY"), Err(PemError::NoBlock));
    assert_eq!(filter_pem("", "CERTIFICATE"), Err(PemError::NoBlock));
    let windows = text.replace('\n', "\r\n");
    assert_eq!(filter_pem(&windows, "CERTIFICATE").as_deref(), Ok(CHAIN));
    let indented = text.replace('\n', "\n    ");
    assert_eq!(filter_pem(&indented, "CERTIFICATE").as_deref(), Ok(CHAIN));
}

#[test]
fn the_headers_of_an_encrypted_key_stay() {
    let key = pki!("ec-encrypted-old.key");
    assert!(key.contains("DEK-Info: "));
    assert_eq!(filter_pem(key, "EC PRIVATE KEY").as_deref(), Ok(key));
}

#[test]
fn a_damaged_block_is_an_error_where_it_is_of_the_kind() {
    let cut = CHAIN.strip_suffix("-----END CERTIFICATE-----\n").unwrap();
    assert_eq!(filter_pem(cut, "CERTIFICATE"), Err(PemError::Damaged(4)));
    let key = pki!("ec-pkcs8.key");
    let text = [key, cut].concat();
    assert_eq!(filter_pem(&text, "PRIVATE KEY").as_deref(), Ok(key));
    assert_eq!(filter_pem(&text, "CERTIFICATE"), Err(PemError::Damaged(5)));
    for body in ["MIIB*", "MIIB\nnote: x", "MII", "-----BEGIN A-----"] {
        let text = format!("-----BEGIN A-----\n{body}\n-----END A-----\n");
        assert_eq!(filter_pem(&text, "A"), Err(PemError::Damaged(1)), "{body}");
    }
    let other = "-----BEGIN A-----\nMIIB\n-----END B-----\n";
    assert_eq!(filter_pem(other, "A"), Err(PemError::Damaged(1)));
}

#[test]
fn a_chain_without_key_ids_has_its_parts() {
    let root = root("root");
    let first = intermediate("first", Issuer::Named, &root);
    let leaf = leaf("leaf", Issuer::Named, &first);
    let [first, root] = [&first, &root].map(authority);
    let expected = [leaf.clone(), first.clone(), root.clone()].map(Ok);
    assert_eq!(parts(&[root, first, leaf].concat()), expected);
}

#[test]
fn a_self_signed_certificate_is_leaf_and_root() {
    for alone in [pki!("v1.crt"), pki!("ec.crt"), pki!("ed448.crt")] {
        let expected = [alone, "", alone].map(str::to_owned).map(Ok);
        assert_eq!(parts(alone), expected);
        assert_eq!(parts(&alone.repeat(2)), expected);
    }
}

#[test]
fn a_chain_need_not_reach_its_root() {
    let links = links();
    let expected = [
        Ok(links[0].clone()),
        Ok(links[1].clone()),
        Err(PemError::NoRoot),
    ];
    assert_eq!(parts(&links[..2].concat()), expected);
    // Nothing joins them, but only one can be the leaf and only one the root.
    let apart = [links[3].as_str(), &links[0]].concat();
    let expected = [&links[0], "", &links[3]].map(|part| Ok(part.to_owned()));
    assert_eq!(parts(&apart), expected);
    let roots = [
        authority(&root("a")),
        authority(&root("b")),
        links[0].clone(),
    ];
    assert_eq!(parts(&roots.concat())[2], Err(PemError::SeveralRoots));
}

#[test]
fn two_leaves_are_no_chain() {
    let root = root("root");
    let text = [
        leaf("a", Issuer::Told, &root),
        leaf("b", Issuer::Told, &root),
        authority(&root),
    ]
    .concat();
    let refused = PemError::SeveralLeaves;
    assert_eq!(parts(&text), [Err(refused), Err(refused), Err(refused)]);
}

#[test]
fn an_authority_that_was_renewed_under_its_name_is_told_by_its_key_id() {
    let root = root("root");
    let [old, new] = [(); 2].map(|()| intermediate("issuing", Issuer::Told, &root));
    let leaf = leaf("leaf", Issuer::Told, &new);
    let [root, old, new] = [&root, &old, &new].map(authority);
    // What the leaf's chain does not lead to comes after what it does.
    let intermediates = [new.as_str(), &old].concat();
    let expected = [leaf.clone(), intermediates, root.clone()].map(Ok);
    assert_eq!(parts(&[old, root, leaf, new].concat()), expected);
}

#[test]
fn two_authorities_that_issued_each_other_have_no_leaf() {
    let [a, b] = ["a", "b"].map(root);
    let cross = |of: &str, by: &Authority| authority(&intermediate(of, Issuer::Named, by));
    let text = [cross("a", &b), cross("b", &a)].concat();
    assert_eq!(parts(&text), [(); 3].map(|()| Err(PemError::NoLeaf)));
}

#[test]
fn what_is_no_certificate_is_named_by_its_place() {
    let fake = "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n";
    let text = [CHAIN, fake].concat();
    assert_eq!(parts(&text)[0], Err(PemError::NotACertificate(5)));
    assert_eq!(parts(pki!("leaf.key"))[0], Err(PemError::NoBlock));
}

#[test]
fn there_are_limits() {
    let long = "\n".repeat(TEXT_MAX + 1 - CHAIN.len()) + CHAIN;
    assert_eq!(filter_pem(&long, "CERTIFICATE"), Err(PemError::TooLong));
    assert_eq!(filter_pem(&long[1..], "CERTIFICATE").as_deref(), Ok(CHAIN));
    let many = CHAIN.repeat(26);
    assert_eq!(parts(&many)[0], Err(PemError::TooMany));
    assert_eq!(filter_pem(&many, "CERTIFICATE"), Ok(many));
}

#[test]
fn parts_have_the_names_that_others_give_them() {
    assert_eq!("leaf".parse(), Ok(Part::Leaf));
    assert_eq!("intermediate".parse(), Ok(Part::Intermediate));
    assert_eq!("root".parse(), Ok(Part::Root));
    assert_eq!("Leaf".parse::<Part>(), Err(PemError::NoSuchPart));
}

proptest! {
    #[test]
    fn the_order_in_the_file_does_not_matter(order in Just(links()).prop_shuffle()) {
        let links = links();
        let expected = [links[0].clone(), links[1..3].concat(), links[3].clone()].map(Ok);
        prop_assert_eq!(parts(&order.concat()), expected);
    }

    #[test]
    fn encoding_and_filtering_are_inverse(bytes: Vec<u8>) {
        let text = encode("MADE UP", &[], &bytes);
        prop_assert!(text.lines().all(|line| line.len() <= COLUMNS));
        prop_assert_eq!(&filter_pem(&text, "MADE UP")?, &text);
        prop_assert_eq!(&**blocks(&text, "MADE UP")?[0].bytes, &bytes);
    }

    #[test]
    fn any_text_is_answered(text: String, kind: String) {
        let _ = filter_pem(&text, &kind);
        let text = format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----");
        let _ = filter_pem(&text, &kind);
    }

    #[test]
    fn any_change_to_a_certificate_is_answered(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = blocks(CHAIN, CERTIFICATE)?[0].bytes.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let text = [&certificate(&bytes), CHAIN].concat();
        for part in parts(&text) {
            prop_assert!(part != Err(PemError::NoBlock));
        }
    }
}
