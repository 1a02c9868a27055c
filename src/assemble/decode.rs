//! `decoding_strategy`: how a value was encoded before it was stored.
//!
//! Base64 as Go's `encoding/base64` reads it, which ESO uses: padding is required, line breaks are passed over wherever
//! they stand, no other white space is, and the bits that a last symbol has to spare may be anything.

use std::fmt;
use std::mem;

use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, DecodeSliceError, Engine as _};
use zeroize::Zeroizing;

use crate::secret::SecretBytes;

const AS_GO: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, AS_GO);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, AS_GO);

/// How values are decoded before they are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decoding {
    #[default]
    None,
    /// RFC 4648, section 4.
    Base64,
    /// RFC 4648, section 5: `-` and `_` in place of `+` and `/`.
    Base64Url,
    /// Whichever of the two fits, else the value as it is. Dangerous: many values that nobody encoded fit by chance.
    /// `true`, `1234` and `happy/street` are valid base64, and come out as other bytes.
    Auto,
}

/// Why a value is not what its strategy says. Tells a place and nothing of what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// The character at this place, counted from 1, cannot stand there.
    Character { at: usize },
    /// The value ends early: symbols or the padding (`=`) are missing after this many characters.
    Incomplete { after: usize },
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { at } => write!(f, "character {at} cannot stand there"),
            Self::Incomplete { after } => {
                write!(
                    f,
                    "it ends early or without its padding, after {after} characters"
                )
            }
        }
    }
}

impl Decoding {
    /// The word for it in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Auto => "auto",
        }
    }

    pub fn decode(self, value: SecretBytes) -> Result<SecretBytes, Undecodable> {
        match self {
            Self::None => Ok(value),
            Self::Base64 => decoded(&BASE64, &value),
            Self::Base64Url => decoded(&BASE64URL, &value),
            Self::Auto => Ok(decoded(&BASE64, &value)
                .or_else(|_| decoded(&BASE64URL, &value))
                .unwrap_or(value)),
        }
    }
}

fn decoded(engine: &GeneralPurpose, value: &SecretBytes) -> Result<SecretBytes, Undecodable> {
    let is_symbol = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    // Neither buffer grows, so no copy of a value is left behind; both are wiped, on the way of an error too.
    let mut symbols = Zeroizing::new(Vec::with_capacity(value.len()));
    symbols.extend(value.expose().iter().copied().filter(is_symbol));
    let room = base64::decoded_len_estimate(symbols.len());
    let mut bytes = Zeroizing::new(vec![0; room]);
    match engine.decode_slice(symbols.as_slice(), &mut bytes) {
        Ok(length) => {
            bytes.truncate(length);
            Ok(SecretBytes::new(mem::take(&mut *bytes)))
        }
        Err(DecodeSliceError::DecodeError(
            DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol { offset, .. },
        )) => {
            let mut places = (1..)
                .zip(value.expose())
                .filter(|(_, byte)| is_symbol(byte));
            let at = places.nth(offset).map_or(value.len(), |(at, _)| at);
            Err(Undecodable::Character { at })
        }
        Err(
            DecodeSliceError::DecodeError(
                DecodeError::InvalidLength(_) | DecodeError::InvalidPadding,
            )
            | DecodeSliceError::OutputSliceTooSmall,
        ) => Err(Undecodable::Incomplete { after: value.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(decoding: Decoding, text: &[u8]) -> Result<Vec<u8>, Undecodable> {
        decoding
            .decode(SecretBytes::new(text.to_vec()))
            .map(|value| value.expose().to_vec())
    }

    #[test]
    fn a_place_is_that_of_the_value_as_it_was_stored() {
        for (text, at) in [
            ("a b=", 2),
            ("aGVs\r\nbG8*", 10),
            ("é", 1),
            ("====", 1),
            ("YQ==YQ==", 3),
            ("AAA_", 4),
        ] {
            assert_eq!(
                decode(Decoding::Base64, text.as_bytes()),
                Err(Undecodable::Character { at }),
                "{text}"
            );
        }
        for text in ["a", "aG", "aGVsbG8", "aG\n"] {
            assert_eq!(
                decode(Decoding::Base64, text.as_bytes()),
                Err(Undecodable::Incomplete { after: text.len() }),
                "{text}"
            );
        }
    }

    #[test]
    fn none_is_the_default_and_changes_nothing() {
        assert_eq!(decode(Decoding::default(), b"aGk=").unwrap(), b"aGk=");
    }

    /// Line breaks at the given places, as mail programs and `base64` put them.
    fn broken(text: &str, at: &[usize]) -> String {
        let mut text = text.to_owned();
        for at in at {
            let at = at % (text.len() + 1);
            text.insert_str(at, if at.is_multiple_of(2) { "\n" } else { "\r\n" });
        }
        text
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(bytes: Vec<u8>, breaks in prop::collection::vec(0..200_usize, 0..4)) {
            for (decoding, engine) in [(Decoding::Base64, &BASE64), (Decoding::Base64Url, &BASE64URL)] {
                let text = broken(&engine.encode(&bytes), &breaks);
                prop_assert_eq!(decode(decoding, text.as_bytes()), Ok(bytes.clone()));
            }
            let text = broken(&BASE64.encode(&bytes), &breaks);
            prop_assert_eq!(decode(Decoding::Auto, text.as_bytes()), Ok(bytes));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_at_a_place_inside(bytes: Vec<u8>, text in "[A-Za-z0-9+/_=\r\n -]{0,24}") {
            for value in [bytes.as_slice(), text.as_bytes()] {
                for decoding in [Decoding::Base64, Decoding::Base64Url] {
                    match decode(decoding, value) {
                        Ok(_) => {}
                        Err(Undecodable::Character { at }) => {
                            prop_assert!((1..=value.len()).contains(&at));
                            prop_assert!(!matches!(value[at - 1], b'\r' | b'\n'));
                        }
                        Err(Undecodable::Incomplete { after }) => prop_assert_eq!(after, value.len()),
                    }
                }
                prop_assert!(decode(Decoding::Auto, value).is_ok());
            }
        }
    }
}
