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
    /// The permission bits of a file.
    pub mode: Option<Became>,
    /// The user that owns a file, by number.
    pub owner: Option<Became>,
    /// What has no names.
    pub other: Option<Other>,
}

/// What something is, and what it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Became {
    pub from: u32,
    pub to: u32,
}

impl Became {
    /// `None` where it stays as it is.
    pub fn new(from: u32, to: u32) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// The content, of which no keys can be told.
    Content,
    /// The permissions of a file beside its mode.
    Mode,
    /// Who owns the fields of a Secret; its values stay.
    Ownership,
    /// Whose a file is that is as it should be.
    Keeper,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        let named = [&self.keys, &self.labels, &self.annotations];
        let others = self.other.is_some() || self.mode.is_some() || self.owner.is_some();
        !others && named.into_iter().all(Delta::is_empty)
    }
}
