//! The brake over all entries: who asks it, what it holds, and what a restart must not forget of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::left::Left;
use super::{Engine, Which};
use crate::daemon::entries::EntryState;
use crate::daemon::times::Now;
use crate::decide::brake::Brake;
use crate::decide::state::Turn;
use crate::names::EntryName;
use crate::report::TargetKind;

/// What may lose something, or go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loser {
    /// A target of an entry, by where it is: what else there is may change.
    Target(EntryName, String),
    /// What no entry writes any more.
    Orphan(Left),
}

impl Loser {
    /// Every target of the entry.
    pub(super) fn all_of(entry: &EntryState) -> Vec<Self> {
        Self::some_of(entry, 0..entry.entry.targets.len())
    }

    /// Those that lose something when one of its sources is gone.
    pub(super) fn losing(entry: &EntryState) -> Vec<Self> {
        // Another machine asks its own brake.
        let losing = entry.entry.losing().into_iter();
        let ours = losing.filter(|index| entry.turn(*index) == Turn::Ours);
        Self::some_of(entry, ours)
    }

    fn some_of(entry: &EntryState, which: impl IntoIterator<Item = usize>) -> Vec<Self> {
        let entry = &entry.entry;
        let target = |index: usize| entry.targets[index].to_string();
        let which = which.into_iter();
        which
            .map(|index| Self::Target(entry.name.clone(), target(index)))
            .collect()
    }

    pub(super) fn is_of(&self, name: &EntryName) -> bool {
        match self {
            Self::Target(entry, _) => entry == name,
            Self::Orphan(_) => false,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RawBrake {
    boot: i64,
    /// Entry, its target, milliseconds since the boot.
    removed: Vec<(String, String, u64)>,
    held: Vec<(String, String)>,
    /// What was held and let go, with when.
    #[serde(default)]
    released: Vec<(String, String, u64)>,
    #[serde(default)]
    orphans: RawOrphans,
    /// The same of files: path and entry.
    #[serde(default)]
    files: RawOrphans,
}

/// The same of orphans: Secret and entry.
#[derive(Default, Serialize, Deserialize)]
struct RawOrphans {
    removed: Vec<(String, String, u64)>,
    held: Vec<(String, String)>,
}

impl RawBrake {
    fn orphans_of(&mut self, kind: TargetKind) -> &mut RawOrphans {
        match kind {
            TargetKind::Kubernetes => &mut self.orphans,
            TargetKind::File => &mut self.files,
        }
    }
}

fn orphan(kind: TargetKind, target: &str, entry: &str) -> Option<Loser> {
    Left::from_texts(kind, target, entry).map(Loser::Orphan)
}

/// Removals of another boot are an hour old, or their time is not known: then they count from now. What a person
/// released then is held again.
pub(super) fn brake_from_bytes(bytes: &[u8], now: &Now) -> Option<Brake<Loser>> {
    let raw: RawBrake = serde_json::from_slice(bytes).ok()?;
    let same = now.is_same_boot(raw.boot);
    let time = |at: u64| now.at_boot_plus(at).filter(|_| same);
    let target = |name: String, at: String| Some(Loser::Target(EntryName::new(name).ok()?, at));
    let targets = raw.removed.into_iter();
    let targets = targets.filter_map(|(name, place, at)| {
        Some((target(name, place)?, time(at).unwrap_or(now.instant)))
    });
    let kinds = [
        (TargetKind::Kubernetes, &raw.orphans),
        (TargetKind::File, &raw.files),
    ];
    let orphans = kinds.iter().flat_map(|(kind, raw)| {
        let removed = raw.removed.iter();
        removed.map(|(target, entry, at)| (orphan(*kind, target, entry), *at))
    });
    let orphans = orphans.filter_map(|(id, at)| Some((id?, time(at).unwrap_or(now.instant))));
    let released: Vec<(String, String, u64)> = raw.released;
    let held = raw.held.into_iter();
    let held = held.chain(
        released
            .iter()
            .map(|(name, place, _)| (name.clone(), place.clone())),
    );
    let held = held.filter_map(|(name, place)| target(name, place));
    let held_orphans = kinds.iter().flat_map(|(kind, raw)| {
        let held = raw.held.iter();
        held.filter_map(|(target, entry)| orphan(*kind, target, entry))
    });
    let mut brake = Brake::recalled(targets.chain(orphans), held.chain(held_orphans));
    for (name, place, at) in released {
        if let (Some(id), Some(at)) = (target(name, place), time(at)) {
            brake.release(|it| *it == id, at);
        }
    }
    Some(brake)
}

impl Engine {
    pub(super) fn brake_to_bytes(&self, now: &Now) -> Vec<u8> {
        let mut raw = RawBrake {
            boot: now.boot(),
            removed: Vec::new(),
            held: Vec::new(),
            released: Vec::new(),
            orphans: RawOrphans::default(),
            files: RawOrphans::default(),
        };
        for (id, at) in self.brake.removed() {
            let Some(at) = now.since_boot(at) else {
                continue;
            };
            match id {
                Loser::Target(name, target) => {
                    raw.removed.push((name.to_string(), target.clone(), at));
                }
                Loser::Orphan(left) => {
                    let texts = left.to_texts();
                    let texts = texts.map(|(target, entry)| (target, entry, at));
                    raw.orphans_of(left.kind()).removed.extend(texts);
                }
            }
        }
        for id in self.brake.held(now.instant) {
            match id {
                Loser::Target(name, target) => raw.held.push((name.to_string(), target.clone())),
                Loser::Orphan(left) => {
                    raw.orphans_of(left.kind()).held.extend(left.to_texts());
                }
            }
        }
        // An orphan that is named goes at once: none waits.
        for (id, at) in self.brake.released(now.instant) {
            if let (Loser::Target(name, target), Some(at)) = (id, now.since_boot(at)) {
                raw.released.push((name.to_string(), target.clone(), at));
            }
        }
        serde_json::to_vec(&raw)
            .expect("this structure has no maps and no floats, so JSON can hold it")
    }

    /// How many targets all entries have.
    pub(super) fn all_targets(&self) -> usize {
        self.entries.values().map(|it| it.targets.len()).sum()
    }

    /// The targets of the entry that may go as a whole with its next run.
    pub(super) fn may_go(&mut self, name: &EntryName) -> BTreeSet<usize> {
        let Some(entry) = self.entries.get(name) else {
            return BTreeSet::new();
        };
        let ripe = entry.ripe();
        if ripe.is_empty() {
            return BTreeSet::new();
        }
        let ids = Loser::some_of(entry, ripe.iter().copied());
        let total = self.all_targets();
        let answer = self.brake.ask(total, ids.iter().cloned(), Instant::now());
        self.unsaved.brake();
        let ripe = ripe.into_iter().zip(&ids);
        let allowed = ripe.filter(|(_, id)| answer.allowed.contains(id));
        allowed.map(|(index, _)| index).collect()
    }

    /// A person has looked at what is held of this entry: it may go. False where nothing is held.
    pub(super) fn let_go_held(&mut self, name: &EntryName) -> bool {
        let released = self.brake.release(|id| id.is_of(name), Instant::now());
        if released.is_empty() {
            return false;
        }
        self.unsaved.brake();
        // Alone, it is the daemon that carries it out when it starts.
        if !self.alone {
            self.begin_released(name);
        }
        true
    }

    /// What was held is judged anew, by a run that may take it away.
    pub(super) fn begin_released(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.release();
        let under_way = entry.is_busy();
        self.ask_brake(name);
        if under_way || self.leaving.contains_key(name) {
            self.released.insert(name.clone());
        } else {
            self.start_run(name, None, Which::All);
        }
    }

    /// The entries of which something is held, each with those of its targets.
    pub(super) fn held_entries(&self) -> Vec<(EntryName, Vec<String>)> {
        let mut held: Vec<(EntryName, Vec<String>)> = Vec::new();
        for id in self.brake.held(Instant::now()) {
            let Loser::Target(name, target) = id else {
                continue;
            };
            match held.last_mut() {
                Some((last, targets)) if last == name => targets.push(target.clone()),
                Some(_) | None => held.push((name.clone(), vec![target.clone()])),
            }
        }
        held
    }
}
