//! Whether what we delivered to a Secret may go: the Secret as a whole, or our keys in it.
//!
//! Three must agree: the ledger, which knows that we wrote this very life of the Secret and how; the Secret, which says
//! so itself; and the API server, which knows of nobody else's content in it. What nobody would miss is only what is
//! proven to be ours alone.

use super::adoption::{ADOPTED_FROM, Keeper, has_marks};
use super::{DeliveredSecret, ENTRY_ANNOTATION, INSTANCE_ANNOTATION, MANAGED_LABEL, field_manager};
use crate::config::CreationPolicy;
use crate::failure::{Failure, Reason};
use crate::kube::{FieldManager, LiveSecret, Manager};
use crate::names::{EntryName, Instance, ResourceVersion, SecretKey, Uid};

/// How something was delivered to a Secret: what may be taken away again follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Author {
    pub policy: CreationPolicy,
    /// Part of the field manager's name under the merge policies.
    pub instance: Instance,
}

/// The one state of one Secret that a removal is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condemned {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// What we delivered is not there any more: it only has to be forgotten.
    Gone,
    /// It is there and stays: nothing of ours ever deletes it. It is forgotten.
    Release,
    Delete(Condemned),
    /// The keys that this manager alone holds go by an empty apply.
    GiveBack(Condemned, FieldManager),
}

impl DeliveredSecret {
    /// How it was delivered. Releases that did not record it knew two policies: as an owner, and merging; under which
    /// name one of those merged is not known.
    pub fn delivered_as(&self) -> Option<Author> {
        let owner = |instance: &Instance| Author {
            policy: CreationPolicy::Owner,
            instance: instance.clone(),
        };
        let recorded = self.author.as_deref().cloned();
        recorded.or_else(|| self.whole.as_ref().map(owner))
    }
}

/// A configured target whose sources are all proven gone, and whose policy is `delete`.
pub fn delete(
    entry: &EntryName,
    ledger: Option<&DeliveredSecret>,
    live: Option<&LiveSecret>,
) -> Result<Removal, Failure> {
    let Some(live) = live else {
        return Ok(Removal::Gone);
    };
    let Some(ledger) = ledger else {
        return Err(stays(
            "the ledger does not know that this entry wrote the Secret",
        ));
    };
    if ledger.uid != live.uid {
        return Err(stays(
            "somebody deleted the Secret that we wrote and made another one",
        ));
    }
    match ledger.delivered_as() {
        Some(author) if author.policy == CreationPolicy::Owner => {
            is_ours_alone(entry, &author.instance, live).map(|()| Removal::Delete(condemned(live)))
        }
        Some(_) | None => Err(stays("the Secret was not delivered as its owner")),
    }
}

/// Whether nothing of ours ever takes it away, so that nobody has to look at it.
pub fn is_never_removed(ledger: &DeliveredSecret) -> bool {
    let author = ledger.delivered_as();
    author.is_some_and(|author| author.policy == CreationPolicy::Orphan)
}

/// A Secret that no entry writes any more.
pub fn orphaned(
    entry: &EntryName,
    ledger: &DeliveredSecret,
    live: Option<&LiveSecret>,
) -> Result<Removal, Failure> {
    // Another life of the Secret holds nothing of ours.
    let Some(live) = live.filter(|live| live.uid == ledger.uid) else {
        return Ok(Removal::Gone);
    };
    let Some(author) = ledger.delivered_as() else {
        return Err(stays(
            "an earlier release merged into the Secret and did not record under which name",
        ));
    };
    match author.policy {
        // Somebody has given it back.
        CreationPolicy::Owner if given_back(live) => Ok(Removal::Release),
        CreationPolicy::Owner => {
            is_ours_alone(entry, &author.instance, live).map(|()| Removal::Delete(condemned(live)))
        }
        CreationPolicy::Orphan => Ok(Removal::Release),
        CreationPolicy::Merge | CreationPolicy::CreateOrMerge if merged_back(live) => {
            Ok(Removal::Release)
        }
        CreationPolicy::Merge | CreationPolicy::CreateOrMerge => give_back(entry, &author, live),
    }
}

/// To KES or ESO, from whom it was taken over: it goes with their object.
fn given_back(live: &LiveSecret) -> bool {
    let mut controllers = live.controller.iter();
    controllers.any(|it| Keeper::controlling(it).is_some())
}

/// The same of keys: ESO has its marks on the Secret again, and counts on what it once wrote.
fn merged_back(live: &LiveSecret) -> bool {
    live.annotations.contains_key(ADOPTED_FROM) && has_marks(live)
}

fn give_back(entry: &EntryName, author: &Author, live: &LiveSecret) -> Result<Removal, Failure> {
    if live.deleting {
        return Err(being_deleted());
    }
    let manager = field_manager(author.policy, &author.instance, entry);
    if !live.managers.iter().any(|it| it.is(&manager)) {
        // What was ours is somebody else's by now, or went.
        return Ok(Removal::Gone);
    }
    if live.immutable {
        return Err(stays("the Secret is immutable, and holds our keys"));
    }
    Ok(Removal::GiveBack(condemned(live), manager))
}

fn condemned(live: &LiveSecret) -> Condemned {
    Condemned {
        uid: live.uid.clone(),
        resource_version: live.resource_version.clone(),
    }
}

/// Whether the whole Secret is ours and holds nothing of anybody else.
fn is_ours_alone(entry: &EntryName, instance: &Instance, live: &LiveSecret) -> Result<(), Failure> {
    if live.deleting {
        return Err(being_deleted());
    }
    let says = |key: &str, name: &str| {
        let said = live.annotations.get(key);
        said.is_some_and(|said| said.expose() == name.as_bytes())
    };
    let labelled = live.labels.get(MANAGED_LABEL.0).map(String::as_str) == Some(MANAGED_LABEL.1);
    if !labelled || !says(INSTANCE_ANNOTATION, instance.as_str()) {
        return Err(stays("the Secret does not say any more that it is ours"));
    }
    if !says(ENTRY_ANNOTATION, entry.as_str()) {
        return Err(stays("the Secret says that another entry writes it"));
    }
    if live.controller.is_some() {
        return Err(stays("a controller owns the Secret"));
    }
    if has_marks(live) {
        return Err(stays("the Secret carries the marks of External Secrets"));
    }
    holds_nothing_foreign(live)
}

/// No key is there that only others hold, and none of ours that others hold too. Older API servers say that of whoever
/// lost his last key to us, at the next write of anybody (measured with 1.20).
fn holds_nothing_foreign(live: &LiveSecret) -> Result<(), Failure> {
    let whole = FieldManager::new(&[]);
    let is_us = |manager: &Manager| {
        manager.is(&whole) || manager.made_for(&whole) || manager.is_old_attempt()
    };
    if !live.managers.iter().any(|it| it.is(&whole)) {
        return Err(stays("nothing proves that we wrote the Secret"));
    }
    let mut others = live.managers.iter().filter(|it| !is_us(it));
    if let Some(other) = others.find(|it| !it.data.is_empty()) {
        return Err(stays(&match plain(&other.name) {
            Some(name) => format!("by its managedFields `{name}` has content in the Secret, too"),
            None => "by its managedFields somebody else has content in the Secret, too".to_owned(),
        }));
    }
    let is_ours = |key: &SecretKey| {
        let mut managers = live.managers.iter().filter(|it| is_us(it));
        managers.any(|it| it.data.contains(key.as_str()))
    };
    match live.data.keys().find(|key| !is_ours(key)) {
        Some(key) => Err(stays(&format!(
            "the Secret holds the key `{key}`, which is not ours"
        ))),
        None => Ok(()),
    }
}

/// Other programs choose the names of managers; only what looks like one is repeated.
fn plain(name: &str) -> Option<&str> {
    super::fields::is_plain(name).then_some(name)
}

fn being_deleted() -> Failure {
    Failure::new(Reason::TargetMissing, "the Secret is being deleted").with_help(
        "it is looked at again by itself; if it stays, a finalizer on the Secret holds it",
    )
}

fn stays(why: &str) -> Failure {
    Failure::new(Reason::Conflict, format!("{why}, so it is not removed")).with_help(
        "look at the Secret's managedFields and annotations; what may go, remove by hand",
    )
}

#[cfg(test)]
mod tests;
