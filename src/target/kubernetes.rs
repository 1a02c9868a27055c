//! One Secret in one namespace of one cluster: rendered, observed and applied.
//!
//! It carries out verdicts and makes none: what may be written is `decide`'s to say. Every write names the state
//! that was judged, so what happened in between comes back as [`Outcome::Raced`].

mod body;
mod create;
mod render;

use std::sync::Arc;

use crate::assemble::Content;
use crate::config::{self, CreationPolicy};
use crate::decide::Effect;
use crate::decide::kubernetes::{DeliveredSecret, Judged, Verdict, Wanted};
use crate::failure::{Failure, Reason};
use crate::kube::{
    Applied, Apply, ApplyError, Client, FieldManager, FieldTrouble, Force, LiveSecret,
};
use crate::names::{EntryName, Instance, SecretKey};
use crate::secret::FingerprintKey;
use crate::target::holdings::Holdings;

use body::At;

/// A Secret that one entry writes.
#[derive(Debug)]
pub struct KubernetesTarget {
    spec: config::KubernetesTarget,
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
        delivered: DeliveredSecret,
        /// Keys in the Secret that are not ours.
        foreign: Vec<SecretKey>,
    },
    /// Somebody wrote in between: observe and judge again.
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
        spec: config::KubernetesTarget,
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
            for key in &delivered.wrote.keys {
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
            Verdict::Unchanged(judged) => self.done(wanted, Effect::Unchanged, judged).await,
            Verdict::Create { effect } => self.create(wanted, effect).await,
            Verdict::Apply {
                mut judged,
                force,
                effect,
            } => {
                let at = At {
                    uid: &judged.uid,
                    resource_version: &judged.resource_version,
                };
                let body = body::whole(&self.spec, wanted, Some(at));
                match self.send(&wanted.manager, force, body).await {
                    Ok(applied) => {
                        judged.resource_version = applied.resource_version;
                        self.done(wanted, effect, judged).await
                    }
                    Err(ApplyError::Raced) => Ok(Outcome::Raced),
                    Err(ApplyError::Fields(trouble, fields)) => {
                        Err(refused_fields(wanted, trouble, &fields))
                    }
                    Err(ApplyError::Failed(failure)) => Err(failure),
                }
            }
        }
    }

    /// All that is wanted is held under our own name: what attempts to create hold beside it is given back.
    async fn done(
        &self,
        wanted: &Wanted,
        effect: Effect,
        judged: Judged,
    ) -> Result<Outcome, Failure> {
        let mut resource_version = judged.resource_version;
        for attempt in &judged.attempts {
            match self.give_back(attempt, &judged.uid, resource_version).await {
                Ok(Some(next)) => resource_version = next,
                Ok(None) => return Ok(Outcome::Raced),
                Err(failure) => return Err(failure),
            }
        }
        let whole = match wanted.policy {
            CreationPolicy::Owner => Some(wanted.instance.clone()),
            CreationPolicy::Merge => None,
        };
        Ok(Outcome::Done {
            effect,
            delivered: DeliveredSecret {
                uid: judged.uid,
                resource_version,
                whole,
                wrote: judged.wrote,
                fingerprint: wanted.fingerprint,
                left: false,
            },
            foreign: judged.foreign,
        })
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

    /// Whether the cluster answers for this Secret at all, without reading a value.
    pub async fn probe(&self) -> Result<(), Failure> {
        let (namespace, name) = (&self.spec.namespace, &self.spec.name);
        let seen = self.client.get_metadata(namespace, name).await?;
        match (self.spec.creation_policy, seen) {
            (CreationPolicy::Owner, _) | (CreationPolicy::Merge, Some(_)) => Ok(()),
            (CreationPolicy::Merge, None) => Err(Failure::new(
                Reason::TargetMissing,
                "the Secret does not exist, and `creation_policy = \"merge\"` never makes one",
            )),
        }
    }

    async fn send(
        &self,
        manager: &FieldManager,
        force: Force,
        body: zeroize::Zeroizing<Vec<u8>>,
    ) -> Result<Applied, ApplyError> {
        let apply = Apply {
            manager: manager.clone(),
            force,
            body,
        };
        let (namespace, name) = (&self.spec.namespace, &self.spec.name);
        self.client.apply_secret(namespace, name, apply).await
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
