//! Our part of a Secret that somebody else made, and that External Secrets Operator merges into as well.
//!
//! Nothing of the Secret is ours but our keys: its owners, its finalizers and what Argo CD tracks it by stay. ESO's marks
//! go, and its hold on our keys: without that, the first new value would be another one than ESO wrote, whom the API
//! server goes on naming long after it is gone.

use std::collections::BTreeSet;

use super::{Content, Keeper, Share, Taking, delta, fits, has_marks, is_eso_mark, refused};
use crate::decide::kubernetes::{Wanted, usable, writable};
use crate::failure::Failure;
use crate::kube::{FieldManager, LiveSecret, Manager, Operation, Ties};

/// In whose name ESO writes, with that of its object behind it; before 0.7.3, its own.
const MANAGER: &str = "externalsecrets.external-secrets.io/";
const FORMER_MANAGER: &str = "external-secrets";

pub(super) fn adoption(
    wanted: &Wanted,
    (live, ties): (&LiveSecret, &Ties),
    content: Content,
) -> Result<Option<Taking>, Failure> {
    let held: Vec<String> = held(wanted, live).cloned().collect();
    let is_owned = ties.owners.iter().any(|it| Keeper::owning(it).is_some());
    if is_owned {
        return Err(refused(
            "is owned by an ExternalSecret, and this entry only merges into it: it goes with its owner",
            "let one entry have all its keys (`creation_policy = \"owner\"` or \"orphan\") and take this one out, or keep the \
             ExternalSecret",
        ));
    }
    if !is_kept(wanted, live) {
        return Ok(None);
    }
    if live.deleting {
        return Err(refused("is being deleted", "wait until it is gone"));
    }
    writable(wanted)?;
    usable(wanted)?;
    let delta = delta(wanted, live);
    fits(wanted, live, (&delta, content))?;
    let left: Vec<String> = left(wanted, live).into_iter().cloned().collect();
    if content == Content::AsItIs && !left.is_empty() {
        let fact = format!(
            "has keys of External Secrets Operator that no entry writes: {}",
            left.iter()
                .map(|it| it.escape_debug().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        );
        return Err(refused(
            &fact,
            "add them to the entry, or deliver the entry that has them first; or accept by `--accept-changes` that nobody \
             renews them",
        ));
    }
    Ok(Some(Taking {
        from: Keeper::Eso,
        share: Share::Keys { held, left },
        owners: Vec::new(),
        kept: ties.owners.clone(),
        content: delta,
        labels: marks(live.labels.keys()),
        annotations: marks(live.annotations.keys()),
    }))
}

/// Whether ESO writes some of our keys, or nobody knows which of all are its own: what it writes besides is not ours to take.
pub(super) fn is_kept(wanted: &Wanted, live: &LiveSecret) -> bool {
    let mut theirs = live.managers.iter().filter(|it| is_of_eso(it));
    let is_idle = theirs.all(|it| it.data.is_empty());
    held(wanted, live).next().is_some() || (has_marks(live) && is_idle)
}

/// Keys that ESO writes, and neither this entry nor another of us.
fn left<'a>(wanted: &Wanted, live: &'a LiveSecret) -> BTreeSet<&'a String> {
    let ours = |key: &str| {
        let mut managers = live.managers.iter();
        let is_another = |it: &Manager| {
            it.operation == Operation::Apply && FieldManager::read(&it.name).is_some()
        };
        managers.any(|it| is_another(it) && !it.is(&wanted.manager) && it.data.contains(key))
    };
    let theirs = live.managers.iter().filter(|it| is_of_eso(it));
    let keys = theirs.flat_map(|it| &it.data);
    keys.filter(|key| !wants(wanted, key) && !ours(key))
        .collect()
}

fn marks<'a>(keys: impl Iterator<Item = &'a String>) -> Vec<String> {
    keys.filter(|key| is_eso_mark(key)).cloned().collect()
}

/// Our keys that ESO holds.
pub(super) fn held<'a>(
    wanted: &'a Wanted,
    live: &'a LiveSecret,
) -> impl Iterator<Item = &'a String> {
    let theirs = live.managers.iter().filter(|it| is_of_eso(it));
    let keys = theirs.flat_map(|it| &it.data);
    keys.filter(|key| wants(wanted, key))
}

fn wants(wanted: &Wanted, name: &str) -> bool {
    wanted.data.iter().any(|(key, _)| key.as_str() == name)
}

pub(super) fn is_of_eso(manager: &Manager) -> bool {
    manager.name.starts_with(MANAGER) || manager.name == FORMER_MANAGER
}
