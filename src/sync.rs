//! The order of one run: read, judge the change, assemble, render every target, then write each.
//!
//! Nothing is written before everything was read and assembled and every target's content rendered. After that the
//! targets go their own ways: one that fails or hangs holds back no other.

mod deliver;
mod entry;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

pub use self::deliver::{Checked, Delivery, check};
pub use self::entry::{Entry, Item, read_of};
use crate::assemble;
use crate::decide::change::{Change, Version, change};
use crate::decide::found;
use crate::failure::{Failure, Reason};
use crate::report::{Fact, Reporter, Stage};
use crate::secret::Payload;
use crate::state::State;
use crate::store::desk::{Desk, Seen};
use crate::store::{Content, Identity, Match, Read};

/// Everything one run needs; nothing of it is shared with another entry's run but the ledger and the desk.
#[derive(Debug)]
pub struct Run {
    pub entry: Arc<Entry>,
    pub desk: Desk,
    pub state: Arc<State>,
    pub reporter: Reporter,
    /// The answer that woke this run.
    pub handed: Option<(Read, Seen)>,
    /// The newest version delivered to any target, per read.
    pub delivered: BTreeMap<Read, Version>,
    /// Older versions that a second read has confirmed.
    pub confirmed: BTreeMap<Read, Identity>,
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
    Unconfirmed(Vec<(Read, Version)>),
    /// The answers do not make content; nothing was written.
    NotAssembled {
        stage: Stage,
        versions: Vec<(Read, Version)>,
        failure: Failure,
    },
    /// The targets that were to be retried are still out of reach; nothing was read.
    NotReachable(Vec<(usize, Failure)>),
    Delivered {
        seen: Vec<(Read, SeenVersion)>,
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
    let versions: BTreeMap<Read, Version> = seen
        .iter()
        .map(|(read, seen)| (read.clone(), version_of(seen)))
        .collect();
    match judged(&run, &versions) {
        Ok(Verdict::AsDelivered) => {}
        Ok(Verdict::New) => {
            which = (0..run.entry.targets.len()).collect();
            unreachable.clear();
        }
        Err(end) => return end,
    }
    let payload = match content(&run, &seen, &versions).await {
        Ok(payload) => payload,
        Err(end) => return end,
    };
    let used = versions
        .into_iter()
        .map(|(read, version)| {
            let before = seen.get(&read).and_then(|seen| seen.before);
            (read, SeenVersion { version, before })
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

/// What the answers are, beside what was delivered.
enum Verdict {
    AsDelivered,
    New,
}

/// Whether these answers may be used.
fn judged(run: &Run, versions: &BTreeMap<Read, Version>) -> Result<Verdict, End> {
    if let Some(failure) = lost(run, versions) {
        return Err(not_assembled(Stage::Fetch, versions, failure));
    }
    let changes: BTreeMap<&Read, Change> = versions
        .iter()
        .map(|(read, version)| (read, change(run.delivered.get(read), version)))
        .collect();
    let unconfirmed = unconfirmed(run, versions, &changes);
    if !unconfirmed.is_empty() {
        return Err(End::Unconfirmed(unconfirmed));
    }
    let is_new = changes.values().any(|change| *change != Change::Same);
    Ok(if is_new {
        Verdict::New
    } else {
        Verdict::AsDelivered
    })
}

/// What is to be delivered; what it was found by is on disk before.
async fn content(
    run: &Run,
    seen: &BTreeMap<Read, Seen>,
    versions: &BTreeMap<Read, Version>,
) -> Result<Payload, End> {
    let assembled = staged(&run.reporter, Stage::Assemble, async {
        assemble_entry(&run.entry, seen)
    });
    let payload = assembled
        .await
        .map_err(|failure| not_assembled(Stage::Assemble, versions, failure))?;
    // Where it is not, nothing was attempted: the next answer tries again.
    let remembered = remember_found(run, versions).await;
    remembered.map_err(|failure| not_assembled(Stage::Apply, &BTreeMap::new(), failure))?;
    Ok(payload)
}

fn not_assembled(stage: Stage, versions: &BTreeMap<Read, Version>, failure: Failure) -> End {
    let versions = versions.iter();
    End::NotAssembled {
        stage,
        versions: versions
            .map(|(read, it)| (read.clone(), it.clone()))
            .collect(),
        failure,
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

fn unconfirmed(
    run: &Run,
    versions: &BTreeMap<Read, Version>,
    changes: &BTreeMap<&Read, Change>,
) -> Vec<(Read, Version)> {
    let doubtful = |(read, version): &(&Read, &Version)| {
        changes.get(read) == Some(&Change::Older)
            && run.confirmed.get(*read) != Some(&version.identity)
    };
    let doubtful = versions.iter().filter(doubtful);
    doubtful
        .map(|(read, version)| (read.clone(), version.clone()))
        .collect()
}

/// A `find` that no longer lists what was delivered from it. A list is no proof that something is gone (design 6.2).
///
/// The record says more than what is known to be delivered: it was there before a write whose end nobody saw.
fn lost(run: &Run, versions: &BTreeMap<Read, Version>) -> Option<Failure> {
    let known: BTreeMap<&Read, Identity> = run
        .entry
        .finds()
        .filter_map(|(read, id)| Some((read, Identity::Arns(run.state.found(&id)?))))
        .collect();
    versions.iter().find_map(|(read, version)| {
        let delivered = known.get(read)?;
        let name = found::lost(delivered, &version.identity)?;
        let fact = format!(
            "`{}` no longer lists `{name}`, which was delivered",
            read.source
        );
        Some(Failure::new(Reason::NotFound, fact).with_help(
            "everything keeps its content; put the secret or its tags back, or change the `find`",
        ))
    })
}

/// What the finds match is on disk before any of it is written: else a restart would not miss what they lose later.
async fn remember_found(run: &Run, versions: &BTreeMap<Read, Version>) -> Result<(), Failure> {
    for (read, id) in run.entry.finds() {
        let Some(Identity::Arns(arns)) = versions.get(read).map(|version| &version.identity) else {
            continue;
        };
        if run.state.found(&id).as_ref() == Some(arns) {
            continue;
        }
        let (state, arns) = (Arc::clone(&run.state), arns.clone());
        tokio::task::spawn_blocking(move || state.set_found(id, arns))
            .await
            .unwrap_or_else(|_| Err(Failure::new(Reason::Io, "the ledger could not be written")))?;
    }
    Ok(())
}

/// A read failed; the engine knows which and why.
struct NotRead;

/// Every read of the entry, and then everything that its finds match.
async fn read_all(run: &Run) -> Result<BTreeMap<Read, Seen>, NotRead> {
    let mut seen = BTreeMap::new();
    read_these(run, run.entry.reads.clone(), &mut seen).await?;
    let found = matches(&run.entry, &seen).map(|(read, _)| read).collect();
    read_these(run, found, &mut seen).await?;
    Ok(seen)
}

/// All at once.
async fn read_these(
    run: &Run,
    reads: Vec<Read>,
    seen: &mut BTreeMap<Read, Seen>,
) -> Result<(), NotRead> {
    // Asked all at once, then waited for: the waits overlap.
    let mut asked = Vec::new();
    for read in reads {
        match &run.handed {
            Some((handed, answer)) if *handed == read => {
                seen.insert(read, answer.clone());
            }
            Some(_) | None if seen.contains_key(&read) => {}
            Some(_) | None => {
                let answer = run.desk.ask(&read);
                asked.push((read, answer));
            }
        }
    }
    let mut failed = false;
    for (read, answer) in asked {
        match answer.await {
            Ok(answer) => drop(seen.insert(read, answer)),
            Err(_) => failed = true,
        }
    }
    if failed { Err(NotRead) } else { Ok(()) }
}

/// What the finds of an entry match, with the names.
fn matches<'a>(
    entry: &'a Entry,
    seen: &'a BTreeMap<Read, Seen>,
) -> impl Iterator<Item = (Read, &'a Match)> {
    entry.reads.iter().flat_map(|find| {
        let found: &[Match] = match seen.get(find).map(|seen| &seen.answer.content) {
            Some(Content::Matches(found)) => found,
            Some(Content::Value(_)) | None => &[],
        };
        found.iter().map(move |found| (read_of(find, found), found))
    })
}

fn assemble_entry(entry: &Entry, seen: &BTreeMap<Read, Seen>) -> Result<Payload, Failure> {
    let value = |read: &Read| match seen.get(read).map(|seen| &seen.answer.content) {
        Some(Content::Value(value)) => Some(value),
        Some(Content::Matches(_)) | None => None,
    };
    let mut items = Vec::with_capacity(entry.items.len());
    for item in &entry.items {
        match item {
            Item::One {
                secret_key,
                property,
                read,
            } => {
                let read = &entry.reads[*read];
                items.extend(value(read).map(|value| assemble::Item::One {
                    secret_key,
                    from: &read.source,
                    property: property.as_ref(),
                    value,
                }));
            }
            Item::Found { read } => {
                let find = &entry.reads[*read];
                let Some(Content::Matches(found)) = seen.get(find).map(|it| &it.answer.content)
                else {
                    continue;
                };
                let members = found.iter().filter_map(|found| {
                    let value = value(&read_of(find, found))?;
                    Some((&found.name, value))
                });
                items.push(assemble::Item::Found(members.collect()));
            }
        }
    }
    assemble::assemble(items)
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
