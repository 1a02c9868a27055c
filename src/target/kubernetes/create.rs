//! Making a Secret without touching one that somebody else makes in the same moment.

use crate::decide::Effect;
use crate::decide::kubernetes::{Judged, Wanted, Wrote};
use crate::failure::{Failure, Reason};
use crate::kube::{Applied, ApplyError, FieldManager, FieldTrouble, Force, LiveSecret};
use crate::names::{ResourceVersion, Uid};

use super::body::{self, At};
use super::{KubernetesTarget, Outcome, refused_fields};

/// How often a step is tried that somebody else's write overtakes.
const TRIES: usize = 3;

impl KubernetesTarget {
    /// An apply cannot be told to create only. So it goes under a name of its own: whatever it meets, what it adds can
    /// be given back without touching what another secretsyncd holds under the common name.
    pub(super) async fn create(&self, wanted: &Wanted, effect: Effect) -> Result<Outcome, Failure> {
        let attempt = FieldManager::of_attempt(fastrand::u128(..));
        let body = body::whole(&self.spec, wanted, None);
        match self.send(&attempt, Force::No, body).await {
            Ok(applied) if applied.created => {
                self.finish_create(wanted, attempt, (applied, effect)).await
            }
            // We wrote into a Secret that somebody else made in the same moment.
            Ok(applied) => {
                let Applied {
                    uid,
                    resource_version,
                    ..
                } = applied;
                match self.give_back(&attempt, &uid, resource_version).await {
                    Ok(_) => Ok(Outcome::Raced),
                    Err(failure) => Err(not_given_back(&attempt, &failure)),
                }
            }
            // Somebody was first, with other values: nothing of ours was written.
            Err(ApplyError::Raced | ApplyError::Fields(FieldTrouble::Owned, _)) => {
                Ok(Outcome::Raced)
            }
            Err(ApplyError::Fields(trouble, fields)) => {
                Err(refused_fields(wanted, trouble, &fields))
            }
            Err(ApplyError::Failed(failure)) => Err(failure),
        }
    }

    /// Takes what the attempt made under our own name.
    async fn finish_create(
        &self,
        wanted: &Wanted,
        attempt: FieldManager,
        (mut made, effect): (Applied, Effect),
    ) -> Result<Outcome, Failure> {
        for _ in 0..TRIES {
            let at = At {
                uid: &made.uid,
                resource_version: &made.resource_version,
            };
            let body = body::whole(&self.spec, wanted, Some(at));
            match self.send(&wanted.manager, Force::No, body).await {
                Ok(applied) => {
                    let judged = Judged {
                        uid: applied.uid,
                        resource_version: applied.resource_version,
                        foreign: Vec::new(),
                        wrote: Wrote::all(wanted),
                        attempts: vec![attempt],
                    };
                    return self.done(wanted, effect, judged).await;
                }
                Err(ApplyError::Raced) => {}
                Err(ApplyError::Fields(FieldTrouble::Owned, _)) => return Ok(Outcome::Raced),
                Err(ApplyError::Fields(trouble, fields)) => {
                    return Err(refused_fields(wanted, trouble, &fields));
                }
                Err(ApplyError::Failed(failure)) => return Err(failure),
            }
            // Still the one we made, and not yet finished by another secretsyncd?
            let holds = |live: &LiveSecret, manager: &FieldManager| {
                live.managers.iter().any(|m| m.is(manager))
            };
            match self.observe().await? {
                Some(live)
                    if live.uid == made.uid
                        && holds(&live, &attempt)
                        && !holds(&live, &wanted.manager) =>
                {
                    made.resource_version = live.resource_version;
                }
                _ => break,
            }
        }
        Ok(Outcome::Raced)
    }

    /// An empty apply takes away what that attempt alone holds and leaves all that others hold too. The state that it
    /// leaves; `None` when the Secret is gone, and with it what was to be given back.
    pub(super) async fn give_back(
        &self,
        attempt: &FieldManager,
        uid: &Uid,
        mut resource_version: ResourceVersion,
    ) -> Result<Option<ResourceVersion>, Failure> {
        for _ in 0..TRIES {
            let at = At {
                uid,
                resource_version: &resource_version,
            };
            let body = body::empty(&self.spec, at);
            match self.send(attempt, Force::No, body).await {
                Ok(applied) => return Ok(Some(applied.resource_version)),
                Err(ApplyError::Raced) => {}
                Err(ApplyError::Fields(..)) => break,
                Err(ApplyError::Failed(failure)) => return Err(failure),
            }
            let (namespace, name) = (&self.spec.namespace, &self.spec.name);
            match self.client.get_metadata(namespace, name).await? {
                Some(seen) if seen.uid == *uid => resource_version = seen.resource_version,
                _ => return Ok(None),
            }
        }
        Err(Failure::new(
            Reason::Conflict,
            "somebody else keeps writing the Secret at the same moment",
        ))
    }
}

fn not_given_back(attempt: &FieldManager, why: &Failure) -> Failure {
    Failure::new(
        why.reason,
        "somebody else made the Secret at the same moment, and what we added to it could not be taken back",
    )
    .with_help(format!(
        "look at the Secret's managedFields: what the field manager `{}` holds alone is from us",
        attempt.as_str()
    ))
}
