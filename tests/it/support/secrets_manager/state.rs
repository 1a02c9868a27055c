//! Secrets, their versions and labels. Pure data: no HTTP, no faults on the wire.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;

use super::super::aws::{self, now};
use super::super::paging::Pages;
use super::quota::Quota;
use super::{ACCOUNT, Fault, Operation, REGION};

pub const CURRENT: &str = "AWSCURRENT";
pub const PREVIOUS: &str = "AWSPREVIOUS";

#[derive(Default)]
pub struct State {
    /// By name; another account's by ARN.
    pub secrets: BTreeMap<String, Secret>,
    /// The keys of `secrets`, by ARN with and without its random suffix.
    by_arn: BTreeMap<String, String>,
    pub faults: BTreeMap<String, Fault>,
    /// The fault of every secret that has none of its own.
    pub fault_of_all: Option<Fault>,
    /// Access key ids that the service does not know any more.
    pub refused_keys: BTreeSet<String>,
    /// Operations that the caller has no right to.
    pub denied: BTreeSet<Operation>,
    pub quotas: BTreeMap<Operation, Quota>,
    /// How many calls the quotas turned away.
    pub throttled: usize,
    /// What `ListSecrets` does not show yet.
    pub unlisted: BTreeSet<String>,
    /// `ListSecrets` answers `{}`: always, or from the second page on.
    pub blank_lists: Option<bool>,
    pub pages: Pages,
}

pub struct Secret {
    pub name: String,
    pub arn: String,
    pub created: f64,
    /// When anything about it changed last.
    pub changed: f64,
    pub deleted: Option<f64>,
    pub tags: BTreeMap<String, String>,
    /// In the order of their creation.
    pub versions: Vec<Version>,
}

#[derive(Clone)]
pub struct Version {
    pub id: String,
    pub created: f64,
    pub stages: BTreeSet<String>,
    pub content: Content,
}

#[derive(Clone)]
pub enum Content {
    Text(String),
    Binary(Bytes),
}

impl State {
    pub fn create(&mut self, key: &str) -> &mut Secret {
        if !self.secrets.contains_key(key) {
            let secret = Secret::new(key, ACCOUNT);
            for arn in [secret.arn.as_str(), secret.partial_arn()] {
                self.by_arn.insert(arn.to_owned(), key.to_owned());
            }
            self.secrets.insert(key.to_owned(), secret);
        }
        self.secret(key)
    }

    /// Returns the ARN, by which alone it can be read.
    pub fn create_foreign(&mut self, account: &str, name: &str) -> String {
        let secret = Secret::new(name, account);
        let arn = secret.arn.clone();
        self.secrets.insert(arn.clone(), secret);
        arn
    }

    pub fn remove(&mut self, name: &str) {
        if let Some(secret) = self.secrets.remove(name) {
            self.by_arn.remove(&secret.arn);
            self.by_arn.remove(secret.partial_arn());
        }
    }

    pub fn secret(&mut self, name: &str) -> &mut Secret {
        self.secrets
            .get_mut(name)
            .unwrap_or_else(|| panic!("the test never made the secret {name}"))
    }

    pub fn put(&mut self, name: &str, content: Content, created: f64) -> String {
        let secret = self.create(name);
        let id = aws::uuid();
        secret.versions.push(Version {
            id: id.clone(),
            created,
            stages: BTreeSet::new(),
            content,
        });
        secret.make_current(&id);
        id
    }

    pub fn rollback(&mut self, name: &str) -> String {
        let secret = self.secret(name);
        let id = secret
            .with_stage(PREVIOUS)
            .expect("a rollback needs a previous version")
            .id
            .clone();
        secret.make_current(&id);
        id
    }

    pub fn label(&mut self, name: &str, stage: &str, version: &str) {
        self.secret(name).move_stage(stage, version);
    }

    /// A secret by name, ARN, or ARN without the random suffix.
    pub fn find(&self, id: &str) -> Option<&Secret> {
        let key = self.by_arn.get(id).map_or(id, String::as_str);
        self.secrets.get(key)
    }

    pub fn fault(&self, key: Option<&str>) -> Option<Fault> {
        key.and_then(|key| self.faults.get(key).copied())
            .or(self.fault_of_all)
    }
}

impl Secret {
    fn new(name: &str, account: &str) -> Self {
        let suffix: String = (0..6).map(|_| fastrand::alphanumeric()).collect();
        let now = now();
        Self {
            name: name.to_owned(),
            arn: format!("arn:aws:secretsmanager:{REGION}:{account}:secret:{name}-{suffix}"),
            created: now,
            changed: now,
            deleted: None,
            tags: BTreeMap::new(),
            versions: Vec::new(),
        }
    }

    /// What the tests call it.
    pub fn key(&self) -> &str {
        if self.is_foreign() {
            &self.arn
        } else {
            &self.name
        }
    }

    pub fn is_foreign(&self) -> bool {
        self.arn.split(':').nth(4) != Some(ACCOUNT)
    }

    fn partial_arn(&self) -> &str {
        &self.arn[..self.arn.len() - 7]
    }

    /// Version ids and their labels; a version without one is not shown.
    pub fn stages(&self) -> serde_json::Value {
        let labelled = self.versions.iter().filter(|v| !v.stages.is_empty());
        labelled
            .map(|version| (version.id.clone(), serde_json::json!(version.stages)))
            .collect()
    }

    pub fn with_stage(&self, stage: &str) -> Option<&Version> {
        self.versions
            .iter()
            .find(|version| version.stages.contains(stage))
    }

    pub fn with_id(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    fn make_current(&mut self, id: &str) {
        if let Some(before) = self.with_stage(CURRENT).map(|version| version.id.clone()) {
            self.move_stage(PREVIOUS, &before);
        }
        self.move_stage(CURRENT, id);
        let version = self.versions.iter_mut().find(|version| version.id == id);
        if let Some(version) = version {
            version.stages.remove(PREVIOUS);
        }
    }

    fn move_stage(&mut self, stage: &str, id: &str) {
        assert!(self.with_id(id).is_some(), "the secret has no such version");
        self.changed = now();
        for version in &mut self.versions {
            version.stages.remove(stage);
            if version.id == id {
                version.stages.insert(stage.to_owned());
            }
        }
    }
}
