//! The loop that owns every read and every run.
//!
//! One task, no locks: what is due, what is wanted and what has ended all arrive here, and every decision about
//! *when* is made here. What is read and written is decided elsewhere.

mod calls;
mod ends;
mod queries;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::entries::{EntryState, Work};
use super::reads::{ReadState, reads_of};
use crate::clock;
use crate::failure::{Failure, Reason};
use crate::names::{EntryName, StoreName};
use crate::report::{Fact, Reporter};
use crate::schedule::Schedule;
use crate::schedule::rhythm::Rhythm;
use crate::state::State;
use crate::status::Status;
use crate::store::coalesce::{Coalesce, Joined};
use crate::store::desk::{Desk, Seen, Want};
use crate::store::{Answer, Read, Store};
use crate::sync::{self, Checked, Entry, Which};

/// The longest one call may take, whatever a store promises: a read that never ends would never come round again.
const CALL_LIMIT: Duration = Duration::from_mins(1);

/// Calls under way to one store at a time.
const CALLS_PER_STORE: usize = 32;

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
    Read(Read),
    Entry(EntryName),
    Stale(EntryName),
}

/// What a task was for; a panicking one cannot say it itself.
enum Task {
    Call(Read),
    Run(EntryName),
    Check(EntryName),
}

enum Done {
    Call(Result<Answer, Failure>),
    Run(sync::Report),
    Check(Vec<(usize, Checked)>),
}

struct StoreSlot {
    store: Arc<Store>,
    permits: Arc<Semaphore>,
}

pub(super) struct Engine {
    instance: crate::names::Instance,
    mode: Mode,
    stores: BTreeMap<StoreName, StoreSlot>,
    entries: BTreeMap<EntryName, EntryState>,
    reads: HashMap<Read, ReadState>,
    schedule: Schedule<Due>,
    calls: Coalesce<Read, oneshot::Sender<Result<Seen, Failure>>>,
    tasks: JoinSet<Done>,
    running: HashMap<task::Id, Task>,
    desk: Desk,
    wants: mpsc::UnboundedReceiver<Want>,
    state: Arc<State>,
    reporter: Reporter,
    pulse: Arc<Pulse>,
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
                permits: Arc::new(Semaphore::new(CALLS_PER_STORE)),
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
        let engine = Self {
            instance: parts.instance,
            mode: parts.mode,
            stores: stores.collect(),
            untried: entries.len(),
            reads: reads_of(&entries),
            entries,
            schedule: Schedule::default(),
            calls: Coalesce::default(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            desk,
            wants,
            state: parts.state,
            reporter: parts.reporter,
            pulse: parts.pulse,
            draining: false,
        };
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
                () = stop.cancelled(), if !self.draining => self.draining = true,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                Some(want) = self.wants.recv() => self.wanted(want),
                Some(query) = queries.recv() => {
                    // Whoever asked may have gone.
                    let _ = query.send(self.status());
                }
                () = sleep_until(due), if due.is_some() => self.start_due(),
                _ = heartbeat.tick() => {}
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
            .any(|task| !matches!(task, Task::Call(_)));
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
                Due::Read(read) => self.call(&read, None),
                Due::Entry(name) => self.entry_due(&name, now),
                Due::Stale(name) => self.settle(&name),
            }
        }
    }

    /// A run wants a read: a failing one answers with its last error until it is due again.
    fn wanted(&mut self, want: Want) {
        if let Some(failing) = self
            .reads
            .get(&want.read)
            .and_then(|read| read.failing.as_ref())
        {
            let _ = want.reply.send(Err(failing.failure.clone()));
            return;
        }
        self.call(&want.read, Some(want.reply));
    }

    fn call(&mut self, read: &Read, waiter: Option<oneshot::Sender<Result<Seen, Failure>>>) {
        // The configuration has resolved the reference; a waiter that is dropped gets its own answer.
        let Some(slot) = self.stores.get(&read.store) else {
            return;
        };
        if self.calls.join(read, waiter) == Joined::Waiting {
            return;
        }
        let (store, permits) = (Arc::clone(&slot.store), Arc::clone(&slot.permits));
        let what = read.clone();
        let task = self.tasks.spawn(async move {
            // The semaphore is never closed.
            let _permit = permits.acquire().await;
            let operation = store.lane(&what, Instant::now()).operation;
            let fetch = Box::pin(store.fetch(operation, vec![what.clone()]));
            let answer = tokio::time::timeout(CALL_LIMIT, fetch).await;
            Done::Call(match answer.map(|mut all| all.pop()) {
                Ok(Some((_, crate::store::Fetched::Done(result)))) => result,
                _ => Err(no_answer(&what)),
            })
        });
        self.running.insert(task.id(), Task::Call(read.clone()));
        self.expect_answer(read);
    }

    fn start_run(&mut self, name: &EntryName, handed: Option<(usize, Seen)>, which: Which) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.work == Work::UnderWay || self.draining {
            return;
        }
        entry.work = Work::UnderWay;
        self.schedule.cancel(&Due::Entry(name.clone()));
        let confirmed = entry.entry.reads.iter().map(|read| {
            let state = self.reads.get(read)?;
            state.confirmed().cloned()
        });
        let run = sync::Run {
            entry: Arc::clone(&entry.entry),
            desk: self.desk.clone(),
            state: Arc::clone(&self.state),
            reporter: self.reporter.clone(),
            handed,
            delivered: entry.delivered.clone(),
            confirmed: confirmed.collect(),
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
            (Task::Call(read), Ok(Done::Call(result))) => self.call_ended(&read, result),
            (Task::Call(read), _) => self.call_ended(&read, Err(panicked("reading"))),
            (Task::Run(name), Ok(Done::Run(report))) => self.run_ended(&name, report),
            (Task::Check(name), Ok(Done::Check(checked))) => self.check_ended(&name, checked),
            (Task::Run(name) | Task::Check(name), _) => self.run_panicked(&name),
        }
    }
}

fn no_answer(read: &Read) -> Failure {
    let fact = format!("store `{}` did not answer within a minute", read.store);
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
