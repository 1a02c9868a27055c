//! What AWS calls secrets and parameters: names, ARNs, and the store's prefix in front of names.
//!
//! The prefix ends here: what is lowered holds whole names only.

use super::{Lowering, StoreFacts, StoreKind};
use crate::config::problems::{At, Place, Problem};
use crate::names::{AccountId, RemoteKey};

/// How a service calls what it keeps.
#[derive(Debug)]
struct Style {
    service: &'static str,
    /// What stands before the name in an ARN.
    resource: &'static str,
    /// Besides letters and digits.
    punctuation: &'static str,
    longest: usize,
    /// `/` separates levels, as in paths.
    hierarchy: bool,
    expected: &'static str,
    names: &'static str,
    arns: &'static str,
}

static SECRET: Style = Style {
    service: "secretsmanager",
    resource: "secret:",
    punctuation: "/_+=.@-",
    longest: 512,
    hierarchy: false,
    expected: "a secret's name or its complete ARN",
    names: "names: letters, digits and `/_+=.@-`, at most 512",
    arns: "ARNs: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
};

static PARAMETER: Style = Style {
    service: "ssm",
    resource: "parameter/",
    punctuation: ".-_/",
    longest: 1011,
    hierarchy: true,
    expected: "a parameter's name or its ARN",
    names: "names: letters, digits and `.-_/`, at most 1011, `/` before each of at most 15 levels or nowhere",
    arns: "ARNs: arn:aws:ssm:REGION:ACCOUNT:parameter/NAME",
};

/// The deepest hierarchy of parameters.
const MOST_LEVELS: usize = 15;

impl Style {
    fn of(kind: StoreKind) -> Option<&'static Self> {
        match kind {
            StoreKind::SecretsManager => Some(&SECRET),
            StoreKind::ParameterStore => Some(&PARAMETER),
            StoreKind::File | StoreKind::Unknown => None,
        }
    }

    /// Whether a text can be a part of a name.
    fn is_part(&self, text: &str) -> bool {
        let legal = |c: char| c.is_ascii_alphanumeric() || self.punctuation.contains(c);
        text.len() <= self.longest && text.chars().all(legal)
    }

    fn is_name(&self, text: &str) -> bool {
        !text.is_empty() && self.is_part(text) && (!self.hierarchy || is_in_hierarchy(text))
    }

    /// Whether it can be the name in an ARN, where a secret's has seven characters more.
    fn is_arn_name(&self, text: &str) -> bool {
        match text.char_indices().rev().nth(6) {
            Some((end, _)) if !self.hierarchy => {
                self.is_name(text) || self.is_name(&text[..end]) && self.is_part(&text[end..])
            }
            Some(_) | None => self.is_name(text),
        }
    }

    /// Whether names can begin with it.
    fn is_beginning(&self, text: &str) -> bool {
        self.is_part(text)
            && (!self.hierarchy
                || matches!(text, "" | "/")
                || match text.strip_suffix('/') {
                    Some(level) => level.starts_with('/') && is_in_hierarchy(level),
                    None => is_in_hierarchy(text),
                })
    }
}

/// A name without `/`, or with one in front of each level.
fn is_in_hierarchy(name: &str) -> bool {
    let (rooted, levels) = match name.strip_prefix('/') {
        Some(levels) => (true, levels),
        None => (false, name),
    };
    // What begins with `aws` or `ssm` can be made by AWS alone, and be read by everybody: /aws/service/...
    (rooted || !levels.contains('/'))
        && levels.split('/').count() <= MOST_LEVELS
        && levels.split('/').all(|level| !level.is_empty())
}

/// `key` of a source, behind the prefix where it is a name.
pub(super) fn key(cx: &Lowering<'_>, text: At<&str>, facts: &StoreFacts) -> Option<RemoteKey> {
    let key = cx.name("`key`", text, RemoteKey::new)?;
    let Some(style) = Style::of(facts.kind) else {
        return Some(key.value);
    };
    let neither = || {
        let message = format!("`key` must be {}", style.expected);
        let help = format!("{}; {}", style.names, style.arns);
        cx.problems
            .push(Problem::error(text.at, message).help(help));
        None
    };
    if text.value.starts_with("arn:") {
        let Some(arn) = Arn::read(text.value, style) else {
            return neither();
        };
        return arn.belongs(cx, text.at, facts).then_some(key.value);
    }
    let prefix = facts.prefix.as_deref();
    // With a prefix that is refused, the key may still become a name.
    let legal_alone = match prefix {
        Some("") => style.is_name(text.value),
        Some(_) | None => style.is_part(text.value),
    };
    if !legal_alone {
        return neither();
    }
    let whole = format!("{}{}", prefix?, text.value);
    if !style.is_name(&whole) {
        let message = "`key` behind the store's `prefix` must be a legal name";
        cx.problems
            .push(Problem::error(text.at, message).help(style.names));
        return None;
    }
    RemoteKey::new(whole).ok()
}

/// `prefix` of a store; `None` when it is refused.
pub(super) fn prefix(cx: &Lowering<'_>, text: At<&str>, kind: StoreKind) -> Option<String> {
    let style = Style::of(kind)?;
    if style.is_beginning(text.value) {
        return Some(text.value.to_owned());
    }
    cx.problems.push(
        Problem::error(text.at, "`prefix` must be what names can begin with").help(style.names),
    );
    None
}

/// `path` of a `find`, behind the prefix. Without one, all that the prefix stands before is searched; `at` is where
/// that is said.
pub(super) fn path(
    cx: &Lowering<'_>,
    text: Option<At<&str>>,
    at: Place,
    facts: &StoreFacts,
) -> Option<String> {
    if let Some(text) = text.filter(|text| text.value.is_empty()) {
        cx.problems.push(
            Problem::error(text.at, "`path` must not be empty")
                .help("leave it out to search by `name` and `tags` alone"),
        );
        return None;
    }
    let path = text.map_or("", |text| text.value);
    let Some(style) = Style::of(facts.kind) else {
        return Some(path.to_owned()).filter(|path| !path.is_empty());
    };
    let at = text.map_or(at, |text| text.at);
    if !style.is_part(path) {
        cx.problems
            .push(Problem::error(at, "`path` must be what names can begin with").help(style.names));
        return None;
    }
    let whole = format!("{}{path}", facts.prefix.as_deref()?);
    if style.hierarchy {
        return level(cx, &whole, (text.is_some(), at), facts);
    }
    if whole.len() > style.longest {
        let message = "`path` behind the store's `prefix` is longer than any name";
        cx.problems
            .push(Problem::error(at, message).help(style.names));
        return None;
    }
    Some(whole).filter(|path| !path.is_empty())
}

/// A level of the hierarchy of parameters, without `/` behind it; the root unless something else is written.
fn level(
    cx: &Lowering<'_>,
    whole: &str,
    (written, at): (bool, Place),
    facts: &StoreFacts,
) -> Option<String> {
    const HELP: &str = "such as \"/prod/app\": all parameters below it are searched";
    if matches!(whole, "" | "/") {
        return Some("/".to_owned());
    }
    let level = whole.strip_suffix('/').unwrap_or(whole);
    if level.starts_with('/') && PARAMETER.is_name(level) {
        return Some(level.to_owned());
    }
    let has_prefix = facts
        .prefix
        .as_ref()
        .is_some_and(|prefix| !prefix.is_empty());
    let message = match (written, has_prefix) {
        (true, false) => "`path` must be a level of the hierarchy, which begins with `/`",
        (true, true) => "`path` behind the store's `prefix` must be a level of the hierarchy",
        (false, _) => {
            "`find` searches below the store's `prefix`, which is no level of the hierarchy"
        }
    };
    cx.problems.push(Problem::error(at, message).help(HELP));
    None
}

/// Letters, digits and `-`, as the names of regions are.
pub(super) fn is_region(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(legal)
}

/// Whose a secret or parameter is, by its ARN.
#[derive(Debug, PartialEq, Eq)]
struct Arn<'t> {
    region: &'t str,
    account: &'t str,
}

impl<'t> Arn<'t> {
    fn read(text: &'t str, style: &Style) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let &["arn", partition, service, region, account, resource] = parts.as_slice() else {
            return None;
        };
        let name = resource.strip_prefix(style.resource)?;
        // A parameter's ARN leaves out one `/`, but only of a name in the hierarchy.
        let whole = if style.hierarchy && name.contains('/') {
            format!("/{name}")
        } else {
            name.to_owned()
        };
        let legal = partition.starts_with("aws")
            && service == style.service
            && is_region(region)
            && AccountId::new(account).is_ok()
            && style.is_arn_name(&whole);
        legal.then_some(Self { region, account })
    }

    /// Whether the store can have it; where not, that is reported.
    fn belongs(&self, cx: &Lowering<'_>, at: Place, facts: &StoreFacts) -> bool {
        let other_account = facts
            .account
            .as_ref()
            .is_some_and(|account| account.as_str() != self.account);
        let other_region = facts
            .region
            .as_ref()
            .is_some_and(|region| region != self.region);
        for (other, what) in [(other_account, "account"), (other_region, "region")] {
            if other {
                cx.problems.push(
                    Problem::error(at, format!("this ARN is of another {what} than the store"))
                        .help(format!("read it from a store of that {what}")),
                );
            }
        }
        !other_account && !other_region
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_complete() {
        let read = |text| Arn::read(text, &SECRET);
        assert_eq!(
            read("arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf"),
            Some(Arn {
                region: "us-east-1",
                account: "123456789012"
            })
        );
        for bad in [
            "arn:aws:ssm:us-east-1:123456789012:parameter/x",
            "arn:aws:secretsmanager:us-east-1:1234:secret:prod/db",
            "arn:aws:secretsmanager:US:123456789012:secret:prod/db",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:a:b",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let read = |name: &str| {
            let text = format!("arn:aws-cn:ssm:cn-north-1:123456789012:parameter/{name}");
            Arn::read(&text, &PARAMETER).is_some()
        };
        assert!(read("db") && read("prod/db") && read("aws/service/x"));
        for bad in ["", "/db", "prod//db", "a:1"] {
            assert!(!read(bad), "{bad}");
        }
    }

    #[test]
    fn parameters_are_named_by_levels() {
        let deep = |levels| "/l".repeat(levels);
        for good in ["db", "a.b-c_d", "/db", "/prod/db", "/prod/aws", &deep(15)] {
            assert!(PARAMETER.is_name(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "prod/db",
            "/prod/",
            "/prod//db",
            "/a+b",
            "é",
            &deep(16),
            &"a".repeat(1012),
        ] {
            assert!(!PARAMETER.is_name(bad), "{bad}");
        }
        for good in ["", "/", "app.", "/prod", "/prod/", "/prod/app-"] {
            assert!(PARAMETER.is_beginning(good), "{good}");
        }
        for bad in ["prod/", "//", "/prod//", "a b"] {
            assert!(!PARAMETER.is_beginning(bad), "{bad}");
        }
    }
}
