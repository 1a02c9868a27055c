//! Small worlds, explored whole: whatever the sources answer, in whatever order, nothing is destroyed.
//!
//! Every sequence of steps is walked that leads to another state, until no new state is left. After each step
//! [`promise`] says, without the code under test, whether what happened to the targets was allowed.

mod brake;
mod directories;
mod file_removals;
mod files;
mod promise;
mod removals;
mod secrets;
mod setting;
mod walk;
mod world;
mod wrong;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use promise::Seen;
use setting::{Answer, Crowd, Setting, Step};
use world::{Rules, World};

use super::missing::{DeletionPolicy, OnMissing};

const ON_MISSING: [OnMissing; 3] = [OnMissing::Fail, OnMissing::KeepLast, OnMissing::Drop];

const POLICIES: [DeletionPolicy; 3] = [
    DeletionPolicy::Retain,
    DeletionPolicy::Merge,
    DeletionPolicy::Delete,
];

/// Walks everything that can be reached in that setting. An error tells the way to what broke the promise, of the ways
/// to break it that are looked for.
fn explore(rules: &Rules, setting: &Setting, looked_for: &[&str]) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut queue: VecDeque<World> = World::all(setting).into();
    let mut known: HashSet<_> = queue.iter().map(|world| world.key(setting)).collect();
    let steps = steps(setting);
    while let Some(before) = queue.pop_front() {
        for step in &steps {
            let after = before.after(rules, setting, step);
            match promise::kept(setting, &before, &after) {
                Ok(what) => seen.add(&what),
                Err(broken) if !looked_for.contains(&broken) => continue,
                Err(broken) => {
                    return Err(format!("{broken}\n{setting:?}\n{before:?}\n{after:?}"));
                }
            }
            if known.insert(after.key(setting)) {
                queue.push_back(after);
            }
        }
    }
    seen.worlds = known.len();
    Ok(seen)
}

fn steps(setting: &Setting) -> Vec<Step> {
    let releases: &[bool] = match setting.crowd {
        Crowd::Alone => &[false],
        Crowd::TwoRemovedNow => &[false, true],
    };
    let times = setting.steps.iter();
    let each = times.flat_map(|minutes| releases.iter().map(move |release| (*minutes, *release)));
    let with = |(minutes, release): (u64, bool)| {
        let answers = combinations(&setting.answers, setting.on_missing.len());
        answers.into_iter().map(move |answers| Step {
            minutes,
            release,
            answers,
        })
    };
    each.flat_map(with).collect()
}

/// Every row of `len` of these.
fn combinations<T: Copy>(of: &[T], len: usize) -> Vec<Vec<T>> {
    let mut rows = vec![Vec::new()];
    for _ in 0..len {
        let longer = rows.iter().flat_map(|row: &Vec<T>| {
            of.iter().map(|one| {
                let mut row = row.clone();
                row.push(*one);
                row
            })
        });
        rows = longer.collect();
    }
    rows
}

/// The same, of rows that differ in their order alone only one: sources are alike, and so are targets.
fn unordered<T: Copy>(of: &[T], len: usize) -> Vec<Vec<T>> {
    let places: Vec<usize> = (0..of.len()).collect();
    let rows = combinations(&places, len).into_iter();
    rows.filter(|row| row.is_sorted())
        .map(|row| row.into_iter().map(|place| of[place]).collect())
        .collect()
}

/// Every setting with that many sources and targets; the other fields are those of the pattern.
fn settings(sources: usize, targets: usize, pattern: &Setting) -> Vec<Setting> {
    let on_missing = unordered(&ON_MISSING, sources);
    let policies = unordered(&POLICIES, targets);
    let both = on_missing
        .iter()
        .flat_map(|on_missing| policies.iter().map(move |policies| (on_missing, policies)));
    both.map(|(on_missing, policies)| Setting {
        on_missing: on_missing.clone(),
        policies: policies.clone(),
        ..pattern.clone()
    })
    .collect()
}

fn pattern(interval: u64, steps: &[u64], answers: &[Answer]) -> Setting {
    Setting {
        interval: Duration::from_mins(interval),
        on_missing: Vec::new(),
        policies: Vec::new(),
        steps: steps.to_vec(),
        answers: answers.to_vec(),
        crowd: Crowd::Alone,
    }
}

fn one_source() -> Vec<Setting> {
    let of = |interval: u64| {
        let steps: BTreeSet<u64> = [0, 5, 10, interval].into();
        let steps: Vec<u64> = steps.into_iter().collect();
        settings(1, 2, &pattern(interval, &steps, Answer::ALL))
    };
    [of(5), of(15)].concat()
}

fn two_sources() -> Vec<Setting> {
    let answers = [
        Answer::Value,
        Answer::NotFound,
        Answer::PendingDeletion,
        Answer::Trouble,
    ];
    settings(2, 1, &pattern(15, &[0, 10], &answers))
}

fn two_sources_and_targets() -> Vec<Setting> {
    let answers = [Answer::Value, Answer::NotFound, Answer::Trouble];
    settings(2, 2, &pattern(15, &[0, 15], &answers))
}

/// Where two other targets lost something just now, so that one more may.
fn crowded() -> Vec<Setting> {
    let answers = [Answer::Value, Answer::NotFound, Answer::Trouble];
    let pattern = Setting {
        crowd: Crowd::TwoRemovedNow,
        ..pattern(15, &[0, 15, 30], &answers)
    };
    settings(1, 2, &pattern)
}

fn all_keep_the_promise(settings: &[Setting]) -> Seen {
    let mut seen = Seen::default();
    for setting in settings {
        match explore(&Rules::RIGHT, setting, promise::ALL) {
            Ok(what) => seen.add(&what),
            Err(broken) => panic!("{broken}"),
        }
    }
    seen
}

#[test]
fn one_source_whatever_it_answers_destroys_nothing() {
    let seen = all_keep_the_promise(&one_source());
    assert!(seen.worlds > 5_000, "{seen:?}");
    assert!(seen.targets_deleted > 0, "{seen:?}");
}

#[test]
fn two_sources_whatever_they_answer_destroy_nothing() {
    let seen = all_keep_the_promise(&two_sources());
    assert!(seen.worlds > 10_000, "{seen:?}");
    assert!(
        seen.dropped > 0 && seen.merged > 0 && seen.targets_deleted > 0,
        "{seen:?}"
    );
    assert!(seen.written_beside_missing > 0, "{seen:?}");
}

#[test]
fn two_targets_of_two_sources_go_by_their_own_policies() {
    let seen = all_keep_the_promise(&two_sources_and_targets());
    assert!(seen.worlds > 10_000, "{seen:?}");
    assert!(seen.dropped > 0 && seen.merged > 0, "{seen:?}");
    assert!(seen.targets_deleted > 0, "{seen:?}");
    assert!(
        seen.deleted_beside_kept > 0 && seen.merged_beside_kept > 0,
        "each by its own policy: {seen:?}"
    );
}

#[test]
fn the_brake_is_between_every_proof_and_every_removal() {
    let seen = all_keep_the_promise(&crowded());
    assert!(seen.targets_deleted > 0, "{seen:?}");
    assert!(seen.held > 0 && seen.released > 0, "{seen:?}");
}
