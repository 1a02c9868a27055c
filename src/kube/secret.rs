//! A Secret as the API server shows it, and who says to own which part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use crate::names::{ResourceVersion, SecretKey, Uid};
use crate::secret::SecretBytes;

/// The longest field manager that Kubernetes takes.
const FIELD_MANAGER_MAX: usize = 128;
const ATTEMPT_PREFIX: &str = "secretsyncd:create:";
const ATTEMPT_DIGITS: usize = 32;

/// Under which name an apply owns fields. What one manager wrote before and now omits is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldManager(Box<str>);

impl FieldManager {
    /// Parts joined by `:` behind `secretsyncd`. What is longer than Kubernetes takes is replaced by its hash: two
    /// managers that were merely cut off could become one, and would then delete each other's keys.
    pub fn new(parts: &[&str]) -> Self {
        let mut name = String::from("secretsyncd");
        for part in parts {
            name.push(':');
            name.push_str(part);
        }
        if name.len() > FIELD_MANAGER_MAX {
            let hash = Sha256::digest(name.as_bytes());
            name.truncate("secretsyncd:".len());
            for byte in hash {
                use fmt::Write as _;
                write!(name, "{byte:02x}").expect("writing to a String cannot fail");
            }
        }
        Self(name.into())
    }

    /// For one attempt to create, told apart from every other attempt by `attempt`. Upper-case digits: no entry has such
    /// a name, so none has such a manager.
    pub fn of_attempt(attempt: u128) -> Self {
        Self(format!("{ATTEMPT_PREFIX}{attempt:0ATTEMPT_DIGITS$X}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One Secret with its values.
#[derive(Clone, Debug)]
pub struct LiveSecret {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    pub secret_type: String,
    pub data: BTreeMap<SecretKey, SecretBytes>,
    pub labels: BTreeMap<String, String>,
    /// Bytes to be kept from sight: `kubectl apply` leaves whole Secrets in an annotation.
    pub annotations: BTreeMap<String, SecretBytes>,
    pub managers: Vec<Manager>,
    pub controller: Option<Controller>,
    pub immutable: bool,
    /// Marked for deletion; something holds it yet.
    pub deleting: bool,
}

/// What is known of a Secret without reading a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMetadata {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    pub deleting: bool,
}

/// The owner that has `controller: true`. Texts of the server, not checked for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    pub kind: String,
    pub group: String,
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manager {
    /// A text of the server's clients, not checked for anything.
    pub name: String,
    pub operation: Operation,
    pub data: BTreeSet<String>,
    pub labels: BTreeSet<String>,
    pub annotations: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    Apply,
    #[default]
    Update,
}

/// The three maps of a Secret whose keys are owned one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Data,
    Label,
    Annotation,
}

impl Manager {
    /// True for what server-side apply wrote under that name; an update under the same name is somebody else.
    pub fn is(&self, manager: &FieldManager) -> bool {
        self.operation == Operation::Apply && self.name == manager.as_str()
    }

    /// The manager of an attempt to create that has not ended, if this is one.
    pub fn attempt(&self) -> Option<FieldManager> {
        let digits = self.name.strip_prefix(ATTEMPT_PREFIX)?;
        let is_digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
        let is_attempt = self.operation == Operation::Apply
            && digits.len() == ATTEMPT_DIGITS
            && digits.bytes().all(is_digit);
        is_attempt.then(|| FieldManager(self.name.as_str().into()))
    }

    pub fn fields(&self, kind: FieldKind) -> &BTreeSet<String> {
        match kind {
            FieldKind::Data => &self.data,
            FieldKind::Label => &self.labels,
            FieldKind::Annotation => &self.annotations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_to_create_are_known_by_name_and_operation() {
        let attempt = FieldManager::of_attempt(0xAB);
        let manager = |name: &str, operation| Manager {
            name: name.into(),
            operation,
            ..Manager::default()
        };
        let seen = |name: &str, operation| manager(name, operation).attempt();
        assert_eq!(
            seen(attempt.as_str(), Operation::Apply),
            Some(attempt.clone())
        );
        assert_eq!(seen(attempt.as_str(), Operation::Update), None);
        for other in [
            "secretsyncd",
            "secretsyncd:create:",
            FieldManager::new(&["create", &"a".repeat(32)]).as_str(),
        ] {
            assert_eq!(seen(other, Operation::Apply), None, "{other}");
        }
    }

    #[test]
    fn long_managers_are_hashed_not_cut() {
        assert_eq!(FieldManager::new(&[]).as_str(), "secretsyncd");
        assert_eq!(
            FieldManager::new(&["prod", "team/db"]).as_str(),
            "secretsyncd:prod:team/db"
        );
        let long = "x".repeat(128);
        let one = FieldManager::new(&["prod", &format!("{long}1")]);
        let two = FieldManager::new(&["prod", &format!("{long}2")]);
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), "secretsyncd:".len() + 64);
        let fits = FieldManager::new(&["a", &"x".repeat(114)]);
        assert_eq!(fits.as_str().len(), 128);
        assert!(fits.as_str().ends_with('x'));
    }
}
