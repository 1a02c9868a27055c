//! What a verdict would change in a target, by names alone: for people. Pure.

/// What is added, gets another value, and goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Delta {
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub keys: Delta,
    pub labels: Delta,
    pub annotations: Delta,
    /// What has no names.
    pub other: Option<Other>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// The content, of which no keys can be told.
    Content,
    /// The permissions of a file.
    Mode,
    /// Who owns the fields of a Secret; its values stay.
    Ownership,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        let named = [&self.keys, &self.labels, &self.annotations];
        self.other.is_none() && named.into_iter().all(Delta::is_empty)
    }
}
