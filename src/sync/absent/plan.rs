//! What is done to the targets of an entry while something is not there.

use std::collections::BTreeSet;

use super::standing::Absent;
use super::{Absences, Slot};
use crate::failure::Failure;
use crate::sync::Run;

/// What becomes of the targets of an entry, each by its own policy.
#[derive(Debug, Default)]
pub(in crate::sync) struct Plan {
    /// What is done without, and the targets that are written so.
    pub writes: Vec<(Absences, Vec<usize>)>,
    /// These stay as they are, and why.
    pub stays: Vec<(usize, Failure)>,
    /// All that these were made of is gone, and they go with it.
    pub goes: Vec<usize>,
    /// These went so earlier.
    pub away: Vec<usize>,
    /// What is gone and not out of every target yet: it would be missed no more, once it is forgotten.
    pub(super) missed: BTreeSet<Slot>,
}

impl Plan {
    pub(super) fn of_all(run: &Run) -> Self {
        Self {
            writes: vec![(Absences::default(), run.ours.clone())],
            ..Self::default()
        }
    }

    /// Why some target keeps the last value of something.
    pub(in crate::sync) fn why(&self) -> Option<&Failure> {
        self.writes
            .iter()
            .find_map(|(absences, _)| absences.why.as_ref())
    }

    /// Whether it concerns every target in the same way, and all of them are written; not where another machine writes
    /// some.
    pub(in crate::sync) fn writes_all(&self, run: &Run) -> bool {
        run.ours.len() == run.entry.targets.len()
            && self.stays.is_empty()
            && self.goes.is_empty()
            && self.away.is_empty()
    }

    pub(super) fn write(&mut self, absences: Absences, target: usize) {
        let same = |(known, _): &&mut (Absences, Vec<usize>)| {
            (&known.dropped, &known.kept) == (&absences.dropped, &absences.kept)
        };
        match self.writes.iter_mut().find(same) {
            Some((_, targets)) => targets.push(target),
            None => self.writes.push((absences, vec![target])),
        }
    }

    /// Of what is gone: everything that some target was not written without.
    pub(super) fn miss(&mut self, run: &Run, absent: &[Absent]) {
        let all_written = self.writes_all(run);
        let is_out = |slot: &Slot| {
            let mut writes = self.writes.iter();
            all_written && writes.all(|(absences, _)| absences.dropped.contains(slot))
        };
        let missed = absent.iter().map(|absent| &absent.slot);
        self.missed = missed.filter(|slot| !is_out(slot)).cloned().collect();
    }
}
