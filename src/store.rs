//! Stores: where secrets are read.
//!
//! A store answers each [`Read`] with one [`Answer`] or one classified [`Failure`]; it knows nothing of entries,
//! targets or schedules. It says which reads may travel together and when the next call may leave; whoever owns it
//! makes the groups and keeps the times. The set of stores is closed, so it is an enum.

mod account;
mod answers;
mod apart;
mod aws_call;
pub mod coalesce;
pub mod desk;
pub mod file;
mod listing;
pub mod parameter_store;
pub mod round;
pub mod secrets_manager;
mod witness;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::aws::{Aws, UpstreamId};
use crate::config::{self, Source};
use crate::failure::Failure;
use crate::names::{AccountId, RemoteKey, StoreName};
use crate::report::{Reporter, StoreOperation};
use crate::secret::{Fingerprint, FingerprintKey, SecretBytes};

/// What is scheduled and coalesced: one distinct question to one store. Clones share it: everything that is known by read
/// names it, for each of thousands of entries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Read(Arc<Question>);

/// What a [`Read`] asks, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    pub store: StoreName,
    pub source: Source,
}

impl Read {
    pub fn new(store: StoreName, source: Source) -> Self {
        Self(Arc::new(Question { store, source }))
    }
}

impl Deref for Read {
    type Target = Question;

    fn deref(&self) -> &Question {
        &self.0
    }
}

/// One answer, checked to be the one asked for.
#[derive(Debug)]
pub struct Answer {
    pub identity: Identity,
    /// When this version was made, where the store says so.
    pub created: Option<Timestamp>,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    /// Never empty.
    Value(SecretBytes),
    /// What a `find` matched, by name. Each is read on its own, by its ARN.
    Matches(Vec<Match>),
}

/// One secret that a `find` matched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Match {
    pub name: RemoteKey,
    pub arn: RemoteKey,
}

/// Equal identities mean equal answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Secrets Manager: a version is immutable, so ARN and version id say it all.
    Version { arn: Arc<str>, version_id: Arc<str> },
    /// Parameter Store: a number may be used again after the parameter was deleted and made anew.
    Parameter {
        arn: Arc<str>,
        version: i64,
        modified: Option<Timestamp>,
    },
    /// Files and tags: keyed fingerprint of the value.
    Fingerprint(Fingerprint),
    /// A `find`: the ARNs of its matches.
    Arns(BTreeSet<String>),
}

/// How a read travels: reads of one operation go together, up to `size` in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    pub operation: StoreOperation,
    pub size: usize,
}

/// What became of one read of a call.
#[derive(Debug)]
pub enum Fetched {
    Done(Result<Answer, Failure>),
    /// The call could not answer it together with others; asked again, it has another [`Lane`].
    Alone,
}

/// A store, ready to be asked. Making one does no I/O.
#[derive(Debug)]
pub enum Store {
    SecretsManager(Box<secrets_manager::SecretsManager>),
    ParameterStore(Box<parameter_store::ParameterStore>),
    File(file::FileStore),
}

impl Store {
    pub fn new(
        name: &StoreName,
        store: &config::Store,
        (aws, key): (&Aws, &FingerprintKey),
        reporter: Reporter,
    ) -> Self {
        match store {
            config::Store::SecretsManager(spec) => {
                let upstream = aws.upstream(crate::aws::Service::SecretsManager, spec);
                Self::SecretsManager(Box::new(secrets_manager::SecretsManager::new(
                    name.clone(),
                    spec.clone(),
                    (upstream, key.clone()),
                    reporter,
                )))
            }
            config::Store::ParameterStore(spec) => {
                let upstream = aws.upstream(crate::aws::Service::ParameterStore, spec);
                Self::ParameterStore(Box::new(parameter_store::ParameterStore::new(
                    name.clone(),
                    spec.clone(),
                    (upstream, key.clone()),
                    reporter,
                )))
            }
            config::Store::File(spec) => Self::File(file::FileStore::new(
                name.clone(),
                spec.clone(),
                key.clone(),
                reporter,
            )),
        }
    }

    /// Stores with the same one fail together when what they share does; `None` shares nothing.
    pub fn upstream(&self) -> Option<UpstreamId> {
        match self {
            Self::SecretsManager(store) => Some(store.upstream()),
            Self::ParameterStore(store) => Some(store.upstream()),
            Self::File(_) => None,
        }
    }

    /// Whose secrets it reads, as far as that was proven. A file store's are nobody's.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::SecretsManager(store) => store.account(),
            Self::ParameterStore(store) => store.account(),
            Self::File(_) => None,
        }
    }

    /// How this read would travel now.
    pub fn lane(&self, read: &Read, now: Instant) -> Lane {
        match self {
            Self::SecretsManager(store) => store.lane(read, now),
            Self::ParameterStore(store) => store.lane(read, now),
            Self::File(store) => store.lane(),
        }
    }

    /// How it travels where nothing stands against it. What comes round together goes by this, for the present lane may
    /// change with every answer.
    pub fn usual_lane(&self, read: &Read) -> Lane {
        match self {
            Self::SecretsManager(store) => store.usual_lane(read),
            Self::ParameterStore(store) => store.usual_lane(read),
            Self::File(_) => file::FileStore::usual_lane(),
        }
    }

    /// Takes a turn for one call; else says when there will be one.
    pub fn turn(&self, operation: StoreOperation, now: Instant) -> Result<(), Instant> {
        match self {
            Self::SecretsManager(store) => store.turn(operation, now),
            Self::ParameterStore(store) => store.turn(operation, now),
            Self::File(_) => Ok(()),
        }
    }

    /// Asks upstream once for all these reads, which have this operation as their lane. Every read comes back.
    pub async fn fetch(&self, operation: StoreOperation, reads: Vec<Read>) -> Vec<(Read, Fetched)> {
        match self {
            Self::SecretsManager(store) => {
                let fetched = store.fetch(operation, reads).await;
                store.witness.note(&store.caller, fetched).await
            }
            Self::ParameterStore(store) => {
                let fetched = store.fetch(operation, reads).await;
                store.witness.note(&store.caller, fetched).await
            }
            Self::File(store) => store.fetch(reads).await,
        }
    }
}

/// The same end for every read of a call.
fn all(reads: Vec<Read>, failure: &Failure) -> Vec<(Read, Fetched)> {
    let failed = |read| (read, Fetched::Done(Err(failure.clone())));
    reads.into_iter().map(failed).collect()
}

/// None was answered together with the others.
fn alone(reads: Vec<Read>) -> Vec<(Read, Fetched)> {
    reads
        .into_iter()
        .map(|read| (read, Fetched::Alone))
        .collect()
}
