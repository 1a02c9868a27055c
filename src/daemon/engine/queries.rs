//! What the engine says about itself: conditions, log lines, the status snapshot.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::audit::Written;
use super::{Due, Engine, Mode};
use crate::clock;
use crate::daemon::entries::{PendingAction, Streak, TargetState, Work};
use crate::decide::Effect;
use crate::decide::state::Turn;
use crate::logging::AUDIT;
use crate::names::EntryName;
use crate::report::{Condition, Fact, Stage, WriteResult};
use crate::status::{EntryStatus, Status, TargetStatus, Trouble};
use crate::store::Read;

/// By so much the time of a next sync may be told wrong.
const SLACK: SignedDuration = SignedDuration::from_millis(100);

impl Engine {
    /// Counts everything as pending before anything was tried.
    pub(super) fn begin_standing(&self) {
        for (name, entry) in &self.entries {
            let now = Some(Condition::Pending);
            self.reporter.record(&Fact::EntryCondition {
                entry: name,
                store: &entry.entry.store,
                was: None,
                now,
            });
            for target in &entry.entry.targets {
                self.reporter.record(&Fact::TargetCondition {
                    target: target.kind(),
                    cluster: target.cluster(),
                    was: None,
                    now,
                });
            }
            if let Some((_, at)) = entry.last_success {
                self.reporter.record(&Fact::Success { entry: name, at });
            }
        }
    }

    pub(super) fn mark_ready(&self) {
        if self.untried.is_empty() && !self.pulse.ready.swap(true, Ordering::Relaxed) {
            tracing::info!(entries = self.entries.len(), "every entry was tried once");
        }
    }

    /// After anything happened to an entry: its conditions, what is undelivered, and its next time.
    pub(super) fn settle(&mut self, name: &EntryName) {
        self.refresh(name);
        self.tell_undelivered(name);
        self.arm(name);
        self.go_on(name);
    }

    /// Of everything that happened at once, each entry tells once: what it tells takes a look at each of its reads.
    pub(super) fn settle_all(&mut self) {
        for name in std::mem::take(&mut self.unsettled) {
            self.settle(&name);
        }
    }

    /// Brings the conditions of an entry and its targets up to date and tells what moved.
    fn refresh(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let now = Instant::now();
        let mut worst = Condition::Fresh;
        if entry.entry.suspended {
            worst = Condition::Suspended;
        }
        for index in 0..entry.targets.len() {
            let tried = entry.tried && !self.untried.contains(name);
            let condition = match (entry.entry.suspended, tried) {
                (true, _) => Condition::Suspended,
                (false, true) => entry.target_condition(index, now),
                (false, false) => Condition::Pending,
            };
            worst = worst.min(condition);
            let was = std::mem::replace(&mut entry.targets[index].shown, condition);
            if was != condition {
                self.reporter.record(&Fact::TargetCondition {
                    target: entry.entry.targets[index].kind(),
                    cluster: entry.entry.targets[index].cluster(),
                    was: Some(was),
                    now: Some(condition),
                });
            }
        }
        let selected = entry.tell_selected(&self.reporter);
        let worst = selected.map_or(worst, |selected| worst.min(selected));
        let was = std::mem::replace(&mut entry.condition, worst);
        if was == worst {
            return;
        }
        if worst == Condition::Fresh && ![Condition::Pending, Condition::Suspended].contains(&was) {
            tracing::info!(entry = %name, "recovered");
        }
        self.reporter.record(&Fact::EntryCondition {
            entry: name,
            store: &entry.entry.store,
            was: Some(was),
            now: Some(worst),
        });
    }

    /// A version is known that some target does not hold. One that waits for its second read is not known yet.
    fn tell_undelivered(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let undelivered = entry
            .reads()
            .filter_map(|read| {
                let state = self.reads.get(read).filter(|state| !state.is_doubted())?;
                let known = &state.last.as_ref()?.version;
                let held = |target: &TargetState| target.delivered.get(read) == Some(known);
                let mut ours = entry.ours().into_iter();
                known
                    .created
                    .filter(|_| !ours.all(|index| held(&entry.targets[index])))
            })
            .min();
        if undelivered != entry.undelivered {
            entry.undelivered = undelivered;
            self.reporter.record(&Fact::Undelivered {
                entry: name,
                created: undelivered,
            });
        }
    }

    /// Sets the timers of an entry and says when it is next looked at.
    fn arm(&mut self, name: &EntryName) {
        let Some(entry) = self
            .entries
            .get(name)
            .filter(|_| self.mode == Mode::Forever)
        else {
            return;
        };
        if entry.rest().is_some() {
            return self.disarm(name);
        }
        let now = Instant::now();
        let timer = entry.timer(now);
        let stale = entry.stale_at();
        let next = timer.into_iter().chain(self.probe_of(entry));
        let next = next.chain(self.actions.next_of(&entry.entry.targets));
        let next = if entry.waits_for_reads(now) {
            let reads = entry.reads().filter_map(|read| self.next_of(read));
            next.chain(reads).min()
        } else {
            next.min()
        };
        let at = match entry.work {
            Work::Idle => next.map(|next| clock::now() + next.saturating_duration_since(now)),
            // It was due then, and whatever is read meanwhile, as long as that does not end it is late.
            Work::UnderWay => Some(clock::now() - now.saturating_duration_since(entry.began)),
        };
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if let Some(at) = at {
            // Of two clocks that are read one after the other: nearly the same is the same.
            let told = entry.next_sync;
            let told = told.filter(|told| at.duration_since(*told).abs() < SLACK);
            let at = told.unwrap_or(at);
            entry.next_sync = Some(at);
            let at = Some(at);
            self.reporter.record(&Fact::NextSync { entry: name, at });
        }
        match timer.filter(|_| entry.work == Work::Idle) {
            Some(timer) => self.schedule.set(Due::Entry(name.clone()), timer),
            None => self.schedule.cancel(&Due::Entry(name.clone())),
        }
        if stale > now {
            self.schedule.set(Due::Stale(name.clone()), stale);
        }
    }

    /// Nothing is to happen to the entry.
    fn disarm(&mut self, name: &EntryName) {
        self.schedule.cancel(&Due::Entry(name.clone()));
        self.schedule.cancel(&Due::Stale(name.clone()));
        if let Some(entry) = self.entries.get_mut(name) {
            entry.next_sync = None;
        }
        let at = None;
        self.reporter.record(&Fact::NextSync { entry: name, at });
    }

    /// When a read is next asked for.
    fn next_of(&self, read: &Read) -> Option<Instant> {
        let state = self.reads.get(read)?;
        if state.held {
            return self.pause_end(&read.store);
        }
        state.next.or_else(|| {
            let cohort = self.cohorts.of(read)?;
            self.schedule.at(&Due::Cohort(cohort))
        })
    }

    /// Counts a failure, and logs it where it is news.
    pub(super) fn tell_failure(
        &self,
        name: &EntryName,
        stage: Stage,
        streak: &Streak,
        target: Option<usize>,
    ) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let failure = &streak.failure;
        self.reporter.record(&Fact::Failed {
            store: &entry.entry.store,
            stage,
            reason: failure.reason,
        });
        if let Some(index) = target
            && stage == Stage::Apply
            && failure.reason.is_refusal()
        {
            self.reporter.record(&Fact::TargetWritten {
                target: entry.entry.targets[index].kind(),
                result: WriteResult::Refused,
            });
        }
        // `once` shows every failure when it ends.
        if streak.loud && self.mode == Mode::Forever {
            let target = target.map(|index| tracing::field::display(&entry.entry.targets[index]));
            tracing::warn!(
                entry = %name, target.name = target, stage = %stage, reason = %failure.reason,
                failures = streak.count, help = failure.help(), "{failure}"
            );
        }
    }

    pub(super) fn tell_written(&self, name: &EntryName, index: usize, written: &Written) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let target = &entry.entry.targets[index];
        let (what, result) = match written.effect {
            Effect::Unchanged => return,
            Effect::Created => ("created", Some(WriteResult::Created)),
            Effect::Updated => ("updated", Some(WriteResult::Updated)),
            Effect::Deleted => ("deleted", Some(WriteResult::Deleted)),
            // Somebody else did it, or the answer to our own request was lost.
            Effect::Away => ("found deleted", None),
            Effect::Repaired(drift) => {
                self.reporter.record(&Fact::DriftRepaired {
                    target: target.kind(),
                    drift,
                });
                ("put back", Some(WriteResult::Updated))
            }
        };
        if let Some(result) = result {
            self.reporter.record(&Fact::TargetWritten {
                target: target.kind(),
                result,
            });
        }
        tracing::info!(
            target: AUDIT, entry = %name, target.kind = %target.kind(), target.name = %target,
            version = written.version, reads = written.reads, cause = written.cause.as_str(),
            others = written.others, "{what}"
        );
    }

    /// How the entries stand, for systemd and whoever reads its status.
    pub(super) fn sum_up(&mut self) {
        self.tell_rollouts_pending();
        self.tell_pending();
        let held = self.brake.held(Instant::now()).count();
        self.reporter.record(&Fact::DeletionsHeld(held));
        let mut counts = BTreeMap::new();
        for entry in self.entries.values() {
            *counts.entry(entry.condition).or_insert(0_usize) += 1;
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(condition, count)| format!("{count} {condition}"))
            .collect();
        let all = self.entries.len();
        let plural = if all == 1 { "entry" } else { "entries" };
        let text = format!("{all} {plural}: {}", counts.join(", "));
        let mut summary = self
            .pulse
            .summary
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *summary = text;
    }

    /// A snapshot of everything, without values.
    pub(in crate::daemon) fn status(&self) -> Status {
        let entries = self.entries.keys();
        let entries = entries.filter_map(|name| self.entry_status(name));
        Status {
            version: crate::status::VERSION,
            at: clock::now(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.to_string(),
            reload: self
                .reload
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            leader: self
                .lead
                .shown
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            paused_clusters: self.paused_clusters(),
            paused_stores: self.paused_stores(),
            held: self.list_held(),
            entries: entries.collect(),
        }
    }

    pub(super) fn entry_status(&self, name: &EntryName) -> Option<EntryStatus> {
        let entry = self.entries.get(name)?;
        Some(EntryStatus {
            name: name.to_string(),
            store: entry.entry.store.to_string(),
            state: entry.condition,
            refresh_interval_seconds: entry.entry.refresh_interval.as_secs(),
            version_created: entry.version_created(),
            undelivered_version_created: entry.undelivered,
            last_success: entry.last_success.map(|(_, at)| at),
            next_sync: entry.next_sync,
            error: entry.shown_failure().map(Trouble::from),
            waits: entry.waits(),
            targets: entry
                .entry
                .targets
                .iter()
                .zip(&entry.targets)
                .enumerate()
                .map(|(index, (target, state))| TargetStatus {
                    kind: target.kind(),
                    target: target.to_string(),
                    state: state.shown,
                    removed_since: state.away.filter(|_| entry.turn(index) == Turn::Ours),
                    waits: entry.turn(index) == Turn::Waits,
                    action: state.action.as_deref().map(PendingAction::status),
                    error: state
                        .trouble
                        .as_ref()
                        .map(|streak| &streak.failure)
                        .or(state.fight.as_ref())
                        .or(state.failing_action())
                        .map(Trouble::from),
                })
                .chain(entry.selected_status())
                .collect(),
        })
    }
}
