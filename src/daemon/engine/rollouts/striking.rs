//! The records of restarts that are done: taken off the Secrets, one by one.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::daemon::engine::{Done, Engine, Task, panicked};
use crate::daemon::entries::{Streak, Work};
use crate::decide::kubernetes::restart::ChangeId;
use crate::failure::{Failure, Reason};
use crate::kube::Tenure;
use crate::report::Stage;
use crate::schedule::backoff;
use crate::state::SecretPart;
use crate::sync::{self, Job};

/// The longest wait before a record is tried to be taken off again.
const LONGEST: Duration = Duration::from_mins(5);
/// By what a target's failing actions call that.
const RECORD: &str = "record";

/// A record that is taken off.
#[derive(Debug)]
pub(in crate::daemon::engine) struct Strike {
    job: Job,
    part: SecretPart,
    change: ChangeId,
}

impl Engine {
    /// Takes records off Secrets that nothing else is under way at. Each is set apart: a cluster that hangs just then keeps
    /// nothing else of its entry waiting.
    pub(super) fn strike_records(&mut self, now: Instant, tenure: &Tenure) {
        let (mut free, mut strangers) = (Vec::new(), Vec::new());
        let finished = self.rollouts.finished.iter();
        for (part, finished) in finished.filter(|(_, it)| it.due <= now) {
            let entry = self.entries.get(&part.entry);
            match entry.and_then(|it| Some((it, it.place_of(&part.id)?))) {
                None => strangers.push(part.clone()),
                Some((entry, index)) => {
                    let idle = entry.work == Work::Idle && !entry.targets[index].lags;
                    if idle && !self.leaving.contains_key(&part.entry) {
                        free.push((part.clone(), index, finished.change.clone()));
                    }
                }
            }
        }
        for part in strangers {
            self.rollouts.forget_part(&part);
        }
        for (part, index, change) in free {
            self.start_strike((part, index), change, tenure);
        }
    }

    fn start_strike(
        &mut self,
        (part, index): (SecretPart, usize),
        change: ChangeId,
        tenure: &Tenure,
    ) {
        let Some(entry) = self.entries.get_mut(&part.entry) else {
            return;
        };
        self.runs += 1;
        entry.begin_strike(self.runs, index);
        let job = Job {
            entry: part.entry.clone(),
            generation: entry.generation,
            number: self.runs,
        };
        let (entry, state) = (Arc::clone(&entry.entry), Arc::clone(&self.state));
        let (tenure, of) = (tenure.clone(), change.clone());
        let span = tracing::error_span!("restarted", entry = %job.entry);
        let work = async move {
            let under = (&state, &tenure);
            Done::Struck(sync::strike((&entry, index), &of, under).await)
        };
        let task = self.tasks.spawn(work.instrument(span));
        let strike = Strike { job, part, change };
        self.running.insert(task.id(), Task::Strike(strike));
    }

    pub(in crate::daemon::engine) fn struck(
        &mut self,
        strike: &Strike,
        done: Result<Done, JoinError>,
    ) {
        let Strike { job, .. } = strike;
        let name = &job.entry;
        if !self.is_current(name, job.generation) {
            return self.left(name);
        }
        if let Some(entry) = self.entries.get_mut(name)
            && let Some((_, behind)) = entry.catches_up(job.number)
        {
            entry.unfinished |= behind;
        }
        let result = match done {
            Ok(Done::Struck(result)) => result,
            Ok(_) | Err(_) => Err(panicked("taking a record off")),
        };
        self.judge_strike(strike, result);
        self.go_on_after(name);
    }

    fn judge_strike(&mut self, strike: &Strike, result: Result<(), Failure>) {
        let finished = self.rollouts.finished.get_mut(&strike.part);
        let Some(finished) = finished.filter(|it| it.change == strike.change) else {
            return;
        };
        let Err(failure) = result else {
            self.rollouts.finished.remove(&strike.part);
            self.attended(&strike.part, |actions| drop(actions.remove(RECORD)));
            return;
        };
        let now = Instant::now();
        finished.failures += 1;
        let retry = failure.reason.retry();
        finished.due = now + backoff::delay(retry, finished.failures, LONGEST, fastrand::f64());
        let count = finished.failures;
        let fact = format!("the record of a restart that is done was not taken off: {failure}");
        let failure = Failure::new(Reason::Action, fact).with_help(failure.help().to_owned());
        let streak = Streak {
            loud: count.is_power_of_two(),
            failure: failure.clone(),
            count,
        };
        let index = self.attended(&strike.part, |actions| {
            actions.insert(RECORD.to_owned(), failure);
        });
        if let Some(index) = index {
            self.tell_failure(&strike.job.entry, Stage::Action, &streak, Some(index));
        }
    }
}
