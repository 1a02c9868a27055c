//! What is gone: which entries can do without it, and which direct reads prove it.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::Engine;
use super::removals::Loser;
use crate::daemon::entries::EntryState;
use crate::decide::missing::Gone;
use crate::failure::Failure;
use crate::names::{AccountId, EntryName};
use crate::store::{Answer, Identity, Read};
use crate::sync::{self, Heard, Said};

impl Engine {
    /// What a read says to an entry now; `None` where it never answered, or fails.
    pub(super) fn heard(&self, entry: &EntryState, read: &Read) -> Option<Heard> {
        let state = self.reads.get(read)?;
        let said = match &state.failing {
            Some(streak) => {
                let gone = Gone::of(streak.failure.reason, &read.source)?;
                Said::Missing(entry.tolerates(read).then_some(gone)?)
            }
            None => Said::Version(state.last.as_ref()?.version.identity.clone()),
        };
        Some(Heard::new(said, entry.proofs_about(read)))
    }

    /// A read failed. Returns what an entry hears that can do without it; `None` where it fails with it.
    pub(super) fn is_gone(
        &mut self,
        name: &EntryName,
        read: &Read,
        failure: &Failure,
    ) -> Option<Heard> {
        let gone = Gone::of(failure.reason, &read.source);
        let entry = self.entries.get_mut(name)?;
        let gone = gone.filter(|_| entry.tolerates(read));
        let Some(gone) = gone else {
            // Another answer in between: what was proven by this very read begins anew.
            if entry.in_question(read).contains(read) {
                entry.take_evidence(read, read, None, Instant::now());
                self.ask_brake(name);
            }
            return None;
        };
        let known = self.reads.get(read).and_then(|state| state.last.as_ref());
        let proof = known.and_then(|last| sync::proof_of(read, &last.version.identity));
        self.prove(name, read, proof.into_iter().collect());
        let entry = self.entries.get_mut(name)?;
        if entry.in_question(read).contains(read) {
            let gone = failure.witness.clone().map(|account| (gone, account));
            entry.take_evidence(read, read, gone, Instant::now());
        }
        self.ask_brake(name);
        let entry = self.entries.get(name)?;
        Some(Heard::new(Said::Missing(gone), entry.proofs_about(read)))
    }

    /// A read answered: it is there. A list may lack what it had; that is in question then.
    pub(super) fn is_there(&mut self, name: &EntryName, read: &Read, answer: &Answer) {
        let proofs = match &answer.identity {
            Identity::Arns(listed) => self
                .entries
                .get(name)
                .map(|entry| sync::proofs_of_lost(&entry.entry, read, listed, &self.state))
                .unwrap_or_default(),
            Identity::Version { .. } | Identity::Parameter { .. } | Identity::Fingerprint(_) => {
                BTreeSet::new()
            }
        };
        self.prove(name, read, proofs);
    }

    fn prove(&mut self, name: &EntryName, read: &Read, proofs: BTreeSet<Read>) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if proofs.is_empty() && !entry.is_in_question(read) {
            return;
        }
        let (gained, lost) = entry.prove(read, proofs);
        self.ask_brake(name);
        for proof in gained {
            if self.adopt(&proof, name) {
                self.join_cohort(&proof);
            }
        }
        for proof in lost {
            self.abandon(&proof, name);
        }
    }

    /// A direct read came back. Returns what is in question by it, for those entries for whom it is one.
    pub(super) fn weigh(
        &mut self,
        name: &EntryName,
        proof: &Read,
        result: Result<&Answer, &Failure>,
    ) -> Vec<(Read, Heard)> {
        // Nearly every answer comes by here, and proves nothing.
        if !self.entries.get(name).is_some_and(|it| it.is_proof(proof)) {
            return Vec::new();
        }
        let account = self.account(proof);
        let Some(entry) = self.entries.get_mut(name) else {
            return Vec::new();
        };
        let mut before = Vec::new();
        for about in entry.in_question(proof) {
            if about == *proof {
                continue;
            }
            before.push((about.clone(), entry.proofs_about(&about)));
            let gone = match result {
                Ok(answer) => sync::matches_no_longer(&about, proof, answer)
                    .then_some(Gone::NoLongerMatches)
                    .zip(account.clone()),
                Err(failure) => {
                    Gone::of(failure.reason, &proof.source).zip(failure.witness.clone())
                }
            };
            entry.take_evidence(&about, proof, gone, Instant::now());
        }
        self.ask_brake(name);
        let Some(entry) = self.entries.get(name) else {
            return Vec::new();
        };
        before
            .into_iter()
            .filter(|(about, before)| entry.proofs_about(about) != *before)
            .filter_map(|(about, _)| Some((about.clone(), self.heard(entry, &about)?)))
            .collect()
    }

    /// Whatever has become certain is left out only as far as the brake allows; each target of the entry counts.
    pub(super) fn ask_brake(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        // Whoever asks has heard something that may prove something.
        self.unsaved.entry(name);
        let certain = entry.newly_certain();
        if certain.is_empty() {
            return;
        }
        let ids = Loser::losing(entry);
        let may = ids.is_empty() || {
            // Only now: nearly every answer comes by here, and this takes a look at each entry.
            let total = self.all_targets();
            // All of it or nothing: what is held must not use up what others may remove.
            let mut asked = self.brake.clone();
            let answer = asked.ask(total, ids.iter().cloned(), Instant::now());
            let may = answer.held.is_empty();
            if may {
                self.brake = asked;
            } else {
                self.brake.hold(ids);
            }
            self.unsaved.brake();
            may
        };
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.brake(certain, may);
    }

    /// A read answered. Where with that everything of the entry is there, nothing of it is held any more: not because a
    /// proof was lost, nor because the entry was changed.
    pub(super) fn all_is_back(&mut self, name: &EntryName) {
        if !self.brake.knows_any(|id| id.is_of(name)) {
            return;
        }
        let Some(entry) = self.entries.get(name).filter(|it| !it.has_questions()) else {
            return;
        };
        let is_there = |read: &Read| {
            let state = self.reads.get(read);
            state.is_some_and(|state| state.failing.is_none() && state.last.is_some())
        };
        if !entry.reads().all(is_there) {
            return;
        }
        for id in Loser::all_of(entry) {
            self.brake.withdraw(&id);
        }
        self.unsaved.brake();
    }

    /// Whose secrets the store of this read has answered with.
    fn account(&self, read: &Read) -> Option<AccountId> {
        self.stores.get(&read.store)?.store.account()
    }
}
