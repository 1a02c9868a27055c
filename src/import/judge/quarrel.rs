//! Which of several entries an error is about, and which of them goes for it.

use std::collections::{BTreeMap, BTreeSet};

use super::Ready;
use super::frame::Frame;
use super::place::Wrong;
use crate::import::draft::{Entry, Target};
use crate::import::report::Report;

/// So many others are tried for the one that an entry does not get on with.
const TRIES: usize = 16;

/// Why an entry goes, and where in its text.
pub(super) struct Refusal {
    pub sentence: String,
    pub at: Option<(usize, usize)>,
}

impl Refusal {
    pub(super) fn new(beginning: &str, wrong: &Wrong) -> Self {
        Self {
            sentence: format!("{beginning}: {}", wrong.message),
            at: wrong.at,
        }
    }
}

/// The entries that errors are about, each with its first one and the place in its own text. The first entry begins in
/// the line `begin`.
pub(super) fn told(errors: &[Wrong], entries: &[Ready], begin: usize) -> BTreeMap<usize, Wrong> {
    let mut next = begin;
    let mut begins = Vec::new();
    for ready in entries {
        begins.push(next);
        next += ready.text.matches('\n').count();
    }
    let mut told = BTreeMap::new();
    for error in errors {
        let Some((line, _)) = error.at else {
            continue;
        };
        let upto = begins.partition_point(|begin| *begin <= line);
        if let Some(index) = upto.checked_sub(1) {
            told.entry(index).or_insert_with(|| Wrong {
                at: error.within(begins[index]),
                message: error.message.clone(),
            });
        }
    }
    told
}

/// Those of `told` that are wrong by themselves, or beside another one that stays, each with the sentence that refuses
/// it. The rest may be right when these are gone.
pub(super) fn to_blame(
    told: &BTreeMap<usize, Wrong>,
    entries: &[Ready],
    (frame, report): (&Frame<'_>, &Report),
) -> BTreeMap<usize, Refusal> {
    let mut refused = BTreeMap::new();
    for index in told.keys() {
        if let Some(wrong) = frame.problem(&[&entries[*index]]) {
            refused.insert(*index, Refusal::new("`check` refuses it", &wrong));
        }
    }
    let mut named: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (index, ready) in entries.iter().enumerate() {
        for target in &ready.entry.targets {
            named.entry(&target.name).or_default().insert(index);
        }
    }
    // A selector is told of for what others name, and these may go for a reason of their own.
    let mut left: Vec<usize> = told.keys().copied().collect();
    left.retain(|index| !refused.contains_key(index));
    left.sort_by_key(|index| selects(&entries[*index].entry));
    for index in left {
        let one = &entries[index];
        let own = one.entry.targets.iter().map(|it| it.name.as_str());
        let others: BTreeSet<usize> = own
            .filter_map(|name| named.get(name))
            .flatten()
            .copied()
            .collect();
        let quarrel = others
            .into_iter()
            .filter(|other| *other != index && !refused.contains_key(other))
            .map(|other| &entries[other])
            .filter(|other| may_meet(&one.entry, &other.entry))
            .take(TRIES)
            .find_map(|other| Some((other, frame.problem(&[one, other])?)));
        if let Some((other, wrong)) = quarrel {
            let place = &report.rows[other.row].place;
            let beginning = format!("beside the object at {place} `check` refuses it");
            refused.insert(index, Refusal::new(&beginning, &wrong));
        }
    }
    refused
}

pub(super) fn selects(entry: &Entry) -> bool {
    entry.targets.iter().any(|it| it.selector.is_some())
}

/// Whether both may write a Secret in one namespace.
fn may_meet(a: &Entry, b: &Entry) -> bool {
    let meet = |a: &Target, b: &Target| {
        let selects = a.selector.is_some() || b.selector.is_some();
        a.name == b.name && (selects || a.namespaces.iter().any(|it| b.namespaces.contains(it)))
    };
    a.targets
        .iter()
        .any(|a| b.targets.iter().any(|b| meet(a, b)))
}
