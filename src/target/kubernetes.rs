//! One Secret in one namespace of one cluster: rendered, observed and applied.
//!
//! It carries out verdicts and makes none: what may be written is `decide`'s to say. Every write names the state
//! that was judged, so what happened in between comes back as [`Outcome::Raced`].

mod body;
mod create;
mod rehearse;
pub mod removal;
mod render;

use std::sync::Arc;

use jiff::Timestamp;

use crate::assemble::Content;
use crate::clock;
use crate::config;
use crate::decide::Effect;
use crate::decide::kubernetes::removal::Author;
use crate::decide::kubernetes::restart::{self, ChangeId};
use crate::decide::kubernetes::{DeliveredSecret, Judged, Touches, Verdict, Wanted, field_manager};
use crate::failure::{Failure, Reason};
use crate::kube::{
    Applied, Apply, ApplyError, Client, FieldManager, FieldTrouble, Force, LiveSecret, Ownership,
    Record, Run, Struck, Tenure, Visit,
};
use crate::names::{EntryName, Instance, SecretKey};
use crate::secret::FingerprintKey;
use crate::target::holdings::Holdings;

use body::At;
pub use rehearse::Rehearsal;

/// A Secret that one entry writes.
#[derive(Clone, Debug)]
pub struct KubernetesTarget {
    spec: Arc<config::KubernetesTarget>,
    entry: EntryName,
    instance: Instance,
    client: Arc<Client>,
    key: FingerprintKey,
}

/// What came of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done {
        effect: Effect,
        delivered: Box<DeliveredSecret>,
        /// Keys in the Secret that are not ours.
        foreign: Vec<SecretKey>,
        /// When whoever reads the Secret had it. The ledger's disk may take its time after that.
        at: Timestamp,
    },
    /// One step is done, and nothing that a crash could lose is left half: observe and judge again for the rest.
    Begun(Effect),
    /// Somebody wrote in between, and nothing was written: observe and judge again.
    Raced,
}

/// What a look at the metadata alone can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Exactly as we left it.
    Same,
    /// Written since; whether what we wrote still stands, only reading it can tell.
    Changed,
    Missing,
}

impl KubernetesTarget {
    pub fn new(
        spec: Arc<config::KubernetesTarget>,
        entry: EntryName,
        instance: Instance,
        client: Arc<Client>,
        key: FingerprintKey,
    ) -> Self {
        Self {
            spec,
            entry,
            instance,
            client,
            key,
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same, written for as long as the tenure lasts.
    #[must_use]
    pub fn under(&self, tenure: &Tenure) -> Self {
        Self {
            client: Arc::new(self.client.under(tenure)),
            ..self.clone()
        }
    }

    pub fn spec(&self) -> &config::KubernetesTarget {
        &self.spec
    }

    /// What the Secret should be for that content. Pure.
    pub fn render(&self, content: &Content) -> Result<Wanted, Failure> {
        render::render(
            &self.spec,
            (&self.entry, &self.instance),
            content,
            &self.key,
        )
    }

    /// What the Secret is.
    pub async fn observe(&self) -> Result<Option<LiveSecret>, Failure> {
        let (namespace, name) = (&self.spec.namespace, &self.spec.name);
        self.client.get_secret(namespace, name).await
    }

    /// What is in the Secret. What we delivered is still there when nobody wrote since, or when all of it together has
    /// the fingerprint of our delivery.
    pub async fn holdings(&self, delivered: Option<&DeliveredSecret>) -> Result<Holdings, Failure> {
        let Some(live) = self.observe().await? else {
            return Ok(Holdings::Nothing);
        };
        let keys = live.data.keys().cloned().collect();
        let delivered = delivered.filter(|delivered| delivered.uid == live.uid);
        let delivered = delivered.and_then(|delivered| {
            let mut content = Content::default();
            for key in delivered.wrote.keys.iter() {
                let value = live.data.get(key)?;
                content.data.insert(key.clone(), value.clone());
            }
            let untouched = delivered.resource_version == live.resource_version && !delivered.left;
            let same = |wanted: Wanted| wanted.fingerprint == delivered.fingerprint;
            let stands = untouched || self.render(&content).is_ok_and(same);
            stands.then_some(content.data)
        });
        Ok(Holdings::Something { keys, delivered })
    }

    /// Carries out the verdict on `wanted`.
    pub async fn apply(&self, wanted: &Wanted, verdict: Verdict) -> Result<Outcome, Failure> {
        match verdict {
            Verdict::Unchanged(judged) => {
                Ok(done(wanted, (Effect::Unchanged, clock::now()), judged))
            }
            Verdict::Create { effect } => self.create(wanted, effect).await,
            Verdict::TakeOver { ownership, effect } => {
                let taken = self.own(wanted, &ownership, Run::Real).await;
                Ok(written(wanted, taken)?.map_or(Outcome::Raced, |_| Outcome::Begun(effect)))
            }
            Verdict::Apply {
                mut judged,
                force,
                effect,
                touches: Touches::Data | Touches::Metadata,
            } => {
                let applied = self.send(wanted, (&judged, force), Run::Real).await;
                let Some(applied) = written(wanted, applied)? else {
                    return Ok(Outcome::Raced);
                };
                judged.resource_version = applied.resource_version;
                Ok(done(wanted, (effect, applied.at), judged))
            }
        }
    }

    /// Whether somebody wrote since, without reading a value.
    pub async fn drift(&self, delivered: &DeliveredSecret) -> Result<Sighting, Failure> {
        let (namespace, name) = (&self.spec.namespace, &self.spec.name);
        Ok(match self.client.get_metadata(namespace, name).await? {
            None => Sighting::Missing,
            Some(seen)
                if seen.uid == delivered.uid
                    && seen.resource_version == delivered.resource_version =>
            {
                Sighting::Same
            }
            Some(_) => Sighting::Changed,
        })
    }

    /// Its turn among all targets of the cluster.
    pub async fn turn(&self) -> Result<Visit, Failure> {
        self.client.visit().await
    }

    /// Takes the record of a restart off the Secret, where it still is the record of that change.
    pub async fn strike(&self, change: &ChangeId) -> Result<Struck, Failure> {
        let manager = self.manager();
        let record = Record {
            key: restart::record_key(&manager),
            change: change.as_str(),
        };
        let place = (&self.spec.namespace, &self.spec.name);
        self.client.strike(place, &record, &manager).await
    }

    /// In whose name it is written.
    pub fn manager(&self) -> FieldManager {
        field_manager(self.spec.creation_policy, &self.instance, &self.entry)
    }

    pub fn hasten(&self) {
        self.client.hasten();
    }

    /// Whether the cluster answers for this Secret at all, without reading a value.
    pub async fn probe(&self) -> Result<(), Failure> {
        let (namespace, name) = (&self.spec.namespace, &self.spec.name);
        let seen = self.client.get_metadata(namespace, name).await?;
        if seen.is_some() || self.spec.creation_policy.may_create() {
            return Ok(());
        }
        Err(Failure::new(
            Reason::TargetMissing,
            "the Secret does not exist, and `creation_policy = \"merge\"` never makes one",
        ))
    }

    /// Applies all that is wanted to exactly the state that was judged.
    async fn send(
        &self,
        wanted: &Wanted,
        (judged, force): (&Judged, Force),
        run: Run,
    ) -> Result<Applied, ApplyError> {
        let at = At {
            uid: &judged.uid,
            resource_version: &judged.resource_version,
        };
        let apply = Apply {
            manager: wanted.manager.clone(),
            force,
            run,
            body: body::apply(&self.spec, wanted, at),
        };
        let (namespace, name) = (&self.spec.namespace, &self.spec.name);
        self.client.apply_secret(namespace, name, apply).await
    }

    async fn own(
        &self,
        wanted: &Wanted,
        ownership: &Ownership,
        run: Run,
    ) -> Result<Applied, ApplyError> {
        let place = (&self.spec.namespace, &self.spec.name);
        let manager = (&wanted.manager, run);
        self.client.own_fields(place, ownership, manager).await
    }
}

/// What the ledger needs to know once all that is wanted is there.
fn done(wanted: &Wanted, (effect, at): (Effect, Timestamp), judged: Judged) -> Outcome {
    Outcome::Done {
        effect,
        delivered: Box::new(DeliveredSecret {
            uid: judged.uid,
            resource_version: judged.resource_version,
            whole: wanted.policy.is_whole().then(|| wanted.instance.clone()),
            wrote: judged.wrote,
            manager: Some(wanted.manager.clone()),
            fingerprint: wanted.fingerprint,
            author: Some(Arc::new(Author {
                policy: wanted.policy,
                instance: wanted.instance.clone(),
            })),
            left: false,
            restart: restart::recorded(wanted),
        }),
        foreign: judged.foreign,
        at,
    }
}

/// What a write has made; `None` where somebody else's came first.
fn written<T>(wanted: &Wanted, answer: Result<T, ApplyError>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(applied) => Ok(Some(applied)),
        Err(ApplyError::Raced) => Ok(None),
        Err(ApplyError::Fields(trouble, fields)) => Err(refused_fields(wanted, trouble, &fields)),
        Err(ApplyError::Failed(failure)) => Err(failure),
    }
}

/// Names those fields of a refusal that are keys we sent; anything else in it is somebody else's text.
fn refused_fields(wanted: &Wanted, trouble: FieldTrouble, fields: &[String]) -> Failure {
    let named: Vec<String> = wanted
        .data
        .keys()
        .filter(|key| {
            let paths = [format!(".data.{key}"), format!("data[{key}]")];
            fields.iter().any(|field| paths.contains(field))
        })
        .map(|key| format!("key `{key}`"))
        .take(5)
        .collect();
    let what = if named.is_empty() {
        "the Secret".into()
    } else {
        named.join(", ")
    };
    match trouble {
        FieldTrouble::Owned => Failure::new(
            Reason::Conflict,
            format!("another field manager owns {what} with another value"),
        ),
        FieldTrouble::Invalid => Failure::new(
            Reason::Invalid,
            format!("the API server does not accept {what} (422)"),
        )
        .with_help("check that the content fits the Secret's `type`, and labels and annotations their rules"),
    }
}

#[cfg(test)]
mod tests;
