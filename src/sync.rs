//! The order of one run: read, judge the change, assemble, render every target, then write each.
//!
//! Nothing is written before everything was read and assembled and every target's content rendered. After that the
//! targets go their own ways: one that fails or hangs holds back no other.

mod deliver;
mod entry;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

pub use self::deliver::{Checked, Delivery, check};
pub use self::entry::{Entry, Item};
use crate::assemble;
use crate::decide::change::{Change, Version, change};
use crate::failure::Failure;
use crate::report::{Fact, Reporter, Stage};
use crate::secret::Payload;
use crate::state::State;
use crate::store::Identity;
use crate::store::desk::{Desk, Seen};

/// Everything one run needs; nothing of it is shared with another entry's run but the ledger and the desk.
#[derive(Debug)]
pub struct Run {
    pub entry: Arc<Entry>,
    pub desk: Desk,
    pub state: Arc<State>,
    pub reporter: Reporter,
    /// The answer that woke this run, by the index of its read.
    pub handed: Option<(usize, Seen)>,
    /// The newest version delivered to any target, per read.
    pub delivered: Vec<Option<Version>>,
    /// Older versions that a second read has confirmed, per read.
    pub confirmed: Vec<Option<Identity>>,
    pub which: Which,
}

/// Which targets a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// Only these failed last time; they are asked without a value before anything is read.
    Retry(Vec<usize>),
}

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// A read failed, and said so to everybody who uses it; nothing was written.
    NotRead,
    /// These reads answered with a version older than the delivered one; nothing was written.
    Unconfirmed(Vec<(usize, Version)>),
    /// The answers do not make content; nothing was written.
    NotAssembled {
        versions: Vec<Version>,
        failure: Failure,
    },
    /// The targets that were to be retried are still out of reach; nothing was read.
    NotReachable(Vec<(usize, Failure)>),
    Delivered {
        seen: Vec<SeenVersion>,
        targets: Vec<(usize, Delivery)>,
    },
}

/// A version as a run used it.
#[derive(Clone, Debug)]
pub struct SeenVersion {
    pub version: Version,
    pub before: Option<jiff::Timestamp>,
}

#[derive(Debug)]
pub struct Report {
    pub end: End,
    pub took: Duration,
}

/// Runs an entry once.
pub async fn run(run: Run) -> Report {
    let started = Instant::now();
    let end = steps(run).await;
    Report {
        end,
        took: started.elapsed(),
    }
}

async fn steps(run: Run) -> End {
    let mut which: Vec<usize> = (0..run.entry.targets.len()).collect();
    let mut unreachable = Vec::new();
    if let Which::Retry(failed) = &run.which {
        (which, unreachable) = probe(&run.entry, failed).await;
        if which.is_empty() {
            return End::NotReachable(unreachable);
        }
    }
    let seen = match staged(&run.reporter, Stage::Fetch, read_all(&run)).await {
        Ok(seen) => seen,
        Err(NotRead) => return End::NotRead,
    };
    let versions: Vec<Version> = seen.iter().map(version_of).collect();
    let changes: Vec<Change> = versions
        .iter()
        .zip(&run.delivered)
        .map(|(version, delivered)| change(delivered.as_ref(), version))
        .collect();
    let unconfirmed = unconfirmed(&run, &versions, &changes);
    if !unconfirmed.is_empty() {
        return End::Unconfirmed(unconfirmed);
    }
    if changes.iter().any(|change| *change != Change::Same) {
        which = (0..run.entry.targets.len()).collect();
        unreachable.clear();
    }
    let assembled = staged(&run.reporter, Stage::Assemble, async {
        assemble_entry(&run.entry, &seen)
    });
    let payload = match assembled.await {
        Ok(payload) => payload,
        Err(failure) => return End::NotAssembled { versions, failure },
    };
    let used = seen
        .iter()
        .zip(versions)
        .map(|(seen, version)| SeenVersion {
            version,
            before: seen.before,
        })
        .collect();
    // Values are let go before the writes, which may have to wait.
    drop(seen);
    let targets = staged(
        &run.reporter,
        Stage::Apply,
        deliver::all(&run.entry, which, &payload, &run.state),
    );
    let mut targets = targets.await;
    targets.extend(unreachable.into_iter().map(Delivery::not_tried));
    End::Delivered {
        seen: used,
        targets,
    }
}

async fn staged<T>(reporter: &Reporter, stage: Stage, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let done = work.await;
    reporter.record(&Fact::Stage {
        stage,
        took: started.elapsed(),
    });
    done
}

fn version_of(seen: &Seen) -> Version {
    Version {
        identity: seen.answer.identity.clone(),
        created: seen.answer.created,
    }
}

fn unconfirmed(run: &Run, versions: &[Version], changes: &[Change]) -> Vec<(usize, Version)> {
    versions
        .iter()
        .zip(changes)
        .enumerate()
        .filter(|(read, (version, change))| {
            **change == Change::Older && run.confirmed[*read].as_ref() != Some(&version.identity)
        })
        .map(|(read, (version, _))| (read, version.clone()))
        .collect()
}

/// A read failed; the engine knows which and why.
struct NotRead;

/// Every read of the entry at once.
async fn read_all(run: &Run) -> Result<Vec<Seen>, NotRead> {
    let mut answers: Vec<Option<Seen>> = vec![None; run.entry.reads.len()];
    if let Some((read, seen)) = &run.handed {
        answers[*read] = Some(seen.clone());
    }
    // Asked all at once, then waited for: the waits overlap.
    let asked: Vec<_> = (0..answers.len())
        .filter(|read| answers[*read].is_none())
        .map(|read| (read, run.desk.ask(&run.entry.reads[read])))
        .collect();
    for (read, answer) in asked {
        answers[read] = answer.await.ok();
    }
    answers.into_iter().collect::<Option<_>>().ok_or(NotRead)
}

fn assemble_entry(entry: &Entry, seen: &[Seen]) -> Result<Payload, Failure> {
    assemble::assemble(entry.items.iter().filter_map(|item| {
        let crate::store::Content::Value(value) = &seen[item.read].answer.content else {
            return None;
        };
        Some(assemble::Item {
            secret_key: &item.secret_key,
            from: entry.reads[item.read].source.to_string(),
            property: item.property.as_ref(),
            value,
        })
    }))
}

/// Which of the failed targets could be written now.
async fn probe(entry: &Entry, failed: &[usize]) -> (Vec<usize>, Vec<(usize, Failure)>) {
    let probes = failed.iter().map(async |&target| {
        (
            target,
            deliver::in_time(entry.targets[target].probe()).await,
        )
    });
    let (mut ready, mut unreachable) = (Vec::new(), Vec::new());
    for (target, answer) in join_all(probes).await {
        match answer {
            Ok(()) => ready.push(target),
            Err(failure) => unreachable.push((target, failure)),
        }
    }
    (ready, unreachable)
}
