//! What failed to run after a change, and is tried at once because somebody asked for its entry: he waits for the end of
//! that, and is told how it ended. What a change has just caused has a time of its own, and nobody waits for it.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::rollouts::Rollout;
use crate::config::Action;
use crate::names::EntryName;
use crate::state::SecretPart;

/// What is tried again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hastened {
    Action(Action),
    Restart(Rollout),
}

/// What is tried again for one who asked, by entry.
#[derive(Debug, Default)]
pub(super) struct Tries(BTreeMap<EntryName, BTreeSet<Hastened>>);

impl Tries {
    pub(super) fn wait_for(&self, name: &EntryName) -> bool {
        self.0.contains_key(name)
    }

    fn add(&mut self, name: &EntryName, hastened: &BTreeSet<Hastened>) {
        if !hastened.is_empty() {
            let known = self.0.entry(name.clone()).or_default();
            known.extend(hastened.iter().cloned());
        }
    }

    fn keep(&mut self, name: &EntryName, kept: impl Fn(&Hastened) -> bool) {
        if let Some(tries) = self.0.get_mut(name) {
            tries.retain(kept);
            if tries.is_empty() {
                self.0.remove(name);
            }
        }
    }

    /// It was tried. The entries that waited for it.
    fn end(&mut self, tried: &Hastened) -> Vec<EntryName> {
        let waited = self.0.iter().filter(|(_, tries)| tries.contains(tried));
        let waited: Vec<EntryName> = waited.map(|(name, _)| name.clone()).collect();
        for name in &waited {
            self.keep(name, |it| it != tried);
        }
        waited
    }
}

impl Engine {
    /// What failed of the entry is tried now, and whoever asked for it waits for that.
    pub(super) fn hasten_for(&mut self, name: &EntryName) {
        let actions = self.hasten_actions(name).into_iter();
        let of_entry = |part: &SecretPart| part.entry == *name;
        let restarts = self.rollouts.hasten(|_, parts| parts.keys().any(of_entry));
        let restarts = restarts.into_iter().map(Hastened::Restart);
        let hastened: BTreeSet<Hastened> = actions.map(Hastened::Action).chain(restarts).collect();
        for request in self.requests.iter_mut().filter(|it| it.wants(name)) {
            request.tries.add(name, &hastened);
        }
    }

    /// An action or a restart has ended, one way or the other.
    pub(super) fn tried(&mut self, what: &Hastened) {
        for request in &mut self.requests {
            // They are asked for their state once more, which is told then.
            self.unsettled.extend(request.tries.end(what));
        }
    }

    /// What is not to run any more is waited for no more: its entry is another one, or another machine leads.
    pub(super) fn forget_dropped(&mut self, name: &EntryName) {
        let (actions, rollouts) = (&self.actions, &self.rollouts);
        for request in &mut self.requests {
            request.tries.keep(name, |it| match it {
                Hastened::Action(action) => actions.holds(action),
                Hastened::Restart(rollout) => rollouts.holds(rollout),
            });
        }
    }
}
