//! What follows from the end of a run or a check.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::audit::Written;
use super::calls::Voice;
use super::{Engine, Look, Mode, panicked};
use crate::clock;
use crate::daemon::entries::{EntryState, Occasion, SoFar, Streak, Wish, Work};
use crate::daemon::reads::Last;
use crate::decide::Effect;
use crate::decide::change::{Change, Version, change};
use crate::decide::rivals::Rivals;
use crate::decide::state::Turn;
use crate::failure::{Failure, Reason};
use crate::few::{self, Seldom};
use crate::names::{ClusterName, EntryName};
use crate::report::{Fact, Outcome, Stage};
use crate::store::{Identity, Read};
use crate::sync::{Checked, Delivery, End, Handled, Heard, Job, Report, Said, SeenVersion, Which};

impl Engine {
    pub(super) fn run_panicked(&mut self, name: &EntryName) {
        let end = End::NotAssembled {
            stage: Stage::Assemble,
            heard: Vec::new(),
            failure: panicked("this entry's run"),
        };
        let Some(outcome) = self.end(name, end, None) else {
            return;
        };
        self.ran(name, (outcome, Duration::ZERO));
        self.go_on_after(name);
    }

    /// A run has ended, or the part of it that its entry waits for.
    pub(super) fn run_ended(&mut self, job: &Job, report: Report) {
        let name = &job.entry;
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let lags = entry.is_laggard(job.number);
        let outcome = self.end(name, report.end, lags.then_some(job.number));
        if let Some(outcome) = outcome.filter(|_| !lags) {
            self.ran(name, (outcome, report.took));
        }
        self.go_on_after(name);
    }

    /// What follows for the entry itself. `laggard`: it goes on at some targets by itself.
    fn end(&mut self, name: &EntryName, end: End, laggard: Option<u64>) -> Option<Outcome> {
        let entry = self.entries.get_mut(name)?;
        entry.idle();
        entry.tried = true;
        self.untried.remove(name);
        self.unsaved.entry(name);
        match end {
            End::NotRead => {
                entry.not_read(Instant::now());
                Some(Outcome::Failed)
            }
            End::Unconfirmed(older) => {
                self.unconfirmed(name, &older);
                None
            }
            End::NotAssembled {
                stage,
                heard,
                failure,
            } => {
                self.not_assembled(name, heard, (stage, failure));
                Some(Outcome::Failed)
            }
            End::NotReachable(failures) => {
                for (index, failure) in failures {
                    self.target_failed(name, index, failure);
                }
                Some(Outcome::Failed)
            }
            End::Delivered {
                seen,
                heard,
                kept,
                targets,
                stays,
                everywhere,
            } => {
                let waits = entry.waits_of(laggard);
                let whole = entry.ours().len() == targets.len() + stays.len() + waits;
                self.attempted(name, heard, kept);
                if let (false, Some(entry)) = (everywhere, self.entries.get_mut(name)) {
                    entry.without = Seldom::none();
                }
                for (index, failure) in stays {
                    self.target_stays(name, index, failure);
                }
                let changed = self.delivered(name, &seen, targets, whole && laggard.is_none());
                if let (Some(run), Some(entry)) = (laggard, self.entries.get_mut(name)) {
                    entry.note_so_far(run, SoFar { changed, whole });
                }
                Some(self.outcome(name, changed))
            }
            // Told of runs that were left alone, and of no others.
            End::Rest { .. } => None,
        }
    }

    /// Something of it has ended, and something else may begin.
    pub(super) fn go_on_after(&mut self, name: &EntryName) {
        self.unsaved.entry(name);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.forgive();
        }
        self.take_next(name);
        self.lie_down(name);
        self.settle(name);
        self.mark_ready();
        self.catch_up(name);
        self.look_again(name);
    }

    pub(super) fn ran(&self, name: &EntryName, (outcome, took): (Outcome, Duration)) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(entry = %name, outcome = %outcome, duration_ms, "ran");
        self.reporter.record(&Fact::Run {
            store: &entry.entry.store,
            outcome,
            took: Some(took),
        });
    }

    /// Reads went on while the entry ran: what it missed is done now.
    pub(super) fn catch_up(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let states: Vec<_> = entry
            .reads()
            .filter_map(|read| Some((read, self.reads.get(read)?)))
            .collect();
        if self.mode == Mode::Once
            || entry.rest().is_some()
            || states.iter().any(|(_, state)| state.is_doubted())
        {
            return;
        }
        let missed = states.iter().any(|(read, _)| {
            let heard = self.heard(entry, read);
            heard.is_some_and(|heard| Some(&heard) != entry.attempted.get(*read))
        });
        // What may go now may be of a target that another run is at.
        let missed = missed || (!entry.lags() && self.released.remove(name));
        // A run that panicked waits for its own time.
        let waits = entry.retry.is_some_and(|retry| retry > Instant::now());
        if (missed || entry.unfinished) && entry.failing_reads.is_empty() && !waits {
            self.start_run(name, None, Which::All);
        } else {
            self.start_new(name);
        }
    }

    fn not_assembled(
        &mut self,
        name: &EntryName,
        heard: Vec<(Read, Heard)>,
        (stage, failure): (Stage, Failure),
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.attempted.extend(heard);
        let mut streak = entry.fail(stage, failure, Instant::now()).clone();
        let clusters: BTreeSet<ClusterName> = entry.entry.clusters().cloned().collect();
        for cluster in &clusters {
            streak.loud &= self.wait_with(name, cluster) == Voice::Own;
        }
        self.tell_failure(name, stage, &streak, None);
    }

    pub(super) fn target_failed(&mut self, name: &EntryName, index: usize, failure: Failure) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        // Its namespace has gone meanwhile, or it is another machine's to write from now on.
        if entry.is_leaving(index) || entry.turn(index) == Turn::Waits {
            return;
        }
        let interval = entry.entry.refresh_interval;
        let cluster = entry.entry.targets[index].cluster().cloned();
        let mut streak = entry.targets[index]
            .fail(failure, interval, Instant::now())
            .clone();
        if let Some(cluster) = cluster.filter(|_| streak.failure.reason.is_shared()) {
            streak.loud &= self.wait_with(name, &cluster) == Voice::Own;
        }
        self.tell_failure(name, Stage::Apply, &streak, Some(index));
        // What was written before, and was to be told, is to be told all the same.
        self.hear_change(name, index);
    }

    /// The run got past its reads and has its content; what a find no longer matches is forgotten.
    fn attempted(&mut self, name: &EntryName, heard: Vec<(Read, Heard)>, kept: Option<Failure>) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.trouble = None;
        entry.retry = None;
        let before = entry.attempted.clone();
        entry.attempt(heard.into_iter().collect());
        entry.unfinished = entry.has_left_out() && entry.attempted != before;
        let missing = entry.attempted.iter();
        let missing = missing.filter(|(_, heard)| matches!(heard.said, Said::Missing(_)));
        let missing: BTreeSet<Read> = missing.map(|(read, _)| read.clone()).collect();
        entry.without = missing.into();
        let before = entry.kept.take();
        entry.kept = kept.map(|failure| Streak::next(before.as_ref(), failure));
        if let Some(kept) = entry.kept.clone() {
            self.tell_failure(name, Stage::Fetch, &kept, None);
        }
    }

    /// How targets have ended. `whole`: with these, every target was looked at; a retry of some is no look at the others,
    /// and their check stays due. True where something changed.
    pub(super) fn delivered(
        &mut self,
        name: &EntryName,
        seen: &[(Read, SeenVersion)],
        targets: Vec<(usize, Delivery)>,
        whole: bool,
    ) -> bool {
        let mut changed = false;
        for (index, delivery) in targets {
            match delivery.result {
                Ok(Handled::Did(effect @ (Effect::Deleted | Effect::Away))) => {
                    changed |= effect == Effect::Deleted;
                    self.target_went(name, index, (effect, delivery.at));
                }
                Ok(Handled::Did(effect)) => {
                    changed |= effect != Effect::Unchanged;
                    let done = (effect, delivery.at, Rivals::default());
                    self.target_delivered(name, index, seen, done);
                }
                Ok(Handled::PutBack(drift, rivals)) => {
                    changed = true;
                    let done = (Effect::Repaired(drift), delivery.at, rivals);
                    self.target_delivered(name, index, seen, done);
                }
                Ok(Handled::Withheld(rivals)) => self.withhold(name, index, Some(&rivals)),
                Ok(Handled::Overtaken(rivals, failure)) => {
                    self.overtaken(name, index, (&rivals, failure));
                }
                Err(failure) => self.target_failed(name, index, failure),
            }
        }
        if whole || self.entries.get(name).is_some_and(EntryState::is_done) {
            self.synced(name);
        }
        changed
    }

    /// How a run or a check counts that was at its targets. Where others are set apart, whoever is at those counts for
    /// them when he has ended; what they miss meanwhile, a run of its own brings.
    pub(super) fn outcome(&self, name: &EntryName, changed: bool) -> Outcome {
        let Some(entry) = self.entries.get(name) else {
            return Outcome::Failed;
        };
        match (entry.has_trouble(), &entry.kept, changed) {
            (true, ..) => Outcome::Failed,
            (false, Some(_), _) => Outcome::Partial,
            (false, None, true) => Outcome::Changed,
            (false, None, false) => Outcome::Unchanged,
        }
    }

    /// Something of it is gone, and its policy is to leave it as it is.
    fn target_stays(&mut self, name: &EntryName, index: usize, failure: Failure) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let streak = entry.targets[index].stay(failure).clone();
        self.tell_failure(name, Stage::Fetch, &streak, Some(index));
    }

    /// All that it was made of is gone, and so is it.
    fn target_went(
        &mut self,
        name: &EntryName,
        index: usize,
        (effect, at): (Effect, jiff::Timestamp),
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let target = &mut entry.targets[index];
        let written = Written::gone(effect, target);
        let is_news = target.away.is_none();
        target.away.get_or_insert(at);
        target.end_fight();
        target.succeed();
        target.failing_restarts = Seldom::none();
        self.rollouts
            .forget_target(name, &entry.entry.targets[index]);
        if is_news {
            self.tell_written(name, index, &written);
        }
    }

    fn target_delivered(
        &mut self,
        name: &EntryName,
        index: usize,
        seen: &[(Read, SeenVersion)],
        (effect, at, rivals): (Effect, jiff::Timestamp, Rivals),
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let used: BTreeSet<Read> = entry.reads().cloned().collect();
        let target = &mut entry.targets[index];
        // A write whose end nobody saw is found done now.
        let unseen = |streak: &Streak| {
            matches!(
                streak.failure.reason,
                Reason::Timeout | Reason::Network | Reason::Io
            )
        };
        let late = effect == Effect::Unchanged && target.trouble.as_ref().is_some_and(unseen);
        let newer = |held: &few::Map<Read, Version>, (read, seen): &(Read, SeenVersion)| {
            // That a find matches something else replaces no version.
            !matches!(seen.version.identity, Identity::Arns(_))
                && change(held.get(read), &seen.version) == Change::Newer
        };
        let effect = if late && seen.iter().any(|seen| newer(&target.delivered, seen)) {
            Effect::Updated
        } else {
            effect
        };
        let mut written = Written::new(effect, target, seen);
        written.others = rivals.names();
        let mut slowest = None;
        for one in seen {
            let (_, seen) = one;
            let since = seen.version.created.max(seen.before);
            if let (true, Effect::Updated, Some(since)) =
                (newer(&target.delivered, one), effect, since)
            {
                // A clock that is ahead of ours makes no time negative.
                let took = Duration::try_from(at.duration_since(since));
                slowest = slowest.max(Some(took.unwrap_or_default()));
            }
        }
        let reads = &self.reads;
        let held = seen.iter().map(|(read, seen)| {
            let last = reads.get(read).and_then(|it| it.last.as_ref());
            (read.clone(), shared(last, &seen.version))
        });
        // Of what is gone the last version counts on: an older one that comes back is doubted.
        let mut delivered = std::mem::take(&mut target.delivered);
        delivered.retain(|read, _| used.contains(read));
        delivered.extend(held);
        target.delivered = delivered;
        target.away = None;
        entry.delivered.clone_from(&target.delivered);
        target.succeed();
        let interval = entry.entry.refresh_interval;
        target.alarms.end(effect, interval, Instant::now());
        if let Some(took) = slowest {
            self.reporter.record(&Fact::Propagated {
                store: &entry.entry.store,
                target: entry.entry.targets[index].kind(),
                took,
            });
        }
        self.tell_written(name, index, &written);
        self.did(name, index, (effect, &rivals));
        self.hear_change(name, index);
        self.want_restart(name, index);
    }

    pub(super) fn check_ended(
        &mut self,
        name: &EntryName,
        checked: Vec<(usize, Checked)>,
        look: Look,
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.work = Work::Idle;
        let (mut drifted, mut looked) = (false, true);
        let mut news = look == Look::Routine;
        for (index, checked) in checked {
            news |= !matches!(checked, Checked::AsDelivered);
            match checked {
                Checked::AsDelivered => self.is_in_place(name, index),
                Checked::Repaired(effect) => self.put_back(name, index, effect),
                Checked::Drifted => drifted |= self.drifted(name, index),
                Checked::NotLooked => match look {
                    Look::Routine => looked = false,
                    // A run looks, too, and waits for its turn.
                    Look::Sight => drifted = true,
                },
                Checked::Failed(failure) => self.target_failed(name, index, failure),
            }
        }
        // A look at the files at the start says nothing of the sources.
        let first = self.untried.contains(name);
        if drifted {
            if let Some(entry) = self.entries.get_mut(name) {
                entry.unfinished = true;
            }
        } else if !first && looked && look == Look::Routine {
            self.synced(name);
            self.count_check(name);
        }
        // Whoever touches a file all the time has nothing written.
        if news {
            self.unsaved.entry(name);
        }
        if !drifted {
            self.untried.remove(name);
        }
        self.take_next(name);
        self.settle(name);
        self.catch_up(name);
        // What drifted is tried when the run is over, where one could begin.
        if drifted
            && self
                .entries
                .get(name)
                .is_none_or(|it| it.work == Work::Idle)
        {
            self.untried.remove(name);
            self.settle(name);
        }
        self.mark_ready();
        self.look_again(name);
    }

    /// The target is as we left it.
    pub(super) fn is_in_place(&mut self, name: &EntryName, index: usize) {
        self.calm(name, index);
        self.did(name, index, (Effect::Unchanged, &Rivals::default()));
        self.hear_change(name, index);
        self.want_restart(name, index);
    }

    fn put_back(&mut self, name: &EntryName, index: usize, effect: Effect) {
        if let Some(entry) = self.entries.get(name) {
            let written = Written::put_back(effect, &entry.targets[index]);
            self.tell_written(name, index, &written);
        }
        self.did(name, index, (effect, &Rivals::default()));
        self.hear_change(name, index);
    }

    fn count_check(&self, name: &EntryName) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        self.reporter.record(&Fact::Run {
            store: &entry.entry.store,
            outcome: self.outcome(name, false),
            took: None,
        });
    }

    /// Whatever could be done is done: the next look at drift is set, and where nothing is missing, that is a success.
    fn synced(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let now = Instant::now();
        entry.answered.clear();
        entry.check = Some(entry.rhythm.next(now, fastrand::f64()));
        self.succeeded(name);
    }

    /// Every target may be fresh now: then that is a success.
    pub(super) fn succeeded(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.is_done() && !entry.is_partial() && entry.reaches_all() {
            entry.unacted = Some(Box::new((Instant::now(), clock::now())));
            self.succeed(name);
        }
    }

    /// All is delivered, and nothing fails that was to be done because of it.
    pub(super) fn succeed(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name).filter(|it| !it.fails_to_act()) else {
            return;
        };
        if let Some(success) = entry.unacted.take() {
            let (_, at) = *success;
            entry.last_success = Some(*success);
            self.reporter.record(&Fact::Success { entry: name, at });
        }
    }

    /// A timer of the entry came due.
    pub(super) fn entry_due(&mut self, name: &EntryName, now: Instant) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        match entry.wish(now, Occasion::Timer) {
            Wish::Nothing => self.settle(name),
            Wish::Run(which) => self.start_run(name, None, which),
            Wish::Check => self.start_check(name),
        }
    }
}

/// The version as its read has it, where it is that: it is kept once.
fn shared(last: Option<&Last>, version: &Version) -> Version {
    let same = last.filter(|last| last.version == *version);
    same.map_or(version, |last| &last.version).clone()
}
