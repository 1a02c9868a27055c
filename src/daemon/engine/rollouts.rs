//! Restarts of workloads: which are wanted, when they run, and what follows.
//!
//! What is to be restarted is recorded on the Secrets themselves and in the ledger, so nothing of this is kept: a record
//! that is found is wanted again, whoever wrote it. A restart waits for READY, belongs to the machine that leads, and
//! delays nothing else. When it is done, its record is taken off, and meanwhile the target is left alone: for a look at
//! the Secret in that moment, somebody else would have written it.

mod striking;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::Instrument as _;

pub(super) use self::striking::Strike;
use super::hastened::Hastened;
use super::{Done, Due, Engine, Mode, Task, panicked};
use crate::action::queue::{Change, Queue};
use crate::clock;
use crate::config::Workload;
use crate::daemon::entries::Streak;
use crate::decide::kubernetes::restart::{ChangeId, mark_key};
use crate::decide::state::Turn;
use crate::failure::{Failure, Reason};
use crate::few::Seldom;
use crate::kube::{Restarted, Tenure};
use crate::logging::AUDIT;
use crate::names::{ClusterName, EntryName, Namespace};
use crate::report::{ActionKind, ActionResult, Fact, Stage};
use crate::state::SecretPart;
use crate::sync::{self, Entry};
use crate::target::Target;

/// Secrets that change within this of each other restart a workload once.
const DEBOUNCE: Duration = Duration::from_secs(2);
/// How many restarts of one cluster are under way at once: enough for some to hang, and few beside its deliveries.
const AT_ONCE: usize = 16;

/// A workload that is restarted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rollout {
    pub(super) cluster: ClusterName,
    namespace: Namespace,
    workload: Workload,
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cluster,
            namespace,
            workload,
        } = self;
        write!(
            f,
            "`{workload}` in namespace `{namespace}` of cluster `{cluster}`"
        )
    }
}

/// One try of a restart.
#[derive(Debug)]
pub(super) struct Errand {
    rollout: Rollout,
    marks: BTreeMap<SecretPart, Change>,
    term: u64,
    began: Instant,
}

/// A restart that is done, with its record on the Secret yet.
#[derive(Debug)]
struct Finished {
    change: ChangeId,
    failures: u32,
    due: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Rollouts {
    queue: Queue<Rollout, SecretPart>,
    failing: BTreeMap<Rollout, Streak>,
    finished: BTreeMap<SecretPart, Finished>,
    lanes: HashMap<ClusterName, Arc<Semaphore>>,
    /// What began in an earlier one is none of this one's business.
    term: u64,
}

impl Rollouts {
    /// Another machine finishes what is wanted, or finds it anew.
    pub(super) fn begin_term(&mut self) {
        self.term += 1;
        self.queue = Queue::default();
        self.failing.clear();
        self.finished.clear();
    }

    /// Nothing is restarted any more for this entry as it was.
    pub(super) fn forget(&mut self, entry: &Entry) {
        for target in &entry.targets {
            self.forget_target(&entry.name, target);
        }
    }

    pub(super) fn forget_target(&mut self, entry: &EntryName, target: &Target) {
        if let Target::Kubernetes(_, id) = target {
            let (id, entry) = (id.clone(), entry.clone());
            self.forget_part(&SecretPart { id, entry });
        }
    }

    fn forget_part(&mut self, part: &SecretPart) {
        self.queue.forget(part);
        self.finished.remove(part);
    }

    /// What failed is tried now.
    pub(super) fn hasten(
        &mut self,
        which: impl Fn(&Rollout, &BTreeMap<SecretPart, Change>) -> bool,
    ) -> Vec<Rollout> {
        self.queue.hasten(Instant::now(), which)
    }

    /// Whether it is still to be restarted.
    pub(super) fn holds(&self, rollout: &Rollout) -> bool {
        self.queue.holds(rollout)
    }

    /// Whether nothing waits that was not tried.
    pub(super) fn are_tried(&self) -> bool {
        self.queue.is_tried() && self.finished.values().all(|it| it.failures > 0)
    }

    fn finish(&mut self, part: SecretPart, change: ChangeId) {
        let finished = Finished {
            change,
            failures: 0,
            due: Instant::now(),
        };
        self.finished.insert(part, finished);
    }

    /// When something comes due by itself.
    fn next(&self, now: Instant) -> Option<Instant> {
        let again = self.finished.values().map(|it| it.due);
        // What is due already waits for its entry.
        let again = again.filter(|due| *due > now);
        again.chain(self.queue.next()).min()
    }

    fn lane(&mut self, cluster: &ClusterName) -> Arc<Semaphore> {
        let lane = self.lanes.entry(cluster.clone());
        Arc::clone(lane.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }
}

impl Engine {
    /// What was recorded before this process began.
    pub(super) fn recall_restarts(&mut self) {
        let places = self.entries.iter().flat_map(|(name, entry)| {
            (0..entry.targets.len()).map(move |index| (name.clone(), index))
        });
        for (name, index) in places.collect::<Vec<_>>() {
            self.want_restart(&name, index);
        }
    }

    /// A Secret was delivered, or seen to be as it was delivered: a restart may be recorded on it.
    pub(super) fn want_restart(&mut self, name: &EntryName, index: usize) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let Some(Target::Kubernetes(target, id)) = entry.entry.targets.get(index) else {
            return;
        };
        if entry.turn(index) == Turn::Waits || entry.is_asleep() {
            return;
        }
        let part = SecretPart {
            id: id.clone(),
            entry: name.clone(),
        };
        let Some(change) = self.state.restart(&part) else {
            self.rollouts.forget_part(&part);
            entry.targets[index].failing_restarts = Seldom::none();
            return;
        };
        let finished = self.rollouts.finished.get(&part);
        if finished.is_some_and(|it| it.change == change) {
            return;
        }
        self.rollouts.finished.remove(&part);
        let rollout = |workload: &Workload| Rollout {
            cluster: id.cluster.clone(),
            namespace: id.namespace.clone(),
            workload: workload.clone(),
        };
        let rollouts: Vec<Rollout> = target.spec().restart.iter().map(rollout).collect();
        if rollouts.is_empty() {
            // The configuration names none any more.
            return self.rollouts.finish(part, change);
        }
        let debounce = match self.mode {
            Mode::Forever => DEBOUNCE,
            // Whatever changed has been written by the time that the first one runs.
            Mode::Once => Duration::ZERO,
        };
        let wish = (&part, &Change::from(change.as_str()));
        let now = Instant::now();
        self.rollouts.queue.want(wish, &rollouts, debounce, now);
    }

    /// Begins what is due.
    pub(super) fn roll_out(&mut self) {
        let idle = self.rollouts.queue.is_empty() && self.rollouts.finished.is_empty();
        if idle || self.draining || self.alone || !self.pulse.is_ready() {
            return;
        }
        let Some(tenure) = self.tenure.clone() else {
            return;
        };
        let now = Instant::now();
        for (rollout, marks) in self.rollouts.queue.take_due(now) {
            let term = self.rollouts.term;
            let errand = Errand {
                rollout,
                marks,
                term,
                began: now,
            };
            self.start_rollout(errand, &tenure);
        }
        self.strike_records(now, &tenure);
        if let Some(next) = self.rollouts.next(now) {
            self.schedule.set(Due::Rollouts, next);
        }
    }

    fn start_rollout(&mut self, errand: Errand, tenure: &Tenure) {
        let marks = self.marks(&errand);
        let Rollout {
            cluster,
            namespace,
            workload,
        } = errand.rollout.clone();
        let lane = self.rollouts.lane(&cluster);
        let client = self.clusters.get(&cluster).map(|it| it.under(tenure));
        let span = tracing::error_span!("restart", %workload);
        let work = async move {
            // It is never closed; without a permit it goes on just as well.
            let _lane = lane.acquire_owned().await;
            Done::RolledOut(match client {
                Some(client) => sync::restart(&client, (&namespace, &workload), &marks).await,
                None => Err(no_cluster(&cluster)),
            })
        };
        let task = self.tasks.spawn(work.instrument(span));
        self.running.insert(task.id(), Task::Rollout(errand));
    }

    /// The annotations of the pod template: one for each Secret, with its change.
    fn marks(&self, errand: &Errand) -> BTreeMap<String, String> {
        let marks = errand.marks.iter().filter_map(|(part, change)| {
            let entry = self.entries.get(&part.entry)?;
            let Target::Kubernetes(target, id) = &entry.entry.targets[entry.place_of(&part.id)?]
            else {
                return None;
            };
            let key = mark_key(&id.name, &target.manager());
            Some((key.to_string(), change.to_string()))
        });
        marks.collect()
    }

    pub(super) fn rolled_out(&mut self, errand: &Errand, done: Result<Done, JoinError>) {
        let result = if let Ok(Done::RolledOut(result)) = done {
            result
        } else {
            Err(panicked("restarting a workload"))
        };
        if errand.term != self.rollouts.term {
            return;
        }
        let now = Instant::now();
        let ended = result.as_ref().map(|_| ()).map_err(|it| it.reason.retry());
        let counted = match ended {
            Ok(()) => ActionResult::Succeeded,
            Err(_) => ActionResult::Failed,
        };
        self.reporter.record(&Fact::Action {
            kind: ActionKind::Restart,
            result: counted,
            took: now - errand.began,
        });
        let of = (&errand.rollout, &errand.marks);
        let random = fastrand::f64();
        let done = self.rollouts.queue.ended(of, ended, (now, random));
        match result {
            Ok(restarted) => self.restarted(errand, restarted),
            Err(failure) => self.not_restarted(errand, &failure),
        }
        for (part, change) in done {
            if let Some(change) = ChangeId::read(&change) {
                self.rollouts.finish(part, change);
            }
        }
        self.tried(&Hastened::Restart(errand.rollout.clone()));
        self.settle_all();
        self.tell_rollouts_pending();
    }

    fn restarted(&mut self, errand: &Errand, restarted: Restarted) {
        let rollout = &errand.rollout;
        self.rollouts.failing.remove(rollout);
        let entries: BTreeSet<&str> = errand.marks.keys().map(|it| it.entry.as_str()).collect();
        let entry = entries.into_iter().collect::<Vec<_>>().join(", ");
        let secrets: Vec<String> = errand.marks.keys().map(|it| it.id.to_string()).collect();
        match restarted {
            Restarted::Done => tracing::info!(
                target: AUDIT, entry, action = %ActionKind::Restart, workload = %rollout.workload,
                namespace = %rollout.namespace, cluster = %rollout.cluster, secrets = secrets.join(", "),
                "restarted"
            ),
            Restarted::Absent => tracing::warn!(
                entry,
                secrets = secrets.join(", "),
                help = "correct `restart`, or make the workload; its pods begin with the Secret as it is",
                "{rollout} does not exist, so there is nothing to restart"
            ),
        }
        let word = rollout.workload.to_string();
        for part in errand.marks.keys() {
            self.attended(part, |actions| drop(actions.remove(&word)));
        }
    }

    fn not_restarted(&mut self, errand: &Errand, failure: &Failure) {
        let rollout = &errand.rollout;
        let paused = self.paused.contains_key(&rollout.cluster);
        let fact = format!("{rollout} was not restarted: {failure}");
        let failure = Failure::new(Reason::Action, fact).with_help(failure.help().to_owned());
        let before = self.rollouts.failing.get(rollout);
        let mut streak = Streak::next(before, failure.clone());
        self.rollouts
            .failing
            .insert(rollout.clone(), streak.clone());
        streak.loud &= !paused;
        let word = rollout.workload.to_string();
        for part in errand.marks.keys() {
            let index = self.attended(part, |actions| {
                actions.insert(word.clone(), failure.clone());
            });
            if let Some(index) = index {
                self.tell_failure(&part.entry, Stage::Action, &streak, Some(index));
            }
            // The same for all of them: it is said once.
            streak.loud = false;
        }
    }

    /// Something became of an action of that target.
    fn attended(
        &mut self,
        part: &SecretPart,
        what: impl FnOnce(&mut BTreeMap<String, Failure>),
    ) -> Option<usize> {
        let entry = self.entries.get_mut(&part.entry)?;
        let index = entry.place_of(&part.id)?;
        entry.targets[index].failing_restarts.change(what);
        self.succeed(&part.entry);
        self.unsettled.insert(part.entry.clone());
        Some(index)
    }

    /// How many workloads wait, and since when.
    pub(super) fn tell_rollouts_pending(&mut self) {
        let Rollouts { queue, failing, .. } = &mut self.rollouts;
        let waiting: BTreeMap<&Rollout, _> = queue.waiting().collect();
        failing.retain(|rollout, _| waiting.contains_key(rollout));
        let changes = waiting.values().flat_map(|marks| marks.values());
        let oldest = changes
            .filter_map(|change| ChangeId::read(change)?.at())
            .min();
        let oldest: Option<Timestamp> = oldest.or_else(|| (!waiting.is_empty()).then(clock::now));
        self.reporter.record(&Fact::ActionsPending {
            kind: ActionKind::Restart,
            count: waiting.len(),
            oldest,
        });
    }
}

fn no_cluster(cluster: &ClusterName) -> Failure {
    let fact = format!("the cluster `{cluster}` is not configured any more");
    Failure::new(Reason::Invalid, fact)
}
