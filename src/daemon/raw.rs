//! Reads, versions and failures as they are remembered: JSON, so that a later release can read an earlier one's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entries::Streak;
use crate::config::{Find, NamePattern, Source, Version as Wanted};
use crate::decide::change::Version;
use crate::failure::{Failure, Reason};
use crate::names::{AccountId, RemoteKey, StoreName};
use crate::secret::Fingerprint;
use crate::store::{Identity, Read};

/// What is said by which word.
pub(super) type Words<T> = &'static [(&'static str, T)];

pub(super) fn word_of<T: PartialEq + Copy>(words: Words<T>, of: T) -> Option<&'static str> {
    let found = words.iter().find(|(_, known)| *known == of);
    found.map(|(word, _)| *word)
}

/// Reads by number, each written once.
#[derive(Debug, Default)]
pub(super) struct Table {
    numbers: BTreeMap<Read, usize>,
    rows: Vec<RawRead>,
}

impl Table {
    pub(super) fn number(&mut self, read: &Read) -> usize {
        if let Some(number) = self.numbers.get(read) {
            return *number;
        }
        let number = self.rows.len();
        self.numbers.insert(read.clone(), number);
        self.rows.push(read.into());
        number
    }

    pub(super) fn into_rows(self) -> Vec<RawRead> {
        self.rows
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RawRead {
    store: String,
    source: RawSource,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawSource {
    Value {
        key: String,
        version: RawWanted,
    },
    Metadata {
        key: String,
    },
    Find {
        path: Option<String>,
        name: Option<String>,
        keys: Option<BTreeSet<String>>,
        tags: BTreeMap<String, String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawWanted {
    Current,
    Stage(String),
    Id(String),
}

impl From<&Read> for RawRead {
    fn from(read: &Read) -> Self {
        let source = match &read.source {
            Source::Value { key, version } => RawSource::Value {
                key: key.to_string(),
                version: match version {
                    Wanted::Current => RawWanted::Current,
                    Wanted::Stage(stage) => RawWanted::Stage(stage.clone()),
                    Wanted::Id(id) => RawWanted::Id(id.clone()),
                },
            },
            Source::Metadata { key } => RawSource::Metadata {
                key: key.to_string(),
            },
            Source::Find(find) => RawSource::Find {
                path: find.path.clone(),
                name: find.name.as_ref().map(|name| name.as_str().to_owned()),
                keys: find.keys.clone(),
                tags: find.tags.clone(),
            },
        };
        Self {
            store: read.store.to_string(),
            source,
        }
    }
}

impl RawRead {
    pub(super) fn read(&self) -> Option<Read> {
        let key = |key: &String| RemoteKey::new(key.as_str()).ok();
        let source = match &self.source {
            RawSource::Value { key: name, version } => Source::Value {
                key: key(name)?,
                version: match version {
                    RawWanted::Current => Wanted::Current,
                    RawWanted::Stage(stage) => Wanted::Stage(stage.clone()),
                    RawWanted::Id(id) => Wanted::Id(id.clone()),
                },
            },
            RawSource::Metadata { key: name } => Source::Metadata { key: key(name)? },
            RawSource::Find {
                path,
                name,
                keys,
                tags,
            } => Source::Find(Box::new(Find {
                path: path.clone(),
                name: match name {
                    Some(name) => Some(NamePattern::new(name)?),
                    None => None,
                },
                keys: keys.clone(),
                tags: tags.clone(),
            })),
        };
        Some(Read::new(StoreName::new(self.store.as_str()).ok()?, source))
    }

    /// The key of its record: equal for equal reads only.
    pub(super) fn key(&self) -> String {
        serde_json::to_string(self)
            .expect("these structures have string keys and no floats, so JSON can hold them")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RawVersion {
    identity: RawIdentity,
    created: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawIdentity {
    Version {
        arn: String,
        version_id: String,
    },
    Parameter {
        arn: String,
        version: i64,
        modified: Option<Timestamp>,
    },
    Fingerprint([u8; 32]),
    Arns(BTreeSet<String>),
}

impl RawVersion {
    /// An identity alone.
    pub(super) fn of(identity: &Identity) -> Self {
        let identity = match identity {
            Identity::Version { arn, version_id } => RawIdentity::Version {
                arn: arn.to_string(),
                version_id: version_id.to_string(),
            },
            Identity::Parameter {
                arn,
                version,
                modified,
            } => RawIdentity::Parameter {
                arn: arn.to_string(),
                version: *version,
                modified: *modified,
            },
            Identity::Fingerprint(fingerprint) => RawIdentity::Fingerprint(*fingerprint.as_bytes()),
            Identity::Arns(arns) => RawIdentity::Arns(arns.clone()),
        };
        Self {
            identity,
            created: None,
        }
    }

    pub(super) fn version(&self) -> Version {
        let identity = match &self.identity {
            RawIdentity::Version { arn, version_id } => Identity::Version {
                arn: arn.as_str().into(),
                version_id: version_id.as_str().into(),
            },
            RawIdentity::Parameter {
                arn,
                version,
                modified,
            } => Identity::Parameter {
                arn: arn.as_str().into(),
                version: *version,
                modified: *modified,
            },
            RawIdentity::Fingerprint(bytes) => {
                Identity::Fingerprint(Fingerprint::from_bytes(*bytes))
            }
            RawIdentity::Arns(arns) => Identity::Arns(arns.clone()),
        };
        Version::new(identity, self.created)
    }
}

impl From<&Version> for RawVersion {
    fn from(version: &Version) -> Self {
        Self {
            created: version.created,
            ..Self::of(&version.identity)
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RawStreak {
    reason: String,
    fact: String,
    help: Option<String>,
    witness: Option<String>,
    count: u32,
}

impl From<&Streak> for RawStreak {
    fn from(streak: &Streak) -> Self {
        let failure = &streak.failure;
        Self {
            reason: failure.reason.to_string(),
            fact: failure.fact.clone(),
            help: failure.own_help().map(str::to_owned),
            witness: failure.witness.as_ref().map(ToString::to_string),
            count: streak.count,
        }
    }
}

impl RawStreak {
    /// It was told in the life that it comes from.
    pub(super) fn streak(&self) -> Option<Streak> {
        let reason = Reason::ALL.iter().find(|it| it.as_str() == self.reason)?;
        let mut failure = Failure::new(*reason, self.fact.clone());
        if let Some(help) = &self.help {
            failure = failure.with_help(help.clone());
        }
        failure.witness = match &self.witness {
            Some(account) => Some(AccountId::new(account.as_str()).ok()?),
            None => None,
        };
        Some(Streak {
            failure,
            count: self.count,
            loud: false,
        })
    }
}
