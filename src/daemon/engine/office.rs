//! Whose turn it is to write Kubernetes targets: what changes when this machine begins to lead, and when it leads no more.
//!
//! Files go on either way. What is watched goes on, too, and is not acted on. Nothing is held of what another machine
//! removes: it asks its own brake, by its own proofs.

use std::collections::BTreeSet;

use super::removals::Loser;
use super::{Due, Engine, Mode};
use crate::daemon::entries::{EntryState, Rest};
use crate::daemon::leading::{Lead, Office};
use crate::decide::state::Turn;
use crate::failure::{Failure, Reason};
use crate::kube::Tenure;
use crate::leader::Since;
use crate::names::EntryName;
use crate::status::{LeaderStatus, Trouble};
use crate::store::Read;
use crate::sync::Which;

/// Who led before a restart, and nobody since, goes on with all that is known.
pub(super) fn inherited(lead: &Lead) -> Option<Tenure> {
    offered(lead).and_then(|(tenure, since)| (since == Since::NobodyElse).then_some(tenure))
}

/// Under what this machine may write to clusters, and whether others did since it last could.
pub(super) fn offered(lead: &Lead) -> Option<(Tenure, Since)> {
    match &*lead.office.borrow() {
        Office::Ours { tenure, since, .. } => Some((tenure.clone(), *since)),
        Office::Anothers => None,
    }
}

impl Engine {
    /// How Kubernetes targets stand now.
    pub(super) fn turn(&self) -> Turn {
        match self.tenure {
            Some(_) => Turn::Ours,
            None => Turn::Waits,
        }
    }

    /// Another machine leads, or this one does now, or does again.
    pub(super) fn office_changed(&mut self) {
        let office = self.lead.office.borrow_and_update().clone();
        let (next, since, term) = match office {
            Office::Ours {
                tenure,
                since,
                term,
            } => (Some(tenure), since, term),
            Office::Anothers => (None, Since::Others, None),
        };
        // `once` may know some of the entries only.
        if let Some(term) = term.filter(|_| self.mode == Mode::Forever) {
            self.unsaved.led(term);
        }
        let same = match (&self.tenure, &next) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same {
            return;
        }
        self.tenure = next;
        // What is recorded on Secrets is found again by whoever writes them.
        self.rollouts.begin_term();
        let names: Vec<EntryName> = self.entries.keys().cloned().collect();
        for name in names {
            match self.turn() {
                Turn::Ours => self.take_over(&name, since),
                Turn::Waits => self.stand_by(&name),
            }
        }
        self.set_prune_time();
        self.probe_again();
        self.mark_ready();
    }

    /// Clusters that were paused when another machine led were not probed since.
    fn probe_again(&mut self) {
        if self.mode == Mode::Once || self.turn() == Turn::Waits {
            return;
        }
        for (cluster, pause) in &self.paused {
            self.schedule
                .set(Due::Cluster(cluster.clone()), pause.until);
        }
    }

    /// Why nothing is removed in clusters from here.
    pub(super) fn standby(&self) -> Option<Trouble> {
        if self.turn() == Turn::Ours {
            return None;
        }
        let shown = self
            .lead
            .shown
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Some(not_ours(shown.as_ref()))
    }

    /// What was held of an entry's Kubernetes targets was proven in another term.
    pub(super) fn hold_no_longer(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let targets = entry.entry.targets.iter();
        for target in targets.filter(|target| target.cluster().is_some()) {
            self.brake
                .withdraw(&Loser::Target(name.clone(), target.to_string()));
            self.unsaved.brake();
        }
        self.released.remove(name);
    }

    /// Every Kubernetes target is due, and nothing that was known of it proves anything: another machine may have
    /// delivered since, in its own knowledge of what was there and what was gone.
    fn take_over(&mut self, name: &EntryName, since: Since) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let before = entry.everything();
        // A run of an earlier term, or for files only, is none of this one's business.
        if !entry.begin_term(since) {
            return;
        }
        let tasks = entry.tasks();
        if tasks > 0 {
            self.generations += 1;
            entry.generation = self.generations;
            entry.disown_tasks();
        }
        let begins = entry.rest().is_none() && !entry.waits_for_namespaces();
        self.leave_alone(name, tasks);
        if since == Since::Others {
            self.hold_no_longer(name);
        }
        self.follow(name, &before);
        self.unsaved.entry(name);
        if begins {
            self.untried.insert(name.clone());
            self.start_run(name, None, Which::All);
        }
        self.settle(name);
    }

    /// Nothing begins any more for its Kubernetes targets. What is under way ends with its tenure.
    fn stand_by(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let before = entry.everything();
        if !entry.end_term() {
            return;
        }
        if entry.rest() == Some(Rest::StandsBy) {
            self.untried.remove(name);
            self.nobody_waits(name);
        }
        self.hold_no_longer(name);
        self.leave_reads(name, &before);
        self.unsaved.entry(name);
        self.settle(name);
    }

    fn leave_reads(&mut self, name: &EntryName, before: &BTreeSet<Read>) {
        let wanted = self.entries.get(name).map(EntryState::wanted);
        for read in before.difference(&wanted.unwrap_or_default()) {
            self.abandon(read, name);
        }
    }
}

fn not_ours(leader: Option<&LeaderStatus>) -> Trouble {
    if let Some(error) = leader.and_then(|leader| leader.error.clone()) {
        return error;
    }
    let lease = leader.map_or("", |leader| leader.lease.as_str());
    let fact = match leader.and_then(|leader| leader.holder.as_ref()) {
        Some(holder) => format!("`{holder}` leads: it holds the Lease `{lease}`"),
        None => format!("this machine does not lead: the Lease `{lease}` is not its own"),
    };
    let help = "ask on the machine that leads; nothing is removed in clusters from this one";
    Trouble::from(&Failure::new(Reason::Conflict, fact).with_help(help))
}
