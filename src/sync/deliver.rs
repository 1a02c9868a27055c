//! From content to targets: render all, then each target on its own way through observe, judge, apply.

mod files;
mod look;
mod secrets;
mod staging;
mod turns;

use futures_util::future::join_all;
use jiff::Timestamp;

use self::files::{file, remove_file};
pub use self::look::{Checked, check};
pub(super) use self::secrets::{JUDGEMENTS, JudgedSecret, overtaken, part};
use self::secrets::{remove, secret};
use self::staging::stage;
pub(super) use self::staging::{Staged, holdings, render, resolved};
pub(super) use self::turns::{in_time, in_turn, in_turn_soon};
use super::{Run, pace};
use crate::assemble::Content;
use crate::clock;
use crate::decide::rivals::Rivals;
use crate::decide::{Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::target::Target;

/// How the delivery to one target ended, and when it was there.
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
    fn of(done: Result<(Handled, Timestamp), Failure>) -> Self {
        match done {
            Ok((handled, at)) => Self {
                result: Ok(handled),
                at,
            },
            Err(failure) => Self {
                result: Err(failure),
                at: clock::now(),
            },
        }
    }

    /// A target that does not answer is not written.
    pub(super) fn not_tried((target, failure): (usize, Failure)) -> (usize, Self) {
        (target, Self::of(Err(failure)))
    }
}

/// What is done to a target.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work<'a> {
    Write(&'a Content),
    Remove,
    /// It was removed earlier, and nothing of it is looked at.
    StayAway,
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
            // What a turn takes is made when it has come: thousands may wait for theirs.
            Ok(Staged::Kubernetes(target, id, wanted)) => {
                let work = async {
                    let target = target.under(tenure);
                    Box::pin(secret((&target, id), (&wanted, entry), may, state)).await
                };
                in_turn(&entry.targets[index], work).await
            }
            Ok(Staged::File(target, rendered)) => {
                in_time(Box::pin(file(target, &rendered, may))).await
            }
            Ok(Staged::Remove(target, id)) => {
                let work = async {
                    let target = target.under(tenure);
                    Box::pin(remove((&target, id), (entry, dismissed), state)).await
                };
                let effect = in_turn(&entry.targets[index], work).await;
                effect.map(went)
            }
            Ok(Staged::RemoveFile(target)) => {
                let effect = in_time(remove_file(target, dismissed, state)).await;
                effect.map(went)
            }
            Ok(Staged::StayAway) => Ok(went(Effect::Away)),
            Err(failure) => Err(failure),
        };
        (index, Delivery::of(result))
    });
    // Where it is at all targets, nobody could go on with any.
    let most = entry.targets.len().saturating_sub(1);
    pace::each(deliveries, most, tell).await
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

fn went(effect: Effect) -> (Handled, Timestamp) {
    (Handled::Did(effect), clock::now())
}

fn no_longer_to_go(what: &str) -> Failure {
    Failure::new(
        Reason::Conflict,
        format!("the configuration is another one since, so the {what} is not removed"),
    )
    .with_help("what is configured now is done by itself; what no entry writes, `prune` lists")
}
