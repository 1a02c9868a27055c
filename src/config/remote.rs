//! What an entry reads: one value, its metadata, or everything that matches.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};

use regex::{Regex, RegexBuilder};

use crate::assemble::bulk::Shape;
use crate::assemble::decode::Decoding;
use crate::assemble::select::Property;
use crate::names::{RemoteKey, SecretKey, StoreName};

/// One item of `data`: one key of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataItem {
    pub secret_key: SecretKey,
    pub store: StoreName,
    pub source: Source,
    /// Absent: the whole value.
    pub property: Option<Property>,
    pub decoding: Decoding,
    pub on_missing: OnMissing,
}

/// What becomes of an entry when one of its sources is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnMissing {
    /// Everything stays as it is, and the entry fails.
    #[default]
    Fail,
    /// The rest is delivered, beside the value that the target holds.
    KeepLast,
    /// Once it is certain, the rest is delivered without it.
    Drop,
}

/// One item of `data_from`: any number of keys of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFrom {
    pub store: StoreName,
    pub bulk: BulkSource,
    pub shape: Shape,
    pub on_missing: OnMissing,
}

/// Where the keys of an item of `data_from` come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkSource {
    /// The members of one JSON object.
    Extract {
        source: Source,
        /// Where in the value the object is. Absent: the whole value.
        property: Option<Property>,
    },
    /// Whole secrets, named as they are called.
    Find(Find),
}

impl DataFrom {
    pub fn source(&self) -> Source {
        match &self.bulk {
            BulkSource::Extract { source, .. } => source.clone(),
            BulkSource::Find(find) => Source::Find(Box::new(find.clone())),
        }
    }
}

/// One question to a store. Equal questions are one read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Value {
        key: RemoteKey,
        version: Version,
    },
    /// The tags, as one JSON object.
    Metadata {
        key: RemoteKey,
    },
    /// Few ask this, and it has much to say.
    Find(Box<Find>),
}

/// Which secrets belong to it. All that is given must hold; nothing given matches nothing and is refused at load.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Find {
    /// Secrets Manager: what names begin with. Parameter Store: the level of the hierarchy below which they are.
    pub path: Option<String>,
    pub name: Option<NamePattern>,
    /// Only these whole names.
    pub keys: Option<BTreeSet<String>>,
    /// Each tag of it must be there with exactly that value.
    pub tags: BTreeMap<String, String>,
}

impl Find {
    /// Whether a name is one of those that are asked for.
    pub fn names(&self, name: &str) -> bool {
        let pattern = self.name.as_ref();
        pattern.is_none_or(|pattern| pattern.matches(name))
            && self.keys.as_ref().is_none_or(|keys| keys.contains(name))
    }
}

/// Which version of a secret. The current one unless the configuration says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `AWSCURRENT`; the latest of a parameter.
    Current,
    /// A stage; a label of a parameter.
    Stage(String),
    /// An id; a number of a parameter.
    Id(String),
}

/// A regular expression over names: unanchored, in linear time.
#[derive(Clone, Debug)]
pub struct NamePattern(Regex);

impl NamePattern {
    /// What one compiled expression may take.
    const SIZE_LIMIT: usize = 1 << 20;

    /// `None` where it is no regular expression, or too large a one.
    pub fn new(text: &str) -> Option<Self> {
        RegexBuilder::new(text)
            .size_limit(Self::SIZE_LIMIT)
            .build()
            .ok()
            .map(Self)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for NamePattern {}

impl PartialOrd for NamePattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NamePattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for NamePattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { key, .. } => write!(f, "{key}"),
            Self::Metadata { key } => write!(f, "the tags of {key}"),
            Self::Find(find) => write!(f, "{find}"),
        }
    }
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("find")?;
        if let Some(path) = &self.path {
            write!(f, " path {path}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " name {}", name.as_str())?;
        }
        for (key, value) in &self.tags {
            write!(f, " tag {key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_unanchored_and_bounded() {
        let pattern = NamePattern::new("app/[a-z]+").unwrap();
        assert!(pattern.matches("prod/app/x1") && !pattern.matches("prod/app/1"));
        assert!(NamePattern::new("(").is_none());
        assert!(NamePattern::new("(a{1000}){1000}").is_none());
    }
}
