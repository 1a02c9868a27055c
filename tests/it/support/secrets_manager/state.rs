//! Secrets, their versions and labels. Pure data: no HTTP, no faults on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;

use super::{ACCOUNT, Fault, REGION};

pub const CURRENT: &str = "AWSCURRENT";
pub const PREVIOUS: &str = "AWSPREVIOUS";

#[derive(Default)]
pub struct State {
    pub secrets: BTreeMap<String, Secret>,
    /// By secret; `None` is every secret that has none of its own.
    pub faults: BTreeMap<Option<String>, Fault>,
    /// Access key ids that the service does not know any more.
    pub refused_keys: BTreeSet<String>,
}

pub struct Secret {
    pub name: String,
    pub arn: String,
    pub created: f64,
    pub deleted: Option<f64>,
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
    pub fn create(&mut self, name: &str) -> &mut Secret {
        self.secrets
            .entry(name.to_owned())
            .or_insert_with(|| Secret {
                name: name.to_owned(),
                arn: arn(name),
                created: now(),
                deleted: None,
                versions: Vec::new(),
            })
    }

    pub fn secret(&mut self, name: &str) -> &mut Secret {
        self.secrets
            .get_mut(name)
            .unwrap_or_else(|| panic!("the test never made the secret {name}"))
    }

    pub fn put(&mut self, name: &str, content: Content, created: f64) -> String {
        let secret = self.create(name);
        let id = version_id();
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
        self.secrets.get(id).or_else(|| {
            self.secrets
                .values()
                .find(|secret| secret.arn == id || secret.arn[..secret.arn.len() - 7] == *id)
        })
    }

    pub fn fault(&self, name: Option<&str>) -> Option<Fault> {
        name.and_then(|name| self.faults.get(&Some(name.to_owned())))
            .or_else(|| self.faults.get(&None))
            .copied()
    }
}

impl Secret {
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
        for version in &mut self.versions {
            version.stages.remove(stage);
            if version.id == id {
                version.stages.insert(stage.to_owned());
            }
        }
    }
}

/// Seconds since the epoch with milliseconds, as AWS writes times.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (since.as_secs_f64() * 1000.0).round() / 1000.0
}

fn arn(name: &str) -> String {
    let suffix: String = (0..6).map(|_| fastrand::alphanumeric()).collect();
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{suffix}")
}

pub fn version_id() -> String {
    let id = format!("{:032x}", fastrand::u128(..));
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}
