//! `property` and `version`: which part of which version of a secret.

use crate::assemble::select::{NESTING_LIMIT, Refused, TEXT_LIMIT};
use crate::config::Version;
use crate::config::problems::{Place, Problem};

/// What is wrong with a property. The place only: a value may stand where its place belongs.
pub(super) fn refused(at: Place, refused: Refused) -> Problem {
    let (message, help) = match refused {
        Refused::Empty => (
            "`property` must not be empty".to_owned(),
            "leave it out for the whole value".to_owned(),
        ),
        Refused::TooLong => (
            format!("`property` must not be longer than {TEXT_LIMIT} bytes"),
            "a property says where a value is; it does not hold one".to_owned(),
        ),
        Refused::TooDeep { at } => (
            format!("`property` nests too deep, at character {at}"),
            format!("at most {NESTING_LIMIT} paths may be in one another; join steps by `.` or `|` instead"),
        ),
        Refused::Unclosed { at } => (
            format!("`property` has a bracket or a quote without an end, at character {at}"),
            "close it, or put `\\` before it where it belongs to a key".to_owned(),
        ),
        Refused::Modifier { at } => (
            format!("`property` has no known modifier behind `@`, at character {at}"),
            format!(
                "modifiers are {MODIFIERS}; where `@` belongs to a key, put `\\` before it"
            ),
        ),
        Refused::Argument { at } => (
            format!("`property` has an argument that its modifier does not take, at character {at}"),
            r#"arguments are objects such as {"deep":true} of @flatten, {"preserve":true} of @join, and {"indent":" ","width":80} of @pretty"#.to_owned(),
        ),
        Refused::Query { at } => (
            format!("`property` has a query that cannot be read, at character {at}"),
            r#"queries are #(key), #(key=="value") and their kin with = != < <= > >= % !%, and ~true, ~false, ~null or ~* as the value"#.to_owned(),
        ),
        Refused::Literal { at } => (
            format!("`property` has no valid JSON behind `!`, at character {at}"),
            "where `!` belongs to a key, put `\\` before it".to_owned(),
        ),
        Refused::Trailing { at } => (
            format!("`property` has text behind a closing bracket or quote, at character {at}"),
            "go on with `.` or `|`".to_owned(),
        ),
    };
    Problem::error(at, message).help(help)
}

const MODIFIERS: &str = "@this, @valid, @pretty, @ugly, @reverse, @flatten, @join, @keys, @values, @tostr, @fromstr, @group and @dig";

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
