use super::*;

const TABLES: [&str; 3] = ["files", "file", "sfiles"];
const KEYS: [&[u8]; 3] = [b"/etc/a", b"/etc/a\0", b"a"];

fn checksum(key: u8) -> Checksum {
    Checksum::new(&FingerprintKey::new([key; 32]))
}

#[test]
fn a_row_is_accepted_only_under_its_own_table_and_key() {
    let (checksum, other) = (checksum(1), checksum(2));
    for (table, key) in TABLES.iter().flat_map(|table| KEYS.map(|key| (table, key))) {
        let (tag, row) = checksum.seal(table, key, b"record");
        for (at, under) in TABLES.iter().flat_map(|table| KEYS.map(|key| (table, key))) {
            let unsealed = checksum.unseal(at, under, &row);
            if (at, under) == (table, key) {
                assert_eq!(unsealed.unwrap(), (tag, b"record".as_slice()));
            } else {
                assert!(unsealed.is_err(), "{table} {key:?} as {at} {under:?}");
            }
        }
        assert!(other.unseal(table, key, &row).is_err(), "another key");
    }
}

#[test]
fn every_bit_and_every_length_of_a_row_counts() {
    let checksum = checksum(1);
    let (_, row) = checksum.seal("files", b"/a", b"record");
    for bit in 0..row.len() * 8 {
        let mut flipped = row.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(checksum.unseal("files", b"/a", &flipped).is_err(), "{bit}");
    }
    for length in 0..row.len() {
        assert!(checksum.unseal("files", b"/a", &row[..length]).is_err());
    }
    let longer = [row.as_slice(), b"\0"].concat();
    assert!(checksum.unseal("files", b"/a", &longer).is_err());
}

#[test]
fn a_sum_depends_on_what_is_in_it_and_not_on_the_way_there() {
    let checksum = checksum(1);
    let [a, b, c] = [&b"a"[..], b"b", b"c"].map(|key| checksum.seal("files", key, b"").0);
    let sum = |tags: &[Tag]| {
        let mut sum = Sum::default();
        for tag in tags {
            sum.toggle(*tag);
        }
        sum
    };
    assert_eq!(sum(&[a, b]), sum(&[c, b, a, c]));
    assert_ne!(sum(&[a, b]), sum(&[a]));
    assert_ne!(sum(&[a, b]), sum(&[a, b, c]));
    assert_eq!(Sum::from_bytes(sum(&[a]).as_bytes()).unwrap(), sum(&[a]));
    assert!(Sum::from_bytes(&[0; 31]).is_err());
}
