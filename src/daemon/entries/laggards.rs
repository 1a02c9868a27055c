//! Targets that are set apart: something is under way at them that their entry does not wait for. A run that they keep
//! waiting has gone on without them, or the record of a restart is taken off.
//!
//! At most one work is at a target at a time. While one is, others leave that target out; what it missed by that is made
//! up for when the work has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{EntryState, Work};
use crate::few::{self, Seldom};
use crate::store::Read;
use crate::sync::{Heard, Which};

/// After this without an answer, a target that was delivered to before is said to fail.
const LATE: Duration = Duration::from_secs(45);

/// What goes on at a few targets, while the entry does something else.
#[derive(Debug)]
pub(in crate::daemon) struct Laggard {
    apart: Apart,
    targets: BTreeSet<usize>,
    since: Instant,
    /// What it delivers, or what was delivered before it.
    heard: few::Map<Read, Heard>,
    /// Others were looked at meanwhile, and these were not.
    unseen: bool,
    dismissed: Option<CancellationToken>,
    pub so_far: SoFar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Apart {
    /// The rest of a run.
    Delivery,
    /// The record of a restart is taken off: what the target holds, it holds all the while.
    Strike,
}

/// What such a run did before it was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct SoFar {
    pub changed: bool,
    /// It looked at every target.
    pub whole: bool,
}

impl EntryState {
    /// How many tasks are at its targets.
    pub(in crate::daemon) fn tasks(&self) -> usize {
        let run = match self.work {
            Work::Idle => 0,
            Work::UnderWay => 1,
        };
        self.laggards.len() + run
    }

    /// Whether targets have to keep their places.
    pub(in crate::daemon) fn is_busy(&self) -> bool {
        self.tasks() > 0
    }

    pub(in crate::daemon) fn lags(&self) -> bool {
        !self.laggards.is_empty()
    }

    pub(in crate::daemon) fn is_laggard(&self, run: u64) -> bool {
        self.laggards.contains_key(&run)
    }

    /// What is under way is none of its business any more.
    pub(in crate::daemon) fn disown_tasks(&mut self) {
        self.work = Work::Idle;
        self.laggards = Seldom::none();
        for target in &mut self.targets {
            target.lags = false;
        }
    }

    /// The run goes on at these, and the entry without it.
    pub(in crate::daemon) fn leave_behind(&mut self, run: u64, targets: BTreeSet<usize>) {
        self.set_apart(run, targets, Apart::Delivery);
    }

    /// The record of a restart is taken off this target, and the entry goes on without it.
    pub(in crate::daemon) fn begin_strike(&mut self, number: u64, target: usize) {
        self.set_apart(number, [target].into(), Apart::Strike);
    }

    fn set_apart(&mut self, number: u64, targets: BTreeSet<usize>, apart: Apart) {
        for index in &targets {
            if let Some(target) = self.targets.get_mut(*index) {
                target.lags = true;
            }
        }
        let heard = match apart {
            // That is told with what it has done so far.
            Apart::Delivery => few::Map::new(),
            Apart::Strike => self.attempted.clone(),
        };
        let laggard = Laggard {
            apart,
            targets,
            since: Instant::now(),
            heard,
            unseen: false,
            dismissed: self.dismissed.clone(),
            so_far: SoFar {
                changed: false,
                whole: false,
            },
        };
        self.laggards.change(|it| it.insert(number, laggard));
    }

    /// Whether targets may not hold what the entry delivered, or nobody has looked at them since.
    pub(in crate::daemon) fn owes(&self) -> bool {
        self.laggards.values().any(|it| match it.apart {
            Apart::Delivery => true,
            Apart::Strike => it.misses(&self.attempted),
        })
    }

    /// All targets are looked at, but those that a record is taken off; who delivers looks for itself.
    pub(in crate::daemon) fn look_past_strikes(&mut self) {
        self.laggards.change(|all| {
            let all = all.values_mut();
            for laggard in all.filter(|it| it.apart == Apart::Strike) {
                laggard.unseen = true;
            }
        });
    }

    /// How many targets that run goes on at.
    pub(in crate::daemon) fn waits_of(&self, run: Option<u64>) -> usize {
        let laggard = run.and_then(|run| self.laggards.get(&run));
        laggard.map_or(0, |laggard| laggard.targets.len())
    }

    /// What the run has done until it was left behind.
    pub(in crate::daemon) fn note_so_far(&mut self, run: u64, so_far: SoFar) {
        let heard = self.attempted.clone();
        self.laggards.change(|all| {
            if let Some(laggard) = all.get_mut(&run) {
                laggard.heard = heard;
                laggard.so_far = so_far;
            }
        });
    }

    /// What was under way has ended at its last targets. They are told, and whether they missed what others had meanwhile.
    pub(in crate::daemon) fn catches_up(&mut self, run: u64) -> Option<(Laggard, bool)> {
        let laggard = self.laggards.change(|it| it.remove(&run))?;
        for index in &laggard.targets {
            if let Some(target) = self.targets.get_mut(*index) {
                target.lags = false;
            }
        }
        let behind = laggard.misses(&self.attempted);
        Some((laggard, behind))
    }

    /// A run begins. What it is for, without the targets that another one is at, and all that it may write; `None` where
    /// nothing is left, or there is nowhere to deliver to yet.
    pub(in crate::daemon) fn begin_run(&mut self, which: Which) -> Option<(Which, Vec<usize>)> {
        if self.waits_for_namespaces() {
            self.unfinished = true;
            return None;
        }
        let which = self.without_laggards(which)?;
        let (late, free): (Vec<usize>, Vec<usize>) = self
            .ours()
            .into_iter()
            .partition(|index| self.targets[*index].lags);
        self.left_out = BTreeSet::from_iter(late).into();
        if which == Which::All {
            self.look_past_strikes();
        }
        self.work = Work::UnderWay;
        self.began = Instant::now();
        self.dismissed = Some(CancellationToken::new());
        Some((which, free))
    }

    /// What tells the run that has begun that nothing is to be deleted for it any more.
    pub(in crate::daemon) fn dismissal(&mut self) -> CancellationToken {
        self.dismissed.get_or_insert_default().clone()
    }

    /// The run or check has ended; whatever is set apart goes on.
    pub(in crate::daemon) fn idle(&mut self) {
        self.work = Work::Idle;
        self.dismissed = None;
    }

    fn without_laggards(&mut self, which: Which) -> Option<Which> {
        let free = |targets: Vec<usize>| {
            let free = targets.into_iter().filter(|it| !self.targets[*it].lags);
            let free: Vec<usize> = free.collect();
            (!free.is_empty()).then_some(free)
        };
        match which {
            Which::New(new) => free(new).map(Which::New),
            Which::Retry(failed) => free(failed).map(Which::Retry),
            Which::All if self.lags() && free(self.ours()).is_none() => {
                self.unfinished = true;
                None
            }
            Which::All => Some(Which::All),
        }
    }

    /// Whether the run that has ended left targets to another one that ended before it: they do not have what it delivered.
    pub(in crate::daemon) fn has_left_out(&mut self) -> bool {
        let left_out = self.left_out.take();
        left_out.iter().any(|index| !self.targets[*index].lags)
    }

    /// When somebody has to say that targets are late.
    pub(in crate::daemon) fn late_after(&self, now: Instant) -> Option<Instant> {
        let late = self.deliveries().map(|it| it.since + LATE);
        late.filter(|at| *at > now).min()
    }

    /// Targets that were delivered to before, and that a run is at for too long.
    pub(in crate::daemon) fn late(&self, now: Instant) -> Vec<usize> {
        let late = self.deliveries().filter(|it| it.since + LATE <= now);
        let targets = late.flat_map(|it| it.targets.iter().copied());
        let shown_well = |index: &usize| {
            let target = self.targets.get(*index);
            target.is_some_and(|target| target.tried && target.trouble.is_none())
        };
        targets.filter(shown_well).collect()
    }

    fn deliveries(&self) -> impl Iterator<Item = &Laggard> {
        let all = self.laggards.values();
        all.filter(|it| it.apart == Apart::Delivery)
    }

    /// Nothing is to be deleted any more for whatever is under way.
    pub(in crate::daemon) fn dismiss(&self) {
        let apart = self.laggards.values();
        let all = apart.filter_map(|laggard| laggard.dismissed.as_ref());
        for token in all.chain(&self.dismissed) {
            token.cancel();
        }
    }
}

impl Laggard {
    fn misses(&self, attempted: &few::Map<Read, Heard>) -> bool {
        self.unseen || self.heard != *attempted
    }

    pub(in crate::daemon) fn targets(&self) -> impl Iterator<Item = usize> {
        self.targets.iter().copied()
    }
}
