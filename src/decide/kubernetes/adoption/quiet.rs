//! Whether the old controller has taken its hand off a Secret. Pure.
//!
//! Two things must say so: what its `ExternalSecret` says, or that no pod of the controller is left; and the Secret itself,
//! on which a mark stands untouched that the controller would not have left there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Keeper, keeper_of, refused};
use crate::decide::kubernetes::{INSTANCE_ANNOTATION, Wanted};
use crate::failure::{Failure, Reason};
use crate::kube::{ExternalSecret, LiveSecret, Metadata, Ties};
use crate::names::{ResourceVersion, Uid};

/// An annotation that KES takes off whenever it writes: it replaces the whole object \[measured\].
pub const CANARY: &str = "secretsyncd/adopting";
/// ESO puts its own value back as soon as it sees another one.
pub(super) const DATA_HASH: &str = "reconcile.external-secrets.io/data-hash";
/// A name that no controller of KES has: it leaves such an object alone.
const NOBODY: &str = "handed-over-to-secretsyncd";

/// What an `ExternalSecret` must say so that its controller lets go of the Secret, as a merge patch of its `spec`.
pub fn spec_of_rest(keeper: Keeper) -> Value {
    match keeper {
        Keeper::Kes => json!({ "controllerId": NOBODY }),
        Keeper::Eso => {
            json!({ "target": { "creationPolicy": "Orphan", "deletionPolicy": "Retain" } })
        }
    }
}

/// The same, of what it says now.
pub fn spec_before(object: &ExternalSecret) -> Value {
    match Keeper::of(object.api) {
        Keeper::Kes => json!({ "controllerId": object.ways.controller_id }),
        Keeper::Eso => json!({
            "refreshInterval": object.ways.refresh_interval,
            "target": {
                "creationPolicy": object.ways.creation_policy,
                "deletionPolicy": object.ways.deletion_policy,
            },
        }),
    }
}

/// Whether it says that its controller lets go of the Secret.
pub fn rests(object: &ExternalSecret) -> bool {
    let ways = &object.ways;
    let is = |text: &Option<String>, wish: &str| text.as_deref() == Some(wish);
    match Keeper::of(object.api) {
        Keeper::Kes => is(&ways.controller_id, NOBODY),
        // Without a word, what is not there at the provider stays here.
        Keeper::Eso => {
            let stays = ways.deletion_policy.is_none() || is(&ways.deletion_policy, "Retain");
            is(&ways.creation_policy, "Orphan") && stays
        }
    }
}

/// What would make the object anew, and as it was: to change it is in vain.
pub fn maker(object: &ExternalSecret) -> Option<&str> {
    let maker = object.owners.iter().find(|owner| owner.controller)?;
    Some(&maker.kind)
}

/// A mark on one Secret, and the state that it has with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    marks: BTreeMap<String, String>,
    before: BTreeMap<String, Option<String>>,
}

impl Canary {
    /// The mark, and the patch that sets it. What changes by it, no reader of the Secret sees.
    pub fn new(live: &LiveSecret) -> (Self, Metadata) {
        let mut marks = BTreeMap::from([(CANARY.to_owned(), live.resource_version.to_string())]);
        let mut before = BTreeMap::from([(CANARY.to_owned(), None)]);
        if let Some(hash) = live.annotations.get(DATA_HASH) {
            marks.insert(DATA_HASH.to_owned(), String::new());
            let hash = std::str::from_utf8(hash.expose());
            before.insert(DATA_HASH.to_owned(), hash.ok().map(str::to_owned));
        }
        let canary = Self {
            uid: live.uid.clone(),
            resource_version: live.resource_version.clone(),
            marks,
            before,
        };
        let set = canary.marks.iter();
        let set = set.map(|(key, value)| (key.clone(), Some(value.clone())));
        let patch = canary.patch(set.collect());
        (canary, patch)
    }

    /// Takes it off again, and puts back what it took the place of.
    pub fn lift(&self) -> Metadata {
        self.patch(self.before.clone())
    }

    fn patch(&self, annotations: BTreeMap<String, Option<String>>) -> Metadata {
        Metadata {
            uid: self.uid.clone(),
            resource_version: self.resource_version.clone(),
            owners: None,
            labels: BTreeMap::new(),
            annotations,
            managers: None,
        }
    }

    /// Whether all of it is there, whoever wrote since.
    pub fn is_on(&self, live: &LiveSecret) -> bool {
        self.marks.iter().all(|(key, value)| {
            let there = live.annotations.get(key);
            there.is_some_and(|there| there.expose() == value.as_bytes())
        })
    }

    /// Whether it stands as it was set.
    pub fn stands(&self, live: &LiveSecret, from: Keeper) -> Result<(), Failure> {
        if live.uid != self.uid {
            return Err(refused(
                "was deleted and made anew meanwhile",
                "see what made it, and begin again",
            ));
        }
        if self.is_on(live) {
            return Ok(());
        }
        let fact = format!("{from} is still at work: it wrote the Secret while we watched");
        Err(Failure::new(Reason::Conflict, fact).with_help(
            "make it let go of the Secret by the commands that the plan prints, or let `--quiesce` do it",
        ))
    }
}

/// What is not known to rest, of those that make this Secret.
pub fn restless(
    objects: &[ExternalSecret],
    pods: impl Fn(Keeper) -> Option<usize>,
) -> impl Iterator<Item = &ExternalSecret> {
    let awake =
        move |object: &&ExternalSecret| !rests(object) && pods(Keeper::of(object.api)) != Some(0);
    objects.iter().filter(awake)
}

/// Whether what was taken over is still ours, some time later.
pub fn is_left_alone(
    wanted: &Wanted,
    live: Option<&(LiveSecret, Ties)>,
    uid: &Uid,
) -> Result<(), Failure> {
    let Some((live, ties)) = live.filter(|(live, _)| live.uid == *uid) else {
        return Err(refused(
            "that was taken over is gone",
            "see what deleted it in the audit log of the cluster; the next delivery makes it anew",
        ));
    };
    if let Some(keeper) = keeper_of(live, ties) {
        let fact = format!("{keeper} has put its marks on the Secret again");
        return Err(Failure::new(Reason::Conflict, fact).with_help(
            "it is still at work: make it let go, then run `adopt` once more; do not delete its ExternalSecret",
        ));
    }
    let instance = live.annotations.get(INSTANCE_ANNOTATION);
    if instance.is_none_or(|it| it.expose() != wanted.instance.as_str().as_bytes()) {
        return Err(refused(
            "no longer carries our mark",
            "somebody else writes it: see its `metadata.managedFields`, silence them, then run `adopt` once more",
        ));
    }
    Ok(())
}
