//! What is in question about the sources of an entry, what direct reads say of it, and what may go by that.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::EntryState;
use crate::config::{DeletionPolicy, Source};
use crate::decide::missing::{Evidence, Gone, Proof};
use crate::decide::state::Turn;
use crate::few::Seldom;
use crate::names::AccountId;
use crate::store::Read;
use crate::sync::Proofs;

impl EntryState {
    /// Whether anything of it may be gone.
    pub(in crate::daemon) fn has_questions(&self) -> bool {
        !self.proofs.is_empty()
    }

    pub(in crate::daemon) fn is_proof(&self, read: &Read) -> bool {
        self.proofs.values().any(|proofs| proofs.contains(read))
    }

    pub(in crate::daemon) fn is_in_question(&self, read: &Read) -> bool {
        self.proofs.contains_key(read)
    }

    /// The reads in question that this one may prove something about.
    pub(in crate::daemon) fn in_question(&self, proof: &Read) -> Vec<Read> {
        let proofs = self.proofs.iter();
        let about = proofs.filter(|(_, proofs)| proofs.contains(proof));
        about.map(|(read, _)| read.clone()).collect()
    }

    /// From now on these prove what is in question about `read`. Returns the reads that it has gained and lost by that.
    pub(in crate::daemon) fn prove(
        &mut self,
        read: &Read,
        proofs: BTreeSet<Read>,
    ) -> (Vec<Read>, Vec<Read>) {
        let before = self.proofs.change(|it| it.remove(read));
        let before = before.unwrap_or_default();
        self.evidence
            .change(|it| it.retain(|(about, proof), _| about != read || proofs.contains(proof)));
        let used = |entry: &Self, read: &Read| entry.reads.contains(read) || entry.is_proof(read);
        let gained = proofs
            .difference(&before)
            .filter(|proof| !used(self, proof));
        let gained = gained.cloned().collect();
        let lost: Vec<Read> = before.difference(&proofs).cloned().collect();
        if !proofs.is_empty() {
            self.proofs.change(|it| it.insert(read.clone(), proofs));
        }
        let lost = lost.into_iter().filter(|proof| !used(self, proof));
        (gained, lost.collect())
    }

    /// A direct read has answered about what is in question.
    pub(in crate::daemon) fn take_evidence(
        &mut self,
        about: &Read,
        proof: &Read,
        gone: Option<(Gone, AccountId)>,
        now: Instant,
    ) {
        let key = (about.clone(), proof.clone());
        self.evidence.change(|all| {
            let before = all.remove(&key);
            if let Some(next) = Evidence::next(before, gone, now) {
                all.insert(key, next);
            }
        });
    }

    /// What is known of everything that is in question.
    pub(in crate::daemon) fn all_proofs(&self) -> BTreeMap<Read, Proofs> {
        let reads = self.proofs.keys();
        reads
            .map(|read| (read.clone(), self.proofs_about(read)))
            .collect()
    }

    /// What the direct reads say about what was read from `read`. What the brake holds is as good as not certain.
    pub(in crate::daemon) fn proofs_about(&self, read: &Read) -> Proofs {
        let interval = self.entry.refresh_interval;
        let evidence = self.evidence.iter();
        let about = evidence.filter(|((about, _), _)| about == read);
        about
            .map(|((_, proof), evidence)| {
                let said = match evidence.proof(interval) {
                    Proof::Confirmed if !self.allowed.contains(proof) => Proof::Held,
                    said @ (Proof::None | Proof::Confirmed | Proof::Held | Proof::NeverThere) => {
                        said
                    }
                };
                (proof.clone(), (evidence.gone(), said))
            })
            .collect()
    }

    /// What has become certain since the last time; what no longer is was forgotten.
    pub(in crate::daemon) fn newly_certain(&mut self) -> BTreeSet<Read> {
        let interval = self.entry.refresh_interval;
        let certain = self.evidence.iter();
        let certain = certain.filter(|(_, evidence)| evidence.is_confirmed(interval));
        let certain: BTreeSet<Read> = certain.map(|((_, proof), _)| proof.clone()).collect();
        for known in [&mut self.allowed, &mut self.held] {
            known.change(|it| it.retain(|proof| certain.contains(proof)));
        }
        let known = |proof: &Read| self.allowed.contains(proof) || self.held.contains(proof);
        certain.into_iter().filter(|proof| !known(proof)).collect()
    }

    /// What the brake said of what is certain.
    pub(in crate::daemon) fn brake(&mut self, certain: BTreeSet<Read>, may: bool) {
        if may {
            self.allowed.change(|it| it.extend(certain));
        } else {
            self.held.change(|it| it.extend(certain));
        }
    }

    /// Whether everything that it is made of is gone for certain.
    pub(super) fn is_all_certain(&self) -> bool {
        let interval = self.entry.refresh_interval;
        let certain = |about: &Read, proof: &Read| {
            let evidence = self.evidence.get(&(about.clone(), proof.clone()));
            evidence.is_some_and(|it| it.is_confirmed(interval)) && self.allowed.contains(proof)
        };
        self.reads.iter().all(|read| {
            let mut proofs = self.proofs.get(read).into_iter().flatten();
            match read.source {
                // What it lists is among the reads.
                Source::Find(_) => proofs.all(|proof| certain(read, proof)),
                Source::Value { .. } | Source::Metadata { .. } => {
                    proofs.any(|proof| certain(read, proof))
                }
            }
        })
    }

    /// The targets that may go as a whole now, as far as what is certain goes.
    pub(in crate::daemon) fn ripe(&self) -> Vec<usize> {
        let targets = self.entry.targets.iter().zip(&self.targets).enumerate();
        let deletable = targets.filter(|(_, (target, state))| {
            target.deletion_policy() == DeletionPolicy::Delete && state.away.is_none()
        });
        let deletable = deletable.map(|(index, _)| index);
        let deletable: Vec<usize> = deletable
            .filter(|index| self.turn(*index) == Turn::Ours)
            .collect();
        if deletable.is_empty() || !self.is_all_certain() {
            return Vec::new();
        }
        deletable
    }

    /// What the brake held may be asked for again.
    pub(in crate::daemon) fn release(&mut self) {
        self.held = Seldom::none();
    }
}
