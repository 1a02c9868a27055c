//! What is not there, and what the run does without it.

mod fate;
mod lost;
mod never;
mod plan;
mod standing;

use std::collections::BTreeSet;

pub(super) use self::lost::missed_of;
pub use self::lost::{matches_no_longer, proofs_of_lost};
pub(super) use self::plan::Plan;
pub use self::standing::{Proving, proof_of};

use self::fate::{Fate, Scene, held, nothing_left};
use self::never::never_there;
use self::standing::{Absent, standings};
use super::{Answers, Entry, Item, Run};
use crate::failure::Failure;
use crate::names::{RemoteKey, SecretKey};
use crate::report::Stage;

/// Where content comes from: an item of the entry, of a `find` one of its matches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub item: usize,
    pub found: Option<RemoteKey>,
}

/// What the run does without.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// It leaves these out.
    pub dropped: BTreeSet<Slot>,
    /// Of these it keeps the last value.
    pub kept: BTreeSet<Slot>,
    /// Why something is kept.
    pub why: Option<Failure>,
}

impl Absences {
    /// The names of what an item's `find` matched and the run does without.
    pub(super) fn names(&self, item: usize) -> BTreeSet<String> {
        let slots = self.dropped.iter().chain(&self.kept);
        let own = slots.filter(|slot| slot.item == item);
        let names = own.filter_map(|slot| slot.found.as_ref());
        names.map(ToString::to_string).collect()
    }
}

/// Decides what becomes of each target; an error where all of them stay as they are.
pub(super) async fn judge(run: &Run, answers: &Answers) -> Result<Plan, (Stage, Failure)> {
    let (there, absent) = standings(run, answers);
    if absent.is_empty() {
        return Ok(Plan::of_all(run));
    }
    // A target that cannot be looked at is tried again by itself.
    let absent = never_there(run, answers, absent)
        .await
        .map_err(|failure| (Stage::Apply, failure))?;
    let scene = Scene {
        silent: is_silent(run, answers, &absent),
        there,
        absent,
    };
    let mut plan = Plan::default();
    for &index in &run.ours {
        let target = &run.entry.targets[index];
        let away = run.away.contains(&index);
        match scene.fate(target.deletion_policy(), away) {
            Fate::Write(absences) => plan.write(absences, index),
            Fate::Stay(failure) => plan.stays.push((index, failure)),
            Fate::Away => plan.away.push(index),
            Fate::Go if away => plan.away.push(index),
            Fate::Go if run.may_go.contains(&index) => plan.goes.push(index),
            Fate::Go => plan.stays.push((index, held(&scene.absent[0]))),
        }
    }
    if plan.writes.is_empty() && plan.goes.is_empty() && plan.away.is_empty() {
        let first = plan.stays.into_iter().next();
        let failure = first.map_or_else(nothing_left, |(_, failure)| failure);
        return Err((Stage::Fetch, failure));
    }
    plan.miss(run, &scene.absent);
    Ok(plan)
}

fn is_silent(run: &Run, answers: &Answers, absent: &[Absent]) -> bool {
    let items = run.entry.items.iter().enumerate();
    let mut finds = items.filter(|(_, item)| matches!(item, Item::Found { .. }));
    finds.any(|(index, item)| {
        let found = answers.matches(&run.entry.reads[item.read()]);
        found.is_empty() && !absent.iter().any(|absent| absent.slot.item == index)
    })
}

/// The keys that would come from a slot; `None` where only its value tells.
pub(super) fn keys_of(entry: &Entry, slot: &Slot) -> Option<BTreeSet<SecretKey>> {
    entry.items[slot.item].keys(slot.found.as_ref())
}
