//! Making a Secret without touching one that somebody else makes in the same moment.
//!
//! An apply cannot be told to make and never to change, so a Secret is made by a POST, whole, which somebody who was
//! first turns into a refusal. What a POST writes belongs to an update and not to an apply: a later apply would leave
//! what it omits. So one patch of the `managedFields` then makes it what an apply of ours would have made it. Until then
//! the name that it was made under says that it is ours, and after it our own does; there is no moment between, and a
//! crash before it is found by the next judgement, which takes over what was made.

use crate::decide::Effect;
use crate::decide::kubernetes::{Judged, Wanted, Wrote, made};
use crate::failure::Failure;
use crate::kube::{Applied, ApplyError, Create, Ownership, Run};

use super::{KubernetesTarget, Outcome, body, done, written};

impl KubernetesTarget {
    pub(super) async fn create(&self, wanted: &Wanted, effect: Effect) -> Result<Outcome, Failure> {
        let answer = self.post(wanted).await;
        let Some(posted) = written(wanted, answer)? else {
            return Ok(Outcome::Raced);
        };
        let ownership = Ownership {
            uid: posted.uid,
            resource_version: posted.resource_version,
            managers: vec![made(wanted)],
        };
        let answer = self.own(wanted, &ownership, Run::Real).await;
        let Some(owned) = written(wanted, answer)? else {
            return Ok(Outcome::Begun(effect));
        };
        let judged = Judged {
            uid: owned.uid,
            resource_version: owned.resource_version,
            foreign: Vec::new(),
            wrote: Wrote::all(wanted),
        };
        Ok(done(wanted, (effect, posted.at), judged))
    }

    async fn post(&self, wanted: &Wanted) -> Result<Applied, ApplyError> {
        let (namespace, name) = (&self.spec.namespace, &self.spec.name);
        let create = self.making(wanted);
        self.client.create_secret(namespace, name, create).await
    }

    pub(super) fn making(&self, wanted: &Wanted) -> Create {
        Create {
            manager: wanted.manager.for_making(),
            body: body::create(&self.spec, wanted),
        }
    }
}
