//! From a secret's name to a key.

use std::fmt::Write as _;

/// `conversion_strategy`: what becomes of the characters that a key cannot hold. Unlike ESO's, letters and digits are
/// those of ASCII: an API server refuses all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conversion {
    /// Each becomes `_`.
    #[default]
    Default,
    /// Each becomes `_U`, its code point in at least four hexadecimal digits, and `_`.
    Unicode,
}

impl Conversion {
    /// The word for it in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Unicode => "unicode",
        }
    }

    /// A name that holds only what a key may hold; it may still be no key (too long, `..`).
    pub fn key(self, name: &str) -> String {
        let mut key = String::with_capacity(name.len());
        for c in name.chars() {
            match self {
                _ if c.is_ascii_alphanumeric() || "-._".contains(c) => key.push(c),
                Self::Default => key.push('_'),
                Self::Unicode => {
                    write!(key, "_U{:04x}_", u32::from(c)).expect("a String takes every text");
                }
            }
        }
        key
    }
}

/// [`Conversion::Default`] of a name.
pub fn default(name: &str) -> String {
    Conversion::Default.key(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_key_cannot_hold_is_replaced() {
        for (name, default, unicode) in [
            (
                "/prod/app@x/tls.crt-1_",
                "_prod_app_x_tls.crt-1_",
                "_U002f_prod_U002f_app_U0040_x_U002f_tls.crt-1_",
            ),
            ("é 😀", "___", "_U00e9__U0020__U1f600_"),
            ("", "", ""),
        ] {
            assert_eq!(super::default(name), default);
            assert_eq!(Conversion::Unicode.key(name), unicode);
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_holds_only_what_a_key_may_and_stays_itself(name in any::<String>()) {
            for conversion in [Conversion::Default, Conversion::Unicode] {
                let key = conversion.key(&name);
                prop_assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)));
                prop_assert_eq!(conversion.key(&key), key);
            }
        }
    }
}
