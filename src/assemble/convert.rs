//! From a secret's name to a key.

/// ESO's `Default` strategy: every character that a key cannot hold becomes `_`.
pub fn default(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    name.chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_key_cannot_hold_becomes_an_underscore() {
        assert_eq!(
            super::default("/prod/app@x/tls.crt-1_"),
            "_prod_app_x_tls.crt-1_"
        );
    }
}
