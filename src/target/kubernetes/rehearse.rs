//! What would come of a verdict, by the API server's own judgement: admission included, and nothing kept.

use crate::decide::kubernetes::{Verdict, Wanted};
use crate::failure::Failure;
use crate::kube::Run;

use super::{KubernetesTarget, written};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// It would be taken.
    Accepted,
    /// Somebody wrote in between: observe and judge again.
    Raced,
}

impl KubernetesTarget {
    /// Sends what [`KubernetesTarget::apply`] would send first, as a dry run. What it would send after that depends on
    /// what the first had done, so it is not asked.
    pub async fn rehearse(&self, wanted: &Wanted, verdict: &Verdict) -> Result<Rehearsal, Failure> {
        let answer = match verdict {
            Verdict::Unchanged(_) => return Ok(Rehearsal::Accepted),
            Verdict::Create { .. } => {
                let (namespace, create) = (&self.spec.namespace, self.making(wanted));
                let answer = self.client.rehearse_create(namespace, create).await;
                return Ok(told(written(wanted, answer)?.is_some()));
            }
            Verdict::TakeOver { ownership, .. } => self.own(wanted, ownership, Run::Dry).await,
            Verdict::Apply { judged, force, .. } => {
                self.send(wanted, (judged, *force), Run::Dry).await
            }
        };
        Ok(told(written(wanted, answer)?.is_some()))
    }
}

fn told(is_taken: bool) -> Rehearsal {
    if is_taken {
        Rehearsal::Accepted
    } else {
        Rehearsal::Raced
    }
}
