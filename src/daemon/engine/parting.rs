//! Entries that do not wait for their slowest targets: their runs go on at those alone.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::{Done, Due, Engine, Mode, panicked};
use crate::clock;
use crate::daemon::entries::SoFar;
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::report::Outcome;
use crate::store::Read;
use crate::sync::{Delivery, End, Impatient, Job, Part, Report, SeenVersion};

impl Engine {
    /// What runs have told so far comes before their end.
    pub(super) fn hear_parts(&mut self) {
        while let Ok(part) = self.parts.try_recv() {
            self.parted(part);
        }
    }

    /// A run is kept waiting by a few targets. The entry goes on without them.
    pub(super) fn parted(&mut self, part: Part) {
        let Part { job, report, waits } = part;
        if !self.is_current(&job.entry, job.generation) {
            return;
        }
        let Some(entry) = self.entries.get_mut(&job.entry) else {
            return;
        };
        entry.leave_behind(job.number, waits);
        self.expect_late(&job.entry, Instant::now());
        self.run_ended(&job, report);
    }

    /// Whether a run has to say now that some targets take too long.
    pub(super) fn late_due(&mut self, name: &EntryName, now: Instant) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        for index in entry.late(now) {
            self.target_failed(name, index, not_yet());
        }
        self.expect_late(name, now);
        self.settle(name);
    }

    fn expect_late(&mut self, name: &EntryName, now: Instant) {
        let entry = self.entries.get(name);
        if let Some(late) = entry.and_then(|entry| entry.late_after(now)) {
            self.schedule.set(Due::Late(name.clone()), late);
        }
    }

    /// Who hears of a run that is kept waiting. `once` waits for all.
    pub(super) fn impatient_of(&self, job: &Job) -> Option<Impatient> {
        (self.mode == Mode::Forever).then(|| Impatient {
            job: job.clone(),
            tell: self.impatient.clone(),
        })
    }

    /// The task of a run has ended.
    pub(super) fn job_ended(&mut self, job: &Job, done: Result<Done, JoinError>) {
        if !self.is_current(&job.entry, job.generation) {
            return self.left(&job.entry);
        }
        let entry = self.entries.get(&job.entry);
        let lags = entry.is_some_and(|entry| entry.is_laggard(job.number));
        match (lags, done) {
            (false, Ok(Done::Run(report))) => self.run_ended(job, report),
            (true, Ok(Done::Run(report))) => self.rest_ended(job, report),
            (false, _) => self.run_panicked(&job.entry),
            (true, _) => self.rest_panicked(job),
        }
    }

    /// A run has ended at the targets that its entry did not wait for.
    pub(super) fn rest_ended(&mut self, job: &Job, report: Report) {
        match report.end {
            End::Rest { seen, targets } => {
                if let Some(outcome) = self.rest_delivered(job, &seen, targets) {
                    self.ran(&job.entry, (outcome, report.took));
                }
            }
            // After its delivery began, a run ends in no other way.
            End::NotRead
            | End::Unconfirmed(_)
            | End::NotAssembled { .. }
            | End::NotReachable(_)
            | End::Delivered { .. } => self.rest_panicked(job),
        }
    }

    fn rest_delivered(
        &mut self,
        job: &Job,
        seen: &[(Read, SeenVersion)],
        targets: Vec<(usize, Delivery)>,
    ) -> Option<Outcome> {
        let name = &job.entry;
        let entry = self.entries.get_mut(name)?;
        let (laggard, behind) = entry.catches_up(job.number)?;
        // What failed is tried again with whatever is new by then.
        let holds = |(_, delivery): &(usize, Delivery)| delivery.result.is_ok();
        entry.unfinished |= behind && targets.iter().any(holds);
        let SoFar { changed, whole } = laggard.so_far;
        let changed = self.delivered(name, seen, targets, whole) || changed;
        let outcome = self.outcome(name, changed);
        if let Some(entry) = self.entries.get_mut(name) {
            // Others may hold something newer.
            entry.delivered = entry.newest_delivered();
        }
        self.go_on_after(name);
        Some(outcome)
    }

    pub(super) fn rest_panicked(&mut self, job: &Job) {
        let targets: BTreeSet<usize> = self
            .entries
            .get_mut(&job.entry)
            .and_then(|entry| entry.catches_up(job.number))
            .map_or_else(BTreeSet::new, |(laggard, _)| laggard.targets().collect());
        let failed = targets.into_iter().map(|index| {
            let delivery = Delivery {
                result: Err(panicked("this entry's run")),
                at: clock::now(),
            };
            (index, delivery)
        });
        self.delivered(&job.entry, &[], failed.collect(), false);
        self.ran(&job.entry, (Outcome::Failed, Duration::ZERO));
        self.go_on_after(&job.entry);
    }
}

fn not_yet() -> Failure {
    Failure::new(
        Reason::Timeout,
        "the cluster had no turn for what is new, or no answer, within 45 s; it is still waited for",
    )
    .with_help(
        "find what slows its answers down, as an admission webhook, or raise `requests_per_second` of the cluster",
    )
}
