//! What a run would do to each target: everything but the writes.
//!
//! The same reads, the same assembly and the same judge; then the cluster is asked by a dry run. Nothing is written and
//! nothing is remembered.

pub mod against;
mod gates;
pub mod prepared;

use futures_util::future::join_all;

pub use self::gates::Gates;
use super::deliver::{self, JUDGEMENTS, JudgedSecret, Staged, Work};
use super::{Entry, NotRead, Run, read_all, whole, work};
use crate::config::Workload;
use crate::decide::changes::{Changes, Other};
use crate::decide::file::adoption::Adoption;
use crate::decide::file::removal::Removal as FileRemoval;
use crate::decide::file::{Observed, Verdict as FileVerdict};
use crate::decide::kubernetes::removal::{self, Removal};
use crate::decide::kubernetes::{Verdict, Wanted, restart};
use crate::decide::missing::{DeletionPolicy, Gone};
use crate::decide::{self, Effect};
use crate::failure::Failure;
use crate::state::{SecretId, State};
use crate::store::Read;
use crate::target::Target;
use crate::target::file::{FileTarget, Rendered};
use crate::target::kubernetes::{KubernetesTarget, Rehearsal};

/// What becomes of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    Create,
    Update,
    /// As [`Self::Update`], of what somebody else wrote.
    Adopt,
    /// Once it is certain that all its sources are gone.
    Delete,
    Unchanged,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub doing: Doing,
    pub changes: Changes,
    /// What is restarted because of it.
    pub restarts: Vec<Workload>,
}

impl Step {
    fn new(doing: Doing) -> Self {
        Self {
            doing,
            changes: Changes::default(),
            restarts: Vec::new(),
        }
    }

    pub fn unchanged() -> Self {
        Self::new(Doing::Unchanged)
    }
}

/// What a run of one entry would do.
#[derive(Debug, Default)]
pub struct Outlook {
    /// In the order of the entry's targets.
    pub targets: Vec<Result<Step, Failure>>,
    /// Why nothing can be said of its targets at all, or why the last value of something is kept.
    pub failures: Vec<Failure>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What the next run does.
    Run,
    /// What of somebody else's a person could give to us, and what the next run would do to it then.
    Adoption,
}

/// Of every target of the entry.
pub async fn plan(run: Run, gates: &Gates, view: View) -> Outlook {
    let entry = std::sync::Arc::clone(&run.entry);
    let mut outlook = every(run, gates, view).await;
    if view == View::Adoption {
        for (target, step) in entry.targets.iter().zip(&mut outlook.targets) {
            if step.is_err() && is_nobody_elses(target, gates).await {
                *step = Ok(Step::unchanged());
            }
        }
    }
    outlook
}

/// Whether there is nothing to give to us, whatever else is wrong with the entry.
async fn is_nobody_elses(target: &Target, gates: &Gates) -> bool {
    let Target::File(file) = target else {
        return false;
    };
    let look = async { file.adoption(&file.observe().await?) };
    match gates.pass(target, Box::pin(look)).await {
        Ok(Adoption::Absent | Adoption::Ours) => true,
        Ok(Adoption::Take { .. }) | Err(_) => false,
    }
}

async fn every(run: Run, gates: &Gates, view: View) -> Outlook {
    let answers = match read_all(&run).await {
        Ok(answers) => answers,
        Err(not_read) => return unread(&run, gates, not_read).await,
    };
    if answers.seen.is_empty()
        && let Some(outlook) = gone(&run, gates).await
    {
        return outlook;
    }
    let (answers, plan, contents) = match whole(&run, answers).await {
        Ok(whole) => whole,
        Err((_, failure)) => return failed(&run.entry, vec![failure]),
    };
    // Values are let go before the judging, which may have to wait.
    drop(answers);
    let entry = &*run.entry;
    let all: Vec<usize> = (0..entry.targets.len()).collect();
    let steps = work(&all, &plan, &contents).into_iter();
    let steps = steps.map(async |(index, work)| {
        let target = &entry.targets[index];
        let look = Box::pin(judged((entry, target), work, (&run.state, view)));
        (index, gates.pass(target, look).await)
    });
    let mut targets = join_all(steps).await;
    let failures = plan.why().cloned().into_iter().collect();
    targets.extend(plan.stays.into_iter().map(|(index, why)| (index, Err(why))));
    targets.sort_by_key(|(index, _)| *index);
    Outlook {
        targets: targets.into_iter().map(|(_, step)| step).collect(),
        failures,
    }
}

fn failed(entry: &Entry, failures: Vec<Failure>) -> Outlook {
    let first = failures.first();
    let targets = first.map(|failure| entry.targets.iter().map(|_| Err(failure.clone())).collect());
    Outlook {
        targets: targets.unwrap_or_default(),
        failures,
    }
}

async fn unread(run: &Run, gates: &Gates, not_read: NotRead) -> Outlook {
    let NotRead {
        failed: reads,
        nothing_seen,
    } = not_read;
    let is_gone =
        |(read, failure): &(Read, Failure)| Gone::of(failure.reason, &read.source).is_some();
    let all_gone = nothing_seen && reads.iter().all(is_gone);
    if all_gone && let Some(outlook) = gone(run, gates).await {
        return outlook;
    }
    failed(&run.entry, reads.into_iter().map(|(_, it)| it).collect())
}

/// Where every source is gone, and every target is to go with them, as far as each is ours alone.
async fn gone(run: &Run, gates: &Gates) -> Option<Outlook> {
    let entry = &*run.entry;
    let goes = |target: &Target| target.deletion_policy() == DeletionPolicy::Delete;
    if entry.targets.is_empty() || !entry.targets.iter().all(goes) {
        return None;
    }
    let steps = entry.targets.iter().map(|target| {
        let look = Box::pin(judged(
            (entry, target),
            Work::Remove,
            (&run.state, View::Run),
        ));
        gates.pass(target, look)
    });
    Some(Outlook {
        targets: join_all(steps).await,
        failures: Vec::new(),
    })
}

/// What would become of it once it is certain that all its sources are gone.
async fn removed(
    target: &KubernetesTarget,
    id: &SecretId,
    (entry, state): (&Entry, &State),
) -> Result<Step, Failure> {
    let live = target.observe().await?;
    let delivered = state.secret(&deliver::part(id, entry));
    let removal = removal::delete(&entry.name, delivered.as_ref(), live.as_ref())?;
    Ok(match removal {
        Removal::Gone | Removal::Release => Step::unchanged(),
        Removal::Delete(_) | Removal::GiveBack(..) => Step::new(Doing::Delete),
    })
}

/// The same of a file.
async fn removed_file(target: &FileTarget) -> Result<Step, Failure> {
    Ok(match target.would_remove().await? {
        FileRemoval::Gone => Step::unchanged(),
        FileRemoval::Remove { .. } => Step::new(Doing::Delete),
    })
}

async fn judged(
    (entry, target): (&Entry, &Target),
    work: Work<'_>,
    (state, view): (&State, View),
) -> Result<Step, Failure> {
    let content = match work {
        Work::Write(content) => content,
        Work::Remove => {
            return match target {
                Target::Kubernetes(target, id) => removed(target, id, (entry, state)).await,
                Target::File(target) => removed_file(target).await,
            };
        }
        Work::StayAway => return Ok(Step::unchanged()),
    };
    let content = deliver::resolved(entry, target, content, state).await?;
    match deliver::render(target, &content)? {
        Staged::Kubernetes(target, id, wanted) => secret(target, id, (&wanted, entry), state).await,
        Staged::File(target, rendered) => match view {
            View::Run => file(target, &rendered).await,
            View::Adoption => adopted(target, &rendered).await,
        },
        Staged::Remove(..) | Staged::RemoveFile(_) | Staged::StayAway => Ok(Step::unchanged()),
    }
}

async fn secret(
    target: &KubernetesTarget,
    id: &SecretId,
    (wanted, entry): (&Wanted, &Entry),
    state: &State,
) -> Result<Step, Failure> {
    for _ in 0..JUDGEMENTS {
        let judged = JudgedSecret::of(target, id, (wanted, entry), state).await?;
        match target.rehearse(&judged.wanted, &judged.verdict).await? {
            Rehearsal::Raced => {}
            Rehearsal::Accepted => {
                let live = judged.live.as_ref();
                let wanted = &judged.wanted;
                let changes = decide::kubernetes::changes(wanted, live, &judged.verdict);
                let doing = match &judged.verdict {
                    Verdict::Unchanged(_) if changes.is_empty() => Doing::Unchanged,
                    Verdict::Create { .. } => Doing::Create,
                    Verdict::Apply { .. } if judged.is_adopted() => Doing::Adopt,
                    Verdict::Unchanged(_) | Verdict::TakeOver { .. } | Verdict::Apply { .. } => {
                        Doing::Update
                    }
                };
                let restarts = restart::recorded(wanted).map(|_| target.spec().restart.clone());
                return Ok(Step {
                    doing,
                    changes,
                    restarts: restarts.unwrap_or_default(),
                });
            }
        }
    }
    Err(deliver::overtaken())
}

async fn file(target: &FileTarget, rendered: &Rendered) -> Result<Step, Failure> {
    let seen = target.observe().await?;
    let verdict = target.judge(rendered, &seen)?;
    let doing = match verdict {
        FileVerdict::Unchanged => Doing::Unchanged,
        FileVerdict::Write(_) if seen.observed == Observed::Absent => Doing::Create,
        FileVerdict::FixMode(_) | FileVerdict::Write(_) if target.is_adopted(rendered, &seen) => {
            Doing::Adopt
        }
        // A directory may be there and empty.
        FileVerdict::Write(Effect::Created) => Doing::Create,
        FileVerdict::FixMode(_) | FileVerdict::Write(_) => Doing::Update,
    };
    if doing != Doing::Unchanged {
        target.probe().await?;
    }
    let changes = target.changes(rendered, verdict).await;
    let restarts = Vec::new();
    Ok(Step {
        doing,
        changes,
        restarts,
    })
}

/// What would become of a file that a person gives to us.
async fn adopted(target: &FileTarget, rendered: &Rendered) -> Result<Step, Failure> {
    let seen = target.observe().await?;
    match target.adoption(&seen)? {
        Adoption::Absent | Adoption::Ours => return Ok(Step::unchanged()),
        Adoption::Take { .. } => {}
    }
    target.probe().await?;
    let changes = if target.is_right(rendered, &seen) {
        Changes {
            other: Some(Other::Keeper),
            ..Changes::default()
        }
    } else {
        let verdict = FileVerdict::Write(Effect::Updated);
        target.changes(rendered, verdict).await
    };
    Ok(Step {
        doing: Doing::Adopt,
        changes,
        restarts: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
