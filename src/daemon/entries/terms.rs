//! Whose turn it is to write the targets of an entry, where several machines take turns.

use tokio::time::Instant;

use super::{EntryState, Rest};
use crate::decide::state::Turn;
use crate::few::Seldom;
use crate::leader::Since;
use crate::report::Condition;
use crate::target::Target;

impl EntryState {
    /// Whose turn it is to write target `index`.
    pub(in crate::daemon) fn turn(&self, index: usize) -> Turn {
        match self.entry.targets.get(index) {
            Some(Target::Kubernetes(..)) => self.clusters,
            Some(Target::File(_)) | None => Turn::Ours,
        }
    }

    /// The targets that this machine writes.
    pub(in crate::daemon) fn ours(&self) -> Vec<usize> {
        let targets = 0..self.targets.len();
        targets
            .filter(|index| self.turn(*index) == Turn::Ours)
            .collect()
    }

    pub(super) fn has_clusters(&self) -> bool {
        let mut targets = self.entry.targets.iter();
        targets.any(|target| matches!(target, Target::Kubernetes(..)))
    }

    /// This machine leads: it begins anew with what it has delivered itself, and where others led since, not with what it
    /// removed: it may be there again. False where it has nothing to do with that.
    pub(in crate::daemon) fn begin_term(&mut self, since: Since) -> bool {
        // A selector may find targets later.
        self.clusters = Turn::Ours;
        if !self.has_clusters() && self.remembered.is_empty() {
            return false;
        }
        if since == Since::Others {
            for (target, state) in self.entry.targets.iter().zip(&mut self.targets) {
                if matches!(target, Target::Kubernetes(..)) {
                    state.away = None;
                }
            }
            self.remembered
                .change(|all| all.values_mut().for_each(|state| state.away = None));
        }
        if self.rest().is_some() {
            return true;
        }
        let shown: Vec<Condition> = self.targets.iter().map(|target| target.shown).collect();
        let (work, condition, undelivered) = (self.work, self.condition, self.undelivered);
        self.begin_anew();
        (self.work, self.condition, self.undelivered) = (work, condition, undelivered);
        for (target, shown) in self.targets.iter_mut().zip(shown) {
            target.shown = shown;
        }
        // Until now it was another's to keep fresh.
        self.first_seen = Instant::now();
        true
    }

    /// Another machine leads. False where the entry has nothing to do with that.
    pub(in crate::daemon) fn end_term(&mut self) -> bool {
        self.clusters = Turn::Waits;
        if !self.has_clusters() {
            return false;
        }
        self.forgive();
        true
    }

    /// What another machine writes is no trouble of this one.
    pub(in crate::daemon) fn forgive(&mut self) {
        for index in 0..self.targets.len() {
            if self.turn(index) == Turn::Waits {
                self.targets[index].rest();
            }
        }
        if self.rest() == Some(Rest::StandsBy) {
            self.failing_reads = Seldom::none();
            self.trouble = None;
            self.kept = None;
            self.retry = None;
        }
    }
}
