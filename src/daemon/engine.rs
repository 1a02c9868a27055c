//! The loop that owns every read and every run.
//!
//! One task, no locks: what is due, what is wanted and what has ended all arrive here, and every decision about
//! *when* is made here. What is read and written is decided elsewhere.

mod absences;
mod calls;
mod ends;
mod membership;
mod pauses;
mod queries;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::pauses::Shared;
use self::traffic::{LineId, Waiter, Waiting, Whereabouts};
use super::entries::{EntryState, Work};
use super::reads::ReadState;
use crate::aws::UpstreamId;
use crate::clock;
use crate::decide::brake::Brake;
use crate::failure::{Failure, Reason};
use crate::names::{EntryName, StoreName};
use crate::report::{Fact, Reporter};
use crate::schedule::Schedule;
use crate::schedule::cohorts::{CohortId, Cohorts};
use crate::schedule::line::Urgency;
use crate::schedule::pace::Pace;
use crate::schedule::rhythm::Rhythm;
use crate::state::State;
use crate::status::Status;
use crate::store::coalesce::Coalesce;
use crate::store::desk::{Desk, Seen, Want};
use crate::store::{Fetched, Lane, Read, Store};
use crate::sync::{self, Checked, Entry, Which};

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
    pub stores: BTreeMap<StoreName, Store>,
    pub entries: Vec<Entry>,
    pub state: Arc<State>,
    pub reporter: Reporter,
    pub pulse: Arc<Pulse>,
    pub mode: Mode,
}

/// What others may know of the engine without asking it.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// Seconds from `start` to the last round.
    last_round: AtomicU64,
    ready: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last_round: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        }
    }
}

impl Pulse {
    /// True while the loop went round in the last half minute.
    pub fn is_alive(&self) -> bool {
        let now = self.start.elapsed().as_secs();
        now.saturating_sub(self.last_round.load(Ordering::Relaxed)) < 30
    }

    /// True once every entry was tried; it does not go back.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

pub(super) type Query = oneshot::Sender<Status>;

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
    Entry(EntryName),
    Stale(EntryName),
}

/// What a task was for; a panicking one cannot say it itself.
enum Task {
    Call {
        line: LineId,
        reads: Vec<Read>,
        began: Instant,
    },
    Run(EntryName),
    Check(EntryName),
}

enum Done {
    Call(Vec<(Read, Fetched)>),
    Run(sync::Report),
    Check(Vec<(usize, Checked)>),
}

struct StoreSlot {
    store: Arc<Store>,
    pace: Pace,
    /// Routine calls in a second, by cohort.
    mean: HashMap<CohortId, f64>,
}

pub(super) struct Engine {
    instance: crate::names::Instance,
    mode: Mode,
    stores: BTreeMap<StoreName, StoreSlot>,
    entries: BTreeMap<EntryName, EntryState>,
    reads: HashMap<Read, ReadState>,
    cohorts: Cohorts<(StoreName, Lane), Read>,
    shared: BTreeMap<UpstreamId, Shared>,
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
    reporter: Reporter,
    pulse: Arc<Pulse>,
    /// Of the removals of all entries; each target by its entry and place.
    brake: Brake<(EntryName, usize)>,
    /// Entries that something happened to, of which nothing was told yet.
    unsettled: BTreeSet<EntryName>,
    untried: usize,
    draining: bool,
}

impl Engine {
    pub(super) fn new(parts: Parts) -> Self {
        let (desk, wants) = Desk::new();
        let now = Instant::now();
        let stores = parts.stores.into_iter().map(|(name, store)| {
            let slot = StoreSlot {
                store: Arc::new(store),
                pace: Pace::default(),
                mean: HashMap::new(),
            };
            (name, slot)
        });
        let entries: BTreeMap<_, _> = (0_u32..)
            .zip(parts.entries)
            .map(|(place, entry)| {
                let rhythm = Rhythm::new(entry.refresh_interval, now, place);
                let name = entry.name.clone();
                (name, EntryState::new(Arc::new(entry), rhythm, now))
            })
            .collect();
        let mut engine = Self {
            instance: parts.instance,
            mode: parts.mode,
            stores: stores.collect(),
            untried: entries.len(),
            reads: HashMap::new(),
            cohorts: Cohorts::new(now),
            shared: BTreeMap::new(),
            entries,
            schedule: Schedule::default(),
            calls: Coalesce::default(),
            whereabouts: HashMap::new(),
            lines: BTreeMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            desk,
            wants,
            state: parts.state,
            reporter: parts.reporter,
            pulse: parts.pulse,
            brake: Brake::new(),
            unsettled: BTreeSet::new(),
            draining: false,
        };
        engine.begin_reads();
        engine.begin_standing();
        engine
    }

    /// Goes round until `stop`, then until what is under way has ended. In [`Mode::Once`] it stops by itself when
    /// everything was tried. The caller bounds the time after `stop`.
    pub(super) async fn run(
        &mut self,
        stop: CancellationToken,
        mut queries: mpsc::Receiver<Query>,
    ) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.start_first_pass();
        while !self.is_done() {
            let due = self.schedule.next().filter(|_| !self.draining);
            tokio::select! {
                () = stop.cancelled(), if !self.draining => self.drain(),
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                Some(want) = self.wants.recv() => self.wanted(want),
                Some(query) = queries.recv() => {
                    // Whoever asked may have gone.
                    let _ = query.send(self.status());
                }
                () = sleep_until(due), if due.is_some() => self.start_due(),
                _ = heartbeat.tick() => self.settle_all(),
            }
            self.beat();
        }
    }

    /// Every entry of `entries` that is not tried yet runs at once; their reads meet at the desk.
    fn start_first_pass(&mut self) {
        let names: Vec<_> = self.entries.keys().cloned().collect();
        for name in names {
            self.start_run(&name, None, Which::All);
            self.settle(&name);
        }
        self.mark_ready();
    }

    fn is_done(&self) -> bool {
        let busy = self
            .running
            .values()
            .any(|task| !matches!(task, Task::Call { .. }));
        let stopping = self.draining || (self.mode == Mode::Once && self.untried == 0);
        stopping && !busy
    }

    fn beat(&self) {
        let round = self.pulse.start.elapsed().as_secs();
        self.pulse.last_round.store(round, Ordering::Relaxed);
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
                Due::Entry(name) => self.entry_due(&name, now),
                Due::Stale(name) => self.settle(&name),
            }
        }
    }

    fn start_run(&mut self, name: &EntryName, handed: Option<(Read, Seen)>, which: Which) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.work == Work::UnderWay || self.draining {
            return;
        }
        entry.work = Work::UnderWay;
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
            proofs,
            which,
        };
        let span = tracing::info_span!("sync", entry = %name);
        let task = self
            .tasks
            .spawn(async move { Done::Run(Box::pin(sync::run(run)).await) }.instrument(span));
        self.running.insert(task.id(), Task::Run(name.clone()));
    }

    fn start_check(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.work == Work::UnderWay || self.draining {
            return;
        }
        entry.work = Work::UnderWay;
        let which = entry.healthy();
        let (entry, state) = (Arc::clone(&entry.entry), Arc::clone(&self.state));
        let span = tracing::info_span!("check", entry = %name);
        let task = self.tasks.spawn(
            async move { Done::Check(Box::pin(sync::check(&entry, &which, &state)).await) }
                .instrument(span),
        );
        self.running.insert(task.id(), Task::Check(name.clone()));
    }

    fn ended(&mut self, ended: Result<(task::Id, Done), JoinError>) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Ok(done)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(task) = self.running.remove(&id) else {
            return;
        };
        match (task, done) {
            (Task::Call { line, reads, began }, Ok(Done::Call(fetched))) => {
                self.came_back(&line, (reads, began), fetched);
            }
            (Task::Call { line, reads, began }, _) => {
                let panicked = |read: &Read| {
                    let failure = panicked("reading");
                    (read.clone(), Fetched::Done(Err(failure)))
                };
                let fetched = reads.iter().map(panicked).collect();
                self.came_back(&line, (reads, began), fetched);
            }
            (Task::Run(name), Ok(Done::Run(report))) => self.run_ended(&name, report),
            (Task::Check(name), Ok(Done::Check(checked))) => self.check_ended(&name, checked),
            (Task::Run(name) | Task::Check(name), _) => self.run_panicked(&name),
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
