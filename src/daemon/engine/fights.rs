//! Targets that somebody else keeps changing: how that begins, what is left undone meanwhile, how it ends.

use tokio::time::Instant;

use super::Engine;
use crate::daemon::entries::Peace;
use crate::decide::Effect;
use crate::decide::rivals::Rivals;
use crate::failure::Failure;
use crate::logging::AUDIT;
use crate::names::EntryName;
use crate::report::Stage;

impl Engine {
    /// An apply or a look has ended like that.
    pub(super) fn did(
        &mut self,
        name: &EntryName,
        index: usize,
        (effect, rivals): (Effect, &Rivals),
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let interval = entry.entry.refresh_interval;
        let target = &mut entry.targets[index];
        let peace = target.did(effect, interval, Instant::now());
        if matches!(effect, Effect::Repaired(_)) && target.repairs.is_contested() {
            target.fight = Some(rivals.failure());
        }
        self.tell_peace(name, index, (peace, rivals));
    }

    /// Somebody wrote a target while it was being put back: that fails, or is a fight by now.
    pub(super) fn overtaken(
        &mut self,
        name: &EntryName,
        index: usize,
        (rivals, failure): (&Rivals, Failure),
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let (interval, now) = (entry.entry.refresh_interval, Instant::now());
        let target = &mut entry.targets[index];
        let peace = target.overtaken(interval, now);
        if target.repairs.is_contested() {
            target.fight = Some(rivals.failure());
            self.tell_peace(name, index, (peace, rivals));
            self.withhold(name, index, Some(rivals));
        } else {
            self.target_failed(name, index, failure);
        }
    }

    fn tell_peace(&self, name: &EntryName, index: usize, (peace, rivals): (Peace, &Rivals)) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        match (peace, entry.targets[index].fight.clone()) {
            (Peace::Broken, Some(fight)) => {
                let target = &entry.entry.targets[index];
                tracing::warn!(
                    entry = %name, target.name = %target, help = fight.help(), "the target is contested: {fight}"
                );
                tracing::info!(
                    target: AUDIT, entry = %name, target.kind = %target.kind(), target.name = %target,
                    others = rivals.names(), "contested"
                );
            }
            (Peace::Made, _) => {
                let target = &entry.entry.targets[index];
                tracing::info!(entry = %name, target.name = %target, "the target is contested no more");
            }
            (Peace::Broken | Peace::AsBefore, _) => {}
        }
    }

    /// What was seen of a target was nothing.
    pub(super) fn calm(&mut self, name: &EntryName, index: usize) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.targets[index].alarms.open = false;
        }
    }

    /// A look found a target other than we left it. True where it is to be put back now.
    pub(super) fn drifted(&mut self, name: &EntryName, index: usize) -> bool {
        let Some(entry) = self.entries.get_mut(name) else {
            return false;
        };
        let target = &mut entry.targets[index];
        target.repairs.drifted();
        if !target.is_withheld(Instant::now()) {
            return true;
        }
        self.withhold(name, index, None);
        false
    }

    /// It stays as others left it, until the next repair is due.
    pub(super) fn withhold(&mut self, name: &EntryName, index: usize, rivals: Option<&Rivals>) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let interval = entry.entry.refresh_interval;
        let target = &mut entry.targets[index];
        target.repairs.drifted();
        target.alarms.open = false;
        if let Some(rivals) = rivals.filter(|rivals| rivals.names().is_some()) {
            target.fight = Some(rivals.failure());
        }
        let fight = target.fight.clone();
        let fight = fight.unwrap_or_else(|| Rivals::default().failure());
        target.fail(fight, interval, Instant::now());
        target.retry = target.repairs.next_repair().or(target.retry);
        if let Some(streak) = target.trouble.clone() {
            self.tell_failure(name, Stage::Apply, &streak, Some(index));
        }
    }
}
