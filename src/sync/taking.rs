//! Taking Secrets over from the controllers that keep them, step by step. Every step leaves the Secret where it is, with
//! the same bytes; before the one that counts nothing is another's, after it everything is ours, so that a crash anywhere
//! between leaves a safe state and a second try goes on from it.
//!
//! It needs no ledger: what the API server says of the Secret afterwards proves that it is ours.

mod hand;
mod hands;
mod surroundings;

pub use self::hand::{End, Hand, Insight, Made, Wish};
pub use self::hands::{Farewell, Hands, Pause};

use crate::decide::kubernetes::Wanted;
use serde_json::Value;

use crate::decide::kubernetes::adoption::quiet::{
    Aftermath, Canary, Stopped, is_left_alone, is_ours, taken_elsewhere,
};
use crate::decide::kubernetes::adoption::{
    ADOPTED_FROM, Content, Keeper, Taking, adoption, is_kept, keeper_of,
};
use crate::failure::{Failure, Reason};
use crate::kube::{ApplyError, FieldManager, LiveSecret, Metadata, Run as How, Tenure, Ties};
use crate::names::{EntryName, ResourceVersion};
use crate::state::{SecretId, State};
use crate::sync::Entry;
use crate::sync::deliver::{JUDGEMENTS, JudgedSecret, in_time, overtaken};
use crate::target::Target;
use crate::target::kubernetes::KubernetesTarget;

/// A Secret that one entry is to write.
#[derive(Debug)]
pub struct Seat {
    pub entry: EntryName,
    pub id: SecretId,
    target: KubernetesTarget,
}

/// What is there and kept by an old controller.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) taking: Taking,
    pub(super) live: LiveSecret,
}

#[derive(Debug)]
pub(super) enum Found {
    Absent,
    /// Nothing stands in the way of an ordinary delivery.
    Ours,
    /// So it is, because it is ours already.
    Adopted(Box<LiveSecret>),
    Kept(Box<Kept>),
}

impl Seat {
    /// `None` for a file.
    pub fn of(entry: &Entry, target: &Target) -> Option<Self> {
        let Target::Kubernetes(target, id) = target else {
            return None;
        };
        Some(Self {
            entry: entry.name.clone(),
            id: id.clone(),
            // A person asked for it: whoever leads sees what came of it in the Secret.
            target: target.under(&Tenure::always()),
        })
    }

    pub fn place(&self) -> String {
        format!("{}/{}", self.id.namespace, self.id.name)
    }

    async fn observe(&self) -> Result<Option<(LiveSecret, Ties)>, Failure> {
        let (namespace, name) = (&self.id.namespace, &self.id.name);
        self.turn(self.target.client().get_tied(namespace, name))
            .await
    }

    /// The work, when it is the target's turn among all of its cluster.
    async fn turn<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let _turn = self.target.turn().await?;
        in_time(work).await
    }

    /// Who keeps it, before anything is known of what we would write.
    pub async fn keeper(&self) -> Result<Presence, Failure> {
        let seen = self.observe().await?;
        Ok(match seen {
            None => Presence::Absent,
            Some((live, ties)) => match keeper_of(&live, &ties) {
                Some(keeper) => Presence::Kept(keeper),
                None if live.annotations.contains_key(ADOPTED_FROM) => Presence::Adopted,
                None => Presence::Other,
            },
        })
    }

    pub(super) async fn look(
        &self,
        (wanted, content): (&Wanted, Content),
        (entry, state): (&Entry, &State),
    ) -> Result<Found, Failure> {
        let Some((live, ties)) = self.observe().await? else {
            return Ok(Found::Absent);
        };
        if let Some(taking) = adoption(wanted, (&live, &ties), content)? {
            return Ok(Found::Kept(Box::new(Kept { taking, live })));
        }
        let judged = JudgedSecret::of(&self.target, &self.id, (wanted, entry), state);
        self.turn(judged).await?;
        // What a delivery made may have an old object, too.
        let is_ours = wanted.policy.is_whole() && is_ours(wanted, &live);
        Ok(if is_ours || live.annotations.contains_key(ADOPTED_FROM) {
            Found::Adopted(Box::new(live))
        } else {
            Found::Ours
        })
    }

    /// Asks the API server for the very patch that would take it over, admission included; nothing is kept of it.
    pub(super) async fn rehearse(&self, wanted: &Wanted, kept: &Kept) -> Result<(), Failure> {
        let way_back = kept.taking.way_back(wanted, &kept.live);
        let patch = kept.taking.patch(wanted, &kept.live, &way_back);
        // Somebody may have written in between, which says nothing against it.
        self.change(&patch, How::Dry).await.map(drop)
    }

    /// Puts a mark on it that an old controller which is at work would wipe.
    pub(super) async fn mark(&self, wanted: &Wanted, from: Keeper) -> Result<Canary, Stopped> {
        for _ in 0..JUDGEMENTS {
            let (live, ties) = self.observe().await?.ok_or_else(gone)?;
            if !is_kept(wanted, &live, &ties) {
                let elsewhere = taken_elsewhere(wanted, &live, &ties);
                return Err(elsewhere.unwrap_or_else(|| let_go(from).into()));
            }
            let (mut canary, patch) = Canary::new(&live);
            match self.change(&patch, How::Real).await {
                Ok(None) => {}
                Ok(Some(version)) => {
                    canary.resource_version = version;
                    return Ok(canary);
                }
                // It may be there all the same.
                Err(failure) => {
                    self.unmark(&canary).await;
                    return Err(failure.into());
                }
            }
        }
        Err(overtaken().into())
    }

    /// Takes off what of the mark still is there. What is wrong with that was said of something graver already.
    pub(super) async fn unmark(&self, canary: &Canary) {
        for _ in 0..JUDGEMENTS {
            let Ok(Some((live, _))) = self.observe().await else {
                return;
            };
            let Some(lift) = canary.lift(&live) else {
                return;
            };
            match self.change(&lift, How::Real).await {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }

    /// The one request that makes it ours, where the mark stands and what was judged still holds.
    pub(super) async fn take(
        &self,
        (wanted, content): (&Wanted, Content),
        (canary, from): (&Canary, Keeper),
        way_back: &Value,
    ) -> Result<LiveSecret, Stopped> {
        for _ in 0..JUDGEMENTS {
            let (live, ties) = self.observe().await?.ok_or_else(gone)?;
            canary.stands(wanted, (&live, &ties), from)?;
            let taking = adoption(wanted, (&live, &ties), content)?;
            let taking = taking.ok_or_else(|| let_go(from))?;
            let patch = taking.patch(wanted, &live, way_back);
            match self.change(&patch, How::Real).await {
                Ok(Some(_)) => return Ok(live),
                Ok(None) => {}
                // An answer that did not come says nothing of what was done.
                Err(failure) => {
                    let seen = self.observe().await;
                    let is_taken = |seen: Option<(LiveSecret, Ties)>| {
                        is_left_alone(wanted, seen.as_ref(), &live).is_ok()
                    };
                    return if seen.is_ok_and(is_taken) {
                        Ok(live)
                    } else {
                        Err(failure.into())
                    };
                }
            }
        }
        Err(overtaken().into())
    }

    /// Whether the old controller has left it alone since. Fails where that cannot be seen.
    pub(super) async fn verify(
        &self,
        wanted: &Wanted,
        taken: &LiveSecret,
    ) -> Result<Result<Aftermath, Failure>, Failure> {
        let seen = self.observe().await?;
        Ok(is_left_alone(wanted, seen.as_ref(), taken))
    }

    /// `None`: it is no longer in the state that the patch is for.
    async fn change(&self, patch: &Metadata, how: How) -> Result<Option<ResourceVersion>, Failure> {
        let place = (&self.id.namespace, &self.id.name);
        let client = self.target.client();
        let manager = FieldManager::adopting();
        let changed = async { Ok(client.change_metadata(place, patch, (&manager, how)).await) };
        match self.turn(changed).await? {
            Ok(applied) => Ok(Some(applied.resource_version)),
            Err(ApplyError::Raced) => Ok(None),
            Err(ApplyError::Failed(failure)) => Err(denied(failure)),
            Err(ApplyError::Fields(..)) => Err(Failure::new(
                Reason::Invalid,
                "the API server does not accept a change of the Secret's metadata (422)",
            )
            .with_help("an admission policy of the cluster may refuse it: see its audit log")),
        }
    }
}

/// What is in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Absent,
    Kept(Keeper),
    /// It was taken over earlier.
    Adopted,
    Other,
}

/// RBAC's own advice knows nothing of owners.
fn denied(failure: Failure) -> Failure {
    if failure.reason != Reason::TargetDenied {
        return failure;
    }
    failure.with_help(
        "grant `patch` on this Secret; where the cluster has `OwnerReferencesPermissionEnforcement` (OpenShift has), an \
         owner is taken away only by whoever may `delete` the Secret: grant that, too, for as long as the adoption takes",
    )
}

fn gone() -> Failure {
    Failure::new(
        Reason::TargetMissing,
        "the Secret is gone; taking over never makes one anew",
    )
    .with_help("see what deleted it; the next delivery of the entry makes it")
}

fn let_go(from: Keeper) -> Failure {
    let fact = format!("{from} has let go of the Secret meanwhile");
    Failure::new(Reason::Conflict, fact).with_help(
        "run `adopt` again; a Secret without a controller is taken by `adopt = true` on its target",
    )
}
