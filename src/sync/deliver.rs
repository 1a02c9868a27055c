//! From content to targets: render all, then each target on its own way through observe, judge, apply.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;

use super::Entry;
use crate::assemble::Content;
use crate::clock;
use crate::decide::{self, Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::names::SecretKey;
use crate::secret::SecretBytes;
use crate::state::{SecretId, SecretPart, State};
use crate::target::Target;
use crate::target::file::{FileTarget, Rendered};
use crate::target::holdings::Holdings;
use crate::target::kubernetes::{KubernetesTarget, Outcome, Sighting};

/// How often one run judges a target anew when somebody writes it at the same moment.
const JUDGEMENTS: usize = 8;

/// What one target may take in a run.
const TARGET_LIMIT: Duration = Duration::from_secs(45);

/// How the delivery to one target ended, and when.
#[derive(Debug)]
pub struct Delivery {
    pub result: Result<Effect, Failure>,
    pub at: Timestamp,
}

impl Delivery {
    /// A target that does not answer is not written.
    pub(super) fn not_tried((target, failure): (usize, Failure)) -> (usize, Self) {
        let delivery = Self {
            result: Err(failure),
            at: clock::now(),
        };
        (target, delivery)
    }
}

/// What a look at a target found, without having a value.
#[derive(Debug)]
pub enum Checked {
    AsDelivered,
    /// Put back without needing the value.
    Repaired(Effect),
    /// Somebody wrote it, or may have: a run has to look at the content.
    Drifted,
    Failed(Failure),
}

/// What a target is to hold, ready to be written.
enum Staged<'a> {
    Kubernetes(
        &'a KubernetesTarget,
        &'a SecretId,
        Box<decide::kubernetes::Wanted>,
    ),
    File(&'a FileTarget, Rendered),
}

/// Renders every target first: a payload that one of them cannot express is known before any is written. After that
/// a target that fails or hangs holds back no other.
pub(super) async fn all(
    entry: &Entry,
    which: Vec<usize>,
    content: &Content,
    state: &Arc<State>,
) -> Vec<(usize, Delivery)> {
    let staged = which.into_iter().map(async |index| {
        let target = &entry.targets[index];
        (index, stage(entry, target, content, state).await)
    });
    let staged = join_all(staged).await;
    let deliveries = staged.into_iter().map(async |(index, staged)| {
        let result = match staged {
            Ok(Staged::Kubernetes(target, id, wanted)) => {
                in_time(secret(target, id, (&wanted, entry), state)).await
            }
            Ok(Staged::File(target, rendered)) => in_time(file(target, &rendered)).await,
            Err(failure) => Err(failure),
        };
        let at = clock::now();
        (index, Delivery { result, at })
    });
    join_all(deliveries).await
}

async fn stage<'a>(
    entry: &Entry,
    target: &'a Target,
    content: &Content,
    state: &Arc<State>,
) -> Result<Staged<'a>, Failure> {
    if content.kept.is_empty() {
        return render(target, content);
    }
    let held = in_time(holdings(entry, target, state)).await?;
    let mut content = content.clone();
    for key in std::mem::take(&mut content.kept) {
        if let Some(value) = last_value(&key, &held)? {
            content.data.insert(key, value);
        }
    }
    render(target, &content)
}

/// The value that a target has of a key whose secret is gone; nothing where it never had one.
fn last_value(key: &SecretKey, held: &Holdings) -> Result<Option<SecretBytes>, Failure> {
    match held {
        Holdings::Something {
            delivered: Some(delivered),
            ..
        } if delivered.get(key).is_some() => Ok(delivered.get(key).cloned()),
        held if !held.may_hold(key) => Ok(None),
        Holdings::Nothing | Holdings::Unknown | Holdings::Something { .. } => Err(Failure::new(
            Reason::Conflict,
            format!("the value of `{key}` that is there cannot be told to be the one we delivered, so it cannot be kept"),
        )
        .with_help("somebody else wrote the target; put the secret back, or take the key out of the entry")),
    }
}

fn render<'a>(target: &'a Target, content: &Content) -> Result<Staged<'a>, Failure> {
    Ok(match target {
        Target::Kubernetes(target, id) => {
            Staged::Kubernetes(target, id, Box::new(target.render(content)?))
        }
        Target::File(target) => Staged::File(target, target.render(&content.data)?),
    })
}

/// What is in a target.
pub(super) async fn holdings(
    entry: &Entry,
    target: &Target,
    state: &State,
) -> Result<Holdings, Failure> {
    match target {
        Target::Kubernetes(target, id) => {
            let delivered = state.secret(&part(id, entry));
            target.holdings(delivered.as_ref()).await
        }
        Target::File(target) => target.holdings().await,
    }
}

async fn file(target: &FileTarget, rendered: &Rendered) -> Result<Effect, Failure> {
    let seen = target.observe().await?;
    let verdict = target.judge(rendered, &seen)?;
    target.apply(rendered, &seen, verdict).await
}

async fn secret(
    target: &KubernetesTarget,
    id: &SecretId,
    (wanted, entry): (&decide::kubernetes::Wanted, &Entry),
    state: &Arc<State>,
) -> Result<Effect, Failure> {
    let part = part(id, entry);
    for _ in 0..JUDGEMENTS {
        let live = target.observe().await?;
        let delivered = state.secret(&part);
        let writer = live.as_ref().and_then(decide::kubernetes::writer);
        let writer = writer.and_then(|entry| {
            let id = id.clone();
            state.secret(&SecretPart { id, entry })
        });
        let known = decide::kubernetes::Known {
            own: delivered.as_ref(),
            writer: writer.as_ref(),
            found: entry.finds().next().is_some(),
        };
        let verdict = decide::kubernetes::judge(wanted, live.as_ref(), known)?;
        match target.apply(wanted, verdict).await? {
            Outcome::Raced => {}
            Outcome::Done {
                effect,
                delivered: now,
                foreign,
            } => {
                if delivered.as_ref() != Some(&now) {
                    keep(state, part, now).await?;
                }
                if effect != Effect::Unchanged && !foreign.is_empty() {
                    let keys: Vec<_> = foreign.iter().map(ToString::to_string).collect();
                    tracing::info!(target.name = %id, ?keys, "keys that are not ours were left as they are");
                }
                return Ok(effect);
            }
        }
    }
    Err(Failure::new(
        Reason::Conflict,
        "somebody else keeps writing the Secret at the same moment",
    )
    .with_help("find the other writer in the Secret's managedFields, and silence one of the two"))
}

fn part(id: &SecretId, entry: &Entry) -> SecretPart {
    SecretPart {
        id: id.clone(),
        entry: entry.name.clone(),
    }
}

/// The ledger writes to disk.
async fn keep(
    state: &Arc<State>,
    part: SecretPart,
    delivered: decide::kubernetes::DeliveredSecret,
) -> Result<(), Failure> {
    let state = Arc::clone(state);
    tokio::task::spawn_blocking(move || state.set_secret(part, delivered))
        .await
        .unwrap_or_else(|_| Err(Failure::new(Reason::Io, "the ledger could not be written")))
}

/// Looks at targets that hold what was delivered.
pub async fn check(entry: &Entry, which: &[usize], state: &Arc<State>) -> Vec<(usize, Checked)> {
    let checks = which.iter().map(async |&index| {
        let checked = match &entry.targets[index] {
            Target::File(target) => in_time(check_file(target)).await,
            Target::Kubernetes(target, id) => {
                in_time(check_secret(target, part(id, entry), state)).await
            }
        };
        (index, checked.unwrap_or_else(Checked::Failed))
    });
    join_all(checks).await
}

/// Bounds what one target may take, waiting for its turn included, so that it holds up its entry's next run no longer.
pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(TARGET_LIMIT, work).await.unwrap_or_else(|_| {
        Err(Failure::new(
            Reason::Timeout,
            "the target did not answer within 45 s",
        ))
    })
}

async fn check_file(target: &FileTarget) -> Result<Checked, Failure> {
    Ok(match target.drift().await? {
        None => Checked::AsDelivered,
        Some(Drift::Metadata) => Checked::Repaired(target.repair_mode().await?),
        Some(Drift::Missing | Drift::Content) => Checked::Drifted,
    })
}

async fn check_secret(
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
