//! Label selectors as kubectl reads them: `team=payments,tier in (web,api),!legacy`.
//!
//! Pure. A selector is kept by its meaning: `a==b` and `a in (b)` are `a=b`, and the order of what is asked for is lost.
//! `>` and `<`, which kubectl has only for nodes, are deliberately absent.

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use self::parse::Mistake;
use crate::names::{LabelValue, MetadataKey, Namespace};

/// The label that every namespace has; its value is the namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What labels must be like. All of it holds at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(BTreeSet<Requirement>);

/// What one label must be like.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Requirement {
    key: MetadataKey,
    must: Must,
}

/// As in Kubernetes, a label that is not there is none of any values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Must {
    BeOneOf(BTreeSet<LabelValue>),
    BeNoneOf(BTreeSet<LabelValue>),
    Exist,
    NotExist,
}

impl Selector {
    /// Text that asks for nothing is refused: it would mean everything.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        parse::parse(text).map(Self)
    }

    /// Asks for nothing; no text means it.
    pub fn everything() -> Self {
        Self(BTreeSet::new())
    }

    /// Only this namespace.
    pub fn named(namespace: &Namespace) -> Self {
        let key = MetadataKey::new(NAME_LABEL).expect("this is a legal label key");
        let name = LabelValue::new(namespace.as_str())
            .expect("the name of a namespace is a legal label value");
        let must = Must::BeOneOf([name].into());
        Self([Requirement { key, must }].into())
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut requirements = self.0.iter();
        requirements.all(|it| {
            let value = labels.get(it.key.as_str());
            it.must.holds(value.map(String::as_str))
        })
    }

    /// Whether any labels at all match it.
    pub fn may_match(&self) -> bool {
        let keys: BTreeSet<&MetadataKey> = self.0.iter().map(|it| &it.key).collect();
        keys.into_iter().all(|key| {
            let of_key = self.0.iter().filter(|it| it.key == *key);
            can_hold(&of_key.map(|it| &it.must).collect::<Vec<_>>())
        })
    }

    /// Whether any labels match both.
    pub fn may_meet(&self, other: &Self) -> bool {
        Self(self.0.union(&other.0).cloned().collect()).may_match()
    }
}

impl Must {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::BeOneOf(values) => value.is_some_and(|value| values.contains(value)),
            Self::BeNoneOf(values) => value.is_none_or(|value| !values.contains(value)),
            Self::Exist => value.is_some(),
            Self::NotExist => value.is_none(),
        }
    }
}

/// Whether some value of one label, or its absence, is all of that. There are always more values than are refused.
fn can_hold(all: &[&Must]) -> bool {
    let holds = |value: Option<&str>| all.iter().all(|must| must.holds(value));
    let listed = all.iter().find_map(|must| match must {
        Must::BeOneOf(values) => Some(values),
        Must::BeNoneOf(_) | Must::Exist | Must::NotExist => None,
    });
    match listed {
        Some(values) => values.iter().any(|value| holds(Some(value.as_str()))),
        None => holds(None) || !all.contains(&&Must::NotExist),
    }
}

/// As kubectl reads it, and as the API takes it.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let (sign, word, values) = match &self.must {
            Must::Exist => return write!(f, "{key}"),
            Must::NotExist => return write!(f, "!{key}"),
            Must::BeOneOf(values) => ("=", "in", values),
            Must::BeNoneOf(values) => ("!=", "notin", values),
        };
        let all: Vec<&str> = values.iter().map(LabelValue::as_str).collect();
        match all[..] {
            [one] => write!(f, "{key}{sign}{one}"),
            _ => write!(f, "{key} {word} ({})", all.join(",")),
        }
    }
}

#[cfg(test)]
mod tests;
