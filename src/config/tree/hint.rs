//! "Did you mean": spellings people bring along, and typing mistakes.

/// Words of External Secrets Operator, Kubernetes External Secrets and kubeconfig that are called otherwise here.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("secret_store_ref", "store"),
    ("secret_store", "store"),
    ("cluster_name", "cluster"),
    ("target", "kubernetes"),
    ("targets", "kubernetes"),
    ("files", "file"),
    ("template_from", "from"),
    ("metadata_policy", "metadata"),
    ("token", "token_file"),
    ("certificate_authority_data", "certificate_authority"),
    ("ca_bundle", "certificate_authority"),
    ("ca_provider", "certificate_authority"),
    ("endpoint", "endpoint_url"),
    ("permissions", "mode"),
    ("interval", "refresh_interval"),
    ("poller_interval", "refresh_interval"),
    ("service", "aws_secrets_manager"),
    ("role", "role_arn"),
    ("additional_roles", "role_chain"),
    ("includes", "include"),
];

/// The closest of the known names, if one is close.
pub(in crate::config) fn closest<'k>(
    text: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    // Nobody mistypes so much, and the distance takes quadratic time.
    if text.len() > 64 {
        return None;
    }
    let known: Vec<&str> = known.into_iter().collect();
    let snake = snake_case(text);
    let plain = snake.trim_end_matches("_secret_ref");
    if let Some(same) = known.iter().find(|name| **name == plain) {
        return Some(same);
    }
    let other = OTHER_WORDS
        .iter()
        .find(|(word, ours)| *word == plain && known.contains(ours));
    if let Some((_, ours)) = other {
        return known.into_iter().find(|name| name == ours);
    }
    known
        .into_iter()
        .map(|name| {
            let distance = |text| strsim::damerau_levenshtein(text, name);
            (distance(plain).min(distance(text)), name)
        })
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).clamp(1, 4))
        .min()
        .map(|(_, name)| name)
}

/// The help line for it.
pub(in crate::config) fn did_you_mean<'k>(
    text: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<String> {
    closest(text, known).map(|name| format!("did you mean `{name}`?"))
}

/// `refreshInterval`, `externalID` and `refresh-interval` as `refresh_interval`, `external_id`.
fn snake_case(text: &str) -> String {
    let mut snake = String::with_capacity(text.len() + 4);
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let small_next = rest.peek().is_some_and(char::is_ascii_lowercase);
        let word_ends = before.is_ascii_lowercase() || before.is_ascii_digit();
        if c.is_ascii_uppercase() && (word_ends || before.is_ascii_uppercase() && small_next) {
            snake.push('_');
        }
        snake.push(if c == '-' {
            '_'
        } else {
            c.to_ascii_lowercase()
        });
        before = c;
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_external_secrets_find_ours() {
        let known = [
            "refresh_interval",
            "secret_key",
            "remote_ref",
            "data_from",
            "creation_policy",
            "deletion_policy",
            "external_id",
            "access_key_id",
            "store",
            "mode",
        ];
        for (theirs, ours) in [
            ("refreshInterval", "refresh_interval"),
            ("refresh-interval", "refresh_interval"),
            ("secretKey", "secret_key"),
            ("remoteRef", "remote_ref"),
            ("dataFrom", "data_from"),
            ("creationPolicy", "creation_policy"),
            ("deletionPolicy", "deletion_policy"),
            ("externalID", "external_id"),
            ("accessKeyIDSecretRef", "access_key_id"),
            ("secretStoreRef", "store"),
            ("refesh_intreval", "refresh_interval"),
            ("stor", "store"),
        ] {
            assert_eq!(closest(theirs, known), Some(ours), "{theirs}");
        }
        assert_eq!(closest("AKIAIOSFODNN7EXAMPLE", known), None);
        assert_eq!(closest("x", known), None);
        assert_eq!(closest(&"mode".repeat(1000), known), None);
    }
}
