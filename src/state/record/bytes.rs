//! The bytes of the records: JSON with a version, so that a later release can read an earlier one's.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Arns, FileRecord, Generation, Given, Kept, Mark, Marks, Placed, Temporary, Unreadable, Whose,
};
use crate::config::CreationPolicy;
use crate::decide::kubernetes::removal::Author;
use crate::decide::kubernetes::restart::ChangeId;
use crate::decide::kubernetes::{DeliveredSecret, Names, Wrote};
use crate::kube::FieldManager;
use crate::names::{EntryName, Expected, Instance, MetadataKey, ResourceVersion, SecretKey, Uid};
use crate::secret::Fingerprint;

const VERSION: u32 = 1;

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
    inode: Option<u64>,
    #[serde(default)]
    temporary: Option<Temporary>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    generations: Vec<RawGeneration>,
    #[serde(default)]
    placed: Option<Placed>,
    #[serde(default)]
    left: bool,
    #[serde(default)]
    removing: bool,
    #[serde(default)]
    adopted: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    whose: Whose,
    /// In seconds.
    #[serde(default)]
    left_at: Option<i64>,
    #[serde(default)]
    pending: Option<Mark>,
    #[serde(default)]
    intended: Option<Mark>,
}

#[derive(Serialize, Deserialize)]
struct RawGeneration {
    name: String,
    inode: u64,
    keys: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
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
    manager: Option<String>,
    #[serde(default)]
    author: Option<RawAuthor>,
    #[serde(default)]
    left: bool,
    /// In seconds.
    #[serde(default)]
    left_at: Option<i64>,
    #[serde(default)]
    restart: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RawAuthor {
    policy: String,
    instance: String,
}

#[derive(Serialize, Deserialize)]
struct RawMade {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct RawFound {
    version: u32,
    arns: Arns,
}

pub(in crate::state) fn file_to_bytes(kept: &Kept<FileRecord>) -> Vec<u8> {
    let FileRecord {
        entry,
        delivered,
        intent,
        mode,
        inode,
        temporary,
        placed,
        generations,
        left,
        removing,
        adopted,
        whose,
        marks,
    } = &kept.record;
    encode(&RawFile {
        version: VERSION,
        entry: entry.as_str().to_owned(),
        delivered: delivered.as_ref().map(hex),
        intent: intent.as_ref().map(hex),
        mode: *mode,
        inode: *inode,
        temporary: *temporary,
        placed: *placed,
        generations: generations.iter().map(generation_to_raw).collect(),
        left: *left,
        removing: *removing,
        adopted: adopted.as_ref().map(hex),
        whose: *whose,
        left_at: kept.left_at.map(Timestamp::as_second),
        pending: marks.pending,
        intended: marks.intended,
    })
}

pub(in crate::state) fn file_from_bytes(bytes: &[u8]) -> Result<Kept<FileRecord>, Unreadable> {
    let raw: RawFile = decode(bytes)?;
    let generations = raw.generations.into_iter().map(generation_of_raw);
    let record = FileRecord {
        entry: EntryName::new(raw.entry).map_err(|_| Unreadable::Damaged)?,
        delivered: raw.delivered.as_deref().map(unhex).transpose()?,
        intent: raw.intent.as_deref().map(unhex).transpose()?,
        mode: raw.mode,
        inode: raw.inode,
        temporary: raw.temporary,
        placed: raw.placed,
        generations: generations.collect::<Result<_, _>>()?,
        left: raw.left,
        removing: raw.removing,
        adopted: raw.adopted.as_deref().map(unhex).transpose()?,
        whose: raw.whose,
        marks: Marks {
            pending: raw.pending,
            intended: raw.intended,
        },
    };
    Ok(Kept {
        record,
        left_at: time(raw.left_at)?,
    })
}

fn generation_to_raw(generation: &Generation) -> RawGeneration {
    RawGeneration {
        name: generation.name.clone(),
        inode: generation.inode,
        keys: generation.keys.iter().map(ToString::to_string).collect(),
        owner: generation.given.map(|given| given.owner),
        seal: generation.given.and_then(|it| it.seal.as_ref().map(hex)),
    }
}

fn generation_of_raw(raw: RawGeneration) -> Result<Generation, Unreadable> {
    let keys = raw.keys.into_iter().map(SecretKey::new);
    let seal = raw.seal.as_deref().map(unhex).transpose()?;
    Ok(Generation {
        name: raw.name,
        inode: raw.inode,
        keys: keys
            .collect::<Result<_, _>>()
            .map_err(|_| Unreadable::Damaged)?,
        given: raw.owner.map(|owner| Given { owner, seal }),
    })
}

pub(in crate::state) fn secret_to_bytes(kept: &Kept<DeliveredSecret>) -> Vec<u8> {
    let DeliveredSecret {
        uid,
        resource_version,
        whole,
        wrote,
        manager,
        fingerprint,
        author,
        left,
        restart,
    } = &kept.record;
    encode(&RawSecret {
        version: VERSION,
        uid: uid.to_string(),
        resource_version: resource_version.to_string(),
        whole: whole.as_ref().map(ToString::to_string),
        keys: wrote.keys.iter().map(ToString::to_string).collect(),
        labels: wrote.labels.iter().map(ToString::to_string).collect(),
        annotations: wrote.annotations.iter().map(ToString::to_string).collect(),
        fingerprint: hex(fingerprint),
        manager: manager.as_ref().map(|it| it.as_str().to_owned()),
        author: author.as_deref().map(author_to_raw),
        left: *left,
        left_at: kept.left_at.map(Timestamp::as_second),
        restart: restart.as_ref().map(|it| it.as_str().to_owned()),
    })
}

const POLICIES: [(&str, CreationPolicy); 4] = [
    ("owner", CreationPolicy::Owner),
    ("orphan", CreationPolicy::Orphan),
    ("merge", CreationPolicy::Merge),
    ("create_or_merge", CreationPolicy::CreateOrMerge),
];

fn author_to_raw(author: &Author) -> RawAuthor {
    let word = match author.policy {
        CreationPolicy::Owner => "owner",
        CreationPolicy::Orphan => "orphan",
        CreationPolicy::Merge => "merge",
        CreationPolicy::CreateOrMerge => "create_or_merge",
    };
    RawAuthor {
        policy: word.to_owned(),
        instance: author.instance.to_string(),
    }
}

fn author_of_raw(raw: RawAuthor) -> Result<Author, Unreadable> {
    let mut policies = POLICIES.iter();
    let policy = policies.find(|(word, _)| *word == raw.policy);
    Ok(Author {
        policy: policy.ok_or(Unreadable::Damaged)?.1,
        instance: Instance::new(raw.instance).map_err(|_| Unreadable::Damaged)?,
    })
}

pub(in crate::state) fn secret_from_bytes(
    bytes: &[u8],
) -> Result<Kept<DeliveredSecret>, Unreadable> {
    fn names<T: Ord>(
        texts: Vec<String>,
        name: impl Fn(String) -> Result<T, Expected>,
    ) -> Result<Names<T>, Unreadable> {
        let names: Result<_, _> = texts.into_iter().map(name).collect();
        names.map_err(|_| Unreadable::Damaged)
    }
    let raw: RawSecret = decode(bytes)?;
    let damaged = |_| Unreadable::Damaged;
    let record = DeliveredSecret {
        uid: Uid::new(raw.uid).map_err(damaged)?,
        resource_version: ResourceVersion::new(raw.resource_version).map_err(damaged)?,
        whole: raw.whole.map(Instance::new).transpose().map_err(damaged)?,
        wrote: Wrote {
            keys: names(raw.keys, SecretKey::new)?,
            labels: names(raw.labels, MetadataKey::new)?,
            annotations: names(raw.annotations, MetadataKey::new)?,
        },
        manager: match &raw.manager {
            Some(name) => Some(FieldManager::read(name).ok_or(Unreadable::Damaged)?),
            None => None,
        },
        fingerprint: unhex(&raw.fingerprint)?,
        author: raw.author.map(author_of_raw).transpose()?.map(Arc::new),
        left: raw.left,
        restart: match &raw.restart {
            Some(text) => Some(ChangeId::read(text).ok_or(Unreadable::Damaged)?),
            None => None,
        },
    };
    Ok(Kept {
        record,
        left_at: time(raw.left_at)?,
    })
}

/// That we made a directory is all there is to say of it.
pub(in crate::state) fn made_to_bytes() -> Vec<u8> {
    encode(&RawMade { version: VERSION })
}

pub(in crate::state) fn made_from_bytes(bytes: &[u8]) -> Result<(), Unreadable> {
    decode(bytes).map(|RawMade { .. }| ())
}

pub(in crate::state) fn arns_to_bytes(arns: &Arns) -> Vec<u8> {
    encode(&RawFound {
        version: VERSION,
        arns: arns.clone(),
    })
}

pub(in crate::state) fn arns_from_bytes(bytes: &[u8]) -> Result<Arns, Unreadable> {
    let raw: RawFound = decode(bytes)?;
    Ok(raw.arns)
}

fn time(seconds: Option<i64>) -> Result<Option<Timestamp>, Unreadable> {
    let time = seconds.map(Timestamp::from_second).transpose();
    time.map_err(|_| Unreadable::Damaged)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
mod tests;
