//! How an entry and its targets stand, and what failure is shown.

use tokio::time::Instant;

use super::{EntryState, TargetState};
use crate::decide::state::{self, EntryFacts, Sources, TargetFacts, Try};
use crate::failure::Failure;
use crate::report::Condition;
use crate::sync::Selected;

impl EntryState {
    /// Everything is delivered.
    pub(in crate::daemon) fn is_done(&self) -> bool {
        !self.unfinished && !self.has_trouble() && !self.owes()
    }

    /// Something of it failed when it was last tried.
    pub(in crate::daemon) fn has_trouble(&self) -> bool {
        self.trouble.is_some() || self.targets.iter().any(|it| it.trouble.is_some())
    }

    /// Something that was to be done because of what was delivered fails.
    pub(in crate::daemon) fn fails_to_act(&self) -> bool {
        self.failing_action().is_some()
    }

    /// Every target holds what there is, and of what is gone the last value.
    pub(in crate::daemon) fn is_partial(&self) -> bool {
        self.is_done() && self.kept.is_some()
    }

    /// The failure to show: what stops the whole entry before what stops one target.
    pub(in crate::daemon) fn shown_failure(&self) -> Option<&Failure> {
        let reads = self.failing_reads.values();
        let own = self.trouble.iter().map(|(_, streak)| streak);
        let targets = self
            .targets
            .iter()
            .filter_map(|target| target.trouble.as_ref());
        let worst = reads.chain(own).chain(targets).chain(&self.kept).next();
        let fights = self.targets.iter().filter_map(|it| it.fight.as_ref());
        let mut selected = self.entry.selected.iter().filter_map(Selected::failure);
        worst
            .map(|streak| &streak.failure)
            .or(fights.min_by_key(|it| &it.fact))
            .or_else(|| self.failing_action())
            .or_else(|| selected.next())
    }

    /// Why nobody could be told of what was delivered.
    pub(in crate::daemon) fn failing_action(&self) -> Option<&Failure> {
        self.targets.iter().find_map(TargetState::failing_action)
    }

    /// How target `index` stands, the entry's own troubles included.
    pub(in crate::daemon) fn target_condition(&self, index: usize, now: Instant) -> Condition {
        let target = &self.targets[index];
        let last = match (&target.trouble, target.tried) {
            (Some(_), _) => Try::Failed,
            (None, true) if target.failing_action().is_some() => Try::Failed,
            (None, true) => Try::Delivered,
            (None, false) => Try::Never,
        };
        let facts = TargetFacts {
            turn: self.turn(index),
            last,
            contested: target.repairs.is_contested(),
        };
        state::of_target(self.facts(now), facts)
    }

    fn facts(&self, now: Instant) -> EntryFacts {
        let failing = !self.failing_reads.is_empty() || self.trouble.is_some();
        EntryFacts {
            age: now.saturating_duration_since(self.success_or_appearance()),
            max_stale: self.entry.max_stale,
            sources: match (failing, &self.kept) {
                (true, _) => Sources::Failing,
                (false, Some(_)) => Sources::Partial,
                (false, None) => Sources::Good,
            },
        }
    }

    /// When it becomes stale unless it succeeds before.
    pub(in crate::daemon) fn stale_at(&self) -> Instant {
        self.success_or_appearance() + self.entry.max_stale
    }

    fn success_or_appearance(&self) -> Instant {
        // Where targets came after a time without any, that time does not count.
        let success = self.last_success.map(|(at, _)| at);
        success.map_or(self.first_seen, |at| at.max(self.first_seen))
    }
}
