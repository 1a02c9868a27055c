//! How the sources of an entry stand, and whether it can be proven that one is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Slot;
use super::lost::lost_of;
use crate::config::{OnMissing, Source, Version};
use crate::decide::missing::{Gone, Proof, Standing};
use crate::failure::Failure;
use crate::names::RemoteKey;
use crate::store::{Identity, Read};
use crate::sync::{Answers, Item, Run, read_of};

/// One slot whose secret is not there.
pub(super) struct Absent {
    pub(super) slot: Slot,
    pub(super) on_missing: OnMissing,
    pub(super) standing: Standing,
    pub(super) failure: Failure,
    /// A `find` lists it no longer.
    pub(super) lost: bool,
    pub(super) proving: Proving,
}

/// Whether it can become certain at all that a secret is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proving {
    Possible,
    /// What was read of it has no ARN to ask for: it came from a file store, or is made of tags alone.
    Impossible,
    /// Nothing was read of it.
    Unread,
}

impl Proving {
    pub fn of(read: &Read, identity: &Identity) -> Self {
        if proof_of(read, identity).is_some() {
            Self::Possible
        } else {
            Self::Impossible
        }
    }

    fn in_run(run: &Run, read: &Read) -> Self {
        let delivered = run.delivered.get(read);
        let delivered = delivered.map(|version| Self::of(read, &version.identity));
        let known = run.known.get(read).copied();
        delivered.or(known).unwrap_or(Self::Unread)
    }
}

/// The read by the complete ARN of what `read` once answered with.
pub fn proof_of(read: &Read, identity: &Identity) -> Option<Read> {
    let Source::Value { key, version } = &read.source else {
        return None;
    };
    let (Identity::Version { arn, .. } | Identity::Parameter { arn, .. }) = identity else {
        return None;
    };
    if key.as_str() == &**arn && *version == Version::Current {
        return Some(read.clone());
    }
    Some(Read::new(
        read.store.clone(),
        Source::Value {
            key: RemoteKey::new(Arc::clone(arn)).ok()?,
            version: Version::Current,
        },
    ))
}

/// How many slots have their secret, and the others.
pub(super) fn standings(run: &Run, answers: &Answers) -> (usize, Vec<Absent>) {
    let mut there = 0;
    let mut absent = Vec::new();
    let mut take = |run: &Run, slot: Slot, read: &Read, on_missing| match answers.missing.get(read)
    {
        None => there += 1,
        Some(failure) => absent.push(Absent {
            slot,
            on_missing,
            standing: standing(run, read, failure),
            failure: failure.clone(),
            lost: false,
            proving: Proving::in_run(run, read),
        }),
    };
    let mut gone = Vec::new();
    for (item, spec) in run.entry.items.iter().enumerate() {
        let read = &run.entry.reads[spec.read()];
        let Item::Found { on_missing, .. } = spec else {
            let found = None;
            take(run, Slot { item, found }, read, spec.on_missing());
            continue;
        };
        for found in answers.matches(read) {
            let slot = Slot {
                item,
                found: Some(found.name.clone()),
            };
            take(run, slot, &read_of(read, found), *on_missing);
        }
        gone.extend(lost_of(run, answers, (item, read), *on_missing));
    }
    absent.extend(gone);
    (there, absent)
}

fn standing(run: &Run, read: &Read, failure: &Failure) -> Standing {
    let Some(gone) = Gone::of(failure.reason, &read.source) else {
        return Standing::Failed;
    };
    let proofs = run.proofs.get(read).into_iter().flat_map(BTreeMap::values);
    // There is one direct read of what is gone, or none.
    let proof = proofs.map(|(_, proof)| *proof).next();
    Standing::Missing {
        gone,
        proof: proof.unwrap_or(Proof::None),
    }
}
