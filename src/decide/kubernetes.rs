//! What may be done to one Secret, from what it is, what was delivered to it and what is wanted.
//!
//! A Secret is ours when it says so *and* the API server or our ledger proves it; a key is
//! ours when the API server or our ledger proves that one. Whatever is not proven is left alone or refused, unless
//! `adopt` says to take it; what a controller or another instance holds is never taken.

pub mod adoption;
pub mod against;
mod changes;
mod fields;
mod fits;
mod ownership;
pub mod removal;
pub mod restart;
mod takeover;
#[cfg(test)]
pub(in crate::decide) mod tests;
mod wrote;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::config::CreationPolicy;
use crate::decide::{Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::kube::{FieldManager, Force, LiveSecret, Ownership};
use crate::names::{EntryName, Instance, LabelValue, MetadataKey, ResourceVersion, SecretKey, Uid};
use crate::secret::{Fingerprint, Payload};

pub use changes::changes;
use fields::Difference;
pub(in crate::decide) use ownership::ESO_PREFIX;
use ownership::may_own;
use removal::Author;
use restart::ChangeId;
pub(crate) use takeover::made;
pub use wrote::{Names, Wrote};

/// On every Secret that holds something of ours; watches select by it.
pub const MANAGED_LABEL: (&str, &str) = ("secretsyncd/managed", "true");
/// On every Secret that is ours as a whole.
pub const MANAGED_BY_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "secretsyncd");
/// Names the configuration that owns the Secret.
pub const INSTANCE_ANNOTATION: &str = "secretsyncd/instance";
/// Names the entry that writes the Secret.
pub const ENTRY_ANNOTATION: &str = "secretsyncd/entry";

/// Types whose content the cluster itself makes or acts on: writing one hands out access to the cluster.
const RESERVED_TYPES: [&str; 2] = [
    "kubernetes.io/service-account-token",
    "bootstrap.kubernetes.io/token",
];

/// One Secret, or our part of one, as it should be.
#[derive(Clone)]
pub struct Wanted {
    /// Under the merge policies only said where the Secret is made: of one that is there, it is somebody else's.
    pub secret_type: String,
    pub data: Payload,
    /// Ours included.
    pub labels: BTreeMap<MetadataKey, LabelValue>,
    /// Ours included.
    pub annotations: BTreeMap<MetadataKey, String>,
    pub policy: CreationPolicy,
    pub immutable: bool,
    pub adopt: bool,
    pub manager: FieldManager,
    pub instance: Instance,
    pub entry: EntryName,
    /// Of all that is written.
    pub fingerprint: Fingerprint,
}

/// Labels and annotations may be rendered from values.
impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted")
            .field("secret_type", &self.secret_type)
            .field("data", &self.data)
            .field("labels", &self.labels.keys())
            .field("annotations", &self.annotations.keys())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// What the ledger knows of the last delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredSecret {
    pub uid: Uid,
    /// That of our own write, so that a later one is noticed without reading a value.
    pub resource_version: ResourceVersion,
    /// The instance under whose name the whole Secret was ours; absent where we only merged into it.
    pub whole: Option<Instance>,
    pub wrote: Wrote,
    /// In whose name; absent in what an earlier release recorded.
    pub manager: Option<FieldManager>,
    pub fingerprint: Fingerprint,
    /// How it was delivered; absent in what releases recorded that did not know.
    pub author: Option<Arc<Author>>,
    /// Whether a configuration stood without this part since, or another machine may have written it: from then on people
    /// may write the Secret themselves.
    pub left: bool,
    /// The restart that this delivery makes due, until it is done.
    pub restart: Option<ChangeId>,
}

/// What the ledger of this installation says about one Secret.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// What the entry itself delivered to it.
    pub own: Option<&'a DeliveredSecret>,
    /// What the entry delivered that the Secret names as its writer.
    pub writer: Option<&'a DeliveredSecret>,
    /// What entries delivered to it that are no longer configured at all.
    pub gone: &'a [Gone],
    /// Another configured entry is to write it, too, and may follow the same one that is gone.
    pub shared: bool,
    /// The entry's keys come from a `find`: one that is not wanted may merely not have been listed.
    pub found: bool,
}

/// An entry that no configuration has any more, and what it delivered to a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub entry: EntryName,
    pub delivered: DeliveredSecret,
}

/// What is judged about a Secret that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    /// Keys in it that are not ours: they stay.
    pub foreign: Vec<SecretKey>,
    /// What will be there because of us once the verdict is carried out.
    pub wrote: Wrote,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to write.
    Unchanged(Judged),
    /// There is none; make it, and touch nothing that somebody else makes in the same moment.
    Create { effect: Effect },
    /// Make our own manager's what is ours by proof and by name another's. No value changes by it; what is to be
    /// written is judged after it.
    TakeOver {
        ownership: Ownership,
        effect: Effect,
    },
    /// Write to exactly this state of exactly this Secret.
    Apply {
        judged: Judged,
        force: Force,
        effect: Effect,
        touches: Touches,
    },
}

/// What of a Secret an apply changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touches {
    /// Values: whoever reads the Secret has to read it again.
    Data,
    /// Nothing but labels, annotations or who owns what.
    Metadata,
}

impl Verdict {
    pub fn effect(&self) -> Effect {
        match self {
            Self::Unchanged(_) => Effect::Unchanged,
            Self::Create { effect }
            | Self::TakeOver { effect, .. }
            | Self::Apply { effect, .. } => *effect,
        }
    }
}

/// The name under which an entry's applies own fields. The merge policies need one for each entry: under a shared
/// one, each entry's apply would remove the other's keys.
pub fn field_manager(
    policy: CreationPolicy,
    instance: &Instance,
    entry: &EntryName,
) -> FieldManager {
    if policy.is_whole() {
        FieldManager::new(&[])
    } else {
        FieldManager::new(&[instance.as_str(), entry.as_str()])
    }
}

/// Refuses what must not be written wherever it goes.
pub fn writable(wanted: &Wanted) -> Result<(), Failure> {
    if wanted.data.is_blank() {
        return Err(Failure::new(
            Reason::Invalid,
            "there is nothing to write: no key, or only empty values",
        )
        .with_help("an empty Secret is never written; check what the sources hold"));
    }
    if wanted.policy.may_create() && RESERVED_TYPES.contains(&wanted.secret_type.as_str()) {
        return Err(Failure::new(
            Reason::Invalid,
            format!("Secrets of type `{}` are never written", wanted.secret_type),
        )
        .with_help("they give access to the cluster itself; set another `type`"));
    }
    Ok(())
}

/// Refuses content that whoever reads a Secret of that type could not use. Under the merge policies the type is known
/// only from the Secret itself: there, [`judge`] asks.
pub fn usable(wanted: &Wanted) -> Result<(), Failure> {
    if wanted.policy.is_whole() {
        fits::whole(&wanted.secret_type, &wanted.data)
    } else {
        Ok(())
    }
}

/// The entry that wrote the whole Secret last, in whichever installation, if the Secret names one.
pub fn writer(live: &LiveSecret) -> Option<EntryName> {
    let name = live.annotations.get(ENTRY_ANNOTATION)?.expose();
    // Anybody can write that text: only a legal name can be an entry's.
    EntryName::new(std::str::from_utf8(name).ok()?).ok()
}

/// What is to be done, or why nothing may be.
pub fn judge(
    wanted: &Wanted,
    live: Option<&LiveSecret>,
    known: Known<'_>,
) -> Result<Verdict, Failure> {
    writable(wanted)?;
    let same_content = known
        .own
        .is_some_and(|d| d.fingerprint == wanted.fingerprint);
    let Some(live) = live else {
        return absent(wanted, same_content);
    };
    if live.deleting {
        return Err(
            Failure::new(Reason::TargetMissing, "the Secret is being deleted").with_help(
                "it is tried again by itself; if it stays, a finalizer on the Secret holds it",
            ),
        );
    }
    if RESERVED_TYPES.contains(&live.secret_type.as_str()) {
        return Err(Failure::new(
            Reason::Conflict,
            "the Secret is of a type that only the cluster writes",
        )
        .with_help("choose another name"));
    }
    // The ledger speaks of one life of the Secret only, and of what was left, only as long as nobody wrote it since.
    let ledger = known.own.filter(|own| {
        own.uid == live.uid && (!own.left || own.resource_version == live.resource_version)
    });
    if wanted.policy.is_whole() {
        let known = Known {
            own: ledger,
            ..known
        };
        may_own(wanted, live, known)?;
        same_type(wanted, live)?;
    } else {
        fits::part(&live.secret_type, &wanted.data)?;
    }
    if known.found && ledger.is_none() {
        omits_nothing(wanted, live)?;
    }
    if let Some(ownership) = takeover::needed((wanted, live), known, ledger) {
        let effect = effect(same_content, Drift::Metadata);
        return Ok(Verdict::TakeOver { ownership, effect });
    }
    let difference = fields::compare(wanted, live, ledger)?;
    may_change(wanted, live, &difference)?;
    Ok(verdict(live, difference, same_content))
}

/// What the API server refuses of a Secret that is immutable.
fn may_change(wanted: &Wanted, live: &LiveSecret, difference: &Difference) -> Result<(), Failure> {
    if !live.immutable {
        return Ok(());
    }
    if difference.content {
        return Err(Failure::new(
            Reason::Conflict,
            "the Secret is immutable and its content would change",
        )
        .with_help("delete the Secret, so that it is made anew, or deliver under another name"));
    }
    // Where somebody else made it immutable, our apply says nothing about it.
    let ours = live
        .managers
        .iter()
        .any(|m| m.immutable && m.is(&wanted.manager));
    if ours && !wanted.immutable {
        return Err(Failure::new(
            Reason::Conflict,
            "we made the Secret immutable, and that cannot be taken back",
        )
        .with_help(
            "set `immutable = true` again, or delete the Secret, so that it is made anew without it",
        ));
    }
    Ok(())
}

/// Without a record of what was delivered, nothing tells a key that no longer matches from one that was not listed.
fn omits_nothing(wanted: &Wanted, live: &LiveSecret) -> Result<(), Failure> {
    let ours = live.managers.iter().filter(|it| it.is(&wanted.manager));
    let held: BTreeSet<&str> = ours.flat_map(|it| &it.data).map(String::as_str).collect();
    let omitted = |key: &&SecretKey| held.contains(key.as_str()) && wanted.data.get(key).is_none();
    let Some(key) = live.data.keys().find(omitted) else {
        return Ok(());
    };
    Err(Failure::new(
        Reason::Conflict,
        format!("the Secret holds our key `{key}`, which is not among what was found, and the ledger does not know it"),
    )
    .with_help(
        "see why the `find` does not list it; where it may go, remove that key from the Secret by hand",
    ))
}

fn absent(wanted: &Wanted, same_content: bool) -> Result<Verdict, Failure> {
    if wanted.policy.may_create() {
        fits::whole(&wanted.secret_type, &wanted.data)?;
        return Ok(Verdict::Create {
            effect: if same_content {
                Effect::Repaired(Drift::Missing)
            } else {
                Effect::Created
            },
        });
    }
    Err(Failure::new(
        Reason::TargetMissing,
        "the Secret does not exist, and `creation_policy = \"merge\"` never makes one",
    )
    .with_help("create the Secret, or set `creation_policy = \"create_or_merge\"`"))
}

fn verdict(live: &LiveSecret, difference: Difference, same_content: bool) -> Verdict {
    let judged = Judged {
        uid: live.uid.clone(),
        resource_version: live.resource_version.clone(),
        foreign: difference.foreign,
        wrote: difference.wrote,
    };
    if !difference.content && !difference.metadata {
        return Verdict::Unchanged(judged);
    }
    let (touches, drift) = if difference.content {
        (Touches::Data, Drift::Content)
    } else {
        (Touches::Metadata, Drift::Metadata)
    };
    Verdict::Apply {
        judged,
        force: difference.force,
        effect: effect(same_content, drift),
        touches,
    }
}

fn effect(same_content: bool, drift: Drift) -> Effect {
    if same_content {
        Effect::Repaired(drift)
    } else {
        Effect::Updated
    }
}

fn same_type(wanted: &Wanted, live: &LiveSecret) -> Result<(), Failure> {
    if wanted.secret_type == live.secret_type {
        return Ok(());
    }
    Err(Failure::new(
        Reason::Conflict,
        format!(
            "the Secret is of another type than `{}`, and a type cannot be changed",
            wanted.secret_type
        ),
    )
    .with_help("set `type` to that of the Secret, or delete the Secret, so that it is made anew"))
}
