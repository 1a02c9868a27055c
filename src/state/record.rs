//! The records of the ledger and their bytes: JSON with a version, so that a later release can read an earlier one's.
//!
//! No record can hold a value; content appears only as a fingerprint.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::decide::kubernetes::{DeliveredSecret, Wrote};
use crate::names::{
    ClusterName, EntryName, Expected, Instance, MetadataKey, Namespace, ObjectName,
    ResourceVersion, SecretKey, Uid,
};
use crate::secret::Fingerprint;

const VERSION: u32 = 1;

/// What is known of one file that we wrote, or were about to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord {
    /// Who wrote it last.
    pub entry: EntryName,
    /// The content that was in place when the last write ended.
    pub delivered: Option<Fingerprint>,
    /// The content of a write that began and of which we do not know whether it ended.
    pub intent: Option<Fingerprint>,
    /// The permission bits that were delivered.
    pub mode: u32,
    /// Where that write put its content before the swap.
    pub temporary: Option<Temporary>,
    /// Whether a configuration stood without this path since: from then on people may make files of their own there.
    pub left: bool,
}

/// The temporary file of one write: a number that makes its name, and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Temporary {
    pub number: u64,
    pub inode: u64,
}

/// One write of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDelivery {
    pub path: PathBuf,
    pub entry: EntryName,
    pub fingerprint: Fingerprint,
    pub mode: u32,
}

/// One write of one file that is about to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIntent {
    pub delivery: FileDelivery,
    /// What the file that is to be replaced holds.
    pub found: Option<Fingerprint>,
    pub temporary: Temporary,
}

/// Where a Secret is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId {
    pub cluster: ClusterName,
    pub namespace: Namespace,
    pub name: ObjectName,
}

/// One entry's part in one Secret: several entries may merge into the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretPart {
    pub id: SecretId,
    pub entry: EntryName,
}

/// One `find` of one entry. A changed `find` is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FoundId {
    pub entry: EntryName,
    /// The store and what is looked for there, as text.
    pub question: String,
}

/// The ARNs of what was delivered from a `find`.
pub type Arns = BTreeSet<String>;

/// Why the bytes of a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Written by a later release.
    Newer,
    Damaged,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct RawFile {
    version: u32,
    entry: String,
    delivered: Option<String>,
    intent: Option<String>,
    mode: u32,
    #[serde(default)]
    temporary: Option<Temporary>,
    #[serde(default)]
    left: bool,
}

#[derive(Serialize, Deserialize)]
struct RawSecret {
    version: u32,
    uid: String,
    resource_version: String,
    whole: Option<String>,
    keys: Vec<String>,
    labels: Vec<String>,
    annotations: Vec<String>,
    fingerprint: String,
    #[serde(default)]
    left: bool,
}

#[derive(Serialize, Deserialize)]
struct RawFound {
    version: u32,
    arns: Arns,
}

impl FileRecord {
    /// A write is about to happen: what is in place stays known until it has. An earlier intent that is found in place
    /// was carried out; forgetting it would make its file somebody else's.
    pub(super) fn intending(before: Option<&Self>, next: &FileIntent) -> Self {
        let carried_out = before
            .and_then(|record| record.intent)
            .filter(|intent| Some(*intent) == next.found);
        let FileIntent {
            delivery,
            temporary,
            ..
        } = next;
        Self {
            entry: delivery.entry.clone(),
            delivered: carried_out.or(before.and_then(|record| record.delivered)),
            intent: Some(delivery.fingerprint),
            mode: before.map_or(delivery.mode, |record| record.mode),
            temporary: Some(*temporary),
            left: before.is_some_and(|record| record.left),
        }
    }

    pub(super) fn delivered(delivery: &FileDelivery) -> Self {
        Self {
            entry: delivery.entry.clone(),
            delivered: Some(delivery.fingerprint),
            intent: None,
            mode: delivery.mode,
            temporary: None,
            left: false,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        encode(&RawFile {
            version: VERSION,
            entry: self.entry.as_str().to_owned(),
            delivered: self.delivered.as_ref().map(hex),
            intent: self.intent.as_ref().map(hex),
            mode: self.mode,
            temporary: self.temporary,
            left: self.left,
        })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let raw: RawFile = decode(bytes)?;
        Ok(Self {
            entry: EntryName::new(raw.entry).map_err(|_| Unreadable::Damaged)?,
            delivered: raw.delivered.as_deref().map(unhex).transpose()?,
            intent: raw.intent.as_deref().map(unhex).transpose()?,
            mode: raw.mode,
            temporary: raw.temporary,
            left: raw.left,
        })
    }
}

pub(super) fn secret_to_bytes(delivered: &DeliveredSecret) -> Vec<u8> {
    let DeliveredSecret {
        uid,
        resource_version,
        whole,
        wrote,
        fingerprint,
        left,
    } = delivered;
    encode(&RawSecret {
        version: VERSION,
        uid: uid.to_string(),
        resource_version: resource_version.to_string(),
        whole: whole.as_ref().map(ToString::to_string),
        keys: wrote.keys.iter().map(ToString::to_string).collect(),
        labels: wrote.labels.iter().map(ToString::to_string).collect(),
        annotations: wrote.annotations.iter().map(ToString::to_string).collect(),
        fingerprint: hex(fingerprint),
        left: *left,
    })
}

pub(super) fn secret_from_bytes(bytes: &[u8]) -> Result<DeliveredSecret, Unreadable> {
    fn names<T: Ord>(
        texts: Vec<String>,
        name: impl Fn(String) -> Result<T, Expected>,
    ) -> Result<BTreeSet<T>, Unreadable> {
        let names: Result<_, _> = texts.into_iter().map(name).collect();
        names.map_err(|_| Unreadable::Damaged)
    }
    let raw: RawSecret = decode(bytes)?;
    let damaged = |_| Unreadable::Damaged;
    Ok(DeliveredSecret {
        uid: Uid::new(raw.uid).map_err(damaged)?,
        resource_version: ResourceVersion::new(raw.resource_version).map_err(damaged)?,
        whole: raw.whole.map(Instance::new).transpose().map_err(damaged)?,
        wrote: Wrote {
            keys: names(raw.keys, SecretKey::new)?,
            labels: names(raw.labels, MetadataKey::new)?,
            annotations: names(raw.annotations, MetadataKey::new)?,
        },
        fingerprint: unhex(&raw.fingerprint)?,
        left: raw.left,
    })
}

pub(super) fn arns_to_bytes(arns: &Arns) -> Vec<u8> {
    encode(&RawFound {
        version: VERSION,
        arns: arns.clone(),
    })
}

pub(super) fn arns_from_bytes(bytes: &[u8]) -> Result<Arns, Unreadable> {
    let raw: RawFound = decode(bytes)?;
    Ok(raw.arns)
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.namespace, self.name)
    }
}

impl SecretId {
    /// Read from the end: a cluster's name may hold a slash, the two others may not.
    pub(super) fn from_text(text: &str) -> Result<Self, Unreadable> {
        let mut parts = text.rsplitn(3, '/');
        let mut part = || parts.next().ok_or(Unreadable::Damaged);
        let (name, namespace, cluster) = (part()?, part()?, part()?);
        Ok(Self {
            cluster: ClusterName::new(cluster).map_err(|_| Unreadable::Damaged)?,
            namespace: Namespace::new(namespace).map_err(|_| Unreadable::Damaged)?,
            name: ObjectName::new(name).map_err(|_| Unreadable::Damaged)?,
        })
    }
}

impl SecretPart {
    pub(super) fn from_texts(id: &str, entry: &str) -> Result<Self, Unreadable> {
        Ok(Self {
            id: SecretId::from_text(id)?,
            entry: EntryName::new(entry).map_err(|_| Unreadable::Damaged)?,
        })
    }
}

fn encode(raw: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(raw)
        .expect("these structures have string keys and no floats, so JSON can hold them")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    let Versioned { version } = serde_json::from_slice(bytes).map_err(|_| Unreadable::Damaged)?;
    if version > VERSION {
        return Err(Unreadable::Newer);
    }
    serde_json::from_slice(bytes).map_err(|_| Unreadable::Damaged)
}

fn hex(fingerprint: &Fingerprint) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    fingerprint
        .as_bytes()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

fn unhex(text: &str) -> Result<Fingerprint, Unreadable> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Unreadable::Damaged);
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| Unreadable::Damaged)?;
    }
    Ok(Fingerprint::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> EntryName {
        EntryName::new("team/db").unwrap()
    }

    #[test]
    fn records_come_back_as_they_were() {
        let file = FileRecord {
            entry: entry(),
            delivered: Some(Fingerprint::from_bytes([0xab; 32])),
            intent: None,
            mode: 0o640,
            temporary: Some(Temporary {
                number: u64::MAX,
                inode: 17,
            }),
            left: true,
        };
        assert_eq!(FileRecord::from_bytes(&file.to_bytes()), Ok(file));
        let secret = DeliveredSecret {
            uid: Uid::new("0f-1").unwrap(),
            resource_version: ResourceVersion::new("17").unwrap(),
            whole: Some(Instance::new("default").unwrap()),
            wrote: Wrote {
                keys: [SecretKey::new("tls.crt").unwrap()].into(),
                labels: [MetadataKey::new("team").unwrap()].into(),
                annotations: [MetadataKey::new("example.com/note").unwrap()].into(),
            },
            fingerprint: Fingerprint::from_bytes([7; 32]),
            left: true,
        };
        let bytes = secret_to_bytes(&secret);
        assert_eq!(secret_from_bytes(&bytes), Ok(secret.clone()));
        let older = String::from_utf8(bytes).unwrap();
        let older = older.replace(r#","left":true"#, "");
        assert!(!older.contains("left"), "{older}");
        let unmarked = DeliveredSecret {
            left: false,
            ..secret
        };
        assert_eq!(secret_from_bytes(older.as_bytes()), Ok(unmarked));
    }

    #[test]
    fn an_intent_that_was_carried_out_outlives_the_next_one() {
        let intent = |content: u8, found: Option<u8>| FileIntent {
            delivery: FileDelivery {
                path: "/a".into(),
                entry: entry(),
                fingerprint: Fingerprint::from_bytes([content; 32]),
                mode: 0o600,
            },
            found: found.map(|content| Fingerprint::from_bytes([content; 32])),
            temporary: Temporary {
                number: 1,
                inode: 2,
            },
        };
        let first = FileRecord::intending(None, &intent(1, None));
        let second = FileRecord::intending(Some(&first), &intent(2, Some(1)));
        assert_eq!(second.delivered, Some(Fingerprint::from_bytes([1; 32])));
        assert_eq!(second.intent, Some(Fingerprint::from_bytes([2; 32])));
        let not_carried_out = FileRecord::intending(Some(&first), &intent(2, Some(9)));
        assert_eq!(not_carried_out.delivered, None);
    }

    #[test]
    fn a_cluster_with_slashes_keeps_its_name() {
        let id = SecretId {
            cluster: ClusterName::new("eu/prod").unwrap(),
            namespace: Namespace::new("app").unwrap(),
            name: ObjectName::new("db.main").unwrap(),
        };
        assert_eq!(SecretId::from_text(&id.to_string()), Ok(id));
        assert_eq!(SecretId::from_text("app/db"), Err(Unreadable::Damaged));
    }

    #[test]
    fn damaged_and_newer_records_are_told_apart() {
        assert_eq!(FileRecord::from_bytes(b"{}"), Err(Unreadable::Damaged));
        assert_eq!(
            FileRecord::from_bytes(br#"{"version":2,"something":"else"}"#),
            Err(Unreadable::Newer)
        );
        for bad in ["", "zz", &"é".repeat(32)] {
            assert!(unhex(bad).is_err());
        }
    }
}
