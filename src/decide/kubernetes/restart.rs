//! When pods have to be restarted because of a Secret, and the record of it: an annotation on the Secret itself, set by
//! the apply that changes the data, so that whoever writes the Secret next finishes what was begun.
//!
//! The record is no part of what is wanted of a Secret: it is carried along while the restart is not done. Pods that
//! begin with a Secret need no restart, so the making of one records nothing.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{DeliveredSecret, Touches, Verdict, Wanted};
use crate::kube::{FieldKind, FieldManager, LiveSecret};
use crate::names::{MetadataKey, ObjectName};

/// Names the change of the Secret that its workloads are to be restarted for.
const RECORD: &str = "secretsyncd/restart";
/// The name of an annotation, behind its prefix, has at most so many characters.
const NAME_MAX: usize = 63;
const ID_MAX: usize = 64;

/// One change of the data of one Secret: when it was written, and a random number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId(Box<str>);

impl ChangeId {
    pub fn new(now: Timestamp, random: u64) -> Self {
        let now = now.strftime("%Y-%m-%dT%H:%M:%SZ");
        Self(format!("{now}.{random:016x}").into())
    }

    /// Anybody can write that text on a Secret. It is written on workloads, so it has to be a plain word.
    pub fn read(text: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b":.-".contains(&b);
        let fits = (1..=ID_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        fits.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was written, if it says so.
    pub fn at(&self) -> Option<Timestamp> {
        self.0.split_once('.')?.0.parse().ok()
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Under which annotation a manager keeps its record. Those who share a Secret have one each.
pub fn record_key(manager: &FieldManager) -> MetadataKey {
    let key = if *manager == FieldManager::new(&[]) {
        RECORD.to_owned()
    } else {
        format!("{RECORD}-{}", short_hash(&[manager.as_str()]))
    };
    legal(key)
}

/// The annotation of a pod template that says for which change of that Secret its pods began.
pub fn mark_key(secret: &ObjectName, manager: &FieldManager) -> MetadataKey {
    const BEGIN: &str = "restart.";
    let secret = secret.as_str();
    let is_whole = *manager == FieldManager::new(&[]);
    if is_whole && BEGIN.len() + secret.len() <= NAME_MAX {
        legal(format!("secretsyncd/{BEGIN}{secret}"))
    } else {
        let hash = short_hash(&[secret, manager.as_str()]);
        legal(format!("secretsyncd/{BEGIN}{hash}"))
    }
}

fn legal(key: String) -> MetadataKey {
    MetadataKey::new(key).expect("a Secret's name and hexadecimal digits are legal behind a prefix")
}

/// 16 digits. No name holds a zero.
fn short_hash(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("\0").as_bytes());
    let first: [u8; 8] = std::array::from_fn(|i| hash[i]);
    format!("{:016x}", u64::from_be_bytes(first))
}

/// Whether that annotation is anybody's record.
pub fn is_record(key: &str) -> bool {
    key == RECORD
        || key
            .strip_prefix(RECORD)
            .is_some_and(|rest| rest.starts_with('-'))
}

/// What is recorded by writing this.
pub fn recorded(wanted: &Wanted) -> Option<ChangeId> {
    let text = wanted.annotations.get(&record_key(&wanted.manager))?;
    ChangeId::read(text)
}

/// What is wanted, with the record of a restart that is not done.
pub fn carried<'w>(
    wanted: &'w Wanted,
    live: Option<&LiveSecret>,
    own: Option<&DeliveredSecret>,
) -> Cow<'w, Wanted> {
    match pending(wanted, live, own) {
        Some(change) => Cow::Owned(recording(wanted, &change)),
        None => Cow::Borrowed(wanted),
    }
}

/// What is wanted, recorded as that change.
pub fn recording(wanted: &Wanted, change: &ChangeId) -> Wanted {
    let mut wanted = wanted.clone();
    let key = record_key(&wanted.manager);
    wanted.annotations.insert(key, change.to_string());
    wanted
}

fn pending(
    wanted: &Wanted,
    live: Option<&LiveSecret>,
    own: Option<&DeliveredSecret>,
) -> Option<ChangeId> {
    let own = own.filter(|own| !own.left);
    let Some(live) = live else {
        // It went with the Secret, and the pods are as they were.
        return own?.restart.clone();
    };
    let read = |key: &str| {
        let text = live.annotations.get(key)?.expose();
        ChangeId::read(std::str::from_utf8(text).ok()?)
    };
    let key = record_key(&wanted.manager);
    // A predecessor's, that is ours by now.
    let inherited = || {
        let mut managers = live.managers.iter().filter(|it| it.is(&wanted.manager));
        managers.find_map(|it| {
            let mut records = it.fields(FieldKind::Annotation).iter();
            records.find_map(|key| is_record(key).then(|| read(key)).flatten())
        })
    };
    // Somebody may have wiped what only the restart takes away.
    let wiped = || own.filter(|own| own.uid == live.uid)?.restart.clone();
    read(key.as_str()).or_else(inherited).or_else(wiped)
}

/// Whether carrying it out gives readers of the Secret something else than they may have begun with.
pub fn is_due(verdict: &Verdict, wanted: &Wanted, own: Option<&DeliveredSecret>) -> bool {
    match verdict {
        Verdict::Apply { touches, .. } => *touches == Touches::Data,
        // It was there before, with other content.
        Verdict::Create { .. } => own.is_some_and(|own| own.fingerprint != wanted.fingerprint),
        Verdict::Unchanged(_) | Verdict::TakeOver { .. } => false,
    }
}

#[cfg(test)]
mod tests;
