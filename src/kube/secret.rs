//! A Secret as the API server shows it, and who says to own which part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::names::{ResourceVersion, SecretKey, Uid};
use crate::secret::SecretBytes;

/// The longest field manager that Kubernetes takes.
const FIELD_MANAGER_MAX: usize = 128;
const ATTEMPT_PREFIX: &str = "secretsyncd:create:";
const ATTEMPT_DIGITS: usize = 32;

/// Under which name an apply owns fields. What one manager wrote before and now omits is removed. Clones share the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldManager(Arc<str>);

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

    /// Under which name this manager makes Secrets, until what was made is its own: of whoever has that name, the API
    /// server itself says that it made the Secret. Upper-case digits: no entry has such a name, so none has such a
    /// manager.
    #[must_use]
    pub fn for_making(&self) -> Self {
        let hash = Sha256::digest(self.0.as_bytes());
        Self::of_attempt(u128::from_be_bytes(std::array::from_fn(|i| hash[i])))
    }

    /// In whose name a Secret is taken over from a controller. What it changes, an update owns until the entry's own apply
    /// does.
    pub fn adopting() -> Self {
        Self::new(&["adopt"])
    }

    fn of_attempt(attempt: u128) -> Self {
        Self(format!("{ATTEMPT_PREFIX}{attempt:0ATTEMPT_DIGITS$X}").into())
    }

    /// One of ours that was kept as text; `None` for what no manager of ours is called.
    pub fn read(text: &str) -> Option<Self> {
        let ours = text == "secretsyncd" || text.starts_with("secretsyncd:");
        (ours && text.len() <= FIELD_MANAGER_MAX).then(|| Self(text.into()))
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
    /// It owns the Secret's `type`.
    pub secret_type: bool,
    /// It owns whether the Secret is immutable.
    pub immutable: bool,
    /// All of it as the server wrote it, so that it can be sent back; null for one that was made here.
    pub raw: serde_json::Value,
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

    /// True for what `manager` wrote when it made the Secret, and did not make its own yet.
    pub fn made_for(&self, manager: &FieldManager) -> bool {
        self.operation == Operation::Update && self.name == manager.for_making().as_str()
    }

    /// True for what taking the Secret over changed.
    pub fn took_over(&self) -> bool {
        self.operation == Operation::Update && self.name == FieldManager::adopting().as_str()
    }

    /// True for what an attempt of an older release left: it applied, so what it met may have been somebody else's.
    pub fn is_old_attempt(&self) -> bool {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
        self.operation == Operation::Apply
            && self
                .name
                .strip_prefix(ATTEMPT_PREFIX)
                .is_some_and(|it| it.len() == ATTEMPT_DIGITS && it.bytes().all(is_digit))
    }

    pub fn fields(&self, kind: FieldKind) -> &BTreeSet<String> {
        match kind {
            FieldKind::Data => &self.data,
            FieldKind::Label => &self.labels,
            FieldKind::Annotation => &self.annotations,
        }
    }

    pub fn fields_mut(&mut self, kind: FieldKind) -> &mut BTreeSet<String> {
        match kind {
            FieldKind::Data => &mut self.data,
            FieldKind::Label => &mut self.labels,
            FieldKind::Annotation => &mut self.annotations,
        }
    }
}

impl FieldKind {
    pub const ALL: [Self; 3] = [Self::Data, Self::Label, Self::Annotation];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_to_create_are_known_by_name_and_operation() {
        let ours = FieldManager::new(&["prod", "db"]);
        let manager = |name: &str, operation| Manager {
            name: name.into(),
            operation,
            ..Manager::default()
        };
        let made = manager(ours.for_making().as_str(), Operation::Update);
        assert!(made.made_for(&ours) && !made.is_old_attempt());
        assert!(!made.made_for(&FieldManager::new(&["prod", "other"])));
        let applied = manager(ours.for_making().as_str(), Operation::Apply);
        assert!(!applied.made_for(&ours) && applied.is_old_attempt());
        for other in [
            "secretsyncd",
            "secretsyncd:create:",
            FieldManager::new(&["create", &"a".repeat(32)]).as_str(),
        ] {
            let other = manager(other, Operation::Apply);
            assert!(!other.is_old_attempt(), "{other:?}");
        }
    }

    #[test]
    fn a_kept_manager_is_read_back_and_no_other_name_is() {
        for manager in [
            FieldManager::new(&[]),
            FieldManager::new(&["prod", "team/db"]),
            FieldManager::new(&["prod", &"x".repeat(200)]),
        ] {
            assert_eq!(FieldManager::read(manager.as_str()), Some(manager));
        }
        for other in ["", "kubectl", "secretsyncdx"] {
            assert_eq!(FieldManager::read(other), None, "{other}");
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
