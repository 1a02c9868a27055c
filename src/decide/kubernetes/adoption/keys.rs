//! Our part of a Secret that somebody else made, and that External Secrets Operator merges into as well.
//!
//! Nothing of the Secret is ours but our keys: its owners, its finalizers and what Argo CD tracks it by stay. ESO's marks
//! go, and its hold on our keys: without that, the first new value would be another one than ESO wrote, whom the API
//! server goes on naming long after it is gone.

use std::collections::BTreeSet;

use super::{Content, Keeper, Share, Taking, delta, fits, has_marks, is_eso_mark, refused};
use crate::decide::kubernetes::{Wanted, usable, writable};
use crate::failure::Failure;
use crate::kube::{LiveSecret, Manager, Ties};

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
            "let an entry that has all its keys (`creation_policy = \"owner\"` or \"orphan\") take it over, then run `adopt` \
             again; until then keep the ExternalSecret",
        ));
    }
    if held.is_empty() && !has_marks(live) {
        return Ok(None);
    }
    if live.deleting {
        return Err(refused("is being deleted", "wait until it is gone"));
    }
    writable(wanted)?;
    usable(wanted)?;
    let delta = delta(wanted, live);
    fits(wanted, live, (&delta, content))?;
    let left = live.managers.iter().filter(|it| is_of_eso(it));
    let left = left.flat_map(|it| &it.data);
    let left: BTreeSet<&String> = left.filter(|key| !wants(wanted, key)).collect();
    let left = left.into_iter().cloned().collect();
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
