//! The promise to destroy nothing, stated once more: it asks none of the code under test.

use std::time::Duration;

use super::setting::{Answer, Setting};
use super::world::World;
use crate::decide::missing::{DeletionPolicy, OnMissing};

/// What an exploration came across: an oracle that never sees a removal proves nothing.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) worlds: usize,
    pub(super) dropped: usize,
    pub(super) merged: usize,
    pub(super) targets_deleted: usize,
    pub(super) written_beside_missing: usize,
    pub(super) held: usize,
    pub(super) released: usize,
    /// A target went while another one of the entry kept everything.
    pub(super) deleted_beside_kept: usize,
    /// A target lost some keys while another one kept everything.
    pub(super) merged_beside_kept: usize,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.dropped += other.dropped;
        self.merged += other.merged;
        self.targets_deleted += other.targets_deleted;
        self.written_beside_missing += other.written_beside_missing;
        self.held += other.held;
        self.released += other.released;
        self.deleted_beside_kept += other.deleted_beside_kept;
        self.merged_beside_kept += other.merged_beside_kept;
    }
}

pub(super) const WRITTEN: &str = "something was written although a source stops it";
pub(super) const UNPROVEN: &str = "a key went without proof or policy";
pub(super) const EMPTIED: &str = "a target was emptied";
pub(super) const HELD: &str = "what was held went by itself";
pub(super) const OVER: &str = "more was removed within an hour than the brake lets pass";

/// All the ways to break it.
pub(super) const ALL: &[&str] = &[WRITTEN, UNPROVEN, EMPTIED, HELD, OVER];

/// Whether one run was allowed to do what it did.
pub(super) fn kept(setting: &Setting, before: &World, after: &World) -> Result<Seen, &'static str> {
    let mut seen = Seen::default();
    let keeps = |target: usize| {
        let all = before.holds[target].iter().all(|held| *held);
        all && before.holds[target] == after.holds[target]
    };
    let beside_kept = (0..setting.policies.len()).any(keeps);
    for target in 0..setting.policies.len() {
        let (was, is) = (&before.holds[target], &after.holds[target]);
        let lost: Vec<usize> = (0..was.len()).filter(|s| was[*s] && !is[*s]).collect();
        for source in &lost {
            if !may_go(setting, after, *source, target) {
                return Err(UNPROVEN);
            }
        }
        let emptied = !lost.is_empty() && is.iter().all(|held| !held);
        let deleted =
            setting.policies[target] == DeletionPolicy::Delete && all_proven(after, setting);
        if emptied && !deleted {
            return Err(EMPTIED);
        }
        if !lost.is_empty() && before.is_held(target) && !released(after, target) {
            return Err(HELD);
        }
        let stopped = (0..was.len()).any(|source| stops(setting, before, after, (source, target)));
        if stopped && was != is {
            return Err(WRITTEN);
        }
        seen.targets_deleted += usize::from(emptied);
        seen.deleted_beside_kept += usize::from(emptied && beside_kept);
        let some_went = !lost.is_empty() && !emptied;
        seen.merged_beside_kept += usize::from(some_went && beside_kept);
        seen.held += usize::from(after.is_held(target));
        if !emptied {
            for source in lost {
                match setting.on_missing[source] {
                    OnMissing::Drop => seen.dropped += 1,
                    OnMissing::Fail | OnMissing::KeepLast => seen.merged += 1,
                }
            }
        }
        let missing = (0..was.len()).any(|source| is_missing(latest(after, source)));
        let gained = (0..was.len()).any(|source| !was[source] && is[source]);
        seen.written_beside_missing += usize::from(missing && gained);
        seen.released += usize::from(released(after, target));
    }
    braked(setting, after)?;
    Ok(seen)
}

/// Removals of all entries within one hour never exceed both 3 and 20 % of all targets, but for what a person released.
fn braked(setting: &Setting, world: &World) -> Result<(), &'static str> {
    let within_the_hour = |removed: &&Option<(u64, bool)>| {
        removed.is_some_and(|(at, by_person)| world.now - at < 60 && !by_person)
    };
    let count = world.removed.iter().filter(within_the_hour).count();
    if count > 3 && count * 100 > setting.targets() * 20 {
        return Err(OVER);
    }
    Ok(())
}

/// A person released it within the hour, and so it went.
fn released(world: &World, target: usize) -> bool {
    world.removed[target].is_some_and(|(at, by_person)| at == world.now && by_person)
}

fn latest(world: &World, source: usize) -> Answer {
    let answers = &world.sources[source].answers;
    answers
        .last()
        .expect("every source answers in every step")
        .1
}

fn is_missing(answer: Answer) -> bool {
    !matches!(answer, Answer::Value | Answer::Trouble)
}

/// The same answer for the ARN that we once read, with the same account's credentials, on two reads at least
/// max(interval, 10 min) apart, no other answer between.
fn is_proven(setting: &Setting, world: &World, source: usize) -> bool {
    let secret = &world.sources[source];
    let last = latest(world, source);
    if !is_missing(last) || last == Answer::NotFoundForNobody {
        return false;
    }
    let apart = setting.interval.max(Duration::from_mins(10));
    secret.answers.iter().enumerate().any(|(index, (at, _))| {
        let only_that = secret.answers[index..].iter().all(|(_, it)| *it == last);
        let earlier = &secret.answers[..index];
        let once_read = secret.read_before || earlier.iter().any(|(_, it)| *it == Answer::Value);
        only_that && once_read && Duration::from_mins(world.now - at) >= apart
    })
}

fn all_proven(world: &World, setting: &Setting) -> bool {
    (0..world.sources.len()).all(|source| is_proven(setting, world, source))
}

/// Positive proof, plus a setting that names it.
fn may_go(setting: &Setting, world: &World, source: usize, target: usize) -> bool {
    let named = setting.on_missing[source] == OnMissing::Drop
        || match setting.policies[target] {
            DeletionPolicy::Retain => false,
            DeletionPolicy::Merge => true,
            DeletionPolicy::Delete => all_proven(world, setting),
        };
    named && is_proven(setting, world, source)
}

/// Not found, never read, and no target holds its key.
fn never_was(before: &World, after: &World, source: usize) -> bool {
    let not_found = matches!(
        latest(after, source),
        Answer::NotFound | Answer::NotFoundForAnother | Answer::NotFoundForNobody
    );
    let secret = &after.sources[source];
    let read = secret.read_before || secret.answers.iter().any(|(_, it)| *it == Answer::Value);
    not_found && !read && before.holds.iter().all(|keys| !keys[source])
}

/// Whether the answer of a source keeps everything from being written to a target.
fn stops(
    setting: &Setting,
    before: &World,
    after: &World,
    (source, target): (usize, usize),
) -> bool {
    match latest(after, source) {
        Answer::Value => return false,
        Answer::Trouble => return true,
        Answer::NotFound
        | Answer::NotFoundForAnother
        | Answer::NotFoundForNobody
        | Answer::PendingDeletion
        | Answer::NoValue
        | Answer::NoLongerMatches => {}
    }
    let left_out = match setting.on_missing[source] {
        OnMissing::KeepLast => return false,
        OnMissing::Fail => false,
        OnMissing::Drop => never_was(before, after, source),
    };
    !left_out && !may_go(setting, after, source, target)
}
