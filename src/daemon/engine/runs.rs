//! Runs, and looks at targets: what may begin, and with what is known.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::tasks::{Done, Due, Look, Task};
use super::{Engine, Mode};
use crate::daemon::entries::{EntryState, Work};
use crate::daemon::reads::ReadState;
use crate::kube::Tenure;
use crate::names::EntryName;
use crate::store::Read;
use crate::store::desk::Seen;
use crate::sync::{self, Checked, Job, Which};

impl Engine {
    /// Whether a run of the entry can begin.
    pub(super) fn may_run(&self, name: &EntryName) -> bool {
        let idle = self
            .entries
            .get(name)
            .is_some_and(|entry| entry.work == Work::Idle && !entry.is_asleep());
        idle && !self.draining && !self.alone && !self.leaving.contains_key(name)
    }

    pub(super) fn start_run(
        &mut self,
        name: &EntryName,
        handed: Option<(Read, Seen)>,
        which: Which,
    ) {
        if !self.may_run(name) {
            return;
        }
        let may_go = self.may_go(name);
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let Some((which, ours)) = entry.begin_run(which) else {
            return;
        };
        self.runs += 1;
        let job = Job {
            entry: name.clone(),
            generation: entry.generation,
            number: self.runs,
        };
        // What was never there is there now: from here on that counts, whatever becomes of the run.
        let reads = &self.reads;
        let before = entry.without.len();
        let is_missing = |read: &Read| reads.get(read).is_none_or(|state| state.last.is_none());
        entry.without.change(|it| it.retain(is_missing));
        if entry.without.len() != before {
            self.unsaved.entry(name);
        }
        self.schedule.cancel(&Due::Entry(name.clone()));
        let confirmed = entry.reads().filter_map(|read| {
            let confirmed = self.reads.get(read)?.confirmed()?;
            Some((read.clone(), confirmed.clone()))
        });
        let known = known_to(entry, &self.reads);
        let proofs = entry.all_proofs();
        let run = sync::Run {
            entry: Arc::clone(&entry.entry),
            desk: self.desk.clone(),
            state: Arc::clone(&self.state),
            reporter: self.reporter.clone(),
            handed,
            delivered: entry.delivered.clone(),
            confirmed: confirmed.collect(),
            known,
            without: (*entry.without).clone(),
            proofs,
            away: entry.away(),
            may_go,
            which,
            contested: entry.withheld(Instant::now()),
            ours,
            tenure: self.tenure.clone().unwrap_or_else(Tenure::never),
            dismissed: entry.dismissal(),
            impatient: self.impatient_of(&job),
        };
        // At whatever level lines are written, each names its entry.
        let span = tracing::error_span!("sync", entry = %name);
        let task = self
            .tasks
            .spawn(async move { Done::Run(Box::pin(sync::run(run)).await) }.instrument(span));
        self.running.insert(task.id(), Task::Run(job));
    }

    pub(super) fn start_check(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.look_past_strikes();
        let healthy = entry.healthy();
        // Of what is watched it is known.
        let idle = entry.work == Work::Idle && !self.draining && !self.leaving.contains_key(name);
        let (known, asked): (Vec<usize>, Vec<usize>) =
            healthy.into_iter().partition(|it| self.is_seen(name, *it));
        if !known.is_empty() && asked.is_empty() {
            if idle {
                let known = known.into_iter().map(|it| (it, Checked::AsDelivered));
                self.check_ended(name, known.collect(), Look::Routine);
            }
            return;
        }
        if idle {
            for index in known {
                self.is_in_place(name, index);
            }
        }
        self.check_these(name, asked, Look::Routine);
    }

    pub(super) fn check_these(&mut self, name: &EntryName, which: Vec<usize>, look: Look) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.work == Work::UnderWay || self.draining || self.leaving.contains_key(name) {
            return;
        }
        entry.work = Work::UnderWay;
        entry.began = Instant::now();
        let generation = entry.generation;
        let withheld = entry.withheld(Instant::now());
        let (entry, state) = (Arc::clone(&entry.entry), Arc::clone(&self.state));
        let of = name.clone();
        let task = self.tasks.spawn(async move {
            let which = (&which[..], &withheld);
            let mut check = Box::pin(sync::check(&entry, which, &state));
            // A span while it does something, and none while it waits: thousands may wait for a cluster at a time, and
            // what keeps the spans has room ever after for the most that there were.
            let named = poll_fn(|cx| {
                let span = tracing::error_span!("check", entry = %of);
                span.in_scope(|| check.as_mut().poll(cx))
            });
            Done::Check(named.await)
        });
        self.running
            .insert(task.id(), Task::Check(name.clone(), generation, look));
    }

    /// Whether a look at its targets can begin: nothing is under way that may have done what was told of them, and
    /// everything was tried.
    pub(super) fn may_look(&self, name: &EntryName) -> bool {
        let settled = |entry: &EntryState| entry.work == Work::Idle && entry.tried;
        let settled = self.entries.get(name).is_some_and(settled);
        let may_begin = !self.draining && !self.leaving.contains_key(name);
        settled && may_begin && !self.untried.contains(name) && self.mode == Mode::Forever
    }
}

/// What has answered before.
fn known_to(
    entry: &EntryState,
    reads: &HashMap<Read, Box<ReadState>>,
) -> BTreeMap<Read, sync::Proving> {
    let known = entry.reads().filter_map(|read| {
        let last = reads.get(read)?.last.as_ref()?;
        let proving = sync::Proving::of(read, &last.version.identity);
        Some((read.clone(), proving))
    });
    known.collect()
}
