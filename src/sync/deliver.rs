//! From content to targets: render all, then each target on its own way through observe, judge, apply.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Entry, Run, orphan, pace};
use crate::assemble::Content;
use crate::clock;
use crate::decide::kubernetes::restart::{self, ChangeId};
use crate::decide::kubernetes::{DeliveredSecret, Gone, Known, Verdict, Wanted, removal};
use crate::decide::rivals::Rivals;
use crate::decide::{self, Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::kube::{LiveSecret, Visit};
use crate::names::{ClusterName, SecretKey};
use crate::secret::SecretBytes;
use crate::state::{SecretId, SecretPart, State};
use crate::target::Target;
use crate::target::file::{FileTarget, Removed as RemovedFile, Rendered};
use crate::target::holdings::Holdings;
use crate::target::kubernetes::removal::{Removed, carry_out};
use crate::target::kubernetes::{KubernetesTarget, Outcome, Sighting};

/// How often one run judges a target anew when somebody writes it at the same moment.
pub(super) const JUDGEMENTS: usize = 8;

/// How long a target waits for its turn where others of its entry wait for it.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// What one target may take in a run.
const TARGET_LIMIT: Duration = Duration::from_secs(45);

/// How the delivery to one target ended, and when.
#[derive(Debug)]
pub struct Delivery {
    pub result: Result<Handled, Failure>,
    pub at: Timestamp,
}

/// What was done to a target that could be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    Did(Effect),
    /// Put back after these changed it.
    PutBack(Drift, Rivals),
    /// These changed it, and it is not to be put back now.
    Withheld(Rivals),
    /// These changed it, and again while it was being put back.
    Overtaken(Rivals, Failure),
}

impl Handled {
    fn did(effect: Effect, rivals: Rivals) -> Self {
        match effect {
            Effect::Repaired(drift) => Self::PutBack(drift, rivals),
            Effect::Unchanged
            | Effect::Created
            | Effect::Updated
            | Effect::Deleted
            | Effect::Away => Self::Did(effect),
        }
    }
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
    /// The cluster had no turn for it yet.
    NotLooked,
    Failed(Failure),
}

/// What is done to a target.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work<'a> {
    Write(&'a Content),
    Remove,
    /// It was removed earlier, and nothing of it is looked at.
    StayAway,
}

/// What a target is to hold, ready to be written.
pub(super) enum Staged<'a> {
    Remove(&'a KubernetesTarget, &'a SecretId),
    RemoveFile(&'a FileTarget),
    StayAway,
    Kubernetes(&'a KubernetesTarget, &'a SecretId, Box<Wanted>),
    File(&'a FileTarget, Rendered),
}

/// Renders every target first: a payload that one of them cannot express is known before any is written. After that
/// a target that fails or hangs holds back no other: where a few keep the run waiting, `tell` hears of the others, and
/// what is returned is the rest.
pub(super) async fn all(
    run: &Run,
    work: Vec<(usize, Work<'_>)>,
    tell: Option<impl FnOnce(Vec<(usize, Delivery)>)>,
) -> Vec<(usize, Delivery)> {
    let Run {
        entry,
        state,
        contested,
        tenure,
        dismissed,
        ..
    } = run;
    let staged = work.into_iter().map(async |(index, work)| {
        let target = &entry.targets[index];
        let staged = match (work, target) {
            (Work::Write(content), _) => stage(entry, target, content, state).await,
            (Work::Remove, Target::Kubernetes(target, id)) => Ok(Staged::Remove(target, id)),
            (Work::Remove, Target::File(target)) => Ok(Staged::RemoveFile(target)),
            (Work::StayAway, _) => Ok(Staged::StayAway),
        };
        (index, staged)
    });
    let staged = join_all(staged).await;
    let deliveries = staged.into_iter().map(async |(index, staged)| {
        let may = if contested.contains(&index) {
            MayPutBack::No
        } else {
            MayPutBack::Yes
        };
        let result = match staged {
            Ok(Staged::Kubernetes(target, id, wanted)) => {
                let target = target.under(tenure);
                let work = Box::pin(secret((&target, id), (&wanted, entry), may, state));
                in_turn(&entry.targets[index], work).await
            }
            Ok(Staged::File(target, rendered)) => in_time(file(target, &rendered, may)).await,
            Ok(Staged::Remove(target, id)) => {
                let target = target.under(tenure);
                let work = remove((&target, id), (entry, dismissed), state);
                let effect = in_turn(&entry.targets[index], work).await;
                effect.map(Handled::Did)
            }
            Ok(Staged::RemoveFile(target)) => {
                let effect = in_time(remove_file(target, dismissed, state)).await;
                effect.map(Handled::Did)
            }
            Ok(Staged::StayAway) => Ok(Handled::Did(Effect::Away)),
            Err(failure) => Err(failure),
        };
        let at = clock::now();
        (index, Delivery { result, at })
    });
    // Where it is at all targets, nobody could go on with any.
    let most = entry.targets.len().saturating_sub(1);
    pace::each(deliveries, most, tell).await
}

async fn stage<'a>(
    entry: &Entry,
    target: &'a Target,
    content: &Content,
    state: &State,
) -> Result<Staged<'a>, Failure> {
    if content.kept.is_empty() {
        return render(target, content);
    }
    let resolved = resolved(entry, target, content, state);
    let resolved = in_turn_soon(entry, target, resolved).await?;
    render(target, &resolved)
}

/// The content with the last values of what is kept, as this target has them. To be called in the target's turn.
pub(super) async fn resolved<'c>(
    entry: &Entry,
    target: &Target,
    content: &'c Content,
    state: &State,
) -> Result<Cow<'c, Content>, Failure> {
    if content.kept.is_empty() {
        return Ok(Cow::Borrowed(content));
    }
    let held = holdings(entry, target, state).await?;
    let mut content = content.clone();
    for key in std::mem::take(&mut content.kept) {
        if let Some(value) = last_value(&key, &held)? {
            content.data.insert(key, value);
        }
    }
    Ok(Cow::Owned(content))
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

pub(super) fn render<'a>(target: &'a Target, content: &Content) -> Result<Staged<'a>, Failure> {
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

/// A contested target is not fought over; what is new is written all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MayPutBack {
    Yes,
    No,
}

impl MayPutBack {
    fn forbids(self, effect: Effect) -> bool {
        self == Self::No && matches!(effect, Effect::Repaired(_))
    }
}

async fn file(
    target: &FileTarget,
    rendered: &Rendered,
    may: MayPutBack,
) -> Result<Handled, Failure> {
    let seen = target.observe().await?;
    let verdict = target.judge(rendered, &seen)?;
    let rivals = match verdict.effect() {
        Effect::Repaired(Drift::Content) => target.rivals(&seen).await,
        // Who deletes a file, or changes its mode, leaves no trace in it.
        Effect::Repaired(Drift::Missing | Drift::Metadata)
        | Effect::Unchanged
        | Effect::Created
        | Effect::Updated
        | Effect::Deleted
        | Effect::Away => Rivals::default(),
    };
    if may.forbids(verdict.effect()) {
        return Ok(Handled::Withheld(rivals));
    }
    match (
        target.apply(rendered, &seen, verdict).await,
        verdict.effect(),
    ) {
        (Ok(effect), _) => Ok(Handled::did(effect, rivals)),
        (Err(failure), Effect::Repaired(_)) if target.was_overtaken(&failure) => {
            Ok(Handled::Overtaken(rivals, failure))
        }
        (Err(failure), _) => Err(failure),
    }
}

async fn secret(
    (target, id): (&KubernetesTarget, &SecretId),
    (wanted, entry): (&Wanted, &Entry),
    may: MayPutBack,
    state: &Arc<State>,
) -> Result<Handled, Failure> {
    let part = part(id, entry);
    if stands((target, &part), wanted, state).await? {
        return Ok(Handled::Did(Effect::Unchanged));
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
            return Ok(Handled::Withheld(rivals()));
        }
        match target.apply(&wanted, verdict).await? {
            Outcome::Raced => {}
            Outcome::Begun(effect) => begun = first(begun, effect),
            Outcome::Done {
                effect,
                delivered: now,
                foreign,
            } => {
                let effect = first(begun, effect);
                if own.as_ref() != Some(&*now) {
                    keep(state, part, *now).await?;
                }
                if effect != Effect::Unchanged && !foreign.is_empty() {
                    let keys: Vec<_> = foreign.iter().map(ToString::to_string).collect();
                    tracing::info!(target.name = %id, ?keys, "keys that are not ours were left as they are");
                }
                return Ok(Handled::did(effect, rivals()));
            }
        }
    }
    Err(overtaken())
}

/// Its sources are all gone: so goes the Secret, where it is proven to be ours alone.
async fn remove(
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

/// The same of a file, where it is still the one that we delivered.
async fn remove_file(
    target: &FileTarget,
    dismissed: &CancellationToken,
    state: &Arc<State>,
) -> Result<Effect, Failure> {
    // From here on until it is away, nobody says that something else is configured.
    let _configured = state.removals().read().await;
    if dismissed.is_cancelled() {
        return Err(no_longer_to_go("file"));
    }
    Ok(match target.remove().await? {
        RemovedFile::Deleted => Effect::Deleted,
        RemovedFile::AlreadyGone => Effect::Away,
    })
}

fn no_longer_to_go(what: &str) -> Failure {
    Failure::new(
        Reason::Conflict,
        format!("the configuration is another one since, so the {what} is not removed"),
    )
    .with_help("what is configured now is done by itself; what no entry writes, `prune` lists")
}

pub(super) fn overtaken() -> Failure {
    Failure::new(
        Reason::Conflict,
        "somebody else keeps writing the Secret at the same moment",
    )
    .with_help("find the other writer in the Secret's managedFields, and silence one of the two")
}

/// A Secret as it was seen, and what is to be done to it.
pub(super) struct JudgedSecret<'w> {
    /// With the record of a restart, where one is due.
    pub(super) wanted: Cow<'w, Wanted>,
    pub(super) live: Option<LiveSecret>,
    own: Option<DeliveredSecret>,
    writer: Option<DeliveredSecret>,
    gone: Vec<Gone>,
    shared: bool,
    found: bool,
    pub(super) verdict: Verdict,
}

impl<'w> JudgedSecret<'w> {
    pub(super) async fn of(
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
    pub(super) fn is_adopted(&self) -> bool {
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

pub(super) fn part(id: &SecretId, entry: &Entry) -> SecretPart {
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

/// Looks at targets that hold what was delivered.
pub async fn check(
    entry: &Entry,
    (which, contested): (&[usize], &BTreeSet<usize>),
    state: &Arc<State>,
) -> Vec<(usize, Checked)> {
    let checks = which.iter().map(async |&index| {
        let checked = match &entry.targets[index] {
            Target::File(target) => in_time(check_file(target, contested.contains(&index))).await,
            Target::Kubernetes(secret, id) => {
                let work = check_secret(secret, part(id, entry), state);
                match turn_soon(entry, &entry.targets[index]).await {
                    Err(NoTurn) => Ok(Checked::NotLooked),
                    Ok(Ok(_turn)) => in_time(work).await,
                    Ok(Err(failure)) => Err(failure),
                }
            }
        };
        (index, checked.unwrap_or_else(Checked::Failed))
    });
    join_all(checks).await
}

/// Waits for the target's turn, which with many of them takes as long as their cluster's rate says.
pub(super) async fn in_turn<T>(
    target: &Target,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let _turn = target.turn().await?;
    in_time(work).await
}

/// The same for what the entry's other targets have to wait for: where a cluster is too busy, this target alone fails.
pub(super) async fn in_turn_soon<T>(
    entry: &Entry,
    target: &Target,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Ok(turn) = turn_soon(entry, target).await else {
        return Err(no_turn(target));
    };
    let _turn = turn?;
    in_time(work).await
}

/// It was not a target's turn in time.
struct NoTurn;

/// Those of an entry that goes nowhere else have nobody to keep waiting.
async fn turn_soon(
    entry: &Entry,
    target: &Target,
) -> Result<Result<Option<Visit>, Failure>, NoTurn> {
    let mut others = entry.targets.iter();
    if others.all(|other| other.cluster() == target.cluster()) {
        return Ok(target.turn().await);
    }
    timeout(TURN_LIMIT, target.turn()).await.map_err(|_| NoTurn)
}

fn no_turn(target: &Target) -> Failure {
    let cluster = target.cluster().map_or("", ClusterName::as_str);
    let seconds = TURN_LIMIT.as_secs();
    let fact = format!("cluster `{cluster}` is busy: it had no turn for this within {seconds} s");
    Failure::new(Reason::Timeout, fact).with_help(
        "find what slows its answers down, as an admission webhook, or raise `requests_per_second` of the cluster",
    )
}

/// Bounds what one target may take, so that it holds up its entry's next run no longer.
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

async fn check_file(target: &FileTarget, contested: bool) -> Result<Checked, Failure> {
    Ok(match target.drift().await? {
        None => Checked::AsDelivered,
        Some(Drift::Metadata) if contested => Checked::Drifted,
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
