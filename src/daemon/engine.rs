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
mod first;
mod hastened;
mod left;
mod membership;
mod office;
mod parting;
mod pauses;
mod prune;
mod pulse;
mod queries;
mod reach;
mod recollection;
mod remembrance;
mod removals;
mod renewal;
mod rollouts;
mod runs;
mod sights;
mod slack;
mod stirs;
mod tasks;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::actions::Actions;
use self::asked::Request;
use self::first::First;
use self::pauses::Shared;
use self::prune::Orphans;
pub use self::pulse::Pulse;
use self::recollection::Past;
pub(super) use self::remembrance::LED;
use self::remembrance::Unsaved;
use self::removals::Loser;
pub(super) use self::renewal::Renewed;
use self::rollouts::Rollouts;
use self::sights::Watched;
pub(super) use self::sights::{Scope, Sight};
use self::stirs::Stirs;
use self::tasks::{Done, Due, Look, Task, panicked};
use self::traffic::{LineId, Waiter, Waiting, Whereabouts};
use super::ask::Ask;
use super::entries::EntryState;
use super::house::{LastReload, Supplied, Supply};
use super::leading::Lead;
use super::reads::ReadState;
use super::times::Now;
use crate::aws::UpstreamId;
use crate::clock;
use crate::decide::brake::Brake;
use crate::failure::{Failure, Reason};
use crate::kube::{self, Client, Tenure};
use crate::names::{ClusterName, EntryName, StoreName};
use crate::reload::About;
use crate::report::{Fact, Reporter};
use crate::schedule::Schedule;
use crate::schedule::cohorts::{CohortId, Cohorts};
use crate::schedule::line::Urgency;
use crate::schedule::pace::Pace;
use crate::secret::Fingerprint;
use crate::state::State;
use crate::store::coalesce::Coalesce;
use crate::store::desk::{Desk, Want};
use crate::store::{Lane, Read, Store};
use crate::sync::{Entry, Part, Which};
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
    /// Boxed: a table has room for more than are in it.
    reads: HashMap<Read, Box<ReadState>>,
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
    /// What waits for its turn in the first pass.
    first: First,
    /// What was not tried since it appeared.
    untried: BTreeSet<EntryName>,
    /// How many runs of earlier configurations have not ended: nothing else of that name begins before they have.
    leaving: BTreeMap<EntryName, usize>,
    /// How many entries there were.
    generations: u64,
    /// How many runs and strikes there were, and what runs tell that are kept waiting.
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
            first: First::none(),
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
        // Filled in order, a tree stays half empty; made of all at once, it is full.
        self.entries = std::mem::take(&mut self.entries).into_iter().collect();
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
            if !self.draining {
                self.begin_next();
            }
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
                () = sleep_until(due), if due.is_some() => {
                    self.hear_wants();
                    self.start_due();
                }
                _ = heartbeat.tick() => {
                    self.settle_all();
                    self.sum_up();
                    self.give_back();
                }
            }
            self.beat();
        }
    }

    /// What is asked for already leaves with the others of its line, not in a call of its own after them.
    fn hear_wants(&mut self) {
        for _ in 0..self.wants.len() {
            let Ok(want) = self.wants.try_recv() else {
                break;
            };
            self.wanted(want);
        }
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
}

fn no_answer(read: &Read) -> Failure {
    let fact = format!("store `{}` did not answer in time", read.store);
    Failure::new(Reason::Timeout, fact)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
