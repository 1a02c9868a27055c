//! What no entry writes any more: listed, and taken away where somebody asks for it or `daemon.prune` is set.

mod ends;
mod orphans;
mod removal;
mod sweep;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use self::ends::{ended, refusal};
pub(super) use self::orphans::Orphans;
pub(super) use self::sweep::swept;
use super::left::Left;
use super::removals::Loser;
use super::{Engine, office};
use crate::daemon::ask::Prune;
use crate::decide::state::Turn;
use crate::failure::Failure;
use crate::names::EntryName;
use crate::report::TargetKind;
use crate::status::{Leftovers, Orphan, OrphanFate, PruneEnd};
use crate::target::kubernetes::removal::Removed;

/// What is held, or failed, is tried again after this at the latest.
const AGAIN: Duration = Duration::from_hours(1);

/// How one removal ended.
pub(super) type Pruned = (Left, Result<Removed, Failure>);

/// Removals under way, and who waits for them.
#[derive(Debug)]
pub(super) struct Pruning {
    cause: Cause,
    parts: Vec<Left>,
    /// Those of them that are directories, as long as that is known.
    sets: BTreeSet<Left>,
    answer: Option<(oneshot::Sender<Leftovers>, Leftovers)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Asked,
    Time,
}

impl Engine {
    /// `daemon.prune`: what was left long enough ago goes.
    pub(super) fn prune_due(&mut self, now: Instant) {
        let mut due = Vec::new();
        let clusters = self.turn();
        for ((part, _), known) in &mut self.orphans.known {
            let ours = part.kind() == TargetKind::File || clusters == Turn::Ours;
            if ours && known.next.is_some_and(|next| next <= now) {
                // Until that is over, and where it is held.
                known.next = Some(now + AGAIN);
                due.push(part.clone());
            }
        }
        let due: Vec<Left> = due
            .into_iter()
            .filter(|part| self.is_removable(part))
            .collect();
        let (parts, _) = self.ask_for_orphans(due);
        self.take_away(Pruning {
            cause: Cause::Time,
            sets: self.sets_among(&parts),
            parts,
            answer: None,
        });
        self.set_prune_time();
    }

    /// Somebody wants to know what is left, or to have it taken away.
    pub(super) fn prune(&mut self, what: Prune, reply: oneshot::Sender<Leftovers>) {
        let mut leftovers = Leftovers {
            standby: self.standby().filter(|_| self.is_about_clusters(&what)),
            ..Leftovers::default()
        };
        let parts = match what {
            Prune::List => Vec::new(),
            Prune::All => {
                let orphans = self.orphans.known.keys().map(|(part, _)| part.clone());
                let orphans = orphans.filter(|part| self.is_removable(part));
                let orphans = orphans.filter(|part| self.is_ours_to_prune(part)).collect();
                let (parts, held) = self.ask_for_orphans(orphans);
                leftovers.pruned = held
                    .iter()
                    .map(|part| ended(part, PruneEnd::Held, self.is_set(part)))
                    .collect();
                parts
            }
            Prune::Named(names) => self.prune_named(names, &mut leftovers),
        };
        self.take_away(Pruning {
            cause: Cause::Asked,
            sets: self.sets_among(&parts),
            parts,
            answer: Some((reply, leftovers)),
        });
    }

    /// What goes by these names, of an entry or a target. Whoever names it has looked at it.
    fn prune_named(&mut self, names: Vec<String>, leftovers: &mut Leftovers) -> Vec<Left> {
        let mut parts = Vec::new();
        let left = self.list_orphans();
        for name in names {
            let is_it = |orphan: &&Orphan| orphan.entry == name || orphan.target == name;
            let mut known = left.iter().any(|orphan| is_it(&orphan));
            let refused = left.iter().filter(is_it).filter_map(refusal);
            leftovers.pruned.extend(refused);
            let orphans = self.orphans.known.keys().map(|(part, _)| part);
            let orphans = orphans.filter(|part| {
                let is_it = part.entry().as_str() == name || part.to_string() == name;
                is_it && self.is_removable(part) && self.is_ours_to_prune(part)
            });
            parts.extend(orphans.cloned());
            if let Ok(entry) = EntryName::new(name.as_str())
                && self.let_go_held(&entry)
            {
                leftovers.released.push(name.clone());
                known = true;
            }
            if !known {
                leftovers.unknown.push(name);
            }
        }
        parts.sort();
        parts.dedup();
        let now = Instant::now();
        // It counts as any other removal.
        for part in &parts {
            let id = Loser::Orphan(part.clone());
            self.brake.hold([id.clone()]);
            self.brake.release(|it| *it == id, now);
        }
        let (parts, _) = self.ask_for_orphans(parts);
        parts
    }

    /// Which of these the brake lets go, and the others.
    fn ask_for_orphans(&mut self, parts: Vec<Left>) -> (Vec<Left>, Vec<Left>) {
        // What is only forgotten destroys nothing.
        let (mut may, asks): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|part| self.fate(part) == OrphanFate::Release);
        if asks.is_empty() {
            return (may, Vec::new());
        }
        let ids = asks.into_iter().map(Loser::Orphan);
        let answer = self.brake.ask(self.all_targets(), ids, Instant::now());
        self.unsaved.brake();
        let part = |id: Loser| match id {
            Loser::Orphan(part) => Some(part),
            Loser::Target(..) => None,
        };
        may.extend(answer.allowed.into_iter().filter_map(part));
        (may, answer.held.into_iter().filter_map(part).collect())
    }

    /// Whether something in clusters is to be taken away.
    fn is_about_clusters(&self, what: &Prune) -> bool {
        let left_in = |kind: TargetKind| {
            let known = self.orphans.known.keys().map(|(left, _)| left);
            known.filter(move |left| left.kind() == kind)
        };
        let is =
            |left: &Left, name: &String| left.entry().as_str() == name || left.to_string() == *name;
        match what {
            Prune::List => false,
            Prune::All => left_in(TargetKind::Kubernetes).next().is_some(),
            Prune::Named(names) => names.iter().any(|name| {
                let secret = left_in(TargetKind::Kubernetes).any(|left| is(left, name));
                // What is neither may be an entry of which something is held.
                secret || !left_in(TargetKind::File).any(|left| is(left, name))
            }),
        }
    }

    /// Whoever leads removes from clusters; what is on its own disks, each machine.
    fn is_ours_to_prune(&self, left: &Left) -> bool {
        match left {
            Left::Secret(_) => self.turn() == Turn::Ours,
            Left::File(..) => true,
        }
    }

    /// Where no daemon runs: the same, without anything else that an engine does.
    pub(in crate::daemon) async fn prune_alone(&mut self, what: Prune) -> Option<Leftovers> {
        // What it knows of entries is none of its business.
        self.unsaved = super::Unsaved::default();
        self.unsaved.orphans();
        self.alone = true;
        // What others did since is in the Secrets, and each is looked at before it goes.
        self.tenure = office::offered(&self.lead).map(|(tenure, _)| tenure);
        let (reply, answer) = oneshot::channel();
        self.prune(what, reply);
        loop {
            self.save();
            let Some(ended) = self.tasks.join_next_with_id().await else {
                break;
            };
            self.ended(ended);
        }
        answer.await.ok()
    }
}
