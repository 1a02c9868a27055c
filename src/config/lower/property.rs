//! `property` and `version`: which part of which version of a secret.

use crate::config::{Property, Version};

/// A property, or why it is none.
pub(super) fn property(text: &str) -> Result<Property, Refused> {
    if text.is_empty() {
        return Err(Refused::Empty);
    }
    let mut path = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let step = path.last_mut().expect("a path begins with one step");
        match c {
            '\\' => step.push(characters.next().unwrap_or('\\')),
            '.' => path.push(String::new()),
            '#' | '*' | '?' | '|' | '@' | '!' | '{' | '[' | '(' => return Err(Refused::Query),
            c => step.push(c),
        }
    }
    Ok(Property {
        literal: text.to_owned(),
        path,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Empty,
    /// More than keys and indexes.
    Query,
}

/// A version: `uuid/` or a bare UUID names it by id, anything else by stage.
pub(super) fn version(text: &str) -> Option<Version> {
    if text == "AWSCURRENT" {
        return Some(Version::Current);
    }
    let id = match text.strip_prefix("uuid/") {
        Some(id) => Some(id),
        None => is_uuid(text).then_some(text),
    };
    if let Some(id) = id {
        let legal = (32..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        return legal.then(|| Version::Id(id.to_owned()));
    }
    let legal = (1..=256).contains(&text.len()) && !text.chars().any(char::is_control);
    legal.then(|| Version::Stage(text.to_owned()))
}

/// A version of a parameter: a number, else a label.
pub(super) fn parameter_version(text: &str) -> Option<Version> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse::<u64>().ok().filter(|number| *number > 0)?;
        return Some(Version::Id(number.to_string()));
    }
    let begins = text.get(..3).unwrap_or(text);
    let legal = text.len() <= 100
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !begins.eq_ignore_ascii_case("aws")
        && !begins.eq_ignore_ascii_case("ssm")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    legal.then(|| Version::Stage(text.to_owned()))
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == lengths.len()
        && groups
            .iter()
            .zip(lengths)
            .all(|(group, n)| group.len() == n && group.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_at_dots_that_are_not_escaped() {
        let path = |text| property(text).unwrap().path;
        assert_eq!(path("a"), ["a"]);
        assert_eq!(path("a.b.0"), ["a", "b", "0"]);
        assert_eq!(path(r"tls\.crt.x"), ["tls.crt", "x"]);
        assert_eq!(path(r"a\\.b"), [r"a\", "b"]);
        assert_eq!(path(r"user\@host"), ["user@host"]);
        assert_eq!(path("end\\"), ["end\\"]);
        assert_eq!(property(r"tls\.crt").unwrap().literal, r"tls\.crt");
    }

    #[test]
    fn queries_are_refused() {
        for query in [
            "a.#", "a.*", "a?", "a|b", "@this", "!x", "{a,b}", "[a]", "#(a==1)", "a(b",
        ] {
            assert_eq!(property(query), Err(Refused::Query), "{query}");
        }
        assert_eq!(property(""), Err(Refused::Empty));
    }

    #[test]
    fn versions_are_ids_or_stages() {
        let uuid = "01234567-89ab-cdef-0123-456789ABCDEF";
        assert_eq!(version("AWSCURRENT"), Some(Version::Current));
        assert_eq!(
            version("AWSPREVIOUS"),
            Some(Version::Stage("AWSPREVIOUS".into()))
        );
        assert_eq!(version(uuid), Some(Version::Id(uuid.into())));
        assert_eq!(
            version(&format!("uuid/{uuid}")),
            Some(Version::Id(uuid.into()))
        );
        assert_eq!(version("uuid/short"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn versions_of_parameters_are_numbers_or_labels() {
        assert_eq!(parameter_version("12"), Some(Version::Id("12".into())));
        assert_eq!(parameter_version("007"), Some(Version::Id("7".into())));
        assert_eq!(
            parameter_version("prod.v-1_x"),
            Some(Version::Stage("prod.v-1_x".into()))
        );
        for bad in [
            "",
            "0",
            "+1",
            "1x",
            "AWSCURRENT",
            "Ssm1",
            "a b",
            "uuid/01234567-89ab-cdef-0123-456789abcdef",
            "99999999999999999999999",
            &"a".repeat(101),
        ] {
            assert_eq!(parameter_version(bad), None, "{bad}");
        }
    }
}
