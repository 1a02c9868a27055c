//! What an entry left behind, as the brake and the pruning know it, and as a restart remembers it.

use std::fmt;
use std::path::PathBuf;

use crate::names::EntryName;
use crate::report::TargetKind;
use crate::state::{LeftBehind, LeftTarget, SecretId, SecretPart};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    Secret(SecretPart),
    /// Of a file there are no parts: who wrote it last counts.
    File(PathBuf, EntryName),
}

impl Left {
    pub(super) fn of(left: LeftBehind) -> Self {
        match left.target {
            LeftTarget::File(path) => Self::File(path, left.entry),
            LeftTarget::Secret(id) => Self::Secret(SecretPart {
                id,
                entry: left.entry,
            }),
        }
    }

    pub(super) fn entry(&self) -> &EntryName {
        match self {
            Self::Secret(part) => &part.entry,
            Self::File(_, entry) => entry,
        }
    }

    pub(super) fn kind(&self) -> TargetKind {
        match self {
            Self::Secret(_) => TargetKind::Kubernetes,
            Self::File(..) => TargetKind::File,
        }
    }

    /// As it is remembered: target and entry. A path that is no text is not.
    pub(super) fn to_texts(&self) -> Option<(String, String)> {
        let target = match self {
            Self::Secret(part) => part.id.to_string(),
            Self::File(path, _) => path.to_str()?.to_owned(),
        };
        Some((target, self.entry().to_string()))
    }

    pub(super) fn from_texts(kind: TargetKind, target: &str, entry: &str) -> Option<Self> {
        let entry = EntryName::new(entry).ok()?;
        Some(match kind {
            TargetKind::Kubernetes => {
                let id = SecretId::parse(target)?;
                Self::Secret(SecretPart { id, entry })
            }
            TargetKind::File => Self::File(target.into(), entry),
        })
    }
}

/// The target alone.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(part) => part.id.fmt(f),
            Self::File(path, _) => path.display().fmt(f),
        }
    }
}
