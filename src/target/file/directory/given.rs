//! Generations the files of which were given to an owner, who may have closed them to us.
//!
//! A capability to read everything is not wanted. So the ledger keeps a seal: a fingerprint of what was delivered together
//! with inode, size and times of each file. Nobody can touch a file and set the last of its times back.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use super::look::{Inside, inside};
use crate::decide;
use crate::decide::file::Content;
use crate::failure::Failure;
use crate::names::SecretKey;
use crate::secret::{Fingerprint, FingerprintKey};
use crate::state::{FileDelivery, FileRecord, Generation, Given};
use crate::target::file::inode::Stamp;
use crate::target::file::on_disk::OnDisk;
use crate::target::file::refusal::refused;
use crate::target::file::staged::changed;

/// What is in it, from what the ledger knows.
pub(super) fn content(record: Option<&FileRecord>, live: &Inside, key: &FingerprintKey) -> Content {
    let Some(record) = record else {
        return Content::Unknown;
    };
    let place = (live.name.as_str(), live.id.inode());
    decide::directory::content_unread(record, place, |delivered| seal(key, delivered, &live.files))
}

/// Adds to what was delivered how its files lie there.
pub(super) fn sealed(
    delivery: FileDelivery,
    files: &BTreeMap<SecretKey, Stamp>,
    key: &FingerprintKey,
) -> FileDelivery {
    let mut delivery = delivery;
    let newest = delivery.generations.last_mut();
    if let Some(given) = newest.and_then(|newest| newest.given.as_mut()) {
        given.seal = Some(seal(key, delivery.fingerprint, files));
    }
    delivery
}

/// A generation that is in place already, as the ledger is to know it.
pub(super) fn found(
    disk: &OnDisk,
    directory: &OwnedFd,
    (content, live): (Fingerprint, &Inside),
) -> Result<Generation, Failure> {
    let generation = live.generation();
    let Some(owner) = disk.ownership.owner() else {
        return Ok(generation);
    };
    // Their modes may have been set since they were seen.
    let again = inside(directory, &live.name, (&disk.state, &disk.ownership))
        .map_err(|errno| refused("examine the files of", &disk.path, errno))?;
    let again = again.filter(|again| again.is_unwritten_since(live));
    let again = again.ok_or_else(|| changed(&disk.path))?;
    let seal = Some(seal(disk.state.fingerprint_key(), content, &again.files));
    Ok(Generation {
        given: Some(Given { owner, seal }),
        ..generation
    })
}

/// Whether the ledger can tell later, without reading them, that nobody touched what is given.
pub(super) fn is_known(generation: &Generation, owner: Option<u32>) -> bool {
    match (generation.given, owner) {
        (None, None) => true,
        (Some(given), Some(owner)) => given.owner == owner && given.seal.is_some(),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn seal(
    key: &FingerprintKey,
    content: Fingerprint,
    files: &BTreeMap<SecretKey, Stamp>,
) -> Fingerprint {
    let mut parts = vec![b"given".to_vec(), content.as_bytes().to_vec()];
    for (name, stamp) in files {
        parts.push(name.as_str().as_bytes().to_vec());
        parts.push(stamp.lasting());
    }
    key.of(parts.iter().map(Vec::as_slice))
}
