//! What went wrong with the ledger, without redb's own words.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::failure::{Failure, Reason};
use crate::state::OpenError;
use crate::state::directory::{Directory, LEDGER_FILE, failed};
use crate::state::record::Unreadable;

#[derive(Clone, Debug)]
pub(super) enum LedgerError {
    /// What stands in its place is no file of ours, or the system does not hand it out.
    Unusable(Failure),
    /// Another process has the file.
    Held,
    /// Not a file of redb, or not a whole one.
    Damaged,
    /// Whole, but not written by us under this fingerprint key.
    Foreign,
    /// Written by a later release.
    Newer,
    System(Option<i32>),
    Refused,
    Panicked,
}

/// Where redb meets damage that it does not expect, it panics. The hook has said where; nothing is read of the payload.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(LedgerError::Panicked))
}

impl LedgerError {
    /// What was found, where that is a reason to begin anew. Nothing that may pass by itself is, and nothing that
    /// another release can read.
    pub(super) fn is_damage(&self) -> Option<&'static str> {
        match self {
            Self::Damaged | Self::Panicked => Some("is damaged or not a ledger"),
            Self::Foreign => Some(
                "holds what was not written under this fingerprint key, or is not as it was written",
            ),
            Self::Unusable(_) | Self::Held | Self::Newer | Self::System(_) | Self::Refused => None,
        }
    }

    pub(super) fn at(self, directory: &Directory) -> Failure {
        let path = directory.path_of(LEDGER_FILE);
        let shown = path.display();
        let again = "start secretsyncd again: it puts the ledger aside and begins an empty one";
        match self {
            Self::Unusable(failure) => failure,
            Self::Damaged => {
                Failure::new(Reason::Io, format!("the ledger {shown} is damaged")).with_help(again)
            }
            Self::Foreign => Failure::new(
                Reason::Io,
                format!("the ledger {shown} is not the one that was opened"),
            )
            .with_help(again),
            Self::Newer => Failure::new(
                Reason::Io,
                format!("the ledger {shown} was written by a later version of secretsyncd"),
            )
            .with_help("run that version, or restore the ledger from before the upgrade"),
            Self::System(code) => failed(&path, "cannot be used", code),
            Self::Held => failed(&path, "is in use by another process", None),
            Self::Refused => failed(&path, "cannot be written", None),
            Self::Panicked => {
                Failure::new(Reason::Panic, format!("using the ledger {shown} panicked"))
            }
        }
    }

    pub(super) fn on_open(self, directory: &Directory) -> OpenError {
        match self {
            Self::Held => OpenError::HeldByAnother(None),
            Self::Unusable(_)
            | Self::Damaged
            | Self::Foreign
            | Self::Newer
            | Self::System(_)
            | Self::Refused
            | Self::Panicked => self.at(directory).into(),
        }
    }
}

impl From<redb::Error> for LedgerError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "redb's errors are an open set; only a few kinds have advice of their own"
    )]
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Damaged
            }
            redb::Error::Io(error) => Self::System(error.raw_os_error()),
            redb::Error::DatabaseAlreadyOpen => Self::Held,
            redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. } => Self::Damaged,
            _ => Self::Refused,
        }
    }
}

macro_rules! through_redb {
    ($($kind:ident)*) => {
        $(impl From<redb::$kind> for LedgerError {
            fn from(error: redb::$kind) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

through_redb!(StorageError DatabaseError TableError TransactionError CommitError SetDurabilityError);

impl From<Unreadable> for LedgerError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Newer => Self::Newer,
            Unreadable::Damaged => Self::Damaged,
        }
    }
}

#[cfg(test)]
mod tests;
