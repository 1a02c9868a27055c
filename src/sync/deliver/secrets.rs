//! One Secret: looked at, judged, written or taken away.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Checked, Handled, MayPutBack, no_longer_to_go};
use crate::clock;
use crate::decide;
use crate::decide::Effect;
use crate::decide::kubernetes::restart::{self, ChangeId};
use crate::decide::kubernetes::{DeliveredSecret, Gone, Known, Verdict, Wanted, removal};
use crate::decide::rivals::Rivals;
use crate::failure::{Failure, Reason};
use crate::kube::LiveSecret;
use crate::state::{SecretId, SecretPart, State};
use crate::sync::{Entry, orphan};
use crate::target::kubernetes::removal::{Removed, carry_out};
use crate::target::kubernetes::{KubernetesTarget, Outcome, Sighting};

/// How often one run judges a target anew when somebody writes it at the same moment.
pub(in crate::sync) const JUDGEMENTS: usize = 8;

pub(super) async fn secret(
    (target, id): (&KubernetesTarget, &SecretId),
    (wanted, entry): (&Wanted, &Entry),
    may: MayPutBack,
    state: &Arc<State>,
) -> Result<(Handled, Timestamp), Failure> {
    let part = part(id, entry);
    if stands((target, &part), wanted, state).await? {
        return Ok((Handled::Did(Effect::Unchanged), clock::now()));
    }
    let mut begun = Effect::Unchanged;
    for _ in 0..JUDGEMENTS {
        let judged = JudgedSecret::of(target, id, (wanted, entry), state).await?;
        let JudgedSecret {
            wanted,
            live,
            own,
            verdict,
            ..
        } = judged;
        let rivals = || Rivals::of(&wanted, live.as_ref());
        if may.forbids(verdict.effect()) {
            return Ok((Handled::Withheld(rivals()), clock::now()));
        }
        match target.apply(&wanted, verdict).await? {
            Outcome::Raced => {}
            Outcome::Begun(effect) => begun = first(begun, effect),
            Outcome::Done {
                effect,
                delivered: now,
                foreign,
                at,
            } => {
                let effect = first(begun, effect);
                if own.as_ref() != Some(&*now) {
                    keep(state, part, *now).await?;
                }
                if effect != Effect::Unchanged && !foreign.is_empty() {
                    let keys: Vec<_> = foreign.iter().map(ToString::to_string).collect();
                    tracing::info!(target.name = %id, ?keys, "keys that are not ours were left as they are");
                }
                return Ok((Handled::did(effect, rivals()), at));
            }
        }
    }
    Err(overtaken())
}

/// Its sources are all gone: so goes the Secret, where it is proven to be ours alone.
pub(super) async fn remove(
    (target, id): (&KubernetesTarget, &SecretId),
    (entry, dismissed): (&Entry, &CancellationToken),
    state: &Arc<State>,
) -> Result<Effect, Failure> {
    let part = part(id, entry);
    for _ in 0..JUDGEMENTS {
        // From here on until it is away, nobody says that something else is configured.
        let _configured = state.removals().read().await;
        let live = target.observe().await?;
        let delivered = state.secret(&part);
        let is_left = delivered.as_ref().is_some_and(|it| it.left);
        // The run may have waited for its turn while the configuration became another one.
        if dismissed.is_cancelled() || (is_left && live.is_some()) {
            return Err(no_longer_to_go("Secret"));
        }
        let judged = removal::delete(&entry.name, delivered.as_ref(), live.as_ref())?;
        let effect = match carry_out(target.client(), id, judged).await? {
            Removed::Raced => continue,
            Removed::Deleted => Effect::Deleted,
            Removed::AlreadyGone | Removed::Released | Removed::GivenBack => Effect::Away,
        };
        if let Some(delivered) = delivered {
            orphan::forget(state, part, delivered.uid).await;
        }
        return Ok(effect);
    }
    Err(overtaken())
}

pub(in crate::sync) fn overtaken() -> Failure {
    Failure::new(
        Reason::Conflict,
        "somebody else keeps writing the Secret at the same moment",
    )
    .with_help("find the other writer in the Secret's managedFields, and silence one of the two")
}

/// A Secret as it was seen, and what is to be done to it.
pub(in crate::sync) struct JudgedSecret<'w> {
    /// With the record of a restart, where one is due.
    pub(in crate::sync) wanted: Cow<'w, Wanted>,
    pub(in crate::sync) live: Option<LiveSecret>,
    own: Option<DeliveredSecret>,
    writer: Option<DeliveredSecret>,
    gone: Vec<Gone>,
    shared: bool,
    found: bool,
    pub(in crate::sync) verdict: Verdict,
}

impl<'w> JudgedSecret<'w> {
    pub(in crate::sync) async fn of(
        target: &KubernetesTarget,
        id: &SecretId,
        (wanted, entry): (&'w Wanted, &Entry),
        state: &State,
    ) -> Result<Self, Failure> {
        let live = target.observe().await?;
        let own = state.secret(&part(id, entry));
        let writer = live.as_ref().and_then(decide::kubernetes::writer);
        let writer = writer.and_then(|entry| {
            let id = id.clone();
            state.secret(&SecretPart { id, entry })
        });
        // They count only for an entry that is new to the Secret.
        let is_new = |live: &LiveSecret| own.as_ref().is_none_or(|own| own.uid != live.uid);
        let gone = match &live {
            Some(live) if is_new(live) => state.gone(id),
            Some(_) | None => Vec::new(),
        };
        let shared = !gone.is_empty() && state.is_shared(&part(id, entry));
        let found = entry.finds().next().is_some();
        let known = Known {
            own: own.as_ref(),
            writer: writer.as_ref(),
            gone: &gone,
            shared,
            found,
        };
        let restarts = !target.spec().restart.is_empty();
        let (wanted, verdict) = judge(wanted, live.as_ref(), known, restarts)?;
        Ok(Self {
            wanted,
            live,
            own,
            writer,
            gone,
            shared,
            found,
            verdict,
        })
    }

    /// Whether nothing but `adopt` lets us write it.
    pub(in crate::sync) fn is_adopted(&self) -> bool {
        let cautious = Wanted {
            adopt: false,
            ..Wanted::clone(&self.wanted)
        };
        let known = Known {
            own: self.own.as_ref(),
            writer: self.writer.as_ref(),
            gone: &self.gone,
            shared: self.shared,
            found: self.found,
        };
        self.wanted.adopt
            && decide::kubernetes::judge(&cautious, self.live.as_ref(), known).is_err()
    }
}

/// What is to be done, and what is wanted with the record of the restart that it makes due, or that is not done yet.
fn judge<'w>(
    wanted: &'w Wanted,
    live: Option<&LiveSecret>,
    known: Known<'_>,
    restarts: bool,
) -> Result<(Cow<'w, Wanted>, Verdict), Failure> {
    let judge = |wanted: &Wanted| {
        let verdict = decide::kubernetes::judge(wanted, live, known);
        verdict.map_err(|failure| {
            let rivals = || Rivals::of(wanted, live);
            let taken = known.own.and_then(|_| rivals().took_over());
            taken.unwrap_or(failure)
        })
    };
    let carried = restart::carried(wanted, live, known.own);
    let verdict = judge(&carried)?;
    if !restarts || !restart::is_due(&verdict, wanted, known.own) {
        return Ok((carried, verdict));
    }
    let change = ChangeId::new(clock::now(), fastrand::u64(..));
    let recording = restart::recording(wanted, &change);
    let verdict = judge(&recording)?;
    Ok((Cow::Owned(recording), verdict))
}

/// What steps come to: the first that did something says what it is about.
fn first(begun: Effect, effect: Effect) -> Effect {
    if begun == Effect::Unchanged {
        effect
    } else {
        begun
    }
}

/// Whether what is wanted is what was delivered, in the same name, and nobody wrote since: for that no value has to be
/// read.
async fn stands(
    (target, part): (&KubernetesTarget, &SecretPart),
    wanted: &Wanted,
    state: &Arc<State>,
) -> Result<bool, Failure> {
    let delivered = state.secret(part);
    let same = delivered.filter(|delivered| {
        let author = delivered.author.as_ref();
        delivered.fingerprint == wanted.fingerprint
            && delivered.manager.as_ref() == Some(&wanted.manager)
            && author
                .is_some_and(|it| (it.policy, &it.instance) == (wanted.policy, &wanted.instance))
    });
    match same {
        Some(delivered) => Ok(target.drift(&delivered).await? == Sighting::Same),
        None => Ok(false),
    }
}

pub(in crate::sync) fn part(id: &SecretId, entry: &Entry) -> SecretPart {
    SecretPart {
        id: id.clone(),
        entry: entry.name.clone(),
    }
}

/// The ledger writes to disk.
async fn keep(
    state: &Arc<State>,
    part: SecretPart,
    delivered: DeliveredSecret,
) -> Result<(), Failure> {
    let state = Arc::clone(state);
    tokio::task::spawn_blocking(move || state.set_secret(part, delivered))
        .await
        .unwrap_or_else(|_| Err(Failure::new(Reason::Io, "the ledger could not be written")))
}

pub(super) async fn check_secret(
    target: &KubernetesTarget,
    part: SecretPart,
    state: &Arc<State>,
) -> Result<Checked, Failure> {
    let Some(delivered) = state.secret(&part) else {
        return Ok(Checked::Drifted);
    };
    Ok(match target.drift(&delivered).await? {
        Sighting::Same => Checked::AsDelivered,
        Sighting::Changed | Sighting::Missing => Checked::Drifted,
    })
}
