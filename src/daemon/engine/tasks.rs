//! What comes due, what is under way, and whom its end is told.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::{self, JoinError};
use tokio::time::Instant;

use super::actions::Acting;
use super::prune::{self, Pruning};
use super::rollouts::{Errand, Strike};
use super::traffic::LineId;
use super::{Engine, adopting};
use crate::action::run::Did;
use crate::aws::UpstreamId;
use crate::failure::{Failure, Reason};
use crate::kube::Restarted;
use crate::names::{ClusterName, EntryName};
use crate::schedule::cohorts::CohortId;
use crate::secret::Fingerprint;
use crate::state::Mark;
use crate::store::{Fetched, Read, Store};
use crate::sync::{self, Checked, Job};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Due {
    /// A read that has a time of its own: after a failure, or to confirm an answer.
    Read(Read),
    /// Reads that come round together.
    Cohort(CohortId),
    /// The next call of a line.
    Line(Box<LineId>),
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
pub(super) enum Task {
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
    /// What writes left beside a file that no entry writes any more.
    Sweep(PathBuf),
    /// The restart of a workload.
    Rollout(Errand),
    /// The record of a restart that is taken off.
    Strike(Strike),
    Save,
}

/// Why targets are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// All that are well, once in an interval.
    Routine,
    /// Something may have happened to these.
    Sight,
}

pub(super) enum Done {
    Call(Vec<(Read, Fetched)>),
    Run(sync::Report),
    Check(Vec<(usize, Checked)>),
    Probed,
    Pruned(Vec<prune::Pruned>),
    Adopted(Vec<adopting::Ended>),
    Acted(Result<Did, Failure>),
    /// The mark of the change, if it came about.
    CutShort(Option<Mark>),
    Swept(Result<(), Failure>),
    RolledOut(Result<Restarted, Failure>),
    Struck(Result<(), Failure>),
    Saved(Result<(), Failure>),
}

impl Engine {
    pub(super) fn ended(&mut self, ended: Result<(task::Id, Done), JoinError>) {
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
            (Task::Sweep(path), done) => prune::swept(&path, done.ok()),
            (Task::Rollout(errand), done) => self.rolled_out(&errand, done),
            (Task::Save, Ok(Done::Saved(result))) => self.saved(result),
            (Task::Save, _) => self.saved(Err(panicked("keeping the state"))),
            (Task::Run(job), done) => self.job_ended(&job, done),
            (Task::Strike(strike), done) => self.struck(&strike, done),
            (Task::Check(name, generation, _), _) if !self.is_current(&name, generation) => {
                self.left(&name);
            }
            (Task::Check(name, _, look), Ok(Done::Check(checked))) => {
                self.check_ended(&name, checked, look);
            }
            (Task::Check(name, ..), _) => self.run_panicked(&name),
        }
    }
}

pub(super) fn panicked(what: &str) -> Failure {
    Failure::new(Reason::Panic, format!("{what} panicked"))
}
