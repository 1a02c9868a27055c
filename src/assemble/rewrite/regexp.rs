//! `rewrite.regexp`: every match of a pattern in a name is replaced.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::MAX_NAME;

/// A pattern and what replaces each of its matches, both checked. As in Go, an empty match right behind another match
/// does not count: `(.*)` to `x$1` puts one `x`. Unlike in Go, `\d`, `\w`, `\s` and `\b` know all of Unicode.
#[derive(Clone, Debug)]
pub struct Regexp {
    source: Regex,
    target: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// What a group of the match holds; nothing where the group took no part.
    Group(usize),
}

/// Why a pair of `source` and `target` can replace nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRegexp {
    /// `source` is no regular expression.
    Syntax,
    /// `source` compiles to more than this program holds.
    TooLarge,
    /// `target` refers to a group that `source` does not have.
    NoGroup {
        /// Without `$` and braces.
        reference: String,
        /// What is meant, probably: `$1_x` is the group named `1_x`.
        instead: Option<String>,
    },
    /// In `target`, a `$` that begins no reference, at this character, counted from 1.
    Dollar { at: usize },
}

impl BadRegexp {
    /// Whether `target` is what has to be corrected.
    pub fn is_about_target(&self) -> bool {
        match self {
            Self::Syntax | Self::TooLarge => false,
            Self::NoGroup { .. } | Self::Dollar { .. } => true,
        }
    }
}

impl fmt::Display for BadRegexp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("`source` must be a regular expression (RE2's syntax)"),
            Self::TooLarge => f.write_str("`source` is too large a regular expression"),
            Self::NoGroup { reference, instead } => {
                write!(f, "`source` has no group `{reference}`")?;
                match instead {
                    Some(instead) => write!(
                        f,
                        ": letters, digits and `_` behind a `$` are all the group's name; write `{instead}`"
                    ),
                    None => Ok(()),
                }
            }
            Self::Dollar { at } => write!(
                f,
                "the `$` at character {at} of `target` refers to no group; write `$$` for a dollar sign"
            ),
        }
    }
}

impl std::error::Error for BadRegexp {}

impl Regexp {
    /// What one compiled expression may take: as much as one of `find`.
    const SIZE_LIMIT: usize = 1 << 20;

    /// `target` may hold `$1`, `$name`, `${1}`, `${name}`, `$0` (the whole match) and `$$` (a dollar sign). Where Go puts
    /// nothing for a group that does not exist, this is an error.
    pub fn new(source: &str, target: &str) -> Result<Self, BadRegexp> {
        let source = RegexBuilder::new(source)
            .size_limit(Self::SIZE_LIMIT)
            .build()
            .map_err(|error| {
                if matches!(error, regex::Error::CompiledTooBig(_)) {
                    BadRegexp::TooLarge
                } else {
                    BadRegexp::Syntax
                }
            })?;
        Ok(Self {
            parts: parts(&source, target)?,
            source,
            target: target.to_owned(),
        })
    }

    pub fn source(&self) -> &str {
        self.source.as_str()
    }

    pub fn target(&self) -> &str {
        &self.target
    }

    /// The name with every match replaced. Stops where it becomes longer than [`MAX_NAME`]; the caller refuses that.
    pub(super) fn rename(&self, name: &str) -> String {
        let mut renamed = String::with_capacity(name.len());
        let mut done = 0;
        for groups in self.source.captures_iter(name) {
            let whole = groups.get_match();
            renamed.push_str(&name[done..whole.start()]);
            for part in &self.parts {
                renamed.push_str(match part {
                    Part::Text(text) => text,
                    Part::Group(group) => groups.get(*group).map_or("", |group| group.as_str()),
                });
            }
            done = whole.end();
            if renamed.len() > MAX_NAME {
                return renamed;
            }
        }
        renamed.push_str(&name[done..]);
        renamed
    }
}

/// Equal when they are written equally.
impl PartialEq for Regexp {
    fn eq(&self, other: &Self) -> bool {
        (self.source(), self.target()) == (other.source(), other.target())
    }
}

impl Eq for Regexp {}

/// `target`, its references resolved.
fn parts(source: &Regex, target: &str) -> Result<Vec<Part>, BadRegexp> {
    let mut parts = Vec::new();
    let mut rest = target;
    while let Some((text, behind)) = rest.split_once('$') {
        parts.push(Part::Text(text.to_owned()));
        if let Some(behind) = behind.strip_prefix('$') {
            parts.push(Part::Text("$".to_owned()));
            rest = behind;
            continue;
        }
        let (reference, behind) = reference(behind).ok_or_else(|| {
            let before = &target[..target.len() - behind.len()];
            BadRegexp::Dollar {
                at: before.chars().count(),
            }
        })?;
        parts.push(Part::Group(group(source, reference)?));
        rest = behind;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

/// The reference that stands behind a `$`, and what is behind it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (reference, behind) = if let Some(braced) = text.strip_prefix('{') {
        braced.split_once('}')?
    } else {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        text.split_at(text.find(|c| !word(c)).unwrap_or(text.len()))
    };
    (!reference.is_empty()).then_some((reference, behind))
}

fn group(source: &Regex, reference: &str) -> Result<usize, BadRegexp> {
    let digits = reference.bytes().take_while(u8::is_ascii_digit).count();
    let (number, behind) = reference.split_at(digits);
    let named = || {
        source
            .capture_names()
            .position(|name| name == Some(reference))
    };
    let numbered = || {
        // As in Go, `01` is a name.
        let plain = behind.is_empty() && (number == "0" || !number.starts_with('0'));
        let group: usize = plain.then(|| number.parse().ok()).flatten()?;
        (group < source.captures_len()).then_some(group)
    };
    numbered().or_else(named).ok_or_else(|| BadRegexp::NoGroup {
        reference: reference.to_owned(),
        instead: (!number.is_empty() && !behind.is_empty())
            .then(|| format!("${{{number}}}{behind}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rename(source: &str, target: &str, name: &str) -> String {
        Regexp::new(source, target).unwrap().rename(name)
    }

    #[test]
    fn names_become_what_go_makes_of_them() {
        for (source, target, name, expected) in [
            ("^prod/app/(.*)$", "$1", "prod/app/db", "db"),
            ("^prod/app/(.*)$", "$1", "test/app/db", "test/app/db"),
            ("/", "_", "a/b/c", "a_b_c"),
            ("(?P<x>a)(b)?", "<${x}|$2|$0>", "ab-a", "<a|b|ab>-<a||a>"),
            ("(?P<x>a)", "$x-${x}_1$$1", "a", "a-a_1$1"),
            ("(a)", "${1}_x", "a", "a_x"),
            ("x*", "-", "abc", "-a-b-c-"),
            ("a*", "x", "baaac", "xbxcx"),
            ("(.*)", "x$1", "abc", "xabc"),
            ("^", "APP_", "a", "APP_a"),
            (".+", "", "a", ""),
        ] {
            assert_eq!(rename(source, target, name), expected, "{source} {target}");
        }
    }

    #[test]
    fn what_could_only_surprise_is_refused_before_it_runs() {
        let refused = |source, target| Regexp::new(source, target).unwrap_err();
        assert_eq!(refused("(", ""), BadRegexp::Syntax);
        assert_eq!(refused("(a{1000}){1000}", ""), BadRegexp::TooLarge);
        for (target, reference) in [
            ("$2", "2"),
            ("${x}", "x"),
            ("$01", "01"),
            ("$99999999999999999999", "99999999999999999999"),
        ] {
            let expected = BadRegexp::NoGroup {
                reference: reference.to_owned(),
                instead: None,
            };
            assert_eq!(refused("(a)", target), expected);
        }
        for (target, at) in [("a$", 2), ("é$-", 2), ("${1", 1), ("$1${}", 3)] {
            assert_eq!(refused("(a)", target), BadRegexp::Dollar { at }, "{target}");
        }
        assert_eq!(
            refused("(a)", "$1_x").to_string(),
            "`source` has no group `1_x`: letters, digits and `_` behind a `$` are all the group's name; write `${1}_x`"
        );
    }

    #[test]
    fn a_name_stops_growing() {
        let grown = rename("a", &"b".repeat(1000), &"a".repeat(2000));
        assert!(grown.len() > MAX_NAME && grown.len() <= MAX_NAME + 1000);
    }

    proptest! {
        #[test]
        fn a_match_that_is_put_back_changes_nothing(name in any::<String>()) {
            prop_assume!(name.len() <= MAX_NAME);
            prop_assert_eq!(&rename("(.*)", "$1", &name), &name);
            prop_assert_eq!(&rename("(?s)(?P<all>.)", "${all}", &name), &name);
        }

        #[test]
        fn any_target_is_refused_or_replaces(target in r"[a$ {}1_]{0,12}", name in "[ab]{0,8}") {
            if let Ok(regexp) = Regexp::new("(a)(?P<a1>b)?", &target) {
                regexp.rename(&name);
            }
        }
    }
}
