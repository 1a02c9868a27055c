//! Whether the old controller has taken its hand off a Secret. Pure.
//!
//! Two things must say so: what its `ExternalSecret` says, or that the controller is scaled to nothing; and the Secret
//! itself, on which a mark stands untouched that the controller would not have left there.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::{ADOPTED_FROM, Keeper, delta, is_kept, keeper_of, refused};
use crate::decide::kubernetes::{INSTANCE_ANNOTATION, MANAGED_LABEL, Wanted};
use crate::failure::{Failure, Reason};
use crate::kube::{ExternalSecret, LiveSecret, Manager, Metadata, Owner, Scale, Ties, Tracker};
use crate::names::{ResourceVersion, SecretKey, Uid};
use crate::secret::SecretBytes;

/// An annotation that KES takes off whenever it writes: it replaces the whole object \[measured\].
pub const CANARY: &str = "secretsyncd/adopting";
/// ESO puts its own value back as soon as it sees another one.
pub(super) const DATA_HASH: &str = "reconcile.external-secrets.io/data-hash";
/// A name that no controller of KES has: it leaves such an object alone.
const NOBODY: &str = "handed-over-to-secretsyncd";

/// What an `ExternalSecret` must say so that its controller lets go of the Secret, as a merge patch of its `spec`.
pub fn spec_of_rest(object: &ExternalSecret) -> Value {
    match Keeper::of(object.api) {
        Keeper::Kes => json!({ "controllerId": NOBODY }),
        // Under Orphan alone it would go on writing, once in its interval, or at every change of its object. Under None it
        // writes nothing, which is needed where it does not write all of the Secret, or has yet to write; but of what it
        // owns, it stays the owner.
        Keeper::Eso => {
            let is_whole = !merges(object) && !object.ways.is_awaited;
            let policy = if is_whole { "Orphan" } else { "None" };
            let mut spec = json!({
                "refreshInterval": "0s",
                "target": { "creationPolicy": policy, "deletionPolicy": "Retain" },
            });
            if object.ways.refresh_policy.is_some() {
                spec["refreshPolicy"] = json!("CreatedOnce");
            }
            spec
        }
    }
}

fn merges(object: &ExternalSecret) -> bool {
    let policy = object.ways.creation_policy.as_deref();
    matches!(policy, Some("Merge" | "CreateOrMerge"))
}

/// What it said before it was told to let go. Whoever made it say something else since, meant that.
pub fn told(object: &ExternalSecret) -> Option<&Value> {
    object.before.as_ref().filter(|_| rests(object))
}

/// The same, of what it said before we told it anything, or says now.
pub fn spec_before(object: &ExternalSecret) -> Value {
    if let Some(before) = told(object) {
        return before.clone();
    }
    match Keeper::of(object.api) {
        Keeper::Kes => json!({ "controllerId": object.ways.controller_id }),
        Keeper::Eso => {
            let mut spec = json!({
                "refreshInterval": object.ways.refresh_interval,
                "target": {
                    "creationPolicy": object.ways.creation_policy,
                    "deletionPolicy": object.ways.deletion_policy,
                },
            });
            if let Some(policy) = &object.ways.refresh_policy {
                spec["refreshPolicy"] = json!(policy);
            }
            spec
        }
    }
}

/// Whether it says that its controller lets go of the Secret.
pub fn rests(object: &ExternalSecret) -> bool {
    let ways = &object.ways;
    let is = |text: &Option<String>, wish: &str| text.as_deref() == Some(wish);
    match Keeper::of(object.api) {
        Keeper::Kes => is(&ways.controller_id, NOBODY),
        Keeper::Eso if is(&ways.creation_policy, "None") => true,
        Keeper::Eso => {
            // Without a word, what is not there at the provider stays here.
            let stays = ways.deletion_policy.is_none() || is(&ways.deletion_policy, "Retain");
            let interval = ways.refresh_interval.as_deref().unwrap_or_default();
            let mut digits = interval.chars().filter(char::is_ascii_digit).peekable();
            let never = digits.peek().is_some() && digits.all(|digit| digit == '0');
            let follows = is(&ways.refresh_policy, "OnChange");
            is(&ways.creation_policy, "Orphan") && stays && never && !follows && !ways.is_awaited
        }
    }
}

/// Why an object is not told to let go of a Secret by us, but by a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untold {
    /// A controller of that kind made it, and would put it back.
    Made(String),
    /// So would what keeps it as a repository has it.
    Tracked(Tracker),
    /// It shares the Secret with others, whose keys it would write over; or how it writes is unknown.
    Shared,
}

/// What stands against telling it, of all objects that make the Secret.
pub fn untold(object: &ExternalSecret, all: &[ExternalSecret]) -> Option<Untold> {
    if let Some(maker) = maker(object) {
        return Some(Untold::Made(maker.kind.clone()));
    }
    if let Some(tracker) = object.tracker {
        return Some(Untold::Tracked(tracker));
    }
    let policy = object.ways.creation_policy.as_deref();
    let is_known = merges(object) || matches!(policy, None | Some("Owner" | "Orphan"));
    (!is_known || all.len() > 1).then_some(Untold::Shared)
}

/// What made it, and would make it anew.
pub fn maker(object: &ExternalSecret) -> Option<&Owner> {
    object.owners.iter().find(|owner| owner.controller)
}

/// A mark on one Secret, and the state that it has with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Canary {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    marks: BTreeMap<String, String>,
    before: BTreeMap<String, Option<String>>,
    /// Somebody had taken it over already.
    was_adopted: bool,
}

/// What it took the place of may be a hash of values.
impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canary")
            .field("uid", &self.uid)
            .field("marks", &self.marks)
            .finish_non_exhaustive()
    }
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
            was_adopted: live.annotations.contains_key(ADOPTED_FROM),
        };
        let set = canary.marks.iter();
        let set = set.map(|(key, value)| (key.clone(), Some(value.clone())));
        let patch = canary.patch(set.collect());
        (canary, patch)
    }

    /// Takes off what of it is still there, and puts back what that took the place of. `None`: nothing is, or another run
    /// has put its own in its place, and watches what is there.
    pub fn lift(&self, live: &LiveSecret) -> Option<Metadata> {
        if self.is_replaced(live) {
            return None;
        }
        let left = self.before.iter().filter(|(key, _)| self.has(live, key));
        let left: BTreeMap<_, _> = left.map(|(key, was)| (key.clone(), was.clone())).collect();
        let patch = Metadata {
            resource_version: live.resource_version.clone(),
            ..self.patch(left)
        };
        (live.uid == self.uid && !patch.annotations.is_empty()).then_some(patch)
    }

    fn has(&self, live: &LiveSecret, key: &str) -> bool {
        let mark = self.marks.get(key).zip(live.annotations.get(key));
        mark.is_some_and(|(mark, there)| there.expose() == mark.as_bytes())
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
    fn is_on(&self, live: &LiveSecret) -> bool {
        self.marks.keys().all(|key| self.has(live, key))
    }

    /// Only another run writes there: KES wipes it, and nobody else knows it.
    fn is_replaced(&self, live: &LiveSecret) -> bool {
        live.annotations.contains_key(CANARY) && !self.has(live, CANARY)
    }

    /// Whether it stands as it was set.
    pub fn stands(
        &self,
        wanted: &Wanted,
        (live, ties): (&LiveSecret, &Ties),
        from: Keeper,
    ) -> Result<(), Stopped> {
        if live.uid != self.uid {
            return Err(Stopped::Refused(refused(
                "was deleted and made anew meanwhile",
                "see what made it, and begin again",
            )));
        }
        if self.is_on(live) {
            return Ok(());
        }
        if self.is_replaced(live) {
            return Err(Stopped::Elsewhere(
                Failure::new(
                    Reason::Conflict,
                    "another run of `adopt` is at work on the Secret",
                )
                .with_help("wait until it has ended, then run `adopt` again"),
            ));
        }
        // Of several entries that merge into it, each takes its own keys.
        let is_new = !self.was_adopted && live.annotations.contains_key(ADOPTED_FROM);
        if is_new {
            return Err(elsewhere());
        }
        if let Some(elsewhere) = taken_elsewhere(wanted, live, ties) {
            return Err(elsewhere);
        }
        let fact = format!("{from} is still at work: it wrote the Secret while we watched");
        Err(Stopped::Refused(Failure::new(Reason::Conflict, fact).with_help(
            "scale it to 0 and wait until no pod is left, then run `adopt` again; also where it was told to let go, which \
             older releases do not understand",
        )))
    }
}

/// Why a Secret is not taken over by this run.
#[derive(Clone, Debug)]
pub enum Stopped {
    Refused(Failure),
    /// Another run has it in its hands, or took it over: what was told to its old controller is not to be taken back.
    Elsewhere(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

/// Nobody keeps it any more because another run took it over.
pub fn taken_elsewhere(wanted: &Wanted, live: &LiveSecret, ties: &Ties) -> Option<Stopped> {
    let is_taken = live.annotations.contains_key(ADOPTED_FROM)
        && !is_kept(wanted, live, ties)
        && is_ours(wanted, live);
    is_taken.then(elsewhere)
}

fn elsewhere() -> Stopped {
    let fact = "another run of `adopt` has taken the Secret over meanwhile";
    let failure = Failure::new(Reason::Conflict, fact);
    Stopped::Elsewhere(failure.with_help("run `adopt` again: it goes on from there"))
}

/// Whether it says that it is this instance's, as it does where all of it is.
pub fn is_ours(wanted: &Wanted, live: &LiveSecret) -> bool {
    if !wanted.policy.is_whole() {
        return true;
    }
    let instance = live.annotations.get(INSTANCE_ANNOTATION);
    instance.is_some_and(|it| it.expose() == wanted.instance.as_str().as_bytes())
}

/// What is not known to rest, of those that make this Secret.
pub fn restless(
    objects: &[ExternalSecret],
    scale: impl Fn(Keeper) -> Scale,
) -> impl Iterator<Item = &ExternalSecret> {
    let is_awake = move |object: &&ExternalSecret| {
        !rests(object) && scale(Keeper::of(object.api)) != Scale::Down
    };
    objects.iter().filter(is_awake)
}

/// Whether what was taken over is still ours, some time later.
pub fn is_left_alone(
    wanted: &Wanted,
    seen: Option<&(LiveSecret, Ties)>,
    taken: &LiveSecret,
) -> Result<Aftermath, Failure> {
    let Some((live, ties)) = seen.filter(|(live, _)| live.uid == taken.uid) else {
        return Err(refused(
            "that was taken over is gone",
            "see what deleted it in the audit log of the cluster; the next delivery makes it anew",
        ));
    };
    if is_kept(wanted, live, ties) {
        let keeper = keeper_of(live, ties).unwrap_or(Keeper::Eso);
        let fact = format!("{keeper} has put its marks on the Secret again");
        return Err(Failure::new(Reason::Conflict, fact).with_help(
            "it is still at work: scale it to 0, then run `adopt` once more; do not delete its ExternalSecret",
        ));
    }
    if live.deleting || !is_ours(wanted, live) {
        return Err(refused(
            "no longer is as we left it: our mark is gone, or it is being deleted",
            "somebody else writes it: see its `metadata.managedFields`, silence them, then run `adopt` once more",
        ));
    }
    // Our apply has its label only once a delivery has taken it from the taking over.
    let mut ours = live.managers.iter().filter(|it| it.is(&wanted.manager));
    let delivered = ours.find(|it| it.labels.contains(MANAGED_LABEL.0));
    let is_as_wanted = delta(wanted, live).is_empty();
    let is_as_taken = content(wanted, live).eq(content(wanted, taken));
    let writes_all = |ours| content(wanted, live).all(|(key, _)| writes_alone(ours, live, key));
    if !is_as_wanted && !is_as_taken && !delivered.is_some_and(writes_all) {
        return Err(refused(
            "holds other content than it was taken over with, and not what we deliver",
            "see who wrote it in its `metadata.managedFields`, silence them, then run `adopt` once more",
        ));
    }
    Ok(match delivered {
        Some(_) if is_as_wanted || !is_as_taken => Aftermath::Delivered,
        Some(_) | None => Aftermath::Undelivered,
    })
}

/// All of it, or what an entry merges into it.
fn content<'a>(
    wanted: &Wanted,
    live: &'a LiveSecret,
) -> impl Iterator<Item = (&'a SecretKey, &'a SecretBytes)> {
    let all = live.data.iter();
    all.filter(|(key, _)| wanted.policy.is_whole() || wanted.data.get(key).is_some())
}

/// Whether a key is that manager's and nobody else's: what our sources said may be newer than what was read here.
fn writes_alone(ours: &Manager, live: &LiveSecret, key: &SecretKey) -> bool {
    let mut others = live.managers.iter().filter(|it| *it != ours);
    ours.data.contains(key.as_str()) && others.all(|it| !it.data.contains(key.as_str()))
}

/// How far it came after it was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// A delivery of the entry has found it and goes on with it.
    Delivered,
    Undelivered,
}
