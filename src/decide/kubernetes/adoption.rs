//! Whether a Secret that Kubernetes External Secrets or External Secrets Operator keeps may become ours. Pure.
//!
//! The Secret and its bytes stay as they are; what ties it to the old controller goes, all of it at once or nothing: its
//! owner, so that no garbage collector takes the Secret along, the marks by which ESO finds what to delete, and what Argo
//! CD would prune it by once it has no owner. Nothing is taken from under a finalizer or another controller.

mod keys;
mod patch;
pub mod quiet;

use std::fmt;

use crate::decide::changes::Delta;
use crate::failure::{Failure, Reason};
use crate::kube::{
    Controller, ExternalSecretApi, FieldManager, LiveSecret, Operation, Owner, Ties,
};
use crate::names::SecretKey;

use super::ownership::ESO_PREFIX;
use super::{INSTANCE_ANNOTATION, Wanted, usable, writable};

/// What was taken away, as JSON, for whoever wants it back.
pub const ADOPTED_FROM: &str = "secretsyncd/adopted-from";
const KIND: &str = "ExternalSecret";
const ARGO_PREFIX: &str = "argocd.argoproj.io/";
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Argo CD neither prunes such an object nor deletes it with its application.
const KEEP: [&str; 2] = ["Delete=false", "Prune=false"];

/// Who keeps a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeper {
    Kes,
    Eso,
}

impl Keeper {
    /// In which versions its objects may be served, the newest first.
    pub fn versions(self) -> &'static [ExternalSecretApi] {
        match self {
            Self::Kes => &[ExternalSecretApi::KesV1],
            Self::Eso => &[
                ExternalSecretApi::EsoV1,
                ExternalSecretApi::EsoV1Beta1,
                ExternalSecretApi::EsoV1Alpha1,
            ],
        }
    }

    pub fn of(api: ExternalSecretApi) -> Self {
        match api {
            ExternalSecretApi::KesV1 => Self::Kes,
            ExternalSecretApi::EsoV1
            | ExternalSecretApi::EsoV1Beta1
            | ExternalSecretApi::EsoV1Alpha1 => Self::Eso,
        }
    }

    /// What its pods have as their `app.kubernetes.io/name`, by its own Helm chart.
    pub fn app(self) -> &'static str {
        match self {
            Self::Kes => "kubernetes-external-secrets",
            Self::Eso => "external-secrets",
        }
    }

    /// As `kubectl` names its objects, whatever else is called so.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Kes => "externalsecrets.kubernetes-client.io",
            Self::Eso => "externalsecrets.external-secrets.io",
        }
    }

    /// Of an owner that is one of its objects.
    pub fn owning(owner: &Owner) -> Option<Self> {
        Self::group_of(owner).filter(|_| owner.kind == KIND)
    }

    /// Of a controller that is one of its objects.
    pub fn controlling(controller: &Controller) -> Option<Self> {
        Self::of_group(&controller.group).filter(|_| controller.kind == KIND)
    }

    fn group_of(owner: &Owner) -> Option<Self> {
        Self::of_group(&owner.group)
    }

    fn of_group(group: &str) -> Option<Self> {
        match group {
            "kubernetes-client.io" => Some(Self::Kes),
            "external-secrets.io" | "generators.external-secrets.io" => Some(Self::Eso),
            _ => None,
        }
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kes => "Kubernetes External Secrets",
            Self::Eso => "External Secrets Operator",
        })
    }
}

/// Whether the content may be another one afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    AsItIs,
    MayChange,
}

/// What is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    pub from: Keeper,
    pub share: Share,
    /// What goes of its owners. None where the old controller gave it up itself and left its marks.
    pub owners: Vec<Owner>,
    /// Owners that stay, none of them a controller: when they go, it goes with the last one.
    pub kept: Vec<Owner>,
    /// What the next delivery changes, by name; empty where the bytes are the same.
    pub content: Delta,
    /// The names of what goes.
    pub labels: Vec<String>,
    pub annotations: Vec<String>,
}

/// How much of a Secret is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    Whole {
        /// What Argo CD is told from then on. By which label it tracks, only its own configuration says, and without an
        /// owner it prunes what it tracks.
        sync_options: String,
    },
    /// What the entry merges into a Secret that somebody else made.
    Keys {
        /// Those of them that the old controller holds, too.
        held: Vec<String>,
        /// What it holds besides: that stays, and nobody renews it.
        left: Vec<String>,
    },
}

/// What taking it over would be; `None` where neither of them keeps it.
pub fn adoption(
    wanted: &Wanted,
    (live, ties): (&LiveSecret, &Ties),
    content: Content,
) -> Result<Option<Taking>, Failure> {
    if !wanted.policy.is_whole() {
        return keys::adoption(wanted, (live, ties), content);
    }
    let (owners, kept): (Vec<&Owner>, Vec<&Owner>) = ties
        .owners
        .iter()
        .partition(|it| Keeper::owning(it).is_some());
    let Some(from) = keeper(live, &owners) else {
        return Ok(None);
    };
    if live.deleting {
        return Err(refused("is being deleted", "wait until it is gone"));
    }
    alone(&kept, ties)?;
    of_no_other_of_us(wanted, live)?;
    kept_by_argo(wanted)?;
    writable(wanted)?;
    usable(wanted)?;
    let delta = delta(wanted, live);
    fits(wanted, live, (&delta, content))?;
    let is_mark =
        |key: &&String| is_eso_mark(key) || (key.starts_with(ARGO_PREFIX) && *key != SYNC_OPTIONS);
    Ok(Some(Taking {
        from,
        owners: owners.into_iter().cloned().collect(),
        kept: kept.into_iter().cloned().collect(),
        content: delta,
        labels: live.labels.keys().filter(is_mark).cloned().collect(),
        annotations: live.annotations.keys().filter(is_mark).cloned().collect(),
        share: Share::Whole {
            sync_options: sync_options(live),
        },
    }))
}

/// Who keeps a Secret, whatever is wanted of it.
pub fn keeper_of(live: &LiveSecret, ties: &Ties) -> Option<Keeper> {
    let owners: Vec<&Owner> = ties.owners.iter().collect();
    keeper(live, &owners)
}

/// By its owners, else by the marks that only ESO leaves.
fn keeper(live: &LiveSecret, owners: &[&Owner]) -> Option<Keeper> {
    let controllers = owners.iter().filter(|owner| owner.controller);
    let mut all = controllers.chain(owners);
    if let Some(keeper) = all.find_map(|owner| Keeper::owning(owner)) {
        return Some(keeper);
    }
    has_marks(live).then_some(Keeper::Eso)
}

/// Those that only ESO leaves.
pub(super) fn has_marks(live: &LiveSecret) -> bool {
    let mut keys = live.labels.keys().chain(live.annotations.keys());
    keys.any(|key| is_eso_mark(key))
}

fn is_eso_mark(key: &str) -> bool {
    key.starts_with(ESO_PREFIX)
}

/// Whether an old controller still has a hand on what is to be taken over.
pub fn is_kept(wanted: &Wanted, live: &LiveSecret, ties: &Ties) -> bool {
    if wanted.policy.is_whole() {
        keeper_of(live, ties).is_some()
    } else {
        keys::is_kept(wanted, live)
    }
}

/// Whatever else has a say in it would go on having it.
fn alone(kept: &[&Owner], ties: &Ties) -> Result<(), Failure> {
    if kept.iter().any(|owner| owner.controller) {
        return Err(refused(
            "has a controller that is neither Kubernetes External Secrets nor External Secrets Operator",
            "choose another name for the target; what a controller owns is never taken over",
        ));
    }
    if kept.iter().any(|owner| Keeper::group_of(owner).is_some()) {
        return Err(refused(
            "has an owner that is another object of External Secrets than an ExternalSecret",
            "see what that is; with it, and with the kinds of External Secrets, the Secret would go",
        ));
    }
    if !ties.finalizers.is_empty() {
        return Err(refused(
            "has finalizers, so somebody else has a say in it",
            "find out who set them; once they are out of its `metadata.finalizers` it can be taken over",
        ));
    }
    Ok(())
}

/// What another instance, or another entry's merging, holds is not an old controller's to give.
fn of_no_other_of_us(wanted: &Wanted, live: &LiveSecret) -> Result<(), Failure> {
    let instance = live.annotations.get(INSTANCE_ANNOTATION);
    if instance.is_some_and(|it| it.expose() != wanted.instance.as_str().as_bytes()) {
        return Err(refused(
            "belongs to another instance of secretsyncd",
            "choose another name for the target, or set `daemon.instance` to that of the Secret",
        ));
    }
    // As which the entry merged into it, under another policy.
    let own = FieldManager::new(&[wanted.instance.as_str(), wanted.entry.as_str()]);
    let another = live.managers.iter().any(|manager| {
        let ours = FieldManager::read(&manager.name).is_some();
        ours && manager.operation == Operation::Apply
            && !manager.is(&wanted.manager)
            && !manager.is(&own)
            && !manager.data.is_empty()
    });
    if another {
        return Err(refused(
            "holds keys of another entry of secretsyncd",
            "two entries write it: let one have all its keys, or choose another name for this one",
        ));
    }
    Ok(())
}

/// Each delivery would take back what Argo CD is told here.
fn kept_by_argo(wanted: &Wanted) -> Result<(), Failure> {
    let Some(options) = wanted.annotations.get(SYNC_OPTIONS) else {
        return Ok(());
    };
    let has = |keep: &str| options.split(',').any(|option| option.trim() == keep);
    if KEEP.into_iter().all(has) {
        return Ok(());
    }
    Err(refused(
        "would lose its owner, and the entry's own `argocd.argoproj.io/sync-options` lets Argo CD prune it then",
        "add `Prune=false` and `Delete=false` to that annotation of the target, or take it out",
    ))
}

/// What it has, and that it is to be kept.
fn sync_options(live: &LiveSecret) -> String {
    let before = live.annotations.get(SYNC_OPTIONS);
    let before = before.and_then(|it| std::str::from_utf8(it.expose()).ok());
    let before = before.unwrap_or_default().split(',').map(str::trim);
    let stays = |option: &&str| {
        let name = option.split('=').next().unwrap_or_default();
        !name.is_empty()
            && KEEP
                .iter()
                .all(|keep| !keep.starts_with(&format!("{name}=")))
    };
    before
        .filter(stays)
        .chain(KEEP)
        .collect::<Vec<_>>()
        .join(",")
}

fn fits(
    wanted: &Wanted,
    live: &LiveSecret,
    (delta, content): (&Delta, Content),
) -> Result<(), Failure> {
    if wanted.policy.is_whole() && wanted.secret_type != live.secret_type {
        return Err(refused(
            "has another type than the target, and Kubernetes never changes one",
            "set `type` of the target to that of the Secret",
        ));
    }
    if delta.is_empty() {
        return Ok(());
    }
    if live.immutable {
        return Err(refused(
            "is immutable, and its content is not what would be written",
            "correct the entry, or deliver under another name",
        ));
    }
    match content {
        Content::MayChange => Ok(()),
        Content::AsItIs => Err(refused(
            &format!(
                "holds other content than would be written: keys {}",
                names(delta)
            ),
            "correct the entry (`json_format`, `template`), or accept the changes by `--accept-changes`",
        )),
    }
}

/// `+added ~changed -removed`.
fn names(delta: &Delta) -> String {
    let parts = [
        ('+', &delta.added),
        ('~', &delta.changed),
        ('-', &delta.removed),
    ];
    let signed = parts
        .iter()
        .flat_map(|(sign, names)| names.iter().map(move |name| format!("{sign}{name}")));
    signed.collect::<Vec<_>>().join(" ")
}

/// Of an entry that merges, what others have in it stays.
fn delta(wanted: &Wanted, live: &LiveSecret) -> Delta {
    let mut delta = Delta::default();
    for (key, value) in wanted.data.iter() {
        match live.data.get(key) {
            None => delta.added.push(key.to_string()),
            Some(there) if there != value => delta.changed.push(key.to_string()),
            Some(_) => {}
        }
    }
    if wanted.policy.is_whole() {
        let mut gone = live.data.keys().collect::<Vec<_>>();
        gone.retain(|key| wanted.data.get(key).is_none());
        delta.removed = gone.into_iter().map(SecretKey::to_string).collect();
    }
    delta
}

fn refused(fact: &str, help: &'static str) -> Failure {
    Failure::new(Reason::Conflict, format!("the Secret {fact}")).with_help(help)
}

#[cfg(test)]
mod tests;
