//! Stores: where secrets are read.
//!
//! A store answers one [`Read`] with one [`Answer`] or one classified [`Failure`]; it knows nothing of entries,
//! targets or schedules. The set of stores is closed, so it is an enum.

pub mod coalesce;
pub mod desk;
pub mod file;
pub mod secrets_manager;

use jiff::Timestamp;

use crate::config;
use crate::failure::Failure;
use crate::names::{RemoteKey, StoreName};
use crate::report::Reporter;
use crate::secret::{Fingerprint, FingerprintKey, SecretBytes};

/// What is scheduled and coalesced: one distinct value of one store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Read {
    pub store: StoreName,
    pub key: RemoteKey,
    pub version: config::Version,
}

/// One value, checked to be the one asked for.
#[derive(Debug)]
pub struct Answer {
    pub identity: Identity,
    /// When this version was made, where the store says so.
    pub created: Option<Timestamp>,
    /// Never empty.
    pub value: SecretBytes,
}

/// Equal identities mean equal values (design 6.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// AWS: a version is immutable, so ARN and version id say it all.
    Version { arn: String, version_id: String },
    /// A file store: keyed fingerprint of the value.
    Fingerprint(Fingerprint),
}

/// A store, ready to be asked. Making one does no I/O.
#[derive(Debug)]
pub enum Store {
    SecretsManager(Box<secrets_manager::SecretsManager>),
    File(file::FileStore),
}

impl Store {
    pub fn new(
        name: &StoreName,
        store: &config::Store,
        key: &FingerprintKey,
        reporter: Reporter,
    ) -> Self {
        match store {
            config::Store::SecretsManager(spec) => Self::SecretsManager(Box::new(
                secrets_manager::SecretsManager::new(name.clone(), spec.clone(), reporter),
            )),
            config::Store::File(spec) => Self::File(file::FileStore::new(
                name.clone(),
                spec.clone(),
                key.clone(),
                reporter,
            )),
        }
    }

    /// Asks upstream once.
    pub async fn read(&self, read: &Read) -> Result<Answer, Failure> {
        match self {
            Self::SecretsManager(store) => store.read(read).await,
            Self::File(store) => store.read(read).await,
        }
    }
}
