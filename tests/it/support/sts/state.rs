//! The sessions given out, and what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::super::aws::uuid;
use super::fault::Fault;

pub struct State {
    pub lifetime: Duration,
    /// ARNs of roles.
    pub denied: BTreeSet<String>,
    pub fault: Option<Fault>,
    /// By access key id.
    pub sessions: BTreeMap<String, Session>,
    pub log: Vec<Request>,
}

#[derive(Clone)]
pub struct Session {
    /// Of the assumed role, with the session's name.
    pub arn: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub token: String,
    pub expiration: Timestamp,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub action: String,
    pub role_arn: Option<String>,
    pub session_name: Option<String>,
    pub external_id: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub transitive_tag_keys: Vec<String>,
    pub web_identity_token: Option<String>,
    /// The access key id that the signature names; a web identity signs nothing.
    pub access_key_id: Option<String>,
    /// The access key id of the session that was given out.
    pub issued: Option<String>,
}

impl State {
    pub fn new() -> Self {
        Self {
            lifetime: Duration::from_hours(1),
            denied: BTreeSet::new(),
            fault: None,
            sessions: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// `None`: not the ARN of a role.
    pub fn give(&mut self, role_arn: &str, name: &str) -> Option<Session> {
        let (account, role) = role_arn
            .strip_prefix("arn:aws:iam::")?
            .split_once(":role/")?;
        // A path is no part of what the session is called.
        let role = role.rsplit('/').next()?;
        let key: String = (0..16).map(|_| fastrand::uppercase()).collect();
        let lifetime = SignedDuration::try_from(self.lifetime).unwrap();
        let session = Session {
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{name}"),
            access_key_id: format!("ASIA{key}"),
            secret_access_key: uuid(),
            token: format!("MARKER-session-token-{}", uuid()),
            expiration: Timestamp::now() + lifetime,
        };
        let key = session.access_key_id.clone();
        self.sessions.insert(key, session.clone());
        Some(session)
    }
}
