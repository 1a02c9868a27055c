//! Targets that come and go with namespaces: those that stay keep their state.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{EntryState, TargetState};
use crate::few;
use crate::report::{Condition, Fact, Reporter, TargetKind};
use crate::state::SecretId;
use crate::status::{TargetStatus, Trouble};
use crate::store::Read;
use crate::sync::{Entry, Heard, Selected, Standing};
use crate::target::Target;

/// What another list of targets changed.
#[derive(Debug, Default)]
#[must_use]
pub(in crate::daemon) struct Aimed {
    /// Places in the new list of those that were not in the old one.
    pub joined: Vec<usize>,
    /// What was last told of those that left, by their place in the old list.
    pub left: Vec<(usize, Condition)>,
}

/// Of another configuration only what the targets hold stays known.
pub(super) fn anew(remembered: BTreeMap<String, TargetState>) -> BTreeMap<String, TargetState> {
    let anew = |state: TargetState| TargetState {
        delivered: state.delivered,
        away: state.away,
        ..TargetState::new()
    };
    let all = remembered.into_iter();
    all.map(|(name, state)| (name, anew(state))).collect()
}

impl EntryState {
    /// Whether namespaces decide where it delivers to.
    pub(in crate::daemon) fn selects(&self) -> bool {
        !self.entry.selected.is_empty()
    }

    /// It would deliver, but there is nowhere to deliver to, or nobody has said where.
    pub(in crate::daemon) fn waits_for_namespaces(&self) -> bool {
        self.targets.is_empty() && self.selects()
    }

    /// The same, and nothing is left from before a restart that a list might confirm.
    pub(super) fn is_nowhere(&self) -> bool {
        self.waits_for_namespaces() && self.remembered.is_empty()
    }

    /// Whether every target that counts was tried, and there is one. Those that another machine writes do not count.
    pub(in crate::daemon) fn reaches_all(&self) -> bool {
        let followed = self.entry.selected.iter().all(|it| it.failure().is_none());
        let tried = self.ours().iter().all(|index| self.targets[*index].tried);
        !self.waits_for_namespaces() && followed && tried
    }

    /// Whether nothing is new: what a restart remembers counts as what it was.
    pub(super) fn was_everywhere(&self) -> bool {
        let ours = self.ours();
        let ours = ours.iter().map(|index| &self.targets[*index]);
        let mut targets = ours.chain(self.remembered.values());
        targets.all(|target| target.tried && target.trouble.is_none())
    }

    /// Which of its targets is that Secret.
    pub(in crate::daemon) fn place_of(&self, secret: &SecretId) -> Option<usize> {
        let mut targets = self.entry.targets.iter();
        targets.position(|target| match target {
            Target::Kubernetes(_, id) => id == secret,
            Target::File(_) => false,
        })
    }

    /// Targets that came to an entry which was delivered before.
    pub(in crate::daemon) fn new_targets(&self) -> Vec<usize> {
        if !self.tried || !self.selects() {
            return Vec::new();
        }
        self.indices(|target| !target.tried && target.trouble.is_none() && !target.lags)
    }

    /// Whether a target that was called so before the restart is there if its namespace still is.
    pub(super) fn may_have(&self, name: &str) -> bool {
        let mut targets = self.entry.targets.iter();
        if targets.any(|target| target.to_string() == name) {
            return false;
        }
        let mut unknown = self.entry.selected.iter().filter(|it| !it.is_known());
        unknown.any(|selected| selected.may_have(name))
    }

    /// What the targets of an entry of the same name hold, where no list of namespaces says yet that they are there.
    pub(super) fn remember_from(&mut self, before: &Self) {
        let names = before.entry.targets.iter().map(ToString::to_string);
        let targets = names.zip(&before.targets);
        let remembered = before.remembered.iter();
        let remembered = remembered.map(|(name, state)| (name.clone(), state));
        let held = targets.chain(remembered);
        let held = held.filter(|(name, _)| self.may_have(name));
        let held = held.map(|(name, state)| {
            let delivered = state.delivered.clone();
            let state = TargetState {
                delivered,
                away: state.away,
                ..TargetState::new()
            };
            (name, state)
        });
        self.remembered = held.collect::<BTreeMap<_, _>>().into();
    }

    /// Whether its targets are those of this entry, each written in the same way.
    pub(in crate::daemon) fn aims_at(&self, entry: &Entry) -> bool {
        let (own, others) = (&self.entry.targets, &entry.targets);
        let same = |(own, other): (&Target, &Target)| {
            own.to_string() == other.to_string() && own.is_like(other)
        };
        own.len() == others.len() && own.iter().zip(others).all(same)
    }

    /// The same entry with other targets. Only between two runs: a run knows targets by their place.
    pub(in crate::daemon) fn aim(&mut self, entry: Entry, now: Instant) -> Aimed {
        let before = std::mem::replace(&mut self.entry, Arc::new(entry));
        let names = before.targets.iter().map(ToString::to_string);
        let states = std::mem::take(&mut self.targets).into_iter().enumerate();
        let mut known: BTreeMap<String, (usize, TargetState)> = names.zip(states).collect();
        let was_nowhere = known.is_empty();
        let (mut aimed, mut remembers) = (Aimed::default(), false);
        for (index, target) in self.entry.targets.iter().enumerate() {
            let name = target.to_string();
            let state = if let Some((place, mut state)) = known.remove(&name) {
                if !target.is_like(&before.targets[place]) {
                    (state.tried, state.trouble, state.retry) = (false, None, None);
                }
                state
            } else {
                aimed.joined.push(index);
                let remembered = self.remembered.change(|it| it.remove(&name));
                remembers |= remembered.is_some();
                remembered.unwrap_or_else(TargetState::new)
            };
            self.targets.push(state);
        }
        let left = known.into_values();
        aimed.left = left.map(|(place, state)| (place, state.shown)).collect();
        let mut remembered = self.remembered.take();
        remembered.retain(|name, _| self.may_have(name));
        self.remembered = remembered.into();
        self.forget_returned();
        self.delivered = self.newest_delivered();
        if was_nowhere && !remembers && !self.targets.is_empty() {
            self.first_seen = now;
        }
        let mut shown = std::mem::take(&mut self.selections_shown).into_vec();
        shown.resize(self.entry.selected.len(), None);
        self.selections_shown = shown.into();
        aimed
    }

    /// Whether this target is none any more when the work that is under way has ended.
    pub(in crate::daemon) fn is_leaving(&self, index: usize) -> bool {
        let Some(next) = &self.next else {
            return false;
        };
        let name = self.entry.targets[index].to_string();
        !next.targets.iter().any(|target| target.to_string() == name)
    }

    /// A run has this content; what no list has confirmed yet does not get it, and has to be tried.
    pub(in crate::daemon) fn attempt(&mut self, heard: few::Map<Read, Heard>) {
        if heard != self.attempted {
            self.remembered.change(|all| {
                for target in all.values_mut() {
                    target.tried = false;
                }
            });
        }
        self.attempted = heard;
    }

    fn condition_of(&self, selected: &Selected) -> Option<Condition> {
        if self.entry.suspended {
            return Some(Condition::Suspended);
        }
        match &selected.standing {
            Standing::Found(0) | Standing::Unknown => Some(Condition::Pending),
            Standing::Found(_) => None,
            Standing::Failing { .. } => Some(Condition::Failing),
        }
    }

    /// Tells how the selections stand, and the worst of it; nothing where all of them found something.
    pub(in crate::daemon) fn tell_selected(&mut self, reporter: &Reporter) -> Option<Condition> {
        for (index, selected) in self.entry.selected.iter().enumerate() {
            let now = self.condition_of(selected);
            let was = std::mem::replace(&mut self.selections_shown[index], now);
            if was != now {
                tell(reporter, selected, was, now);
            }
        }
        self.selections_shown.iter().flatten().min().copied()
    }

    /// The entry is told of no more.
    pub(in crate::daemon) fn forget_selected(&mut self, reporter: &Reporter) {
        for (selected, shown) in self.entry.selected.iter().zip(&mut self.selections_shown) {
            let was = shown.take();
            if was.is_some() {
                tell(reporter, selected, was, None);
            }
        }
    }

    /// It shows as pending only for namespaces that it waits for.
    pub(in crate::daemon) fn waits(&self) -> bool {
        let mut shown = self.targets.iter().map(|target| target.shown);
        self.selects()
            && self.condition == Condition::Pending
            && shown.all(|shown| shown == Condition::Fresh)
    }

    pub(in crate::daemon) fn selected_status(&self) -> impl Iterator<Item = TargetStatus> {
        let all = self.entry.selected.iter().zip(&self.selections_shown);
        all.filter_map(|(selected, shown)| {
            Some(TargetStatus {
                kind: TargetKind::Kubernetes,
                target: selected.to_string(),
                state: (*shown)?,
                removed_since: None,
                waits: false,
                action: None,
                error: selected.failure().map(Trouble::from),
            })
        })
    }
}

fn tell(reporter: &Reporter, selected: &Selected, was: Option<Condition>, now: Option<Condition>) {
    reporter.record(&Fact::TargetCondition {
        target: TargetKind::Kubernetes,
        cluster: Some(&selected.cluster),
        was,
        now,
    });
}

#[cfg(test)]
pub(in crate::daemon) mod tests;
