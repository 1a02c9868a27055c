//! The loop that owns every read and every run.
//!
//! One task, no locks: what is due, what is wanted and what has ended all arrive here, and every decision about
//! *when* is made here. What is read and written is decided elsewhere.

mod absences;
mod actions;
mod adopting;
mod asked;
mod audit;
mod calls;
mod clusters;
mod ends;
mod fights;
mod left;
mod membership;
mod office;
mod parting;
mod pauses;
mod prune;
mod queries;
mod reach;
mod recollection;
mod remembrance;
mod removals;
mod renewal;
mod rollouts;
mod sights;
mod stirs;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::actions::{Acting, Actions};
use self::asked::Request;
use self::pauses::Shared;
use self::prune::{Orphans, Pruning};
use self::recollection::Past;
pub(super) use self::remembrance::LED;
use self::remembrance::Unsaved;
use self::removals::Loser;
pub(super) use self::renewal::Renewed;
use self::rollouts::{Errand, Rollouts};
use self::sights::Watched;
pub(super) use self::sights::{Scope, Sight};
use self::stirs::Stirs;
use self::traffic::{LineId, Waiter, Waiting, Whereabouts};
use super::ask::{Ask, Progress};
use super::entries::{EntryState, Work};
use super::house::{LastReload, Supplied, Supply};
use super::leading::Lead;
use super::reads::ReadState;
use super::times::Now;
use crate::action::run::Did;
use crate::aws::UpstreamId;
use crate::clock;
use crate::decide::brake::Brake;
use crate::failure::{Failure, Reason};
use crate::kube::{self, Client, Restarted, Tenure};
use crate::names::{ClusterName, EntryName, StoreName};
use crate::reload::About;
use crate::report::{Fact, Reporter};
use crate::schedule::Schedule;
use crate::schedule::cohorts::{CohortId, Cohorts};
use crate::schedule::line::Urgency;
use crate::schedule::pace::Pace;
use crate::secret::Fingerprint;
use crate::state::{Mark, State};
use crate::store::coalesce::Coalesce;
use crate::store::desk::{Desk, Seen, Want};
use crate::store::{Fetched, Lane, Read, Store};
use crate::sync::{self, Checked, Entry, Job, Part, Which};
use crate::target::file::Seats;

/// The longest one call may take, whatever a store promises: a read that never ends would never come round again.
const CALL_LIMIT: Duration = Duration::from_mins(1);

/// The longest the loop sleeps, so that its pulse is felt.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Whether the engine goes on after everything was tried once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Forever,
    Once,
}

/// What the engine is built from.
pub(super) struct Parts {
    pub instance: crate::names::Instance,
    pub supply: Supply,
    pub state: Arc<State>,
    pub reporter: Reporter,
    pub pulse: Arc<Pulse>,
    pub pauses: Pauses,
    pub reload: LastReload,
    pub lead: Lead,
    /// Whoever touches a file takes one.
    pub seats: Seats,
    pub mode: Mode,
}

/// What others may know of the engine without asking it.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// Seconds from `start` to the last round.
    last_round: AtomicU64,
    rounds: AtomicU64,
    ready: AtomicBool,
    told: AtomicBool,
    summary: Mutex<String>,
    tried: AtomicUsize,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last_round: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
            summary: Mutex::default(),
            ready: AtomicBool::new(false),
            told: AtomicBool::new(false),
            tried: AtomicUsize::new(0),
        }
    }
}

impl Pulse {
    /// True while the loop went round in the last half minute.
    pub fn is_alive(&self) -> bool {
        let now = self.start.elapsed().as_secs();
        now.saturating_sub(self.last_round.load(Ordering::Relaxed)) < 30
    }

    /// The loop went round.
    pub(super) fn beat(&self) {
        let round = self.start.elapsed().as_secs();
        self.last_round.store(round, Ordering::Relaxed);
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the loop went round.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// How the entries stand, in a line.
    pub(super) fn summary(&self) -> String {
        self.summary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// True once every entry was tried; it does not go back.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The service manager was told so, where there is one: from then on units that wait for us may start.
    pub(super) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    pub(super) fn tell(&self) {
        self.told.store(true, Ordering::Release);
    }

    /// How many of `all` entries were tried.
    pub(super) fn progress(&self, all: usize) -> Progress {
        let done = self.tried.load(Ordering::Relaxed);
        Progress { done, all }
    }
}

/// What the engine is told while it runs.
#[derive(Debug)]
pub(super) enum Order {
    /// Another configuration, and who hears what it changed.
    Renew(Supply, oneshot::Sender<Renewed>),
    /// The same entries with other targets: namespaces have come or gone.
    Reach(Vec<Entry>),
    /// Something outside changed that reads and writes depend on.
    Touched(About),
    /// A watch of a cluster has something to tell.
    Seen(Scope, Sight),
    /// Something may have happened to the files at these paths.
    Stirred(BTreeSet<PathBuf>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Due {
    /// A read that has a time of its own: after a failure, or to confirm an answer.
    Read(Read),
    /// Reads that come round together.
    Cohort(CohortId),
    /// The next call of a line.
    Line(LineId),
    /// The end of a pause.
    Probe(UpstreamId),
    /// The same of a cluster's.
    Cluster(ClusterName),
    Entry(EntryName),
    Stale(EntryName),
    /// What was told of its Secrets, and waits.
    Look(EntryName),
    /// Targets of it keep a run waiting.
    Late(EntryName),
    /// The same of its files.
    Stirs(EntryName),
    /// Workloads that are to be restarted.
    Rollouts,
    /// Orphans that are to be taken away.
    Prune,
    /// What has to run after a change.
    Act,
    /// What is not on disk yet.
    Save,
}

/// What a task was for; a panicking one cannot say it itself.
enum Task {
    Call {
        line: LineId,
        reads: Vec<Read>,
        began: Instant,
        /// What was asked; a later configuration may know another store by that name.
        of: (Arc<Store>, Fingerprint),
    },
    Run(Job),
    /// Of that generation of the entry.
    Check(EntryName, u64, Look),
    /// A look at a cluster that is paused.
    Probe(ClusterName),
    Prune(Pruning),
    Adopt(adopting::Asked),
    Act(Acting),
    /// A look at a file of the entry, the write of which a crash cut short.
    CutShort(EntryName, PathBuf),
    /// The restart of a workload.
    Rollout(Errand),
    /// Records of restarts that are taken off the Secrets of that generation of the entry.
    Strike(EntryName, u64),
    Save,
}

/// Why targets are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// All that are well, once in an interval.
    Routine,
    /// Something may have happened to these.
    Sight,
}

enum Done {
    Call(Vec<(Read, Fetched)>),
    Run(sync::Report),
    Check(Vec<(usize, Checked)>),
    Probed,
    Pruned(Vec<prune::Pruned>),
    Adopted(Vec<adopting::Ended>),
    Acted(Result<Did, Failure>),
    /// The mark of the change, if it came about.
    CutShort(Option<Mark>),
    RolledOut(Result<Restarted, Failure>),
    Struck(Vec<rollouts::Strike>),
    Saved(Result<(), Failure>),
}

struct StoreSlot {
    store: Arc<Store>,
    identity: Fingerprint,
    pace: Pace,
    /// Routine calls in a second, by cohort.
    mean: HashMap<CohortId, f64>,
}

/// Every cluster that is paused, and why.
type Pauses = watch::Receiver<BTreeMap<ClusterName, kube::Paused>>;

pub(super) struct Engine {
    instance: crate::names::Instance,
    mode: Mode,
    stores: BTreeMap<StoreName, StoreSlot>,
    entries: BTreeMap<EntryName, EntryState>,
    reads: HashMap<Read, ReadState>,
    cohorts: Cohorts<(StoreName, Lane), Read>,
    shared: BTreeMap<UpstreamId, Shared>,
    /// What clusters say of themselves, and what of it was heard.
    pauses: Pauses,
    paused: BTreeMap<ClusterName, kube::Paused>,
    paused_since: BTreeMap<ClusterName, Timestamp>,
    /// When a cluster was last heard to be back.
    back: HashMap<ClusterName, Instant>,
    schedule: Schedule<Due>,
    /// Who waits for a read that was asked for, and where it is.
    calls: Coalesce<Read, Waiter>,
    whereabouts: HashMap<Read, Whereabouts>,
    lines: BTreeMap<LineId, Waiting>,
    tasks: JoinSet<Done>,
    running: HashMap<task::Id, Task>,
    desk: Desk,
    wants: mpsc::UnboundedReceiver<Want>,
    state: Arc<State>,
    seats: Seats,
    reporter: Reporter,
    pulse: Arc<Pulse>,
    reload: LastReload,
    lead: Lead,
    /// Under which Kubernetes targets are written; `None`: another machine writes them.
    tenure: Option<Tenure>,
    /// Of the removals of all entries.
    brake: Brake<Loser>,
    /// Entries of which something was let go while they ran.
    released: BTreeSet<EntryName>,
    clusters: BTreeMap<ClusterName, Arc<Client>>,
    orphans: Orphans,
    actions: Actions,
    /// There is nothing to do but what was asked for.
    alone: bool,
    /// Entries that something happened to, of which nothing was told yet.
    unsettled: BTreeSet<EntryName>,
    /// What was not tried since it appeared.
    untried: BTreeSet<EntryName>,
    /// How many runs of earlier configurations have not ended: nothing else of that name begins before they have.
    leaving: BTreeMap<EntryName, usize>,
    /// How many entries there were.
    generations: u64,
    /// How many runs there were, and what those tell that are kept waiting.
    runs: u64,
    impatient: mpsc::UnboundedSender<Part>,
    parts: mpsc::UnboundedReceiver<Part>,
    unsaved: Unsaved,
    /// Who waits for entries that were asked for.
    requests: Vec<Request>,
    watched: Watched,
    stirs: Stirs,
    rollouts: Rollouts,
    draining: bool,
}

impl Engine {
    /// With everything that is remembered from before.
    pub(super) fn new(parts: Parts) -> Self {
        let (desk, wants) = Desk::new();
        let (impatient, told) = mpsc::unbounded_channel();
        let now = Now::read();
        let mut past = Past::of(&parts.state, &now);
        let mut engine = Self {
            instance: parts.instance,
            mode: parts.mode,
            stores: BTreeMap::new(),
            untried: BTreeSet::new(),
            leaving: BTreeMap::new(),
            generations: 0,
            runs: 0,
            impatient,
            parts: told,
            reads: HashMap::new(),
            cohorts: Cohorts::aged(now.instant, past.age),
            shared: BTreeMap::new(),
            pauses: parts.pauses,
            paused: BTreeMap::new(),
            paused_since: BTreeMap::new(),
            back: HashMap::new(),
            entries: BTreeMap::new(),
            schedule: Schedule::default(),
            calls: Coalesce::default(),
            whereabouts: HashMap::new(),
            lines: BTreeMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            desk,
            wants,
            state: parts.state,
            seats: parts.seats,
            reporter: parts.reporter,
            pulse: parts.pulse,
            reload: parts.reload,
            tenure: office::inherited(&parts.lead),
            lead: parts.lead,
            brake: std::mem::take(&mut past.brake),
            released: BTreeSet::new(),
            clusters: parts.supply.clusters,
            orphans: Orphans::recalled(parts.supply.prune, past.orphans.as_deref(), &now),
            actions: Actions::default(),
            unsettled: BTreeSet::new(),
            unsaved: Unsaved::default(),
            requests: Vec::new(),
            watched: Watched::default(),
            stirs: Stirs::default(),
            rollouts: Rollouts::default(),
            alone: false,
            draining: false,
        };
        engine.open(parts.supply.stores, parts.supply.entries, &past, &now);
        engine
    }

    /// Stores before the entries that read them, and what is found out from both.
    fn open(
        &mut self,
        stores: BTreeMap<StoreName, Supplied>,
        entries: Vec<Entry>,
        past: &Past,
        now: &Now,
    ) {
        for (name, supplied) in stores {
            self.open_store(name, supplied);
        }
        for entry in entries {
            self.recall_entry(entry, past, now);
        }
        self.recall_reads(past, now);
        self.recall_holds();
        self.look_for_orphans();
        self.begin_standing();
        self.index_watched();
        self.index_files();
    }

    /// Goes round until `stop`, then until what is under way has ended. In [`Mode::Once`] it stops by itself when
    /// everything was tried. The caller bounds the time after `stop`.
    pub(super) async fn run(
        &mut self,
        stop: CancellationToken,
        mut asks: mpsc::Receiver<Ask>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.office_changed();
        // What is overdue leaves first: a run that wants it then waits for the answer, and hears no error from before.
        self.start_due();
        self.start_first_pass();
        while !self.is_done() {
            self.save();
            self.arm_actions();
            self.roll_out();
            let due = self.schedule.next().filter(|_| !self.draining);
            tokio::select! {
                () = stop.cancelled(), if !self.draining => self.drain(),
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                Some(part) = self.parts.recv() => self.parted(part),
                Some(want) = self.wants.recv() => self.wanted(want),
                Some(ask) = asks.recv() => self.asked(ask),
                Some(order) = orders.recv(), if !self.draining => self.ordered(order),
                Ok(()) = self.pauses.changed() => self.hear_clusters(),
                Ok(()) = self.lead.office.changed() => self.office_changed(),
                () = sleep_until(due), if due.is_some() => self.start_due(),
                _ = heartbeat.tick() => {
                    self.settle_all();
                    self.sum_up();
                }
            }
            self.beat();
        }
    }

    /// Everything that nothing is known of runs at once; their reads meet at the desk. Of the rest, files are looked at:
    /// after a reboot, what lay in memory is gone.
    fn start_first_pass(&mut self) {
        let names: Vec<_> = self.entries.keys().cloned().collect();
        for name in names {
            self.begin(&name);
            self.settle(&name);
        }
        self.recall_actions();
        self.look_at_cut_short();
        self.recall_restarts();
        self.mark_ready();
    }

    fn is_done(&self) -> bool {
        let busy = self
            .running
            .values()
            .any(|task| !matches!(task, Task::Call { .. } | Task::Probe(_) | Task::Rollout(_)));
        let stopping = self.draining || self.has_done_all();
        stopping && !busy && (self.unsaved.is_empty() || self.unsaved.is_stuck())
    }

    /// Of what is done once.
    fn has_done_all(&self) -> bool {
        self.mode == Mode::Once
            && self.untried.is_empty()
            && self.actions.is_empty()
            && self.rollouts.are_tried()
    }

    fn beat(&self) {
        self.pulse.beat();
        let tried = self.entries.len() - self.untried.len();
        self.pulse.tried.store(tried, Ordering::Relaxed);
        let at = clock::now();
        self.reporter.record(&Fact::Progress { at });
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for (due, what) in self.schedule.take_due(now) {
            self.reporter.record(&Fact::Lag(now - due));
            match what {
                Due::Read(read) => self.call(&read, None, Urgency::Now),
                Due::Cohort(cohort) => self.cohort_due(cohort, now),
                Due::Line(line) => self.line_due(&line),
                Due::Probe(id) => self.probe_due(id),
                Due::Cluster(cluster) => self.cluster_due(&cluster),
                Due::Entry(name) => self.entry_due(&name, now),
                Due::Stale(name) => self.settle(&name),
                Due::Look(name) => self.look_at_secrets(&name),
                Due::Stirs(name) => self.look_at_files(&name),
                Due::Late(name) => self.late_due(&name, now),
                // The loop looks at these each time it goes round.
                Due::Save | Due::Rollouts => {}
                Due::Prune => self.prune_due(now),
                Due::Act => self.actions_due(now),
            }
        }
    }

    /// Whether a run of the entry can begin.
    fn may_run(&self, name: &EntryName) -> bool {
        let idle = self
            .entries
            .get(name)
            .is_some_and(|entry| entry.work == Work::Idle && !entry.is_asleep());
        idle && !self.draining && !self.alone && !self.leaving.contains_key(name)
    }

    fn start_run(&mut self, name: &EntryName, handed: Option<(Read, Seen)>, which: Which) {
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
        entry
            .without
            .retain(|read| reads.get(read).is_none_or(|state| state.last.is_none()));
        if entry.without.len() != before {
            self.unsaved.entry(name);
        }
        self.schedule.cancel(&Due::Entry(name.clone()));
        let confirmed = entry.reads().filter_map(|read| {
            let confirmed = self.reads.get(read)?.confirmed()?;
            Some((read.clone(), confirmed.clone()))
        });
        let answered = |read: &&Read| {
            let state = self.reads.get(read);
            state.is_some_and(|state| state.last.is_some())
        };
        let known = entry.reads().filter(answered).cloned().collect();
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
            without: entry.without.clone(),
            proofs,
            away: entry.away(),
            may_go,
            which,
            contested: entry.withheld(Instant::now()),
            ours,
            tenure: self.tenure.clone().unwrap_or_else(Tenure::never),
            dismissed: entry.dismissed.clone(),
            impatient: self.impatient_of(&job),
        };
        // At whatever level lines are written, each names its entry.
        let span = tracing::error_span!("sync", entry = %name);
        let task = self
            .tasks
            .spawn(async move { Done::Run(Box::pin(sync::run(run)).await) }.instrument(span));
        self.running.insert(task.id(), Task::Run(job));
    }

    fn start_check(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let healthy = entry.healthy();
        // Of what is watched it is known.
        let (known, asked): (Vec<usize>, Vec<usize>) =
            healthy.into_iter().partition(|it| self.is_seen(name, *it));
        let idle = entry.work == Work::Idle && !self.draining && !self.leaving.contains_key(name);
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

    fn check_these(&mut self, name: &EntryName, which: Vec<usize>, look: Look) {
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
        let span = tracing::error_span!("check", entry = %name);
        let task = self.tasks.spawn(
            async move {
                let which = (&which[..], &withheld);
                Done::Check(Box::pin(sync::check(&entry, which, &state)).await)
            }
            .instrument(span),
        );
        self.running
            .insert(task.id(), Task::Check(name.clone(), generation, look));
    }

    fn ended(&mut self, ended: Result<(task::Id, Done), JoinError>) {
        self.hear_parts();
        let (id, done) = match ended {
            Ok((id, done)) => (id, Ok(done)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(task) = self.running.remove(&id) else {
            return;
        };
        match (task, done) {
            (
                Task::Call {
                    line, reads, of, ..
                },
                _,
            ) if !self.is_store(&line.store, &of) => {
                self.came_back_late(&line, reads, &of.0);
            }
            (
                Task::Call {
                    line, reads, began, ..
                },
                Ok(Done::Call(fetched)),
            ) => self.came_back(&line, (reads, began), fetched),
            (
                Task::Call {
                    line, reads, began, ..
                },
                _,
            ) => {
                let panicked = |read: &Read| {
                    let failure = panicked("reading");
                    (read.clone(), Fetched::Done(Err(failure)))
                };
                let fetched = reads.iter().map(panicked).collect();
                self.came_back(&line, (reads, began), fetched);
            }
            (Task::Probe(cluster), _) => self.cluster_probed(&cluster),
            (Task::Prune(pruning), Ok(Done::Pruned(pruned))) => self.pruned(pruning, pruned),
            (Task::Prune(pruning), _) => self.pruned(pruning, Vec::new()),
            (Task::Adopt(asked), done) => adopting::adopted(asked, done.ok()),
            (Task::Act(acting), done) => self.act_ended(&acting, done.ok()),
            (Task::CutShort(name, path), done) => {
                self.cut_short_ended((&name, &path), done.as_ref().ok());
            }
            (Task::Rollout(errand), done) => self.rolled_out(&errand, done),
            (Task::Save, Ok(Done::Saved(result))) => self.saved(result),
            (Task::Save, _) => self.saved(Err(panicked("keeping the state"))),
            (Task::Run(job), done) => self.job_ended(&job, done),
            (Task::Check(name, generation, _) | Task::Strike(name, generation), _)
                if !self.is_current(&name, generation) =>
            {
                self.left(&name);
            }
            (Task::Check(name, _, look), Ok(Done::Check(checked))) => {
                self.check_ended(&name, checked, look);
            }
            (Task::Strike(name, _), done) => self.struck(&name, done),
            (Task::Check(name, ..), _) => self.run_panicked(&name),
        }
    }
}

fn no_answer(read: &Read) -> Failure {
    let fact = format!("store `{}` did not answer in time", read.store);
    Failure::new(Reason::Timeout, fact)
}

fn panicked(what: &str) -> Failure {
    Failure::new(Reason::Panic, format!("{what} panicked"))
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
