//! The only judge: from what was observed, what was delivered and what is wanted, what may be done.
//!
//! Pure: no I/O, no clock, not async. `sync` asks it before every write.

pub mod brake;
pub mod change;
pub mod changes;
pub mod contested;
pub mod directory;
#[cfg(test)]
mod exploration;
pub mod file;
pub mod found;
pub mod kubernetes;
pub mod missing;
pub mod rivals;
#[cfg(test)]
mod samples;
pub mod state;

/// What a verdict does to a target, or what an apply did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Unchanged,
    Created,
    /// New content from the source.
    Updated,
    /// The same content put back after somebody else changed or removed it.
    Repaired(Drift),
    /// The target is away: each of its sources is gone, and its policy says so.
    Deleted,
    /// The same, and it was away already.
    Away,
}

/// How a target differs from what was delivered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drift {
    Missing,
    Content,
    /// Mode of a file; labels, annotations of a Secret.
    Metadata,
}

impl Drift {
    pub const ALL: &[Drift] = &[Drift::Missing, Drift::Content, Drift::Metadata];

    /// The word for it in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Content => "content",
            Self::Metadata => "metadata",
        }
    }
}
